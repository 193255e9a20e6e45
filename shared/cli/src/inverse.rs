//! What the command lines of tasks 4, 5 and 6 share: measure images with an operator, reconstruct them with the task's
//! method, and write the lecture's result figure.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use diffusion::{FiniteCheck, Observer, ScoreModel, Trajectory, TrajectoryFrame};
use imaging::{ForwardOperator, NamedImage, Noise, OperatorSpec, measure, stack};
use ndarray::{Array4, Axis};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;

use crate::inverse_figures::{Outcome, mean, save_path, save_results};
use crate::judge::{Judge, Judged};
use crate::{CommonOptions, Progress, Report, Session};

/// The flags of an inverse problem, to be flattened into a task's own beside [`CommonOptions`].
#[derive(Debug, Clone, Args)]
pub struct ProblemOptions {
    /// What is measured, NAME or NAME:PARAMETERS; more than one may be named. `--help` lists them.
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["inpainting", "deconvolution"],
          long_help = operator_help())]
    pub operator: Vec<OperatorSpec>,
    /// The standard deviation of Gaussian measurement noise, on the scale of pixels in [-1, 1].
    #[arg(long, value_name = "SIGMA", default_value_t = Noise::SIGMA, value_parser = parse_sigma)]
    pub sigma: f64,
    /// The measurement noise: gaussian, none, or poisson:RATE (photons for each of 255 levels of brightness).
    #[arg(long, value_name = "KIND", default_value = "gaussian")]
    pub noise: Noise,
    /// How many of the images are worked on, from the first.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Reconstructions of each image; with more than one the figure also shows their mean and their standard deviation.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub samples: u16,
    /// How many images are reconstructed together; more is faster for each, and takes more memory.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,
}

fn operator_help() -> String {
    format!(
        "What is measured, NAME or NAME:PARAMETERS; more than one may be named:\n\n{}\n",
        imaging::operator_list()
    )
}

fn parse_sigma(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(sigma) if (0.0..=10.0).contains(&sigma) => Ok(sigma),
        _ => Err("expected a standard deviation from 0 to 10, such as 0.05".into()),
    }
}

impl ProblemOptions {
    /// The noise that is added: that of `--noise`, a Gaussian one with the standard deviation `--sigma`.
    #[must_use]
    pub fn measurement_noise(&self) -> Noise {
        match self.noise {
            Noise::Gaussian { .. } => Noise::Gaussian { sigma: self.sigma },
            other => other,
        }
    }

    /// The standard deviation that a method should reckon with: 0 without noise; `--sigma` for Gaussian noise, and for
    /// Poisson noise, which has none of its own.
    #[must_use]
    pub fn assumed_sigma(&self) -> f64 {
        match self.noise {
            Noise::None => 0.0,
            _ => self.sigma,
        }
    }
}

/// A batch of measurements to be inverted.
pub struct Problem<'a> {
    /// How the command line calls the operator.
    pub spec: &'a OperatorSpec,
    /// `A`.
    pub operator: &'a dyn ForwardOperator,
    /// The measurements, `[B, ...measurement_shape()]`.
    pub b: &'a Array4<f32>,
    /// The standard deviation of the noise in them, as far as it is known; see [`ProblemOptions::assumed_sigma`].
    pub sigma: f64,
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
/// The noise of image number i comes from the seed --seed + i; sample number k of a batch from --seed + k.
///
/// # Errors
/// Options that do not fit the images, files that cannot be read or written, what `solve` returns, and a result with a NaN.
pub fn solve_problems(
    session: &mut Session,
    prior: &Prior,
    common: &CommonOptions,
    options: &ProblemOptions,
    method: &Method,
    solve: &mut Solve<'_>,
) -> Result<()> {
    let mut images = session.images(prior)?;
    if images.len() > options.count as usize {
        session.note(&format!(
            "the first {} of {} images; more with --count",
            options.count,
            images.len()
        ));
        images.truncate(options.count as usize);
    }
    let judge = Judge::new()?;
    let operators: Vec<Box<dyn ForwardOperator>> = options
        .operator
        .iter()
        .map(|spec| spec.build(prior.image_shape(), common.seed))
        .collect::<Result<_, _>>()?;

    let batches = images.len().div_ceil(options.batch.into());
    let runs = operators.len() * batches * usize::from(options.samples);
    let mut progress = Progress::new(method.name, runs * method.evaluations);
    let mut report = Report::judged_by(&judge);
    report
        .settings
        .extend(settings(prior, common, options, method, &operators));
    let mut shown = Vec::new();
    for (spec, operator) in options.operator.iter().zip(&operators) {
        let mut first = None;
        for (index, batch) in images.chunks(options.batch.into()).enumerate() {
            let mut run = Run {
                common,
                options,
                method,
                judge: &judge,
                progress: &mut progress,
                report: &mut report,
                path: None,
            };
            let outcomes = run.treat(
                spec,
                operator.as_ref(),
                batch,
                index * usize::from(options.batch),
                solve,
            )?;
            let path = run.path.take();
            first = first.or_else(|| Some((outcomes.into_iter().next(), path)));
        }
        if let Some((Some(outcome), path)) = first {
            save_path(session, spec, path.as_deref().unwrap_or_default())?;
            shown.push((spec, outcome));
        }
    }
    drop(progress);
    save_results(session, method.name, &shown)?;
    session.save_report(&report)
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

/// What the batches of one run have in common.
struct Run<'a> {
    common: &'a CommonOptions,
    options: &'a ProblemOptions,
    method: &'a Method,
    judge: &'a Judge,
    progress: &'a mut Progress,
    report: &'a mut Report,
    /// The path of the first sample.
    path: Option<Vec<TrajectoryFrame>>,
}

impl Run<'_> {
    /// Measures and reconstructs a batch; `first` is the place of its first image among all.
    fn treat<'a>(
        &mut self,
        spec: &OperatorSpec,
        operator: &dyn ForwardOperator,
        images: &'a [NamedImage],
        first: usize,
        solve: &mut Solve<'_>,
    ) -> Result<Vec<Outcome<'a>>> {
        let case = spec.to_string();
        let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
        let b = measure(
            operator,
            &truth,
            self.options.measurement_noise(),
            self.common.seed,
            first,
        )?;
        let problem = Problem {
            spec,
            operator,
            b: &b,
            sigma: self.options.assumed_sigma(),
        };
        let start = operator.start_image(&b)?;
        let pictures = operator.picture(&b)?;
        let mut outcomes = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let what = Judged {
                case: &case,
                method: "start image",
                image: &image.name,
                seed: self.common.seed.wrapping_add((first + index) as u64),
                seconds: 0.0,
            };
            let row = self
                .judge
                .row(&what, &start.index_axis(Axis(0), index), &image.pixels)?;
            outcomes.push(Outcome {
                image,
                input: pictures.index_axis(Axis(0), index).to_owned(),
                input_caption: row.caption(),
                samples: Vec::new(),
                caption: String::new(),
                mean_caption: String::new(),
            });
            self.report.rows.push(row);
        }
        for sample in 0..u64::from(self.options.samples) {
            let seed = self.common.seed.wrapping_add(sample);
            // Only the first path is shown.
            let mut trajectory = (self.path.is_none()).then(|| Trajectory::new(1000));
            let rng = &mut StdRng::seed_from_u64(seed);
            let clock = Instant::now();
            let results = solve(&problem, rng, &mut (FiniteCheck, &mut *self.progress, &mut trajectory))?;
            let seconds = clock.elapsed().as_secs_f64() / images.len() as f64;
            self.progress.next_run();
            if let Some(trajectory) = trajectory {
                self.path = Some(trajectory.into_frames());
            }
            for (outcome, result) in outcomes.iter_mut().zip(results.axis_iter(Axis(0))) {
                let what = Judged {
                    case: &case,
                    method: self.method.name,
                    image: &outcome.image.name,
                    seed,
                    seconds,
                };
                let row = self.judge.row(&what, &result, &outcome.image.pixels)?;
                if sample == 0 {
                    outcome.caption = row.caption();
                }
                outcome.samples.push(result.to_owned());
                self.report.rows.push(row);
            }
        }
        if self.options.samples > 1 {
            self.judge_means(&case, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn judge_means(&mut self, case: &str, outcomes: &mut [Outcome<'_>]) -> Result<()> {
        for outcome in outcomes {
            let method = format!("mean of {} samples", outcome.samples.len());
            let what = Judged {
                case,
                method: &method,
                image: &outcome.image.name,
                seed: self.common.seed,
                seconds: 0.0,
            };
            let row = self.judge.row(&what, &mean(&outcome.samples), &outcome.image.pixels)?;
            outcome.mean_caption = row.caption();
            self.report.rows.push(row);
        }
        Ok(())
    }
}
