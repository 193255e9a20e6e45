//! Exercises 3.1 and 3.2, to rounding, with given noise. A failing test says what is wrong.

use checks::Check;
use diffusion::{Schedule, Step};
use ndarray::Array4;
use task3_generate::{ddpm_step_direct, ddpm_step_through_x0, predict_x0};
use testing::step_noise::noise_suspects;
use testing::steps::{VARIANCES, steps, with_variance};
use testing::tweedie::check_predict_x0;

fn noise(seed: u64) -> Array4<f32> {
    testing::arrays::noise((3, 2, 5, 4), seed)
}

/// `p x + q y + r z`.
fn mix(p: f64, x: &Array4<f32>, q: f64, y: &Array4<f32>, r: f64, z: &Array4<f32>) -> Array4<f32> {
    x * p as f32 + y * q as f32 + z * r as f32
}

fn quantities<'a>(check: Check<'a>, step: &Step) -> Check<'a> {
    check
        .quantity("alpha_t", step.alpha)
        .quantity("1 - alpha_t", step.beta())
        .quantity("alpha_bar_t", step.alpha_bar)
        .quantity("1 - alpha_bar_t", 1.0 - step.alpha_bar)
        .quantity("alpha_bar_{t-1}", step.alpha_bar_prev)
        .quantity("1 - alpha_bar_{t-1}", 1.0 - step.alpha_bar_prev)
}

#[test]
fn exercise_3_1_direct_step() {
    let (x, s, z) = (noise(1), noise(2), noise(3));
    for (name, step) in steps() {
        let (a, abar, beta) = (step.alpha, step.alpha_bar, step.beta());
        let (root, sigma) = (a.sqrt(), step.sigma);
        let of = |p: f64, q: f64| mix(p, &x, q, &s, sigma, &z);
        let mean = mix(1.0 / root, &x, beta / root, &s, 0.0, &z);
        let expected = of(1.0 / root, beta / root);
        let check = Check::new(format!("ddpm_step_direct, {name}"), &expected)
            .formula("x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z")
            .term("x_t", &x, 1.0 / root)
            .term("the score", &s, beta / root)
            .term("z", &z, sigma)
            .suspect(&of(1.0, beta), "the division by sqrt(alpha_t) is missing")
            .suspect(
                &of(1.0 / a, beta / a),
                "the bracket is divided by alpha_t, without the square root",
            )
            .suspect(
                &of(root, beta * root),
                "the bracket is multiplied by sqrt(alpha_t); on the way back it is divided",
            )
            .suspect(
                &of(1.0 / abar.sqrt(), beta / abar.sqrt()),
                "the bracket is divided by sqrt(alpha_bar_t); a single step undoes the shrinking of a single step, \
                 sqrt(alpha_t)",
            )
            .suspect(
                &of(1.0 / root, (1.0 - abar) / root),
                "the score is multiplied by 1 - alpha_bar_t, which jumps all the way to x0_hat; a single step takes \
                 1 - alpha_t",
            )
            .suspect(
                &of(1.0 / abar.sqrt(), (1.0 - abar) / abar.sqrt()),
                "that is x0_hat (Tweedie's formula) plus noise: alpha_bar_t is used where alpha_t belongs",
            )
            .suspect(
                &mix(
                    1.0 / abar.sqrt(),
                    &x,
                    (1.0 - abar) / abar.sqrt(),
                    &s,
                    (1.0 - abar).sqrt(),
                    &z,
                ),
                "alpha_bar_t is used everywhere alpha_t belongs",
            )
            .suspect(
                &of(1.0 / root, -beta / root),
                "the score has the wrong sign: a score is added; it is the noise prediction that is subtracted",
            )
            .suspect(
                &of(1.0 / root, beta / (root * (1.0 - abar).sqrt())),
                "the score is divided by sqrt(1 - alpha_bar_t), as the noise prediction is; the score needs no such \
                 division",
            )
            .suspect(
                &of(1.0 / root, -beta / (root * (1.0 - abar).sqrt())),
                "the score is used as if it were the noise prediction: eps = -sqrt(1 - alpha_bar_t) s",
            )
            .suspect(
                &of(1.0 / root, beta.sqrt() / root),
                "the score is multiplied by sqrt(1 - alpha_t); its factor is 1 - alpha_t",
            )
            .suspect(
                &of(1.0 / root, 1.0 / root),
                "the factor 1 - alpha_t in front of the score is missing",
            )
            .suspect(
                &of(1.0 / root, root),
                "the score is multiplied by alpha_t; its factor is 1 - alpha_t",
            )
            .suspect(
                &of(1.0 / root, 0.0),
                "the score plays no part in it: x_t is only enlarged and noised",
            )
            .suspect(
                &of(1.0 / root, beta),
                "only x_t is divided by sqrt(alpha_t), not the whole bracket",
            )
            .suspect(
                &of(1.0, beta / root),
                "only the score is divided by sqrt(alpha_t), not the whole bracket",
            )
            .suspect(
                &of(root, beta.sqrt()),
                "that is a step of the forward process with the score added",
            )
            .suspect(
                &mix(root, &x, 0.0, &s, beta.sqrt(), &z),
                "that is a step of the forward process, which adds noise: the way back enlarges x_t and adds the score",
            )
            .suspect(
                &of(1.0 + beta / 2.0, beta),
                "that is an Euler-Maruyama step of the reverse SDE: close, and right as the steps become small, but \
                 not the DDPM step",
            )
            .suspect(
                &of(2.0 - root, beta),
                "that is the reverse step of Song et al. (reverse diffusion sampler): close, and right as the steps \
                 become small, but not the DDPM step",
            )
            .suspect(&x, "x_t came back unchanged")
            .suspect(&mean_with_schedule(&step, &x, &s, &z), WITH_SCHEDULE);
        let check = noise_suspects(check, &mean, &z, &step);
        quantities(check, &step).verify(&ddpm_step_direct(&x, &s, &z, &step));
    }
}

const WITH_SCHEDULE: &str = "alpha_t is that of the full schedule, alpha(t) or 1 - beta(t); this step skips times, and \
                             its own alpha is alpha_bar_t / alpha_bar_{t-1}: use step.alpha";

/// The step with `alpha(t)` of the schedule in place of the step's own.
fn mean_with_schedule(step: &Step, x: &Array4<f32>, s: &Array4<f32>, z: &Array4<f32>) -> Array4<f32> {
    let a = Schedule::linear().alpha(step.t);
    mix(1.0 / a.sqrt(), x, (1.0 - a) / a.sqrt(), s, step.sigma, z)
}

#[test]
fn exercise_3_2a_predict_x0() {
    let (x, s) = (noise(1), noise(2));
    for (name, step) in steps() {
        check_predict_x0(&name, &x, &s, &step, &predict_x0(&x, &s, &step));
    }
}

#[test]
fn exercise_3_2b_step_through_x0() {
    let (x, s, z) = (noise(1), noise(2), noise(3));
    for (name, step) in steps() {
        let (a, abar, prev, beta) = (step.alpha, step.alpha_bar, step.alpha_bar_prev, step.beta());
        let sigma = step.sigma;
        let hat = mix(1.0 / abar.sqrt(), &x, (1.0 - abar) / abar.sqrt(), &s, 0.0, &s);
        let of_x = a.sqrt() * (1.0 - prev) / (1.0 - abar);
        let of_hat = prev.sqrt() * beta / (1.0 - abar);
        let of = |p: f64, q: f64| mix(p, &x, q, &hat, sigma, &z);
        let mean = mix(of_x, &x, of_hat, &hat, 0.0, &z);
        let expected = of(of_x, of_hat);
        let check = Check::new(format!("ddpm_step_through_x0, {name}"), &expected)
            .formula(
                "x_{t-1} = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t + sqrt(alpha_bar_{t-1}) \
                 (1 - alpha_t) / (1 - alpha_bar_t) x0_hat + sigma_t z",
            )
            .term("x_t", &x, of_x)
            .term("x0_hat", &hat, of_hat)
            .term("z", &z, sigma)
            .suspect(&of(of_hat, of_x), "the factors of x_t and x0_hat have changed places")
            .suspect(
                &of(a * (1.0 - prev) / (1.0 - abar), of_hat),
                "the square root of alpha_t in the factor of x_t is missing",
            )
            .suspect(
                &of(of_x, prev * beta / (1.0 - abar)),
                "the square root of alpha_bar_{t-1} in the factor of x0_hat is missing",
            )
            .suspect(
                &of(a * (1.0 - prev) / (1.0 - abar), prev * beta / (1.0 - abar)),
                "both square roots are missing: the factors have sqrt(alpha_t) and sqrt(alpha_bar_{t-1})",
            )
            .suspect(
                &of(of_x, abar.sqrt() * beta / (1.0 - abar)),
                "alpha_bar_t is used where alpha_bar_{t-1} belongs, in the factor of x0_hat",
            )
            .suspect(
                &of(a.sqrt(), of_hat),
                "1 - alpha_bar_t is used where 1 - alpha_bar_{t-1} belongs, in the factor of x_t",
            )
            .suspect(
                &of(a.sqrt(), abar.sqrt() * beta / (1.0 - abar)),
                "alpha_bar_t is used where alpha_bar_{t-1} belongs, in both factors",
            )
            .suspect(
                &of(abar.sqrt() * (1.0 - prev) / (1.0 - abar), of_hat),
                "sqrt(alpha_bar_t) is used where sqrt(alpha_t) belongs, in the factor of x_t",
            )
            .suspect(
                &of(
                    prev.sqrt() * (1.0 - prev) / (1.0 - abar),
                    a.sqrt() * beta / (1.0 - abar),
                ),
                "sqrt(alpha_t) and sqrt(alpha_bar_{t-1}) have changed places",
            )
            .suspect(
                &of(of_x, a.sqrt() * beta / (1.0 - abar)),
                "sqrt(alpha_t) is used where sqrt(alpha_bar_{t-1}) belongs, in the factor of x0_hat",
            )
            .suspect(
                &of(a.sqrt() * (1.0 - prev), prev.sqrt() * beta),
                "the division by 1 - alpha_bar_t is missing",
            )
            .suspect(
                &of(a.sqrt() * (1.0 - prev), of_hat),
                "the division by 1 - alpha_bar_t is missing in the factor of x_t",
            )
            .suspect(
                &of(of_x, prev.sqrt() * beta),
                "the division by 1 - alpha_bar_t is missing in the factor of x0_hat",
            )
            .suspect(
                &of(
                    a.sqrt() * (1.0 - abar) / (1.0 - prev),
                    prev.sqrt() * beta / (1.0 - prev),
                ),
                "1 - alpha_bar_t and 1 - alpha_bar_{t-1} have changed places",
            )
            .suspect(
                &of(a.sqrt() * (1.0 - abar) / (1.0 - prev), of_hat),
                "1 - alpha_bar_t and 1 - alpha_bar_{t-1} have changed places in the factor of x_t",
            )
            .suspect(
                &of(of_x, prev.sqrt() * beta.sqrt() / (1.0 - abar)),
                "sqrt(1 - alpha_t) is used where 1 - alpha_t belongs, in the factor of x0_hat",
            )
            .suspect(
                &of(of_x, prev.sqrt()),
                "the factor (1 - alpha_t) / (1 - alpha_bar_t) of x0_hat is missing",
            )
            .suspect(&of(0.0, of_hat), "the term with x_t is missing")
            .suspect(&of(of_x, 0.0), "the term with x0_hat is missing")
            .suspect(
                &mix(of_x, &x, of_hat, &s, sigma, &z),
                "the score stands where x0_hat belongs: predict_x0 makes x0_hat of it",
            )
            .suspect(
                &mix(of_x, &x, of_hat * abar.sqrt(), &hat, sigma, &z),
                "x0_hat is off by a factor of sqrt(alpha_bar_t): did you divide by sqrt(alpha_bar_t)?",
            )
            .suspect(
                &mix(0.0, &x, prev.sqrt(), &hat, (1.0 - prev).sqrt(), &z),
                "that noises x0_hat anew to time t - 1, and forgets x_t: x_{t-1} is a weighted mean of x_t and x0_hat, \
                 with a little noise",
            )
            .suspect(
                &mix(0.0, &x, 1.0, &hat, sigma, &z),
                "that is x0_hat plus noise: x_t has no part in it",
            )
            .suspect(&hat, "x0_hat came back: it is only one part of the step")
            .suspect(&mean_with_schedule(&step, &x, &s, &z), WITH_SCHEDULE)
            .suspect(&x, "x_t came back unchanged");
        let check = quantities(noise_suspects(check, &mean, &z, &step), &step);
        if let Err(message) = check.diagnose(&ddpm_step_through_x0(&x, &s, &z, &step)) {
            let own_hat = predict_x0(&x, &s, &step);
            if (&own_hat - &hat).iter().any(|e| e.abs() > 1e-3) {
                panic!("predict_x0 (exercise 3.2a) is not right yet; mend it first, then look here again.\n{message}");
            }
            panic!("{message}");
        }
    }
}

#[test]
fn both_forms_agree() {
    let (x, s, z) = (noise(4), noise(5), noise(6));
    let zero = Array4::zeros(x.dim());
    let schedule = Schedule::linear();
    for (n, variance) in [1000, 250, 10]
        .into_iter()
        .flat_map(|n| VARIANCES.map(|variance| (n, variance)))
    {
        for step in with_variance(schedule.steps(n).unwrap(), variance) {
            // A score of the size that occurs: noise over its standard deviation.
            let s = &s / (1.0 - step.alpha_bar).sqrt() as f32;
            let z = if step.is_last() { &zero } else { &z };
            let direct = ddpm_step_direct(&x, &s, z, &step);
            let through = ddpm_step_through_x0(&x, &s, z, &step);
            // Through x0_hat, rounding is magnified by 1 / sqrt(alpha_bar_t) and shrunk again.
            Check::new(
                format!(
                    "the two forms at t = {} -> {} do not agree: the one through x0_hat",
                    step.t, step.t_prev
                ),
                &direct,
            )
            .tolerance(1e-5)
            .formula("both forms are the same map of x_t, s and z")
            .verify(&through);
        }
    }
}
