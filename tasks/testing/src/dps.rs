//! What the loop of task 6 should do: DPS, from one `x_t` to the next.

use checks::{Case, Monomial, Sum};
use imaging::norms;
use ndarray::Array4;

use crate::path::Path;
use crate::sampler::{Loop, at, mean_through_x0, quantities_on};

/// With `zeta_t = zeta / (2 ||r||)`.
pub const NORMALISED: Loop = Loop {
    name: "dps with StepSize::Normalised",
    mean: || mean(Monomial::of(&[("zeta", 1.0), ("2", -1.0), ("||r||", -1.0)])),
    terms,
    pullbacks: 1,
    residual: Some(residual_norms),
};

/// With `zeta_t = zeta`.
pub const CONSTANT: Loop = Loop {
    name: "dps with StepSize::Constant",
    mean: || mean(Monomial::of(&[("zeta", 1.0)])),
    ..NORMALISED
};

fn mean(zeta_t: Monomial) -> Sum {
    mean_through_x0(
        "dps",
        "the DDPM step through x0_hat - zeta_t gradient, with r = b - A x0_hat and zeta_t of each image's own ||r||",
    )
    .term("the gradient", zeta_t.negated())
    .alternative(
        "zeta_t follows",
        vec![("||r||".to_owned(), "||r|| of the clamped x0_hat".to_owned())],
    )
}

fn residual(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    &path.b - &path.operator.of(x)
}

fn residual_norms(path: &Path, x0_hat: &Array4<f32>) -> Vec<f32> {
    norms(&residual(path, x0_hat))
}

/// The gradient at step number `i`, with the operator linearised at some images, and some residual.
fn gradient(path: &Path, i: usize, linearised_at: &Array4<f32>, residual: &Array4<f32>) -> Array4<f32> {
    let step = &path.setting.steps[i];
    let v = path.operator.back(linearised_at, residual) * -2.0;
    let through_network = path.probe.pull_back(path.around(i).0, step.t, &v);
    (v + through_network * (1.0 - step.alpha_bar) as f32) / step.alpha_bar.sqrt() as f32
}

fn terms(path: &Path, i: usize) -> Case {
    let ((x_t, next), x0_hat) = (path.around(i), path.x0_hat(i));
    let images = path.setting.images;
    let r = residual(path, &x0_hat);
    let clamped = x0_hat.mapv(|v| v.clamp(-1.0, 1.0));
    let of_clamped = residual(path, &clamped);
    let before = path.x0_hat(i.saturating_sub(1));
    let of_before = residual(path, &before);
    let of_x_t = residual(path, x_t);
    let values = |r: &Array4<f32>| -> Vec<f64> { norms(r).iter().map(|norm| f64::from(*norm)).collect() };
    let of_r = values(&r);
    let whole = of_r.iter().map(|norm| norm * norm).sum::<f64>().sqrt();
    let arrays = vec![x_t.clone(), x0_hat.clone(), gradient(path, i, &x0_hat, &r)];
    let mut case = Case::new(at(path, i), quantities_on(path, i), arrays, next.clone())
        .of_each_image("zeta", &vec![path.setting.zeta; images])
        .of_each_image("||r||", &of_r);
    for (name, norms) in [
        ("||b||", values(&path.b)),
        ("||b - A x_t||", values(&of_x_t)),
        ("||r|| of the step before", values(&of_before)),
        ("||r|| of the clamped x0_hat", values(&of_clamped)),
        ("||r|| of the whole batch", vec![whole; images]),
        ("||r|| of the first image", vec![of_r[0]; images]),
    ] {
        case = case.rare_of_each_image(name, &norms);
    }
    case = case.rare_of_each_image(
        "the number of measured values",
        &vec![path.setting.measured as f64; images],
    );
    let of = |at: &Array4<f32>, r: &Array4<f32>| gradient(path, i, at, r);
    let all_so_far = (0..=i).fold(Array4::<f32>::zeros(x_t.dim()), |sum, k| {
        let x0_hat = path.x0_hat(k);
        sum + gradient(path, k, &x0_hat, &residual(path, &x0_hat))
    });
    case.other(2, of(x_t, &r), "measurement_gradient is given x_t in place of x0_hat")
        .other(
            2,
            of(&x0_hat, &of_x_t),
            "the residual is b - A x_t; it should be b - A x0_hat",
        )
        .other(
            2,
            of(x_t, &of_x_t),
            "the gradient is that at x_t; it should be at x0_hat",
        )
        .other(
            2,
            of(&x0_hat, &of_before),
            "the gradient is made of the residual of the step before",
        )
        .other(
            2,
            of(&before, &r),
            "the gradient is made of the x0_hat of the step before",
        )
        .other(2, of(&x0_hat, &path.b), "b stands where the residual belongs")
        .others(
            vec![(1, clamped.clone()), (2, of(&clamped, &of_clamped))],
            "x0_hat is clamped to [-1, 1] in the loop; the formula has no limits",
        )
        .other(
            2,
            of(&clamped, &of_clamped),
            "the gradient is that of x0_hat clamped to [-1, 1]",
        )
        .other(
            2,
            of(&x0_hat, &of_clamped),
            "the residual is that of x0_hat clamped to [-1, 1]",
        )
        .other(2, all_so_far, "the gradients of all steps so far are added up")
        .other(
            0,
            path.around(0).0.clone(),
            "every step starts from x_T: x_t is not replaced by the result of the step",
        )
        .other(1, before, "x0_hat is that of the step before")
        .other(1, x_t.clone(), "x_t stands where x0_hat belongs")
}
