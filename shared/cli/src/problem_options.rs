//! The flags of an inverse problem.

use clap::Args;
use imaging::{Noise, OperatorSpec};

use crate::options::ImageOptions;

/// The flags of an inverse problem, to be flattened into a task's own beside [`CommonOptions`](crate::CommonOptions).
#[derive(Debug, Clone, Args)]
pub struct ProblemOptions {
    /// The images that are measured.
    #[command(flatten)]
    pub images: ImageOptions,
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
