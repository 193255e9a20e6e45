//! Times the network: `cargo run -p trainer --bin bench -- --help`. `scripts/compare_with_pytorch.py`
//! alternates it with PyTorch.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use diffusion::ScoreModel;
use kernels::simd::{fma_peak, simd_path};
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use nn::Backend;
use program::{ThreadOptions, all_printed, data_folder, find_prior, print, say};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::unet::UNet;
use score_unet::{Device, DeviceChoice, Prior, UNetConfig};
use trainer::TrainingStepBench;

/// Time the score network; prints the milliseconds of each repetition, one per line.
#[derive(Clone, Parser, Debug)]
#[command(version)]
struct Options {
    /// The prior: a name in data/priors, or a folder
    #[arg(long, value_name = "NAME_OR_DIR", default_value = "fruits64")]
    prior: String,
    /// What to time
    #[arg(long, value_enum, default_value_t = Work::Pullback)]
    work: Work,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Repetitions, after two that are not counted
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    #[command(flatten)]
    threads: ThreadOptions,
    /// Side of the images; other than the prior's: its network with random weights
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,
    /// Print what the processor can do at most, GFLOP/s of multiply-adds on all threads, and its instructions; time
    /// nothing
    #[arg(long)]
    peak: bool,
    /// Device to compute on: cpu, cuda, cuda:N or auto
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Work {
    /// The score alone, as in unconditional sampling
    Forward,
    /// The score and one pullback, as in a DPS step
    Pullback,
    /// Loss, all gradients, gradient clipping, Adam and the moving average
    Train,
    /// Reading the prior from its folder
    Load,
}

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run_outside(options.threads, || run(&options))
}

fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.image_size.is_none() || matches!(options.work, Work::Forward | Work::Pullback),
        "--image-size is for --work forward and pullback"
    );
    anyhow::ensure!(
        options.batch > 0 && options.repeats > 0,
        "--batch and --repeats must be at least 1"
    );
    if options.peak {
        let rates = rayon::broadcast(|_| fma_peak());
        print(&format!("{:.1} {}", rates.iter().sum::<f64>(), simd_path()));
        return all_printed();
    }
    let folder = find_prior(&options.prior, data_folder())?;
    match (options.device.open(say)?, options.work) {
        (Device::Cpu(cpu), Work::Train) => rayon::scope(|_| time_training(options, &folder, &cpu)),
        #[cfg(feature = "cuda")]
        (Device::Cuda(gpu), Work::Train) => {
            let options = options.clone();
            gpu.run(move |gpu| time_training(&options, &folder, gpu))?
        }
        (device, Work::Load) => rayon::scope(|_| {
            repeat(options.repeats, || {
                Prior::load_on(&folder, &device).map(drop).map_err(Into::into)
            })
        }),
        (device, _) => {
            let prior = match options.image_size {
                Some(size) => random_prior(&folder, size, &device)?,
                None => Prior::load_on(&folder, &device)?,
            };
            rayon::scope(|_| time_scores(options, &prior))
        }
    }
}

/// Two batches of noise for a network's images.
fn noise(options: &Options, [c, h, w]: [usize; 3]) -> [Array4<f32>; 2] {
    let mut rng = StdRng::seed_from_u64(0);
    [(); 2].map(|()| Array4::random_using((options.batch, c, h, w), StandardNormal, &mut rng))
}

fn time_scores(options: &Options, prior: &Prior) -> anyhow::Result<()> {
    let [x, v] = noise(options, prior.image_shape());
    // The middle of fruits64's times, or the last of a prior that has fewer.
    let t = prior.schedule().num_steps().min(500);
    match options.work {
        Work::Pullback => repeat(options.repeats, || {
            let (_, pullback) = prior.score_with_pullback(&x, t)?;
            pullback(&v)?;
            Ok(())
        }),
        _ => repeat(options.repeats, || prior.score(&x, t).map(drop).map_err(Into::into)),
    }
}

/// The network of a prior for images of another size, with random weights.
fn random_prior(folder: &Path, image_size: usize, device: &Device) -> anyhow::Result<Prior> {
    let config = UNetConfig::read(&folder.join("config.json"))?.with_image_size(image_size);
    match device {
        Device::Cpu(cpu) => Ok(UNet::new(&config, cpu, &mut StdRng::seed_from_u64(0))?.into_prior("random")),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => anyhow::bail!("--image-size needs --device cpu"),
    }
}

fn time_training<B: Backend>(options: &Options, prior: &Path, backend: &B) -> anyhow::Result<()> {
    let config = UNetConfig::of_prior(prior)?;
    let [x, eps] = noise(options, config.image_shape());
    let mut bench = TrainingStepBench::new(backend, prior, x, eps)?;
    repeat(options.repeats, || Ok(bench.step()?))
}

fn repeat(count: usize, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for index in 0..count + 2 {
        let start = Instant::now();
        work()?;
        if index >= 2 {
            print(&format!("{:.4}", 1e3 * start.elapsed().as_secs_f64()));
        }
    }
    all_printed()
}
