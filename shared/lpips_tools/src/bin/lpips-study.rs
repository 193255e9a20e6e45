//! What LPIPS makes of spoiled images: `cargo run -p lpips_tools --bin lpips-study -- --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, value_parser};
use lpips_tools::study::{Distortion, at_equal_psnr, sweep};
use metrics::{Backbone, Lpips};
use ndarray::{Array3, Array4, Axis};
use program::ThreadOptions;

/// Spoil images in nine ways and five strengths and print what PSNR, SSIM and LPIPS make of it, as tables.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// Images: a file, a folder or a zip file; of a data set with train/ and test/, the test part
    #[arg(long, value_name = "PATH", default_value = "data/images")]
    data: PathBuf,
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
    /// Folder of the imported backbones [default: data/lpips]
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
    let folder = options.weights.as_deref().unwrap_or(Path::new("data/lpips"));
    let lpips = Lpips::load(options.backbone, &folder.join(options.backbone.file_name()))?;
    let images = load(options)?;
    println!(
        "{} images of {size}x{size}, LPIPS ({})\n",
        images.len(),
        lpips.name(),
        size = options.size
    );
    print_sweeps(&lpips, &images)?;
    for target in &options.psnr {
        print_equal_psnr(&lpips, &images, *target)?;
    }
    print_speed(&lpips, &images)
}

fn load(options: &Options) -> anyhow::Result<Vec<Array3<f32>>> {
    let all: Vec<Array3<f32>> = match imaging::load_split(&options.data, "test", options.size, |_, _| ()) {
        Ok(set) => (0..set.count).map(|index| set.array(index)).collect(),
        Err(imaging::ImageError::NoSplit { .. }) => {
            let images = imaging::load_images(std::slice::from_ref(&options.data), options.size)?;
            images.into_iter().map(|image| image.pixels).collect()
        }
        Err(error) => return Err(error.into()),
    };
    let count = options.count.map_or(all.len(), |count| all.len().min(count as usize));
    Ok((0..count).map(|index| all[index * all.len() / count].clone()).collect())
}

fn print_sweeps(lpips: &Lpips, images: &[Array3<f32>]) -> anyhow::Result<()> {
    println!(
        "| distortion | strengths | PSNR | SSIM | LPIPS | rank correlation with strength: PSNR, SSIM, LPIPS \
         | LPIPS always growing |"
    );
    println!("|---|---|---|---|---|---|---:|");
    for distortion in Distortion::ALL {
        let result = sweep(lpips, images, distortion)?;
        let list = |values: Vec<String>| values.join(" / ");
        let correlation = result.rank_correlation;
        println!(
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
        );
    }
    println!();
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
    println!("At {target} dB ({count} of the images can be brought there by every distortion):\n");
    println!("| distortion | PSNR | SSIM | LPIPS | worse than brightness by LPIPS |");
    println!("|---|---:|---:|---:|---:|");
    for row in rows {
        let (name, means) = (row.distortion.name(), row.means);
        let worse = match row.distortion {
            Distortion::Brightness => String::new(),
            _ => format!("{:.0} % of the images", 100.0 * row.worse_than_first),
        };
        println!(
            "| {name} | {:.2} | {:.3} | {:.4} | {worse} |",
            means.psnr, means.ssim, means.lpips
        );
    }
    println!();
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
    println!(
        "A pair takes {single:.2} ms alone, {batch:.2} ms in a batch of {BATCH} ({} threads, median of 15 calls).",
        rayon::current_num_threads()
    );
    Ok(())
}
