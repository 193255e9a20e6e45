//! Exercises 6.1 to 6.4, to rounding, with given noise.

use checks::{Case, Exercise, FORMULA, Fault, Guard, Monomial, Quantity, Sum};
use ndarray::Array4;
use task6_dps::{StepSize, dps_step, predict_x0, step_sizes};
use testing::formula::{Feed, examine_predict_x0, examine_with, feeds, step_through_x0};
use testing::quantities::of_step;

use crate::gradient::gradient;

pub static PREDICT_X0: Exercise = Exercise::new("6.1 predict_x0", || examine_predict_x0(predict_x0));

pub static GRADIENT: Exercise = Exercise::new("6.2 measurement_gradient", gradient).after(&PREDICT_X0);

pub static STEP_SIZES: Exercise = Exercise::new("6.3 step_sizes", sizes).after(&GRADIENT);

pub static DPS_STEP: Exercise = Exercise::new("6.4 dps_step", step).after(&STEP_SIZES);

fn sizes() -> Result<(), Fault> {
    let half = Monomial::of(&[("zeta", 1.0), ("2", -1.0), ("||r||", -1.0)]);
    check_sizes(
        "step_sizes(Normalised(zeta))",
        "zeta / (2 ||r||)",
        StepSize::Normalised,
        half,
    )?;
    check_sizes(
        "step_sizes(Constant(zeta))",
        "zeta",
        StepSize::Constant,
        Monomial::of(&[("zeta", 1.0)]),
    )?;
    let mut guard = Guard::new("step_sizes", FORMULA);
    let what = "step_sizes(Normalised(0.6))";
    let got = guard.call("norms 0.5, 0 and 1", || {
        step_sizes(StepSize::Normalised(0.6), &[0.5, 0.0, 1.0])
    })?;
    let fact = format!("fed the norms [0.5, 0, 1]: {got:?} came, expected [0.6, 0, 0.3]");
    if got.len() != 3 {
        let hint = format!(
            "{what} returned {} numbers for 3 images, of which one has a residual of 0: one for each",
            got.len()
        );
        return Err(Fault::new(hint).fact(fact));
    }
    // A number that is not 0 does no harm where the residual is 0, as the gradient is 0, too.
    if !got[1].is_finite() {
        let hint = format!(
            "{what}: where the residual is 0 there is nothing to correct, so that zeta_t is 0; zeta / (2 * 0) \
            is infinite, and \
             infinity times a gradient of 0 is NaN"
        );
        return Err(Fault::new(hint).fact(fact));
    }
    if (got[0] - 0.6).abs() > 1e-5 || (got[2] - 0.3).abs() > 1e-5 {
        return Err(Fault::new(format!(
            "{what}: the zeta_t of an image changes if the residual of another is 0"
        ))
        .fact(fact));
    }
    Ok(())
}

fn check_sizes(what: &str, formula: &str, form: fn(f64) -> StepSize, right: Monomial) -> Result<(), Fault> {
    let mut guard = Guard::new(what, FORMULA);
    let mut sum = Sum::number(what, formula, "zeta_t", right);
    let batches: [(f64, &[f32]); 5] = [
        (0.6, &[0.5, 2.1, 8.3]),
        (1.7, &[3.2]),
        (0.25, &[0.7, 0.31]),
        (3.1, &[12.5, 4.4, 1.9, 6.6]),
        (0.83, &[1.6, 0.9, 2.4]),
    ];
    for (zeta, norms) in batches {
        let given = norms.to_vec();
        let fed = format!("zeta = {zeta}, ||r|| = {norms:?}");
        let got = guard.call(&fed, move || step_sizes(form(zeta), &given))?;
        let n = norms.len();
        if got.len() != n {
            return Err(Fault::new(format!(
                "{what} returned {} numbers for {n} images: one for each",
                got.len()
            ))
            .fact(fed));
        }
        let values: Vec<f64> = norms.iter().map(|norm| f64::from(*norm)).collect();
        let root_of_squares = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let total = values.iter().sum::<f64>();
        let quantities = vec![
            Quantity::plain("zeta", zeta),
            Quantity::rare("the norm over the whole batch", root_of_squares),
            Quantity::rare("the sum of all norms", total),
            Quantity::rare("the mean of all norms", total / n as f64),
            Quantity::rare("the norm of the first image", values[0]),
            Quantity::rare("the largest norm", values.iter().copied().fold(0.0, f64::max)),
            Quantity::constant("2", 2.0),
            Quantity::constant("B", n as f64),
        ];
        let case = Case::new(
            fed,
            quantities,
            vec![Array4::ones((n, 1, 1, 1))],
            Array4::from_shape_fn((n, 1, 1, 1), |(image, ..)| got[image]),
        );
        sum.add(case.of_each_image("||r||", &values));
    }
    sum.verdict()
}

fn step() -> Result<(), Fault> {
    let function = "dps_step";
    let sum = step_through_x0(function).term("the gradient", Monomial::of(&[("zeta_t", 1.0)]).negated());
    let zetas = |feed: &Feed<4>| -> Vec<f32> {
        let images = feed.arrays[0].dim().0;
        (0..images)
            .map(|image| [0.3, 0.07, 1.5][(image + feed.step.t) % 3])
            .collect()
    };
    let feeds = feeds::<4>().into_iter().map(|feed| feed.with_z(2)).collect();
    examine_with(
        function,
        sum,
        feeds,
        move |feed| {
            let [x_t, x0_hat, z, gradient] = &feed.arrays;
            dps_step(x_t, x0_hat, gradient, &zetas(feed), z, &feed.step)
        },
        |feed, got| {
            let values: Vec<f64> = zetas(feed).iter().map(|zeta| f64::from(*zeta)).collect();
            let (first, n) = (values[0], values.len());
            let mean = values.iter().sum::<f64>() / n as f64;
            // What a zip of zeta_t with the wrong axis makes of the gradient.
            let mut by_channel = feed.arrays[3].clone();
            for ((image, channel, ..), value) in by_channel.indexed_iter_mut() {
                *value *= values.get(channel).map_or(0.0, |zeta| zeta / values[image]) as f32;
            }
            Case::new(feed.name.clone(), of_step(&feed.step), feed.arrays.to_vec(), got)
                .other(
                    3,
                    by_channel,
                    "zeta_t goes with the channels: channel 0 takes that of image 0, and so on",
                )
                .of_each_image("zeta_t", &values)
                .rare_of_each_image("zeta_t of the first image", &vec![first; n])
                .rare_of_each_image("the mean of all zeta_t", &vec![mean; n])
        },
    )
}

#[test]
fn exercise_6_1_predict_x0() {
    PREDICT_X0.tell();
}

#[test]
fn exercise_6_2_measurement_gradient() {
    GRADIENT.tell();
}

#[test]
fn exercise_6_3_step_sizes() {
    STEP_SIZES.tell();
}

#[test]
fn exercise_6_4_dps_step() {
    DPS_STEP.tell();
}
