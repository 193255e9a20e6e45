//! Task 5 on images: measures them with an operator and reconstructs them by Score-ALD.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use cli::{CommonOptions, Method, Problem, ProblemOptions, Session, StepOptions, solve_problems};
use diffusion::{Observer, ScoreModel, Step};
use imaging::{OperatorSpec, operator_norm};
use rand::rngs::StdRng;
use task5_score_ald::{Guidance, score_ald, stable_sigma, tuned_lambda};

/// Task 5, Score-ALD: reconstructs images from what an operator leaves of them, without differentiating the network.
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
    /// lambda, the free parameter of gamma_t; the smaller, the stronger the guidance [default: 10 over the number of
    /// steps, times the operator's largest stretching squared; see the handout].
    #[arg(long, value_name = "LAMBDA", value_parser = parse_lambda)]
    lambda: Option<f64>,
}

fn parse_lambda(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(lambda) if lambda >= 0.0 && lambda.is_finite() => Ok(lambda),
        _ => Err("expected a number that is not negative, such as 0.01".into()),
    }
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    cli::run("task5_score_ald", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let problem = options.problem.suited_to(prior.image_shape());
    let steps = options.steps.whole_way(prior.schedule())?;
    let specs = &problem.operator;
    let guidances = specs
        .iter()
        .map(|spec| guidance(options, spec, prior.image_shape(), &steps, session))
        .collect::<Result<Vec<Guidance>>>()?;
    let method = Method {
        name: "Score-ALD",
        evaluations: steps.len(),
        settings: vec![
            ("steps", steps.len().to_string()),
            options.steps.variance.setting(),
            ("lambda", list(&guidances, |guidance| guidance.lambda)),
            ("sigma reckoned with", list(&guidances, |guidance| guidance.sigma)),
        ],
        advice: options
            .lambda
            .map(|lambda| format!("--lambda {lambda:?} is likely too small: use a larger one, or more --steps")),
    };
    let solve = &mut |problem: &Problem<'_>, rng: &mut StdRng, observer: &mut dyn Observer| {
        let Some(guidance) = specs
            .iter()
            .position(|spec| spec == problem.spec)
            .and_then(|i| guidances.get(i))
        else {
            bail!("`{}` is none of the operators that were asked for", problem.spec);
        };
        score_ald(&prior, problem.operator, problem.b, *guidance, &steps, rng, observer)
    };
    solve_problems(session, &prior, &options.common, &problem, &method, solve)
}

/// The numbers of all operators in their order.
fn list(guidances: &[Guidance], number: fn(&Guidance) -> f64) -> String {
    let numbers: Vec<String> = guidances.iter().map(|one| format!("{:.4}", number(one))).collect();
    numbers.join(", ")
}

/// How much to trust the measurement: with the `lambda` that the user asks for, or the tuned one.
///
/// A measurement with less noise than steps of this size can make use of is trusted less than it deserves, because the
/// sampler would diverge; but who names a `lambda` sees what it leads to.
fn guidance(
    options: &Options,
    spec: &OperatorSpec,
    image_shape: [usize; 3],
    steps: &[Step],
    session: &Session,
) -> Result<Guidance> {
    let operator = spec.build(image_shape, options.common.seed)?;
    let norm = operator_norm(operator.as_ref())?;
    let lambda = options.lambda.unwrap_or_else(|| tuned_lambda(steps.len(), norm));
    let (sigma, stable) = (options.problem.assumed_sigma(), stable_sigma(steps, lambda, norm));
    if sigma >= stable {
        return Ok(Guidance { sigma, lambda });
    }
    if options.lambda.is_some() {
        session.note(&format!(
            "{spec}: with lambda = {lambda} steps overshoot where sigma is below {stable:.3}, and it is {sigma}: the \
             result may be wild; use a larger --lambda or more --steps"
        ));
        return Ok(Guidance { sigma, lambda });
    }
    session.note(&format!(
        "{spec}: reckoning with a sigma of {stable:.3} in place of {sigma}, as steps of this size would overshoot"
    ));
    Ok(Guidance { sigma: stable, lambda })
}
