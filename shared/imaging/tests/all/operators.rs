//! Every operator: its adjoint or derivative, its pseudo-inverse, and what it says to wrong input.

use imaging::{
    Colourisation, CompressedSensing, Convolution, ForwardOperator, Fourier, HdrResponse, Inpainting, LinearOperator,
    OperatorError, PhaseRetrieval, SuperResolution, Tomography, camera_shake_kernel, gaussian_kernel,
};
use ndarray::{Array2, Array4, Axis, concatenate, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::Uniform;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::{
    Result, boxed, crooked, dot, label, linear_operators, nonlinear_operators, norm, normal, relative,
};

/// `<A x, y> = <x, A^T y>`, relative to `||A x|| ||y||`: a product of two random vectors can be small by chance.
#[test]
fn the_vjp_of_a_linear_operator_is_its_adjoint() -> Result {
    for operator in linear_operators()? {
        for seed in 0..3 {
            let x = normal(3, operator.image_shape(), seed);
            let y = normal(3, operator.measurement_shape(), seed + 100);
            let ax = operator.apply(&x)?;
            assert_eq!(ax.shape()[1..], operator.measurement_shape(), "{}", label(&*operator));
            let aty = operator.vjp(&x, &y)?;
            assert_eq!(aty.shape()[1..], operator.image_shape(), "{}", label(&*operator));
            let scale = (norm(&ax) * norm(&y)).max(norm(&x) * norm(&aty)).max(f64::MIN_POSITIVE);
            let error = (dot(&ax, &y) - dot(&x, &aty)).abs() / scale;
            assert!(error <= 1e-5, "{}: relative error {error:e}", label(&*operator));
        }
    }
    Ok(())
}

#[test]
fn a_linear_operator_is_linear_and_its_vjp_does_not_look_at_the_image() -> Result {
    for operator in linear_operators()? {
        assert!(operator.as_linear().is_some());
        let (x, y) = (
            normal(2, operator.image_shape(), 1),
            normal(2, operator.image_shape(), 2),
        );
        let sum = operator.apply(&(&x * 2.0 - &y))?;
        let parts = operator.apply(&x)? * 2.0 - operator.apply(&y)?;
        // Some f32 roundings of numbers of size 5 or so.
        assert!(
            norm(&(sum - &parts)) <= 1e-5 * (1.0 + norm(&parts)),
            "{}",
            label(&*operator)
        );
        let v = normal(2, operator.measurement_shape(), 3);
        assert_eq!(operator.vjp(&x, &v)?, operator.vjp(&y, &v)?, "{}", label(&*operator));
    }
    Ok(())
}

/// Of tomography an iteration finds it, which leaves open what is measured with a thousandth of its size;
/// `tomography.rs` asks what the iteration promises.
#[test]
fn the_pseudo_inverse_explains_every_measurement_that_an_image_can_give() -> Result {
    for operator in linear_operators()?
        .into_iter()
        .filter(|operator| operator.name() != "tomography")
    {
        let x = normal(2, operator.image_shape(), 1);
        let b = operator.apply(&x)?;
        let again = operator.apply(&operator.linear()?.pseudo_inverse(&b)?)?;
        // What is dropped is below 2e-6 of the greatest; roundings are smaller.
        let error = norm(&(&again - &b));
        assert!(
            error <= 5e-6 * norm(&x),
            "{}: A A+ A differs from A by {error:e}",
            label(&*operator)
        );
    }
    Ok(())
}

/// `A+ A` and `A A+` are orthogonal projections: symmetric, and the same when repeated. That makes `A+ b` the solution
/// of least norm, and `A A+ b` the nearest to `b`. Kernels whose response comes near to 0 cannot show it in `f32`:
/// there `A+` multiplies roundings by up to 5e5. Nor can tomography, for the same reason.
#[test]
fn the_pseudo_inverse_projects_where_rounding_lets_it() -> Result {
    let mild = Convolution::from_kernel([2, 9, 8], &ndarray::array![[0.1, -0.2, 0.0], [0.3, 1.0, -0.1]])?;
    let operators = linear_operators()?.into_iter().filter(|operator| {
        let name = operator.name();
        name != "deconvolution" && name != "motion-blur" && name != "kernel" && name != "tomography"
    });
    for operator in operators.chain([boxed(mild)]) {
        let label = label(&*operator);
        let (x, y) = (
            normal(2, operator.image_shape(), 1),
            normal(2, operator.image_shape(), 2),
        );
        let linear = operator.linear()?;
        let seen = |x: &Array4<f32>| linear.pseudo_inverse(&operator.apply(x)?);
        let (px, py) = (seen(&x)?, seen(&y)?);
        let error = (dot(&px, &y) - dot(&x, &py)).abs();
        assert!(
            error <= 1e-6 * norm(&x) * norm(&y),
            "{label}: A+ A is not symmetric, {error:e}"
        );
        assert!(
            norm(&(seen(&px)? - &px)) <= 1e-6 * norm(&x),
            "{label}: A+ A A+ A is not A+ A"
        );

        let (v, w) = (
            normal(2, operator.measurement_shape(), 3),
            normal(2, operator.measurement_shape(), 4),
        );
        let fitted = |v: &Array4<f32>| operator.apply(&linear.pseudo_inverse(v)?);
        let error = (dot(&fitted(&v)?, &w) - dot(&v, &fitted(&w)?)).abs();
        assert!(
            error <= 1e-6 * norm(&v) * norm(&w),
            "{label}: A A+ is not symmetric, {error:e}"
        );
    }
    Ok(())
}

#[test]
fn the_vjp_of_a_nonlinear_operator_matches_central_differences() -> Result {
    for operator in nonlinear_operators()? {
        assert!(operator.as_linear().is_none());
        let [c, h, w] = operator.image_shape();
        // Inside (-0.9, -0.1): away from both clips of the response, at any of the exposures.
        let x = Array4::random_using((2, c, h, w), Uniform::new(-0.9, -0.1)?, &mut StdRng::seed_from_u64(1));
        let v = normal(2, operator.measurement_shape(), 2);
        let gradient = operator.vjp(&x, &v)?;
        let along = &gradient * (norm(&x) / norm(&gradient)) as f32;
        for direction in [
            along,
            normal(2, operator.image_shape(), 3),
            normal(2, operator.image_shape(), 4),
        ] {
            // f32 rounds the values to 1e-7 of their size, so that the quotient is good to 1e-4; its truncation is
            // smaller.
            let step = 2e-3;
            let ahead = operator.apply(&(&x + &direction * step))?;
            let behind = operator.apply(&(&x - &direction * step))?;
            let numeric = dot(&v, &(ahead - behind)) / (2.0 * f64::from(step));
            let exact = dot(&gradient, &direction);
            assert!(
                (numeric - exact).abs() <= 5e-4 * norm(&gradient) * norm(&direction),
                "{}: {numeric} by differences, {exact} by the VJP",
                label(&*operator)
            );
        }
    }
    Ok(())
}

#[test]
fn the_vjp_at_a_magnitude_of_zero_is_finite() -> Result {
    let operator = PhaseRetrieval::new([1, 4, 4])?;
    let dark = Array4::from_elem((1, 1, 4, 4), -1.0);
    let v = normal(1, operator.measurement_shape(), 1);
    assert!(operator.apply(&dark)?.iter().all(|&magnitude| magnitude == 0.0));
    assert!(operator.vjp(&dark, &v)?.iter().all(|&value| value == 0.0));
    Ok(())
}

#[test]
fn phase_retrieval_measures_the_norm_and_cannot_see_a_half_turn() -> Result {
    let operator = PhaseRetrieval::new([2, 6, 5])?;
    let x = normal(2, [2, 6, 5], 1).mapv(|x| x.clamp(-1.0, 1.0));
    let b = operator.apply(&x)?;
    let unit = x.mapv(|x| (x + 1.0) / 2.0);
    assert!(
        (norm(&b) / norm(&unit) - 1.0).abs() < 1e-5,
        "the transform is orthonormal, on [0, 1]"
    );
    let turned = x.slice(s![.., .., ..;-1, ..;-1]).to_owned();
    assert!(relative(&operator.apply(&turned)?, &b) < 1e-5);
    let start = operator.start_image(&b)?;
    assert_eq!(start.shape(), x.shape());
    let mean = x.slice(s![1, 0, .., ..]).mean().unwrap_or(f32::NAN);
    assert!((start[[1, 0, 3, 3]] - mean).abs() < 1e-5);
    assert!(operator.picture(&b)?.iter().all(|value| (-1.0..=1.0).contains(value)));
    Ok(())
}

#[test]
fn the_response_keeps_black_and_white_and_clips_above() -> Result {
    let operator = HdrResponse::new([1, 1, 5], 2.0, 2.2)?;
    let x = Array4::from_shape_vec((1, 1, 1, 5), vec![-1.0, -0.5, 0.0, 0.7, -1.3])?;
    let b = operator.apply(&x)?;
    assert!((b[[0, 0, 0, 0]] + 1.0).abs() < 1e-6, "black stays black");
    assert!(b[[0, 0, 0, 1]] > 0.0, "a dark pixel is brightened");
    assert_eq!(
        (b[[0, 0, 0, 2]], b[[0, 0, 0, 3]]),
        (1.0, 1.0),
        "half the light is white at exposure 2"
    );
    assert_eq!(b[[0, 0, 0, 4]], b[[0, 0, 0, 0]], "there is no light below none");
    let slopes = operator.vjp(&x, &Array4::ones((1, 1, 1, 5)))?;
    assert!(slopes[[0, 0, 0, 0]] > 0.0 && slopes[[0, 0, 0, 1]] > 0.0);
    assert_eq!(slopes.slice(s![0, 0, 0, 2..]).to_vec(), [0.0; 3]);
    let start = operator.start_image(&b)?;
    for (found, expected) in start.iter().zip([-1.0, -0.5, 0.0, 0.0, -1.0]) {
        assert!((found - expected).abs() < 1e-5, "{start}");
    }
    Ok(())
}

/// The definition, `sum_q k[q] x[p - q]` with the kernel's middle at `[rows / 2, columns / 2]`.
#[test]
fn convolution_is_the_circular_sum_of_its_definition() -> Result {
    let (height, width) = (6, 7);
    for (rows, columns) in [(3, 3), (2, 5), (6, 7), (1, 4)] {
        let kernel = crooked(rows, columns);
        let x = normal(2, [2, height, width], 1);
        let mut expected = Array4::zeros(x.dim());
        for ((image, channel, y, x_place), value) in x.indexed_iter() {
            for ((i, j), weight) in kernel.indexed_iter() {
                let row = (y + i + height - rows / 2) % height;
                let column = (x_place + j + width - columns / 2) % width;
                expected[[image, channel, row, column]] += *weight as f32 * value;
            }
        }
        let operator = Convolution::from_kernel([2, height, width], &kernel)?;
        assert!(relative(&operator.apply(&x)?, &expected) < 1e-6, "{rows}x{columns}");
    }
    Ok(())
}

#[test]
fn the_pseudo_inverse_of_the_blur_restores_a_clean_image_and_ruins_a_noisy_one() -> Result {
    let operator = Convolution::gaussian([3, 64, 64], 7, 0.6)?;
    let x = normal(1, [3, 64, 64], 1).mapv(|x| x.clamp(-1.0, 1.0));
    let b = operator.apply(&x)?;
    assert!(relative(&operator.pseudo_inverse(&b)?, &x) < 1e-3);
    let hard = Convolution::gaussian([3, 64, 64], 13, 1.5)?;
    let noisy = hard.apply(&x)? + normal(1, [3, 64, 64], 2) * 0.05;
    assert!(relative(&hard.pseudo_inverse(&noisy)?, &x) > 10.0);
    let start = hard.start_image(&noisy)?;
    assert!(
        start.iter().all(|value| value.abs() < 1.5),
        "the start image keeps the range"
    );
    Ok(())
}

#[test]
fn kernels_are_normalised_and_centred() -> Result {
    for size in [1, 2, 13, 14] {
        let gaussian = gaussian_kernel(size, 1.5)?;
        assert!((gaussian.sum() - 1.0).abs() < 1e-12 && gaussian.iter().all(|&weight| weight > 0.0));
        assert_eq!(gaussian, gaussian.t(), "round");
    }
    let ratio = gaussian_kernel(13, 1.5)?[[6, 9]] / gaussian_kernel(13, 1.5)?[[6, 6]];
    assert!(
        (ratio - (-2.0_f64).exp()).abs() < 1e-12,
        "two standard deviations from the middle"
    );
    for seed in 0..20 {
        for (size, intensity) in [(15, 0.0), (15, 0.5), (15, 1.0), (16, 0.5), (1, 0.5), (2, 0.5)] {
            let kernel = camera_shake_kernel(size, intensity, seed)?;
            assert!((kernel.sum() - 1.0).abs() < 1e-12 && kernel.iter().all(|&weight| weight >= 0.0));
            for axis in [0, 1] {
                let mean: f64 = kernel
                    .indexed_iter()
                    .map(|((y, x), weight)| weight * [y, x][axis] as f64)
                    .sum();
                assert!(
                    (mean - (size / 2) as f64).abs() < 1e-9,
                    "seed {seed}: the image is not shifted"
                );
            }
        }
        assert_eq!(camera_shake_kernel(15, 0.5, seed)?, camera_shake_kernel(15, 0.5, seed)?);
        assert_ne!(
            camera_shake_kernel(15, 0.5, seed)?,
            camera_shake_kernel(15, 0.5, seed + 1)?
        );
    }
    Ok(())
}

#[test]
fn inpainting_measures_the_observed_pixels_only() -> Result {
    let operator = Inpainting::random([3, 64, 64], 0.7, 5)?;
    assert_eq!(
        operator.measurement_shape(),
        [3, 1, 4096 - 2867],
        "70 % of 4096, to the nearest"
    );
    let mask = operator.mask();
    let x = normal(2, [3, 64, 64], 1);
    let b = operator.apply(&x)?;
    let filled = operator.pseudo_inverse(&b)?;
    for ((image, channel, y, column), &value) in filled.indexed_iter() {
        let expected = if mask[[y, column]] {
            x[[image, channel, y, column]]
        } else {
            0.0
        };
        assert_eq!(value, expected);
    }
    assert_ne!(mask, Inpainting::random([3, 64, 64], 0.7, 6)?.mask());
    assert_eq!(mask, Inpainting::random([3, 64, 64], 0.7, 5)?.mask());

    let boxed = Inpainting::centred_box([3, 64, 64], 24)?.mask();
    assert_eq!(boxed.iter().filter(|&&kept| !kept).count(), 24 * 24);
    assert!(!boxed[[20, 20]] && !boxed[[43, 43]] && boxed[[19, 20]] && boxed[[44, 43]]);
    Ok(())
}

#[test]
fn with_everything_masked_nothing_is_measured_and_nothing_fails() -> Result {
    for operator in [
        Inpainting::random([3, 8, 8], 1.0, 0)?,
        Inpainting::centred_box([3, 8, 8], 8)?,
    ] {
        assert_eq!(operator.measurement_shape(), [3, 1, 0]);
        let x = normal(2, [3, 8, 8], 1);
        let b = operator.apply(&x)?;
        assert_eq!(b.dim(), (2, 3, 1, 0));
        let zeros = Array4::<f32>::zeros((2, 3, 8, 8));
        assert_eq!(operator.vjp(&x, &b)?, zeros);
        assert_eq!(operator.start_image(&b)?, zeros);
        assert_eq!(operator.picture(&b)?, zeros);
    }
    Ok(())
}

#[test]
fn the_start_image_of_colourisation_is_grey_and_explains_the_measurement() -> Result {
    let operator = Colourisation::new([3, 4, 5])?;
    let b = operator.apply(&normal(2, [3, 4, 5], 1))?;
    let start = operator.start_image(&b)?;
    assert!(relative(&operator.apply(&start)?, &b) < 1e-6);
    assert_eq!(start.index_axis(Axis(1), 0), start.index_axis(Axis(1), 2));
    Ok(())
}

#[test]
fn one_image_at_a_time_gives_the_same_bits_as_the_batch() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        let x = normal(3, operator.image_shape(), 1);
        let v = normal(3, operator.measurement_shape(), 2);
        let rows = |i: usize| -> Result<_> {
            let (x, v) = (x.slice(s![i..=i, .., .., ..]), v.slice(s![i..=i, .., .., ..]));
            Ok((operator.apply(&x)?, operator.vjp(&x, &v)?))
        };
        let (one, two, three) = (rows(0)?, rows(1)?, rows(2)?);
        let applied = concatenate(Axis(0), &[one.0.view(), two.0.view(), three.0.view()])?;
        let pulled = concatenate(Axis(0), &[one.1.view(), two.1.view(), three.1.view()])?;
        assert_eq!(applied, operator.apply(&x)?, "{}", label(&*operator));
        assert_eq!(pulled, operator.vjp(&x, &v)?, "{}", label(&*operator));
    }
    Ok(())
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        let x = normal(5, operator.image_shape(), 1);
        let v = normal(5, operator.measurement_shape(), 2);
        let mut results = Vec::new();
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            results.push(pool.install(|| (operator.apply(&x), operator.vjp(&x, &v))));
        }
        assert_eq!(results[0], results[1], "{}", label(&*operator));
        assert_eq!(results[0], results[2], "{}", label(&*operator));
    }
    Ok(())
}

#[test]
fn the_layout_in_memory_does_not_matter() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        let [c, h, w] = operator.image_shape();
        let stored: Array4<f32> = normal(2, [w, h, c], 1);
        let x = stored.view().permuted_axes([0, 3, 2, 1]);
        assert_eq!(x.shape(), [2, c, h, w]);
        assert_eq!(operator.apply(&x)?, operator.apply(&x.as_standard_layout())?);
    }
    Ok(())
}

#[test]
fn an_empty_batch_stays_empty() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        let x = normal(0, operator.image_shape(), 1);
        let b = operator.apply(&x)?;
        assert_eq!(b, normal(0, operator.measurement_shape(), 1));
        assert_eq!(operator.vjp(&x, &b)?, x);
        assert_eq!(operator.start_image(&b)?, x);
    }
    Ok(())
}

#[test]
fn wrong_shapes_are_refused_with_both_shapes_in_the_message() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        let [c, h, w] = operator.image_shape();
        let message = |result: std::result::Result<Array4<f32>, OperatorError>| {
            result.map_or_else(|error| error.to_string(), |_| "no error".into())
        };
        let wide = message(operator.apply(&Array4::zeros((2, c, h, w + 1))));
        assert!(
            wide.contains(operator.name())
                && wide.contains(&format!("[2, {c}, {h}, {}]", w + 1))
                && wide.contains(&format!("[_, {c}, {h}, {w}]")),
            "{wide}"
        );
        let [mc, mh, mw] = operator.measurement_shape();
        let x = Array4::zeros((2, c, h, w));
        for wrong in [
            message(operator.vjp(&x, &Array4::zeros((2, mc, mh, mw + 2)))),
            message(operator.start_image(&Array4::zeros((2, mc, mh, mw + 2)))),
            message(operator.picture(&Array4::zeros((2, mc, mh, mw + 2)))),
        ] {
            assert!(
                wrong.contains(&format!("[2, {mc}, {mh}, {}]", mw + 2))
                    && wrong.contains(&format!("[_, {mc}, {mh}, {mw}]")),
                "{wrong}"
            );
        }
        let counts = message(operator.vjp(&x, &Array4::zeros((3, mc, mh, mw))));
        assert!(counts.contains("2 images") && counts.contains("3 vectors"), "{counts}");
    }
    Ok(())
}

#[test]
fn a_nan_is_refused_with_its_place() -> Result {
    for operator in linear_operators()?.into_iter().chain(nonlinear_operators()?) {
        for bad in [f32::NAN, f32::INFINITY] {
            let [c, h, w] = operator.image_shape();
            let mut x = Array4::zeros((2, c, h, w));
            x[[1, c - 1, h - 1, 0]] = bad;
            let message = operator
                .apply(&x)
                .map_or_else(|error| error.to_string(), |_| "no error".into());
            assert!(
                message.contains(&format!("{bad} at [1, {}, {}, 0]", c - 1, h - 1)) && message.contains("finite"),
                "{message}"
            );
            let [mc, mh, mw] = operator.measurement_shape();
            if mw == 0 {
                continue;
            }
            let mut v = Array4::zeros((2, mc, mh, mw));
            v[[0, 0, 0, mw - 1]] = bad;
            assert!(operator.vjp(&Array4::zeros((2, c, h, w)), &v).is_err());
            assert!(operator.start_image(&v).is_err() && operator.picture(&v).is_err());
        }
    }
    Ok(())
}

#[test]
fn a_nonlinear_operator_says_that_it_has_no_pseudo_inverse() -> Result {
    for operator in nonlinear_operators()? {
        let b = operator.apply(&normal(1, operator.image_shape(), 1))?;
        let pseudo_inverse = operator.linear().and_then(|linear| linear.pseudo_inverse(&b));
        assert_eq!(
            pseudo_inverse,
            Err(OperatorError::NotLinear {
                operator: operator.name()
            })
        );
        assert!(matches!(operator.spectral(), Err(OperatorError::NotLinear { .. })));
    }
    Ok(())
}

#[test]
fn parameters_out_of_range_are_refused_with_the_numbers() {
    let message = |result: std::result::Result<Box<dyn ForwardOperator>, OperatorError>| {
        result.map_or_else(|error| error.to_string(), |operator| label(&*operator))
    };
    let shape = [3, 30, 40];
    let cases = [
        (message(Inpainting::random(shape, 1.5, 0).map(boxed)), "1.5"),
        (message(Inpainting::random(shape, f64::NAN, 0).map(boxed)), "NaN"),
        (message(Inpainting::random([3, 0, 4], 0.5, 0).map(boxed)), "[3, 0, 4]"),
        (
            message(Inpainting::centred_box(shape, 31).map(boxed)),
            "30 pixels in an image of 30x40",
        ),
        (
            message(Inpainting::from_mask(shape, &Array2::from_elem((40, 30), true)).map(boxed)),
            "[40, 30]",
        ),
        (
            message(Convolution::gaussian(shape, 31, 1.5).map(boxed)),
            "image's 30x40, got 31x31",
        ),
        (message(Convolution::gaussian(shape, 0, 1.5).map(boxed)), "got 0"),
        (
            message(Convolution::gaussian(shape, 13, 0.0).map(boxed)),
            "above 0 pixels",
        ),
        (
            message(Convolution::motion_blur(shape, 15, 2.0, 0).map(boxed)),
            "0 to 1",
        ),
        (
            message(Convolution::from_kernel(shape, &Array2::from_elem((2, 2), f64::NAN)).map(boxed)),
            "NaN",
        ),
        (
            message(Convolution::from_kernel(shape, &Array2::zeros((0, 3))).map(boxed)),
            "got 0x3",
        ),
        (message(SuperResolution::new(shape, 4).map(boxed)), "30 and 40, got 4"),
        (message(SuperResolution::new(shape, 0).map(boxed)), "got 0"),
        (message(Colourisation::new([1, 4, 4]).map(boxed)), "got 1"),
        (message(CompressedSensing::new(shape, -0.1, 0).map(boxed)), "-0.1"),
        (message(Fourier::new(shape, 1.1, 0).map(boxed)), "1.1"),
        (message(Fourier::new([0, 3, 4], 0.5, 0).map(boxed)), "[0, 3, 4]"),
        (message(Tomography::new(shape, 0).map(boxed)), "1 to 2000, got 0"),
        (message(Tomography::new(shape, 2001).map(boxed)), "got 2001"),
        (message(Tomography::new([3, 4, 0], 9).map(boxed)), "[3, 4, 0]"),
        (message(HdrResponse::new(shape, 0.0, 2.2).map(boxed)), "exposure"),
        (message(HdrResponse::new(shape, 2.0, f64::NAN).map(boxed)), "gamma"),
    ];
    for (message, expected) in cases {
        assert!(
            message.contains("expected") && message.contains(expected),
            "{message} lacks {expected}"
        );
    }
}
