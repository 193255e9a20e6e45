//! The samplers with more than one answer to a step: what they become in a limit, and what they refuse.

use diffusion::{GaussianModel, Schedule, ScoreModel, Spacing, Step, StepVariance, Trajectory};
use methods::samplers::ddim::Ddim;
use methods::samplers::dpm_solver::{DpmSolver, Equation};
use methods::samplers::edm::{Churn, Edm};
use methods::samplers::flow::Flow;
use methods::stepping::Stepping;
use methods::{Sampler, registry};
use ndarray::{Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bayes::bayes_step;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const IMAGES: usize = 16;

fn prior() -> Result<GaussianModel> {
    let (mean, covariance) = (array![0.4, -0.6], array![[0.30, 0.12], [0.12, 0.10]]);
    Ok(GaussianModel::new(Schedule::linear(), [2, 1, 1], mean, covariance)?)
}

fn normal(rng: &mut StdRng) -> Array4<f32> {
    Array4::random_using((IMAGES, 2, 1, 1), StandardNormal, rng)
}

fn largest(array: &Array4<f32>) -> f32 {
    array.iter().fold(0.0, |m, v| m.max(v.abs()))
}

fn draw(sampler: &dyn Sampler, num_steps: usize) -> Result<Array4<f32>> {
    let rng = &mut StdRng::seed_from_u64(1);
    Ok(sampler.sample(&prior()?, IMAGES, Stepping::new(num_steps), rng, &mut ())?)
}

#[test]
fn with_one_step_every_sampler_returns_the_clean_image_that_is_expected() -> Result {
    let prior = prior()?;
    let x_start = normal(&mut StdRng::seed_from_u64(1));
    let expected = prior.posterior_mean(&x_start, 1000)?;
    // x0_hat is the small difference of numbers that are 1 / sqrt(alpha_bar) = 157 times as large.
    let allowed = 8.0 * f32::EPSILON * largest(&x_start) / prior.schedule().alpha_bar(1000).sqrt() as f32;
    for sampler in registry::samplers() {
        let error = largest(&(draw(*sampler, 1)? - &expected));
        assert!(
            error < allowed,
            "{}: off by {error:e}, allowed {allowed:e}",
            sampler.name()
        );
    }
    Ok(())
}

#[test]
fn with_three_steps_every_sampler_returns_numbers() -> Result {
    for sampler in registry::samplers() {
        assert!(
            draw(*sampler, 3)?.iter().all(|value| value.is_finite()),
            "{}",
            sampler.name()
        );
    }
    Ok(())
}

#[test]
fn a_number_of_steps_that_the_schedule_does_not_have_is_refused() -> Result {
    for sampler in registry::samplers() {
        for num_steps in [0, 1001] {
            let rng = &mut StdRng::seed_from_u64(0);
            let refused = sampler.sample(&prior()?, 1, Stepping::new(num_steps), rng, &mut ());
            let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
            let expected = format!("cannot take {num_steps} steps from t = 1000: ask for 1 to 1000");
            assert_eq!(message, expected, "{}", sampler.name());
        }
    }
    Ok(())
}

/// Scale and pace of a path are no matter to Euler's method: in EDM's letters and on the straight path it takes DDIM's
/// step (Song et al. 2021, Eq. 12 with sigma = 0). Only the stops differ.
#[test]
fn a_step_of_eulers_method_is_ddims_in_all_letters() -> Result {
    let prior = prior()?;
    let samplers: [&dyn Sampler; 3] = [&Ddim::DETERMINISTIC, &Edm::EULER, &Flow::EULER];
    for sampler in samplers {
        let mut path = Trajectory::new(9);
        let rng = &mut StdRng::seed_from_u64(1);
        let last = sampler.sample(&prior, IMAGES, Stepping::new(9), rng, &mut path)?;
        for (index, frame) in path.frames().iter().enumerate() {
            let Step {
                alpha_bar,
                alpha_bar_prev,
                ..
            } = frame.step;
            let eps = (&frame.x_t - &frame.x0_hat * alpha_bar.sqrt() as f32) / (1.0 - alpha_bar).sqrt() as f32;
            let expected = &frame.x0_hat * alpha_bar_prev.sqrt() as f32 + eps * (1.0 - alpha_bar_prev).sqrt() as f32;
            let found = path.frames().get(index + 1).map_or(&last, |next| &next.x_t);
            let error = largest(&(found - &expected));
            let allowed = 32.0 * f32::EPSILON * largest(&frame.x0_hat).max(largest(&frame.x_t));
            assert!(
                error <= allowed,
                "{}, t = {}: off by {error:e}",
                sampler.name(),
                frame.step.t
            );
        }
    }
    Ok(())
}

/// Two steps: one of first order, and the last. On the same stops those are DDIM's, without noise or with all of it.
#[test]
fn of_first_order_the_dpm_solver_is_ddim() -> Result {
    for (equation, eta) in [(Equation::Ode, 0.0), (Equation::Sde, 1.0)] {
        let spacing = Spacing::Time;
        let error = largest(&(draw(&DpmSolver { equation, spacing }, 2)? - draw(&Ddim { eta }, 2)?));
        assert!(error < 32.0 * f32::EPSILON, "{equation:?}: off by {error:e}");
    }
    Ok(())
}

/// Each step of the SDE's solver is the ancestral one of Bayes' rule towards the clean image `D` that its last two
/// answers point to.
#[test]
fn the_solver_of_the_sde_takes_ancestral_steps_towards_the_extrapolated_image() -> Result {
    let prior = prior()?;
    let num_steps = 7;
    let mut path = Trajectory::new(num_steps);
    let rng = &mut StdRng::seed_from_u64(2);
    let last = DpmSolver::SDE.sample(&prior, IMAGES, Stepping::new(num_steps), rng, &mut path)?;
    let rng = &mut StdRng::seed_from_u64(2);
    assert_eq!(path.frames()[0].x_t, normal(rng));
    let lambda = |alpha_bar: f64| 0.5 * (alpha_bar / (1.0 - alpha_bar)).ln();
    for (index, frame) in path.frames().iter().enumerate() {
        let step = frame.step.with_variance(StepVariance::Posterior);
        let halfway = |before: &Step| {
            let slope_width = lambda(step.alpha_bar) - lambda(before.alpha_bar);
            (lambda(step.alpha_bar_prev) - lambda(step.alpha_bar)) / 2.0 / slope_width
        };
        let x0 = match index.checked_sub(1).map(|before| &path.frames()[before]) {
            Some(before) if !step.is_last() => {
                &frame.x0_hat + &((&frame.x0_hat - &before.x0_hat) * halfway(&before.step) as f32)
            }
            _ => frame.x0_hat.clone(),
        };
        let z = if step.is_last() {
            Array4::zeros((IMAGES, 2, 1, 1))
        } else {
            normal(rng)
        };
        let expected = bayes_step(&frame.x_t, &x0, &z, &step);
        let found = path.frames().get(index + 1).map_or(&last, |next| &next.x_t);
        let error = largest(&(found - &expected));
        let allowed = 16.0 * f32::EPSILON * largest(&x0).max(largest(&frame.x_t));
        assert!(
            error <= allowed,
            "t = {}: off by {error:e}, allowed {allowed:e}",
            step.t
        );
    }
    Ok(())
}

#[test]
fn churning_asks_at_noisier_times_and_only_in_its_range() -> Result {
    let prior = prior()?;
    let times = |churn: Churn| -> Result<Vec<usize>> {
        let mut path = Trajectory::new(100);
        let rng = &mut StdRng::seed_from_u64(0);
        let sampler = Edm { churn, ..Edm::EULER };
        sampler.sample(&prior, 1, Stepping::new(20), rng, &mut path)?;
        Ok(path.frames().iter().map(|frame| frame.step.t).collect())
    };
    let still = times(Churn::NONE)?;
    let churn = Churn {
        s_churn: 4.0,
        ..Churn::IMAGENET
    };
    let sigma = |t: usize| prior.schedule().noise_level(t);
    for (&t, &churned) in still.iter().zip(&times(churn)?).skip(1) {
        let gamma: f64 = if (churn.s_min..=churn.s_max).contains(&sigma(t)) {
            0.2
        } else {
            0.0
        };
        let ratio = sigma(churned) / sigma(t);
        // From one whole time to the next sigma grows by a per cent or more where there is little noise.
        let gap = sigma(churned + 1).ln() - sigma(churned).ln();
        assert!((ratio.ln() - (1.0 + gamma).ln()).abs() <= gap / 1.9, "t = {t}: {ratio}");
    }
    // More than sqrt(2) - 1 in one step is not put back.
    let most = times(Churn { s_churn: 1e6, ..churn })?;
    let middle = still.len() / 2;
    let ratio = sigma(most[middle]) / sigma(still[middle]);
    assert!((ratio - 2.0_f64.sqrt()).abs() < 0.01, "{ratio}");
    Ok(())
}

#[test]
fn without_churn_no_number_is_drawn_after_the_start() -> Result {
    let ignored = Churn {
        s_churn: 0.0,
        ..Churn::IMAGENET
    };
    assert_eq!(
        draw(
            &Edm {
                churn: ignored,
                ..Edm::HEUN
            },
            9
        )?,
        draw(&Edm::HEUN, 9)?
    );
    assert_ne!(draw(&Edm::HEUN_CHURN, 9)?, draw(&Edm::HEUN, 9)?);
    Ok(())
}

#[test]
fn settings_out_of_range_are_refused() -> Result {
    let with = |s_churn: f64, s_noise: f64| Edm {
        churn: Churn {
            s_churn,
            s_noise,
            ..Churn::IMAGENET
        },
        ..Edm::HEUN
    };
    let cases = [
        (Edm { rho: 0.0, ..Edm::HEUN }, "heun: rho must be greater than 0, is 0"),
        (
            Edm {
                rho: f64::NAN,
                ..Edm::EULER
            },
            "euler: rho must be greater than 0, is NaN",
        ),
        (with(-1.0, 1.0), "heun: s_churn must be 0 or greater, is -1"),
        (
            with(40.0, f64::INFINITY),
            "heun-churn: s_noise must be 0 or greater, is inf",
        ),
    ];
    for (sampler, expected) in cases {
        let message = draw(&sampler, 5).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(message, expected);
    }
    let spacing = Spacing::Karras { rho: -7.0 };
    let message = draw(
        &DpmSolver {
            spacing,
            ..DpmSolver::ODE
        },
        5,
    )
    .map_or_else(|error| error.to_string(), |_| String::new());
    assert_eq!(message, "dpmpp-2m: rho must be greater than 0, is -7");
    Ok(())
}
