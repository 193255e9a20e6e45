//! Replays a posterior method on a prior and an operator whose formulas fall apart into one for each pixel: a Gaussian
//! with independent pixels, and a mask. The numbers that the method draws are drawn again, in its order.

use diffusion::{GaussianModel, Schedule, Step, Trajectory};
use imaging::{ForwardOperator, Inpainting};
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem};
use ndarray::{Array1, Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub const SHAPE: [usize; 3] = [1, 2, 3];
pub const IMAGES: usize = 3;
pub const VARIANCE: f64 = 0.3;

pub fn means() -> Array1<f64> {
    array![0.4, -0.2, 0.1, -0.5, 0.3, 0.25]
}

pub fn prior() -> Result<GaussianModel> {
    let variances = Array1::from_elem(6, VARIANCE);
    Ok(GaussianModel::diagonal(Schedule::linear(), SHAPE, means(), variances)?)
}

pub fn mask() -> Result<Inpainting> {
    Ok(Inpainting::from_mask(
        SHAPE,
        &array![[true, false, true], [false, true, false]],
    )?)
}

/// What is known of one pixel at one step.
#[derive(Clone, Copy)]
pub struct Pixel {
    pub step: Step,
    pub x_t: f64,
    pub x0_hat: f64,
    /// Its measurement, where it has one.
    pub b: Option<f64>,
    pub sigma: f64,
    /// `||b - A x0_hat||` of its image.
    pub residual: f64,
}

impl Pixel {
    /// `d x0_hat / d x_t`, from conditioning the Gaussian of `(x_0, x_t)`.
    pub fn slope(&self) -> f64 {
        let a = self.step.alpha_bar;
        a.sqrt() * VARIANCE / (a * VARIANCE + 1.0 - a)
    }

    /// The variance of `x_0` given `x_t`.
    pub fn spread(&self) -> f64 {
        let a = self.step.alpha_bar;
        VARIANCE * (1.0 - a) / (a * VARIANCE + 1.0 - a)
    }

    /// `x_{t-1}` given `x_t` and `x_0`, by Bayes' rule: the product of two Gaussians, whose precisions add up.
    pub fn ancestral(&self, x0: f64, z: f64) -> f64 {
        let (mean, variance) = self.given(x0);
        mean + variance.sqrt() * z
    }

    /// Mean and variance of that.
    pub fn given(&self, x0: f64) -> (f64, f64) {
        let step = &self.step;
        if step.is_last() {
            return (x0, 0.0);
        }
        let (from_x_t, from_x0) = (step.alpha / step.beta(), 1.0 / (1.0 - step.alpha_bar_prev));
        let variance = 1.0 / (from_x_t + from_x0);
        let mean = variance * (from_x_t * self.x_t / step.alpha.sqrt() + from_x0 * step.alpha_bar_prev.sqrt() * x0);
        (mean, variance)
    }

    /// The image's own measurement at the noise of the next time.
    pub fn b_at_next(&self, b: f64, z: f64) -> f64 {
        let a = self.step.alpha_bar_prev;
        a.sqrt() * b + (1.0 - a).sqrt() * z
    }

    /// The noise level after the step, relative to the image.
    pub fn next_level(&self) -> f64 {
        let a = self.step.alpha_bar_prev;
        (1.0 / a - 1.0).sqrt()
    }
}

/// Draws arrays of the images' shape, as a method does.
pub struct Draws(pub StdRng);

impl Draws {
    pub fn next(&mut self) -> Array4<f32> {
        Array4::random_using((IMAGES, 1, 2, 3), StandardNormal, &mut self.0)
    }
}

/// Runs the method and holds each `x_{t-1}` against `expected`, which gets the pixel and, of each array that the method
/// drew for this step, its number; `draws` says how many arrays that is.
pub fn replay(
    method: &dyn PosteriorMethod,
    sigma: f64,
    draws: impl Fn(&Step) -> usize,
    expected: impl Fn(&Pixel, &[f64]) -> f64,
) -> Result {
    let (prior, mask) = (prior()?, mask()?);
    let b = Array4::from_shape_fn((IMAGES, 1, 1, 3), |(i, _, _, m)| 0.53 - 0.3 * i as f32 + 0.2 * m as f32);
    for num_steps in [1, 3, 40] {
        let mut path = Trajectory::new(num_steps);
        let problem = Problem {
            operator: &mask,
            b: &b,
            sigma,
        };
        let rng = &mut StdRng::seed_from_u64(4);
        let last = method.solve(&prior, &problem, Stepping::new(num_steps), rng, &mut path)?;
        let mut again = Draws(StdRng::seed_from_u64(4));
        again.next();
        let measured = mask.vjp(&last, &b)?;
        let seen = mask.vjp(&last, &Array4::ones(b.dim()))?;
        for (index, frame) in path.frames().iter().enumerate() {
            let residual = frame.residual.as_ref().ok_or("no residual")?;
            let drawn: Vec<Array4<f32>> = (0..draws(&frame.step)).map(|_| again.next()).collect();
            let found = path.frames().get(index + 1).map_or(&last, |next| &next.x_t);
            for (place, &found) in found.indexed_iter() {
                let pixel = Pixel {
                    step: frame.step,
                    x_t: f64::from(frame.x_t[place]),
                    x0_hat: f64::from(frame.x0_hat[place]),
                    b: (seen[place] == 1.0).then(|| f64::from(measured[place])),
                    sigma,
                    residual: f64::from(residual[place.0]),
                };
                let numbers: Vec<f64> = drawn.iter().map(|array| f64::from(array[place])).collect();
                let expected = expected(&pixel, &numbers);
                // Some ten roundings; x0_hat at large t is the small difference of two large numbers.
                let allowed = 1e-5 * (1.0 + expected.abs()) / frame.step.alpha_bar.sqrt();
                assert!(
                    (expected - f64::from(found)).abs() <= allowed,
                    "{} with {num_steps} steps, sigma {sigma}, t = {}, {place:?}: expected {expected}, got {found}",
                    method.name(),
                    frame.step.t
                );
            }
        }
    }
    Ok(())
}
