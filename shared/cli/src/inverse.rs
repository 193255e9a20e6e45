//! What the command lines of tasks 4, 5 and 6 share: measure images with an operator, reconstruct them with the task's
//! method, and write the lecture's result figure.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use diffusion::{FiniteCheck, Observer, ScoreModel, TrajectoryFrame};
use imaging::{ForwardOperator, NamedImage, OperatorSpec, measure, sampler_rng, stack};
use ndarray::{Array4, ArrayRef3, Axis};
use program::say;
use rand::rngs::StdRng;
use score_unet::Prior;

use crate::first_image::FirstImage;
use crate::inverse_figures::{Outcome, mean, save_path, save_results};
use crate::judge::{Judge, Judged};
use crate::memory::check_batch;
use crate::operators::{self, Asked};
use crate::options::CommonOptions;
use crate::problem_options::ProblemOptions;
use crate::progress::Progress;
use crate::range::{LastStep, check_finite, far_from_images};
use crate::report::Report;
use crate::session::Session;

/// So many steps of the path are kept at most; the residual is drawn at each.
const PATH_STEPS: usize = 1000;

/// A batch of measurements to be inverted.
pub struct Problem<'a> {
    /// How the command line calls the operator.
    pub spec: &'a OperatorSpec,
    /// `A`.
    pub operator: &'a dyn ForwardOperator,
    /// The measurements, `[B, ...measurement_shape()]`.
    pub b: &'a Array4<f32>,
}

/// A task's reconstruction of a batch, from its measurements, with random numbers of one sample's own, shown to an
/// observer step by step.
pub type Solve<'a> = dyn FnMut(&Problem<'_>, &mut StdRng, &mut dyn Observer) -> Result<Array4<f32>> + 'a;

/// What a task tells [`solve_problems`] about its method.
#[derive(Debug, Clone)]
pub struct Method {
    /// What reports and figures call it.
    pub name: &'static str,
    /// Network evaluations for one batch, for the progress bar.
    pub evaluations: usize,
    /// What it was set to, for the report: names and values.
    pub settings: Vec<(&'static str, String)>,
    /// What to do should its numbers leave all bounds, where a flag is the likely cause.
    pub advice: Option<String>,
}

/// Measures the images with each of the operators, reconstructs them with `solve`, and writes a figure (ground truth,
/// input, reconstruction, PSNR and LPIPS underneath; with several samples also their mean and standard deviation), the
/// path and the residual of the first image for each operator, and the report. Where an error or a signal ends it
/// early, all of that is written for what was done by then.
///
/// The noise of an image depends on --seed and its place among the images. What a sampler draws depends on --seed, the
/// place of its batch's first image, and the number of the sample: with another --batch it is another result.
///
/// # Errors
///
/// Options that do not fit the images, files that cannot be read or written, what `solve` returns, and a NaN in a
/// result.
pub fn solve_problems(
    session: &mut Session,
    prior: &Prior,
    common: &CommonOptions,
    options: &ProblemOptions,
    method: &Method,
    solve: &mut Solve<'_>,
) -> Result<()> {
    options.check()?;
    let operators = operators::make(session, &options.operator, prior.image_shape(), common.seed)?;
    let images = session.images(&options.images, prior, options.count as usize)?;
    check_batch(session, prior, images.len().min(options.batch.into()))?;
    let judge = Judge::new()?;
    let mut report = session.report(prior).judged_by(&judge);
    report.settings.extend(settings(options, method, &operators));
    let runs = operators.len() * images.len().div_ceil(options.batch.into()) * usize::from(options.samples);
    let mut experiment = Experiment {
        common,
        options,
        method,
        judge,
        progress: Progress::new(method.name, runs * method.evaluations),
        report,
    };
    let mut shown = Vec::new();
    let outcome = operators.iter().try_for_each(|asked| {
        let mut first = None;
        let inverted = experiment.invert_all(asked, &images, solve, &mut first);
        let kept = session.keep_report(&experiment.report).and_then(|()| {
            let Some((outcome, path)) = first else {
                return Ok(());
            };
            shown.push((asked.spec, outcome));
            save_path(session, asked, &path)
        });
        inverted.and(kept)
    });
    let Experiment { progress, report, .. } = experiment;
    drop(progress);
    // Whatever ended it, what was done by then is kept; and first what takes the least room.
    let saved = session
        .save_report(&report)
        .and_then(|()| save_results(session, method.name, &shown));
    outcome.and(saved)
}

fn settings(options: &ProblemOptions, method: &Method, operators: &[Asked<'_>]) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([
        ("method".to_owned(), method.name.to_owned()),
        ("batch".to_owned(), options.batch.to_string()),
        ("noise".to_owned(), options.measurement_noise().to_string()),
    ]);
    for Asked { spec, operator, .. } in operators {
        settings.insert(spec.to_string(), operator.description());
    }
    for (name, value) in &method.settings {
        settings.insert((*name).to_owned(), value.clone());
    }
    settings
}

/// What was asked for, and what all batches add to.
struct Experiment<'a> {
    common: &'a CommonOptions,
    options: &'a ProblemOptions,
    method: &'a Method,
    judge: Judge,
    progress: Progress,
    report: Report,
}

impl Experiment<'_> {
    /// Reconstructs all images from what one operator leaves of them, batch by batch. Into `shown` goes what the
    /// figures show, as soon as it is there: what became of the first image, and the path of its first sample.
    fn invert_all<'i>(
        &mut self,
        asked: &Asked<'_>,
        images: &'i [NamedImage],
        solve: &mut Solve<'_>,
        shown: &mut Option<(Outcome<'i>, Vec<TrajectoryFrame>)>,
    ) -> Result<()> {
        let size = usize::from(self.options.batch);
        for (index, batch) in images.chunks(size).enumerate() {
            let (outcomes, path) = self.invert(asked, batch, index * size, solve)?;
            let first = outcomes.into_iter().next().map(|outcome| (outcome, path));
            *shown = shown.take().or(first);
        }
        Ok(())
    }

    /// Measures and reconstructs one batch; `first` is the place of its first image among all. The path is that of the
    /// very first sample, else empty.
    fn invert<'i>(
        &mut self,
        asked: &Asked<'_>,
        images: &'i [NamedImage],
        first: usize,
        solve: &mut Solve<'_>,
    ) -> Result<(Vec<Outcome<'i>>, Vec<TrajectoryFrame>)> {
        let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
        let noise = self.options.measurement_noise();
        let (spec, operator) = (asked.spec, asked.operator.as_ref());
        let b = measure(operator, &truth, noise, self.common.seed, first)?;
        let problem = Problem { spec, operator, b: &b };
        let mut outcomes = self.judge_inputs(&problem, images)?;
        let mut path = Vec::new();
        for sample in 0..u64::from(self.options.samples) {
            let rng = &mut sampler_rng(self.common.seed, first, sample);
            let mut trajectory = (first == 0 && sample == 0).then(|| FirstImage::new(PATH_STEPS));
            let clock = Instant::now();
            let mut last = LastStep::default();
            let observer = &mut (FiniteCheck, &mut self.progress, &mut trajectory, &mut last);
            let results = solve(&problem, rng, observer).and_then(|results| check_finite(&results).map(|()| results));
            let what = format!("{}, {spec}", self.method.name);
            let results = results.map_err(|error| last.explain(error, &what, self.method.advice.as_deref()))?;
            let seconds = clock.elapsed().as_secs_f64() / images.len() as f64;
            self.progress.next_run();
            if let Some(warning) = far_from_images(&results, self.method.advice.as_deref()) {
                say(&format!("note: {what}: {warning}"));
            }
            self.judge_sample(spec, &results, seconds, &mut outcomes)?;
            path.extend(trajectory.into_iter().flat_map(FirstImage::into_frames));
        }
        if self.options.samples > 1 {
            self.judge_means(spec, &mut outcomes)?;
        }
        Ok((outcomes, path))
    }

    /// The measurements as pictures, with the metrics of the images that the operator makes of them.
    fn judge_inputs<'i>(&mut self, problem: &Problem<'_>, images: &'i [NamedImage]) -> Result<Vec<Outcome<'i>>> {
        let start = problem.operator.start_image(problem.b)?;
        let pictures = problem.operator.picture(problem.b)?;
        let mut outcomes = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let what = Judged {
                case: &problem.spec.to_string(),
                method: "start image",
                image: &image.name,
                seed: self.common.seed,
                seconds: 0.0,
            };
            outcomes.push(Outcome {
                image,
                input: pictures.index_axis(Axis(0), index).to_owned(),
                input_caption: self.report_on(&what, &start.index_axis(Axis(0), index), image)?,
                samples: Vec::new(),
                caption: String::new(),
                mean_caption: String::new(),
            });
        }
        Ok(outcomes)
    }

    /// Adds a sample of each image `[B, C, H, W]` to what became of it.
    fn judge_sample(
        &mut self,
        spec: &OperatorSpec,
        results: &Array4<f32>,
        seconds: f64,
        outcomes: &mut [Outcome<'_>],
    ) -> Result<()> {
        for (outcome, result) in outcomes.iter_mut().zip(results.axis_iter(Axis(0))) {
            let what = Judged {
                case: &spec.to_string(),
                method: self.method.name,
                image: &outcome.image.name,
                seed: self.common.seed,
                seconds,
            };
            let caption = self.report_on(&what, &result, outcome.image)?;
            if outcome.samples.is_empty() {
                outcome.caption = caption;
            }
            outcome.samples.push(result.to_owned());
        }
        Ok(())
    }

    /// The mean of each image's samples, once all are there.
    fn judge_means(&mut self, spec: &OperatorSpec, outcomes: &mut [Outcome<'_>]) -> Result<()> {
        for outcome in outcomes {
            let what = Judged {
                case: &spec.to_string(),
                method: &format!("mean of {} samples", outcome.samples.len()),
                image: &outcome.image.name,
                seed: self.common.seed,
                seconds: 0.0,
            };
            outcome.mean_caption = self.report_on(&what, &mean(&outcome.samples), outcome.image)?;
        }
        Ok(())
    }

    /// Puts the metrics of an image into the report, and returns them as its caption.
    fn report_on(&mut self, what: &Judged<'_>, image: &ArrayRef3<f32>, truth: &NamedImage) -> Result<String> {
        let row = self.judge.row(what, image, &truth.pixels)?;
        let caption = row.caption();
        self.report.rows.push(row);
        Ok(caption)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rand::Rng;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        common: CommonOptions,
        #[command(flatten)]
        problem: ProblemOptions,
    }

    #[test]
    fn each_batch_and_each_sample_has_random_numbers_of_its_own() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let flags = "--operator deconvolution --count 4 --batch 1 --samples 2";
        let mut options = Options::try_parse_from(["test"].into_iter().chain(flags.split(' ')))?;
        options.common.out = Some(folder.path().to_owned());
        let mut session = Session::new("test", &options.common)?;
        let prior = session.prior()?;
        let method = Method {
            name: "start image",
            evaluations: 0,
            settings: Vec::new(),
            advice: None,
        };
        let mut first_numbers = Vec::new();
        solve_problems(
            &mut session,
            &prior,
            &options.common,
            &options.problem,
            &method,
            &mut |problem, rng, _| {
                first_numbers.push(rng.random::<u64>());
                Ok(problem.operator.start_image(problem.b)?)
            },
        )?;
        assert_eq!(first_numbers.len(), 8);
        first_numbers.sort_unstable();
        first_numbers.dedup();
        assert_eq!(first_numbers.len(), 8, "two batches or samples drew the same numbers");
        Ok(())
    }
}
