//! Exercises 2.1 to 2.3, to rounding, with given noise. A failing test says what is wrong.

use std::sync::Mutex;

use checks::Check;
use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use task2_denoise::{denoise, forward_diffusion, tweedie};
use testing::tweedie::{tweedie_check, x0_hat};

const TIMES: [usize; 3] = [100, 300, 700];

fn noise(seed: u64) -> Array4<f32> {
    testing::arrays::noise((3, 2, 5, 4), seed)
}

/// `a x + b y`.
fn mix(a: f64, x: &Array4<f32>, b: f64, y: &Array4<f32>) -> Array4<f32> {
    x * a as f32 + y * b as f32
}

#[test]
fn exercise_2_1_forward_diffusion() {
    let (x0, eps) = (noise(1), noise(2));
    for t in TIMES {
        let a = Schedule::linear().alpha_bar(t);
        let (signal, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let expected = mix(signal, &x0, sigma, &eps);
        Check::new(format!("forward_diffusion(x0, eps, alpha_bar_t = {a:.4})"), &expected)
            .formula("x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps")
            .quantity("alpha_bar_t", a)
            .quantity("1 - alpha_bar_t", 1.0 - a)
            .term("x0", &x0, signal)
            .term("eps", &eps, sigma)
            .suspect(
                &mix(a, &x0, 1.0 - a, &eps),
                "both square roots are missing: x0 is scaled by sqrt(alpha_bar_t), not by alpha_bar_t, and eps by \
                 sqrt(1 - alpha_bar_t), not by 1 - alpha_bar_t",
            )
            .suspect(
                &mix(a, &x0, sigma, &eps),
                "x0 is scaled by alpha_bar_t; did you forget the square root? It is scaled by sqrt(alpha_bar_t)",
            )
            .suspect(
                &mix(signal, &x0, 1.0 - a, &eps),
                "the noise is scaled by its variance, 1 - alpha_bar_t; it should be by the standard deviation, \
                 sqrt(1 - alpha_bar_t)",
            )
            .suspect(
                &mix(sigma, &x0, signal, &eps),
                "x0 and eps have changed places: x0 is scaled by sqrt(alpha_bar_t), eps by sqrt(1 - alpha_bar_t)",
            )
            .suspect(
                &mix(1.0 - a, &x0, a, &eps),
                "x0 and eps have changed places, and both square roots are missing",
            )
            .suspect(
                &mix(1.0, &x0, sigma, &eps),
                "x0 is not scaled: the variance-preserving process shrinks the image by sqrt(alpha_bar_t) while it \
                 adds noise",
            )
            .suspect(
                &mix(signal, &x0, 1.0, &eps),
                "eps is not scaled: the noise in x_t has the standard deviation sqrt(1 - alpha_bar_t)",
            )
            .suspect(&mix(1.0, &x0, 1.0, &eps), "neither x0 nor eps is scaled")
            .suspect(&mix(signal, &x0, 0.0, &eps), "there is no noise in it: where is eps?")
            .suspect(&mix(0.0, &x0, sigma, &eps), "there is no image in it: where is x0?")
            .suspect(&x0, "x0 came back unchanged")
            .suspect(&eps, "eps came back unchanged")
            .suspect(
                &mix(signal, &x0, -sigma, &eps),
                "the noise is subtracted. Either sign gives noise of the same distribution, but the network is trained \
                 to find the eps that was added",
            )
            .suspect(
                &mix(signal, &x0, 1.0 - signal, &eps),
                "the two factors add up to 1; it is their squares (the variances) that do: eps is scaled by \
                 sqrt(1 - alpha_bar_t), not by 1 - sqrt(alpha_bar_t)",
            )
            .suspect(
                &mix(signal, &x0, signal * sigma, &eps),
                "the noise is shrunk by sqrt(alpha_bar_t) as well: only x0 is multiplied by it",
            )
            .suspect(
                &mix(1.0 / signal, &x0, sigma, &eps),
                "x0 is divided by sqrt(alpha_bar_t): that is the way back (exercise 2.2); on the way forward it is \
                 multiplied",
            )
            .suspect(
                &mix(signal, &x0, (1.0 - a * a).sqrt(), &eps),
                "the factor of eps is sqrt(1 - alpha_bar_t^2): alpha_bar_t is the square of the factor of x0 already",
            )
            .verify(&forward_diffusion(&x0, &eps, a));
    }
}

#[test]
fn exercise_2_1_at_the_ends() {
    let (x0, eps) = (noise(1), noise(2));
    Check::new("forward_diffusion with alpha_bar = 1 (t = 0)", &x0)
        .formula("x_0 = x0: nothing happened yet")
        .suspect(&eps, "the noise came back: x0 and eps have changed places")
        .verify(&forward_diffusion(&x0, &eps, 1.0));
    Check::new("forward_diffusion with alpha_bar = 0 (t far beyond T)", &eps)
        .formula("x_t = eps: nothing of the image is left")
        .suspect(&x0, "the image came back: x0 and eps have changed places")
        .verify(&forward_diffusion(&x0, &eps, 0.0));
}

#[test]
fn exercise_2_2_tweedie() {
    let (x_t, score) = (noise(3), noise(4));
    for t in TIMES {
        let a = Schedule::linear().alpha_bar(t);
        let expected = x0_hat(&x_t, &score, a);
        tweedie_check(
            format!("tweedie(x_t, score, alpha_bar_t = {a:.4})"),
            &x_t,
            &score,
            a,
            &expected,
        )
        .verify(&tweedie(&x_t, &score, a));
    }
}

#[test]
fn exercise_2_2_undoes_2_1_when_the_noise_is_known() {
    // With the score of the very noise that was added, -eps / sqrt(1 - alpha_bar), the image comes back.
    let (x0, eps) = (noise(1), noise(2));
    for t in TIMES {
        let a = Schedule::linear().alpha_bar(t);
        let x_t = mix(a.sqrt(), &x0, (1.0 - a).sqrt(), &eps);
        let score = &eps * (-1.0 / (1.0 - a).sqrt()) as f32;
        Check::new(
            format!("tweedie of an image noised to t = {t}, given its true noise"),
            &x0,
        )
        .tolerance(1e-4)
        .formula("x0_hat = x0 if s = -eps / sqrt(1 - alpha_bar_t)")
        .suspect(
            &(&x0 * a.sqrt() as f32),
            "x0_hat is off by a factor of sqrt(alpha_bar_t): did you divide?",
        )
        .suspect(&x_t, "x_t came back unchanged")
        .verify(&tweedie(&x_t, &score, a));
    }
}

/// A model that answers with noise of its own for each `t`, on a schedule that is not the default one, and remembers
/// what it was asked.
struct Scripted {
    schedule: Schedule,
    asked: Mutex<Vec<(Array4<f32>, usize)>>,
}

impl Scripted {
    fn new() -> Self {
        Self {
            schedule: Schedule::linear_with(200, 1e-3, 0.04).unwrap(),
            asked: Mutex::default(),
        }
    }

    fn answer(t: usize) -> Array4<f32> {
        noise(1000 + t as u64)
    }
}

impl ScoreModel for Scripted {
    fn image_shape(&self) -> [usize; 3] {
        [2, 5, 4]
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        self.asked.lock().unwrap().push((x_t.clone(), t));
        Ok(Self::answer(t))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        Ok((
            self.score(x_t, t)?,
            Box::new(|_| Err(ScoreError::Backend("the pullback is for task 6".into()))),
        ))
    }
}

#[test]
fn exercise_2_3_denoise() {
    for t in [20, 80, 150] {
        let model = Scripted::new();
        let x_t = noise(5);
        let got = denoise(&model, &x_t, t).expect("the model was asked for a t it knows, and answered");

        let asked = model.asked.lock().unwrap();
        assert_eq!(
            asked.len(),
            1,
            "denoise called the model {} times; once is enough (a call of the network is what takes the time)",
            asked.len()
        );
        assert_eq!(
            asked[0].1, t,
            "denoise(model, x_t, t = {t}) asked the model for the score at t = {}",
            asked[0].1
        );
        Check::new("what denoise gave to the model", &x_t)
            .formula("model.score(x_t, t): the noisy images as they are")
            .verify(&asked[0].0);

        let schedule = &model.schedule;
        let score = Scripted::answer(t);
        let a = schedule.alpha_bar(t);
        let hat = |a: f64| x0_hat(&x_t, &score, a);
        let expected = hat(a);
        let check = tweedie_check(format!("denoise(model, x_t, t = {t})"), &x_t, &score, a, &expected)
            .suspect(
                &hat(schedule.alpha(t)),
                "alpha_t is used where alpha_bar_t belongs: model.schedule().alpha_bar(t)",
            )
            .suspect(
                &hat(schedule.beta(t)),
                "beta_t is used where alpha_bar_t belongs: model.schedule().alpha_bar(t)",
            )
            .suspect(
                &hat(1.0 - a),
                "1 - alpha_bar_t is used where alpha_bar_t belongs: model.schedule().alpha_bar(t)",
            )
            .suspect(
                &hat(a.sqrt()),
                "sqrt(alpha_bar_t) is passed to tweedie, which takes the root itself: pass alpha_bar_t",
            )
            .suspect(
                &hat(a * a),
                "alpha_bar_t is squared before tweedie gets it: pass alpha_bar_t",
            )
            .suspect(
                &hat(schedule.alpha_bar(t - 1)),
                "alpha_bar is that of t - 1; times start at 1, so that alpha_bar(t) needs no shift",
            )
            .suspect(
                &hat(schedule.alpha_bar(t + 1)),
                "alpha_bar is that of t + 1; times start at 1, so that alpha_bar(t) needs no shift",
            )
            .suspect(
                &hat(Schedule::linear().alpha_bar(t)),
                "alpha_bar is taken from Schedule::linear(); this model was made with another schedule: \
                 model.schedule().alpha_bar(t)",
            )
            .suspect(
                &mix(1.0 / a.sqrt(), &score, (1.0 - a) / a.sqrt(), &x_t),
                "x_t and the score have changed places in the call of tweedie",
            );
        if let Err(message) = check.diagnose(&got) {
            // Is it only what denoise calls?
            if tweedie(&x_t, &score, a) == got {
                panic!("denoise calls tweedie as it should, but tweedie (exercise 2.2) is not right yet:\n{message}");
            }
            panic!("{message}");
        }
    }
}

#[test]
fn exercise_2_3_hands_errors_on() {
    let model = Scripted::new();
    for t in [0, 201] {
        match denoise(&model, &noise(5), t) {
            Err(ScoreError::Timestep { .. }) => {}
            Err(other) => panic!("at t = {t} the model's own error should come back, not `{other}`"),
            Ok(_) => panic!("there is no t = {t} in this model's schedule: its error should come back (with `?`)"),
        }
    }
    let other_shape = Array4::zeros((1, 2, 5, 3));
    match denoise(&model, &other_shape, 5) {
        Err(ScoreError::Shape { .. }) => {}
        Err(other) => panic!("for images of the wrong shape the model's own error should come back, not `{other}`"),
        Ok(_) => panic!("images of the wrong shape: the model's error should come back (with `?`)"),
    }
}
