//! All posterior methods on one measurement, and what their ranks look like.

use std::time::Instant;

use anyhow::{Context, Result};
use diffusion::{FiniteCheck, ScoreModel, Trajectory};
use imaging::ForwardOperator;
use methods::calibration::study::Findings;
use methods::stepping::{Cost, Stepping};
use methods::{Problem, registry};
use ndarray::{Array4, ArrayRef4, Axis};
use plots::{Histogram, HistogramRow};

use crate::arrays::rng;

/// How many moments of each path are kept.
const MOMENTS: usize = 5;

/// What one method made of a measurement.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As `methods --method list` calls it.
    pub name: String,
    /// As tables call it.
    pub title: String,
    /// The reconstruction, `[1, C, H, W]`.
    pub image: Array4<f32>,
    /// What it went through; empty for a method without steps.
    pub path: Trajectory,
    /// How often it called the network.
    pub calls: usize,
    /// How often it went back through it.
    pub pullbacks: usize,
    /// How long it took.
    pub seconds: f64,
}

/// Has every method of the registry that can do this operator reconstruct one image, each with so many calls of the
/// network, or as many as it says; prints a line for each that cannot.
///
/// - `b`: one measurement, `[1, ...operator.measurement_shape()]`, with noise of the standard deviation `sigma`
///
/// # Errors
///
/// Those of the methods, with the name of the one at fault.
pub fn compare_all(
    model: &dyn ScoreModel,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
    sigma: f64,
    num_steps: usize,
    seed: u64,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for method in registry::posterior_methods() {
        if let Err(why) = method.supports(operator) {
            println!("{why}");
            continue;
        }
        let Cost { evaluations, pullbacks } = method.cost(operator, model.schedule(), num_steps)?;
        let mut path = Trajectory::new(MOMENTS);
        let started = Instant::now();
        let problem = Problem { operator, b, sigma };
        let observer = &mut (FiniteCheck, &mut path);
        let image = method
            .solve(model, &problem, Stepping::new(num_steps), &mut rng(seed), observer)
            .with_context(|| method.title())?;
        outcomes.push(Outcome {
            name: method.name().to_owned(),
            title: method.title(),
            image,
            seconds: started.elapsed().as_secs_f64(),
            path,
            calls: evaluations,
            pullbacks,
        });
    }
    Ok(outcomes)
}

impl Outcome {
    /// The clean images that it expected on its way, the first of each batch, from the first step to the last.
    #[must_use]
    pub fn moments(&self) -> Vec<(usize, Array4<f32>)> {
        let first = |batch: &ArrayRef4<f32>| batch.index_axis(Axis(0), 0).to_owned().insert_axis(Axis(0));
        let frames = self.path.frames().iter();
        frames.map(|frame| (frame.step.t, first(&frame.x0_hat))).collect()
    }
}

/// A row of rank histograms, one for each quantity of a study.
#[must_use]
pub fn ranks(title: &str, findings: &Findings) -> HistogramRow {
    let histograms = findings.summary.ranks.iter().map(|ranks| Histogram {
        caption: ranks.uniformity().map_or("too few".into(), |p| match p {
            p if p < 1e-4 => "p < 1e-4".into(),
            p => format!("p = {p:.4}"),
        }),
        counts: ranks.counts().to_vec(),
    });
    HistogramRow {
        label: title.to_owned(),
        histograms: histograms.collect(),
    }
}

#[cfg(test)]
mod tests {
    use diffusion::{GaussianModel, Schedule};
    use imaging::{HdrResponse, Inpainting};
    use methods::calibration::closed_forms::ClosedForm;
    use methods::calibration::study::{Drawer, Fault, Size, Study};
    use ndarray::Array1;

    use super::*;

    const SHAPE: [usize; 3] = [3, 8, 8];

    #[test]
    fn all_that_can_do_it_take_part_and_keep_their_path() -> Result<()> {
        let numbers: usize = SHAPE.iter().product();
        let (mean, variances) = (Array1::zeros(numbers), Array1::from_elem(numbers, 0.1));
        let prior = GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, variances)?;
        let operator = Inpainting::random(SHAPE, 0.5, 0)?;
        let b = operator.apply(&Array4::zeros((1, 3, 8, 8)))?;
        let all = compare_all(&prior, &operator, &b, 0.05, 10, 0)?;
        assert_eq!(all.len(), registry::posterior_methods().len());
        for outcome in &all {
            let moments = outcome.moments();
            assert_eq!(moments.is_empty(), outcome.calls == 0, "{}", outcome.name);
            assert!(moments.len() <= MOMENTS && outcome.image.dim() == (1, 3, 8, 8));
        }
        let nonlinear = HdrResponse::new(SHAPE, 2.0, 2.2)?;
        let b = nonlinear.apply(&Array4::zeros((1, 3, 8, 8)))?;
        assert!(compare_all(&prior, &nonlinear, &b, 0.05, 5, 0)?.len() < all.len());
        Ok(())
    }

    #[test]
    fn a_row_of_ranks_has_a_histogram_for_each_quantity() -> Result<()> {
        let form = &ClosedForm::all()[0];
        let size = Size {
            images: 20,
            samples: 19,
        };
        let study = Study::new(form, size, 0)?;
        let row = ranks("exact", &study.measure(Drawer::Exact(Fault::None), &mut ())?);
        assert_eq!(row.histograms.len(), study.quantities().len());
        assert!(row.histograms.iter().all(|one| one.counts.iter().sum::<usize>() == 20));
        Ok(())
    }
}
