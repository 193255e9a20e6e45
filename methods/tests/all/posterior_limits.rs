//! Posterior methods where they are exact: against the posterior of a Gaussian prior, which is known.

use diffusion::{GaussianModel, Schedule};
use imaging::{ForwardOperator, Inpainting, SuperResolution};
use methods::posterior::moment_matching::MomentMatching;
use methods::posterior::pnp_admm::{PnpAdmm, PnpAdmmSettings};
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array1, Array2, Array4, ArrayRef4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub const SHAPE: [usize; 3] = [1, 2, 2];

fn mean() -> Array1<f64> {
    array![0.3, -0.4, 0.1, 0.2]
}

fn covariance() -> Array2<f64> {
    array![
        [0.20, 0.12, 0.05, 0.02],
        [0.12, 0.25, 0.02, 0.04],
        [0.05, 0.02, 0.10, 0.06],
        [0.02, 0.04, 0.06, 0.30],
    ]
}

pub fn prior() -> Result<GaussianModel> {
    Ok(GaussianModel::new(Schedule::linear(), SHAPE, mean(), covariance())?)
}

fn operators() -> Result<Vec<Box<dyn ForwardOperator>>> {
    Ok(vec![
        Box::new(Inpainting::from_mask(SHAPE, &array![[true, false], [false, true]])?),
        Box::new(SuperResolution::new(SHAPE, 2)?),
    ])
}

/// The matrix of an operator, column by column.
fn matrix(operator: &dyn ForwardOperator) -> Result<Array2<f64>> {
    let rows = operator.measurement_shape().iter().product();
    let mut matrix = Array2::zeros((rows, 4));
    for (place, mut column) in matrix.columns_mut().into_iter().enumerate() {
        let mut x = Array4::zeros((1, 1, 2, 2));
        x[[0, 0, place / 2, place % 2]] = 1.0;
        let image = operator.apply(&x)?;
        column
            .iter_mut()
            .zip(&image)
            .for_each(|(to, &from)| *to = f64::from(from));
    }
    Ok(matrix)
}

/// The inverse of a 1x1 or 2x2 matrix.
fn inverse(m: &Array2<f64>) -> Array2<f64> {
    if m.nrows() == 1 {
        return array![[1.0 / m[[0, 0]]]];
    }
    let determinant = m[[0, 0]] * m[[1, 1]] - m[[0, 1]] * m[[1, 0]];
    array![[m[[1, 1]], -m[[0, 1]]], [-m[[1, 0]], m[[0, 0]]]] / determinant
}

/// Mean and covariance of `x_0` given `b = A x_0 + noise`, for Gaussians.
fn posterior(operator: &dyn ForwardOperator, b: &[f64], sigma: f64) -> Result<(Array1<f64>, Array2<f64>)> {
    let a = matrix(operator)?;
    let of_b = a.dot(&covariance()).dot(&a.t()) + Array2::<f64>::eye(a.nrows()) * sigma.powi(2);
    let gain = covariance().dot(&a.t()).dot(&inverse(&of_b));
    let surprise = Array1::from_iter(b.iter().copied().take(a.nrows())) - a.dot(&mean());
    Ok((
        mean() + gain.dot(&surprise),
        covariance() - gain.dot(&a).dot(&covariance()),
    ))
}

/// The same measurement for so many images.
pub fn measurements(operator: &dyn ForwardOperator, b: &[f64], images: usize) -> Array4<f32> {
    let [c, h, w] = operator.measurement_shape();
    Array4::from_shape_fn((images, c, h, w), |(_, _, _, m)| b[m] as f32)
}

/// Rows of images, in `f64`.
pub fn rows(images: &ArrayRef4<f32>) -> Array2<f64> {
    Array2::from_shape_fn((images.dim().0, 4), |(i, p)| f64::from(images[[i, 0, p / 2, p % 2]]))
}

pub const B: [f64; 2] = [0.9, -0.3];
pub const SIGMA: f64 = 0.2;

#[test]
fn moment_matching_samples_the_posterior_of_a_gaussian_prior() -> Result {
    const IMAGES: usize = 2000;
    let prior = prior()?;
    for operator in operators()? {
        let operator = operator.as_ref();
        let b = measurements(operator, &B, IMAGES);
        let problem = Problem {
            operator,
            b: &b,
            sigma: SIGMA,
        };
        // As many rounds as measured numbers: conjugate gradients are then done.
        let method = MomentMatching { rounds: 2 };
        let rng = &mut StdRng::seed_from_u64(2);
        let images = rows(&method.solve(&prior, &problem, Stepping::new(600), rng, &mut ())?);
        let (mean, covariance) = posterior(operator, &B, SIGMA)?;
        let found = images.mean_axis(ndarray::Axis(0)).ok_or("no images")?;
        let centred = &images - &found;
        let spread = centred.t().dot(&centred) / IMAGES as f64;
        for i in 0..4 {
            // Five standard deviations of a mean of so many; 300 steps instead of infinitely many cost up to 0.005.
            let allowed = 5.0 * (covariance[[i, i]] / IMAGES as f64).sqrt() + 0.005;
            assert!(
                (found[i] - mean[i]).abs() < allowed,
                "{}: {found} {mean}",
                operator.name()
            );
            for j in 0..4 {
                let scale = (covariance[[i, i]] * covariance[[j, j]]).sqrt();
                let allowed = scale * 5.0 * (2.0 / IMAGES as f64).sqrt() + 0.005;
                let difference = (spread[[i, j]] - covariance[[i, j]]).abs();
                assert!(difference < allowed, "{}: {spread} {covariance}", operator.name());
            }
        }
    }
    Ok(())
}

#[test]
fn pnp_admm_with_one_level_finds_the_mean_of_the_posterior() -> Result {
    let prior = prior()?;
    for operator in operators()? {
        let operator = operator.as_ref();
        let b = measurements(operator, &B, 1);
        let problem = Problem {
            operator,
            b: &b,
            sigma: SIGMA,
        };
        let method = PnpAdmm {
            settings: Some(PnpAdmmSettings {
                lambda: 1.0,
                levels: (0.3, 0.3),
            }),
        };
        let rng = &mut StdRng::seed_from_u64(2);
        let found = rows(&method.solve(&prior, &problem, Stepping::new(500), rng, &mut ())?);
        let (mean, _) = posterior(operator, &B, SIGMA)?;
        for i in 0..4 {
            let difference = (found[[0, i]] - mean[i]).abs();
            assert!(difference < 1e-4, "{}: {found} {mean}", operator.name());
        }
    }
    Ok(())
}

#[test]
fn without_noise_what_is_measured_is_explained() -> Result {
    let prior = prior()?;
    for operator in operators()? {
        let operator = operator.as_ref();
        let b = measurements(operator, &B, 3);
        for name in ["ilvr", "score-sde", "mcg", "ddnm", "ddnm-plus", "ddrm", "diffpir"] {
            let method = registry::posterior_method(name)?;
            let problem = Problem {
                operator,
                b: &b,
                sigma: 0.0,
            };
            let rng = &mut StdRng::seed_from_u64(3);
            let images = method.solve(&prior, &problem, Stepping::new(30), rng, &mut ())?;
            let residuals = imaging::residual_norms(operator, &b, &images)?;
            // DDNM+ and DDRM end with the network's word, after a step of almost no noise.
            let allowed = if matches!(name, "ddnm-plus" | "ddrm") {
                0.05
            } else {
                1e-5
            };
            for residual in residuals {
                assert!(residual < allowed, "{name} on {}: {residual}", operator.name());
            }
        }
    }
    Ok(())
}
