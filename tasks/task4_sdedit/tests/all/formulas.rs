//! Exercises 4.1, 4.2 and 4.4, to rounding, with given noise. A failing test says what is wrong.

use checks::Check;
use diffusion::Schedule;
use ndarray::{Array2, Array4};
use task4_sdedit::{keep_outside, noise_guide, predict_x0, reverse_step};
use testing::step_noise::noise_suspects;
use testing::steps::steps;
use testing::tweedie::check_predict_x0;

fn noise(seed: u64) -> Array4<f32> {
    testing::arrays::noise((3, 2, 5, 5), seed)
}

/// `p x + q y`.
fn mix(p: f64, x: &Array4<f32>, q: f64, y: &Array4<f32>) -> Array4<f32> {
    x * p as f32 + y * q as f32
}

#[test]
fn exercise_4_1_noise_guide() {
    let (guide, eps) = (noise(1), noise(2));
    for t0 in [50, 300, 700] {
        let a = Schedule::linear().alpha_bar(t0);
        let (keep, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let of = |p: f64, q: f64| mix(p, &guide, q, &eps);
        let expected = of(keep, sigma);
        Check::new(format!("noise_guide at t0 = {t0}"), &expected)
            .formula("x_{t0} = sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps")
            .term("the guide", &guide, keep)
            .term("eps", &eps, sigma)
            .quantity("alpha_bar", a)
            .quantity("1 - alpha_bar", 1.0 - a)
            .suspect(
                &of(1.0, sigma),
                "the guide is not scaled: its factor is sqrt(alpha_bar)",
            )
            .suspect(&of(keep, 1.0), "eps is not scaled: its factor is sqrt(1 - alpha_bar)")
            .suspect(&of(a, sigma), "the square root of alpha_bar is missing")
            .suspect(
                &of(keep, 1.0 - a),
                "eps is scaled by the variance, 1 - alpha_bar; it should be by the standard deviation, sqrt(1 - \
                 alpha_bar)",
            )
            .suspect(&of(a, 1.0 - a), "both square roots are missing")
            .suspect(
                &of(sigma, keep),
                "sqrt(alpha_bar) and sqrt(1 - alpha_bar) have changed places",
            )
            .suspect(
                &of(1.0 - a, a),
                "the factors have changed places, and lack their square roots",
            )
            .suspect(
                &of(1.0, sigma / keep),
                "the variance is let grow, as for a VE-SDE; this course's process preserves it: divide nothing by \
                 sqrt(alpha_bar)",
            )
            .suspect(&of(keep, -sigma), "eps is subtracted; the formula adds it")
            .suspect(
                &of(keep, 1.0 - keep),
                "eps is scaled by 1 - sqrt(alpha_bar); it should be by sqrt(1 - alpha_bar)",
            )
            .suspect(&of(keep, 0.0), "there is no noise in it: where is eps?")
            .suspect(
                &of(0.0, sigma),
                "the guide is not in it: that would be generation from noise, task 3",
            )
            .suspect(&eps, "it is eps alone")
            .suspect(&guide, "the guide came back unchanged")
            .verify(&noise_guide(&guide, &eps, a));
    }
}

#[test]
fn exercise_4_1_at_the_ends_of_time() {
    let (guide, eps) = (noise(1), noise(2));
    Check::new("noise_guide with alpha_bar = 1 (t = 0)", &guide)
        .formula("without noise the guide comes back")
        .verify(&noise_guide(&guide, &eps, 1.0));
    Check::new("noise_guide with alpha_bar = 0", &eps)
        .formula("with nothing but noise, eps comes back")
        .verify(&noise_guide(&guide, &eps, 0.0));
}

#[test]
fn exercise_4_2a_predict_x0() {
    let (x, s) = (noise(1), noise(2));
    for (name, step) in steps() {
        check_predict_x0(&name, &x, &s, &step, &predict_x0(&x, &s, &step));
    }
}

#[test]
fn exercise_4_2b_reverse_step() {
    let (x, s, z) = (noise(1), noise(2), noise(3));
    for (name, step) in steps() {
        let (a, abar, beta) = (step.alpha, step.alpha_bar, step.beta());
        let (root, sigma) = (a.sqrt(), step.sigma);
        let mean = mix(1.0 / root, &x, beta / root, &s);
        let of = |p: f64, q: f64| mix(p, &x, q, &s) + &z * sigma as f32;
        let full = Schedule::linear().alpha(step.t);
        let expected = &mean + &z * sigma as f32;
        let check = Check::new(format!("reverse_step, {name}"), &expected)
            .formula("x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z")
            .term("x_t", &x, 1.0 / root)
            .term("the score", &s, beta / root)
            .term("z", &z, sigma)
            .quantity("alpha_t", a)
            .quantity("1 - alpha_t", beta)
            .quantity("alpha_bar_t", abar)
            .quantity("1 - alpha_bar_t", 1.0 - abar)
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
                &of(1.0 / root, 0.0),
                "the score plays no part in it: x_t is only enlarged and noised",
            )
            .suspect(
                &of(1.0 / root, beta),
                "only x_t is divided by sqrt(alpha_t), not the whole bracket",
            )
            .suspect(
                &(&x * root as f32 + &z * beta.sqrt() as f32),
                "that is a step of the forward process, which adds noise: the way back enlarges x_t and adds the score",
            )
            .suspect(
                &(mix(1.0 / full.sqrt(), &x, (1.0 - full) / full.sqrt(), &s) + &z * sigma as f32),
                "alpha_t is that of the full schedule, alpha(t) or 1 - beta(t); this step skips times, and its own \
                 alpha is alpha_bar_t / alpha_bar_{t-1}: use step.alpha",
            )
            .suspect(&x, "x_t came back unchanged");
        noise_suspects(check, &mean, &z, &step).verify(&reverse_step(&x, &s, &z, &step));
    }
}

/// Neither symmetric nor half full.
fn mask() -> Array2<f32> {
    Array2::from_shape_fn((5, 5), |(y, x)| if 2 * y + x >= 6 && x < 4 { 1.0 } else { 0.0 })
}

#[test]
fn exercise_4_4_keep_outside() {
    let (x_t, image, eps, mask) = (noise(1), noise(2), noise(3), mask());
    let outside = 1.0 - &mask;
    for t in [100, 600] {
        let a = Schedule::linear().alpha_bar(t);
        let (keep, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let noised = mix(keep, &image, sigma, &eps);
        let with = |replacement: &Array4<f32>| &x_t * &mask + replacement * &outside;
        let expected = with(&noised);
        Check::new(format!("keep_outside at t = {t}"), &expected)
            .formula("mask x_t + (1 - mask) (sqrt(alpha_bar_t) image + sqrt(1 - alpha_bar_t) eps)")
            .suspect(
                &(&x_t * &outside + &noised * &mask),
                "the mask is inverted: 1 is where x_t stays, 0 where the image comes back",
            )
            .suspect(
                &with(&image),
                "the image comes back clean; it needs as much noise as x_t has: sqrt(alpha_bar_t) image + \
                 sqrt(1 - alpha_bar_t) eps",
            )
            .suspect(
                &with(&mix(keep, &image, 0.0, &eps)),
                "the image comes back without its noise",
            )
            .suspect(
                &with(&mix(1.0, &image, sigma, &eps)),
                "the image comes back with noise, but not scaled by sqrt(alpha_bar_t)",
            )
            .suspect(
                &with(&mix(a, &image, 1.0 - a, &eps)),
                "the square roots are missing in the noised image",
            )
            .suspect(&with(&eps), "only noise is outside of the mask: where is the image?")
            .suspect(
                &(&x_t * &mask),
                "outside of the mask there is nothing: add the noised image there",
            )
            .suspect(
                &(&noised * &outside),
                "inside of the mask there is nothing: add x_t there",
            )
            .suspect(
                &(&x_t * &mask + &noised),
                "the noised image is added everywhere; multiply it by 1 - mask first",
            )
            .suspect(
                &(&x_t + &noised * &outside),
                "x_t is still there outside of the mask; multiply it by the mask first",
            )
            .suspect(
                &mix(keep, &with(&image), sigma, &eps),
                "all of it is noised, x_t too, which has its noise already: noise the image alone",
            )
            .suspect(
                &(&x_t * &mask.t() + &noised * &outside.t()),
                "rows and columns of the mask are swapped",
            )
            .suspect(&noised, "x_t is not in it: the noised image stands everywhere")
            .suspect(&x_t, "x_t came back unchanged: the mask was not used")
            .verify(&keep_outside(&x_t, &image, &mask, &eps, a));
    }
}

#[test]
fn exercise_4_4_at_the_end_the_image_is_back_to_the_bit() {
    let (x_t, image, eps, mask) = (noise(1), noise(2), noise(3), mask());
    let result = keep_outside(&x_t, &image, &mask, &eps, 1.0);
    for ((b, c, y, x), value) in result.indexed_iter() {
        let (wanted, whose) = if mask[[y, x]] == 1.0 {
            (&x_t, "x_t")
        } else {
            (&image, "the image")
        };
        assert!(
            *value == wanted[[b, c, y, x]],
            "keep_outside with alpha_bar = 1 holds {value} at {:?}, where the mask is {}; expected {whose}, {}, \
             exactly",
            [b, c, y, x],
            mask[[y, x]],
            wanted[[b, c, y, x]]
        );
    }
}
