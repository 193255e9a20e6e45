//! Tikhonov and total variation against answers that are known by other means.

use imaging::{
    Colourisation, CompressedSensing, Convolution, ForwardOperator, HdrResponse, Inpainting, OperatorError,
    SuperResolution,
};
use methods::posterior::penalised::{Reconstruction, tikhonov, total_variation};
use ndarray::{Array2, Array4, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::{StandardNormal, Uniform};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn uniform(batch: usize, [c, h, w]: [usize; 3], seed: u64) -> Result<Array4<f32>> {
    let rng = &mut StdRng::seed_from_u64(seed);
    Ok(Array4::random_using((batch, c, h, w), Uniform::new(-1.0, 1.0)?, rng))
}

fn identity(shape: [usize; 3]) -> Result<Inpainting> {
    Ok(Inpainting::random(shape, 0.0, 0)?)
}

fn operators(shape: [usize; 3]) -> Result<Vec<Box<dyn ForwardOperator>>> {
    Ok(vec![
        Box::new(identity(shape)?),
        Box::new(Inpainting::random(shape, 0.6, 1)?),
        Box::new(Convolution::gaussian(shape, 5, 1.0)?),
        Box::new(Convolution::motion_blur(shape, 6, 0.5, 1)?),
        Box::new(SuperResolution::new(shape, 2)?),
        Box::new(Colourisation::new(shape)?),
        Box::new(CompressedSensing::new(shape, 0.5, 1)?),
    ])
}

/// The matrix of an operator, column by column.
fn matrix(operator: &dyn ForwardOperator) -> Result<Array2<f64>> {
    let [c, h, w] = operator.image_shape();
    let rows = operator.measurement_shape().iter().product();
    let mut matrix = Array2::zeros((rows, c * h * w));
    for (place, mut column) in matrix.columns_mut().into_iter().enumerate() {
        let mut x = Array4::zeros((1, c, h, w));
        x[[0, place / (h * w), place / w % h, place % w]] = 1.0;
        column.assign(&ndarray::Array1::from_iter(
            operator.apply(&x)?.iter().map(|&v| f64::from(v)),
        ));
    }
    Ok(matrix)
}

/// All differences between neighbours, one in each row.
fn difference_matrix([c, h, w]: [usize; 3]) -> Array2<f64> {
    let place = |channel: usize, y: usize, x: usize| channel * h * w + y * w + x;
    let mut pairs = Vec::new();
    for channel in 0..c {
        for y in 0..h {
            for x in 0..w {
                if x + 1 < w {
                    pairs.push((place(channel, y, x), place(channel, y, x + 1)));
                }
                if y + 1 < h {
                    pairs.push((place(channel, y, x), place(channel, y + 1, x)));
                }
            }
        }
    }
    let mut matrix = Array2::zeros((pairs.len(), c * h * w));
    for (row, (from, to)) in pairs.into_iter().enumerate() {
        matrix[[row, from]] = -1.0;
        matrix[[row, to]] = 1.0;
    }
    matrix
}

/// Gaussian elimination with pivots.
fn solve(mut a: Array2<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs()))
            .unwrap_or(k);
        for j in 0..n {
            a.swap([k, j], [pivot, j]);
        }
        b.swap(k, pivot);
        for i in k + 1..n {
            let factor = a[[i, k]] / a[[k, k]];
            for j in k..n {
                a[[i, j]] -= factor * a[[k, j]];
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        for j in k + 1..n {
            b[k] -= a[[k, j]] * b[j];
        }
        b[k] /= a[[k, k]];
    }
    b
}

#[test]
fn tikhonov_is_the_solution_of_the_dense_normal_equations() -> Result {
    let shape = [3, 6, 8];
    for operator in operators(shape)? {
        for lambda in [0.05, 1.0] {
            let b = operator.apply(&uniform(1, shape, 1)?)?;
            let solved = tikhonov(&*operator, &b, lambda)?;
            assert!(solved.converged && solved.accuracy <= 1e-5, "{}", operator.name());
            let (a, d) = (matrix(&*operator)?, difference_matrix(shape));
            let normal = a.t().dot(&a) + d.t().dot(&d) * lambda;
            let right = a.t().dot(&ndarray::Array1::from_iter(b.iter().map(|&v| f64::from(v))));
            // Colourisation leaves directions that neither A nor D sees; there CG from 0 stays at 0, and so does the
            // ridge.
            let ridge = if operator.name() == "colourisation" { 1e-9 } else { 0.0 };
            let expected = solve(normal + Array2::<f64>::eye(right.len()) * ridge, right.to_vec());
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let difference = squares(&mut solved.images.iter().zip(&expected).map(|(&a, b)| f64::from(a) - b));
            let size = squares(&mut expected.iter().copied());
            // The residual is 1e-5; the error is that times the condition number, 100 or so at lambda 0.05.
            assert!(
                difference <= 2e-3 * size,
                "{}, {lambda}: {difference} of {size}",
                operator.name()
            );
        }
    }
    Ok(())
}

/// A cosine that fits between mirrors is an eigenvector of D^T D, with the eigenvalue `2 - 2 cos(pi k / N)`.
#[test]
fn tikhonov_damps_each_cosine_by_its_closed_form() -> Result {
    let (width, lambda) = (11, 0.7);
    let operator = identity([1, 3, width])?;
    for k in [1, 4, 10] {
        let angle = std::f32::consts::PI * k as f32 / width as f32;
        let b = Array4::from_shape_fn((1, 1, 3, width), |(_, _, _, x)| (angle * (x as f32 + 0.5)).cos());
        let b = b.to_shape((1, 1, 1, 3 * width))?.into_owned();
        let solved = tikhonov(&operator, &b, lambda)?.images;
        let factor = 1.0 / (1.0 + lambda as f32 * (2.0 - 2.0 * angle.cos()));
        for (found, original) in solved.iter().zip(&b) {
            assert!(
                (found - factor * original).abs() < 1e-5,
                "k = {k}: {found}, expected {}",
                factor * original
            );
        }
    }
    Ok(())
}

/// Two grey levels side by side, `n` and `m` columns of `h` rows: total variation moves the levels towards each other,
/// by `lambda / n` and `lambda / m`, until they meet at the mean.
#[test]
fn total_variation_moves_two_levels_towards_each_other() -> Result {
    let (h, n, m) = (3, 4, 6);
    let operator = identity([1, h, n + m])?;
    for (lambda, levels) in [(2.0, (-0.5 + 0.5, 0.7 - 2.0 / 6.0)), (9.0, (0.22, 0.22))] {
        let b = Array4::from_shape_fn(
            (1, 1, 1, h * (n + m)),
            |(_, _, _, i)| {
                if i % (n + m) < n { -0.5 } else { 0.7 }
            },
        );
        let solved = total_variation(&operator, &b, lambda)?;
        assert!(solved.converged && solved.accuracy <= TV_TOLERANCE);
        for ((_, _, _, x), &value) in solved.images.indexed_iter() {
            let expected = if x < n { levels.0 } else { levels.1 };
            // The gap, 1e-4 of a value below 5.5, bounds half the squared distance of all pixels together.
            assert!(
                (f64::from(value) - expected).abs() < 0.033,
                "lambda {lambda}, column {x}: {value}, {expected}"
            );
        }
    }
    Ok(())
}

/// The relative gap at which it stops, see `total_variation`.
const TV_TOLERANCE: f64 = 1e-4;

fn tv_objective(operator: &dyn ForwardOperator, b: &Array4<f32>, lambda: f64, x: &Array4<f32>) -> Result<f64> {
    let misfit: f64 = (operator.apply(x)? - b).iter().map(|&v| f64::from(v).powi(2)).sum();
    let (_, channels, height, width) = x.dim();
    let mut variation = 0.0;
    for i in 0..height {
        for j in 0..width {
            let mut squares = 0.0;
            for c in 0..channels {
                let here = f64::from(x[[0, c, i, j]]);
                if i + 1 < height {
                    squares += (f64::from(x[[0, c, i + 1, j]]) - here).powi(2);
                }
                if j + 1 < width {
                    squares += (f64::from(x[[0, c, i, j + 1]]) - here).powi(2);
                }
            }
            variation += squares.sqrt();
        }
    }
    Ok(0.5 * misfit + lambda * variation)
}

/// The gap is a proof: nothing in the box can be lower than the value found by more than it. Many other images try.
#[test]
fn no_other_image_has_a_lower_total_variation_objective_than_the_gap_allows() -> Result {
    let shape = [3, 8, 6];
    for operator in operators(shape)? {
        let truth = uniform(1, shape, 3)?;
        let b = operator.apply(&truth)?;
        let lambda = 0.1;
        let solved = total_variation(&*operator, &b, lambda)?;
        assert!(solved.converged, "{}: {:e}", operator.name(), solved.accuracy);
        assert!(solved.images.iter().all(|pixel| (-1.0..=1.0).contains(pixel)));
        let best = tv_objective(&*operator, &b, lambda, &solved.images)?;
        let bound = best * (1.0 - solved.accuracy) - 1e-6;
        let mut others = vec![
            truth,
            Array4::zeros((1, 3, 8, 6)),
            tikhonov(&*operator, &b, 0.1)?.images,
        ];
        for seed in 0..200 {
            let size = 10.0_f32.powi(-(seed % 4) - 1);
            let rng = &mut StdRng::seed_from_u64(seed as u64);
            others.push(&solved.images + Array4::<f32>::random_using((1, 3, 8, 6), StandardNormal, rng) * size);
        }
        for other in others {
            let other = other.mapv(|pixel| pixel.clamp(-1.0, 1.0));
            let value = tv_objective(&*operator, &b, lambda, &other)?;
            assert!(value >= bound, "{}: {value} is below {best}", operator.name());
        }
    }
    Ok(())
}

#[test]
fn without_a_weight_both_explain_the_measurement() -> Result {
    let shape = [3, 6, 8];
    for operator in operators(shape)? {
        let b = operator.apply(&uniform(1, shape, 2)?)?;
        for solved in [tikhonov(&*operator, &b, 0.0)?, total_variation(&*operator, &b, 0.0)?] {
            let left: f64 = (operator.apply(&solved.images)? - &b)
                .iter()
                .map(|&v| f64::from(v).powi(2))
                .sum();
            let size: f64 = b.iter().map(|&v| f64::from(v).powi(2)).sum();
            assert!(left <= 1e-3 * size, "{}: {left} of {size}", operator.name());
        }
    }
    Ok(())
}

fn summary(solved: &Reconstruction) -> (usize, f64, bool) {
    (solved.iterations, solved.accuracy, solved.converged)
}

#[test]
fn a_batch_gives_the_bits_of_its_images_at_any_number_of_threads() -> Result {
    let shape = [3, 8, 10];
    let operator = Convolution::gaussian(shape, 5, 1.0)?;
    let b = operator.apply(&uniform(3, shape, 4)?)?;
    for solver in [tikhonov, total_variation] {
        let run = |threads: usize| -> Result<_> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            Ok(pool.install(|| solver(&operator, &b, 0.05))?)
        };
        let (one, three) = (run(1)?, run(3)?);
        assert_eq!(one.images, three.images);
        assert_eq!(summary(&one), summary(&three));
        for index in 0..3 {
            let alone = solver(&operator, &b.slice(s![index..=index, .., .., ..]), 0.05)?;
            assert_eq!(alone.images, one.images.slice(s![index..=index, .., .., ..]));
        }
    }
    Ok(())
}

#[test]
fn where_nothing_is_measured_the_answer_is_even_grey() -> Result {
    let shape = [3, 5, 4];
    let operator = Inpainting::random(shape, 1.0, 0)?;
    let b = Array4::zeros((2, 3, 1, 0));
    for solved in [tikhonov(&operator, &b, 0.1)?, total_variation(&operator, &b, 0.1)?] {
        assert_eq!(solved.images, Array4::<f32>::zeros((2, 3, 5, 4)));
        assert_eq!(summary(&solved), (0, 0.0, true));
    }
    // One pixel observed: all take its value.
    let mask = Array2::from_shape_fn((5, 4), |place| place == (2, 1));
    let operator = Inpainting::from_mask(shape, &mask)?;
    let b = Array4::from_elem((1, 3, 1, 1), 0.3);
    for solved in [tikhonov(&operator, &b, 0.1)?, total_variation(&operator, &b, 0.1)?] {
        assert!(
            solved.images.iter().all(|pixel| (pixel - 0.3).abs() < 0.05),
            "{}",
            solved.images
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_solved_is_refused() -> Result {
    let operator = identity([1, 4, 4])?;
    let b = Array4::zeros((1, 1, 1, 16));
    for solver in [tikhonov, total_variation] {
        let nonlinear = HdrResponse::new([1, 4, 4], 2.0, 2.2)?;
        assert_eq!(
            solver(&nonlinear, &Array4::zeros((1, 1, 4, 4)), 0.1).err(),
            Some(OperatorError::NotLinear { operator: "hdr" })
        );
        for lambda in [-0.1, f64::NAN, f64::INFINITY] {
            let message = solver(&operator, &b, lambda).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(
                message.contains("lambda") && message.contains("expected 0"),
                "{message}"
            );
        }
        let wrong = solver(&operator, &Array4::zeros((2, 1, 1, 15)), 0.1);
        assert!(wrong.is_err_and(|error| error.to_string().contains("[2, 1, 1, 15]")));
        let mut nan = b.clone();
        nan[[0, 0, 0, 3]] = f32::NAN;
        assert!(solver(&operator, &nan, 0.1).is_err());
    }
    Ok(())
}
