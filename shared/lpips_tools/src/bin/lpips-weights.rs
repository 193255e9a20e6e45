//! Imports or downloads the published backbones of LPIPS: `cargo run -p lpips_tools --bin lpips-weights -- --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use lpips_tools::weights::{Files, Source, backbone_source, download, import, linear_source};
use metrics::{Backbone, Lpips};
use program::{ThreadOptions, data_folder, print};

/// Get the weights of a published LPIPS backbone: alex, vgg or squeeze.
///
/// Two files make one: torchvision's classification network, and the non-negative weights of its stages that the
/// authors of LPIPS fitted to people's judgements. Both keep their own licences; neither is part of this repository.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make the weights from files that are already here; nothing is downloaded
    Import(Import),
    /// Download both files, check them, and import them; a download that broke off is gone on with
    Fetch(Fetch),
}

#[derive(Args, Debug)]
struct Import {
    /// alex, vgg or squeeze
    #[arg(value_parser = published)]
    name: Backbone,
    /// torchvision's network, .pth or safetensors: alexnet-owt-7be5be79.pth, vgg16-397923af.pth or
    /// squeezenet1_1-b8a52dc0.pth [default: where fetch puts it]
    #[arg(long, value_name = "FILE")]
    backbone: Option<PathBuf>,
    /// The stage weights, .pth or safetensors: lpips/weights/v0.1/NAME.pth of the package lpips [default: where fetch
    /// puts it]
    #[arg(long, value_name = "FILE")]
    linear: Option<PathBuf>,
    /// Folder for the result, NAME.safetensors [default: the repository's data/lpips]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take files whose SHA-256 is not the published one: converted ones, or a network of one's own
    #[arg(long)]
    unverified: bool,
}

#[derive(Args, Debug)]
struct Fetch {
    /// alex (233 MB), vgg (528 MB) or squeeze (5 MB)
    #[arg(value_parser = published)]
    name: Backbone,
    /// Folder for the result, NAME.safetensors; the downloads are kept in downloads/ below it [default: the
    /// repository's data/lpips]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn published(name: &str) -> Result<Backbone, String> {
    match Backbone::from_name(name) {
        Some(backbone) if backbone != Backbone::Embedded => Ok(backbone),
        _ => Err("expected alex, vgg or squeeze (the embedded backbone needs no files)".into()),
    }
}

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run(ThreadOptions::default(), || match options.command {
        Command::Import(options) => run_import(&options),
        Command::Fetch(options) => run_fetch(&options),
    })
}

fn sources(backbone: Backbone) -> anyhow::Result<(Source, Source)> {
    backbone_source(backbone)
        .zip(linear_source(backbone))
        .context("the embedded backbone needs no files")
}

/// The folder for the result.
fn folder(out: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    match out {
        Some(folder) => Ok(folder.clone()),
        None => Ok(data_folder()?.join("lpips")),
    }
}

fn downloads(out: &Path) -> PathBuf {
    out.join("downloads")
}

fn run_import(options: &Import) -> anyhow::Result<()> {
    let (backbone, linear) = sources(options.name)?;
    let out = folder(options.out.as_ref())?;
    let or_downloaded = |path: &Option<PathBuf>, flag: &str, source: Source| -> anyhow::Result<PathBuf> {
        let path = path.clone().unwrap_or_else(|| downloads(&out).join(&source.file));
        anyhow::ensure!(
            path.is_file(),
            "there is no file {}: name yours with {flag}, or download it with `fetch {}`",
            path.display(),
            options.name.name()
        );
        Ok(path)
    };
    let backbone = or_downloaded(&options.backbone, "--backbone", backbone)?;
    let linear = or_downloaded(&options.linear, "--linear", linear)?;
    let files = if options.unverified {
        Files::Any
    } else {
        Files::Published
    };
    make(options.name, &backbone, &linear, &out, files)
}

fn run_fetch(options: &Fetch) -> anyhow::Result<()> {
    let (backbone, linear) = sources(options.name)?;
    let out = folder(options.out.as_ref())?;
    let backbone = fetch_one(&backbone, &out)?;
    let linear = fetch_one(&linear, &out)?;
    make(options.name, &backbone, &linear, &out, Files::Published)
}

fn fetch_one(source: &Source, out: &Path) -> anyhow::Result<PathBuf> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(source.file.clone());
    let path = download(source, &downloads(out), &mut |done, total| {
        total.into_iter().for_each(|total| bar.set_length(total));
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    print(&format!("{} is here and has the published digest", path.display()));
    Ok(path)
}

fn make(backbone: Backbone, network: &Path, linear: &Path, out: &Path, files: Files) -> anyhow::Result<()> {
    let path = out.join(backbone.file_name());
    let report = import(backbone, network, linear, &path, files)?;
    Lpips::load(backbone, &path)?;
    print(&format!(
        "LPIPS ({}): {} tensors in {}",
        backbone.name(),
        report.tensors,
        path.display()
    ));
    if files == Files::Any {
        print(&format!(
            "not checked against the published digests: {} and {}",
            report.backbone_sha256, report.linear_sha256
        ));
    }
    Ok(())
}
