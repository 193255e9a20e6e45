//! How the classical reconstructions do, and which weight serves them best.
//!
//! `cargo run -p methods --example classical_sweep -- DATASET [OPERATOR ...]`, where DATASET is a folder or zip file
//! with a `test/` part. Looks at every 72nd image of it from the 19th on: images for tuning, which are in no
//! table of results.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use imaging::{ForwardOperator, Noise, OperatorError, load_split, measure, parse_operator, stack};
use methods::posterior::penalised::{Reconstruction, tikhonov, total_variation};
use ndarray::{Array4, ArrayRef4};

const LAMBDAS: [f64; 10] = [0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1];

const OPERATORS: [&str; 8] = [
    "inpainting",
    "box-inpainting",
    "deconvolution",
    "motion-blur",
    "super-resolution",
    "compressed-sensing",
    "tomography",
    "fourier",
];

type Solver = fn(&dyn ForwardOperator, &ArrayRef4<f32>, f64) -> Result<Reconstruction, OperatorError>;
const SOLVERS: [(&str, Solver); 2] = [("Tikhonov", tikhonov), ("total variation", total_variation)];

/// The mean over the images, in dB.
fn psnr(images: &Array4<f32>, truth: &Array4<f32>) -> Result<f64, Box<dyn Error>> {
    let mut sum = 0.0;
    for (image, truth) in images.outer_iter().zip(truth.outer_iter()) {
        sum += metrics::psnr(&image, &truth)?;
    }
    Ok(sum / images.dim().0 as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (root, named) = arguments
        .split_first()
        .ok_or("name the data set: a folder or zip file")?;
    let set = load_split(Path::new(root), "test", 64, |_, _| ())?;
    let images: Vec<_> = (18..set.count).step_by(72).map(|index| set.array(index)).collect();
    let truth = stack(&images.iter().map(|image| image.view()).collect::<Vec<_>>())?;
    println!("{} images", images.len());

    let all = || OPERATORS.map(str::to_owned).to_vec();
    for name in if named.is_empty() { all() } else { named.to_vec() } {
        let operator = parse_operator(&name, [3, 64, 64], 0)?;
        let b = measure(&*operator, &truth, Noise::Gaussian { sigma: 0.05 }, 0, 0)?;
        println!("\n{name}: {}", operator.description());
        let inverse = operator.linear()?.pseudo_inverse(&b)?;
        println!("  pseudo-inverse {:.2} dB", psnr(&inverse, &truth)?);
        println!("  start image    {:.2} dB", psnr(&operator.start_image(&b)?, &truth)?);
        for (solver, solve) in SOLVERS {
            for lambda in LAMBDAS {
                let start = Instant::now();
                let solved = solve(&*operator, &b, lambda)?;
                println!(
                    "  {solver:<15} lambda {lambda:<6} {:.2} dB, {} iterations, accuracy {:.1e}, {:.1} s",
                    psnr(&solved.images, &truth)?,
                    solved.iterations,
                    solved.accuracy,
                    start.elapsed().as_secs_f64()
                );
            }
        }
    }
    Ok(())
}
