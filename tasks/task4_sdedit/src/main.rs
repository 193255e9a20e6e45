//! Task 4 on images: SDEdit on inverse problems, and, with `--guide`, on paintings, patches and strokes.

mod edit;
mod guides;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use cli::{CommonOptions, Method, ProblemOptions, Session, StepOptions, check_times, solve_problems};
use diffusion::{ScoreModel, Step};
use imaging::OperatorSpec;
use task4_sdedit::{Settings, restore, steps_from, tuned};

/// Task 4, SDEdit: noises a guide image to the time t0, and lets the prior find the way back from there.
///
/// Without --guide it is tried on inverse problems: each image is measured with each --operator, noise is added, and
/// the start image that the operator makes of the measurement is the guide. Writes a figure (ground truth, input,
/// result, PSNR and LPIPS underneath), the path of the first image, its residual against t, and a report with every
/// figure in it. An image's measurement noise depends on --seed and its place; what the sampler draws depends on the
/// batch too, so the same result comes again only with the same --count and --batch.
///
/// With --guide it edits: strokes become an image, a patch grows into its surroundings. Each guide is edited from each
/// of the times --t0, and a figure shows them side by side: guides from top to bottom, times from left to right. Under
/// each result stand two figures in dB: how near it is to its guide (where it may change), and how well the prior
/// denoises it from t = 100 in one step, which is low where the image does not look like what the prior knows.
///
/// --steps is the number of steps of the whole way from t = 1000; from t0 it is that share of them.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// Edits these images (files, folders or zip files); without a name, the three guides that come with the task, two
    /// of them with masks.
    #[arg(long, value_name = "PATH", num_args = 0..,
          conflicts_with_all = ["operator", "images", "sigma", "noise", "count", "batch"])]
    guide: Option<Vec<PathBuf>>,
    /// What may change, as an image file: bright may, dark stays as it is. One for each guide in their order, or one
    /// for all [default: everything may change].
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "guide")]
    mask: Vec<PathBuf>,
    /// The time to noise the guide to, 1 to 1000; with --guide more than one, separated by commas [default: with
    /// --guide 100,200,350,500,650,800, else tuned for the operator, see the handout].
    #[arg(long, value_name = "T,...", value_delimiter = ',')]
    t0: Vec<usize>,
    /// How many passes; each has the result of the one before as its guide [default: with --guide 1, else tuned].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    repeats: Option<u16>,
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    cli::run("task4_sdedit", &options.common, |session| match &options.guide {
        Some(guides) => edit::run(&options, guides, session),
        None => solve(&options, session),
    })
}

/// The steps from `t0` down, as wide as `--steps` asks for and as noisy as `--variance` does.
fn steps(options: &Options, prior: &dyn ScoreModel, t0: usize) -> Result<Vec<Step>> {
    let num_steps = options.steps.count(prior.schedule())?;
    let steps = steps_from(prior.schedule(), t0, num_steps)?;
    Ok(options.steps.variance.apply(steps))
}

/// The inverse problems.
fn solve(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let problem = options.problem.suited_to(prior.image_shape());
    ensure!(
        options.t0.len() <= 1,
        "--t0 names {} times; for an inverse problem name one (a sweep: `--example sweep`, or --guide)",
        options.t0.len()
    );
    check_times("--t0", &options.t0, &prior)?;
    let settings = |spec: &OperatorSpec| {
        let Settings { t0, repeats } = tuned(spec.kind());
        // A prior may have fewer times than the tuned one.
        let t0 = t0.min(prior.schedule().num_steps());
        Settings {
            t0: options.t0.first().copied().unwrap_or(t0),
            repeats: options.repeats.map_or(repeats, usize::from),
        }
    };
    let mut told = Vec::new();
    let mut evaluations = 0;
    for spec in &problem.operator {
        let Settings { t0, repeats } = settings(spec);
        let steps = steps(options, &prior, t0)?.len();
        evaluations += steps * repeats;
        told.push(format!("{spec}: t0 = {t0}, {steps} steps, repeats {repeats}"));
    }
    let method = Method {
        name: "SDEdit",
        // The progress bar counts the same for each operator.
        evaluations: evaluations.div_ceil(problem.operator.len().max(1)),
        settings: vec![("SDEdit", told.join("; ")), options.steps.variance.setting()],
        advice: None,
    };
    solve_problems(
        session,
        &prior,
        &options.common,
        &problem,
        &method,
        &mut |problem, rng, observer| {
            let Settings { t0, repeats } = settings(problem.spec);
            let steps = steps(options, &prior, t0)?;
            restore(&prior, problem.operator, problem.b, &steps, repeats, rng, observer)
        },
    )
}
