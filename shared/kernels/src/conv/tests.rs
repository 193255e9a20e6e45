//! All passes on all paths against a plain reference in f64.

use super::*;
use crate::channels_last::{from_channels_last, to_channels_last};
use crate::testing::{assert_close, assert_same_on_any_threads, paths, relative_error, rng, to_f64, values};

/// `[batch][channels][pixels]` with the channels last.
fn turned(batch: usize, channels: usize, x: &[f32]) -> Vec<f32> {
    let pixels = x.len() / (batch * channels).max(1);
    let mut y = vec![f32::NAN; batch * pixels * padded(channels)];
    to_channels_last(channels, pixels, x, &mut y);
    y
}

/// And back.
fn turned_back(batch: usize, channels: usize, y: &[f32]) -> Vec<f32> {
    let pixels = y.len() / (batch * padded(channels)).max(1);
    let mut x = vec![f32::NAN; batch * channels * pixels];
    from_channels_last(channels, pixels, y, Onto::Overwrite, &mut x);
    x
}

/// Fails where the largest error, relative to the largest value, is beyond what rounding makes: sums of up to some
/// thousand products, each rounded to 6e-8; Winograd's transforms lose about another digit's half.
#[track_caller]
fn assert_rounded(what: &str, algorithm: Algorithm, got: &[f32], expected: &[f64]) {
    let most = match algorithm {
        Algorithm::Direct => 5e-6,
        Algorithm::Winograd2 | Algorithm::Winograd4 => 1e-5,
    };
    let error = relative_error(got, expected);
    // Written so that a NaN does not pass.
    assert!(
        error <= most,
        "{what}, {algorithm:?}: off by {error:.1e} of the largest value"
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
        // A row of tiles that is longer than a task would like.
        shapes.push(shape(1, 3, 5, 3, 150, kernel, stride));
    }
    shapes
}

/// One way to compute a convolution.
#[derive(Clone, Copy, Debug)]
struct How {
    path: SimdPath,
    algorithm: Algorithm,
}

/// Every path of this machine, with every algorithm that suits.
fn ways(shape: &ConvShape) -> Vec<How> {
    let suiting = || Algorithm::ALL.into_iter().filter(|algorithm| algorithm.suits(shape));
    let of_path = |path| suiting().map(move |algorithm| How { path, algorithm });
    paths().into_iter().flat_map(of_path).collect()
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
            x: values(rng, shape.batch * shape.c_in * shape.height * shape.width),
            weight: values(rng, shape.weight_len()),
            bias: values(rng, shape.c_out),
            dy: values(rng, shape.batch * shape.c_out * shape.out_pixels()),
        }
    }

    fn cases() -> impl Iterator<Item = Case> {
        shapes()
            .into_iter()
            .enumerate()
            .map(|(seed, shape)| Case::new(shape, seed as u64))
    }

    fn x_last(&self) -> Vec<f32> {
        turned(self.shape.batch, self.shape.c_in, &self.x)
    }

    fn dy_last(&self) -> Vec<f32> {
        turned(self.shape.batch, self.shape.c_out, &self.dy)
    }

    /// The forward pass on whatever is in `y`, channels first in the end.
    fn forward(&self, how: How, onto: Onto, y: &[f32]) -> Vec<f32> {
        let s = &self.shape;
        let mut y = turned(s.batch, s.c_out, y);
        forward(
            how.path,
            Share::Tasks,
            s,
            &self.x_last(),
            &self.pack_forward(how.algorithm),
            &self.bias,
            onto,
            &mut y,
        );
        turned_back(s.batch, s.c_out, &y)
    }

    /// The same for the input gradient.
    fn input_grad(&self, how: How, onto: Onto, dx: &[f32]) -> Vec<f32> {
        let s = &self.shape;
        let mut dx = turned(s.batch, s.c_in, dx);
        input_grad(
            how.path,
            Share::Tasks,
            s,
            &self.dy_last(),
            &self.pack_input_grad(how.algorithm),
            onto,
            &mut dx,
        );
        turned_back(s.batch, s.c_in, &dx)
    }

    fn weight_grad(&self, how: How) -> Vec<f32> {
        let mut dw = self.weight.clone();
        weight_grad_on(
            how.path,
            &self.shape,
            how.algorithm,
            &self.x_last(),
            &self.dy_last(),
            &mut dw,
        );
        dw
    }

    fn bias_grad(&self) -> Vec<f32> {
        let mut db = self.bias.clone();
        conv_bias_grad(&self.shape, &self.dy_last(), &mut db);
        db
    }

    fn pack_forward(&self, algorithm: Algorithm) -> PackedWeights {
        pack_forward(&self.shape, algorithm, &self.weight)
    }

    fn pack_input_grad(&self, algorithm: Algorithm) -> PackedWeights {
        pack_input_grad(&self.shape, algorithm, &self.weight)
    }
}

#[test]
fn forward_matches_reference_and_adds() {
    for case in Case::cases() {
        let s = &case.shape;
        let mut expected: Vec<f64> = (0..case.dy.len())
            .map(|i| case.bias[i / s.out_pixels() % s.c_out].into())
            .collect();
        each_product(s, |i, w, o| {
            expected[o] += f64::from(case.x[i]) * f64::from(case.weight[w])
        });
        let added: Vec<f64> = expected
            .iter()
            .zip(&case.dy)
            .map(|(y, before)| y + f64::from(*before))
            .collect();
        for how in ways(s) {
            let nan = vec![f32::NAN; case.dy.len()];
            let what = format!("forward {} {s:?}", how.path);
            assert_rounded(
                &what,
                how.algorithm,
                &case.forward(how, Onto::Overwrite, &nan),
                &expected,
            );
            assert_rounded(&what, how.algorithm, &case.forward(how, Onto::Add, &case.dy), &added);
        }
    }
}

#[test]
fn input_grad_matches_reference_and_adds() {
    for case in Case::cases() {
        let s = &case.shape;
        let mut expected = vec![0.0; case.x.len()];
        each_product(s, |i, w, o| {
            expected[i] += f64::from(case.dy[o]) * f64::from(case.weight[w])
        });
        let added: Vec<f64> = expected
            .iter()
            .zip(&case.x)
            .map(|(dx, before)| dx + f64::from(*before))
            .collect();
        for how in ways(s) {
            let nan = vec![f32::NAN; case.x.len()];
            let what = format!("input gradient {} {s:?}", how.path);
            assert_rounded(
                &what,
                how.algorithm,
                &case.input_grad(how, Onto::Overwrite, &nan),
                &expected,
            );
            assert_rounded(&what, how.algorithm, &case.input_grad(how, Onto::Add, &case.x), &added);
        }
    }
}

#[test]
fn weight_and_bias_grad_match_reference_and_accumulate() {
    for case in Case::cases() {
        let s = &case.shape;
        let mut expected = to_f64(&case.weight);
        each_product(s, |i, w, o| expected[w] += f64::from(case.dy[o]) * f64::from(case.x[i]));
        for how in ways(s) {
            let what = format!("weight gradient {} {s:?}", how.path);
            assert_rounded(&what, how.algorithm, &case.weight_grad(how), &expected);
        }
        let mut expected = to_f64(&case.bias);
        for (i, &dy) in case.dy.iter().enumerate() {
            expected[i / s.out_pixels() % s.c_out] += f64::from(dy);
        }
        assert_close(&format!("bias {s:?}"), &case.bias_grad(), &expected, 2e-5);
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
        for how in ways(&s) {
            let what = format!("{how:?} {s:?}");
            assert_same_on_any_threads(&what, || case.forward(how, Onto::Add, &case.dy));
            assert_same_on_any_threads(&what, || case.input_grad(how, Onto::Add, &case.x));
            assert_same_on_any_threads(&what, || case.weight_grad(how));
        }
        assert_same_on_any_threads("bias", || case.bias_grad());
    }
}

#[test]
fn an_empty_batch_is_nothing_to_do() {
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2)] {
        let case = Case::new(shape(0, 3, 5, 4, 4, kernel, stride), 0);
        for how in ways(&case.shape) {
            assert!(case.forward(how, Onto::Overwrite, &[]).is_empty());
            assert!(case.input_grad(how, Onto::Overwrite, &[]).is_empty());
            assert!(case.weight_grad(how) == case.weight);
        }
        assert!(case.bias_grad() == case.bias);
    }
}

#[test]
#[should_panic(expected = "conv_forward: y: expected 256 values, got 255")]
fn wrong_length_is_named() {
    let case = Case::new(shape(1, 3, 5, 4, 4, 3, 1), 0);
    let (x, packed) = (case.x_last(), case.pack_forward(Algorithm::Winograd2));
    conv_forward(&case.shape, &x, &packed, &case.bias, Onto::Overwrite, &mut [0.0; 255]);
}

#[test]
#[should_panic(expected = "weights packed for Forward used for InputGrad")]
fn weights_of_the_other_pass_are_refused() {
    let case = Case::new(shape(1, 3, 3, 4, 4, 3, 1), 0);
    let (dy, packed) = (case.dy_last(), case.pack_forward(Algorithm::Winograd2));
    conv_input_grad(&case.shape, &dy, &packed, Onto::Overwrite, &mut [0.0; 256]);
}

#[test]
#[should_panic(expected = "expected (3, 5, 3, 1), got (3, 5, 3, 2)")]
fn weights_of_another_shape_are_refused() {
    let case = Case::new(shape(1, 3, 5, 4, 4, 3, 1), 0);
    let packed = pack_forward(&shape(1, 3, 5, 4, 4, 3, 2), Algorithm::Direct, &case.weight);
    conv_forward(
        &case.shape,
        &case.x_last(),
        &packed,
        &case.bias,
        Onto::Overwrite,
        &mut [0.0; 256],
    );
}

#[test]
#[should_panic(expected = "kernel 5 with stride 1 is not supported")]
fn other_kernels_are_refused() {
    let _ = pack_forward(&shape(1, 1, 1, 4, 4, 5, 1), Algorithm::Direct, &[0.0; 25]);
}

#[test]
#[should_panic(expected = "Winograd4 is for 3x3 convolutions with stride 1")]
fn winograd_is_refused_where_it_is_none() {
    let _ = pack_forward(&shape(1, 3, 5, 4, 4, 3, 2), Algorithm::Winograd4, &[0.0; 135]);
}
