//! The handout's sweep: PSNR (and LPIPS) of SDEdit on the two pinned inverse problems, against `t0` and the number of
//! repeats.
//!
//! ```text
//! cargo run -p task4_sdedit --example sweep -- --images DIR --t0 100,200 --repeats 1,2 --steps 250
//! ```
//!
//! Tune on images that no table of results uses.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{CommonOptions, Judge, Judged, ProblemOptions, Progress, Session, StepOptions};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::{ForwardOperator, NamedImage, measure, residual_norms, sampler_rng, stack};
use ndarray::{Array4, Axis};
use task4_sdedit::{restore, steps_from};

/// Sweeps `t0` and the number of repeats.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// The times to noise the guide to.
    #[arg(long, value_delimiter = ',', default_value = "50,100,150,200,300,400,500,600,700")]
    t0: Vec<usize>,
    /// The numbers of passes.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    repeats: Vec<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    cli::run("task4_sdedit", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let mut images = session.images(&options.problem.images, &prior)?;
    images.truncate(options.problem.count as usize);
    let judge = Judge::new()?;
    let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
    let seed = options.common.seed;
    println!("operator, t0, repeats, PSNR, its spread over the images, LPIPS, residual per measured number");
    for spec in &options.problem.operator {
        let operator = spec.build(prior.image_shape(), seed)?;
        let b = measure(operator.as_ref(), &truth, options.problem.measurement_noise(), seed, 0)?;
        let tell = |t0: usize, repeats: usize, results: &Array4<f32>| -> Result<()> {
            let line = describe(&judge, operator.as_ref(), &b, &images, results)?;
            println!("{}, {t0}, {repeats}, {line}", operator.name());
            Ok(())
        };
        tell(0, 0, &operator.start_image(&b)?)?;
        for &t0 in &options.t0 {
            let steps = steps_from(prior.schedule(), t0, options.steps.count(prior.schedule())?)?;
            for &repeats in &options.repeats {
                let rng = &mut sampler_rng(seed, 0, 0);
                let mut progress = Progress::new(&format!("t0 = {t0}"), steps.len() * repeats);
                let watch = &mut (FiniteCheck, &mut progress);
                tell(
                    t0,
                    repeats,
                    &restore(&prior, operator.as_ref(), &b, &steps, repeats, rng, watch)?,
                )?;
            }
        }
    }
    Ok(())
}

/// Mean PSNR, its standard deviation over the images, mean LPIPS, and the root of the mean square of `b - A x`.
fn describe(
    judge: &Judge,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
    images: &[NamedImage],
    results: &Array4<f32>,
) -> Result<String> {
    let (mut psnr, mut lpips) = (Vec::new(), Vec::new());
    for (image, result) in images.iter().zip(results.axis_iter(Axis(0))) {
        let what = Judged {
            case: operator.name(),
            method: "SDEdit",
            image: &image.name,
            seed: 0,
            seconds: 0.0,
        };
        let row = judge.row(&what, &result, &image.pixels)?;
        psnr.extend(row.psnr);
        lpips.extend(row.lpips);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let spread = (psnr.iter().map(|p| (p - mean(&psnr)).powi(2)).sum::<f64>() / psnr.len() as f64).sqrt();
    let per_number = ((b.len() / b.shape()[0]) as f64).sqrt();
    let residuals: Vec<f64> = residual_norms(operator, b, results)?
        .iter()
        .map(|norm| f64::from(*norm) / per_number)
        .collect();
    let lpips = if lpips.is_empty() {
        "-".into()
    } else {
        format!("{:.4}", mean(&lpips))
    };
    Ok(format!(
        "{:.2}, {spread:.2}, {lpips}, {:.4}",
        mean(&psnr),
        mean(&residuals)
    ))
}
