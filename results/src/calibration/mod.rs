//! The tables of calibration: whether what each method draws is the posterior.

mod closed;
mod kept;
mod line;
mod table;
mod trained;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use cli::{CommonOptions, Session};
use imaging::OperatorSpec;
use methods::{PosteriorMethod, registry};

use crate::calibration::line::Line;
use crate::calibration::table::{Setting, figure, markdown, write_json};

/// What `--prior` is called where no network is asked.
const CLOSED_FORMS: &str = "closed-forms";
const PRIOR: &str = "What images are drawn from: closed-forms (a Gaussian and a mixture of 4x4 pixels, \
                     whose posteriors are known), a name in data/priors, or a folder with config.json and \
                     weights.safetensors";

/// Measures whether what the posterior methods draw is the posterior: ranks of true values among samples with a test of
/// uniformity (simulation-based calibration), TARP, coverage, spread against skill.
///
/// By default on closed forms, where the posterior is known, with exact draws beside the methods, and exact draws that
/// were spoilt. With a network, images that are drawn from it (by ancestral sampling in all its steps) are exact draws
/// of what it believes. That takes hours: everything is kept in the folder of --out as soon as it is there, and a run
/// which was stopped goes on where it was. The tables hold what is done.
#[derive(Args)]
#[command(mut_arg("prior", |prior| prior.default_value(CLOSED_FORMS).help(PRIOR)))]
pub struct Options {
    #[command(flatten)]
    pub common: CommonOptions,
    /// How many images are drawn from the prior [default: 500 of closed forms, 200 of a network].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=10000))]
    images: Option<u16>,
    /// How many posterior samples of each: 19, 39 or another number that is one less than a multiple of 20, for which
    /// the 50 % and 90 % intervals between samples are exactly that.
    #[arg(long, value_name = "M", default_value_t = 19, value_parser = samples)]
    samples: u16,
    /// How many calls of the network each method gets.
    #[arg(long, value_name = "S", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    steps: u16,
    /// Methods, separated by commas [default: all on closed forms, dps,pigdm,daps,diffpir with a network].
    #[arg(long, value_name = "METHOD,...", value_delimiter = ',', value_parser = method_names())]
    methods: Vec<String>,
    /// What measures the network's images; closed forms have operators of their own.
    #[arg(long, value_name = "OPERATOR", num_args = 1.., default_values = ["inpainting:0.7", "deconvolution:13,1.5"])]
    operator: Vec<OperatorSpec>,
}

fn method_names() -> PossibleValuesParser {
    PossibleValuesParser::new(registry::posterior_methods().iter().map(|method| method.name()))
}

fn samples(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(samples) if (19..10_000).contains(&samples) && (samples + 1) % 20 == 0 => Ok(samples),
        _ => Err("expected 19, 39, 59 or another number that is one less than a multiple of 20".to_owned()),
    }
}

impl Options {
    /// Those of `all` that are named; where none is, `default`.
    fn methods(
        &self,
        all: &[&'static dyn PosteriorMethod],
        default: impl Fn(&str) -> bool,
    ) -> Vec<&'static dyn PosteriorMethod> {
        let wanted = |method: &&&'static dyn PosteriorMethod| match self.methods.as_slice() {
            [] => default(method.name()),
            names => names.iter().any(|name| name == method.name()),
        };
        all.iter().filter(wanted).copied().collect()
    }

    fn setting(&self, default_images: usize) -> Setting {
        Setting {
            prior: self.common.prior.clone(),
            seed: self.common.seed,
            images: self.images.map_or(default_images, usize::from),
            samples: self.samples.into(),
            steps: self.steps.into(),
        }
    }
}

/// Measures, and keeps the tables as far as they have come.
pub fn run(options: &Options, session: &mut Session) -> Result<()> {
    if options.common.prior == CLOSED_FORMS {
        return closed::run(options, session);
    }
    trained::run(options, session)
}

/// Writes tables, figures and report of all lines that there are.
fn save(setting: &Setting, lines: &[Line], options: &Options, session: &mut Session) -> Result<()> {
    let json = options.common.json.clone();
    let json = json.unwrap_or_else(|| session.out().join("results.json"));
    session.save_text(&markdown(setting, lines), "calibration.md")?;
    write_json(setting, lines, &json)?;
    for (problem, figure) in figure(lines)? {
        session.save_figure(&figure, &format!("ranks-{}.png", file_name(&problem)))?;
    }
    Ok(())
}

/// `inpainting:0.7` as a part of a file's name, `inpainting-0-7`.
fn file_name(problem: &str) -> String {
    let parts = problem
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
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

    fn options(flags: &str) -> Result<Options> {
        let flags = std::iter::once("results").chain(flags.split_whitespace());
        Ok(Program::try_parse_from(flags)?.options)
    }

    #[test]
    fn closed_forms_are_the_default_and_a_prior_can_be_named() -> Result<()> {
        assert_eq!(options("")?.common.prior, CLOSED_FORMS);
        let on_network = options("--prior fruits64 --images 8 --samples 39 --steps 20")?;
        let setting = on_network.setting(200);
        assert_eq!((setting.images, setting.samples, setting.steps), (8, 39, 20));
        assert_eq!(
            (setting.prior.as_str(), options("")?.setting(200).images),
            ("fruits64", 200)
        );
        Ok(())
    }

    #[test]
    fn numbers_of_samples_that_make_no_exact_intervals_are_refused() {
        for flags in [
            "--samples 20",
            "--samples 18",
            "--samples 0",
            "--samples 9",
            "--samples x",
        ] {
            let message = options(flags).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(message.contains("one less than a multiple of 20"), "{flags}: {message}");
        }
        assert!(options("--images 1").is_err() && options("--methods dsp").is_err());
        assert!(options("--methods denoise").is_err(), "no posterior method");
    }

    #[test]
    fn methods_are_taken_by_their_names() -> Result<()> {
        let all = registry::posterior_methods();
        let names = |flags: &str| -> Result<Vec<&str>> {
            let chosen = options(flags)?.methods(all, |name| name == "dps");
            Ok(chosen.iter().map(|method| method.name()).collect())
        };
        assert_eq!(names("")?, ["dps"]);
        assert_eq!(names("--methods pigdm,ddrm")?, ["pigdm", "ddrm"]);
        Ok(())
    }
}
