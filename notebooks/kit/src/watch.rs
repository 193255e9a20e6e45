//! Watching a sampler from a notebook.

use anyhow::{Result, ensure};
use cli::path_strip;
use diffusion::{FiniteCheck, Observer, ScoreError, StepView, Trajectory};
use ndarray::{Array4, ArrayRef4, Axis};
use plots::Figure;

/// How many moments of the path are kept as pictures.
const MOMENTS: usize = 9;
/// How many lines are printed on the way.
const LINES: usize = 4;

/// An observer that prints a line every quarter of the way, stops at the first NaN, and keeps what there is to draw
/// afterwards: moments of the path, and of every step the residual and, where the truth is known, the PSNR of `x0_hat`.
#[derive(Debug, Clone)]
pub struct Watch {
    label: String,
    truth: Option<Array4<f32>>,
    path: Trajectory,
    residuals: Vec<(f64, f64)>,
    psnrs: Vec<(f64, f64)>,
}

impl Watch {
    /// An observer that calls the sampler `label` in what it prints; without a label it prints nothing.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            truth: None,
            path: Trajectory::new(MOMENTS),
            residuals: Vec::new(),
            psnrs: Vec::new(),
        }
    }

    /// The same, but it also compares `x0_hat` with the truth, a batch of which the first image counts.
    #[must_use]
    pub fn with_truth(label: &str, truth: &ArrayRef4<f32>) -> Self {
        Self {
            truth: Some(truth.to_owned()),
            ..Self::new(label)
        }
    }

    /// The path of the first image: `x_t` above `x0_hat`.
    ///
    /// # Errors
    ///
    /// If no sampler was watched, or its images cannot be drawn.
    pub fn strip(&self) -> Result<Figure> {
        let frames = self.path.frames();
        ensure!(
            !frames.is_empty(),
            "nothing was watched yet: hand this to a sampler as its observer"
        );
        Ok(path_strip(frames)?)
    }

    /// `(t, ||b - A x0_hat||)` of the first image, for each step in its order.
    #[must_use]
    pub fn residuals(&self) -> Vec<(f64, f64)> {
        self.residuals.clone()
    }

    /// `(t, PSNR of x0_hat)` of the first image in dB, for each step in its order; empty if the truth is not known.
    #[must_use]
    pub fn psnrs(&self) -> Vec<(f64, f64)> {
        self.psnrs.clone()
    }

    fn keep_numbers(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        let t = view.step.t as f64;
        if let Some(residual) = view.residual.and_then(<[f32]>::first) {
            self.residuals.push((t, f64::from(*residual)));
        }
        if let Some(truth) = &self.truth {
            let psnr = metrics::psnr(&view.x0_hat.index_axis(Axis(0), 0), &truth.index_axis(Axis(0), 0));
            self.psnrs.push((t, psnr.map_err(ScoreError::observer)?));
        }
        Ok(())
    }

    /// The line to print, where another quarter of the way has been made.
    fn line(&self, view: &StepView<'_>) -> Option<String> {
        let quarters = |steps: usize| LINES * steps / view.num_steps.max(1);
        let done = view.index + 1;
        if self.label.is_empty() || quarters(done) == quarters(view.index) {
            return None;
        }
        let residual = match view.residual.and_then(<[f32]>::first) {
            Some(residual) => format!(", residual {residual:.2}"),
            None => String::new(),
        };
        Some(format!(
            "{}: {done} of {} steps, t = {}{residual}",
            self.label, view.num_steps, view.step.t
        ))
    }
}

impl Observer for Watch {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        FiniteCheck.observe(view)?;
        if view.index == 0 {
            self.residuals.clear();
            self.psnrs.clear();
        }
        self.path.observe(view)?;
        self.keep_numbers(view)?;
        if let Some(line) = self.line(view) {
            println!("{line}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diffusion::Schedule;

    use super::*;

    fn watch_all(watch: &mut Watch, value: f32) -> Result<usize> {
        let steps = Schedule::linear().steps(100)?;
        let images = Array4::from_elem((2, 3, 16, 16), value);
        let mut lines = 0;
        for (index, step) in steps.iter().enumerate() {
            let view = StepView {
                step,
                index,
                num_steps: steps.len(),
                x_t: &images,
                x0_hat: &images,
                residual: Some(&[1.0, 2.0]),
            };
            lines += usize::from(watch.line(&view).is_some());
            watch.observe(&view)?;
        }
        Ok(lines)
    }

    #[test]
    fn four_lines_and_every_number() -> Result<()> {
        let mut watch = Watch::with_truth("DPS", &Array4::zeros((1, 3, 16, 16)));
        assert!(watch.strip().is_err());
        assert_eq!(watch_all(&mut watch, 0.2)?, LINES);
        // 10 log10(4 / 0.04), the range being 2.
        assert!(watch.psnrs().iter().all(|(_, psnr)| (psnr - 20.0).abs() < 1e-3));
        assert_eq!((watch.residuals().len(), watch.residuals()[0]), (100, (1000.0, 1.0)));
        assert!(watch.strip()?.width > 0);
        // A second run starts anew.
        watch_all(&mut watch, 0.1)?;
        assert_eq!(watch.psnrs().len(), 100);
        assert_eq!(watch_all(&mut Watch::new(""), 0.1)?, 0);
        Ok(())
    }

    #[test]
    fn a_nan_stops_the_sampler() {
        let stopped = watch_all(&mut Watch::new("DPS"), f32::NAN);
        assert!(stopped.is_err_and(|error| error.to_string().contains("NaN")));
    }
}
