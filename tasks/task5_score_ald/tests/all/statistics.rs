//! A Gaussian prior and a linear measurement, where everything is known: the exact posterior, and what Score-ALD makes
//! of it.
//!
//! With this prior the score is affine in `x_t`, and so is the likelihood score. A step of the sampler is then an
//! affine map plus noise, and mean and covariance of its result can be followed through all steps without any sampling.
//! Two things are tested: that your sampler has these moments (but for the scatter of a finite number of samples: five
//! standard errors), and how far they are from the exact posterior's, which is a property of the method. The handout
//! shows that table.

use checks::{Exercise, Expected, Fault, Guard, SAMPLER, check_moments};
use diffusion::{GaussianModel, Schedule, ScoreModel};
use imaging::{Convolution, ForwardOperator, Inpainting};
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task5_score_ald::{Guidance, score_ald, stable_sigma};
use testing::linear::inverse;

use crate::formulas::GAMMA;
use crate::sampler::{EDGES, LOOP};

pub static MOMENTS: Exercise = Exercise::new("5.4b score_ald", moments)
    .needs(&[&LOOP, &EDGES])
    .after(&EDGES);

pub static STABILITY: Exercise = Exercise::new("5.1 gamma", stability).needs(&[&GAMMA]).after(&MOMENTS);

/// Mean and covariance.
#[derive(Debug)]
struct Normal {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Normal {
    fn deviations(&self) -> Array1<f64> {
        self.covariance.diag().mapv(f64::sqrt)
    }
}

/// A prior `N(mean, covariance)` on `[1, 1, d]` images, and a linear measurement `b = A x + sigma n`.
struct Linear {
    prior: Normal,
    operator: Box<dyn ForwardOperator>,
    /// `A` as a matrix.
    matrix: Array2<f64>,
    b: Array1<f64>,
}

impl Linear {
    fn new(prior: Normal, operator: Box<dyn ForwardOperator>, b: Array1<f64>) -> Self {
        let d = prior.mean.len();
        let [_, _, m] = operator.measurement_shape();
        // Column j of A is A e_j: apply it to the unit vectors, one image each.
        let unit = Array4::from_shape_fn((d, 1, 1, d), |(i, _, _, j)| if i == j { 1.0 } else { 0.0 });
        let columns = operator.apply(&unit).unwrap();
        let matrix = Array2::from_shape_fn((m, d), |(i, j)| f64::from(columns[[j, 0, 0, i]]));
        Self {
            prior,
            operator,
            matrix,
            b,
        }
    }

    /// `N(mean + K (b - A mean), Sigma - K A Sigma)` with `K = Sigma A^T (A Sigma A^T + sigma^2 I)^-1`.
    fn exact_posterior(&self, sigma: f64) -> Normal {
        let (a, s) = (&self.matrix, &self.prior.covariance);
        let spread = a.dot(s).dot(&a.t()) + Array2::<f64>::eye(self.b.len()) * sigma.powi(2);
        let gain = s.dot(&a.t()).dot(&inverse(&spread));
        Normal {
            mean: &self.prior.mean + &gain.dot(&(&self.b - &a.dot(&self.prior.mean))),
            covariance: s - &gain.dot(a).dot(s),
        }
    }

    /// What the sampler makes of `N(0, I)`, followed through all steps.
    fn follow(&self, guidance: Guidance, num_steps: usize) -> Normal {
        let identity = Array2::<f64>::eye(self.prior.mean.len());
        let (mut mean, mut covariance) = (Array1::zeros(self.prior.mean.len()), identity.clone());
        for step in Schedule::linear().steps(num_steps).unwrap() {
            // The score is P (sqrt(alpha_bar) mu - x), the likelihood score A^T (b - A x) / variance.
            let (abar, beta, root) = (step.alpha_bar, step.beta(), step.alpha.sqrt());
            let precision = inverse(&(&self.prior.covariance * abar + &identity * (1.0 - abar)));
            let variance = guidance.sigma.powi(2) + guidance.lambda * (1.0 - abar);
            let back = &self.matrix.t() / variance;
            let gain = (&identity - (&precision + back.dot(&self.matrix)) * beta) / root;
            let shift = (precision.dot(&self.prior.mean) * abar.sqrt() + back.dot(&self.b)) * beta / root;
            mean = gain.dot(&mean) + shift;
            covariance = gain.dot(&covariance).dot(&gain.t());
            covariance = covariance + &identity * step.sigma.powi(2);
        }
        Normal { mean, covariance }
    }

    fn sample(&self, guidance: Guidance, num_images: usize, num_steps: usize) -> Result<Array4<f32>, String> {
        let Normal { mean, covariance } = &self.prior;
        let shape = [1, 1, mean.len()];
        let model = GaussianModel::new(Schedule::linear(), shape, mean.clone(), covariance.clone()).unwrap();
        let steps = model.schedule().steps(num_steps).unwrap();
        let b = Array4::from_shape_fn((num_images, 1, 1, self.b.len()), |(.., i)| self.b[i] as f32);
        let rng = &mut StdRng::seed_from_u64(1);
        score_ald(&model, self.operator.as_ref(), &b, guidance, &steps, rng, &mut ())
            .map_err(|error| format!("{error:#}"))
    }
}

fn prior() -> Normal {
    Normal {
        mean: array![0.4, -0.2, 0.1],
        covariance: array![[0.30, 0.20, 0.05], [0.20, 0.25, -0.05], [0.05, -0.05, 0.10]],
    }
}

/// A blur that is not symmetric.
fn blur() -> Linear {
    let kernel = array![[0.7, 0.5, -0.2]];
    let operator = Convolution::from_kernel([1, 1, 3], &kernel).unwrap();
    Linear::new(prior(), Box::new(operator), array![0.5, 0.1, -0.3])
}

/// The second of three pixels is missing.
fn inpainting() -> Linear {
    let operator = Inpainting::from_mask([1, 1, 3], &array![[true, false, true]]).unwrap();
    Linear::new(prior(), Box::new(operator), array![0.9, -0.2])
}

/// Samples have the moments that the formulas give.
fn moments() -> Result<(), Fault> {
    const COUNT: usize = 3000;
    let mut guard = Guard::new("score_ald", SAMPLER);
    for (name, problem) in [("a blur", blur as fn() -> Linear), ("inpainting", inpainting)] {
        for (lambda, num_steps) in [(1.0, 40), (0.1, 20)] {
            let guidance = Guidance { sigma: 0.2, lambda };
            let exact = problem().follow(guidance, num_steps);
            let what = format!("score_ald, {num_steps} steps with lambda = {lambda} on {name}, with a Gaussian prior");
            let samples = guard.call(&what, move || problem().sample(guidance, COUNT, num_steps))?;
            let samples = samples.map_err(|error| {
                Fault::new(format!(
                    "{what}: it returned an error, though nothing had failed: {error}"
                ))
            })?;
            let expected = Expected {
                mean: exact.mean,
                covariance: exact.covariance,
                sigmas: 5.0,
                // Rounding only: the finite steps are in the exact moments.
                mean_allowance: 1e-5,
                covariance_allowance: 1e-5,
            };
            check_moments(&what, &samples, &expected).map_err(Fault::new)?;
        }
    }
    Ok(())
}

/// Two pixels, alike to a correlation of 0.9, prior standard deviation 0.5; the first is measured with sigma = 0.05,
/// and found at 0.5, one standard deviation off the mean.
fn two_pixels() -> Linear {
    let prior = Normal {
        mean: array![0.0, 0.0],
        covariance: array![[0.25, 0.225], [0.225, 0.25]],
    };
    let operator = Inpainting::from_mask([1, 1, 2], &array![[true, false]]).unwrap();
    Linear::new(prior, Box::new(operator), array![0.5])
}

/// The table of the handout; `cargo test -p task5_score_ald statistics -- --nocapture` prints it. It is about the
/// method, not about your code.
#[test]
fn score_ald_is_too_sure_of_what_it_sees_and_not_sure_enough_of_what_it_does_not() {
    let (problem, sigma) = (two_pixels(), 0.05);
    let exact = problem.exact_posterior(sigma);
    let row = |name: &str, normal: &Normal| {
        let [mean, deviation] = [&normal.mean, &normal.deviations()].map(|v| format!("{:.3} {:.3}", v[0], v[1]));
        println!("{name:>16}: mean {mean}, standard deviation {deviation}");
    };
    row("exact posterior", &exact);
    let lambdas = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01];
    let results = lambdas.map(|lambda| problem.follow(Guidance { sigma, lambda }, 1000));
    for (lambda, result) in lambdas.iter().zip(&results) {
        row(&format!("lambda = {lambda}"), result);
    }
    let (strong, exact_deviations) = (&results[4], exact.deviations());
    let deviations = strong.deviations();
    assert!(
        (deviations[0] / exact_deviations[0] - 0.5f64.sqrt()).abs() < 0.05,
        "with strong guidance the seen pixel scatters by about 1 / sqrt(2) of what it should"
    );
    assert!(
        strong.mean[1] < 0.75 * exact.mean[1] && deviations[1] > 1.2 * exact_deviations[1],
        "the missing pixel follows the seen one too little, and scatters too much"
    );
}

/// `stable_sigma` is given, and stands on `gamma`.
fn stability() -> Result<(), Fault> {
    let problem = two_pixels();
    let steps = Schedule::linear().steps(1000).unwrap();
    for lambda in [0.003, 0.001, 0.0] {
        // The norm of A is 1, and the hardest step is the first, where gamma_t^2 is lambda and 1 - alpha_t is 0.02.
        let sigma = stable_sigma(&steps, lambda, 1.0);
        let expected = (0.5 * 0.02 - lambda).sqrt();
        if (sigma - expected).abs() >= 0.001 {
            return Err(Fault::new(format!(
                "stable_sigma with lambda = {lambda} is {sigma:.4}, expected about {expected:.4}"
            )));
        }
        for (factor, diverges) in [(1.05, false), (0.5, true)] {
            let sigma = factor * sigma;
            let reached = problem.follow(Guidance { sigma, lambda }, 1000).mean[0];
            let is_wild = !reached.is_finite() || reached.abs() > 1.0;
            if is_wild != diverges {
                return Err(Fault::new(format!(
                    "with {factor} times stable_sigma, lambda = {lambda}, the mean of the seen pixel is {reached:.3e}"
                )));
            }
        }
    }
    Ok(())
}

#[test]
fn exercise_5_4b_samples_are_distributed_as_theory_says() {
    MOMENTS.tell();
}

#[test]
fn the_given_stable_sigma_is_where_the_sampler_starts_to_diverge() {
    STABILITY.tell();
}
