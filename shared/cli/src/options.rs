//! Flags that several programs have. A program flattens the groups that mean something to it into its own options.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use diffusion::{Schedule, Step};
use score_unet::DeviceChoice;

use crate::variance::VarianceOptions;

/// The flags that every program on a prior has.
#[derive(Debug, Clone, Args)]
pub struct CommonOptions {
    /// The prior: a name in data/priors, or a folder with config.json and weights.safetensors.
    #[arg(long, value_name = "NAME_OR_DIR", default_value = "fruits64")]
    pub prior: String,
    /// Where the random numbers start: one seed gives one result, with the same images, --batch and kind of processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads to compute with, 1 to 1024 [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Where the network runs: cpu, cuda (the first NVIDIA GPU), cuda:N (GPU number N, from 0), or auto (a GPU if there
    /// is one). GPUs need a program that was built with `--features cuda`.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// The folder for figures and images; it is made if need be [default: out/ and the task's name].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The file for the report with every figure printed [default: results.json in the folder of --out].
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The flag of programs that work on images.
#[derive(Debug, Clone, Default, Args)]
pub struct ImageOptions {
    /// Images to work on: files (png, jpg, jpeg, webp, bmp, gif), folders or zip files. One of another size is cropped
    /// to its centre and resized [default: the repository's data/images].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub images: Vec<PathBuf>,
}

/// The flags of programs with a sampler.
#[derive(Debug, Clone, Args)]
pub struct StepOptions {
    /// How many of the prior's times a sampler visits, from 1 to all of them (fruits64 has 1000).
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// How much noise each of them adds.
    #[command(flatten)]
    pub variance: VarianceOptions,
}

impl StepOptions {
    /// The whole way back, from pure noise to images, in as many steps.
    ///
    /// # Errors
    ///
    /// As [`Self::count`].
    pub fn whole_way(&self, schedule: &Schedule) -> Result<Vec<Step>> {
        Ok(self.variance.apply(schedule.steps(self.count(schedule)?)?))
    }

    /// The number of steps, for a prior with this schedule.
    ///
    /// # Errors
    ///
    /// If the schedule has fewer times.
    pub fn count(&self, schedule: &Schedule) -> Result<usize> {
        let (steps, max) = (self.steps as usize, schedule.num_steps());
        ensure!(
            steps <= max,
            "--steps {steps} is more than the prior has times: name a number from 1 to {max}"
        );
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_says_how_many_steps_there_are() -> Result<()> {
        let short = Schedule::linear_with(100, 1e-3, 0.2)?;
        let options = |steps| StepOptions {
            steps,
            variance: VarianceOptions::default(),
        };
        assert_eq!(options(100).count(&short)?, 100);
        let refused = options(1000).count(&short);
        assert!(refused.is_err_and(|error| error.to_string().ends_with("from 1 to 100")));
        assert_eq!(options(1000).count(&Schedule::linear())?, 1000);
        Ok(())
    }
}
