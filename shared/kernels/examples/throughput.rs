//! Prints the speed of the convolution kernels at the layer shapes of the default UNet.
//!
//! `cargo run --release -p kernels --example throughput`; `KERNELS_SIMD` picks the instructions, `RAYON_NUM_THREADS` the threads.

use kernels::conv::{
    ConvShape, conv_forward, conv_input_grad, conv_weight_grad, pack_forward, pack_input_grad,
};
use kernels::simd::simd_path;
use std::time::{Duration, Instant};

/// (c_in, c_out, size, kernel, stride)
const LAYERS: [(usize, usize, usize, usize, usize); 14] = [
    (12, 48, 32, 3, 1),
    (48, 48, 32, 3, 1),
    (96, 48, 32, 3, 1),
    (144, 48, 32, 3, 1),
    (48, 12, 32, 3, 1),
    (48, 48, 32, 3, 2),
    (96, 96, 16, 3, 1),
    (192, 96, 16, 3, 1),
    (240, 96, 16, 3, 1),
    (96, 96, 16, 3, 2),
    (144, 144, 8, 3, 1),
    (288, 144, 8, 3, 1),
    (96, 48, 32, 1, 1),
    (288, 144, 8, 1, 1),
];

fn main() {
    let threads = rayon::current_num_threads();
    println!(
        "path {}, {threads} threads; GFLOP/s (multiply and add counted apart)",
        simd_path()
    );
    println!(
        "{:>24} {:>6} {:>8} {:>10} {:>11}",
        "layer", "batch", "forward", "input grad", "weight grad"
    );
    for batch in [1, 16] {
        for (c_in, c_out, size, kernel, stride) in LAYERS {
            let shape = ConvShape {
                batch,
                c_in,
                c_out,
                height: size,
                width: size,
                kernel,
                stride,
            };
            let [forward, input, weight] = measure(&shape);
            let name = format!("{c_in}->{c_out} {size}x{size} k{kernel} s{stride}");
            println!("{name:>24} {batch:>6} {forward:>8.1} {input:>10.1} {weight:>11.1}");
        }
    }
}

fn measure(shape: &ConvShape) -> [f64; 3] {
    let x = numbers(shape.input_len());
    let dy = numbers(shape.output_len());
    let weight = numbers(shape.weight_len());
    let bias = numbers(shape.c_out);
    let packed = pack_forward(shape.c_in, shape.c_out, shape.kernel, shape.stride, &weight);
    let packed_grad = pack_input_grad(shape.c_in, shape.c_out, shape.kernel, shape.stride, &weight);
    let (mut out, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
    let gflop = 2.0 * shape.macs() as f64 / 1e9;
    [
        gflop / best_seconds(|| conv_forward(shape, &x, &packed, &bias, &mut out)),
        gflop / best_seconds(|| conv_input_grad(shape, &dy, &packed_grad, &mut dx)),
        gflop / best_seconds(|| conv_weight_grad(shape, &x, &dy, &mut dw)),
    ]
}

/// Shortest time of a call, tried for a tenth of a second: the best one is the least disturbed by other programs.
fn best_seconds(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < Duration::from_millis(100) {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed().as_secs_f64());
    }
    best
}

/// Some ordinary numbers of both signs.
fn numbers(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i * 7919 % 2003) as f32 / 1001.0 - 1.0)
        .collect()
}
