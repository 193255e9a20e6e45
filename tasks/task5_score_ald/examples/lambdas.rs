//! How good the reconstructions are for several `lambda`, the sweep behind `tuned_lambda`, and how they get there: a line
//! for each, and two figures for each problem.
//!
//! ```text
//! cargo run -p task5_score_ald --example lambdas -- --steps 250
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{CommonOptions, Judge, ProblemOptions, Progress, Scores, Session, StepOptions};
use diffusion::{FiniteCheck, ScoreModel, StepView, observe_with};
use imaging::{NamedImage, measure, sampler_rng, stack};
use ndarray::{Array4, ArrayView3, Axis};
use plots::{Series, curves};
use task5_score_ald::{Guidance, score_ald};

/// Task 5 for several lambda: PSNR and LPIPS, and how the residual and the PSNR of x0_hat change on the way, means over
/// the images.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// The values of lambda.
    #[arg(long, value_name = "LAMBDA", num_args = 1.., default_values_t = [1.0, 0.3, 0.1, 0.04])]
    lambda: Vec<f64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    cli::run("task5_score_ald", &options.common, |session| run(&options, session))
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let steps = options.steps.whole_way(prior.schedule())?;
    let mut images = session.images(&options.problem.images, &prior)?;
    images.truncate(options.problem.count as usize);
    let truth = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
    let (specs, lambdas) = (&options.problem.operator, &options.lambda);
    let mut progress = Progress::new("Score-ALD", specs.len() * lambdas.len() * steps.len());
    let judge = Judge::new()?;
    println!("operator, steps, lambda, PSNR in dB, LPIPS");
    for spec in specs {
        let operator = spec.build(prior.image_shape(), options.common.seed)?;
        let noise = options.problem.measurement_noise();
        let b = measure(operator.as_ref(), &truth, noise, options.common.seed, 0)?;
        let (mut residuals, mut psnrs) = (Vec::new(), Vec::new());
        for &lambda in lambdas {
            let (mut residual, mut psnr) = (Vec::new(), Vec::new());
            let note = observe_with(|view: &StepView<'_>| {
                let t = view.step.t as f64;
                residual.extend(
                    view.residual
                        .map(|norms| (t, f64::from(norms.iter().sum::<f32>()) / norms.len() as f64)),
                );
                psnr.push((t, mean_psnr(view.x0_hat, &truth)));
                Ok(())
            });
            let sigma = options.problem.assumed_sigma();
            let rng = &mut sampler_rng(options.common.seed, 0, 0);
            let observer = &mut (FiniteCheck, &mut progress, note);
            let results = score_ald(
                &prior,
                operator.as_ref(),
                &b,
                Guidance { sigma, lambda },
                &steps,
                rng,
                observer,
            )?;
            progress.next_run();
            let of_one = |(result, image): (ArrayView3<'_, f32>, &NamedImage)| judge.scores(&result, &image.pixels);
            let scores: Vec<Scores> = results
                .axis_iter(Axis(0))
                .zip(&images)
                .map(of_one)
                .collect::<Result<_>>()?;
            let mean = |of: fn(&Scores) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
            let (psnr_at_end, lpips) = (mean(|scores| scores.psnr), mean(|scores| scores.lpips));
            println!("{spec}, {}, {lambda}, {psnr_at_end:.2}, {lpips:.4}", steps.len());
            let label = format!("lambda = {lambda}");
            residuals.push(Series {
                label: label.clone(),
                points: residual,
            });
            psnrs.push(Series { label, points: psnr });
        }
        let time = "time t (the sampler goes from right to left)";
        let figure = curves(&format!("{spec}: ||b - A x0_hat||"), time, "residual", &residuals)?;
        session.save_figure(&figure, &format!("lambdas-residual-{}.png", spec.name()))?;
        let figure = curves(&format!("{spec}: PSNR of x0_hat"), time, "PSNR in dB", &psnrs)?;
        session.save_figure(&figure, &format!("lambdas-psnr-{}.png", spec.name()))?;
    }
    Ok(())
}

/// Mean over the images, in dB; NaN where an image is not finite, which breaks the line in the figure.
fn mean_psnr(images: &Array4<f32>, truth: &Array4<f32>) -> f64 {
    let pairs = images.axis_iter(Axis(0)).zip(truth.axis_iter(Axis(0)));
    let psnr =
        |(image, truth): (ArrayView3<'_, f32>, ArrayView3<'_, f32>)| metrics::psnr(&image, &truth).unwrap_or(f64::NAN);
    pairs.map(psnr).sum::<f64>() / truth.dim().0 as f64
}
