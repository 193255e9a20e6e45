//! How fast the kernels are at the layer shapes of the default UNet (64x64 images): for each convolution how fast it is
//! by its definition and by Winograd's algorithm, with a star at what [`ConvShape::algorithm`] chooses.
//!
//! `cargo run --release -p kernels --example throughput [BATCH...]`. `KERNELS_SIMD` picks the
//! instructions and `RAYON_NUM_THREADS` the threads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kernels::attention::{AttentionShape, attention, attention_grad};
use kernels::channels_last::Onto;
use kernels::conv::{self, Algorithm, ConvShape};
use kernels::norm::{Activation, NormInput, NormShape, group_norm, group_norm_grad};
use kernels::simd::{fma_peak, simd_path};

fn main() {
    let batches: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let batches = if batches.is_empty() { vec![1, 16] } else { batches };
    kernels::memory::keep_freed_memory();
    let threads = rayon::current_num_threads();
    println!("{} instructions, {threads} threads", simd_path());
    println!(
        "GFLOP/s of the definition's multiplications and additions, with the share of the threads' peak; Winograd's \
         algorithm does fewer of them"
    );
    for batch in batches {
        let mut times = Times::default();
        println!(
            "\n{:>24} {:>6} {:>10} {:>14} {:>14} {:>14}",
            "convolution", "batch", "", "forward", "input grad", "weight grad"
        );
        for conv in convolutions(batch) {
            times.add_conv(&conv, threads);
        }
        for norm in norms(batch) {
            times.add_norm(&norm);
        }
        times.add_attention(&AttentionShape {
            batch,
            heads: 4,
            head_dim: 36,
            tokens: 64,
        });
        times.print();
    }
}

fn res_block(c_in: usize, c_out: usize, size: usize) -> Vec<[usize; 5]> {
    let mut convs = vec![[c_in, c_out, size, 3, 1], [c_out, c_out, size, 3, 1]];
    if c_in != c_out {
        convs.push([c_in, c_out, size, 1, 1]);
    }
    convs
}

/// (c_in, c_out, size) of the residual blocks.
const RES_BLOCKS: [[usize; 3]; 11] = [
    [48, 48, 32],
    [48, 96, 16],
    [96, 144, 8],
    [144, 144, 8],
    [144, 144, 8],
    [288, 144, 8],
    [240, 144, 8],
    [240, 96, 16],
    [144, 96, 16],
    [144, 48, 32],
    [96, 48, 32],
];

/// All convolutions of the network.
fn convolutions(batch: usize) -> Vec<ConvShape> {
    let mut convs = vec![
        [12, 48, 32, 3, 1],
        [48, 48, 32, 3, 2],
        [96, 96, 16, 3, 2],
        [144, 432, 8, 1, 1],
        [144, 144, 8, 1, 1],
        [144, 144, 16, 3, 1],
        [96, 96, 32, 3, 1],
        [48, 12, 32, 3, 1],
    ];
    convs.extend(
        RES_BLOCKS
            .into_iter()
            .flat_map(|[c_in, c_out, size]| res_block(c_in, c_out, size)),
    );
    let shape = |[c_in, c_out, size, kernel, stride]: [usize; 5]| ConvShape {
        batch,
        c_in,
        c_out,
        height: size,
        width: size,
        kernel,
        stride,
    };
    convs.into_iter().map(shape).collect()
}

/// All group normalisations of the network.
fn norms(batch: usize) -> Vec<NormShape> {
    let shape = |channels, size| NormShape {
        batch,
        channels,
        pixels: size * size,
        groups: 8,
        epsilon: kernels::norm::EPSILON,
    };
    let mut norms = vec![shape(144, 8), shape(48, 32)];
    norms.extend(
        RES_BLOCKS
            .iter()
            .flat_map(|&[c_in, c_out, size]| [shape(c_in, size), shape(c_out, size)]),
    );
    norms
}

/// Seconds per kind of kernel over the whole network.
#[derive(Default)]
struct Times {
    seconds: Vec<(&'static str, f64)>,
    gflop: f64,
    seen: HashMap<ConvShape, [f64; 3]>,
}

impl Times {
    fn add(&mut self, kind: &'static str, seconds: f64) {
        match self.seconds.iter_mut().find(|(name, _)| *name == kind) {
            Some((_, sum)) => *sum += seconds,
            None => self.seconds.push((kind, seconds)),
        }
    }

    fn add_conv(&mut self, shape: &ConvShape, threads: usize) {
        let gflop = 2.0 * shape.macs() as f64 / 1e9;
        self.gflop += gflop;
        let seconds = match self.seen.get(shape) {
            Some(seconds) => *seconds,
            None => {
                let seconds = print_conv(shape, threads);
                self.seen.insert(*shape, seconds);
                seconds
            }
        };
        for (kind, seconds) in ["conv forward", "conv input grad", "conv weight grad"]
            .into_iter()
            .zip(seconds)
        {
            self.add(kind, seconds);
        }
    }

    fn add_norm(&mut self, shape: &NormShape) {
        let (x, mut d) = (numbers(shape.len()), numbers(shape.len()));
        let [scale, shift] = [0, 1].map(|_| numbers(shape.batch * shape.channels));
        let (mut y, mut dscale, mut dshift) = (x.clone(), scale.clone(), scale.clone());
        let activation = Activation::Silu;
        let stats = group_norm(shape, &x, &scale, &shift, activation, &mut y);
        let forward = best_seconds(|| {
            group_norm(shape, &x, &scale, &shift, activation, &mut y);
        });
        let input = NormInput {
            x: &x,
            stats: &stats,
            scale: &scale,
            shift: &shift,
            activation,
        };
        let backward = best_seconds(|| group_norm_grad(shape, input, &mut d, &mut dscale, &mut dshift));
        self.add("norm forward", forward);
        self.add("norm backward", backward);
    }

    fn add_attention(&mut self, shape: &AttentionShape) {
        let (qkv, dout) = (numbers(shape.qkv_len()), numbers(shape.output_len()));
        let (mut out, mut dqkv) = (dout.clone(), qkv.clone());
        let mut probabilities = vec![0.0; shape.probabilities_len()];
        let forward = best_seconds(|| attention(shape, &qkv, &mut out, &mut probabilities));
        let backward = best_seconds(|| attention_grad(shape, &qkv, &probabilities, &dout, &mut dqkv));
        self.add("attention forward", forward);
        self.add("attention backward", backward);
    }

    fn print(&self) {
        println!("\nthe whole network, {:.2} GFLOP a pass:", self.gflop);
        for (kind, seconds) in &self.seconds {
            println!("{kind:>24} {:>8.2} ms", seconds * 1e3);
        }
    }
}

/// Prints a line for each algorithm, and returns the seconds of the one that is chosen.
fn print_conv(shape: &ConvShape, threads: usize) -> [f64; 3] {
    let ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
        kernel,
        stride,
    } = shape;
    let name = format!("{c_in}->{c_out} {height}x{width} k{kernel} s{stride}");
    let gflop = 2.0 * shape.macs() as f64 / 1e9;
    let mut chosen = [0.0; 3];
    for (algorithm, label) in Algorithm::ALL.into_iter().zip(["direct", "F(2)", "F(4)"]) {
        if !algorithm.suits(shape) {
            continue;
        }
        let peak = fma_peak() * threads as f64;
        let seconds = measure_conv(shape, algorithm);
        let is_chosen = algorithm == shape.algorithm();
        if is_chosen {
            chosen = seconds;
        }
        let label = format!("{label}{}", if is_chosen { " *" } else { "  " });
        let [f, i, w] = seconds.map(|s| format!("{:.0} ({:.0} %)", gflop / s, 100.0 * gflop / s / peak));
        println!("{name:>24} {batch:>6} {label:>10} {f:>14} {i:>14} {w:>14}");
    }
    chosen
}

/// Seconds of the forward pass, the input gradient and the weight gradient.
fn measure_conv(shape: &ConvShape, algorithm: Algorithm) -> [f64; 3] {
    let (x, dy) = (numbers(shape.input_len()), numbers(shape.output_len()));
    let (weight, bias) = (numbers(shape.weight_len()), numbers(shape.c_out));
    let packed = conv::pack_forward(shape, algorithm, &weight);
    let packed_grad = conv::pack_input_grad(shape, algorithm, &weight);
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
    [
        best_seconds(|| conv::conv_forward(shape, &x, &packed, &bias, Onto::Overwrite, &mut y)),
        best_seconds(|| conv::conv_input_grad(shape, &dy, &packed_grad, Onto::Overwrite, &mut dx)),
        best_seconds(|| conv::conv_weight_grad(shape, algorithm, &x, &dy, &mut dw)),
    ]
}

/// Shortest time of a call, tried for a while: the shortest is the least disturbed by other
/// programs.
fn best_seconds(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < Duration::from_millis(60) {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed().as_secs_f64());
    }
    best
}

/// Some ordinary numbers of both signs.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 2003) as f32 / 1001.0 - 1.0).collect()
}
