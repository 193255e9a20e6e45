//! The flags that all tasks have.

use std::path::PathBuf;

use clap::Args;
use score_unet::DeviceChoice;

/// The flags that all tasks have, to be flattened into a task's own.
#[derive(Debug, Clone, Args)]
pub struct CommonOptions {
    /// The prior: a name in data/priors, or a folder with config.json and weights.safetensors.
    #[arg(long, value_name = "NAME_OR_DIR", default_value = "fruits64")]
    pub prior: String,
    /// Images to work on: files (png, jpg, jpeg, webp, bmp, gif), folders or zip files. One of another size is cropped
    /// to its centre and resized [default: the repository's data/images].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub images: Vec<PathBuf>,
    /// Where the random numbers start: one seed gives one result.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many of the prior's 1000 times a sampler visits, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: u32,
    /// Threads to compute with, 1 to 1024 [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Where the network runs: cpu, cuda (the first NVIDIA GPU), cuda:N (GPU number N, from 0), or auto (a GPU if there is
    /// one). GPUs need a program that was built with `--features cuda`.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// The folder for figures and images; it is made if need be [default: out/ and the task's name].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The file for the report with every figure printed [default: results.json in the folder of --out].
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
