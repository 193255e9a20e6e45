//! Exercises 6.1 to 6.4, to rounding, with given noise. A failing test says what is wrong.

use checks::Check;
use diffusion::{GaussianMixtureModel, Pullback, Schedule, ScoreModel, Step};
use imaging::{Convolution, ForwardOperator, HdrResponse, residual};
use ndarray::{Array2, Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task6_dps::{StepSize, dps_step, measurement_gradient, predict_x0, step_sizes};
use testing::step_noise::noise_suspects;
use testing::steps::steps;
use testing::tweedie::check_predict_x0;

const SHAPE: [usize; 3] = [3, 6, 5];

fn noise(seed: u64) -> Array4<f32> {
    let [c, h, w] = SHAPE;
    testing::arrays::noise((3, c, h, w), seed)
}

fn quantities<'a>(check: Check<'a>, step: &Step) -> Check<'a> {
    check
        .quantity("2", 2.0)
        .quantity("alpha_t", step.alpha)
        .quantity("1 - alpha_t", step.beta())
        .quantity("alpha_bar_t", step.alpha_bar)
        .quantity("1 - alpha_bar_t", 1.0 - step.alpha_bar)
        .quantity("alpha_bar_{t-1}", step.alpha_bar_prev)
        .quantity("1 - alpha_bar_{t-1}", 1.0 - step.alpha_bar_prev)
}

#[test]
fn exercise_6_1_predict_x0() {
    let (x, s) = (noise(1), noise(2));
    for (name, step) in steps() {
        check_predict_x0(&name, &x, &s, &step, &predict_x0(&x, &s, &step));
    }
}

/// Square, so that `A` in place of `A^T` goes unnoticed by the shapes, and lopsided, so that the result is another.
fn lopsided_blur() -> Convolution {
    let kernel = array![[0.4_f64, 0.1, 0.0], [0.2, 0.3, 0.0], [0.0, 0.0, 0.0]];
    Convolution::from_kernel(SHAPE, &kernel).expect("the kernel fits into the image")
}

/// What stands for the network: some matrix `J_s`, of one image.
fn jacobian() -> Array2<f32> {
    let d = SHAPE.iter().product::<usize>();
    Array2::random_using((d, d), StandardNormal, &mut StdRng::seed_from_u64(9)) * 0.2
}

/// `J v` or `J^T v` of each image.
fn times(jacobian: &Array2<f32>, v: &Array4<f32>) -> Array4<f32> {
    let flat = v
        .to_shape((v.dim().0, jacobian.ncols()))
        .expect("an image for each row");
    flat.dot(&jacobian.t())
        .into_shape_with_order(v.dim())
        .expect("as many numbers as before")
}

fn pullback_of(jacobian: &Array2<f32>) -> Pullback<'_> {
    Box::new(|v| Ok(times(&jacobian.t().to_owned(), v)))
}

#[test]
fn exercise_6_2_measurement_gradient() {
    let operator = lopsided_blur();
    let (x0_hat, r, jacobian) = (noise(1), noise(2), jacobian());
    let transposed = jacobian.t().to_owned();
    for (name, step) in steps() {
        let (a, root) = (step.alpha_bar, step.alpha_bar.sqrt());
        let at_r = operator.vjp(&x0_hat, &r).unwrap();
        let v = &at_r * -2.0;
        let jv = times(&transposed, &v);
        let mix = |p: f64, q: f64| &v * p as f32 + &jv * q as f32;
        let forward = operator.apply(&r).unwrap() * -2.0;
        let through = |v: &Array4<f32>| (v + &times(&transposed, v) * (1.0 - a) as f32) / root as f32;
        let expected = mix(1.0 / root, (1.0 - a) / root);
        let check = Check::new(format!("measurement_gradient, {name}"), &expected)
            .formula("v = -2 A^T r, gradient = (v + (1 - alpha_bar_t) J_s^T v) / sqrt(alpha_bar_t)")
            .term("v", &v, 1.0 / root)
            .term("J_s^T v", &jv, (1.0 - a) / root)
            .suspect(
                &(&expected * 0.5),
                "the 2 is missing: the gradient of a square is twice the residual",
            )
            .suspect(
                &(&expected * -1.0),
                "the sign is flipped: the residual is b - A x0_hat, so that x0_hat enters with a minus, v = -2 A^T r",
            )
            .suspect(
                &(&expected * -0.5),
                "v is A^T r; it should be -2 A^T r: the residual is b - A x0_hat, and it is squared",
            )
            .suspect(
                &through(&forward),
                "A is applied to the residual where A^T belongs: use operator.vjp, not operator.apply",
            )
            .suspect(
                &mix(1.0 / root, 0.0),
                "the gradient does not go through the network: the pullback's part, (1 - alpha_bar_t) J_s^T v, is \
                 missing",
            )
            .suspect(
                &mix(1.0, 0.0),
                "that is the gradient with respect to x0_hat; the one with respect to x_t goes on through the network",
            )
            .suspect(
                &mix(0.0, (1.0 - a) / root),
                "only the part through the network is there: x0_hat depends on x_t directly, too, so that v itself \
                 belongs into the sum",
            )
            .suspect(
                &mix(0.0, 1.0),
                "that is J_s^T v alone; x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t) has two parts",
            )
            .suspect(&mix(1.0, 1.0 - a), "the division by sqrt(alpha_bar_t) is missing")
            .suspect(
                &mix(1.0 / a, (1.0 - a) / a),
                "it is divided by alpha_bar_t, without the square root",
            )
            .suspect(
                &mix(root, (1.0 - a) * root),
                "it is multiplied by sqrt(alpha_bar_t), not divided",
            )
            .suspect(
                &mix(1.0 / root, 1.0 / root),
                "the factor 1 - alpha_bar_t in front of J_s^T v is missing",
            )
            .suspect(
                &mix(1.0 / root, (1.0 - a).sqrt() / root),
                "J_s^T v is multiplied by sqrt(1 - alpha_bar_t); its factor is that of the score, 1 - alpha_bar_t",
            )
            .suspect(
                &mix(1.0 / root, -(1.0 - a) / root),
                "J_s^T v is subtracted; it has the sign that the score has in x0_hat, plus",
            )
            .suspect(
                &mix(1.0 / root, step.beta() / root),
                "J_s^T v is multiplied by 1 - alpha_t; its factor is that of the score in x0_hat, 1 - alpha_bar_t",
            )
            .suspect(
                &(&v * (1.0 / root) as f32 + times(&transposed, &at_r) * ((1.0 - a) / root) as f32),
                "A^T r went through the network; it should be v = -2 A^T r",
            )
            .suspect(
                &((&v + &times(&jacobian, &v) * (1.0 - a) as f32) / root as f32),
                "J_s v where J_s^T v belongs",
            );
        let got = measurement_gradient(&operator, &x0_hat, &r, pullback_of(&jacobian), &step)
            .expect("neither the operator nor the pullback failed");
        quantities(check, &step).verify(&got);
    }
}

/// With a nonlinear operator and a prior whose score bends, against nothing but the definition of a gradient.
#[test]
fn exercise_6_2_is_the_gradient_of_the_squared_norm() {
    let shape = [1, 1, 3];
    let operator = HdrResponse::new(shape, 0.8, 2.2).unwrap();
    let means = array![[-0.5, 0.3, 0.1], [0.4, 0.5, -0.2]];
    let model =
        GaussianMixtureModel::isotropic(Schedule::linear(), shape, array![0.6, 0.4], means, array![0.05, 0.1]).unwrap();
    let b = Array4::from_shape_vec((1, 1, 1, 3), vec![0.2, -0.1, 0.3]).unwrap();
    let step = model.schedule().step(250, 249);
    let x_t = Array4::from_shape_vec((1, 1, 1, 3), vec![0.3, 0.2, -0.1]).unwrap();
    let x0_of = |x: &Array4<f32>| predict_x0(x, &model.score(x, step.t).unwrap(), &step);
    let squared_norm = |x: &Array4<f32>| -> f64 {
        let r = residual(&operator, &b, &x0_of(x)).unwrap();
        r.iter().map(|&r| f64::from(r).powi(2)).sum()
    };
    let difference = Array4::from_shape_fn(x_t.dim(), |index| {
        let h = 5e-3;
        let (mut above, mut below) = (x_t.clone(), x_t.clone());
        above[index] += h;
        below[index] -= h;
        ((squared_norm(&above) - squared_norm(&below)) / f64::from(above[index] - below[index])) as f32
    });
    let (score, pullback) = model.score_with_pullback(&x_t, step.t).unwrap();
    let x0_hat = predict_x0(&x_t, &score, &step);
    let r = residual(&operator, &b, &x0_hat).unwrap();
    let got = measurement_gradient(&operator, &x0_hat, &r, pullback, &step).unwrap();
    // Central differences in f32 are good to some 1e-3.
    Check::new("measurement_gradient, with a nonlinear operator", &difference)
        .formula("gradient of ||b - A(x0_hat(x_t))||^2 with respect to x_t, here by central differences")
        .tolerance(5e-3)
        .suspect(
            &(&difference * 0.5),
            "the 2 is missing: the gradient of a square is twice the residual",
        )
        .suspect(&(&difference * -1.0), "the sign is flipped: v = -2 A^T r")
        .verify(&got);
}

#[test]
fn exercise_6_3_step_sizes() {
    let norms = [0.5, 2.0, 8.0];
    let of = |values: [f64; 3]| Array4::from_shape_fn((3, 1, 1, 1), |(i, ..)| values[i] as f32);
    let expect = |what: &str, right: [f64; 3], suspects: &[([f64; 3], &str)], got: Vec<f32>| {
        assert_eq!(
            got.len(),
            3,
            "step_sizes returned {} numbers for a batch of 3 images: one for each image",
            got.len()
        );
        let expected = of(right);
        let mut check = Check::new(what, &expected);
        for (wrong, because) in suspects {
            check = check.suspect(&of(*wrong), *because);
        }
        check.verify(&of([0, 1, 2].map(|i| f64::from(got[i]))));
    };
    let zeta = 0.6;
    let total = norms.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>().sqrt();
    expect(
        "step_sizes(Normalised(0.6)): zeta / (2 ||r||)",
        [0.6, 0.15, 0.0375],
        &[
            (
                [zeta; 3],
                "zeta is not divided by the norm of the residual: that is StepSize::Constant",
            ),
            (
                [1.2, 0.3, 0.075],
                "the 2 is missing: the gradient of ||r||^2 is 2 ||r|| times that of ||r||, so that zeta / (2 ||r||) \
                 undoes both",
            ),
            (
                [2.4, 0.6, 0.15],
                "zeta is divided by half the norm; it is twice the norm",
            ),
            (
                [0.15, 0.6, 2.4],
                "zeta is multiplied by the norm and halved; it is divided by twice the norm",
            ),
            (
                [1.2, 0.075, 0.0046875],
                "zeta is divided by the square of the norm, and by 2; it is the norm itself",
            ),
            (
                [zeta / (2.0 * total); 3],
                "the norm is taken over the whole batch: each image has its own residual, and its own zeta_t",
            ),
        ],
        step_sizes(StepSize::Normalised(zeta), &norms),
    );
    expect(
        "step_sizes(Constant(0.6)): zeta",
        [zeta; 3],
        &[(
            [0.6, 0.15, 0.0375],
            "zeta is divided by the norm: that is StepSize::Normalised",
        )],
        step_sizes(StepSize::Constant(zeta), &norms),
    );
    let at_zero = step_sizes(StepSize::Normalised(zeta), &[0.0, 1.0]);
    assert_eq!(
        at_zero,
        [0.0, 0.3],
        "step_sizes(Normalised(0.6)) for residuals of norm 0 and 1: where the residual is 0 there is nothing to \
         correct, so zeta_t = 0; zeta / (2 * 0) is infinite, and infinity times a gradient of 0 is NaN"
    );
}

#[test]
fn exercise_6_4_dps_step() {
    let (x, hat, g, z) = (noise(1), noise(2), noise(3), noise(4));
    let zeta = [0.3_f32, 0.02, 1.5];
    let scaled = |zeta: [f32; 3]| {
        let mut scaled = g.clone();
        for (mut image, zeta) in scaled.outer_iter_mut().zip(zeta) {
            image *= zeta;
        }
        scaled
    };
    let pull = scaled(zeta);
    for (name, step) in steps() {
        let (alpha, beta, a, prev) = (step.alpha, step.beta(), step.alpha_bar, step.alpha_bar_prev);
        let of_x = alpha.sqrt() * (1.0 - prev) / (1.0 - a);
        let of_hat = prev.sqrt() * beta / (1.0 - a);
        let sigma = step.sigma;
        let mix = |p: f64, q: f64, r: f64, u: f64| &x * p as f32 + &hat * q as f32 + &z * r as f32 + &pull * u as f32;
        let unguided = mix(of_x, of_hat, sigma, 0.0);
        let expected = mix(of_x, of_hat, sigma, -1.0);
        let mean = mix(of_x, of_hat, 0.0, -1.0);
        let check = Check::new(format!("dps_step, {name}"), &expected)
            .formula(
                "x_{t-1} = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t + sqrt(alpha_bar_{t-1}) (1 - \
                 alpha_t) / (1 - alpha_bar_t) x0_hat + sigma_t z - zeta_t gradient",
            )
            .term("x_t", &x, of_x)
            .term("x0_hat", &hat, of_hat)
            .term("z", &z, sigma)
            .term("zeta_t gradient", &pull, -1.0)
            .suspect(
                &unguided,
                "the measurement plays no part in it: zeta_t times the gradient is to be subtracted",
            )
            .suspect(
                &mix(of_x, of_hat, sigma, 1.0),
                "the gradient is added, which makes the residual larger: go down the gradient, subtract it",
            )
            .suspect(&(&unguided - &g), "the gradient is not multiplied by zeta_t")
            .suspect(
                &(&unguided - &scaled([zeta[0]; 3])),
                "all images take the zeta_t of the first: each image has its own",
            )
            .suspect(
                &(&unguided - &scaled(zeta.map(|z| z * beta as f32))),
                "the gradient is multiplied by 1 - alpha_t, too; in DPS it is zeta_t alone",
            )
            .suspect(
                &(&unguided - &scaled(zeta.map(|z| z / alpha.sqrt() as f32))),
                "the gradient is divided by sqrt(alpha_t) with the rest: it is subtracted after the step",
            )
            .suspect(
                &mix(of_hat, of_x, sigma, -1.0),
                "the weights of x_t and x0_hat are exchanged",
            )
            .suspect(
                &mix(alpha.sqrt() * (1.0 - a) / (1.0 - prev), of_hat, sigma, -1.0),
                "in the weight of x_t, alpha_bar_t and alpha_bar_{t-1} are exchanged",
            )
            .suspect(
                &mix(alpha.sqrt(), of_hat, sigma, -1.0),
                "in the weight of x_t, alpha_bar_t stands in both places: above the line it is alpha_bar_{t-1}",
            )
            .suspect(
                &mix(of_x, a.sqrt() * beta / (1.0 - a), sigma, -1.0),
                "in the weight of x0_hat stands sqrt(alpha_bar_t) where sqrt(alpha_bar_{t-1}) belongs",
            )
            .suspect(
                &mix(of_x, prev * beta / (1.0 - a), sigma, -1.0),
                "in the weight of x0_hat the square root of alpha_bar_{t-1} is missing",
            )
            .suspect(
                &mix(alpha * (1.0 - prev) / (1.0 - a), of_hat, sigma, -1.0),
                "in the weight of x_t the square root of alpha_t is missing",
            )
            .suspect(
                &mix(of_x, prev.sqrt() * alpha / (1.0 - a), sigma, -1.0),
                "in the weight of x0_hat stands alpha_t where beta_t = 1 - alpha_t belongs",
            );
        quantities(noise_suspects(check, &mean, &z, &step), &step).verify(&dps_step(&x, &hat, &g, &zeta, &z, &step));
    }
}
