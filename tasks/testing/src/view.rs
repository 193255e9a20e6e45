//! What an observer has to see.

use checks::{Case, Fault, Monomial, Quantity, Sum};
use imaging::norms;
use ndarray::Array4;
use probe::Seen;

use crate::formula::{tweedie, x0_hat};
use crate::path::Path;
use crate::quantities::of_step;
use crate::sampler::{Loop, ResidualNorms, at};

/// The observer is called once per step, with what belongs to it.
///
/// # Errors
///
/// The first fault.
pub fn check_views(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let (name, seen, count) = (spec.name, path.seen(), path.setting.steps.len());
    if seen.len() != count {
        return Err(Fault::new(format!(
            "{name}: the observer is shown {} steps of {count}: once per step is right",
            seen.len()
        )));
    }
    check_numbers(name, path, &seen)?;
    check_x_t(name, path, &seen)?;
    check_x0_hat(name, path, &seen)?;
    match spec.residual {
        None => match seen.iter().find(|seen| seen.residual.is_some()) {
            Some(_) => Err(Fault::new(format!(
                "{name}: the observer is shown a residual; without a measurement it is None"
            ))),
            None => Ok(()),
        },
        Some(residual) => check_residual(name, path, &seen, residual),
    }
}

fn check_numbers(name: &str, path: &Path, seen: &[&Seen]) -> Result<(), Fault> {
    let (steps, count) = (&path.setting.steps, seen.len());
    let all = |is_it: &dyn Fn(usize, &Seen) -> bool| seen.iter().enumerate().all(|(i, seen)| is_it(i, seen));
    if let Some((i, wrong)) = seen.iter().enumerate().find(|(i, seen)| seen.index != *i) {
        let shown: Vec<usize> = seen.iter().map(|seen| seen.index).collect();
        // It can start again first at step i: up to there it is right.
        let how = if i > 0 && all(&|k, seen| seen.index == k % i) {
            format!("starts from 0 again after {i} steps; it counts all {count} steps, from 0")
        } else if all(&|k, seen| seen.index == k + 1) {
            "counts the steps from 1; it counts them from 0".to_owned()
        } else if all(&|k, seen| seen.index + k + 1 == count) {
            "counts the steps down; it counts them up, from 0".to_owned()
        } else if all(&|k, seen| seen.index == steps[k].t) {
            "is the time t; it counts the steps, from 0".to_owned()
        } else {
            format!(
                "is {}, where {i} steps were shown before; it should be {i}",
                wrong.index
            )
        };
        return Err(Fault::new(format!("{name}: the observer's `index` {how}")).fact(format!("index = {shown:?}")));
    }
    if let Some(wrong) = seen.iter().find(|seen| seen.num_steps != count) {
        let what = if wrong.num_steps == path.probe_steps() {
            ", which is T of the schedule"
        } else {
            ""
        };
        return Err(Fault::new(format!(
            "{name}: the observer's `num_steps` is {}{what}; it is the number of steps, {count}",
            wrong.num_steps
        )));
    }
    if let Some((i, wrong)) = seen.iter().enumerate().find(|(i, seen)| seen.step != steps[*i]) {
        let other = steps.iter().position(|step| *step == wrong.step);
        let other = other.map_or_else(|| format!("{:?}", wrong.step), |other| format!("steps[{other}]"));
        return Err(Fault::new(format!(
            "{name}: the observer's `step` is not the one that is taken: {other} where it is steps[{i}]"
        )));
    }
    Ok(())
}

fn check_x_t(name: &str, path: &Path, seen: &[&Seen]) -> Result<(), Fault> {
    let is_all =
        |other: &dyn Fn(usize) -> Array4<f32>| seen.iter().enumerate().all(|(i, seen)| close(&seen.x_t, &other(i)));
    if is_all(&|i| path.around(i).0.clone()) {
        return Ok(());
    }
    let what = if is_all(&|i| path.around(i).1.clone()) {
        "is x_{t-1}, the result of the step; it is to be x_t, from before the step"
    } else if is_all(&|i| x0_hat(path.around(i).0, &path.score(i), path.setting.steps[i].alpha_bar)) {
        "is x0_hat; it is to be x_t"
    } else if is_all(&|_| path.around(0).0.clone()) {
        "is x_T at every step; it is to be the x_t that the step starts from"
    } else {
        "is not the x_t that the model was asked about"
    };
    Err(Fault::new(format!("{name}: the observer's `x_t` {what}")))
}

/// The images that belong to a step, by its number.
type OfStep<'a> = &'a dyn Fn(usize) -> Array4<f32>;

fn check_x0_hat(name: &str, path: &Path, seen: &[&Seen]) -> Result<(), Fault> {
    let is_all =
        |other: &dyn Fn(usize) -> Array4<f32>| seen.iter().enumerate().all(|(i, seen)| close(&seen.x0_hat, &other(i)));
    let mut sum = tweedie(&format!("{name}, the observer's `x0_hat`"));
    for (i, seen) in seen.iter().enumerate() {
        let (x_t, step) = (path.around(i).0, &path.setting.steps[i]);
        let before = path.around(i.saturating_sub(1));
        let score_before = path.score(i.saturating_sub(1));
        if seen.x0_hat.dim() != x_t.dim() {
            return Err(Fault::new(format!(
                "{name}: the observer's `x0_hat` has shape {:?}",
                seen.x0_hat.dim()
            )));
        }
        sum.add(
            Case::new(
                at(path, i),
                of_step(step),
                vec![x_t.clone(), path.score(i)],
                seen.x0_hat.clone(),
            )
            .other(0, path.around(i).1.clone(), "it is made of x_{t-1}, after the step")
            .other(1, score_before, "it is made of the score of the step before")
            .other(0, before.0.clone(), "it is made of the x_t of the step before"),
        );
    }
    let Err(fault) = sum.verdict() else { return Ok(()) };
    let known: [(&str, OfStep<'_>); 3] = [
        ("is x_t", &|i| path.around(i).0.clone()),
        ("is x_{t-1}, the result of the step", &|i| path.around(i).1.clone()),
        ("is the score", &|i| path.score(i)),
    ];
    if let Some((what, _)) = known.iter().find(|(_, other)| is_all(*other)) {
        return Err(Fault::new(format!(
            "{name}: the observer's `x0_hat` {what}; it is to be predict_x0 of x_t and its score"
        )));
    }
    Err(fault)
}

fn check_residual(name: &str, path: &Path, seen: &[&Seen], residual: ResidualNorms) -> Result<(), Fault> {
    let mut sum = Sum::number(
        format!("{name}, the observer's `residual`"),
        "||b - A x0_hat|| of each image",
        "the residual",
        Monomial::of(&[("||b - A x0_hat||", 1.0)]),
    );
    for (i, seen) in seen.iter().enumerate() {
        let Some(shown) = &seen.residual else {
            return Err(Fault::new(format!(
                "{name}: the observer is shown no residual; it is to be Some, with the norm of each image's"
            )));
        };
        let images = path.setting.images;
        if shown.len() != images {
            return Err(Fault::new(format!(
                "{name}: the observer is shown {} residual norms for {images} images: one for each",
                shown.len()
            )));
        }
        let values = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|v| f64::from(*v)).collect() };
        let x_t = path.around(i).0;
        let right = values(&residual(
            path,
            &x0_hat(x_t, &path.score(i), path.setting.steps[i].alpha_bar),
        ));
        let whole = right.iter().map(|v| v * v).sum::<f64>().sqrt();
        let got = Array4::from_shape_fn((images, 1, 1, 1), |(b, ..)| shown[b]);
        let case = Case::new(
            at(path, i),
            vec![
                Quantity::plain("2", 2.0),
                Quantity::constant("M", path.setting.measured as f64),
                Quantity::constant("B", images as f64),
            ],
            vec![Array4::ones((images, 1, 1, 1))],
            got,
        );
        sum.add(
            case.of_each_image("||b - A x0_hat||", &right)
                .of_each_image("||b - A x_t||", &values(&residual(path, x_t)))
                .rare_of_each_image("||b - A x_{t-1}||", &values(&residual(path, path.around(i).1)))
                .rare_of_each_image("the norm over the whole batch", &vec![whole; images])
                .rare_of_each_image("the norm of the first image's", &vec![right[0]; images])
                .rare_of_each_image("||b||", &values(&norms(&path.b))),
        );
    }
    sum.verdict()
}

fn close(a: &Array4<f32>, b: &Array4<f32>) -> bool {
    let size = b.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * size)
}
