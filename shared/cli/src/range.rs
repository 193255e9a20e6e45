//! What is wrong with a sampler's numbers: none at all, or far from those of images.

use anyhow::{Error, Result, ensure};
use diffusion::{Observer, ScoreError, StepView};
use imaging::OperatorError;
use ndarray::{Array3, Array4};

/// Pixels are in [-1, 1], and samplers overshoot: tasks 4 to 6 with their own settings and 5 to 200 steps, on all
/// operators, reached 3.6 at most (Score-ALD in 50 steps; DPS 1.4). A zeta ten times the tuned one reaches 7 to 30.
const FAR: f32 = 5.0;

/// Remembers the last step that a sampler showed.
#[derive(Debug, Default)]
pub(crate) struct LastStep {
    t: Option<usize>,
    /// The clean image expected there, of the first of the batch.
    x0_hat: Option<Array3<f32>>,
}

impl Observer for LastStep {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.t = Some(view.step.t);
        self.x0_hat = view.x0_hat.outer_iter().next().map(|image| image.to_owned());
        Ok(())
    }
}

impl LastStep {
    /// The picture so far, `[C, H, W]`, of a sampler that was stopped.
    pub(crate) fn into_picture(self) -> Option<Array3<f32>> {
        self.x0_hat
    }

    /// An error of `what` was done that comes of a NaN or an infinity, with the place where they began and `advice`;
    /// others as they are.
    pub(crate) fn explain(&self, error: Error, what: &str, advice: Option<&str>) -> Error {
        let not_finite = |cause: &(dyn std::error::Error + 'static)| {
            matches!(cause.downcast_ref(), Some(ScoreError::NonFinite { .. }))
                || matches!(cause.downcast_ref(), Some(OperatorError::NotFinite { .. }))
        };
        if !error.chain().any(not_finite) {
            return error;
        }
        let place = self.t.map_or("before any step was shown".into(), |t| {
            format!("after the step at t = {t}")
        });
        let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
        error.context(format!("{what}: numbers are no longer finite {place}{advice}"))
    }
}

/// Makes sure that a result `[B, C, H, W]` holds numbers; the last step's are shown to no observer.
pub(crate) fn check_finite(results: &Array4<f32>) -> Result<()> {
    let what = "the result";
    ensure!(
        results.iter().all(|value| value.is_finite()),
        ScoreError::NonFinite { t: 0, what }
    );
    Ok(())
}

/// What to say of a result `[B, C, H, W]` that is far from images, if it is.
pub(crate) fn far_from_images(results: &Array4<f32>, advice: Option<&str>) -> Option<String> {
    let (low, high) = results
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
    (low < -FAR || high > FAR).then(|| {
        format!(
            "the result reaches from {low:.1} to {high:.1}, where images are from -1 to 1 (figures cut off the \
             rest){advice}"
        )
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use imaging::parse_operator;

    use super::*;

    const ADVICE: Option<&str> = Some("use a smaller one");

    #[test]
    fn the_place_where_numbers_end_is_named() -> Result<()> {
        let nan = Array4::from_elem((1, 3, 4, 4), f32::NAN);
        let operator = parse_operator("colourisation", [3, 4, 4], 0)?;
        let refused = || {
            operator
                .apply(&nan)
                .map_or_else(Error::from, |_| anyhow!("not refused"))
        };
        let last = LastStep {
            t: Some(40),
            x0_hat: None,
        };
        let told = format!("{:#}", last.explain(refused(), "DPS", ADVICE));
        assert!(
            told.contains("after the step at t = 40; use a smaller one: colourisation"),
            "{told}"
        );
        let told = format!("{:#}", LastStep::default().explain(refused(), "DPS", None));
        assert!(
            told.starts_with("DPS: numbers are no longer finite before any step was shown: "),
            "{told}"
        );
        let told = check_finite(&nan).map_or_else(
            |error| format!("{:#}", last.explain(error, "DPS", ADVICE)),
            |()| String::new(),
        );
        assert!(told.contains("t = 40") && told.contains("the result"), "{told}");
        // What has another cause keeps its own words.
        assert_eq!(
            last.explain(anyhow!("disk full"), "DPS", ADVICE).to_string(),
            "disk full"
        );
        Ok(())
    }

    #[test]
    fn results_far_from_images_are_told() {
        let result = |value| Array4::from_elem((1, 3, 4, 4), value);
        assert_eq!(far_from_images(&result(3.6), ADVICE), None);
        assert_eq!(far_from_images(&result(-3.6), ADVICE), None);
        let told = far_from_images(&result(-37.0), ADVICE).unwrap_or_default();
        assert!(told.contains("-37.0") && told.ends_with("use a smaller one"), "{told}");
    }
}
