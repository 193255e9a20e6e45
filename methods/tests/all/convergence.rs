//! How fast the samplers without noise approach the exact flow of a Gaussian prior when their steps get finer.

use diffusion::{GaussianModel, Schedule, ScoreModel, Spacing, Trajectory};
use methods::Sampler;
use methods::samplers::ddim::Ddim;
use methods::samplers::dpm_solver::DpmSolver;
use methods::samplers::edm::Edm;
use methods::samplers::flow::Flow;
use methods::stepping::Stepping;
use ndarray::{Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const IMAGES: usize = 32;
const MEAN: f64 = 0.4;
const VARIANCES: [f64; 2] = [0.25, 0.04];

/// A hundred times as many times as a network has, so that it hardly matters that stops are whole times.
fn fine() -> Result<GaussianModel> {
    prior(Schedule::linear_with(100_000, 1e-6, 2e-4)?)
}

fn prior(schedule: Schedule) -> Result<GaussianModel> {
    let [v, w] = VARIANCES;
    Ok(GaussianModel::diagonal(
        schedule,
        [2, 1, 1],
        array![MEAN, MEAN],
        array![v, w],
    )?)
}

/// Where the exact flow takes `x_start` from time `T` to time `t`: each number keeps its place among all, counted in
/// standard deviations.
fn exact_flow(schedule: &Schedule, x_start: &Array4<f32>, t: usize) -> Array4<f32> {
    let marginal = |t: usize, v: f64| {
        let alpha_bar = schedule.alpha_bar(t);
        (alpha_bar.sqrt() * MEAN, (alpha_bar * v + 1.0 - alpha_bar).sqrt())
    };
    let mut x = x_start.clone();
    for ((_, channel, ..), value) in x.indexed_iter_mut() {
        let v = VARIANCES[channel];
        let (start_mean, start_spread) = marginal(schedule.num_steps(), v);
        let (mean, spread) = marginal(t, v);
        *value = (mean + spread * (f64::from(*value) - start_mean) / start_spread) as f32;
    }
    x
}

/// Where the error is looked at.
#[derive(Clone, Copy)]
enum At {
    /// At the end.
    Image,
    /// Before the last step, at `t = 1`: that step is of first order in all samplers, and the same in all numbers of
    /// steps, because it starts at the same noise.
    LastStop,
}

/// The root of the mean squared error with so many calls of the network.
fn error(sampler: &dyn Sampler, prior: &GaussianModel, num_steps: usize, at: At) -> Result<f64> {
    let mut path = Trajectory::new(2);
    let rng = &mut StdRng::seed_from_u64(3);
    let images = sampler.sample(prior, IMAGES, Stepping::new(num_steps), rng, &mut path)?;
    let last = &path.frames()[path.frames().len() - 1];
    let (found, t) = match at {
        At::Image => (&images, 0),
        At::LastStop => (&last.x_t, last.step.t),
    };
    let difference = found - &exact_flow(prior.schedule(), &path.frames()[0].x_t, t);
    Ok(difference.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt() / (difference.len() as f64).sqrt())
}

/// The slope of the line through the points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (mut xy, mut xx) = (0.0, 0.0);
    for point in points {
        xy += (point.0 - x) * (point.1 - y);
        xx += (point.0 - x).powi(2);
    }
    xy / xx
}

/// The slope of the logarithm of the error against that of the number of calls, and the errors.
fn order(sampler: &dyn Sampler, at: At) -> Result<(f64, Vec<f64>)> {
    let prior = fine()?;
    let calls = [63, 127, 255, 511];
    let errors = calls
        .map(|calls| error(sampler, &prior, calls, at))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let points: Vec<(f64, f64)> = calls
        .iter()
        .zip(&errors)
        .map(|(&n, e)| ((n as f64).ln(), e.ln()))
        .collect();
    Ok((-slope(&points), errors))
}

/// Euler's method in any of its clothes.
#[test]
fn methods_of_first_order_halve_their_error_with_twice_the_calls() -> Result {
    let samplers: [(&dyn Sampler, At); 3] = [
        (&Ddim::DETERMINISTIC, At::Image),
        (&Edm::EULER, At::LastStop),
        (&Flow::EULER, At::Image),
    ];
    for (sampler, at) in samplers {
        let (order, errors) = order(sampler, at)?;
        assert!(
            (0.9..1.1).contains(&order),
            "{}: order {order:.3}, {errors:?}",
            sampler.name()
        );
    }
    Ok(())
}

#[test]
fn methods_of_second_order_quarter_theirs() -> Result {
    let log_snr = DpmSolver {
        spacing: Spacing::LogSnr,
        ..DpmSolver::ODE
    };
    let samplers: [(&dyn Sampler, At); 4] = [
        (&Edm::HEUN, At::LastStop),
        (&DpmSolver::ODE, At::LastStop),
        (&log_snr, At::LastStop),
        (&Flow::MIDPOINT, At::Image),
    ];
    for (sampler, at) in samplers {
        let (order, errors) = order(sampler, at)?;
        assert!(
            (1.85..2.15).contains(&order),
            "{}: order {order:.3}, {errors:?}",
            sampler.name()
        );
    }
    Ok(())
}

/// A network has 1000 times, and stops are rounded to them. That changes the error by less than a tenth, or by less
/// than 1e-4: an eightieth of the difference between two grey levels of a file.
#[test]
fn whole_times_cost_little() -> Result {
    let (coarse, fine) = (prior(Schedule::linear())?, prior(finer(&Schedule::linear(), 100)?)?);
    let samplers: [&dyn Sampler; 5] = [&Edm::EULER, &Edm::HEUN, &DpmSolver::ODE, &Flow::EULER, &Flow::MIDPOINT];
    for sampler in samplers {
        for calls in [5, 10, 20, 50, 100] {
            let whole = error(sampler, &coarse, calls, At::Image)?;
            let between = error(sampler, &fine, calls, At::Image)?;
            assert!(
                (whole - between).abs() < 0.1 * between + 1e-4,
                "{}, {calls} calls: {whole:e} with whole times, {between:e} with times in between",
                sampler.name()
            );
        }
    }
    Ok(())
}

/// The same noise levels with `parts - 1` more between any two of them.
fn finer(schedule: &Schedule, parts: usize) -> Result<Schedule> {
    let mut betas = vec![schedule.beta(1)];
    for t in 2..=schedule.num_steps() {
        let part = 1.0 - schedule.alpha(t).powf(1.0 / parts as f64);
        betas.extend(std::iter::repeat_n(part, parts));
    }
    Ok(Schedule::from_betas(betas)?)
}
