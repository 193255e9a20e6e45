//! Norms.

use crate::conv::ConvShape;
use crate::cuda::Turn;
use crate::cuda::tests::Bench;
use crate::norm::{Activation, EPSILON, NormShape};

/// A norm in f64: `act(norm(x))`, and the gradients of everything against `dy`.
struct NormReference {
    y: Vec<f64>,
    dx: Vec<f64>,
    dweight: Vec<f64>,
    dbias: Vec<f64>,
    dmodulation: Vec<f64>,
}

fn norm_reference(
    shape: &NormShape,
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    modulation: Option<&[f64]>,
    activation: Activation,
    dy: &[f64],
) -> NormReference {
    let &NormShape {
        batch,
        channels,
        pixels,
        groups,
        epsilon,
    } = shape;
    let count = channels / groups * pixels;
    let mut result = NormReference {
        y: vec![0.0; x.len()],
        dx: vec![0.0; x.len()],
        dweight: vec![0.0; channels],
        dbias: vec![0.0; channels],
        dmodulation: vec![0.0; 2 * batch * channels],
    };
    for group in 0..batch * groups {
        let range = group * count..(group + 1) * count;
        let mean = x[range.clone()].iter().sum::<f64>() / count as f64;
        let variance = x[range.clone()].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        // The gradient with respect to xhat, and its means.
        let (mut dhat, mut m, mut d) = (vec![0.0; count], 0.0, 0.0);
        for index in range.clone() {
            let (n, c) = (index / pixels / channels, index / pixels % channels);
            let (a, b) = modulation.map_or((0.0, 0.0), |m| (m[2 * n * channels + c], m[(2 * n + 1) * channels + c]));
            let hat = (x[index] - mean) * inverse;
            let u = (hat * weight[c] + bias[c]) * (1.0 + a) + b;
            let s = 1.0 / (1.0 + (-u).exp());
            let (value, slope) = match activation {
                Activation::None => (u, 1.0),
                Activation::Silu => (u * s, s * (1.0 + u * (1.0 - s))),
            };
            result.y[index] = value;
            let du = dy[index] * slope;
            result.dweight[c] += du * hat * (1.0 + a);
            result.dbias[c] += du * (1.0 + a);
            result.dmodulation[2 * n * channels + c] += du * (hat * weight[c] + bias[c]);
            result.dmodulation[(2 * n + 1) * channels + c] += du;
            let of_hat = du * weight[c] * (1.0 + a);
            dhat[index - range.start] = of_hat;
            m += of_hat / count as f64;
            d += of_hat * hat / count as f64;
        }
        for index in range.clone() {
            let hat = (x[index] - mean) * inverse;
            result.dx[index] = inverse * (dhat[index - range.start] - m - hat * d);
        }
    }
    result
}

#[test]
fn cuda_norms_and_all_their_gradients() {
    let Some(mut bench) = Bench::open(2) else { return };
    for (batch, channels, groups, pixels, epsilon, modulated, activation) in [
        (2, 6, 3, 35, EPSILON, true, Activation::Silu),
        (1, 4, 4, 130, 0.2, false, Activation::Silu),
        (3, 40, 1, 5, 1e-6, true, Activation::None),
    ] {
        let sizes = NormShape {
            batch,
            channels,
            pixels,
            groups,
            epsilon,
        };
        let len = batch * channels * pixels;
        let [x, dy, more] = [len; 3].map(|len| bench.random(len));
        let [weight, bias] = [channels; 2].map(|len| bench.random(len));
        let modulation = modulated.then(|| bench.random(2 * batch * channels));
        let on_host = modulation.as_ref().map(|m| m.host.as_slice());
        let on_device = modulation.as_ref().map(|m| &m.device);
        let expected = norm_reference(&sizes, &x.host, &weight.host, &bias.host, on_host, activation, &dy.host);
        let what = |of: &str| format!("{of} of {batch} x {channels} channels in {groups}, {pixels} pixels");

        let kernels = &bench.kernels;
        let norm = kernels.norm(&sizes, &x.device, &weight.device, &bias.device, on_device);
        let norm = norm.expect("a norm");
        let y = kernels.apply_norm(&norm, activation, &x.device);
        bench.check(&what("output"), &y.expect("a pass"), &expected.y);
        // A convolution with the identity shows what it reads.
        let shape = ConvShape {
            batch,
            c_in: channels,
            c_out: channels,
            height: pixels / 5,
            width: 5,
            kernel: 1,
            stride: 1,
        };
        let mut identity = vec![0.0; channels * channels];
        (0..channels).for_each(|c| identity[c * (channels + 1)] = 1.0);
        let packed = kernels
            .pack_weights(&shape, &bench.upload(&identity), Turn::Forward)
            .expect("packed");
        let read = norm.followed_by(activation);
        let y = kernels.conv(&shape, &x.device, Some(&read), &packed, &bench.zeros(channels), None);
        bench.check(&what("what is read"), &y.expect("a pass"), &expected.y);
        // And so does the gradient of its weights: sum of dy y.
        let mut dw = bench.zeros(channels * channels);
        kernels
            .conv_weight_gradient(&shape, &x.device, Some(&read), &dy.device, &mut dw)
            .expect("a pass");
        let mut expected_dw = vec![0.0; channels * channels];
        for (o, i) in (0..channels).flat_map(|o| (0..channels).map(move |i| (o, i))) {
            for (n, p) in (0..batch).flat_map(|n| (0..pixels).map(move |p| (n, p))) {
                let at = |c| (n * channels + c) * pixels + p;
                expected_dw[o * channels + i] += dy.host[at(o)] * expected.y[at(i)];
            }
        }
        bench.check(&what("weight gradient behind the norm"), &dw, &expected_dw);

        let gradient = kernels.norm_gradient(&norm, activation, &x.device, &dy.device, Some(&more.device));
        let (dx, sums) = gradient.expect("a pass");
        let expected_dx: Vec<f64> = expected.dx.iter().zip(&more.host).map(|(dx, more)| dx + more).collect();
        bench.check(&what("input gradient"), &dx, &expected_dx);
        let [mut dweight, mut dbias] = [(); 2].map(|()| bench.zeros(channels));
        let added = kernels.norm_weight_gradient(batch, &sums, on_device, &mut dweight);
        added.expect("a pass");
        let added = kernels.norm_bias_gradient(batch, &sums, on_device, &mut dbias);
        added.expect("a pass");
        bench.check(&what("weight gradient"), &dweight, &expected.dweight);
        bench.check(&what("bias gradient"), &dbias, &expected.dbias);
        let dmodulation = kernels
            .modulation_gradient(batch, &sums, &weight.device, &bias.device)
            .expect("a pass");
        bench.check(&what("modulation gradient"), &dmodulation, &expected.dmodulation);
    }
}
