//! All passes on all paths against a plain reference in f64.

use super::*;
use crate::testing::{assert_close, assert_same_on_any_threads, paths, relative_error, rng, to_f64, values};

#[test]
fn every_algorithm_is_tried() {
    let count = |algorithm| shapes().iter().filter(|shape| shape.algorithm() == algorithm).count();
    assert!(Algorithm::ALL.into_iter().all(|algorithm| count(algorithm) > 10));
}

/// Fails where the largest error, relative to the largest value, is beyond what rounding makes: sums of up to some
/// thousand products, each rounded to 6e-8; Winograd's transforms lose about another digit's half.
#[track_caller]
fn assert_rounded(what: &str, shape: &ConvShape, got: &[f32], expected: &[f64]) {
    let most = match shape.algorithm() {
        Algorithm::Direct => 5e-6,
        Algorithm::Winograd2 | Algorithm::Winograd4 => 1e-5,
    };
    let error = relative_error(got, expected);
    // Written so that a NaN does not pass.
    assert!(
        error <= most,
        "{what} {shape:?}: off by {error:.1e} of the largest value"
    );
}

/// Calls `f(x index, weight index, output index)` for every product of a convolution.
fn each_product(shape: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let (out_height, out_width, k) = (shape.out_height(), shape.out_width(), shape.kernel);
    for n in 0..shape.batch {
        for o in 0..shape.c_out {
            for i in 0..shape.c_in {
                for tap in 0..k * k {
                    for out in 0..out_height * out_width {
                        let y = (out / out_width * shape.stride + tap / k).wrapping_sub(k / 2);
                        let x = (out % out_width * shape.stride + tap % k).wrapping_sub(k / 2);
                        if y < shape.height && x < shape.width {
                            let input = ((n * shape.c_in + i) * shape.height + y) * shape.width + x;
                            let output = (n * shape.c_out + o) * out_height * out_width + out;
                            f(input, (o * shape.c_in + i) * k * k + tap, output);
                        }
                    }
                }
            }
        }
    }
}

fn shape(
    batch: usize,
    c_in: usize,
    c_out: usize,
    height: usize,
    width: usize,
    kernel: usize,
    stride: usize,
) -> ConvShape {
    ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
        kernel,
        stride,
    }
}

/// Every kind of convolution at sizes that exercise partial vectors, tiles and blocks, and at some
/// of the network's.
fn shapes() -> Vec<ConvShape> {
    let mut shapes = Vec::new();
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2)] {
        for (height, width) in [
            (1, 1),
            (1, 5),
            (6, 1),
            (2, 2),
            (3, 3),
            (4, 7),
            (7, 6),
            (8, 8),
            (9, 17),
            (16, 16),
            (13, 33),
        ] {
            for (c_in, c_out) in [(1, 1), (3, 5), (5, 3), (17, 12), (8, 16)] {
                let batch = 1 + (height + c_in) % 3;
                shapes.push(shape(batch, c_in, c_out, height, width, kernel, stride));
            }
        }
        shapes.push(shape(2, 48, 96, 8, 8, kernel, stride));
        shapes.push(shape(1, 50, 49, 16, 16, kernel, stride));
        // Several bands of rows, the last one shorter.
        shapes.push(shape(2, 100, 9, 21, 40, kernel, stride));
        shapes.push(shape(1, 12, 48, 32, 32, kernel, stride));
        // Small images, several to a task; the last task has fewer.
        shapes.push(shape(21, 6, 4, 3, 2, kernel, stride));
        shapes.push(shape(19, 3, 20, 5, 7, kernel, stride));
        // Outputs shared out to tasks, in groups of which the last is smaller; with more tiles, not shared out.
        shapes.push(shape(3, 7, 100, 9, 6, kernel, stride));
        shapes.push(shape(1, 20, 150, 16, 15, kernel, stride));
        shapes.push(shape(2, 9, 50, 45, 47, kernel, stride));
    }
    shapes
}

struct Case {
    shape: ConvShape,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(shape: ConvShape, seed: u64) -> Self {
        let rng = &mut rng(seed);
        Case {
            shape,
            x: values(rng, shape.input_len()),
            weight: values(rng, shape.weight_len()),
            bias: values(rng, shape.c_out),
            dy: values(rng, shape.output_len()),
        }
    }

    fn cases() -> impl Iterator<Item = Case> {
        shapes()
            .into_iter()
            .enumerate()
            .map(|(seed, shape)| Case::new(shape, seed as u64))
    }

    fn pack_forward(&self) -> PackedWeights {
        pack_forward(&self.shape, &self.weight)
    }

    fn pack_input_grad(&self) -> PackedWeights {
        pack_input_grad(&self.shape, &self.weight)
    }
}

#[test]
fn forward_matches_reference() {
    for case in Case::cases() {
        let s = &case.shape;
        let pixels = s.out_height() * s.out_width();
        let mut expected: Vec<f64> = (0..s.output_len())
            .map(|i| case.bias[i / pixels % s.c_out].into())
            .collect();
        each_product(s, |i, w, o| {
            expected[o] += f64::from(case.x[i]) * f64::from(case.weight[w])
        });
        for path in paths() {
            let mut out = vec![f32::NAN; s.output_len()];
            forward(path, s, &case.x, &case.pack_forward(), &case.bias, &mut out);
            assert_rounded(&format!("forward {path}"), s, &out, &expected);
        }
    }
}

#[test]
fn input_grad_matches_reference_and_accumulates() {
    for case in Case::cases() {
        let s = &case.shape;
        let before = &case.x;
        let mut expected = to_f64(before);
        each_product(s, |i, w, o| {
            expected[i] += f64::from(case.dy[o]) * f64::from(case.weight[w])
        });
        for path in paths() {
            let mut dx = before.clone();
            input_grad(path, s, &case.dy, &case.pack_input_grad(), &mut dx);
            assert_rounded(&format!("input gradient {path}"), s, &dx, &expected);
        }
    }
}

#[test]
fn weight_and_bias_grad_match_reference_and_accumulate() {
    for case in Case::cases() {
        let s = &case.shape;
        let mut expected = to_f64(&case.weight);
        each_product(s, |i, w, o| expected[w] += f64::from(case.dy[o]) * f64::from(case.x[i]));
        for path in paths() {
            let mut dw = case.weight.clone();
            weight_grad_on(path, s, &case.x, &case.dy, &mut dw);
            assert_rounded(&format!("weight gradient {path}"), s, &dw, &expected);
        }

        let mut expected = to_f64(&case.bias);
        let pixels = s.out_height() * s.out_width();
        case.dy
            .iter()
            .enumerate()
            .for_each(|(i, &dy)| expected[i / pixels % s.c_out] += f64::from(dy));
        let mut db = case.bias.clone();
        conv_bias_grad(s, &case.dy, &mut db);
        assert_close(&format!("bias {s:?}"), &db, &expected, 2e-5);
    }
}

#[test]
fn threads_do_not_change_bits() {
    for (seed, s) in [
        shape(1, 48, 48, 16, 16, 3, 1),
        shape(3, 17, 12, 9, 17, 3, 1),
        shape(2, 48, 40, 13, 12, 3, 2),
        shape(2, 24, 48, 16, 16, 1, 1),
        shape(1, 20, 100, 8, 8, 3, 1),
        shape(1, 20, 100, 16, 16, 3, 1),
        shape(3, 20, 20, 33, 31, 3, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let case = Case::new(s, seed as u64);
        let (packed, packed_grad) = (case.pack_forward(), case.pack_input_grad());
        for path in paths() {
            let what = format!("{path} {s:?}");
            assert_same_on_any_threads(&what, || {
                let mut out = vec![0.0; s.output_len()];
                forward(path, &s, &case.x, &packed, &case.bias, &mut out);
                out
            });
            assert_same_on_any_threads(&what, || {
                let mut dx = case.x.clone();
                input_grad(path, &s, &case.dy, &packed_grad, &mut dx);
                dx
            });
            assert_same_on_any_threads(&what, || {
                let mut dw = case.weight.clone();
                weight_grad_on(path, &s, &case.x, &case.dy, &mut dw);
                dw
            });
            assert_same_on_any_threads(&what, || {
                let mut db = case.bias.clone();
                conv_bias_grad(&s, &case.dy, &mut db);
                db
            });
        }
    }
}

#[test]
fn an_empty_batch_is_nothing_to_do() {
    let case = Case::new(shape(0, 3, 5, 4, 4, 3, 1), 0);
    let (mut dw, mut db) = (case.weight.clone(), case.bias.clone());
    conv_forward(&case.shape, &[], &case.pack_forward(), &case.bias, &mut []);
    conv_input_grad(&case.shape, &[], &case.pack_input_grad(), &mut []);
    conv_weight_grad(&case.shape, &[], &[], &mut dw);
    conv_bias_grad(&case.shape, &[], &mut db);
    assert!(dw == case.weight && db == case.bias);
}

#[test]
#[should_panic(expected = "conv_forward: out: expected 80 values, got 79")]
fn wrong_length_is_named() {
    let case = Case::new(shape(1, 3, 5, 4, 4, 3, 1), 0);
    conv_forward(&case.shape, &case.x, &case.pack_forward(), &case.bias, &mut [0.0; 79]);
}

#[test]
#[should_panic(expected = "weights packed for Forward used for InputGrad")]
fn weights_of_the_other_pass_are_refused() {
    let case = Case::new(shape(1, 3, 3, 4, 4, 3, 1), 0);
    conv_input_grad(&case.shape, &case.dy, &case.pack_forward(), &mut [0.0; 48]);
}

#[test]
#[should_panic(expected = "expected (3, 5, 3, 1), got (3, 5, 3, 2)")]
fn weights_of_another_shape_are_refused() {
    let case = Case::new(shape(1, 3, 5, 4, 4, 3, 1), 0);
    let packed = pack_forward(&shape(1, 3, 5, 4, 4, 3, 2), &case.weight);
    conv_forward(&case.shape, &case.x, &packed, &case.bias, &mut [0.0; 80]);
}

#[test]
#[should_panic(expected = "kernel 5 with stride 1 is not supported")]
fn other_kernels_are_refused() {
    let _ = pack_forward(&shape(1, 1, 1, 4, 4, 5, 1), &[0.0; 25]);
}
