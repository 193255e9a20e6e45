//! DDIM on a prior whose answers are known exactly.

use diffusion::{GaussianModel, Schedule, ScoreModel, Step, StepVariance, Trajectory};
use methods::Sampler;
use methods::samplers::ancestral::Ancestral;
use methods::samplers::ddim::Ddim;
use methods::stepping::Stepping;
use ndarray::{Array4, Zip, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

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

/// A step of ancestral sampling with the posterior's variance, from Bayes' rule: `x_{t-1}` given `x_t` and `x_0` is the
/// product of two Gaussians, whose precisions add up.
fn bayes_step(x_t: &Array4<f32>, x0: &Array4<f32>, z: &Array4<f32>, step: &Step) -> Array4<f32> {
    if step.is_last() {
        return x0.clone();
    }
    let from_x_t = step.alpha / step.beta();
    let from_x0 = 1.0 / (1.0 - step.alpha_bar_prev);
    let variance = 1.0 / (from_x_t + from_x0);
    let (of_x_t, of_x0) = (
        variance * from_x_t / step.alpha.sqrt(),
        variance * from_x0 * step.alpha_bar_prev.sqrt(),
    );
    Zip::from(x_t).and(x0).and(z).map_collect(|&x_t, &x0, &z| {
        (of_x_t * f64::from(x_t) + of_x0 * f64::from(x0) + variance.sqrt() * f64::from(z)) as f32
    })
}

#[test]
fn with_eta_one_each_step_is_the_ancestral_one_with_the_posterior_variance() -> Result {
    let prior = prior()?;
    for num_steps in [1, 7, 60] {
        let mut path = Trajectory::new(num_steps);
        let rng = &mut StdRng::seed_from_u64(1);
        let last = Ddim { eta: 1.0 }.sample(&prior, IMAGES, Stepping::new(num_steps), rng, &mut path)?;
        // The same numbers once more, in the order in which a sampler draws them.
        let rng = &mut StdRng::seed_from_u64(1);
        assert_eq!(path.frames()[0].x_t, normal(rng));
        for (index, frame) in path.frames().iter().enumerate() {
            let step = frame.step.with_variance(StepVariance::Posterior);
            let z = if step.is_last() {
                Array4::zeros((IMAGES, 2, 1, 1))
            } else {
                normal(rng)
            };
            let x0 = prior.posterior_mean(&frame.x_t, step.t)?;
            let expected = bayes_step(&frame.x_t, &x0, &z, &step);
            let found = path.frames().get(index + 1).map_or(&last, |next| &next.x_t);
            // About eight roundings, each half an epsilon, of numbers as large as x_t is. x0_hat at large t is the
            // small difference of two large numbers; as a result it is as far off as those are rounded.
            let enlarged = if step.is_last() {
                1.0 / step.alpha_bar.sqrt()
            } else {
                1.0
            };
            let allowed = 4.0 * f32::EPSILON * largest(&frame.x_t).max(1.0) * enlarged as f32;
            let error = largest(&(found - &expected));
            assert!(
                error <= allowed,
                "{num_steps} steps, t = {}: off by {error:e}, allowed {allowed:e}",
                step.t
            );
        }
    }
    Ok(())
}

#[test]
fn with_eta_one_its_samples_are_those_of_task_3_with_the_posterior_variance() -> Result {
    let prior = prior()?;
    for num_steps in [7, 60] {
        let stepping = Stepping {
            num_steps,
            variance: Some(StepVariance::Posterior),
        };
        let draw = |sampler: &dyn Sampler| {
            let rng = &mut StdRng::seed_from_u64(4);
            sampler.sample(&prior, IMAGES, stepping, rng, &mut ())
        };
        let expected = draw(&Ancestral::DIRECT)?;
        let error = largest(&(draw(&Ddim { eta: 1.0 })? - &expected));
        // Each step rounds numbers up to about 4 a few times; none enlarges what the steps before it left.
        let allowed = 16.0 * f32::EPSILON * num_steps as f32;
        assert!(
            error <= allowed,
            "{num_steps} steps: off by {error:e}, allowed {allowed:e}"
        );
    }
    Ok(())
}

/// Without noise DDIM follows the probability flow, which on a Gaussian prior is known: it keeps the place of each
/// number among all, counted in standard deviations. The steps are those of Euler's method: half as wide, half as far
/// off.
#[test]
fn with_eta_zero_it_approaches_the_exact_flow_of_a_gaussian() -> Result {
    let (mu, v) = (0.4, 0.05_f64);
    let prior = GaussianModel::diagonal(Schedule::linear(), [2, 1, 1], array![mu, mu], array![v, v])?;
    let end = prior.schedule().alpha_bar(1000);
    let exact = normal(&mut StdRng::seed_from_u64(2)).mapv(|x| {
        let deviations = (f64::from(x) - end.sqrt() * mu) / (end * v + 1.0 - end).sqrt();
        (mu + v.sqrt() * deviations) as f32
    });
    let error = |num_steps: usize| -> Result<f32> {
        let rng = &mut StdRng::seed_from_u64(2);
        let found = Ddim::DETERMINISTIC.sample(&prior, IMAGES, Stepping::new(num_steps), rng, &mut ())?;
        Ok(largest(&(found - &exact)))
    };
    let errors = [error(125)?, error(250)?, error(500)?];
    for pair in errors.windows(2) {
        let ratio = pair[0] / pair[1];
        assert!((1.8..2.2).contains(&ratio), "the errors {errors:?} should halve");
    }
    assert!(errors[2] < 0.01, "{errors:?}");
    Ok(())
}

#[test]
fn with_eta_zero_nothing_is_drawn_after_the_start() -> Result {
    let rng = &mut StdRng::seed_from_u64(3);
    Ddim::DETERMINISTIC.sample(&prior()?, IMAGES, Stepping::new(5), rng, &mut ())?;
    let only_start = &mut StdRng::seed_from_u64(3);
    normal(only_start);
    assert_eq!(rng.next_u64(), only_start.next_u64());
    Ok(())
}

#[test]
fn an_eta_out_of_range_is_refused() -> Result {
    let prior = prior()?;
    for eta in [-0.1, 1.5, f64::NAN] {
        let rng = &mut StdRng::seed_from_u64(0);
        let refused = Ddim { eta }.sample(&prior, 1, Stepping::new(5), rng, &mut ());
        assert!(refused.is_err_and(|error| error.to_string().contains("eta must be from 0 to 1")));
    }
    Ok(())
}
