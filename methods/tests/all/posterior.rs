//! What holds for every posterior method of the registry, and what the tasks' adapters hand on.

use diffusion::{CountingModel, GaussianModel, Schedule, ScoreError, ScoreModel, Step, observe_with};
use imaging::{Convolution, ForwardOperator, HdrResponse, Inpainting, Noise, OperatorKind, SuperResolution, measure};
use methods::error::MethodError;
use methods::posterior::dps::Dps;
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array1, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task5_score_ald::Guidance;
use task6_dps::StepSize;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SHAPE: [usize; 3] = [3, 8, 8];
const STEPS: usize = 20;
const SIGMA: f64 = 0.05;

fn prior() -> Result<CountingModel<GaussianModel>> {
    let size: usize = SHAPE.iter().product();
    let mean = Array1::from_shape_fn(size, |place| 0.3 - 0.6 * (place % 8) as f64 / 8.0);
    let model = GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, Array1::from_elem(size, 0.1))?;
    Ok(CountingModel::new(model))
}

fn linear_operators() -> Result<Vec<Box<dyn ForwardOperator>>> {
    Ok(vec![
        Box::new(Inpainting::random(SHAPE, 0.5, 0)?),
        Box::new(Convolution::gaussian(SHAPE, 5, 1.0)?),
        Box::new(SuperResolution::new(SHAPE, 2)?),
    ])
}

/// Two measurements of images from the prior.
fn measurements(operator: &dyn ForwardOperator) -> Result<Array4<f32>> {
    let truth = prior()?.inner().sample(2, &mut StdRng::seed_from_u64(9));
    Ok(measure(operator, &truth, Noise::Gaussian { sigma: SIGMA }, 0, 0)?)
}

fn solve(
    method: &dyn PosteriorMethod,
    model: &dyn ScoreModel,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
) -> Result<Array4<f32>> {
    let problem = Problem {
        operator,
        b,
        sigma: SIGMA,
    };
    let rng = &mut StdRng::seed_from_u64(1);
    Ok(method.solve(model, &problem, Stepping::new(STEPS), rng, &mut ())?)
}

#[test]
fn every_method_costs_what_it_says_and_shows_each_step() -> Result {
    for operator in linear_operators()? {
        let operator = operator.as_ref();
        let b = measurements(operator)?;
        for method in registry::posterior_methods() {
            let what = format!("{} on {}", method.name(), operator.name());
            let prior = prior()?;
            let mut seen = Vec::new();
            let mut observer = observe_with(|view| {
                seen.push((view.index, view.num_steps));
                Ok(())
            });
            let (b, sigma) = (&b, SIGMA);
            let problem = Problem { operator, b, sigma };
            let rng = &mut StdRng::seed_from_u64(1);
            let images = method.solve(&prior, &problem, Stepping::new(STEPS), rng, &mut observer)?;
            assert_eq!(images.dim(), (2, 3, 8, 8), "{what}");
            assert!(images.iter().all(|pixel| pixel.is_finite()), "{what}");
            let cost = method.cost(operator, prior.schedule(), STEPS)?;
            assert_eq!(
                (prior.forwards(), prior.backwards()),
                (cost.evaluations, cost.pullbacks),
                "{what}"
            );
            let all: Vec<_> = (0..cost.evaluations).map(|index| (index, cost.evaluations)).collect();
            assert_eq!(seen, all, "{what}");
        }
    }
    Ok(())
}

#[test]
fn one_seed_gives_the_same_bits() -> Result {
    let prior = prior()?;
    let operator = Convolution::gaussian(SHAPE, 5, 1.0)?;
    let b = measurements(&operator)?;
    for &method in registry::posterior_methods() {
        let first = solve(method, &prior, &operator, &b)?;
        assert_eq!(first, solve(method, &prior, &operator, &b)?, "{}", method.name());
    }
    Ok(())
}

#[test]
fn a_nonlinear_operator_is_refused_in_one_line_by_those_who_cannot_take_it() -> Result {
    let operator = HdrResponse::new(SHAPE, 2.0, 2.2)?;
    let b = measurements(&operator)?;
    let mut refused = Vec::new();
    for &method in registry::posterior_methods() {
        let prior = prior()?;
        let solved = solve(method, &prior, &operator, &b);
        let Err(reason) = method.supports(&operator) else {
            assert!(solved?.iter().all(|pixel| pixel.is_finite()), "{}", method.name());
            continue;
        };
        let message = solved.map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(message, reason.to_string());
        assert!(message.starts_with(&format!("{} cannot be used with hdr: it needs ", method.name())));
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(prior.forwards(), 0, "{}", method.name());
        refused.push(method.name());
    }
    for name in [
        "pseudo-inverse",
        "tikhonov",
        "total-variation",
        "pigdm",
        "ddnm",
        "ddrm",
        "diffpir",
        "pnp-admm",
    ] {
        assert!(refused.contains(&name), "{refused:?}");
    }
    for name in ["sdedit", "score-ald", "dps", "daps", "red-diff"] {
        assert!(!refused.contains(&name), "{refused:?}");
    }
    Ok(())
}

#[test]
fn settings_tell_apart_what_is_tuned_for_the_operator() -> Result {
    let schedule = Schedule::linear();
    let (mask, blur) = (
        Inpainting::random(SHAPE, 0.5, 0)?,
        Convolution::gaussian(SHAPE, 5, 1.0)?,
    );
    for name in [
        "tikhonov",
        "total-variation",
        "sdedit",
        "dps",
        "dps-few-times",
        "dps-mean",
        "dps-mean-long",
        "dps-long",
    ] {
        let method = registry::posterior_method(name)?;
        let settings = |operator| method.settings(operator, &schedule, STEPS);
        assert_ne!(settings(&mask)?, settings(&blur)?, "{name}");
    }
    let method = registry::posterior_method("score-ald")?;
    assert_ne!(
        method.settings(&mask, &schedule, 20)?,
        method.settings(&mask, &schedule, 30)?
    );
    Ok(())
}

#[test]
fn the_adapter_of_task_4_hands_everything_on() -> Result {
    let prior = prior()?;
    let operator = Inpainting::random(SHAPE, 0.5, 0)?;
    let b = measurements(&operator)?;
    let found = solve(registry::posterior_method("sdedit")?, &prior, &operator, &b)?;
    let tuned = task4_sdedit::tuned(operator.kind());
    let steps = task4_sdedit::steps_from(prior.schedule(), tuned.t0, STEPS)?;
    let rng = &mut StdRng::seed_from_u64(1);
    let expected = task4_sdedit::restore(&prior, &operator, &b, &steps, tuned.repeats, rng, &mut ())?;
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn the_adapter_of_task_5_hands_everything_on() -> Result {
    let prior = prior()?;
    let operator = Inpainting::random(SHAPE, 0.5, 0)?;
    let b = measurements(&operator)?;
    let found = solve(registry::posterior_method("score-ald")?, &prior, &operator, &b)?;
    let guidance = Guidance {
        sigma: SIGMA,
        lambda: task5_score_ald::tuned_lambda(STEPS, 1.0),
    };
    let steps = prior.schedule().steps(STEPS)?;
    let rng = &mut StdRng::seed_from_u64(1);
    let expected = task5_score_ald::score_ald(&prior, &operator, &b, guidance, &steps, rng, &mut ())?;
    assert_eq!(found, expected);
    Ok(())
}

/// Some samples of task 6, one after the other from one stream of random numbers.
fn dps_samples(
    count: usize,
    num_steps: usize,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
) -> Result<Vec<Array4<f32>>> {
    let prior = prior()?;
    let steps = prior.schedule().steps(num_steps)?;
    let step_size = StepSize::Normalised(task6_dps::tuned(operator.kind(), num_steps));
    let rng = &mut StdRng::seed_from_u64(1);
    (0..count)
        .map(|_| Ok(task6_dps::dps(&prior, operator, b, step_size, &steps, rng, &mut ())?))
        .collect()
}

#[test]
fn the_adapter_of_task_6_hands_everything_on() -> Result {
    let operator = Convolution::gaussian(SHAPE, 5, 1.0)?;
    let b = measurements(&operator)?;
    let found = solve(&Dps::ONE_SAMPLE, &prior()?, &operator, &b)?;
    assert_eq!(found, dps_samples(1, STEPS, &operator, &b)?[0]);
    let long = solve(&Dps::LONG, &prior()?, &operator, &b)?;
    assert_eq!(long, dps_samples(1, 4 * STEPS, &operator, &b)?[0]);
    let samples = dps_samples(4, STEPS / 4, &operator, &b)?;
    let mut sum = Array4::zeros((2, 3, 8, 8));
    for sample in &samples {
        sum += sample;
    }
    assert_eq!(solve(&Dps::MEAN, &prior()?, &operator, &b)?, sum / 4.0);
    Ok(())
}

/// What the handout of task 6 says of it.
#[test]
fn zeta_goes_with_the_steps_and_has_a_limit_that_grows_where_few_steps_need_it() {
    let zeta = |kind, num_steps| task6_dps::tuned(kind, num_steps);
    for (kind, at_1000, at_100, at_25) in [
        (OperatorKind::ScatteredMask, 0.65, 6.0, 12.0),
        (OperatorKind::HoleMask, 0.65, 6.0, 6.0 * 2_f64.sqrt()),
        (OperatorKind::Blur, 2.0, 9.5, 9.5),
    ] {
        assert_eq!(zeta(kind, 1000), at_1000, "{kind:?}");
        assert_eq!(zeta(kind, 100), at_100, "{kind:?}");
        assert!((zeta(kind, 25) - at_25).abs() < 1e-9, "{kind:?}");
        assert_eq!(zeta(kind, 1), zeta(kind, 20), "{kind:?}");
    }
}

#[test]
fn several_gradients_a_time_are_pauses_before_its_step() -> Result {
    let prior = prior()?;
    let operator = Convolution::gaussian(SHAPE, 5, 1.0)?;
    let b = measurements(&operator)?;
    let problem = Problem {
        operator: &operator,
        b: &b,
        sigma: SIGMA,
    };
    let (calls, step_size) = (120, StepSize::Normalised(task6_dps::tuned(operator.kind(), 120)));
    let found = Dps::FEW_TIMES.solve(
        &prior,
        &problem,
        Stepping::new(calls),
        &mut StdRng::seed_from_u64(1),
        &mut (),
    )?;
    let steps: Vec<Step> = prior
        .schedule()
        .steps(60)?
        .into_iter()
        .flat_map(|step| [step.pause(), step])
        .collect();
    let rng = &mut StdRng::seed_from_u64(1);
    let expected = task6_dps::dps(&prior, &operator, &b, step_size, &steps, rng, &mut ())?;
    assert_eq!(found, expected);

    let schedule = prior.schedule();
    let calls = |asked| Ok::<_, MethodError>(Dps::FEW_TIMES.cost(&operator, schedule, asked)?.evaluations);
    assert_eq!([calls(1)?, calls(99)?, calls(250)?, calls(1000)?], [1, 99, 250, 1000]);
    assert_eq!(calls(101)?, 100, "no more than are asked for");
    Ok(())
}

#[test]
fn more_samples_than_steps_take_a_step_each_and_none_takes_more_than_there_are() -> Result {
    let schedule = Schedule::linear();
    let operator = Inpainting::random(SHAPE, 0.5, 0)?;
    assert_eq!(Dps::MEAN.cost(&operator, &schedule, 2)?.evaluations, 4);
    assert_eq!(Dps::LONG.cost(&operator, &schedule, 400)?.evaluations, 1000);
    assert_eq!(Dps::new(0, 0), Dps::ONE_SAMPLE);
    Ok(())
}

#[test]
fn what_an_observer_stops_a_method_with_comes_back() -> Result {
    let operator = Inpainting::random(SHAPE, 0.5, 0)?;
    let b = measurements(&operator)?;
    for method in registry::posterior_methods() {
        let prior = prior()?;
        if method.cost(&operator, prior.schedule(), STEPS)?.evaluations == 0 {
            continue;
        }
        let mut stop = observe_with(|_| Err(ScoreError::Interrupted));
        let problem = Problem {
            operator: &operator,
            b: &b,
            sigma: SIGMA,
        };
        let rng = &mut StdRng::seed_from_u64(1);
        let stopped = method.solve(&prior, &problem, Stepping::new(STEPS), rng, &mut stop);
        let error = anyhow::Error::from(stopped.err().ok_or("it went on")?);
        let found = error.chain().any(|cause| cause.is::<ScoreError>());
        assert!(found, "{}: {error:?}", method.name());
    }
    Ok(())
}

#[test]
fn a_method_is_found_by_its_name() -> Result {
    for method in registry::posterior_methods() {
        assert_eq!(registry::posterior_method(method.name())?.title(), method.title());
        assert!(registry::list().contains(method.reference()));
    }
    let message = registry::posterior_method("pds").map_or_else(|error| error.to_string(), |_| String::new());
    for part in ["no posterior method is called `pds`", "\n  dps ", "\n  tikhonov"] {
        assert!(message.contains(part), "{message}");
    }
    Ok(())
}
