//! Each step of the posterior methods against its paper's formula, written down once more for single numbers.
//!
//! The prior is Gaussian with independent pixels and the operator a mask, so that every formula falls apart into one for
//! each pixel; the numbers that a method draws are drawn again, in its order.

use diffusion::{GaussianModel, Schedule, ScoreModel, Step, Trajectory};
use imaging::{ForwardOperator, Inpainting};
use methods::posterior::ddnm::Ddnm;
use methods::posterior::ddnm_plus::DdnmPlus;
use methods::posterior::ddrm::Ddrm;
use methods::posterior::diffpir::{DiffPir, DiffPirSettings};
use methods::posterior::ilvr::Ilvr;
use methods::posterior::mcg::Mcg;
use methods::posterior::moment_matching::MomentMatching;
use methods::posterior::pigdm::Pigdm;
use methods::posterior::red_diff::{RedDiff, RedDiffSettings};
use methods::posterior::score_sde::ScoreSde;
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem};
use ndarray::{Array1, Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SHAPE: [usize; 3] = [1, 2, 3];
const IMAGES: usize = 3;
const VARIANCE: f64 = 0.3;

fn means() -> Array1<f64> {
    array![0.4, -0.2, 0.1, -0.5, 0.3, 0.25]
}

fn prior() -> Result<GaussianModel> {
    let variances = Array1::from_elem(6, VARIANCE);
    Ok(GaussianModel::diagonal(Schedule::linear(), SHAPE, means(), variances)?)
}

fn mask() -> Result<Inpainting> {
    Ok(Inpainting::from_mask(
        SHAPE,
        &array![[true, false, true], [false, true, false]],
    )?)
}

/// What is known of one pixel at one step.
#[derive(Clone, Copy)]
struct Pixel {
    step: Step,
    x_t: f64,
    x0_hat: f64,
    /// Its measurement, where it has one.
    b: Option<f64>,
    sigma: f64,
    /// `||b - A x0_hat||` of its image.
    residual: f64,
}

impl Pixel {
    /// `d x0_hat / d x_t`, from conditioning the Gaussian of `(x_0, x_t)`.
    fn slope(&self) -> f64 {
        let a = self.step.alpha_bar;
        a.sqrt() * VARIANCE / (a * VARIANCE + 1.0 - a)
    }

    /// The variance of `x_0` given `x_t`.
    fn spread(&self) -> f64 {
        let a = self.step.alpha_bar;
        VARIANCE * (1.0 - a) / (a * VARIANCE + 1.0 - a)
    }

    /// `x_{t-1}` given `x_t` and `x_0`, by Bayes' rule: the product of two Gaussians, whose precisions add up.
    fn ancestral(&self, x0: f64, z: f64) -> f64 {
        let (mean, variance) = self.given(x0);
        mean + variance.sqrt() * z
    }

    /// Mean and variance of that.
    fn given(&self, x0: f64) -> (f64, f64) {
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
    fn b_at_next(&self, b: f64, z: f64) -> f64 {
        let a = self.step.alpha_bar_prev;
        a.sqrt() * b + (1.0 - a).sqrt() * z
    }

    /// The noise level after the step, relative to the image.
    fn next_level(&self) -> f64 {
        let a = self.step.alpha_bar_prev;
        (1.0 / a - 1.0).sqrt()
    }
}

/// Draws arrays of the images' shape, as a method does.
struct Draws(StdRng);

impl Draws {
    fn next(&mut self) -> Array4<f32> {
        Array4::random_using((IMAGES, 1, 2, 3), StandardNormal, &mut self.0)
    }
}

/// Runs the method and holds each `x_{t-1}` against `expected`, which gets the pixel and, of each array that the method
/// drew for this step, its number; `draws` says how many arrays that is.
fn replay(
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

/// What is drawn for the ancestral step.
fn of_ancestral(step: &Step) -> usize {
    usize::from(!step.is_last())
}

#[test]
fn score_sde_replaces_what_a_mask_leaves() -> Result {
    for sigma in [0.0, 0.05] {
        let heard = |step: &Step| (1.0 / step.alpha_bar_prev - 1.0).sqrt() >= sigma;
        let draws = |step: &Step| of_ancestral(step) + usize::from(!step.is_last() && heard(step));
        replay(&ScoreSde, sigma, draws, |pixel, z| {
            let x = pixel.ancestral(pixel.x0_hat, z.first().copied().unwrap_or(0.0));
            match pixel.b {
                Some(b) if heard(&pixel.step) => pixel.b_at_next(b, z.get(1).copied().unwrap_or(0.0)),
                _ => x,
            }
        })?;
    }
    Ok(())
}

/// What ILVR and MCG make of a measured pixel: the more of the measurement, the noisier the image is than it.
fn replaced(pixel: &Pixel, x: f64, b: f64, z: f64) -> f64 {
    match (pixel.sigma, pixel.next_level()) {
        (0.0, _) => pixel.b_at_next(b, z),
        (_, 0.0) => x,
        (sigma, level) => {
            let weight = level * level / (level * level + sigma * sigma);
            x + weight * (pixel.b_at_next(b, z) - x)
        }
    }
}

/// What is drawn for the step and the measurement at its end.
fn of_both(step: &Step) -> usize {
    of_ancestral(step) * 2
}

#[test]
fn ilvr_replaces_it_with_the_slack_of_the_noise() -> Result {
    for sigma in [0.0, 0.3] {
        replay(&Ilvr, sigma, of_both, |pixel, z| {
            let x = pixel.ancestral(pixel.x0_hat, z.first().copied().unwrap_or(0.0));
            let z = z.get(1).copied().unwrap_or(0.0);
            pixel.b.map_or(x, |b| replaced(pixel, x, b, z))
        })?;
    }
    Ok(())
}

#[test]
fn mcg_goes_down_the_gradient_and_then_replaces() -> Result {
    let kind = mask()?.kind();
    for sigma in [0.0, 0.3] {
        // The runs of 1, 3 and 40 steps are told apart by the width of a step.
        let alpha = |step: &Step| match step.t - step.t_prev {
            1000 => task6_dps::tuned(kind, 1),
            300.. => task6_dps::tuned(kind, 3),
            _ => task6_dps::tuned(kind, 40),
        };
        replay(&Mcg, sigma, of_both, |pixel, z| {
            let x = pixel.ancestral(pixel.x0_hat, z.first().copied().unwrap_or(0.0));
            let z = z.get(1).copied().unwrap_or(0.0);
            pixel.b.map_or(x, |b| {
                let x = x - alpha(&pixel.step) * gradient_of_norm(pixel, b);
                replaced(pixel, x, b, z)
            })
        })?;
    }
    Ok(())
}

/// Of `||b - A x0_hat||` with respect to `x_t`.
fn gradient_of_norm(pixel: &Pixel, b: f64) -> f64 {
    -(b - pixel.x0_hat) / pixel.residual * pixel.slope()
}

#[test]
fn moment_matching_takes_the_exact_score_of_the_measurement() -> Result {
    for sigma in [0.0, 0.3] {
        // One round solves for all pixels at once, as all have one variance.
        replay(
            &MomentMatching::ONE_ROUND,
            sigma,
            |_| 1,
            |pixel, z| {
                let a = pixel.step.alpha_bar;
                let of_prior = (a.sqrt() * pixel.x0_hat - pixel.x_t) / (1.0 - a);
                let of_b = pixel.b.map_or(0.0, |b| {
                    pixel.slope() * (b - pixel.x0_hat) / (pixel.spread() + sigma * sigma)
                });
                let climbed = pixel.x_t + pixel.step.beta() * (of_prior + of_b);
                climbed / pixel.step.alpha.sqrt() + pixel.step.sigma * z[0]
            },
        )?;
    }
    Ok(())
}

#[test]
fn pigdm_adds_its_guidance_to_a_step_of_ddim() -> Result {
    for (sigma, eta) in [(0.0, 1.0), (0.3, 1.0), (0.3, 0.4)] {
        replay(
            &Pigdm { eta },
            sigma,
            |_| 1,
            |pixel, z| {
                let (a, a_next) = (pixel.step.alpha_bar, pixel.step.alpha_bar_prev);
                let c_1 = eta * pixel.given(0.0).1.sqrt();
                let c_2 = (1.0 - a_next - c_1 * c_1).sqrt();
                let eps_hat = (pixel.x_t - a.sqrt() * pixel.x0_hat) / (1.0 - a).sqrt();
                let g = pixel.b.map_or(0.0, |b| {
                    pixel.slope() * (b - pixel.x0_hat) / (1.0 + sigma * sigma / (1.0 - a))
                });
                a_next.sqrt() * pixel.x0_hat + c_1 * z[0] + c_2 * eps_hat + a.sqrt() * g
            },
        )?;
    }
    Ok(())
}

#[test]
fn ddnm_takes_what_is_measured_as_it_is() -> Result {
    replay(
        &Ddnm { eta: 0.6 },
        0.05,
        |_| 1,
        |pixel, z| {
            let (a, a_next) = (pixel.step.alpha_bar, pixel.step.alpha_bar_prev);
            let eps_hat = (pixel.x_t - a.sqrt() * pixel.x0_hat) / (1.0 - a).sqrt();
            a_next.sqrt() * pixel.b.unwrap_or(pixel.x0_hat) + (1.0 - a_next).sqrt() * (0.8 * eps_hat + 0.6 * z[0])
        },
    )
}

/// The coefficient of DDRM at the next time.
fn ddrm(Ddrm { eta, eta_b }: Ddrm, pixel: &Pixel, z: f64) -> f64 {
    let (a, level, sigma) = (pixel.step.alpha_bar, pixel.next_level(), pixel.sigma);
    let keep = (1.0 - eta * eta).sqrt() * level;
    let next = match pixel.b {
        Some(b) if level >= sigma => {
            let fresh = (level * level - (eta_b * sigma).powi(2)).sqrt();
            (1.0 - eta_b) * pixel.x0_hat + eta_b * b + fresh * z
        }
        Some(b) => pixel.x0_hat + keep * (b - pixel.x0_hat) / sigma + eta * level * z,
        None => {
            let noise = (pixel.x_t / a.sqrt() - pixel.x0_hat) / (1.0 / a - 1.0).sqrt();
            pixel.x0_hat + keep * noise + eta * level * z
        }
    };
    pixel.step.alpha_bar_prev.sqrt() * next
}

#[test]
fn ddrm_weighs_measurement_and_image_by_their_noise() -> Result {
    for sigma in [0.0, 0.05, 0.5] {
        for method in [Ddrm::PUBLISHED, Ddrm { eta: 0.3, eta_b: 0.6 }] {
            replay(&method, sigma, |_| 1, |pixel, z| ddrm(method, pixel, z[0]))?;
        }
    }
    Ok(())
}

#[test]
fn ddnm_plus_takes_that_step_and_travels_back_in_time() -> Result {
    for sigma in [0.0, 0.3] {
        let method = DdnmPlus { eta: 0.5, repeats: 1 };
        let as_ddrm = Ddrm { eta: 0.5, eta_b: 1.0 };
        replay(&method, sigma, |_| 1, |pixel, z| ddrm(as_ddrm, pixel, z[0]))?;
    }
    Ok(())
}

#[test]
fn diffpir_weighs_them_by_a_proximal_map() -> Result {
    for sigma in [0.0, 0.3] {
        let settings = DiffPirSettings { lambda: 2.0, zeta: 0.7 };
        let method = DiffPir {
            settings: Some(settings),
        };
        replay(
            &method,
            sigma,
            |_| 1,
            |pixel, z| {
                let a = pixel.step.alpha_bar;
                let rho = 2.0 * sigma * sigma * a / (1.0 - a);
                let x0 = pixel.b.map_or(pixel.x0_hat, |b| (b + rho * pixel.x0_hat) / (1.0 + rho));
                let eps = (pixel.x_t - a.sqrt() * x0) / (1.0 - a).sqrt();
                let noise = 0.3_f64.sqrt() * eps + 0.7_f64.sqrt() * z[0];
                pixel.step.alpha_bar_prev.sqrt() * x0 + (1.0 - pixel.step.alpha_bar_prev).sqrt() * noise
            },
        )?;
    }
    Ok(())
}

#[test]
fn the_first_step_of_red_diff_goes_down_its_sum_as_far_as_adam_goes() -> Result {
    let (prior, mask) = (prior()?, mask()?);
    let b = Array4::from_shape_fn((IMAGES, 1, 1, 3), |(i, _, _, m)| 0.53 - 0.3 * i as f32 + 0.2 * m as f32);
    let problem = Problem {
        operator: &mask,
        b: &b,
        sigma: 0.05,
    };
    let (lambda, rate) = (0.1, 0.1);
    let method = RedDiff {
        settings: Some(RedDiffSettings { lambda, rate }),
    };
    let rng = &mut StdRng::seed_from_u64(4);
    let found = method.solve(&prior, &problem, Stepping::new(1), rng, &mut ())?;
    let eps = Draws(StdRng::seed_from_u64(4)).next();
    let mu = mask.start_image(&b)?;
    let a = prior.schedule().alpha_bar(1000);
    for (place, &mu) in mu.indexed_iter() {
        let (mu, eps) = (f64::from(mu), f64::from(eps[place]));
        let x_t = a.sqrt() * mu + (1.0 - a).sqrt() * eps;
        let mean = means()[place.2 * 3 + place.3];
        let eps_hat = (1.0 - a).sqrt() * (x_t - a.sqrt() * mean) / (a * VARIANCE + 1.0 - a);
        // The start image explains its measurement: only the network has something to say.
        let downhill = lambda * (1.0 / a - 1.0).sqrt() * (eps_hat - eps);
        let expected = mu - rate * downhill.signum();
        assert!((expected - f64::from(found[place])).abs() < 1e-4, "{place:?}");
    }
    Ok(())
}
