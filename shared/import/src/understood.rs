//! Whether an imported network was understood: what its file does not say can be wrong without a trace in its shapes.

use diffusion::ScoreModel;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The mean squared error of the noise that `prior` predicts in noise alone, at its last time T: there `x_T` is the
/// noise but for a hundredth part. 1 is the error of who always says zero.
///
/// # Errors
///
/// What the device reports.
pub fn noise_error(prior: &dyn ScoreModel) -> anyhow::Result<f64> {
    let [c, h, w] = prior.image_shape();
    let schedule = prior.schedule();
    let t = schedule.num_steps();
    let noise = Array4::random_using((1, c, h, w), StandardNormal, &mut StdRng::seed_from_u64(0));
    let x_t = &noise * (1.0 - schedule.alpha_bar(t)).sqrt() as f32;
    let predicted = prior.score(&x_t, t)? * -(1.0 - schedule.alpha_bar(t)).sqrt() as f32;
    let squares = predicted.iter().zip(&noise).map(|(p, e)| f64::from(p - e).powi(2));
    Ok(squares.sum::<f64>() / noise.len() as f64)
}
