//! Exercises 5.1 to 5.4a, to rounding. A failing test says what is wrong.

use checks::Check;
use diffusion::{Schedule, Step};
use imaging::{Convolution, ForwardOperator, HdrResponse, Inpainting};
use ndarray::{Array4, array};
use task5_score_ald::{gamma, likelihood_score, posterior_step, predict_x0};
use testing::step_noise::noise_suspects;
use testing::steps::steps;
use testing::tweedie::check_predict_x0;

const SHAPE: [usize; 3] = [2, 6, 5];
/// Neither 1 nor each other's multiples, so that no two formulas agree by chance.
const SIGMA: f64 = 0.23;
const GAMMA: f64 = 0.71;

fn noise(seed: u64) -> Array4<f32> {
    testing::arrays::noise((3, 2, 6, 5), seed)
}

/// `p x + q y + r l + w z`.
fn mix(parts: [(f64, &Array4<f32>); 4]) -> Array4<f32> {
    let [x, y, l, z] = parts.map(|(factor, array)| array * factor as f32);
    x + y + l + z
}

#[test]
fn exercise_5_1_gamma() {
    let schedule = Schedule::linear();
    let steps = [(300, 299), (800, 799), (300, 200), (700, 450)].map(|(t, t_prev)| schedule.step(t, t_prev));
    let lambdas = [1.0, 0.3, 0.02];
    // One row for each lambda, one column for each step.
    let table = |f: &dyn Fn(&Step, f64) -> f64| {
        Array4::from_shape_fn((1, 1, lambdas.len(), steps.len()), |(_, _, i, j)| {
            f(&steps[j], lambdas[i]) as f32
        })
    };
    let expected = table(&|step, lambda| (lambda * (1.0 - step.alpha_bar)).sqrt());
    let over_signal = |step: &Step| (1.0 - step.alpha_bar) / step.alpha_bar;
    Check::new(
        "gamma (rows: lambda = 1, 0.3, 0.02; columns: t = 300, 800, 300, 700)",
        &expected,
    )
    .formula("gamma_t = sqrt(lambda (1 - alpha_bar_t))")
    .suspect(
        &table(&|step, lambda| lambda * (1.0 - step.alpha_bar)),
        "that is gamma_t^2: gamma returns its root, and likelihood_score squares it again",
    )
    .suspect(
        &table(&|step, lambda| lambda * (1.0 - step.alpha_bar).sqrt()),
        "lambda stands outside the root: it is a factor of gamma_t^2",
    )
    .suspect(&table(&|step, _| (1.0 - step.alpha_bar).sqrt()), "lambda is missing")
    .suspect(
        &table(&|step, lambda| (lambda * step.alpha_bar).sqrt()),
        "alpha_bar_t is used where 1 - alpha_bar_t belongs: gamma_t would be largest where x_t has no noise",
    )
    .suspect(
        &table(&|step, lambda| (lambda * over_signal(step)).sqrt()),
        "it is divided by sqrt(alpha_bar_t): that is the noise of x_t / sqrt(alpha_bar_t), but Score-ALD compares x_t \
             itself with the measurement",
    )
    .suspect(
        &table(&|step, lambda| (lambda / over_signal(step)).sqrt()),
        "that is signal over noise, which would trust x_t most where it is pure noise",
    )
    .suspect(
        &table(&|step, lambda| (lambda * step.beta()).sqrt()),
        "that is the noise of one step, 1 - alpha_t; x_t holds the noise of all steps together, 1 - alpha_bar_t",
    )
    .suspect(
        &table(&|step, lambda| (lambda * (1.0 - step.alpha_bar_prev)).sqrt()),
        "alpha_bar_{t-1} is used; x_t is at time t, so that it is alpha_bar_t",
    )
    .suspect(
        &table(&|step, lambda| (lambda * (1.0 - step.alpha_bar.sqrt())).sqrt()),
        "the root of alpha_bar_t is taken: the variance of the noise in x_t is 1 - alpha_bar_t",
    )
    .suspect(
        &table(&|_, lambda| lambda.sqrt()),
        "it is the same at all times: gamma_t falls with the noise in x_t",
    )
    .verify(&table(&gamma));
}

/// Whether a measurement has the shape of an image, so that `A` in place of `A^T` goes unnoticed by the shapes.
#[derive(Clone, Copy, PartialEq)]
enum Measurement {
    LikeAnImage,
    OfAnotherShape,
}

/// What a solver can do wrong with `A`, `b` and `x_t`.
fn check_likelihood(what: &str, operator: &dyn ForwardOperator, measurement: Measurement) {
    let (x, truth) = (noise(1), noise(2));
    let b = operator.apply(&truth).unwrap() + operator.apply(&noise(3)).unwrap() * 0.1;
    let r = &b - &operator.apply(&x).unwrap();
    let back = operator.vjp(&x, &r).unwrap();
    let (s2, g2) = (SIGMA.powi(2), GAMMA.powi(2));
    let over = |variance: f64| &back / variance as f32;
    let expected = over(s2 + g2);
    let mut check = Check::new(format!("likelihood_score, {what}"), &expected)
        .formula("l = A^T (b - A x_t) / (sigma^2 + gamma_t^2)")
        .suspect(
            &over(-(s2 + g2)),
            "it has the wrong sign: the score climbs towards the measurement, + A^T (b - A x_t). (The slide's minus is \
             a slip)",
        )
        .suspect(
            &over((SIGMA + GAMMA).powi(2)),
            "sigma and gamma_t are added and then squared; variances add: sigma^2 + gamma_t^2",
        )
        .suspect(&over(SIGMA + g2), "sigma is not squared")
        .suspect(
            &over(s2 + GAMMA),
            "gamma_t is not squared: gamma returns gamma_t, not its square",
        )
        .suspect(&over(SIGMA + GAMMA), "neither sigma nor gamma_t is squared")
        .suspect(
            &over((s2 + g2).sqrt()),
            "it is divided by the standard deviation, sqrt(sigma^2 + gamma_t^2); the formula has the variance",
        )
        .suspect(
            &over((s2 + g2).powi(2)),
            "the variance is squared once more: is gamma_t^2 squared twice?",
        )
        .suspect(
            &over(s2),
            "gamma_t^2 is missing: that is the likelihood score of a clean image",
        )
        .suspect(&over(g2), "sigma^2 is missing")
        .suspect(&over(s2 - g2), "gamma_t^2 is subtracted from sigma^2; variances add")
        .suspect(
            &over(s2 * g2),
            "sigma^2 and gamma_t^2 are multiplied; variances of independent errors add",
        )
        .suspect(&over(1.0), "the division by sigma^2 + gamma_t^2 is missing")
        .suspect(
            &(&back * (s2 + g2) as f32),
            "it is multiplied by sigma^2 + gamma_t^2, not divided",
        )
        .suspect(
            &over((s2 + g2) / 2.0),
            "there is a factor of 2 too much: the exponent is -||b - A x||^2 / (2 variance), and the 2 of the square \
             cancels it",
        )
        .suspect(
            &over((s2 + g2) * 2.0),
            "it is half of what it should be: the 2 in -||b - A x||^2 / (2 variance) is cancelled by that of the \
             square",
        )
        .suspect(
            &over((s2 / 4.0) + g2),
            "sigma is halved: it is on the scale of pixels in [-1, 1] already",
        )
        .suspect(
            &over((4.0 * s2) + g2),
            "sigma is doubled: it is on the scale of pixels in [-1, 1] already",
        )
        .suspect(
            &(operator.vjp(&x, &b).unwrap() / (s2 + g2) as f32),
            "that is A^T b over the variance: A x_t is not subtracted",
        )
        .suspect(
            &(operator.vjp(&x, &(&b + &operator.apply(&x).unwrap())).unwrap() / (s2 + g2) as f32),
            "A x_t is added to b; the residual is b - A x_t",
        )
        .suspect(
            &((operator.vjp(&x, &b).unwrap() - &x) / (s2 + g2) as f32),
            "that is A^T b - x_t over the variance: first A x_t, then the difference, then A^T",
        )
        .suspect(
            &mix([
                (1.0, &operator.vjp(&x, &r).unwrap().map(|_| 0.0)),
                (0.0, &x),
                (0.0, &x),
                (1.0 / norm(&r) / (s2 + g2), &back),
            ]),
            "it is divided by the norm of the residual, which belongs to DPS",
        )
        .quantity("sigma", SIGMA)
        .quantity("gamma_t", GAMMA)
        .quantity("sigma^2 + gamma_t^2", s2 + g2);
    if let Some(linear) = operator.as_linear() {
        let inverse = linear.pseudo_inverse(&r).unwrap() / (s2 + g2) as f32;
        check = check.suspect(
            &inverse,
            "the pseudo-inverse of A is used where A^T belongs: operator.vjp",
        );
    } else {
        let elsewhere = operator.vjp(&Array4::zeros(x.dim()), &r).unwrap() / (s2 + g2) as f32;
        check = check.suspect(
            &elsewhere,
            "the Jacobian is taken at 0: for a nonlinear operator it depends on the image, operator.vjp(x_t, ...)",
        );
    }
    if measurement == Measurement::LikeAnImage {
        let forward = operator.apply(&r).unwrap() / (s2 + g2) as f32;
        let plain = &r / (s2 + g2) as f32;
        let at_b = operator.vjp(&b, &r).unwrap() / (s2 + g2) as f32;
        check = check
            .suspect(
                &forward,
                "A is applied where A^T belongs: operator.vjp(x_t, ...) is A^T. (Where A is symmetric, as a Gaussian \
                 blur is, you would not notice)",
            )
            .suspect(
                &plain,
                "A^T is missing: the residual is a measurement, A^T carries it back to an image",
            );
        if operator.as_linear().is_none() {
            check = check.suspect(
                &at_b,
                "the Jacobian is taken at b: it belongs to the image, operator.vjp(x_t, ...)",
            );
        }
    }
    let got = likelihood_score(operator, &b, &x, SIGMA, GAMMA)
        .unwrap_or_else(|error| panic!("likelihood_score, {what}: it should not fail, but says: {error:#}"));
    check.verify(&got);
}

fn norm(r: &Array4<f32>) -> f64 {
    r.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// A blur that is not symmetric: `A^T` is not `A`.
fn lopsided_blur() -> Convolution {
    let kernel = array![[0.1, 0.5, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, -0.1]];
    Convolution::from_kernel(SHAPE, &kernel).unwrap()
}

#[test]
fn exercise_5_2_likelihood_score_of_a_blur() {
    check_likelihood(
        "a blur whose kernel is not symmetric",
        &lopsided_blur(),
        Measurement::LikeAnImage,
    );
}

#[test]
fn exercise_5_2_likelihood_score_of_inpainting() {
    let operator = Inpainting::random(SHAPE, 0.6, 3).unwrap();
    check_likelihood("inpainting", &operator, Measurement::OfAnotherShape);
}

#[test]
fn exercise_5_2_likelihood_score_of_a_nonlinear_operator() {
    let operator = HdrResponse::new(SHAPE, 1.2, 1.8).unwrap();
    check_likelihood(
        "an overexposed photograph, which is not linear in x",
        &operator,
        Measurement::LikeAnImage,
    );
}

#[test]
fn a_variance_of_zero_is_an_error() {
    let operator = lopsided_blur();
    let (b, x) = (noise(1), noise(2));
    for (sigma, gamma_t) in [(0.0, 0.0), (f64::NAN, 0.1), (0.05, f64::INFINITY)] {
        let Err(error) = likelihood_score(&operator, &b, &x, sigma, gamma_t) else {
            panic!(
                "likelihood_score with sigma = {sigma} and gamma_t = {gamma_t} divides by {}: it should return an \
                 error. Is `check_variance(sigma, gamma_t)?` still its first line?",
                sigma * sigma + gamma_t * gamma_t
            )
        };
        assert!(error.to_string().contains("sigma^2 + gamma_t^2"), "{error}");
    }
    assert!(
        likelihood_score(&operator, &b, &x, 0.0, 0.1).is_ok_and(|l| l.iter().all(|v| v.is_finite())),
        "a sigma of 0 is fine as long as gamma_t is not 0"
    );
}

#[test]
fn a_measurement_of_the_wrong_shape_is_an_error() {
    let operator = lopsided_blur();
    let x = noise(2);
    for shape in [(1, 2, 6, 5), (2, 2, 6, 5), (3, 2, 6, 4)] {
        assert!(
            likelihood_score(&operator, &Array4::zeros(shape), &x, SIGMA, GAMMA).is_err(),
            "b of shape {shape:?} for x_t of shape {:?} should be an error: take the residual with `residual(operator, \
             b, x_t)?`, which checks it (ndarray would repeat a single measurement for all images)",
            x.dim()
        );
    }
}

#[test]
fn exercise_5_3_posterior_step() {
    let (x, s, l, z) = (noise(1), noise(2), noise(3), noise(4));
    for (name, step) in steps() {
        let (a, abar, beta) = (step.alpha, step.alpha_bar, step.beta());
        let (root, sigma) = (a.sqrt(), step.sigma);
        let of = |p: f64, q: f64, k: f64, w: f64| mix([(p, &x), (q, &s), (k, &l), (w, &z)]);
        // The right step with another factor of the likelihood score, of both scores.
        let with_l = |k: f64| of(1.0 / root, beta / root, k, sigma);
        let with_both = |q: f64| of(1.0 / root, q, q, sigma);
        let expected = with_l(beta / root);
        let full = Schedule::linear().alpha(step.t);
        let mean = of(1.0 / root, beta / root, beta / root, 0.0);
        let check = Check::new(format!("posterior_step, {name}"), &expected)
            .formula("x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t) + sigma_t z")
            .term("x_t", &x, 1.0 / root)
            .term("the score", &s, beta / root)
            .term("the likelihood score", &l, beta / root)
            .term("z", &z, sigma)
            .suspect(
                &with_l(0.0),
                "the likelihood score plays no part in it: that is task 3, which knows no measurement",
            )
            .suspect(
                &with_l(-beta / root),
                "the likelihood score is subtracted: by Bayes' rule the log-densities add up, and so do the scores",
            )
            .suspect(
                &with_l(1.0),
                "the likelihood score is added to the finished step; it belongs beside the score, inside the bracket, \
                 with the same factor 1 - alpha_t",
            )
            .suspect(
                &with_l(1.0 / root),
                "the factor 1 - alpha_t in front of the likelihood score is missing: it is that of the score",
            )
            .suspect(
                &with_l(beta),
                "the likelihood score stands outside the bracket: it is divided by sqrt(alpha_t) as well",
            )
            .suspect(
                &with_l(beta.sqrt() / root),
                "the likelihood score is multiplied by sqrt(1 - alpha_t); its factor is 1 - alpha_t, as the score's",
            )
            .suspect(
                &with_l((1.0 - abar) / root),
                "the likelihood score is multiplied by 1 - alpha_bar_t; a single step takes 1 - alpha_t",
            )
            .suspect(
                &with_l(beta / (2.0 * root)),
                "the likelihood score is halved, as in a step of Langevin dynamics; the reverse process takes both \
                 scores in full",
            )
            .suspect(
                &of(1.0 / root, 0.0, beta / root, sigma),
                "the prior's score plays no part in it: that is gradient ascent on the likelihood, with noise",
            )
            .suspect(
                &with_both(-beta / root),
                "both scores have the wrong sign: scores are added; it is the noise prediction that is subtracted",
            )
            .suspect(&of(1.0, beta, beta, sigma), "the division by sqrt(alpha_t) is missing")
            .suspect(
                &of(1.0 / a, beta / a, beta / a, sigma),
                "the bracket is divided by alpha_t, without the square root",
            )
            .suspect(
                &of(root, beta * root, beta * root, sigma),
                "the bracket is multiplied by sqrt(alpha_t); on the way back it is divided",
            )
            .suspect(
                &of(
                    1.0 / abar.sqrt(),
                    (1.0 - abar) / abar.sqrt(),
                    (1.0 - abar) / abar.sqrt(),
                    sigma,
                ),
                "alpha_bar_t is used where alpha_t belongs: that jumps all the way to x0_hat",
            )
            .suspect(
                &with_both((1.0 - abar) / root),
                "the scores are multiplied by 1 - alpha_bar_t, which jumps all the way to x0_hat; a single step takes \
                 1 - alpha_t",
            )
            .suspect(
                &with_both(beta.sqrt() / root),
                "the scores are multiplied by sqrt(1 - alpha_t); their factor is \
                                                      1 - alpha_t",
            )
            .suspect(
                &with_both(1.0 / root),
                "the factor 1 - alpha_t in front of the scores is missing",
            )
            .suspect(
                &with_both(root),
                "the scores are multiplied by alpha_t where 1 - alpha_t, beta_t, belongs",
            )
            .suspect(
                &with_both(beta),
                "only x_t is divided by sqrt(alpha_t), not the whole bracket",
            )
            .suspect(
                &of(1.0 + beta / 2.0, beta, beta, sigma),
                "that is an Euler-Maruyama step of the conditional reverse SDE: close, and right as the steps become \
                 small, but not the DDPM step",
            )
            .suspect(
                &of(
                    1.0 / full.sqrt(),
                    (1.0 - full) / full.sqrt(),
                    (1.0 - full) / full.sqrt(),
                    sigma,
                ),
                "alpha_t is that of the full schedule; this step skips times, and its own alpha is \
                 alpha_bar_t / alpha_bar_{t-1}: use step.alpha",
            )
            .suspect(&x, "x_t came back unchanged")
            .quantity("alpha_t", a)
            .quantity("1 - alpha_t", beta)
            .quantity("alpha_bar_t", abar)
            .quantity("1 - alpha_bar_t", 1.0 - abar);
        noise_suspects(check, &mean, &z, &step).verify(&posterior_step(&x, &s, &l, &z, &step));
    }
}

#[test]
fn exercise_5_4a_predict_x0() {
    let (x, s) = (noise(1), noise(2));
    for (name, step) in steps() {
        check_predict_x0(&name, &x, &s, &step, &predict_x0(&x, &s, &step));
    }
}
