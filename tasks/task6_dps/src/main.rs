//! Task 6 on images: measures them with an operator and reconstructs them by diffusion posterior sampling.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use cli::{CommonOptions, Method, ProblemOptions, Session, StepOptions, solve_problems};
use diffusion::ScoreModel;
use imaging::OperatorSpec;
use task6_dps::{StepSize, dps, tuned};

/// Task 6, diffusion posterior sampling: reconstructs images from what an operator leaves of them.
///
/// Each image is measured with each --operator, noise is added, and the image is sampled from the prior with every step
/// pulled towards the measurement. Writes a figure (ground truth, input, reconstruction, PSNR and LPIPS underneath),
/// the path of the first image, its residual against t, and a report with every figure in it. An image's measurement
/// noise depends on --seed and its place; what the sampler draws depends on the batch too, so the same result comes
/// again only with the same --count and --batch.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// The step size zeta [default: tuned for the operator, see the handout; 0.2 with --step constant].
    #[arg(long, value_name = "ZETA", value_parser = parse_zeta)]
    zeta: Option<f64>,
    /// Whether zeta is divided by twice the residual's norm.
    #[arg(long, value_enum, default_value_t = Form::Normalised)]
    step: Form,
}

const DEFAULT_CONSTANT: f64 = 0.2;

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// zeta times the gradient of the norm of the residual, as the authors' code does.
    Normalised,
    /// zeta times the gradient of the squared norm; needs a zeta of its own.
    Constant,
}

fn parse_zeta(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(zeta) if zeta >= 0.0 && zeta.is_finite() => Ok(zeta),
        _ => Err("expected a number that is not negative, such as 1".into()),
    }
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    cli::run("task6_dps", &options.common, |session| run(&options, session))
}

/// What to do where the steps towards the measurement are too large. Those with a tuned zeta are not.
fn advice(options: &Options) -> Option<String> {
    let zeta = match options.step {
        Form::Normalised => options.zeta?,
        Form::Constant => options.zeta.unwrap_or(DEFAULT_CONSTANT),
    };
    Some(format!("--zeta {zeta:?} is likely too large: use a smaller one"))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let problem = options.problem.suited_to(prior.image_shape());
    let steps = options.steps.whole_way(prior.schedule())?;
    let step_size = |spec: &OperatorSpec| match (options.step, options.zeta) {
        (Form::Normalised, zeta) => StepSize::Normalised(zeta.unwrap_or_else(|| tuned(spec.kind(), steps.len()))),
        (Form::Constant, zeta) => StepSize::Constant(zeta.unwrap_or(DEFAULT_CONSTANT)),
    };
    let zetas: Vec<String> = problem
        .operator
        .iter()
        .map(|spec| format!("{spec}: {:?}", step_size(spec)))
        .collect();
    let method = Method {
        name: "DPS",
        evaluations: steps.len(),
        settings: vec![
            ("steps", steps.len().to_string()),
            ("zeta", zetas.join("; ")),
            options.steps.variance.setting(),
        ],
        advice: advice(options),
    };
    solve_problems(
        session,
        &prior,
        &options.common,
        &problem,
        &method,
        &mut |problem, rng, observer| {
            dps(
                &prior,
                problem.operator,
                problem.b,
                step_size(problem.spec),
                &steps,
                rng,
                observer,
            )
        },
    )
}
