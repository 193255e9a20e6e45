//! The schedule in other papers' letters, and the stops of a sampler.

use approx::assert_relative_eq;
use diffusion::{GaussianModel, PathPoint, Schedule, ScheduleError, ScoreModel, Spacing, StepVariance};
use ndarray::{Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};

const ALL: [Spacing; 4] = [
    Spacing::Time,
    Spacing::Karras { rho: 7.0 },
    Spacing::LogSnr,
    Spacing::StraightPath,
];

#[test]
fn the_letters_of_the_papers_tell_the_same() {
    let schedule = Schedule::linear();
    for t in [1, 10, 300, 1000] {
        let (alpha_bar, sigma) = (schedule.alpha_bar(t), schedule.noise_level(t));
        assert_relative_eq!(alpha_bar, 1.0 / (1.0 + sigma * sigma), max_relative = 1e-12);
        let snr = alpha_bar / (1.0 - alpha_bar);
        assert_relative_eq!(2.0 * schedule.half_log_snr(t), snr.ln(), max_relative = 1e-12);
        assert_relative_eq!(
            PathPoint::at(&schedule, t).u,
            sigma / (1.0 + sigma),
            max_relative = 1e-12
        );
    }
    assert_eq!(schedule.noise_level(0), 0.0);
    assert_eq!(schedule.half_log_snr(0), f64::INFINITY);
    assert_eq!(PathPoint::at(&schedule, 0), PathPoint { u: 0.0, scale: 1.0 });
}

#[test]
fn the_nearest_time_is_the_time_itself_and_never_outside() {
    let schedule = Schedule::linear();
    for t in 1..=1000 {
        assert_eq!(schedule.nearest_time(schedule.noise_level(t)), t);
    }
    let halfway = (schedule.noise_level(500) * schedule.noise_level(501)).sqrt();
    assert_eq!(schedule.nearest_time(0.999 * halfway), 500);
    assert_eq!(schedule.nearest_time(1.001 * halfway), 501);
    assert_eq!((schedule.nearest_time(1e-9), schedule.nearest_time(1e9)), (1, 1000));
}

#[test]
fn stops_fall_from_the_last_time_and_all_differ() -> Result<(), ScheduleError> {
    let schedule = Schedule::linear();
    for spacing in ALL {
        for n in [1, 2, 3, 10, 100, 500, 999, 1000] {
            let times = spacing.times(&schedule, n)?;
            assert_eq!((times.len(), times[0]), (n, 1000), "{spacing:?}, {n} stops");
            assert!(times.windows(2).all(|pair| pair[1] < pair[0]), "{spacing:?}: {times:?}");
            assert!(times[n - 1] >= 1);
        }
        assert_eq!(spacing.steps(&schedule, 1000)?, schedule.steps(1000)?, "{spacing:?}");
        for n in [0, 1001] {
            let refused = spacing.times(&schedule, n);
            assert_eq!(
                refused,
                Err(ScheduleError::Steps {
                    asked: n,
                    t_start: 1000
                })
            );
        }
    }
    Ok(())
}

#[test]
fn steps_lead_from_stop_to_stop_and_to_zero() -> Result<(), ScheduleError> {
    let schedule = Schedule::linear();
    for spacing in ALL {
        let (times, steps) = (spacing.times(&schedule, 12)?, spacing.steps(&schedule, 12)?);
        for (i, step) in steps.iter().enumerate() {
            assert_eq!((step.t, step.t_prev), (times[i], *times.get(i + 1).unwrap_or(&0)));
            assert_eq!(step.with_variance(StepVariance::Posterior), *step);
        }
    }
    assert_eq!(Spacing::Time.steps(&schedule, 12)?, schedule.steps(12)?);
    Ok(())
}

/// On a schedule with many times rounding is small, so that the gaps show what they are even in.
#[test]
fn stops_are_evenly_spaced_in_what_the_rule_says() -> Result<(), ScheduleError> {
    let fine = Schedule::linear_with(100_000, 1e-6, 2e-4)?;
    let sigma = |t: usize| fine.noise_level(t);
    let even = |places: Vec<f64>| {
        let gaps: Vec<f64> = places.windows(2).map(|pair| pair[0] - pair[1]).collect();
        for gap in &gaps {
            assert_relative_eq!(*gap, gaps[0], max_relative = 0.02);
        }
    };
    let karras = Spacing::Karras { rho: 7.0 }.times(&fine, 11)?;
    even(karras.iter().map(|&t| sigma(t).powf(1.0 / 7.0)).collect());
    let log_snr = Spacing::LogSnr.times(&fine, 11)?;
    even(log_snr.iter().map(|&t| sigma(t).ln()).collect());
    let path = Spacing::StraightPath.times(&fine, 10)?;
    even(path.iter().chain([&0]).map(|&t| sigma(t) / (1.0 + sigma(t))).collect());
    assert_eq!((karras[10], log_snr[10]), (1, 1));
    assert_ne!(path[9], 1);
    Ok(())
}

/// Karras et al. 2022, Eq. 5, for the five stops of this schedule, by hand.
#[test]
fn karras_stops_have_the_noise_levels_of_the_paper() -> Result<(), ScheduleError> {
    let fine = Schedule::linear_with(100_000, 1e-6, 2e-4)?;
    let (most, least) = (fine.noise_level(100_000), fine.noise_level(1));
    let root = |sigma: f64| sigma.powf(1.0 / 7.0);
    let times = Spacing::Karras { rho: 7.0 }.times(&fine, 5)?;
    for (i, t) in times.into_iter().enumerate() {
        let expected = (root(most) + i as f64 / 4.0 * (root(least) - root(most))).powi(7);
        assert_relative_eq!(fine.noise_level(t), expected, max_relative = 2e-3);
    }
    Ok(())
}

#[test]
fn on_the_straight_path_an_image_moves_towards_its_noise() {
    let schedule = Schedule::linear();
    let rng = &mut StdRng::seed_from_u64(0);
    let mut normal = || Array4::<f32>::random_using((3, 1, 2, 2), StandardNormal, &mut *rng);
    let (x_0, eps) = (normal(), normal());
    for t in [20, 400, 1000] {
        let alpha_bar = schedule.alpha_bar(t);
        let x_t = &x_0 * alpha_bar.sqrt() as f32 + &eps * (1.0 - alpha_bar).sqrt() as f32;
        let point = PathPoint::at(&schedule, t);
        let x_u = &x_t / point.scale as f32;
        let on_the_line = &x_0 * (1.0 - point.u) as f32 + &eps * point.u as f32;
        assert!((&x_u - on_the_line).iter().all(|error| error.abs() < 1e-6));
        let error = point.velocity(&x_u, &x_0) - (&eps - &x_0);
        assert!(error.iter().all(|error| error.abs() < 1e-6 / point.u as f32));
    }
}

/// For a Gaussian the velocity has a closed form of its own: `x_u` and `eps - x_0` are jointly Gaussian, and the mean
/// of the one given the other is a regression, in which neither a score nor `x0_hat` occurs.
#[test]
fn the_velocity_of_a_gaussian_is_a_regression() -> Result<(), Box<dyn std::error::Error>> {
    let (mu, v) = (0.4, 0.09);
    let model = GaussianModel::diagonal(Schedule::linear(), [1, 1, 1], array![mu], array![v])?;
    let x_t = Array4::from_shape_vec((4, 1, 1, 1), vec![-1.5, -0.1, 0.3, 2.0])?;
    for t in [50, 500, 1000] {
        let point = PathPoint::at(model.schedule(), t);
        let x_u = &x_t / point.scale as f32;
        let velocity = point.velocity(&x_u, &model.posterior_mean(&x_t, t)?);
        let u = point.u;
        let slope = (u - (1.0 - u) * v) / ((1.0 - u).powi(2) * v + u * u);
        let expected = x_u.mapv(|x| (-mu + slope * (f64::from(x) - (1.0 - u) * mu)) as f32);
        assert!(
            (&velocity - &expected)
                .iter()
                .all(|error| error.abs() < 1e-5 / u as f32),
            "t = {t}"
        );
    }
    Ok(())
}
