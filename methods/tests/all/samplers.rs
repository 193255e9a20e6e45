//! What holds for every sampler of the registry.

use diffusion::{CountingModel, GaussianModel, Schedule, ScoreError, Trajectory, observe_with};
use methods::samplers::ancestral::Ancestral;
use methods::stepping::Stepping;
use methods::{Sampler, registry};
use ndarray::array;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task3_generate::sample;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const STEPS: usize = 12;

fn prior() -> Result<CountingModel<GaussianModel>> {
    let (mean, variances) = (array![0.5, -0.5, 0.1], array![0.2, 0.1, 0.0]);
    let model = GaussianModel::diagonal(Schedule::linear(), [1, 1, 3], mean, variances)?;
    Ok(CountingModel::new(model))
}

#[test]
fn every_step_is_seen_and_every_call_is_counted() -> Result {
    for sampler in registry::samplers() {
        let prior = prior()?;
        let mut seen = Vec::new();
        let mut observer = observe_with(|view| {
            seen.push((view.index, view.num_steps));
            Ok(())
        });
        let rng = &mut StdRng::seed_from_u64(0);
        let images = sampler.sample(&prior, 4, Stepping::new(STEPS), rng, &mut observer)?;
        assert_eq!(images.dim(), (4, 1, 1, 3), "{}", sampler.name());
        let evaluations = sampler.evaluations(STEPS);
        let all: Vec<_> = (0..evaluations).map(|index| (index, evaluations)).collect();
        assert_eq!(seen, all, "{}", sampler.name());
        assert_eq!(prior.forwards(), evaluations, "{}", sampler.name());
        assert_eq!(prior.backwards(), 0, "{}", sampler.name());
    }
    Ok(())
}

#[test]
fn one_seed_gives_the_same_bits_and_all_start_at_the_same_noise() -> Result {
    let prior = prior()?;
    let mut starts = Vec::new();
    for sampler in registry::samplers() {
        let run = |seed: u64, path: &mut Trajectory| {
            let rng = &mut StdRng::seed_from_u64(seed);
            sampler.sample(&prior, 4, Stepping::new(STEPS), rng, path)
        };
        let mut path = Trajectory::new(2);
        let first = run(1, &mut path)?;
        assert_eq!(first, run(1, &mut path)?, "{}", sampler.name());
        assert_ne!(first, run(2, &mut Trajectory::new(2))?, "{}", sampler.name());
        starts.push(path.frames()[0].x_t.clone());
    }
    // Some count in other units than x_t, which rounds it twice.
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 2.0 * f32::EPSILON * a.abs();
    assert!(starts.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(same)));
    Ok(())
}

#[test]
fn the_adapter_of_task_3_hands_everything_on() -> Result {
    let prior = prior()?;
    let stepping = Stepping::new(STEPS);
    let direct = Ancestral::DIRECT;
    let found = direct.sample(&prior, 4, stepping, &mut StdRng::seed_from_u64(5), &mut ())?;
    let steps = stepping.steps(&Schedule::linear())?;
    let expected = sample(&prior, 4, &steps, direct.form, &mut StdRng::seed_from_u64(5), &mut ())?;
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn what_an_observer_stops_a_sampler_with_comes_back() -> Result {
    for sampler in registry::samplers() {
        let mut stop = observe_with(|_| Err(ScoreError::Interrupted));
        let rng = &mut StdRng::seed_from_u64(0);
        let stopped = sampler.sample(&prior()?, 1, Stepping::new(STEPS), rng, &mut stop);
        let error = anyhow::Error::from(stopped.err().ok_or("it went on")?);
        let found = error.chain().any(|cause| cause.is::<ScoreError>());
        assert!(found, "{}: {error:?}", sampler.name());
    }
    Ok(())
}

#[test]
fn a_sampler_is_found_by_its_name() -> Result {
    for sampler in registry::samplers() {
        assert_eq!(registry::sampler(sampler.name())?.title(), sampler.title());
        assert!(registry::list().contains(sampler.reference()));
    }
    let message = registry::sampler("dimm").map_or_else(|error| error.to_string(), |_| String::new());
    for part in ["no sampler is called `dimm`", "\n  ddim", "\n  ancestral"] {
        assert!(message.contains(part), "{message}");
    }
    Ok(())
}
