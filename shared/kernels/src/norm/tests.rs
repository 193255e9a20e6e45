//! Against the definition, in f64.

use super::*;
use crate::channels_last::{Onto, from_channels_last, to_channels_last};
use crate::testing::{assert_close, assert_same_on_any_threads, paths, rng, to_f64, values};

fn sigmoid_f64(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

struct Case {
    shape: NormShape,
    x: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    dy: Vec<f32>,
}

fn cases() -> Vec<Case> {
    let sizes = [
        (1, 1, 1, 1),
        (2, 3, 5, 1),
        (1, 6, 7, 3),
        (3, 8, 64, 8),
        (2, 17, 33, 17),
        (1, 48, 1024, 8),
        (2, 144, 64, 8),
        (1, 10, 63, 2),
    ];
    let case = |(seed, (batch, channels, pixels, groups))| {
        let shape = NormShape {
            batch,
            channels,
            pixels,
            groups,
            // PyTorch's, and one that nobody overlooks.
            epsilon: if seed % 2 == 0 { EPSILON } else { 0.1 },
        };
        let rng = &mut rng(seed);
        let x = values(rng, batch * channels * pixels)
            .into_iter()
            .map(|value| 3.0 * value + 0.7)
            .collect();
        let [scale, shift] = [0, 1].map(|_| values(rng, batch * channels));
        Case {
            shape,
            x,
            scale,
            shift,
            dy: values(rng, batch * channels * pixels),
        }
    };
    (0..).zip(sizes).map(case).collect()
}

/// Output, and the gradients (dx, dscale, dshift), in f64 and by the definition.
struct Reference {
    y: Vec<f64>,
    dx: Vec<f64>,
    dscale: Vec<f64>,
    dshift: Vec<f64>,
}

fn reference(case: &Case, activation: Activation) -> Reference {
    let shape = &case.shape;
    let len = shape.channels / shape.groups * shape.pixels;
    let affine = shape.batch * shape.channels;
    let mut r = Reference {
        y: vec![],
        dx: vec![],
        dscale: vec![0.0; affine],
        dshift: vec![0.0; affine],
    };
    for (group, x) in case.x.chunks(len).enumerate() {
        let x = to_f64(x);
        let count = len as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let inv_std = 1.0 / (variance + shape.epsilon).sqrt();
        let mut g = Vec::new();
        for (i, x) in x.iter().enumerate() {
            let channel = group * (shape.channels / shape.groups) + i / shape.pixels;
            let xhat = (x - mean) * inv_std;
            let u = xhat * f64::from(case.scale[channel]) + f64::from(case.shift[channel]);
            let s = sigmoid_f64(u);
            let (y, slope) = match activation {
                Activation::None => (u, 1.0),
                Activation::Silu => (u * s, s + u * s * (1.0 - s)),
            };
            r.y.push(y);
            let du = f64::from(case.dy[group * len + i]) * slope;
            r.dscale[channel] += du * xhat;
            r.dshift[channel] += du;
            g.push(du * f64::from(case.scale[channel]));
        }
        let mean_g = g.iter().sum::<f64>() / count;
        let mean_g_xhat = g.iter().zip(&x).map(|(g, x)| g * (x - mean) * inv_std).sum::<f64>() / count;
        r.dx.extend(
            g.iter()
                .zip(&x)
                .map(|(g, x)| inv_std * (g - mean_g - (x - mean) * inv_std * mean_g_xhat)),
        );
    }
    r
}

fn turned(shape: &NormShape, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; shape.len()];
    to_channels_last(shape.channels, shape.pixels, x, &mut y);
    y
}

fn turned_back(shape: &NormShape, y: &[f32]) -> Vec<f32> {
    let mut x = vec![f32::NAN; shape.batch * shape.channels * shape.pixels];
    from_channels_last(shape.channels, shape.pixels, y, Onto::Overwrite, &mut x);
    x
}

fn run(path: SimdPath, case: &Case, activation: Activation) -> [Vec<f32>; 4] {
    let shape = &case.shape;
    let x = turned(shape, &case.x);
    let mut y = vec![f32::NAN; shape.len()];
    let stats = forward(path, shape, &x, &case.scale, &case.shift, activation, &mut y);
    let mut d = turned(shape, &case.dy);
    let [mut dscale, mut dshift] = [0, 1].map(|_| vec![f32::NAN; case.scale.len()]);
    let input = NormInput {
        x: &x,
        stats: &stats,
        scale: &case.scale,
        shift: &case.shift,
        activation,
    };
    backward(path, shape, input, &mut d, &mut dscale, &mut dshift);
    // What fills up the channels is read by the next convolution.
    for values in [&y, &d] {
        let filling = values
            .chunks_exact(shape.depth())
            .flat_map(|pixel| &pixel[shape.channels..]);
        assert!(filling.into_iter().all(|value| *value == 0.0));
    }
    [turned_back(shape, &y), turned_back(shape, &d), dscale, dshift]
}

#[test]
fn matches_reference() {
    for case in cases() {
        for activation in [Activation::None, Activation::Silu] {
            let expected = reference(&case, activation);
            for path in paths() {
                let [y, dx, dscale, dshift] = run(path, &case, activation);
                let what = |name| format!("{name} {path} {activation:?} {:?}", case.shape);
                assert_close(&what("y"), &y, &expected.y, 1e-5);
                assert_close(&what("dx"), &dx, &expected.dx, 1e-5);
                assert_close(&what("dscale"), &dscale, &expected.dscale, 2e-5);
                assert_close(&what("dshift"), &dshift, &expected.dshift, 2e-5);
            }
        }
    }
}

#[test]
fn large_mean_keeps_its_accuracy() {
    let shape = NormShape {
        batch: 1,
        channels: 2,
        pixels: 100,
        groups: 1,
        epsilon: EPSILON,
    };
    let x: Vec<f32> = (0..200).map(|i| 1000.0 + (i % 10) as f32).collect();
    let mut y = vec![0.0; shape.len()];
    group_norm(
        &shape,
        &turned(&shape, &x),
        &[1.0; 2],
        &[0.0; 2],
        Activation::None,
        &mut y,
    );
    let y = turned_back(&shape, &y);
    let std = 8.25f32.sqrt();
    assert!(
        (y[0] + 4.5 / std).abs() < 1e-3 && (y[9] - 4.5 / std).abs() < 1e-3,
        "{:?}",
        &y[..10]
    );
}

#[test]
fn threads_do_not_change_bits() {
    for case in cases() {
        for path in paths() {
            assert_same_on_any_threads(&format!("{path} {:?}", case.shape), || {
                run(path, &case, Activation::Silu).concat()
            });
        }
    }
}

#[test]
#[should_panic(expected = "impossible sizes")]
fn groups_must_divide_channels() {
    let shape = NormShape {
        batch: 1,
        channels: 5,
        pixels: 1,
        groups: 2,
        epsilon: EPSILON,
    };
    group_norm(
        &shape,
        &[0.0; 16],
        &[1.0; 5],
        &[0.0; 5],
        Activation::Silu,
        &mut [0.0; 16],
    );
}
