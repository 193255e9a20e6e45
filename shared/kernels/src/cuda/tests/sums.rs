//! Blends, losses, norms of gradients.

use crate::cuda::PARTS;
use crate::cuda::tests::{Bench, f32s};
use crate::testing::to_f64;

#[test]
fn cuda_blends_losses_and_norms() {
    let Some(mut bench) = Bench::open(7) else { return };
    let (batch, each) = (3, 1777);
    let count = batch * each;
    let [x, y] = [count; 2].map(|len| bench.random(len));
    let [a, b] = [batch; 2].map(|len| bench.random(len));
    let d = bench.random(1);
    let kernels = &bench.kernels;

    let blend: Vec<f64> = (0..count)
        .map(|i| a.host[i / each] * x.host[i] + b.host[i / each] * y.host[i])
        .collect();
    let got = kernels
        .blend(&x.device, &a.device, &y.device, &b.device)
        .expect("a pass");
    bench.check("blend", &got, &blend);
    let mut sum = bench.upload(&f32s(&y));
    kernels.add_scaled(&x.device, &a.device, &mut sum).expect("a pass");
    let expected: Vec<f64> = (0..count).map(|i| y.host[i] + a.host[i / each] * x.host[i]).collect();
    bench.check("scaled images", &sum, &expected);

    let dot: f64 = x.host.iter().zip(&y.host).map(|(x, y)| x * y).sum();
    bench.check(
        "dot product",
        &kernels.dot(&x.device, &y.device).expect("a pass"),
        &[dot],
    );
    let mut dx = bench.upload(&f32s(&y));
    kernels.add_dot_gradient(&x.device, &d.device, &mut dx).expect("a pass");
    let expected: Vec<f64> = (0..count).map(|i| y.host[i] + d.host[0] * x.host[i]).collect();
    bench.check("gradient of a dot product", &dx, &expected);

    let difference = |i: usize| a.host[i / each] * (x.host[i] - y.host[i]);
    let loss = (0..count).map(|i| difference(i) * (x.host[i] - y.host[i])).sum::<f64>() / count as f64;
    let got = kernels
        .mean_squared_error(&x.device, &y.device, &a.device)
        .expect("a pass");
    bench.check("loss", &got, &[loss]);
    let mut dx = bench.zeros(count);
    let added = kernels.add_mean_squared_error_gradient(&x.device, &y.device, &a.device, &d.device, &mut dx);
    added.expect("a pass");
    let expected: Vec<f64> = (0..count)
        .map(|i| d.host[0] * 2.0 / count as f64 * difference(i))
        .collect();
    bench.check("gradient of a loss", &dx, &expected);

    let mut sums = bench.zeros(3 * PARTS);
    kernels.sum_of_squares(&x.device, &mut sums, 1).expect("a pass");
    let sums = bench.read(&sums);
    let (before, partial, behind) = (&sums[..PARTS], &sums[PARTS..2 * PARTS], &sums[2 * PARTS..]);
    assert!(before.iter().chain(behind).all(|&sum| sum == 0.0), "written elsewhere");
    let (sum, expected) = (
        to_f64(partial).iter().sum::<f64>(),
        x.host.iter().map(|x| x * x).sum::<f64>(),
    );
    assert!((sum / expected - 1.0).abs() < 1e-6, "{sum} instead of {expected}");
    let mut scaled = bench.upload(&f32s(&x));
    kernels.scale(&mut scaled, 0.25).expect("a pass");
    let expected: Vec<f64> = x.host.iter().map(|x| 0.25 * x).collect();
    bench.check("scaled", &scaled, &expected);
}
