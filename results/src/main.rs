//! Makes the tables of RESULTS.md: every method on every problem, over photographs of the test split, the shipped images
//! and several seeds.

mod methods;
mod problems;
mod store;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use cli::{CommonOptions, Judge, Judged, Progress, Report, Session, StepOptions, data_folder, find_prior};
use diffusion::ScoreModel;
use ndarray::Axis;
use score_unet::Prior;

use crate::methods::Method;
use crate::problems::{Case, ImageSet};
use crate::store::Store;

/// Measures all tasks: PSNR, SSIM and LPIPS of every method on every problem, as tables in Markdown.
///
/// The images are --photographs of a data set's test split, evenly spread over it, and the
/// images that the repository ships. Seed number k, from --seed on, draws the mask and the measurement noise as well as the
/// sampler's numbers. Reconstructions are kept in the folder of --out, and what is there is not computed again, so that a
/// run which was stopped goes on where it was.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// The data set with the photographs: a folder or zip file that holds `test/` [default: only the shipped images].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How many photographs are taken from it.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    photographs: u16,
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// Methods to run, separated by commas.
    #[arg(long, value_enum, value_name = "METHOD,...", value_delimiter = ',', default_values_t = Method::ALL)]
    methods: Vec<Method>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    cli::run("results", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let mut sets = Vec::new();
    if let Some(data) = &options.data {
        sets.push(ImageSet::photographs(data, options.photographs.into(), &prior)?);
    }
    sets.push(ImageSet::shipped(session, &prior)?);
    let fingerprint = store::fingerprint(&find_prior(&options.common.prior, data_folder())?)?;
    let store = Store::new(session.out());
    let judge = Judge::new()?;

    let mut tables = String::new();
    for set in &sets {
        let report = measure(options, &prior, &fingerprint, set, &store, &judge)?;
        tables.push_str(&format!("### {}\n\n{}\n", set.title, table::markdown(&report, &judge)));
        session.save_text(&tables, "tables.md")?;
        report.write_json(&session.out().join(format!("{}.json", set.name)))?;
    }
    print!("{tables}");
    Ok(())
}

/// Every method on every case that it applies to, for every seed.
fn measure(
    options: &Options,
    prior: &Prior,
    fingerprint: &str,
    set: &ImageSet,
    store: &Store,
    judge: &Judge,
) -> Result<Report> {
    let mut report = Report::judged_by(judge);
    let seeds = options.common.seed..options.common.seed + u64::from(options.seeds);
    for case in Case::all() {
        for &method in options.methods.iter().filter(|method| method.applies_to(&case, set)) {
            for seed in seeds.clone() {
                let run = methods::Run {
                    prior,
                    fingerprint,
                    set,
                    case: &case,
                    method,
                    seed,
                    num_steps: options.steps.count(prior.schedule())?,
                };
                let start = Instant::now();
                let images = store.get_or(&run.path(), &run.settings(), || {
                    let name = format!("{}, {case}, {}, seed {seed}", set.name, method.title());
                    let mut progress = Progress::new(&name, run.evaluations()?);
                    run.solve(&mut progress)
                })?;
                let seconds = start.elapsed().as_secs_f64() / set.images.len() as f64;
                for (image, truth) in images.axis_iter(Axis(0)).zip(&set.images) {
                    let what = Judged {
                        case: &case.to_string(),
                        method: method.title(),
                        image: &truth.name,
                        seed,
                        seconds,
                    };
                    report.rows.push(judge.row(&what, &image, &truth.pixels)?);
                }
            }
        }
    }
    Ok(report)
}
