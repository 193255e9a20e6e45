//! Task 2 on images: noise them, denoise them in one step, and compare with the best that a Gaussian blur can do.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use cli::{CommonOptions, ImageOptions, Judge, Judged, Progress, Report, ReportRow, Session};
use diffusion::ScoreModel;
use imaging::{NamedImage, best_gaussian_blur, stack};
use ndarray::{Array3, ArrayRef3, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use plots::{Cell, Row, image_rows};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task2_denoise::{denoise, forward_diffusion};

/// The lecture's.
const DEFAULT_TIMES: [usize; 3] = [30, 100, 300];

/// Task 2, single-step denoising: noises images and denoises them with the prior in one step.
///
/// Each image is noised to each of the times --t; the report holds PSNR, SSIM and LPIPS of the noisy image, of the best
/// Gaussian blur of it (its sigma is chosen for each image by looking at the ground truth) and of the denoised one.
/// Image number i, counted from 0, gets its noise from the seed --seed + i, so --batch changes the result by no more
/// than rounding.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    images: ImageOptions,
    /// The times to noise to, from 1 (nearly clean) to 1000 (nearly noise only), separated by commas [default:
    /// 30,100,300].
    #[arg(long, value_name = "T,...", value_delimiter = ',')]
    t: Vec<usize>,
    /// How many images the network sees in one call.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Which image the figure shows, from 1.
    #[arg(long, value_name = "N", default_value_t = 1)]
    figure_image: usize,
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    cli::run("task2_denoise", &options.common, |session| run(&options, session))
}

/// What became of one image at one time.
struct Outcome {
    noisy: Array3<f32>,
    blurred: Array3<f32>,
    denoised: Array3<f32>,
    /// One for each of the three.
    rows: [ReportRow; 3],
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let times = cli::times("--t", &options.t, &DEFAULT_TIMES, &prior)?;
    let images = session.images(&options.images, &prior, usize::MAX)?;
    let shown = options.figure_image;
    ensure!(
        (1..=images.len()).contains(&shown),
        "--figure-image {shown}: there are {} images, name one from 1 to {}",
        images.len(),
        images.len()
    );
    cli::check_batch(session, &prior, images.len().min(options.batch.into()))?;

    let judge = Judge::new()?;
    let mut report = session.report(&prior).judged_by(&judge);
    report.set("t", list(&times));
    report.set("batch", options.batch);
    let mut figure = Vec::new();
    let outcome = treat_all(options, &times, &prior, &judge, &images, &mut report, &mut figure);
    // Whatever ended it, what was done by then is kept; and first what takes the least room.
    let saved = session
        .save_report(&report)
        .and_then(|()| save_figure(session, &images[shown - 1].pixels, &figure));
    outcome.and(saved)
}

fn list(times: &[usize]) -> String {
    times.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All images at all times, batch by batch, into the report; what became of the image that is shown, into the figure.
fn treat_all(
    options: &Options,
    times: &[usize],
    prior: &dyn ScoreModel,
    judge: &Judge,
    images: &[NamedImage],
    report: &mut Report,
    figure: &mut Vec<(usize, Outcome)>,
) -> Result<()> {
    let mut progress = Progress::new("denoising", times.len() * images.len());
    for &t in times {
        let mut first = 0;
        for batch in images.chunks(options.batch.into()) {
            cli::check_interrupted()?;
            for (index, outcome) in (first..).zip(treat(prior, judge, batch, t, options.common.seed, first)?) {
                report.rows.extend(outcome.rows.iter().cloned());
                if index + 1 == options.figure_image {
                    figure.push((t, outcome));
                }
            }
            first += batch.len();
            progress.add(batch.len(), &format!("t = {t}"));
        }
    }
    Ok(())
}

fn save_figure(session: &mut Session, truth: &Array3<f32>, figure: &[(usize, Outcome)]) -> Result<()> {
    if figure.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row<'_>> = figure.iter().map(|(t, outcome)| row(*t, truth, outcome)).collect();
    let titles = ["ground truth", "noisy", "best Gaussian blur", "denoised"];
    session.save_figure(&image_rows(&rows, &titles)?, "denoising.png")
}

/// Noises, blurs and denoises a batch; `first` is the place of its first image among all.
fn treat(
    prior: &dyn ScoreModel,
    judge: &Judge,
    images: &[NamedImage],
    t: usize,
    seed: u64,
    first: usize,
) -> Result<Vec<Outcome>> {
    let alpha_bar = prior.schedule().alpha_bar(t);
    let x0 = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
    let seed_of = |index: usize| seed.wrapping_add((first + index) as u64);
    let mut eps = x0.clone();
    for (index, mut image) in eps.axis_iter_mut(Axis(0)).enumerate() {
        let rng = &mut StdRng::seed_from_u64(seed_of(index));
        let noise = Array3::random_using(image.raw_dim(), StandardNormal, rng);
        image.assign(&noise);
    }
    let x_t = forward_diffusion(&x0, &eps, alpha_bar);
    let start = Instant::now();
    let denoised = denoise(prior, &x_t, t)?;
    let seconds = start.elapsed().as_secs_f64() / images.len() as f64;

    let mut outcomes = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let row = |method: &str, prediction: &ArrayRef3<f32>, seconds| -> Result<ReportRow> {
            let case = format!("t={t}");
            let what = Judged {
                case: &case,
                method,
                image: &image.name,
                seed: seed_of(index),
                seconds,
            };
            judge.row(&what, prediction, &image.pixels)
        };
        // At the scale of the clean image: only noise is left to remove.
        let noisy = x_t.index_axis(Axis(0), index).mapv(|x| x / alpha_bar.sqrt() as f32);
        let start = Instant::now();
        let (_, blurred) = best_gaussian_blur(&noisy, &image.pixels)?;
        let search = start.elapsed().as_secs_f64();
        let denoised = denoised.index_axis(Axis(0), index).to_owned();
        let rows = [
            row("noisy", &noisy, 0.0)?,
            row("gaussian blur (best)", &blurred, search)?,
            row("denoised", &denoised, seconds)?,
        ];
        outcomes.push(Outcome {
            noisy,
            blurred,
            denoised,
            rows,
        });
    }
    Ok(outcomes)
}

fn row<'a>(t: usize, truth: &'a Array3<f32>, outcome: &'a Outcome) -> Row<'a> {
    let mut cells = vec![Cell {
        image: truth.view(),
        caption: "PSNR / LPIPS".into(),
    }];
    let images = [&outcome.noisy, &outcome.blurred, &outcome.denoised];
    cells.extend(images.into_iter().zip(&outcome.rows).map(|(image, row)| Cell {
        image: image.view(),
        caption: row.caption(),
    }));
    Row {
        label: format!("t = {t}"),
        cells,
    }
}
