//! Exercise 5.2: the likelihood score of operators that are linear and of one that is not, with measurements that look
//! like images and with such that do not.

use checks::{Case, FORMULA, Fault, Guard, Monomial, Sum};
use imaging::{Convolution, ForwardOperator, Inpainting};
use ndarray::{Array4, array};
use task5_score_ald::likelihood_score;
use testing::formula::{Feed, check_purity, feeds};
use testing::probe::{Log, ProbeOperator};

use crate::likelihood_terms::{Measurement, VARIANCE, with_others};

const FUNCTION: &str = "likelihood_score";

/// What stands over the fraction bar.
const BACK: &str = "A^T (b - A x_t)";

/// Makes an operator for images of a shape.
type Make = fn([usize; 3]) -> Box<dyn ForwardOperator>;

const OPERATORS: [(&str, Make, Measurement); 4] = [
    ("a blur that is not symmetric", blur, Measurement::LikeAnImage),
    ("a mask", mask, Measurement::OfAnotherShape),
    ("a nonlinear operator", bent, Measurement::LikeAnImage),
    (
        "a nonlinear operator with few numbers",
        |shape| Box::new(ProbeOperator::new(shape, 7, &Log::default())),
        Measurement::OfAnotherShape,
    ),
];

/// `A^T` is not `A`.
fn blur(shape: [usize; 3]) -> Box<dyn ForwardOperator> {
    let kernel = array![[0.1, 0.5, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, -0.1]];
    Box::new(Convolution::from_kernel(shape, &kernel).expect("an image larger than the kernel"))
}

fn mask(shape: [usize; 3]) -> Box<dyn ForwardOperator> {
    Box::new(Inpainting::random(shape, 0.4, 3).expect("a part of the pixels"))
}

/// Not linear: its Jacobian depends on the image.
fn bent(shape: [usize; 3]) -> Box<dyn ForwardOperator> {
    Box::new(ProbeOperator::square(shape, &Log::default()))
}

/// `sigma` and `gamma_t` of each call: neither 1 nor each other's multiples, now the one larger, now the other.
const SIGMA_AND_GAMMA: [(f64, f64); 12] = [
    (0.23, 0.71),
    (0.11, 0.37),
    (0.83, 0.29),
    (0.05, 0.62),
    (0.41, 0.17),
    (0.31, 1.9),
    (0.013, 0.09),
    (0.57, 0.77),
    (1.3, 0.53),
    (0.19, 0.97),
    (0.67, 0.061),
    (0.073, 0.13),
];

pub fn likelihood() -> Result<(), Fault> {
    let mut guard = Guard::new(FUNCTION, FORMULA);
    for (name, make, measurement) in OPERATORS {
        let mut sum = Sum::new(FUNCTION, "l = A^T (b - A x_t) / (sigma^2 + gamma_t^2)")
            .term(BACK, Monomial::of(&[(VARIANCE, -1.0)]));
        for (feed, guidance) in feeds::<3>().iter().zip(SIGMA_AND_GAMMA) {
            sum.add(case(&mut guard, name, make, measurement, feed, guidance)?);
        }
        sum.verdict()
            .map_err(|fault| of_the_slide(fault).fact(format!("A: {name}")))?;
    }
    pure(&mut guard)?;
    broken_variances(&mut guard)?;
    broken_measurements(&mut guard)
}

/// The lecture's slide has the sign that is wrong, as the handout says.
fn of_the_slide(fault: Fault) -> Fault {
    if fault.hint().contains("wrong sign") {
        return fault.fact("the minus on the lecture's slide is a slip: the score climbs towards the measurement");
    }
    fault
}

/// One call, of which `feed` gives `x_t`, what was measured, and the noise of the measurement.
fn case(
    guard: &mut Guard,
    name: &str,
    make: Make,
    measurement: Measurement,
    feed: &Feed<3>,
    (sigma, gamma_t): (f64, f64),
) -> Result<Case, Fault> {
    let [x, truth, noise] = &feed.arrays;
    let (n, c, h, w) = x.dim();
    let operator = make([c, h, w]);
    let of = |x: &Array4<f32>| operator.apply(x).expect("images that fit");
    let b = of(truth) + of(noise) * 0.3;
    let fed = format!("{name}, images [{n}, {c}, {h}, {w}], sigma = {sigma}, gamma_t = {gamma_t}");
    let (x_t, measured) = (x.clone(), b.clone());
    let got = guard.call(&fed, move || {
        likelihood_score(make([c, h, w]).as_ref(), &measured, &x_t, sigma, gamma_t)
            .map_err(|error| format!("{error:#}"))
    })?;
    let got = got.map_err(|error| {
        Fault::new(format!(
            "{FUNCTION} returned an error, though nothing had failed: {error}"
        ))
        .fact(format!("fed: {fed}"))
    })?;
    Ok(with_others(
        fed,
        operator.as_ref(),
        measurement,
        [x, &b],
        (sigma, gamma_t),
        got,
    ))
}

/// The same arguments give the same result.
fn pure(guard: &mut Guard) -> Result<(), Fault> {
    let feed = feeds::<3>().swap_remove(0);
    let mut call = || {
        let [b, x, _] = feed.arrays.clone();
        let (_, c, h, w) = x.dim();
        guard.call(&feed.name, move || {
            likelihood_score(blur([c, h, w]).as_ref(), &b, &x, 0.3, 0.5).unwrap_or_default()
        })
    };
    check_purity(FUNCTION, &call()?, &call()?)
}

/// Whether a call returned an error, of an operator whose measurements are like images.
fn is_error(
    guard: &mut Guard,
    should: &str,
    [b, x]: [Array4<f32>; 2],
    (sigma, gamma_t): (f64, f64),
) -> Result<(), Fault> {
    let (_, c, h, w) = x.dim();
    let outcome = guard.call(should, move || {
        likelihood_score(blur([c, h, w]).as_ref(), &b, &x, sigma, gamma_t).is_err()
    });
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::new(format!("{should}; but it returned Ok"))),
        Err(fault) => Err(Fault::new(format!("{should}; but {}", fault.hint()))),
    }
}

fn broken_variances(guard: &mut Guard) -> Result<(), Fault> {
    let [b, x, _] = feeds::<3>().swap_remove(0).arrays;
    for (sigma, gamma_t) in [(0.0, 0.0), (f64::NAN, 0.1), (0.05, f64::INFINITY)] {
        let should = format!(
            "{FUNCTION} with sigma = {sigma} and gamma_t = {gamma_t} should return the error of check_variance(sigma, \
             gamma_t)?, which was its first line"
        );
        is_error(guard, &should, [b.clone(), x.clone()], (sigma, gamma_t))?;
    }
    let (_, c, h, w) = x.dim();
    let zero = guard.call("sigma = 0, gamma_t = 0.1", move || {
        likelihood_score(blur([c, h, w]).as_ref(), &b, &x, 0.0, 0.1).map_err(|error| format!("{error:#}"))
    })?;
    match zero {
        Ok(l) if l.iter().all(|v| v.is_finite()) => Ok(()),
        Ok(_) => Err(Fault::new(format!(
            "{FUNCTION} with sigma = 0 and gamma_t = 0.1 returned NaN or infinity; gamma_t alone is enough to divide by"
        ))),
        Err(error) => Err(Fault::new(format!(
            "{FUNCTION} with sigma = 0 and gamma_t = 0.1 returned an error; gamma_t alone is enough to divide by"
        ))
        .fact(error)),
    }
}

fn broken_measurements(guard: &mut Guard) -> Result<(), Fault> {
    let [_, x, _] = feeds::<3>().swap_remove(0).arrays;
    let (n, c, h, w) = x.dim();
    for shape in [(1, c, h, w), (n - 1, c, h, w), (n, c, h, w - 1)] {
        let should = format!(
            "b of the shape {shape:?} for x_t of the shape {:?} should be an error, which `residual(operator, b, \
             x_t)?` gives (ndarray would repeat a single measurement for all images)",
            x.dim()
        );
        is_error(guard, &should, [Array4::zeros(shape), x.clone()], (0.3, 0.5))?;
    }
    let mut broken = Array4::zeros(x.dim());
    broken[[0, 0, 1, 1]] = f32::NAN;
    let should = "b that holds a NaN should be an error, which the operator gives: `?` hands it on";
    is_error(guard, should, [broken, x], (0.3, 0.5))
}
