//! Are errors of the observer and of the model handed on?

use checks::Fault;
use probe::BROKEN;

use crate::sampler::{Loop, Take};
use crate::setting::Setting;

/// A setting whose observer stops the sampler at its third step, and one whose model fails at its second call.
#[must_use]
pub fn failing(setting: &Setting) -> [Setting; 2] {
    let of_observer = Setting {
        observer_stops_at: Some(3),
        ..setting.clone()
    };
    let of_model = Setting {
        model_fails_at: Some(2),
        ..setting.clone()
    };
    [of_observer, of_model]
}

/// Errors of the observer and of the model end the sampler, and come back.
///
/// - `settings`: those of [`failing`]
///
/// # Errors
///
/// If not.
pub fn check_errors(spec: &Loop, take: &mut Take<'_>, settings: [Setting; 2]) -> Result<(), Fault> {
    let name = spec.name;
    let [of_observer, of_model] = settings;
    for (setting, whose, text, most) in [
        (
            of_observer,
            "the observer's error at its third step (Ctrl-C is one)",
            "interrupted",
            3,
        ),
        (of_model, "the model's error at its second call", BROKEN, 2),
    ] {
        let should = format!("{whose} should end {name} and come back: `?` does that");
        let path = take(&setting).map_err(|fault| fault.fact(format!("in this run {should}")))?;
        let calls = path.asked().len();
        match &path.outcome {
            Ok(_) => {
                return Err(Fault::new(format!(
                    "{should}; but it returned Ok after {calls} calls of the model"
                )));
            }
            Err(error) if !error.contains(text) => {
                return Err(Fault::new(format!("{should}; but another one came: {error}")));
            }
            Err(_) if calls > most => {
                return Err(Fault::new(format!(
                    "{should}; but the model was asked {calls} times until it did"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(())
}
