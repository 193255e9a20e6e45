//! Makes the tables of RESULTS.md: every method on every problem, over photographs of the test split, the shipped
//! images and several seeds.

mod calibration;
mod denoising;
mod matrix;
mod problems;
mod run;
mod samplers;
mod store;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use cli::{
    CommonOptions, ImageOptions, Judge, Judged, Progress, Report, Session, StepOptions, data_folder, find_prior,
};
use diffusion::ScoreModel;
use imaging::OperatorSpec;
use methods::stepping::Stepping;
use ndarray::Axis;
use score_unet::Prior;

use crate::problems::{Case, ImageSet};
use crate::run::{Method, Run, Setting};
use crate::store::Store;
use crate::table::Costs;

/// Measures all tasks: PSNR, SSIM and LPIPS of every method on every problem, as tables in Markdown. With `samplers` it
/// measures the samplers instead, with `calibration` whether what the methods draw is the posterior.
///
/// The images are --photographs of a data set's test split, evenly spread over it, and those of --images, or, where
/// neither is named, the images that the repository ships. Seed number k, from --seed on, draws the mask and the
/// measurement noise as well as the sampler's numbers.
/// Reconstructions are kept in the folder of --out, and what is there is not computed again, so that a run which was
/// stopped goes on where it was.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    other: Option<OtherTable>,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    steps: StepOptions,
    #[command(flatten)]
    images: ImageOptions,
    /// The data set with the photographs: a folder or zip file that holds `test/` [default: none].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How many photographs are taken from it.
    #[arg(long, value_name = "N", default_value_t = 16, requires = "data",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    photographs: u16,
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// Methods to run, separated by commas [default: all].
    #[arg(long, value_name = "METHOD,...", value_delimiter = ',', value_parser = method_names())]
    methods: Vec<String>,
    /// Operators of the inverse problems, beside task 2's three times; `task6_dps --help` lists them.
    #[arg(long, value_name = "OPERATOR", num_args = 1.., default_values = ["inpainting", "deconvolution"])]
    operators: Vec<OperatorSpec>,
}

/// Tables beside that of all tasks.
#[derive(Subcommand)]
enum OtherTable {
    Samplers(samplers::Options),
    Calibration(calibration::Options),
}

fn method_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Method::all().map(Method::name).collect::<Vec<_>>())
}

impl Options {
    /// All, where none is named.
    fn methods(&self) -> Result<Vec<Method>> {
        if self.methods.is_empty() {
            return Ok(Method::all().collect());
        }
        self.methods.iter().map(|name| Method::find(name)).collect()
    }
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    match &options.other {
        Some(OtherTable::Samplers(options)) => {
            cli::run("results", &options.common, |session| samplers::run(options, session))
        }
        Some(OtherTable::Calibration(options)) => {
            cli::run("results", &options.common, |session| calibration::run(options, session))
        }
        None => cli::run("results", &options.common, |session| run(&options, session)),
    }
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    ensure!(
        options.common.json.is_none(),
        "--json has no effect here: the figures of each set of images go to a file of its own in the folder of --out"
    );
    let prior = session.prior()?;
    let mut cases = Case::all(&options.operators, prior.image_shape());
    cases.retain(|case| {
        let checked = case.check(&prior);
        if let Err(error) = &checked {
            session.note(&format!("without {case}: {error}"));
        }
        checked.is_ok()
    });
    ensure_distinct(&operators(&cases))?;
    let mut sets = Vec::new();
    if let Some(data) = &options.data {
        sets.push(ImageSet::photographs(data, options.photographs.into(), &prior)?);
    }
    if !options.images.images.is_empty() {
        sets.push(ImageSet::named(session, &options.images, &prior)?);
    }
    if sets.is_empty() {
        sets.push(ImageSet::shipped(session, &prior)?);
    }
    let fingerprint = store::fingerprint_of_prior(&find_prior(&options.common.prior, data_folder())?)?;
    let store = Store::new(session.out());
    let judge = Judge::new()?;

    let mut tables = String::new();
    for set in &sets {
        let setting = Setting {
            prior: &prior,
            fingerprint: &fingerprint,
            cases: &cases,
            set,
            stepping: Stepping {
                num_steps: options.steps.count(prior.schedule())?,
                variance: options.steps.variance.rule(),
            },
        };
        let mut report = Report::default().judged_by(&judge);
        report.set("prior", prior.name());
        report.set("seed", options.common.seed);
        report.set("steps", setting.stepping.num_steps);
        let mut costs = Costs::default();
        let outcome = measure(options, setting, &store, &judge, &mut report, &mut costs);
        // Whatever ended it, what was done by then is kept.
        let measured = measured(&prior, &cases);
        let all = table::markdown(&report, &judge, &costs);
        tables.push_str(&format!("### {}\n\n{measured}\n\n{all}\n", set.title));
        if let Some(matrix) = matrix::markdown(&report, &costs, &operators(&cases)) {
            tables.push_str(&format!("{matrix}\n"));
        }
        session.save_text(&tables, "tables.md")?;
        report.write_json(&session.out().join(format!("{}.json", set.name)))?;
        outcome?;
    }
    cli::print_text(&tables);
    Ok(())
}

/// The names of the inverse problems.
fn operators(cases: &[Case]) -> Vec<String> {
    let inverse = cases.iter().filter(|case| matches!(case, Case::Inverse { .. }));
    inverse.map(Case::to_string).collect()
}

/// A table has one line for each name.
fn ensure_distinct(operators: &[String]) -> Result<()> {
    for (place, name) in operators.iter().enumerate() {
        ensure!(
            !operators[..place].contains(name),
            "--operators names `{name}` twice: the tables go by that name, so run its settings one after the other, \
             each with an --out of its own"
        );
    }
    Ok(())
}

/// The prior and what was measured, in a sentence.
fn measured(prior: &Prior, cases: &[Case]) -> String {
    let operator = |case: &Case| match case {
        Case::Inverse { operator } => Some(format!("{} is `{operator}`", operator.name())),
        Case::Denoising { .. } => None,
    };
    let operators: Vec<String> = cases.iter().filter_map(operator).collect();
    let [_, height, width] = prior.image_shape();
    let prior = format!("Prior `{}`, {height}x{width} pixels", prior.name());
    match operators.is_empty() {
        true => format!("{prior}."),
        false => format!("{prior}; {}.", operators.join(", ")),
    }
}

/// Every method on every case that it applies to, for every seed.
fn measure(
    options: &Options,
    setting: Setting<'_>,
    store: &Store,
    judge: &Judge,
    report: &mut Report,
    costs: &mut Costs,
) -> Result<()> {
    for run in &runs(options, setting)? {
        let kept = store.get_or(&run.path(), &run.settings()?, || {
            let name = format!("{}, {}, {}, seed {}", setting.set.name, run.case, run.title(), run.seed);
            run.solve(&mut Progress::new(&name, run.observed_steps()?))
        })?;
        let seconds = kept.seconds.map(|seconds| seconds / setting.set.images.len() as f64);
        costs.enter(&run.case.to_string(), &run.title(), run.cost()?, seconds);
        for (image, truth) in kept.images.axis_iter(Axis(0)).zip(&setting.set.images) {
            let what = Judged {
                case: &run.case.to_string(),
                method: &run.title(),
                image: &truth.name,
                seed: run.seed,
                seconds: seconds.unwrap_or_default(),
            };
            let image = run.symmetry().align(&image, &truth.pixels);
            report.rows.push(judge.row(&what, &image, &truth.pixels)?);
        }
    }
    Ok(())
}

/// In the order of the tables.
fn runs<'a>(options: &Options, setting: Setting<'a>) -> Result<Vec<Run<'a>>> {
    let methods = options.methods()?;
    let seeds = (0..u64::from(options.seeds)).map(|k| options.common.seed.wrapping_add(k));
    let mut runs = Vec::new();
    for case in setting.cases {
        for &method in &methods {
            for seed in seeds.clone() {
                runs.extend(Run::new(setting, case, method, seed)?);
            }
        }
    }
    Ok(runs)
}
