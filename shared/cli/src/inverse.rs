//! What the command lines of tasks 4, 5 and 6 share: measure images with an operator, reconstruct them with the task's
//! method, and write the lecture's result figure.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use diffusion::{FiniteCheck, Observer, ScoreModel, Trajectory, TrajectoryFrame};
use imaging::{ForwardOperator, NamedImage, OperatorSpec, measure, sampler_rng, stack};
use ndarray::{Array4, ArrayRef3, Axis};
use rand::rngs::StdRng;
use score_unet::Prior;

use crate::inverse_figures::{Outcome, mean, save_path, save_results};
use crate::judge::{Judge, Judged};
use crate::options::CommonOptions;
use crate::problem_options::ProblemOptions;
use crate::progress::Progress;
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
}

/// Measures the images with each of the operators, reconstructs them with `solve`, and writes a figure (ground truth,
/// input, reconstruction, PSNR and LPIPS underneath; with several samples also their mean and standard deviation), the
/// path and the residual of the first image for each operator, and the report.
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
    let images = first_images(session, prior, options)?;
    let build = |spec: &OperatorSpec| spec.build(prior.image_shape(), common.seed);
    let operators = options.operator.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    let judge = Judge::new()?;
    let mut report = Report::judged_by(&judge);
    report
        .settings
        .extend(settings(prior, common, options, method, &operators));
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
    for (spec, operator) in options.operator.iter().zip(&operators) {
        if let Some((outcome, path)) = experiment.invert_all(spec, operator.as_ref(), &images, solve)? {
            save_path(session, spec, &path)?;
            shown.push((spec, outcome));
        }
    }
    let Experiment { progress, report, .. } = experiment;
    drop(progress);
    save_results(session, method.name, &shown)?;
    session.save_report(&report)
}

/// The first --count of the images.
fn first_images(session: &Session, prior: &Prior, options: &ProblemOptions) -> Result<Vec<NamedImage>> {
    let mut images = session.images(&options.images, prior)?;
    if images.len() > options.count as usize {
        session.note(&format!(
            "the first {} of {} images; more with --count",
            options.count,
            images.len()
        ));
        images.truncate(options.count as usize);
    }
    Ok(images)
}

fn settings(
    prior: &Prior,
    common: &CommonOptions,
    options: &ProblemOptions,
    method: &Method,
    operators: &[Box<dyn ForwardOperator>],
) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([
        ("method".to_owned(), method.name.to_owned()),
        ("prior".to_owned(), prior.name().to_owned()),
        ("seed".to_owned(), common.seed.to_string()),
        ("batch".to_owned(), options.batch.to_string()),
        ("noise".to_owned(), options.measurement_noise().to_string()),
    ]);
    for operator in operators {
        settings.insert(operator.name().to_owned(), operator.description());
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
    /// Reconstructs all images from what one operator leaves of them, batch by batch. Returns what the figures show:
    /// what became of the first image, and the path of its first sample.
    fn invert_all<'i>(
        &mut self,
        spec: &OperatorSpec,
        operator: &dyn ForwardOperator,
        images: &'i [NamedImage],
        solve: &mut Solve<'_>,
    ) -> Result<Option<(Outcome<'i>, Vec<TrajectoryFrame>)>> {
        let size = usize::from(self.options.batch);
        let mut shown = None;
        for (index, batch) in images.chunks(size).enumerate() {
            let (outcomes, path) = self.invert(spec, operator, batch, index * size, solve)?;
            shown = shown.or_else(|| outcomes.into_iter().next().map(|outcome| (outcome, path)));
        }
        Ok(shown)
    }

    /// Measures and reconstructs one batch; `first` is the place of its first image among all. The path is that of the
    /// very first sample, else empty.
    fn invert<'i>(
        &mut self,
        spec: &OperatorSpec,
        operator: &dyn ForwardOperator,
        images: &'i [NamedImage],
        first: usize,
        solve: &mut Solve<'_>,
    ) -> Result<(Vec<Outcome<'i>>, Vec<TrajectoryFrame>)> {
        let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
        let noise = self.options.measurement_noise();
        let b = measure(operator, &truth, noise, self.common.seed, first)?;
        let problem = Problem { spec, operator, b: &b };
        let mut outcomes = self.judge_inputs(&problem, images)?;
        let mut path = Vec::new();
        for sample in 0..u64::from(self.options.samples) {
            let rng = &mut sampler_rng(self.common.seed, first, sample);
            let mut trajectory = (first == 0 && sample == 0).then(|| Trajectory::new(PATH_STEPS));
            let clock = Instant::now();
            let observer = &mut (FiniteCheck, &mut self.progress, &mut trajectory);
            let results = solve(&problem, rng, observer)?;
            let seconds = clock.elapsed().as_secs_f64() / images.len() as f64;
            self.progress.next_run();
            self.judge_sample(spec, &results, seconds, &mut outcomes)?;
            path.extend(trajectory.into_iter().flat_map(Trajectory::into_frames));
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
