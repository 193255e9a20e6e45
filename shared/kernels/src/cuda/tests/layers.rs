//! Attention, fully connected layers, and Adam, which trains them.

use crate::attention::{AttentionShape, attention, attention_grad};
use crate::cuda::tests::{Bench, f32s};
use crate::cuda::{AdamStep, LinearShape};
use crate::testing::to_f64;

#[test]
fn cuda_attention_is_that_of_the_cpu() {
    let Some(mut bench) = Bench::open(3) else { return };
    for (batch, heads, head_dim, tokens) in [(2, 3, 5, 35), (1, 1, 1, 1), (1, 2, 9, 150)] {
        let shape = AttentionShape {
            batch,
            heads,
            head_dim,
            tokens,
        };
        let (qkv, dout) = (bench.random(3 * shape.output_len()), bench.random(shape.output_len()));
        let mut out = vec![0.0; shape.output_len()];
        let mut probabilities = vec![0.0; shape.probabilities_len()];
        attention(&shape, &f32s(&qkv), &mut out, &mut probabilities);
        let mut dqkv = vec![0.0; qkv.host.len()];
        attention_grad(&shape, &f32s(&qkv), &probabilities, &f32s(&dout), &mut dqkv);
        let kernels = &bench.kernels;
        let (got, kept) = kernels.attend(&shape, &qkv.device).expect("a pass");
        bench.check(&format!("output of {shape:?}"), &got, &to_f64(&out));
        let got = kernels
            .attend_gradient(&shape, &qkv.device, &kept, &dout.device)
            .expect("a pass");
        bench.check(&format!("gradient of {shape:?}"), &got, &to_f64(&dqkv));
    }
}

#[test]
fn cuda_linear_layers_and_silu() {
    let Some(mut bench) = Bench::open(4) else { return };
    for (batch, inputs, outputs) in [(1, 1, 1), (3, 37, 5), (2, 70, 300)] {
        let shape = LinearShape { batch, inputs, outputs };
        let [x, w, b] = [batch * inputs, inputs * outputs, outputs].map(|len| bench.random(len));
        let [dy, more] = [batch * outputs, batch * inputs].map(|len| bench.random(len));
        let mut y: Vec<f64> = (0..batch * outputs).map(|i| b.host[i % outputs]).collect();
        let (mut dx, mut dw, mut db) = (more.host.clone(), w.host.clone(), b.host.clone());
        for (n, o) in (0..batch).flat_map(|n| (0..outputs).map(move |o| (n, o))) {
            db[o] += dy.host[n * outputs + o];
            for k in 0..inputs {
                y[n * outputs + o] += x.host[n * inputs + k] * w.host[o * inputs + k];
                dx[n * inputs + k] += dy.host[n * outputs + o] * w.host[o * inputs + k];
                dw[o * inputs + k] += dy.host[n * outputs + o] * x.host[n * inputs + k];
            }
        }
        let kernels = &bench.kernels;
        let got = kernels.linear(&shape, &x.device, &w.device, &b.device).expect("a pass");
        bench.check(&format!("output of {shape:?}"), &got, &y);
        let got = kernels.linear_input_gradient(&shape, &dy.device, &w.device, Some(&more.device));
        bench.check(&format!("input gradient of {shape:?}"), &got.expect("a pass"), &dx);
        let (mut got_w, mut got_b) = (w.device, b.device);
        let added = kernels.linear_weight_gradient(&shape, &x.device, &dy.device, &mut got_w);
        added.expect("a pass");
        kernels.bias_gradient(batch, &dy.device, &mut got_b).expect("a pass");
        bench.check(&format!("weight gradient of {shape:?}"), &got_w, &dw);
        bench.check(&format!("bias gradient of {shape:?}"), &got_b, &db);
    }
    let (x, dy) = (bench.random(77), bench.random(77));
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y: Vec<f64> = x.host.iter().map(|&x| x * sigmoid(x)).collect();
    bench.check("SiLU", &bench.kernels.silu(&x.device).expect("a pass"), &y);
    let slope = |x: f64| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    let dx: Vec<f64> = x.host.iter().zip(&dy.host).map(|(&x, dy)| dy * slope(x)).collect();
    let got = bench.kernels.silu_gradient(&x.device, &dy.device).expect("a pass");
    bench.check("the gradient of SiLU", &got, &dx);
}

#[test]
fn cuda_adam_and_its_average_follow_the_paper() {
    let Some(mut bench) = Bench::open(8) else { return };
    let [gradient, first, second, values, average] = [300; 5].map(|len| bench.random(len));
    let step = AdamStep {
        scale: 0.5,
        beta1: 0.75,
        beta2: 0.875,
        rate: 0.25,
        correction: 2.0,
        epsilon: 0.125,
        coupled: 0.0625,
        decoupled: 0.03125,
    };
    let mut expected = [
        first.host,
        second.host.iter().map(|v| v * v).collect(),
        values.host.clone(),
    ];
    let second: Vec<f32> = expected[1].iter().map(|&v| v as f32).collect();
    for (i, gradient) in gradient.host.iter().enumerate() {
        let g = 0.5 * gradient + 0.0625 * values.host[i];
        expected[0][i] = 0.75 * expected[0][i] + 0.25 * g;
        expected[1][i] = 0.875 * expected[1][i] + 0.125 * g * g;
        expected[2][i] -= 0.25 * expected[0][i] / ((2.0 * expected[1][i]).sqrt() + 0.125) + 0.03125 * values.host[i];
    }
    let (mut first, mut second, mut changed) = (first.device, bench.upload(&second), values.device);
    let kernels = &bench.kernels;
    let made = kernels.adam(step, &gradient.device, &mut first, &mut second, &mut changed);
    made.expect("a step");
    for (what, got, expected) in [
        ("first moment", &first, &expected[0]),
        ("second moment", &second, &expected[1]),
        ("values", &changed, &expected[2]),
    ] {
        bench.check(what, got, expected);
    }
    let mut moved = average.device;
    kernels.move_average(&changed, &mut moved, 0.75).expect("a step");
    let sums = average
        .host
        .iter()
        .zip(&expected[2])
        .map(|(average, value)| 0.75 * average + 0.25 * value);
    bench.check("average", &moved, &sums.collect::<Vec<_>>());
}
