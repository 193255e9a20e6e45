//! The table of samplers: how close what they draw is to photographs, against the number of network calls.

mod draw;
mod photographs;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use cli::{CommonOptions, Session, data_folder, find_prior};
use diffusion::ScoreModel;
use methods::{Sampler, registry};
use metrics::{ImageFeatures, frechet_distance};
use ndarray::Array4;
use plots::{Cell, Row};
use score_unet::Prior;

use crate::samplers::draw::Draw;
use crate::samplers::photographs::Photographs;
use crate::samplers::table::{Score, Table};
use crate::store::{self, Store};

/// Left out where nobody names it: it is one of the two samplers with a variance in their names, which one depends on
/// the number of steps.
const TWICE: &str = "ancestral";
/// More calls than this are for those only that `--patient` names.
const MANY_CALLS: usize = 100;

/// Measures the samplers: the Fréchet distance between what they draw and photographs, against the number of network
/// calls, and a figure of the same seeds in all of them.
///
/// The distance is taken on the features of the embedded LPIPS network's last stage, averaged over the pixels; it
/// depends on the number of images, which is --images everywhere. A perfect sampler would reach the distance between
/// two sets of photographs, which stands under the table. Features are kept in the folder of --out, and what is there
/// is not computed again.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: CommonOptions,
    /// The data set with the photographs: a folder or zip file that holds `train/` and `test/`.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// How many images each sampler draws, and how many photographs they are compared with.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(193..=10000))]
    images: u16,
    /// Numbers of network calls, separated by commas.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [5, 10, 20, 50, 100, 1000],
          value_parser = clap::value_parser!(u16).range(1..))]
    calls: Vec<u16>,
    /// Samplers, separated by commas [default: all].
    #[arg(long, value_name = "SAMPLER,...", value_delimiter = ',', value_parser = sampler_names())]
    samplers: Vec<String>,
    /// Those of them that are measured with more than 100 calls too, which takes most of the time.
    #[arg(long, value_name = "SAMPLER,...", value_delimiter = ',', value_parser = sampler_names(),
          default_values = ["ancestral-beta", "ancestral-posterior"])]
    patient: Vec<String>,
}

fn sampler_names() -> PossibleValuesParser {
    PossibleValuesParser::new(registry::samplers().iter().map(|sampler| sampler.name()))
}

impl Options {
    /// All, where none is named.
    fn samplers(&self) -> Vec<&'static dyn Sampler> {
        let wanted = |sampler: &&dyn Sampler| match self.samplers.as_slice() {
            [] => sampler.name() != TWICE,
            names => names.iter().any(|name| name == sampler.name()),
        };
        registry::samplers().iter().copied().filter(wanted).collect()
    }

    /// In rising order, each once; the prior has `max` times.
    fn calls(&self, max: usize) -> Result<Vec<usize>> {
        let mut calls: Vec<usize> = self.calls.iter().map(|&calls| calls.into()).collect();
        calls.sort_unstable();
        calls.dedup();
        let most = calls.last().copied().unwrap_or_default();
        ensure!(
            most <= max,
            "--calls {most} is more than the prior has times: name numbers from 1 to {max}"
        );
        Ok(calls)
    }

    fn is_measured(&self, sampler: &dyn Sampler, calls: usize) -> bool {
        calls <= MANY_CALLS || self.patient.iter().any(|name| name == sampler.name())
    }
}

/// Measures, from few calls to many, and keeps the table as far as it has come.
pub fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let calls = options.calls(prior.schedule().num_steps())?;
    let study = Study::new(prior, options, session)?;
    let json = options.common.json.clone();
    let json = json.unwrap_or_else(|| session.out().join("results.json"));
    let mut table = Table::new(&options.samplers(), &calls, study.count, &study.photographs)?;
    for &calls in &calls {
        let mut pictures = Vec::new();
        for sampler in options.samplers() {
            if !options.is_measured(sampler, calls) {
                continue;
            }
            let (score, images) = study.measure(sampler, calls)?;
            table.enter(score);
            session.save_text(&table.markdown(), "samplers.md")?;
            table.write_json(study.prior.name(), study.seed, &json)?;
            pictures.push((sampler.title(), images));
        }
        save_figure(&pictures, calls, session)?;
    }
    cli::print_text(&table.markdown());
    Ok(())
}

/// What all cells of the table share.
struct Study {
    prior: Prior,
    fingerprint: String,
    features: ImageFeatures,
    photographs: Photographs,
    store: Store,
    count: usize,
    seed: u64,
}

impl Study {
    fn new(prior: Prior, options: &Options, session: &Session) -> Result<Self> {
        let (count, seed) = (usize::from(options.images), options.common.seed);
        let features = ImageFeatures::embedded()?;
        session.note(&format!("reading the photographs of `{}`", options.data.display()));
        let [_, size, _] = prior.image_shape();
        Ok(Self {
            fingerprint: store::fingerprint_of_prior(&find_prior(&options.common.prior, data_folder())?)?,
            photographs: Photographs::load(&options.data, count, size, &features, seed)?,
            store: Store::new(session.out()),
            prior,
            features,
            count,
            seed,
        })
    }

    /// One cell, and the pictures that belong to it.
    fn measure(&self, sampler: &'static dyn Sampler, calls: usize) -> Result<(Score, Array4<f32>)> {
        let draw = Draw {
            prior: &self.prior,
            fingerprint: &self.fingerprint,
            sampler,
            calls,
            seed: self.seed,
        };
        let (drawn, pictures) = draw.run(self.count, &self.features, &self.store)?;
        let score = Score {
            sampler: sampler.name(),
            calls,
            calls_taken: sampler.evaluations(calls),
            train: frechet_distance(&drawn, &self.photographs.train)?,
            test: frechet_distance(&drawn, &self.photographs.test)?,
        };
        Ok((score, pictures))
    }
}

/// A row for each sampler, the same seeds one below the other.
fn save_figure(pictures: &[(String, Array4<f32>)], calls: usize, session: &mut Session) -> Result<()> {
    if pictures.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = pictures.iter().map(|(title, images)| row(title, images)).collect();
    let figure = plots::image_rows(&rows, &[])?;
    let name = format!("samplers-{calls}.png");
    session
        .save_figure(&figure, &name)
        .with_context(|| format!("cannot draw `{name}`"))
}

fn row<'a>(title: &str, images: &'a Array4<f32>) -> Row<'a> {
    let cells = images.outer_iter().map(|image| Cell {
        image,
        caption: String::new(),
    });
    Row {
        label: title.to_owned(),
        cells: cells.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn options(flags: &[&str]) -> Result<Options> {
        let flags = ["results", "--data", "fruits64.zip"].iter().chain(flags);
        Ok(Program::try_parse_from(flags)?.options)
    }

    #[test]
    fn by_default_no_sampler_is_measured_twice_and_few_are_patient() -> Result<()> {
        let options = options(&[])?;
        let samplers = options.samplers();
        assert_eq!(samplers.len() + 1, registry::samplers().len());
        assert!(samplers.iter().all(|sampler| options.is_measured(*sampler, 100)));
        let patient = samplers.iter().filter(|sampler| options.is_measured(**sampler, 1000));
        assert_eq!(patient.count(), 2);
        Ok(())
    }

    #[test]
    fn calls_come_in_rising_order_and_no_more_than_there_are_times() -> Result<()> {
        let options = options(&["--calls", "20,5,20", "--samplers", "heun,ancestral"])?;
        assert_eq!(options.calls(1000)?, [5, 20]);
        let names: Vec<_> = options.samplers().iter().map(|sampler| sampler.name()).collect();
        assert_eq!(names, ["ancestral", "heun"]);
        let message = options
            .calls(10)
            .map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            message.starts_with("--calls 20 is more than the prior has times"),
            "{message}"
        );
        Ok(())
    }
}
