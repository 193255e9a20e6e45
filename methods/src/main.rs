//! All posterior methods on images: measures them with an operator and reconstructs them by each method that is named.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use cli::{CommonOptions, Contender, Plan, ProblemOptions, Session, StepOptions, compare_methods};
use diffusion::{Schedule, ScoreModel};
use imaging::{ForwardOperator, OperatorSpec};
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, registry};
use program::{USER_ERROR, explain, print, say};

const STEPS: &str = "How many calls of the network each method gets, from 1 to as many as the prior has times";

/// All ways from a measurement to an image beside each other, on the same measurements.
///
/// Each image is measured with each --operator, noise is added, and each --method reconstructs it. Writes a figure with
/// a column for each method (PSNR and LPIPS underneath), one for each method with its samples, the path of the first
/// image where there is one, and a report with every figure in it. A method that cannot do an operator says why and is
/// left out there. `--method list` prints what each needs and costs.
#[derive(Parser)]
#[command(version, mut_arg("steps", |steps| steps.default_value("100").help(STEPS)))]
struct Options {
    /// What reconstructs: names from the list that `--method list` prints.
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["dps"])]
    method: Vec<String>,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    if options.method.iter().any(|name| name == "list") {
        return print_list(&options);
    }
    cli::run("methods", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let methods = named(&options.method)?;
    let prior = session.prior()?;
    let stepping = Stepping {
        num_steps: options.steps.count(prior.schedule())?,
        variance: options.steps.variance.rule(),
    };
    let sigma = options.problem.assumed_sigma();
    let contender = |&method: &&'static dyn PosteriorMethod| contender(method, &prior, stepping, sigma);
    let mut contenders: Vec<Contender<'_>> = methods.iter().map(contender).collect();
    let settings = [
        ("steps", stepping.num_steps.to_string()),
        options.steps.variance.setting(),
    ];
    let problem = options.problem.suited_to(prior.image_shape());
    compare_methods(session, &prior, &options.common, &problem, &settings, &mut contenders)
}

/// The methods of these names, each once.
fn named(names: &[String]) -> Result<Vec<&'static dyn PosteriorMethod>> {
    for (place, name) in names.iter().enumerate() {
        ensure!(
            !names[..place].contains(name),
            "--method names `{name}` twice; once is enough"
        );
    }
    let method = |name: &String| registry::posterior_method(name);
    Ok(names.iter().map(method).collect::<Result<_, _>>()?)
}

fn contender<'a>(
    method: &'static dyn PosteriorMethod,
    prior: &'a dyn ScoreModel,
    stepping: Stepping,
    sigma: f64,
) -> Contender<'a> {
    let plan = move |operator: &dyn ForwardOperator| {
        method.supports(operator)?;
        let (schedule, num_steps) = (prior.schedule(), stepping.num_steps);
        Ok(Plan {
            evaluations: method.cost(operator, schedule, num_steps)?.evaluations,
            settings: method.settings(operator, schedule, num_steps)?,
        })
    };
    Contender {
        name: method.name(),
        plan: Box::new(plan),
        solve: Box::new(move |problem, rng, observer| {
            let problem = &Problem {
                operator: problem.operator,
                b: problem.b,
                sigma,
            };
            Ok(method.solve(prior, problem, stepping, rng, observer)?)
        }),
        advice: None,
    }
}

/// Prints the list, for the first of the operators and the number of steps that the options name.
fn print_list(options: &Options) -> ExitCode {
    let num_steps = options.steps.steps.map_or(100, |steps| steps as usize);
    match list(&options.problem.operator[0], num_steps) {
        Ok(list) => {
            print(&list);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {}", explain(&error)));
            ExitCode::from(USER_ERROR)
        }
    }
}

/// What each method needs and costs, a line each.
fn list(spec: &OperatorSpec, num_steps: usize) -> Result<String> {
    // What a method costs does not depend on the prior.
    let operator = spec.build([3, 64, 64], 0)?;
    let mut lines = vec![
        format!("network calls and pullbacks with --steps {num_steps} on {spec}, and what each method needs\n"),
        format!("{:<17}{:>5}{:>11}  needs", "method", "calls", "pullbacks"),
    ];
    for method in registry::posterior_methods() {
        let (calls, pullbacks) = match method.supports(operator.as_ref()) {
            Ok(()) => {
                let cost = method.cost(operator.as_ref(), &Schedule::linear(), num_steps)?;
                (cost.evaluations.to_string(), cost.pullbacks.to_string())
            }
            Err(_) => ("cannot".to_owned(), String::new()),
        };
        let needs: Vec<String> = method.needs().iter().map(|need| need.short().to_owned()).collect();
        lines.push(format!(
            "{:<16}{calls:>6}{pullbacks:>11}  {}\n{:35}{}",
            method.name(),
            needs.join(", "),
            "",
            method.reference()
        ));
    }
    Ok(lines.join("\n"))
}
