//! What LPIPS makes of spoiled images: `cargo run -p lpips_tools --bin lpips-study -- --help`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, value_parser};
use imaging::ImageList;
use lpips_tools::study::{Distortion, at_equal_psnr, sweep};
use metrics::{Backbone, Lpips};
use ndarray::{Array3, Array4, Axis};
use program::{ThreadOptions, all_printed, data_folder, print, say};

/// Spoil images in nine ways and five strengths and print what PSNR, SSIM and LPIPS make of it, as tables.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// Images: a file, a folder or a zip file; of a data set with train/ and test/, the test part [default: the
    /// repository's data/images]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Height and width in which the images are used
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Use so many of the images, spread evenly over all of them [default: all]
    #[arg(long, value_parser = value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// PSNR in dB at which distortions are compared with each other
    #[arg(long, default_values_t = [30.0, 25.0, 20.0])]
    psnr: Vec<f64>,
    /// Backbone: embedded, alex, vgg or squeeze
    #[arg(long, default_value = "embedded", value_parser = backbone)]
    backbone: Backbone,
    /// Folder of the imported backbones [default: the repository's data/lpips]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    threads: ThreadOptions,
}

fn backbone(name: &str) -> Result<Backbone, String> {
    Backbone::from_name(name).ok_or_else(|| "expected embedded, alex, vgg or squeeze".into())
}

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run(options.threads, || run(&options))
}

fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.weights.is_none() || options.backbone != Backbone::Embedded,
        "--weights has no effect with --backbone embedded, which is part of the program: leave it out, or name another \
         --backbone"
    );
    let lpips = Lpips::load(options.backbone, &weights(options)?)?;
    let images = load(options)?;
    print(&format!(
        "{} images of {size}x{size}, LPIPS ({})\n",
        images.len(),
        lpips.name(),
        size = options.size
    ));
    print_sweeps(&lpips, &images)?;
    for target in &options.psnr {
        print_equal_psnr(&lpips, &images, *target)?;
    }
    print_speed(&lpips, &images)?;
    all_printed()
}

/// The file of the backbone; the embedded one needs none, and no folder that it would be in.
fn weights(options: &Options) -> anyhow::Result<PathBuf> {
    let file = options.backbone.file_name();
    match (&options.weights, options.backbone) {
        (Some(folder), _) => Ok(folder.join(file)),
        (None, Backbone::Embedded) => Ok(PathBuf::from(file)),
        (None, _) => Ok(data_folder()?.join("lpips").join(file)),
    }
}

/// Some of the images, spread evenly over all; no others are read.
fn load(options: &Options) -> anyhow::Result<Vec<Array3<f32>>> {
    let data = match &options.data {
        Some(data) => data.clone(),
        None => data_folder()?.join("images"),
    };
    let spread = |available: usize| {
        let count = options.count.map_or(available, |count| available.min(count as usize));
        (0..count).map(|k| k * available / count).collect()
    };
    match imaging::load_split_some(&data, "test", options.size, spread, |_, _| ()) {
        Ok(set) => {
            set.remarks().iter().for_each(|line| say(line));
            Ok((0..set.count).map(|index| set.array(index)).collect())
        }
        Err(imaging::ImageError::NoSplit { .. }) => {
            let mut list = ImageList::open(&[data])?;
            // What lies beside the shipped images is no news.
            let passed_over = list.passed_over().filter(|_| options.data.is_some());
            passed_over.iter().for_each(|line| say(line));
            let all = list.read(usize::MAX, options.size)?;
            let chosen: Vec<usize> = spread(all.len());
            Ok(chosen.into_iter().map(|place| all[place].pixels.clone()).collect())
        }
        Err(error) => Err(error.into()),
    }
}

fn print_sweeps(lpips: &Lpips, images: &[Array3<f32>]) -> anyhow::Result<()> {
    print(
        "| distortion | strengths | PSNR | SSIM | LPIPS | rank correlation with strength: PSNR, SSIM, LPIPS \
         | LPIPS always growing |",
    );
    print("|---|---|---|---|---|---|---:|");
    for distortion in Distortion::ALL {
        let result = sweep(lpips, images, distortion)?;
        let list = |values: Vec<String>| values.join(" / ");
        let correlation = result.rank_correlation;
        print(&format!(
            "| {} | {} | {} | {} | {} | {:.3}, {:.3}, {:.3} | {:.0} % |",
            distortion.name(),
            list(distortion.strengths().iter().map(ToString::to_string).collect()),
            list(result.means.iter().map(|means| format!("{:.1}", means.psnr)).collect()),
            list(result.means.iter().map(|means| format!("{:.3}", means.ssim)).collect()),
            list(result.means.iter().map(|means| format!("{:.4}", means.lpips)).collect()),
            correlation.psnr,
            correlation.ssim,
            correlation.lpips,
            100.0 * result.always_growing
        ));
    }
    print("");
    Ok(())
}

fn print_equal_psnr(lpips: &Lpips, images: &[Array3<f32>], target: f64) -> anyhow::Result<()> {
    let mut distortions = vec![Distortion::Brightness];
    distortions.extend(
        Distortion::ALL
            .into_iter()
            .filter(|d| d.is_continuous() && *d != Distortion::Brightness),
    );
    let (rows, count) = at_equal_psnr(lpips, images, &distortions, target)?;
    print(&format!(
        "At {target} dB ({count} of the images can be brought there by every distortion):\n"
    ));
    print("| distortion | PSNR | SSIM | LPIPS | worse than brightness by LPIPS |");
    print("|---|---:|---:|---:|---:|");
    for row in rows {
        let (name, means) = (row.distortion.name(), row.means);
        let worse = match row.distortion {
            Distortion::Brightness => String::new(),
            _ => format!("{:.0} % of the images", 100.0 * row.worse_than_first),
        };
        print(&format!(
            "| {name} | {:.2} | {:.3} | {:.4} | {worse} |",
            means.psnr, means.ssim, means.lpips
        ));
    }
    print("");
    Ok(())
}

/// The median time of several calls, in milliseconds.
fn median_ms(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        call()?;
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn print_speed(lpips: &Lpips, images: &[Array3<f32>]) -> anyhow::Result<()> {
    const BATCH: usize = 32;
    let truth = &images[0];
    let spoiled = Distortion::Noise.apply(truth, 0.1, 1)?;
    let repeat =
        |image: &Array3<f32>| -> anyhow::Result<Array4<f32>> { Ok(ndarray::stack(Axis(0), &[image.view(); BATCH])?) };
    let (truths, predictions) = (repeat(truth)?, repeat(&spoiled)?);
    let single = median_ms(|| Ok(lpips.distance(&spoiled, truth).map(drop)?))?;
    let batch = median_ms(|| Ok(lpips.distances(&predictions, &truths).map(drop)?))? / BATCH as f64;
    print(&format!(
        "A pair takes {single:.2} ms alone, {batch:.2} ms in a batch of {BATCH} ({} threads, median of 15 calls).",
        rayon::current_num_threads()
    ));
    Ok(())
}
