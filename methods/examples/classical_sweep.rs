//! How the classical reconstructions do on the pinned problems, and which weight serves them best.
//!
//! `cargo run -p methods --example classical_sweep -- DATASET`, where DATASET is a folder or zip file with a `test/`
//! part. Looks at every 72nd image of it from the 19th on: images for tuning, which are in no table of results.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use imaging::{ForwardOperator, Noise, OperatorError, load_split, parse_operator, stack};
use methods::posterior::penalised::{Reconstruction, tikhonov, total_variation};
use ndarray::{Array4, Axis};
use rand::SeedableRng;
use rand::rngs::StdRng;

const LAMBDAS: [f64; 10] = [0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1];

const SPECS: [&str; 6] = [
    "inpainting",
    "box-inpainting",
    "deconvolution",
    "motion-blur",
    "super-resolution",
    "compressed-sensing",
];

/// Mean over the images of `10 log10(4 / MSE)`, after clamping to [-1, 1].
fn psnr(images: &Array4<f32>, truth: &Array4<f32>) -> f64 {
    let one = |(image, truth): (ndarray::ArrayView3<'_, f32>, ndarray::ArrayView3<'_, f32>)| {
        let squares: f64 = image
            .iter()
            .zip(truth)
            .map(|(a, b)| f64::from(a.clamp(-1.0, 1.0) - b).powi(2))
            .sum();
        10.0 * (4.0 * truth.len() as f64 / squares).log10()
    };
    let all: Vec<f64> = images
        .axis_iter(Axis(0))
        .zip(truth.axis_iter(Axis(0)))
        .map(one)
        .collect();
    all.iter().sum::<f64>() / all.len() as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("name the data set: a folder or zip file")?,
    );
    let set = load_split(&root, "test", 64, |_, _| ())?;
    let images: Vec<_> = (18..set.count).step_by(72).map(|index| set.array(index)).collect();
    let truth = stack(&images.iter().map(|image| image.view()).collect::<Vec<_>>())?;
    println!("{} images", images.len());

    for spec in SPECS {
        let operator = parse_operator(spec, [3, 64, 64], 0)?;
        let b = Noise::Gaussian { sigma: 0.05 }.add(&operator.apply(&truth)?, &mut StdRng::seed_from_u64(0))?;
        println!("\n{spec}: {}", operator.description());
        println!(
            "  pseudo-inverse {:.2} dB",
            psnr(&operator.linear()?.pseudo_inverse(&b)?, &truth)
        );
        println!("  start image    {:.2} dB", psnr(&operator.start_image(&b)?, &truth));
        type Solver = fn(&dyn ForwardOperator, &Array4<f32>, f64) -> Result<Reconstruction, OperatorError>;
        let solvers: [(&str, Solver); 2] = [
            ("Tikhonov", |operator, b, lambda| tikhonov(operator, b, lambda)),
            ("total variation", |operator, b, lambda| {
                total_variation(operator, b, lambda)
            }),
        ];
        for (name, solve) in solvers {
            for lambda in LAMBDAS {
                let start = Instant::now();
                let solved = solve(&*operator, &b, lambda)?;
                println!(
                    "  {name:<15} lambda {lambda:<6} {:.2} dB, {} iterations, accuracy {:.1e}, {:.1} s",
                    psnr(&solved.images, &truth),
                    solved.iterations,
                    solved.accuracy,
                    start.elapsed().as_secs_f64()
                );
            }
        }
    }
    Ok(())
}
