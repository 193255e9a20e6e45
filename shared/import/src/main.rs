//! Makes a prior of a network that others have published: `cargo run -p import -- --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum, value_parser};
use import::convert::{AttentionOrder, convert};
use import::found::{self, Found};
use import::guided_diffusion::{Noise, Wishes};
use import::{Origin, noise_error, write_prior};
use nn::FloatType;
use program::{ThreadOptions, print};
use score_unet::{Heads, Prior, folder_name};

/// Make a prior of a network that others have published.
///
/// SOURCE is a checkpoint of guided-diffusion without classes (such as ffhq_10m.pt), or a folder of diffusers'
/// UNet2DModel (such as google/ddpm-cifar10-32). Nothing of it is run. The result is a folder that every --prior takes.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// A .pt or .safetensors file of guided-diffusion, or a folder of diffusers
    source: PathBuf,
    /// Folder for the prior; it must not hold one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the weights as 16-bit floats: half the size, three decimal digits
    #[arg(long)]
    f16: bool,
    /// Height and width of the images, which a checkpoint does not say [default: by the number of levels, 64 to 512]
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u16).range(1..=4096))]
    image_size: Option<u16>,
    /// Channels of a head of attention (num_head_channels), which a checkpoint does not say [default: 64]
    #[arg(long, value_name = "CHANNELS", value_parser = value_parser!(u16).range(1..=4096))]
    head_channels: Option<u16>,
    /// Heads of attention (num_heads) where that is what the network was made with
    #[arg(long, value_name = "HEADS", conflicts_with = "head_channels",
          value_parser = value_parser!(u16).range(1..=4096))]
    heads: Option<u16>,
    /// The order of queries, keys and values (new: use_new_attention_order), which a checkpoint does not say [default:
    /// old]
    #[arg(long, value_enum)]
    attention_order: Option<OrderName>,
    /// The noise schedule that the network was trained with, which a checkpoint does not say [default: linear]
    #[arg(long, value_enum)]
    noise: Option<NoiseName>,
    /// The number of diffusion steps that it was trained with, which a checkpoint does not say [default: 1000]
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    #[command(flatten)]
    threads: ThreadOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderName {
    Old,
    New,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NoiseName {
    Linear,
    Cosine,
}

impl Options {
    fn wishes(&self) -> Wishes {
        let number = self.heads.map(|heads| Heads::Number(heads.into()));
        let channels = self.head_channels.map(|channels| Heads::Channels(channels.into()));
        Wishes {
            image_size: self.image_size.map(Into::into),
            heads: number.or(channels),
            attention_order: self.attention_order.map(|order| match order {
                OrderName::Old => AttentionOrder::Old,
                OrderName::New => AttentionOrder::New,
            }),
            noise: self.noise.map(|noise| match noise {
                NoiseName::Linear => Noise::Linear,
                NoiseName::Cosine => Noise::Cosine,
            }),
            steps: self.steps.map(|steps| steps as usize),
        }
    }
}

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run(options.threads, || run(&options))
}

fn run(options: &Options) -> Result<()> {
    import::ensure_free(&options.out)?;
    let found = found::read(&options.source, &options.wishes())?;
    print(&describe(&found));
    found.remarks.iter().for_each(|remark| print(remark));
    let origin = Origin {
        name: folder_name(&options.source),
        sha256: pytorch_files::sha256(&found.file)?,
        remarks: found.remarks.clone(),
    };
    let config = found.config.clone();
    let tensors = convert(found).with_context(|| format!("{} is not imported", options.source.display()))?;
    let float_type = if options.f16 { FloatType::F16 } else { FloatType::F32 };
    write_prior(&options.out, &config, &tensors, float_type, &origin)?;
    drop(tensors);
    check(&options.out)
}

fn describe(found: &Found) -> String {
    let config = &found.config;
    format!(
        "found {} tensors: levels of {:?} channels, {} blocks each, attention at the levels {:?} (the finest is 0) and \
         in the middle, resampling by {}, {}x{} images",
        found.tensors.len(),
        config.level_channels,
        config.blocks_per_level,
        config.attention_levels,
        match config.resampling {
            score_unet::Resampling::Blocks => "residual blocks",
            score_unet::Resampling::Convolutions => "convolutions",
        },
        config.image_size,
        config.image_size
    )
}

/// Reads what was written, and looks whether it is a network that knows noise.
fn check(folder: &Path) -> Result<()> {
    let prior = Prior::load(folder)?;
    print(&format!("{} is a prior now: {}", folder.display(), prior.describe()));
    let error = noise_error(&prior)?;
    print(&format!(
        "of noise alone it predicts the noise with a mean squared error of {error:.4} (0 is perfect, 1 is nothing)"
    ));
    if error > 0.1 {
        print(
            "note: a trained network that was understood has nearly 0 there. Was this one trained, and are \
             --attention-order, --head-channels or --heads, --noise and --steps what it was made with?",
        );
    }
    Ok(())
}
