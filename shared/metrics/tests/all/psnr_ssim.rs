//! PSNR and SSIM against scikit-image (`fixtures/make_fixtures.py`), against values known by hand, and on wrong input.

use approx::assert_abs_diff_eq;
use metrics::{MetricError, psnr, ssim};
use ndarray::Array3;

#[derive(serde::Deserialize)]
struct Case {
    shape: [usize; 3],
    truth: Vec<u8>,
    prediction: Vec<f32>,
    psnr: f64,
    ssim: f64,
}

#[test]
fn both_agree_with_scikit_image() -> Result<(), Box<dyn std::error::Error>> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/psnr_ssim.json"))?;
    assert_eq!(cases.len(), 4);
    for case in cases {
        let truth = case.truth.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
        let truth = Array3::from_shape_vec(case.shape, truth)?;
        let prediction = Array3::from_shape_vec(case.shape, case.prediction)?;
        assert_abs_diff_eq!(psnr(&prediction, &truth)?, case.psnr, epsilon = 1e-6);
        assert_abs_diff_eq!(ssim(&prediction, &truth)?, case.ssim, epsilon = 1e-6);
    }
    Ok(())
}

/// 0.05 on [-1, 1] is 0.025 on [0, 1]: 32.04 dB, where 26.02 dB would be a missing factor of 2.
#[test]
fn psnr_is_taken_on_the_unit_scale() -> Result<(), MetricError> {
    let truth = Array3::from_elem((3, 8, 8), 0.25);
    assert_abs_diff_eq!(
        psnr(&(&truth + 0.05), &truth)?,
        -20.0 * 0.025_f64.log10(),
        epsilon = 1e-4
    );
    Ok(())
}

#[test]
fn the_prediction_is_clamped() -> Result<(), MetricError> {
    let truth = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| if (x + y) % 2 == 0 { 1.0 } else { -0.5 });
    let beyond = truth.mapv(|x| if x == 1.0 { 3.0 } else { x });
    assert_eq!(psnr(&beyond, &truth)?, f64::INFINITY);
    assert_abs_diff_eq!(ssim(&beyond, &truth)?, 1.0, epsilon = 1e-12);
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let truth = Array3::<f32>::zeros((3, 12, 12));
    for metric in [psnr, ssim] {
        let message = |a: &Array3<f32>, b: &Array3<f32>| match metric(a, b) {
            Ok(value) => format!("(no error: {value})"),
            Err(error) => error.to_string(),
        };
        let shape = message(&Array3::zeros((3, 12, 13)), &truth);
        assert!(
            shape.contains("[3, 12, 13]") && shape.contains("[3, 12, 12]"),
            "{shape}"
        );

        let mut nan = truth.clone();
        nan[[1, 2, 3]] = f32::NAN;
        let prediction = message(&nan, &truth);
        assert!(prediction.contains("prediction holds NaN at [1, 2, 3]"), "{prediction}");
        let ground_truth = message(&truth, &nan);
        assert!(ground_truth.contains("ground truth holds NaN"), "{ground_truth}");
        nan[[1, 2, 3]] = f32::INFINITY;
        assert!(message(&nan, &truth).contains("holds inf"));

        let bytes = message(&truth, &Array3::from_elem((3, 12, 12), 255.0));
        assert!(
            bytes.contains("255") && bytes.contains("expected pixels in [-1, 1]"),
            "{bytes}"
        );

        let empty = Array3::zeros((3, 0, 5));
        assert!(message(&empty, &empty).contains("too small"));
    }
    let small = Array3::<f32>::zeros((3, 10, 64));
    assert!(psnr(&small, &small).is_ok());
    assert!(ssim(&small, &small).is_err_and(|error| error.to_string().contains("at least 11x11")));
}
