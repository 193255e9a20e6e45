//! The flags of an inverse problem.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use imaging::{Noise, OperatorError, OperatorSpec};

use crate::options::ImageOptions;

/// The flags of an inverse problem, to be flattened into a task's own beside [`CommonOptions`](crate::CommonOptions).
#[derive(Debug, Clone, Args)]
pub struct ProblemOptions {
    /// The images that are measured.
    #[command(flatten)]
    pub images: ImageOptions,
    /// What is measured, NAME or NAME:PARAMETERS; more than one may be named. `--help` lists them.
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["inpainting", "deconvolution"],
          value_parser = parse_operator, long_help = operator_help())]
    pub operator: Vec<OperatorSpec>,
    /// The standard deviation of Gaussian measurement noise, on the scale of pixels in [-1, 1] [default: 0.05]. With
    /// Poisson noise it is what a method reckons with.
    #[arg(long, value_name = "SIGMA", value_parser = parse_sigma)]
    pub sigma: Option<f64>,
    /// The measurement noise: gaussian (or gaussian:SIGMA), none, or poisson:RATE (photons for each of 255 levels of
    /// brightness).
    #[arg(long, value_name = "KIND", default_value = "gaussian", value_parser = parse_noise)]
    pub noise: NoiseOption,
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

/// What `--noise` names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoiseOption {
    /// Nothing.
    None,
    /// A Gaussian one, whose standard deviation may be named here or with `--sigma`.
    Gaussian(Option<f64>),
    /// Photon counts, with their rate.
    Poisson(f64),
}

fn parse_noise(text: &str) -> Result<NoiseOption, OperatorError> {
    Ok(match text.parse::<Noise>()? {
        Noise::None => NoiseOption::None,
        Noise::Gaussian { sigma } => NoiseOption::Gaussian(text.contains(':').then_some(sigma)),
        Noise::Poisson { rate } => NoiseOption::Poisson(rate),
    })
}

fn parse_operator(text: &str) -> Result<OperatorSpec, String> {
    let spec = text.parse::<OperatorSpec>();
    spec.map_err(|error| match error {
        OperatorError::Unknown { .. } if Path::new(text).exists() => {
            "this is a file or folder, and no operator: name images with --images".into()
        }
        error => error.to_string(),
    })
}

fn operator_help() -> String {
    format!(
        "What is measured, NAME or NAME:PARAMETERS; more than one may be named:\n\n{}\n\nFrom {} pixels on, where no \
         parameters are named, those of the DPS paper: deconvolution:61,3, motion-blur:61,0.5, box-inpainting:128.\n",
        imaging::operator_list(),
        imaging::LARGE
    )
}

fn parse_sigma(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(sigma) if (0.0..=10.0).contains(&sigma) => Ok(sigma),
        _ => Err("expected a standard deviation from 0 to 10, such as 0.05".into()),
    }
}

impl ProblemOptions {
    /// The noise that is added.
    #[must_use]
    pub fn measurement_noise(&self) -> Noise {
        match self.noise {
            NoiseOption::None => Noise::None,
            NoiseOption::Gaussian(_) => Noise::Gaussian {
                sigma: self.assumed_sigma(),
            },
            NoiseOption::Poisson(rate) => Noise::Poisson { rate },
        }
    }

    /// The standard deviation that a method should reckon with: 0 without noise; for Poisson noise, which has none of
    /// its own, that of `--sigma`.
    #[must_use]
    pub fn assumed_sigma(&self) -> f64 {
        match self.noise {
            NoiseOption::None => 0.0,
            NoiseOption::Gaussian(sigma) => sigma.or(self.sigma).unwrap_or(Noise::SIGMA),
            NoiseOption::Poisson(_) => self.sigma.unwrap_or(Noise::SIGMA),
        }
    }

    /// The same for images of that shape, `[C, H, W]`: see [`OperatorSpec::suited_to`].
    #[must_use]
    pub fn suited_to(&self, image_shape: [usize; 3]) -> Self {
        let suited = |spec: &OperatorSpec| spec.suited_to(image_shape);
        Self {
            operator: self.operator.iter().map(suited).collect(),
            ..self.clone()
        }
    }

    /// Whether the flags agree with each other.
    ///
    /// # Errors
    ///
    /// A standard deviation that is said twice, in two ways, or that has no effect.
    pub fn check(&self) -> Result<()> {
        match (self.noise, self.sigma) {
            (NoiseOption::Gaussian(Some(noise)), Some(sigma)) if noise != sigma => {
                bail!(
                    "--noise gaussian:{noise} and --sigma {sigma} name two standard deviations: leave one of them out"
                )
            }
            (NoiseOption::None, Some(sigma)) if sigma != 0.0 => {
                bail!("--sigma {sigma} has no effect with --noise none: leave one of them out")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        problem: ProblemOptions,
    }

    fn read(flags: &str) -> ProblemOptions {
        let words = ["program"].into_iter().chain(flags.split_whitespace());
        Program::try_parse_from(words).map_or_else(|error| panic!("{error}"), |program| program.problem)
    }

    #[test]
    fn the_noise_that_is_named_is_the_noise_that_is_added() {
        for (flags, noise, assumed) in [
            ("", Noise::Gaussian { sigma: 0.05 }, 0.05),
            ("--noise gaussian", Noise::Gaussian { sigma: 0.05 }, 0.05),
            ("--noise gaussian:0.3", Noise::Gaussian { sigma: 0.3 }, 0.3),
            ("--noise gaussian:0", Noise::Gaussian { sigma: 0.0 }, 0.0),
            ("--sigma 0.2", Noise::Gaussian { sigma: 0.2 }, 0.2),
            ("--sigma 0.2 --noise gaussian:0.2", Noise::Gaussian { sigma: 0.2 }, 0.2),
            ("--noise none", Noise::None, 0.0),
            ("--noise poisson:2", Noise::Poisson { rate: 2.0 }, 0.05),
            ("--noise poisson --sigma 0.1", Noise::Poisson { rate: 1.0 }, 0.1),
        ] {
            let options = read(flags);
            assert!(options.check().is_ok(), "{flags}");
            assert_eq!(
                (options.measurement_noise(), options.assumed_sigma()),
                (noise, assumed),
                "{flags}"
            );
        }
    }

    #[test]
    fn two_noises_at_once_are_refused() {
        let refused = |flags| {
            read(flags)
                .check()
                .map_or_else(|error| error.to_string(), |()| String::new())
        };
        assert!(refused("--noise gaussian:0.3 --sigma 0.1").contains("gaussian:0.3 and --sigma 0.1"));
        assert!(refused("--noise none --sigma 0.1").contains("no effect"));
    }

    #[test]
    fn large_images_are_measured_as_in_the_dps_paper() {
        let options = read("--operator deconvolution box-inpainting deconvolution:9,2 inpainting");
        let suited = |side| options.suited_to([3, side, side]).operator;
        let texts = |side| suited(side).iter().map(ToString::to_string).collect::<Vec<_>>();
        let pinned = [
            "deconvolution:13,1.5",
            "box-inpainting:24",
            "deconvolution:9,2",
            "inpainting:0.7",
        ];
        assert_eq!(texts(64), pinned);
        assert_eq!(texts(255), pinned);
        let of_the_paper = [
            "deconvolution:61,3",
            "box-inpainting:128",
            "deconvolution:9,2",
            "inpainting:0.7",
        ];
        assert_eq!(texts(256), of_the_paper);
    }

    #[test]
    fn a_file_in_place_of_an_operator_is_told_its_flag() {
        let refused = |name: &str| parse_operator(name).map_or_else(|error| error, |spec| spec.to_string());
        assert!(refused(env!("CARGO_MANIFEST_DIR")).contains("--images"));
        assert!(refused("HDR").contains("did you mean `hdr`?"));
    }
}
