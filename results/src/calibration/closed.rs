//! Calibration where the posterior is known.

use std::sync::Mutex;

use anyhow::{Context, Result};
use cli::{Progress, Session, check_interrupted};
use diffusion::observe_with;
use methods::calibration::closed_forms::ClosedForm;
use methods::calibration::study::{Drawer, Fault, Findings, Size, Study};
use methods::stepping::Stepping;
use rayon::prelude::*;

use crate::calibration::line::Line;
use crate::calibration::{Options, markdown, save};

/// Exact draws, spoilt ones, and all methods, on all closed forms.
pub fn run(options: &Options, session: &mut Session) -> Result<()> {
    let setting = options.setting(Size::default().images);
    let size = Size {
        images: setting.images,
        samples: setting.samples,
    };
    let methods = options.methods(&ClosedForm::methods(), |_| true);
    let stepping = Stepping::new(setting.steps);
    let exact = Fault::ALL.map(|fault| (fault.title().to_owned(), Drawer::Exact(fault)));
    let of_methods = methods
        .iter()
        .map(|method| (method.title(), Drawer::Method(*method, stepping)));
    let drawers: Vec<(String, Drawer<'_>)> = exact.into_iter().chain(of_methods).collect();
    let forms = ClosedForm::all();
    let progress = Mutex::new(Progress::new("calibration", forms.len() * drawers.len()));
    let mut lines = Vec::new();
    for form in &forms {
        let study = Study::new(form, size, setting.seed)?;
        let measure = |(title, drawer): &(String, Drawer<'_>)| {
            let findings = measure(&study, *drawer).with_context(|| format!("{title} on {}", form.name()))?;
            if let Ok(mut progress) = progress.lock() {
                progress.add(1, &format!("{title} on {}", form.name()));
            }
            Ok(Line::closed(&form.name(), title, &study.quantities(), &findings))
        };
        lines.extend(drawers.par_iter().map(measure).collect::<Result<Vec<Line>>>()?);
        save(&setting, &lines, options, session)?;
    }
    drop(progress);
    cli::print_text(&markdown(&setting, &lines));
    Ok(())
}

fn measure(study: &Study<'_>, drawer: Drawer<'_>) -> Result<Findings> {
    check_interrupted()?;
    Ok(study.measure(drawer, &mut observe_with(|_| check_interrupted()))?)
}
