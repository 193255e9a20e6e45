//! What a user may ask of any posterior method: hardly any steps, no noise, photon noise, an operator that it cannot
//! do, a broken measurement.

use diffusion::{CountingModel, GaussianModel, Schedule};
use imaging::{ForwardOperator, Noise, OperatorSpec, measure};
use methods::posterior::ddrm::Ddrm;
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array1, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SHAPE: [usize; 3] = [3, 8, 8];
const OPERATORS: [&str; 9] = [
    "inpainting",
    "box-inpainting:6",
    "deconvolution:5,1",
    "super-resolution:2",
    "colourisation",
    "compressed-sensing",
    "tomography",
    "phase-retrieval",
    "hdr",
];

fn prior() -> Result<CountingModel<GaussianModel>> {
    let size: usize = SHAPE.iter().product();
    let mean = Array1::from_shape_fn(size, |place| 0.3 - 0.6 * (place % 8) as f64 / 8.0);
    let model = GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, Array1::from_elem(size, 0.1))?;
    Ok(CountingModel::new(model))
}

fn operator(name: &str) -> Result<Box<dyn ForwardOperator>> {
    Ok(name.parse::<OperatorSpec>()?.build(SHAPE, 0)?)
}

fn solve(method: &dyn PosteriorMethod, problem: &Problem<'_>, num_steps: usize) -> Result<Array4<f32>> {
    let rng = &mut StdRng::seed_from_u64(1);
    Ok(method.solve(&prior()?, problem, Stepping::new(num_steps), rng, &mut ())?)
}

#[test]
fn any_number_of_steps_and_any_noise_gives_images() -> Result {
    let truth = prior()?.inner().sample(1, &mut StdRng::seed_from_u64(9));
    let settings = [
        (Noise::None, 0.0),
        (Noise::Gaussian { sigma: 0.05 }, 0.05),
        (Noise::Poisson { rate: 1.0 }, 0.05),
    ];
    for name in OPERATORS {
        let operator = operator(name)?;
        let operator = operator.as_ref();
        for (noise, sigma) in settings {
            let b = &measure(operator, &truth, noise, 0, 0)?;
            let problem = Problem { operator, b, sigma };
            for method in registry::posterior_methods() {
                let steps = method.cost(operator, &Schedule::linear(), 1)?.evaluations;
                if steps == 0 || method.supports(operator).is_err() {
                    continue;
                }
                for num_steps in [1, 3] {
                    let what = format!("{} on {name}, {noise}, {num_steps} steps", method.name());
                    let images = solve(*method, &problem, num_steps).map_err(|error| format!("{what}: {error}"))?;
                    assert_eq!(images.dim(), (1, 3, 8, 8), "{what}");
                    assert!(images.iter().all(|pixel| pixel.is_finite()), "{what}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn more_steps_than_there_are_and_none_are_refused() -> Result {
    let operator = operator("inpainting")?;
    let operator = operator.as_ref();
    let b = &measure(operator, &Array4::zeros((1, 3, 8, 8)), Noise::None, 0, 0)?;
    let problem = Problem {
        operator,
        b,
        sigma: 0.0,
    };
    for method in registry::posterior_methods() {
        if method.cost(operator, &Schedule::linear(), 10)?.evaluations == 0 {
            continue;
        }
        for num_steps in [0, 1001] {
            assert!(
                method.cost(operator, &Schedule::linear(), num_steps).is_err(),
                "{}",
                method.name()
            );
            assert!(solve(*method, &problem, num_steps).is_err(), "{}", method.name());
        }
    }
    Ok(())
}

#[test]
fn a_nan_in_the_measurement_is_named_before_the_network_is_asked() -> Result {
    for name in ["inpainting", "phase-retrieval"] {
        let operator = operator(name)?;
        let operator = operator.as_ref();
        let mut b = measure(operator, &Array4::zeros((2, 3, 8, 8)), Noise::None, 0, 0)?;
        b[[1, 2, 0, 3]] = f32::NAN;
        let problem = Problem {
            operator,
            b: &b,
            sigma: 0.05,
        };
        for method in registry::posterior_methods() {
            if method.supports(operator).is_err() {
                continue;
            }
            let prior = prior()?;
            let rng = &mut StdRng::seed_from_u64(1);
            let solved = method.solve(&prior, &problem, Stepping::new(3), rng, &mut ());
            let message = solved.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(message.contains("NaN"), "{} on {name}: `{message}`", method.name());
            // The tasks' functions come across it at the end of their first step.
            let of_tasks = [
                "sdedit",
                "score-ald",
                "dps",
                "dps-few-times",
                "dps-mean",
                "dps-mean-long",
                "dps-long",
            ];
            if !of_tasks.contains(&method.name()) {
                assert!(message.contains("the measurement"), "{}: {message}", method.name());
                assert!(message.contains("[1, 2, 0, 3]"), "{}: {message}", method.name());
                assert_eq!(prior.forwards(), 0, "{}", method.name());
            }
        }
    }
    Ok(())
}

#[test]
fn who_needs_singular_values_says_so_of_an_operator_without() -> Result {
    let operator = operator("tomography")?;
    let reason = Ddrm::PUBLISHED.supports(operator.as_ref());
    assert_eq!(
        reason.map_or_else(|error| error.to_string(), |()| String::new()),
        "ddrm cannot be used with tomography: it needs singular values and vectors, which not every linear operator \
         knows of itself"
    );
    for name in ["ddnm-plus", "ddrm"] {
        let method = registry::posterior_method(name)?;
        assert!(method.supports(operator.as_ref()).is_err());
    }
    for name in [
        "ddnm",
        "diffpir",
        "pnp-admm",
        "pigdm",
        "mcg",
        "ilvr",
        "score-sde",
        "moment-matching",
    ] {
        let method = registry::posterior_method(name)?;
        assert!(method.supports(operator.as_ref()).is_ok(), "{name}");
    }
    Ok(())
}
