//! Each step of the posterior methods against its paper's formula, written down once more for single numbers.

use diffusion::{ScoreModel, Step};
use imaging::ForwardOperator;
use methods::posterior::ddnm::Ddnm;
use methods::posterior::ddnm_plus::DdnmPlus;
use methods::posterior::ddrm::Ddrm;
use methods::posterior::diffpir::DiffPir;
use methods::posterior::ilvr::Ilvr;
use methods::posterior::mcg::Mcg;
use methods::posterior::moment_matching::MomentMatching;
use methods::posterior::pigdm::Pigdm;
use methods::posterior::red_diff::{RedDiff, RedDiffSettings};
use methods::posterior::score_sde::ScoreSde;
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem};
use ndarray::Array4;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::replay::{Draws, IMAGES, Pixel, Result, VARIANCE, mask, means, prior, replay};

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
        replay(&Mcg::TUNED, sigma, of_both, |pixel, z| {
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
        let method = DiffPir { lambda: 2.0, zeta: 0.7 };
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
