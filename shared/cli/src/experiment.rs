//! One run of an inverse problem's program: every image measured with every operator, reconstructed by every method,
//! and judged.

use std::time::Instant;

use anyhow::Result;
use diffusion::{FiniteCheck, TrajectoryFrame};
use imaging::{NamedImage, Symmetry, measure, sampler_rng, stack};
use ndarray::{Array3, Array4, ArrayRef3, Axis, s};
use program::say;

use crate::first_image::FirstImage;
use crate::inverse::{Contender, Problem};
use crate::inverse_figures::{Answer, Outcome, mean};
use crate::judge::{Judge, Judged};
use crate::operators::Asked;
use crate::options::CommonOptions;
use crate::problem_options::ProblemOptions;
use crate::progress::Progress;
use crate::range::{LastStep, check_finite, far_from_images};
use crate::report::Report;
use crate::run::was_interrupted;

/// So many steps of the path are kept at most; the residual is drawn at each.
const PATH_STEPS: usize = 1000;

/// What was asked for, and what all batches add to.
pub(crate) struct Experiment<'a> {
    pub(crate) common: &'a CommonOptions,
    pub(crate) options: &'a ProblemOptions,
    pub(crate) judge: Judge,
    pub(crate) progress: Progress,
    pub(crate) report: Report,
    /// The picture so far, `[C, H, W]`, where the user stopped in the middle of one.
    pub(crate) unfinished: Option<Array3<f32>>,
}

/// What the figures show of one operator.
pub(crate) struct Shown<'a> {
    /// What became of the first image.
    pub(crate) outcome: Outcome<'a>,
    /// The path of the first image's first sample, with each method; empty where the method takes no steps. After an
    /// error there may be fewer than methods, as of the outcome's answers.
    pub(crate) paths: Vec<Vec<TrajectoryFrame>>,
}

/// A batch of images, measured.
struct Batch<'a, 'i> {
    problem: &'a Problem<'a>,
    images: &'i [NamedImage],
    /// The place of its first image among all.
    first: usize,
    symmetry: Symmetry,
}

impl Experiment<'_> {
    /// Reconstructs all images from what one operator leaves of them, batch by batch, with each method that can. Into
    /// `shown` goes what the figures show, as soon as it is there.
    pub(crate) fn invert_all<'i>(
        &mut self,
        asked: &Asked<'_>,
        images: &'i [NamedImage],
        contenders: &mut [Contender<'_>],
        shown: &mut Option<Shown<'i>>,
    ) -> Result<()> {
        let size = usize::from(self.options.batch);
        for (index, batch) in images.chunks(size).enumerate() {
            self.invert(asked, batch, index * size, contenders, shown)?;
        }
        Ok(())
    }

    /// Measures one batch and reconstructs it with each method; `first` is the place of its first image among all.
    fn invert<'i>(
        &mut self,
        asked: &Asked<'_>,
        images: &'i [NamedImage],
        first: usize,
        contenders: &mut [Contender<'_>],
        shown: &mut Option<Shown<'i>>,
    ) -> Result<()> {
        let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
        let noise = self.options.measurement_noise();
        let (spec, operator) = (asked.spec, asked.operator.as_ref());
        let b = measure(operator, &truth, noise, self.common.seed, first)?;
        let problem = &Problem { spec, operator, b: &b };
        let mut outcomes = self.judge_inputs(problem, images)?;
        let mut paths = Vec::new();
        let batch = Batch {
            problem,
            images,
            first,
            symmetry: Symmetry::of(operator.kind()),
        };
        let answered = contenders.iter_mut().try_for_each(|contender| {
            if (contender.plan)(operator).is_err() {
                outcomes.iter_mut().for_each(|outcome| outcome.answers.push(None));
                paths.push(Vec::new());
                return Ok(());
            }
            let (answers, path) = self.answer(&batch, contender)?;
            for (outcome, answer) in outcomes.iter_mut().zip(answers) {
                outcome.answers.push(Some(answer));
            }
            paths.push(path);
            Ok(())
        });
        // What was done before an error is shown as well.
        if shown.is_none() && !paths.is_empty() {
            *shown = outcomes.into_iter().next().map(|outcome| Shown { outcome, paths });
        }
        answered
    }

    /// All samples of a batch by one method, and the path of the very first.
    fn answer(
        &mut self,
        batch: &Batch<'_, '_>,
        contender: &mut Contender<'_>,
    ) -> Result<(Vec<Answer>, Vec<TrajectoryFrame>)> {
        let mut answers = vec![Answer::default(); batch.images.len()];
        let mut path = Vec::new();
        for sample in 0..u64::from(self.options.samples) {
            let rng = &mut sampler_rng(self.common.seed, batch.first, sample);
            let mut trajectory = (batch.first == 0 && sample == 0).then(|| FirstImage::new(PATH_STEPS));
            let clock = Instant::now();
            let mut last = LastStep::default();
            // Progress is what stops a sampler, after the step was seen.
            let observer = &mut (FiniteCheck, &mut last, &mut self.progress, &mut trajectory);
            let results = (contender.solve)(batch.problem, rng, observer);
            let results = results.and_then(|results| check_finite(&results).map(|()| results));
            let what = format!("{}, {}", contender.name, batch.problem.spec);
            let advice = contender.advice.as_deref();
            let results = match results.map_err(|error| last.explain(error, &what, advice)) {
                Ok(results) => results,
                Err(error) => {
                    self.unfinished = was_interrupted(&error).then(|| last.into_picture()).flatten();
                    return Err(error);
                }
            };
            let seconds = clock.elapsed().as_secs_f64() / batch.images.len() as f64;
            self.progress.next_run();
            if let Some(warning) = far_from_images(&results, advice) {
                say(&format!("note: {what}: {warning}"));
            }
            let frames = trajectory.into_iter().flat_map(FirstImage::into_frames);
            path.extend(frames.map(|frame| batch.turned(frame, &results)));
            self.judge_sample(batch, contender.name, &results, seconds, &mut answers)?;
        }
        if self.options.samples > 1 {
            self.judge_means(batch, contender.name, &mut answers)?;
        }
        Ok((answers, path))
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
                answers: Vec::new(),
            });
        }
        Ok(outcomes)
    }

    /// Adds a sample of each image `[B, C, H, W]` to its answer.
    fn judge_sample(
        &mut self,
        batch: &Batch<'_, '_>,
        method: &str,
        results: &Array4<f32>,
        seconds: f64,
        answers: &mut [Answer],
    ) -> Result<()> {
        let results = results.axis_iter(Axis(0)).zip(batch.images);
        for (answer, (result, image)) in answers.iter_mut().zip(results) {
            let what = Judged {
                case: &batch.problem.spec.to_string(),
                method,
                image: &image.name,
                seed: self.common.seed,
                seconds,
            };
            let result = batch.symmetry.align(&result, &image.pixels);
            let caption = self.report_on(&what, &result, image)?;
            if answer.samples.is_empty() {
                answer.caption = caption;
            }
            answer.samples.push(result);
        }
        Ok(())
    }

    /// The mean of each image's samples, once all are there.
    fn judge_means(&mut self, batch: &Batch<'_, '_>, method: &str, answers: &mut [Answer]) -> Result<()> {
        for (answer, image) in answers.iter_mut().zip(batch.images) {
            let what = Judged {
                case: &batch.problem.spec.to_string(),
                method: &format!("{method}, mean of {} samples", answer.samples.len()),
                image: &image.name,
                seed: self.common.seed,
                seconds: 0.0,
            };
            answer.mean_caption = self.report_on(&what, &mean(&answer.samples), image)?;
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

impl Batch<'_, '_> {
    /// The frame of a path with the first image the way round that its result is shown.
    fn turned(&self, mut frame: TrajectoryFrame, results: &Array4<f32>) -> TrajectoryFrame {
        if let (Some(result), Some(image)) = (results.outer_iter().next(), self.images.first()) {
            let channels = self.symmetry.mapped_channels(&result, &image.pixels);
            turn_first(&mut frame.x_t, &channels);
            turn_first(&mut frame.x0_hat, &channels);
        }
        frame
    }
}
/// Turns channels of the first image of a batch `[B, C, H, W]` by 180 degrees.
fn turn_first(images: &mut Array4<f32>, channels: &[usize]) {
    for &channel in channels {
        let turned = images.slice(s![0, channel, ..;-1, ..;-1]).to_owned();
        images.slice_mut(s![0, channel, .., ..]).assign(&turned);
    }
}
