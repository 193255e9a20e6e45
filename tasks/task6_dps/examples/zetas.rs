//! How good the reconstructions are for several `zeta`: the sweep behind `tuned`.
//!
//! ```text
//! cargo run -p task6_dps --example zetas -- --images DIR --count 16 --steps 100 --zeta 2 4 6 8
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{CommonOptions, Judge, ProblemOptions, Progress, Session, StepOptions};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::{NamedImage, measure, sampler_rng, stack};
use ndarray::{Array4, Axis};
use task6_dps::{StepSize, dps};

/// Task 6 for several zeta: PSNR and LPIPS, means over the images and --samples seeds.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// The values of zeta.
    #[arg(long, value_name = "ZETA", num_args = 1.., default_values_t = [1.0, 2.0, 4.0, 8.0])]
    zeta: Vec<f64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    cli::run("task6_dps", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let steps = options.steps.whole_way(prior.schedule())?;
    let mut images = session.images(&options.problem.images, &prior)?;
    images.truncate(options.problem.count as usize);
    let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
    let (judge, noise) = (Judge::new()?, options.problem.measurement_noise());
    let samples = u64::from(options.problem.samples);
    let runs = options.problem.operator.len() * options.zeta.len() * samples as usize;
    let mut progress = Progress::new("DPS", runs * steps.len());
    println!("operator, steps, zeta, PSNR in dB, LPIPS");
    for spec in &options.problem.operator {
        for &zeta in &options.zeta {
            let mut sums = (0.0, 0.0);
            for seed in (0..samples).map(|sample| options.common.seed.wrapping_add(sample)) {
                let operator = spec.build(prior.image_shape(), seed)?;
                let b = measure(operator.as_ref(), &truth, noise, seed, 0)?;
                let rng = &mut sampler_rng(seed, 0, 0);
                let observer = &mut (FiniteCheck, &mut progress);
                let step_size = StepSize::Normalised(zeta);
                let results = dps(&prior, operator.as_ref(), &b, step_size, &steps, rng, observer)?;
                progress.next_run();
                let (psnr, lpips) = mean_scores(&judge, &results, &images)?;
                sums = (sums.0 + psnr, sums.1 + lpips);
            }
            let [psnr, lpips] = [sums.0, sums.1].map(|sum| sum / samples as f64);
            println!("{spec}, {}, {zeta}, {psnr:.2}, {lpips:.4}", steps.len());
        }
    }
    Ok(())
}

/// Mean PSNR in dB and mean LPIPS of the results `[B, C, H, W]`.
fn mean_scores(judge: &Judge, results: &Array4<f32>, images: &[NamedImage]) -> Result<(f64, f64)> {
    let mut sums = (0.0, 0.0);
    for (result, image) in results.axis_iter(Axis(0)).zip(images) {
        let scores = judge.scores(&result, &image.pixels)?;
        sums = (sums.0 + scores.psnr, sums.1 + scores.lpips);
    }
    let count = images.len() as f64;
    Ok((sums.0 / count, sums.1 / count))
}
