//! The posterior of an image of two pixels under a Gaussian prior, which is known exactly: what a sampler of
//! posteriors is compared with.
//!
//! ```text
//! cargo run -p diffusion --example closed_form_posterior
//! ```

use diffusion::{GaussianModel, Schedule};
use ndarray::{Array4, array};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two pixels that are alike: where one is bright, so is the other.
    let covariance = array![[0.25, 0.20], [0.20, 0.25]];
    let prior = GaussianModel::new(Schedule::linear(), [1, 1, 2], array![0.0, 0.0], covariance)?;
    // All that is known is a noisy image, bright at the left and dark at the right.
    let x_t = Array4::from_shape_vec((1, 1, 1, 2), vec![0.8, -0.2])?;

    println!("   t   E[x_0 | x_t]       std   correlation");
    for t in [1, 30, 100, 300, 1000] {
        let (mean, covariance) = (prior.posterior_mean(&x_t, t)?, prior.posterior_covariance(t));
        let (left, right) = (mean[[0, 0, 0, 0]], mean[[0, 0, 0, 1]]);
        let (variance, common) = (covariance[[0, 0]], covariance[[0, 1]]);
        println!(
            "{t:4}   {left:+.3}, {right:+.3}     {:.3}   {:.3}",
            variance.sqrt(),
            common / variance
        );
    }
    println!("The more noise, the less the image says, until only the prior is left.");
    Ok(())
}
