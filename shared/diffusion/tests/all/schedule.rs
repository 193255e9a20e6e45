//! The schedule, its respacing, the forward process and the conversions.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use checks::expect_close;
use diffusion::{Schedule, ScheduleError, StepVariance, forward_kernel, score_from_noise};
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};

fn noise(seed: u64, shape: (usize, usize, usize, usize)) -> Array4<f32> {
    Array4::random_using(shape, StandardNormal, &mut StdRng::seed_from_u64(seed))
}

#[test]
fn linear_values() {
    let schedule = Schedule::linear();
    assert_eq!(schedule.num_steps(), 1000);
    assert_eq!(schedule.alpha_bar(0), 1.0);
    assert_relative_eq!(schedule.beta(1), 1e-4);
    assert_relative_eq!(schedule.beta(1000), 0.02);
    assert_relative_eq!(schedule.alpha(1), 0.9999);
    // The sum of the logarithms, a sum of its own.
    let log: f64 = (1..=1000)
        .map(|t| (-(1e-4 + (0.02 - 1e-4) * (t - 1) as f64 / 999.0)).ln_1p())
        .sum();
    assert_relative_eq!(schedule.alpha_bar(1000), log.exp(), max_relative = 1e-12);
    assert_relative_eq!(schedule.alpha_bar(1000), 4.0358e-5, max_relative = 1e-4);
    for t in 1..=1000 {
        assert!(schedule.alpha_bar(t) < schedule.alpha_bar(t - 1));
    }
}

#[test]
fn cosine_values() {
    let schedule = Schedule::cosine(1000).unwrap();
    let f = |x: f64| ((x + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    for t in [1, 250, 500, 900] {
        let exact = f(t as f64 / 1000.0) / f(0.0);
        assert_relative_eq!(schedule.alpha_bar(t), exact, max_relative = 1e-10);
    }
    assert_relative_eq!(schedule.beta(1000), 0.999);
    assert!(schedule.alpha_bar(1000) > 0.0);
}

#[test]
fn odd_schedules() {
    assert_eq!(Schedule::linear_with(0, 0.1, 0.2), Err(ScheduleError::Empty));
    assert_eq!(Schedule::cosine(0), Err(ScheduleError::Empty));
    assert_eq!(
        Schedule::linear_with(2, 0.1, 1.0),
        Err(ScheduleError::Beta { t: 2, beta: 1.0 })
    );
    assert!(matches!(
        Schedule::linear_with(2, f64::NAN, 0.5),
        Err(ScheduleError::Beta { t: 1, .. })
    ));
    let one = Schedule::linear_with(1, 0.3, 0.9).unwrap();
    assert_relative_eq!(one.alpha_bar(1), 0.7);
    assert_eq!(one.steps(1).unwrap().len(), 1);
}

#[test]
#[should_panic(expected = "not for t = 1001")]
fn alpha_bar_beyond_the_end() {
    let _ = Schedule::linear().alpha_bar(1001);
}

#[test]
#[should_panic(expected = "not for t = 0")]
fn beta_at_zero() {
    let _ = Schedule::linear().beta(0);
}

#[test]
fn all_steps() {
    let schedule = Schedule::linear();
    let steps = schedule.steps(1000).unwrap();
    assert_eq!(steps.len(), 1000);
    for (i, step) in steps.iter().enumerate() {
        assert_eq!((step.t, step.t_prev), (1000 - i, 999 - i));
        assert_eq!(step.alpha, schedule.alpha(step.t));
        assert_eq!(step.is_last(), step.t == 1);
    }
    assert_eq!(steps[999].alpha_bar_prev, 1.0);
}

#[test]
fn a_pause_stays_where_it_is() {
    let steps = Schedule::linear().steps(50).unwrap();
    for pause in steps.iter().map(|step| step.pause()) {
        assert_eq!((pause.t_prev, pause.alpha_bar_prev), (pause.t, pause.alpha_bar));
        assert_eq!((pause.alpha, pause.beta(), pause.sigma), (1.0, 0.0, 0.0));
        assert!(!pause.is_last());
        for variance in [StepVariance::Beta, StepVariance::Posterior] {
            assert_eq!(pause.with_variance(variance), pause);
        }
    }
}

#[test]
fn respaced_steps() {
    let schedule = Schedule::linear();
    for t_start in [1, 2, 3, 7, 300, 999, 1000] {
        for n in (1..=t_start.min(60)).chain([t_start - t_start / 3, t_start]) {
            let steps = schedule.steps_from(t_start, n).unwrap();
            assert_eq!(steps.len(), n);
            assert_eq!(steps[0].t, t_start);
            assert_eq!(steps[n - 1].t_prev, 0);
            assert!(steps[n - 1].is_last());
            let mut product = 1.0;
            for (i, step) in steps.iter().enumerate() {
                assert!(step.t_prev < step.t);
                if i > 0 {
                    assert_eq!(step.t, steps[i - 1].t_prev);
                }
                // As even as whole numbers allow.
                let gap = t_start as f64 / n as f64;
                assert!(((step.t - step.t_prev) as f64 - gap).abs() < 1.0 + 1e-9);
                assert_relative_eq!(step.alpha * step.alpha_bar_prev, step.alpha_bar, max_relative = 1e-12);
                assert_relative_eq!(step.beta(), 1.0 - step.alpha);
                product *= step.alpha;
            }
            assert_relative_eq!(product, schedule.alpha_bar(t_start), max_relative = 1e-9);
        }
    }
    let single = schedule.steps(1).unwrap()[0];
    assert_eq!(
        (single.t, single.t_prev, single.alpha),
        (1000, 0, schedule.alpha_bar(1000))
    );
    assert_eq!(
        schedule.steps(0),
        Err(ScheduleError::Steps {
            asked: 0,
            t_start: 1000
        })
    );
    assert_eq!(
        schedule.steps(1001),
        Err(ScheduleError::Steps {
            asked: 1001,
            t_start: 1000
        })
    );
    assert_eq!(
        schedule.steps_from(10, 11),
        Err(ScheduleError::Steps { asked: 11, t_start: 10 })
    );
    assert!(matches!(schedule.steps_from(0, 1), Err(ScheduleError::Start { .. })));
    assert!(matches!(schedule.steps_from(1001, 1), Err(ScheduleError::Start { .. })));
}

#[test]
fn sigma_by_both_rules() {
    let schedule = Schedule::linear();
    for n in [1000, 250, 25, 2] {
        for step in schedule.steps(n).unwrap() {
            let beta = step.with_variance(StepVariance::Beta);
            let posterior = step.with_variance(StepVariance::Posterior);
            if step.is_last() {
                assert_eq!((beta.sigma, posterior.sigma), (0.0, 0.0));
                continue;
            }
            // To the bit what a step function had that took the root itself.
            assert_eq!(beta.sigma, (1.0 - step.alpha).sqrt());
            // From the alpha_bars alone: alpha_bar_t is alpha_t alpha_bar_{t-1}.
            let (a, prev) = (step.alpha_bar, step.alpha_bar_prev);
            assert_relative_eq!(beta.sigma.powi(2), (prev - a) / prev, max_relative = 1e-9);
            let exact = (prev - a) / prev * (1.0 - prev) / (1.0 - a);
            assert_relative_eq!(posterior.sigma.powi(2), exact, max_relative = 1e-9);
            // One over the precision of x_{t-1} given x_t and x_0, by Bayes' rule.
            let precision = step.alpha / step.beta() + 1.0 / (1.0 - prev);
            assert_relative_eq!(posterior.sigma.powi(2), 1.0 / precision, max_relative = 1e-9);
            assert!(posterior.sigma < beta.sigma);
            // The rules do not add up, and nothing but sigma changes.
            assert_eq!(posterior.with_variance(StepVariance::Beta), beta);
            assert_eq!(
                posterior,
                diffusion::Step {
                    sigma: posterior.sigma,
                    ..step
                }
            );
        }
    }
}

#[test]
fn sigma_at_the_limits() {
    let schedule = Schedule::linear();
    let ratio = |step: diffusion::Step| step.with_variance(StepVariance::Posterior).sigma / step.sigma;
    // Where hardly anything is left of the image, and where steps are small against t, both rules agree; close to the
    // end, and where a step is wide, the posterior's is the smaller.
    assert_relative_eq!(ratio(schedule.step(1000, 999)), 1.0, max_relative = 1e-6);
    assert_relative_eq!(ratio(schedule.step(500, 499)), 1.0, max_relative = 2e-3);
    assert!(ratio(schedule.step(2, 1)) < 0.7);
    assert!(ratio(schedule.step(500, 1)) < 0.02);
    // A step that goes all the way ends at the clean image.
    assert_eq!(schedule.step(1000, 0).sigma, 0.0);
    assert_eq!(schedule.step(1, 0).sigma, 0.0);
}

#[test]
fn the_rule_for_noise_of_standard_normal_images_is_exact() {
    // If images are N(0, I), the score is -x at all times, and x_{t-1} has variance 1 as x_t does.
    for step in Schedule::linear().steps(40).unwrap() {
        let step = step.with_variance(StepVariance::Beta);
        let gain = (1.0 - step.beta()) / step.alpha.sqrt();
        let left = if step.is_last() { step.beta() } else { 0.0 };
        assert_relative_eq!(gain * gain + step.sigma.powi(2) + left, 1.0, max_relative = 1e-12);
    }
}

#[test]
fn the_kernel_repeated_has_the_marginal_of_the_jump() {
    let schedule = Schedule::linear();
    let (t, n) = (40, 40_000);
    let x0 = Array4::from_elem((n, 1, 1, 1), 0.7f32);
    let mut x = x0.clone();
    for s in 1..=t {
        x = forward_kernel(&x, &noise(s as u64, x0.dim()), schedule.beta(s));
    }
    let mean = f64::from(x.mean().unwrap());
    let variance = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n as f64;
    let exact = 1.0 - schedule.alpha_bar(t);
    let count = n as f64;
    assert_abs_diff_eq!(
        mean,
        0.7 * schedule.alpha_bar(t).sqrt(),
        epsilon = 5.0 * (exact / count).sqrt()
    );
    assert_abs_diff_eq!(variance, exact, epsilon = 5.0 * exact * (2.0 / count).sqrt());
}

#[test]
fn noise_and_score() {
    let eps = noise(1, (2, 1, 3, 3));
    for alpha_bar in [0.9999, 0.5, 1e-5, 0.0] {
        let score = score_from_noise(&eps, alpha_bar);
        expect_close(
            "score",
            &score,
            &(&eps * (-1.0 / (1.0 - alpha_bar).sqrt()) as f32),
            1e-6,
        );
        expect_close("noise", &(&score * -(1.0 - alpha_bar).sqrt() as f32), &eps, 1e-6);
    }
}

#[test]
fn steps_choose_the_noise_that_their_number_asks_for() {
    let schedule = Schedule::linear();
    let rules = |steps: Vec<diffusion::Step>, variance| steps.iter().all(|step| *step == step.with_variance(variance));
    assert!(rules(schedule.steps(1000).unwrap(), StepVariance::Beta));
    assert!(rules(schedule.steps_from(200, 200).unwrap(), StepVariance::Beta));
    for n in [1, 2, 250, 999] {
        assert!(rules(schedule.steps(n).unwrap(), StepVariance::Posterior), "{n} steps");
    }
    assert!(rules(schedule.steps_from(200, 199).unwrap(), StepVariance::Posterior));
}
