//! A Gaussian prior and a linear measurement: there the exact posterior is known, and, for a constant step size, so is
//! the distribution of what DPS returns. The two are not the same; the handout shows by how much.

use checks::{Exercise, Expected, Fault, check_moments};
use diffusion::{GaussianModel, Schedule, ScoreModel, Step};
use imaging::Inpainting;
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task6_dps::{StepSize, dps};
use testing::linear::inverse;

use crate::sampler::{EDGES, LOOP, LOOP_CONSTANT};

pub static DISTRIBUTION: Exercise = Exercise::new("6.5 dps", distribution)
    .needs(&[&LOOP, &LOOP_CONSTANT])
    .after(&EDGES);

const SHAPE: [usize; 3] = [1, 1, 3];
const SIGMA: f64 = 0.2;

/// Three pixels that go together, of which the first and the last are measured.
struct Problem {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    /// `A`, as a matrix.
    matrix: Array2<f64>,
    b: Array1<f64>,
}

impl Problem {
    fn new() -> Self {
        Self {
            mean: array![0.1, -0.2, 0.3],
            covariance: array![[0.30, 0.20, 0.10], [0.20, 0.25, 0.15], [0.10, 0.15, 0.20]],
            matrix: array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            b: array![0.7, 0.1],
        }
    }

    fn model(&self) -> GaussianModel {
        GaussianModel::new(Schedule::linear(), SHAPE, self.mean.clone(), self.covariance.clone()).unwrap()
    }

    fn operator(&self) -> Inpainting {
        Inpainting::from_mask(SHAPE, &array![[true, false, true]]).unwrap()
    }

    fn measurements(&self, count: usize) -> Array4<f32> {
        Array4::from_shape_fn((count, 1, 1, 2), |(.., m)| self.b[m] as f32)
    }

    /// Mean and covariance of the exact posterior, by Bayes' rule.
    fn posterior(&self) -> (Array1<f64>, Array2<f64>) {
        let precision = inverse(&self.covariance) + self.matrix.t().dot(&self.matrix) / SIGMA.powi(2);
        let covariance = inverse(&precision);
        let pull = self.matrix.t().dot(&(&self.b - &self.matrix.dot(&self.mean))) / SIGMA.powi(2);
        (&self.mean + &covariance.dot(&pull), covariance)
    }

    /// Mean and covariance of DPS with `StepSize::Constant(zeta)`, followed through all steps: each is an affine map of
    /// `x_t` plus noise.
    fn follow(&self, zeta: f64, steps: &[Step]) -> (Array1<f64>, Array2<f64>) {
        let identity = Array2::eye(3);
        let (mut mean, mut covariance) = (Array1::zeros(3), identity.clone());
        for step in steps {
            let a = step.alpha_bar;
            // s = -S^-1 (x - sqrt(abar) mu) with S = abar Sigma + (1 - abar) I, so x0_hat = P x + p.
            let jacobian = -inverse(&(&self.covariance * a + &identity * (1.0 - a)));
            let p_matrix = (&identity + &jacobian * (1.0 - a)) / a.sqrt();
            let p_vector = jacobian.dot(&self.mean) * -(1.0 - a);
            let of_x = step.alpha.sqrt() * (1.0 - step.alpha_bar_prev) / (1.0 - a);
            let of_hat = step.alpha_bar_prev.sqrt() * step.beta() / (1.0 - a);
            // The gradient of ||b - A (P x + p)||^2 is -2 P^T A^T (b - A p - A P x).
            let back = p_matrix.t().dot(&self.matrix.t()) * (2.0 * zeta);
            let gain = &identity * of_x + &p_matrix * of_hat - back.dot(&self.matrix).dot(&p_matrix);
            let shift = &p_vector * of_hat + back.dot(&(&self.b - &self.matrix.dot(&p_vector)));
            mean = gain.dot(&mean) + shift;
            covariance = gain.dot(&covariance).dot(&gain.t());
            covariance = covariance + &identity * step.sigma.powi(2);
        }
        (mean, covariance)
    }
}

fn draw(problem: &Problem, zeta: f64, num_steps: usize, count: usize) -> Array4<f32> {
    let model = problem.model();
    let steps = model.schedule().steps(num_steps).unwrap();
    dps(
        &model,
        &problem.operator(),
        &problem.measurements(count),
        StepSize::Constant(zeta),
        &steps,
        &mut StdRng::seed_from_u64(5),
        &mut (),
    )
    .expect("neither the model nor the operator failed")
}

fn distribution() -> Result<(), Fault> {
    let problem = Problem::new();
    for (zeta, num_steps) in [(0.1, 50), (0.3, 20)] {
        let (mean, covariance) = problem.follow(zeta, &problem.model().schedule().steps(num_steps).unwrap());
        let expected = Expected {
            mean,
            covariance,
            sigmas: 5.0,
            mean_allowance: 1e-5,
            covariance_allowance: 1e-5,
        };
        let what = format!("dps with a constant zeta of {zeta} and {num_steps} steps, on a Gaussian prior");
        check_moments(&what, &draw(&problem, zeta, num_steps, 1500), &expected).map_err(Fault::new)?;
    }
    Ok(())
}

#[test]
fn exercise_6_5_the_samples_are_distributed_as_theory_says() {
    DISTRIBUTION.tell();
}

/// The handout's table; not a test.
#[test]
#[ignore = "prints the handout's table"]
fn how_far_from_the_exact_posterior() {
    let problem = Problem::new();
    let (exact_mean, exact_covariance) = problem.posterior();
    let std = |covariance: &Array2<f64>| covariance.diag().mapv(f64::sqrt);
    println!("exact: mean {exact_mean:.3}, std {:.3}", std(&exact_covariance));
    for zeta in [0.0, 0.003, 0.01, 0.03, 0.1, 0.3] {
        let (mean, covariance) = problem.follow(zeta, &problem.model().schedule().steps(1000).unwrap());
        println!("zeta {zeta}: mean {mean:.3}, std {:.3}", std(&covariance));
    }
    let model = problem.model();
    for zeta in [0.0003, 0.001, 0.003, 0.01, 0.03] {
        let samples = dps(
            &model,
            &problem.operator(),
            &problem.measurements(4000),
            StepSize::Normalised(zeta),
            &model.schedule().steps(1000).unwrap(),
            &mut StdRng::seed_from_u64(5),
            &mut (),
        )
        .unwrap();
        let moments = checks::Moments::of(&samples);
        println!(
            "normalised {zeta}: mean {:.3}, std {:.3}",
            moments.mean,
            std(&moments.covariance)
        );
    }
}
