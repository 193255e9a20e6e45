//! How far each sampler lands from the truth with few steps, on a prior that is known exactly: `cargo run -p methods
//! --example compare_samplers`.

use diffusion::{GaussianModel, Schedule};
use methods::registry;
use methods::stepping::Stepping;
use ndarray::array;
use rand::SeedableRng;
use rand::rngs::StdRng;

const MEAN: f64 = 0.4;
const DEVIATION: f64 = 0.2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variances = array![DEVIATION * DEVIATION];
    let prior = GaussianModel::diagonal(Schedule::linear(), [1, 1, 1], array![MEAN], variances)?;
    println!("the prior is a Gaussian: mean {MEAN}, standard deviation {DEVIATION}\n");
    println!("{:<28}{:>6}{:>9}{:>11}", "sampler", "calls", "mean", "deviation");
    for sampler in registry::samplers() {
        for num_steps in [5, 20, 100] {
            let rng = &mut StdRng::seed_from_u64(0);
            let images = sampler.sample(&prior, 20_000, Stepping::new(num_steps), rng, &mut ())?;
            println!(
                "{:<28}{:>6}{:>9.3}{:>11.3}",
                sampler.title(),
                sampler.evaluations(num_steps),
                images.mean().unwrap_or_default(),
                images.std(0.0)
            );
        }
    }
    Ok(())
}
