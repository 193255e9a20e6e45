//! Every kernel against a plain loop in f64, or against the kernel for the CPU that does the same, on sizes that fit
//! nothing: on the stand-in for CUDA, or on a GPU.

use cudarc::driver::CudaDevice;
use rand::rngs::StdRng;

use crate::attention::{AttentionShape, attention, attention_grad};
use crate::channels_last::Onto;
use crate::conv::ConvShape;
use crate::cuda::conv::Problem;
use crate::cuda::tiling::Tiling;
use crate::cuda::{AdamStep, Buffer, FILES, Kernels, LinearShape, PARTS, Turn};
use crate::norm::Activation;
use crate::testing::{assert_close, relative_error, rng, to_f64, values};

/// Largest error relative to the largest value: sums of some hundred products in f32. Measured: at most 6e-7.
const TOLERANCE: f64 = 4e-6;

/// The kernels, and a source of random numbers.
struct Bench {
    kernels: Kernels,
    rng: StdRng,
}

/// Numbers on the host and on the device.
struct Both {
    host: Vec<f64>,
    device: Buffer,
}

impl Bench {
    /// None where there is no GPU; the stand-in always is.
    fn open(seed: u64) -> Option<Self> {
        if !cfg!(feature = "cuda-stand-in") && CudaDevice::count().is_err() {
            return None;
        }
        let device = CudaDevice::new(0).expect("a device");
        let kernels = Kernels::load(device).expect("the kernels");
        Some(Self {
            kernels,
            rng: rng(seed),
        })
    }

    fn random(&mut self, len: usize) -> Both {
        let values = values(&mut self.rng, len);
        Both {
            host: to_f64(&values),
            device: self.upload(&values),
        }
    }

    fn upload(&self, values: &[f32]) -> Buffer {
        self.kernels.device().htod_sync_copy(values).expect("a copy")
    }

    fn read(&self, buffer: &Buffer) -> Vec<f32> {
        self.kernels.device().dtoh_sync_copy(buffer).expect("a copy")
    }

    #[track_caller]
    fn check(&self, what: &str, got: &Buffer, expected: &[f64]) {
        let error = relative_error(&self.read(got), expected);
        println!("{what}: {error:.1e}");
        assert!(error < TOLERANCE, "{what} is off by {error:e} of its largest value");
    }

    fn zeros(&self, len: usize) -> Buffer {
        self.upload(&vec![0.0; len])
    }
}

fn f32s(both: &Both) -> Vec<f32> {
    both.host.iter().map(|&value| value as f32).collect()
}

/// The sizes that are tried: odd maps, one pixel, one channel, several tiles and shared ones, more than one large tile.
fn conv_shapes() -> Vec<ConvShape> {
    let shape = |batch, c_in, c_out, height, width, kernel, stride| ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
        kernel,
        stride,
    };
    vec![
        shape(1, 1, 1, 1, 1, 3, 1),
        shape(2, 5, 17, 9, 11, 3, 1),
        shape(1, 40, 20, 8, 8, 3, 1),
        shape(3, 3, 50, 4, 12, 3, 1),
        shape(2, 9, 18, 7, 9, 3, 2),
        shape(1, 16, 5, 8, 10, 3, 2),
        shape(2, 37, 19, 5, 9, 1, 1),
        shape(1, 3, 49, 1, 1, 1, 1),
    ]
}

fn output_len(shape: &ConvShape) -> usize {
    shape.batch * shape.c_out * shape.out_height() * shape.out_width()
}

fn input_len(shape: &ConvShape) -> usize {
    shape.batch * shape.c_in * shape.height * shape.width
}

/// Calls `visit(output, input, weight)` with the indices of each product of a convolution.
fn products(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow, k) = (shape.out_height(), shape.out_width(), shape.kernel);
    for (n, o, i) in (0..shape.batch)
        .flat_map(|n| (0..shape.c_out).map(move |o| (n, o)))
        .flat_map(|(n, o)| (0..shape.c_in).map(move |i| (n, o, i)))
    {
        for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            for (r, s) in (0..k).flat_map(|r| (0..k).map(move |s| (r, s))) {
                let at = |window: usize, offset: usize, len: usize| {
                    (window * shape.stride + offset)
                        .checked_sub(k / 2)
                        .filter(|&at| at < len)
                };
                if let (Some(iy), Some(ix)) = (at(y, r, shape.height), at(x, s, shape.width)) {
                    visit(
                        ((n * shape.c_out + o) * oh + y) * ow + x,
                        ((n * shape.c_in + i) * shape.height + iy) * shape.width + ix,
                        ((o * shape.c_in + i) * k + r) * k + s,
                    );
                }
            }
        }
    }
}

/// The driver looks for a kernel in the file that is said to have it; the stand-in has all of them in one place.
#[test]
fn cuda_kernels_are_listed_with_the_files_that_declare_them() {
    for (file, _, names) in FILES {
        let path = format!("{}/cuda/{file}.cu", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("a source");
        let declared = text.lines().filter(|line| line.starts_with("KERNEL "));
        // `KERNEL name(` or `KERNEL __launch_bounds__(128, 4) name(`.
        let declared: Vec<&str> = declared
            .filter_map(|line| {
                line.split('(')
                    .map(|part| part.rsplit(' ').next())
                    .find(|name| *name != Some("__launch_bounds__"))?
            })
            .collect();
        assert_eq!(declared.len(), names.len(), "{file}: {declared:?}");
        assert!(names.iter().all(|name| declared.contains(name)), "{file}: {declared:?}");
    }
}

#[test]
fn cuda_convolutions_and_all_their_gradients() {
    let Some(mut bench) = Bench::open(1) else { return };
    for shape in conv_shapes() {
        let [x, w, b] = [input_len(&shape), shape.weight_len(), shape.c_out].map(|len| bench.random(len));
        let [dy, more_y, more_x] =
            [output_len(&shape), output_len(&shape), input_len(&shape)].map(|len| bench.random(len));
        let pixels = shape.out_height() * shape.out_width();
        let mut y = more_y.host.clone();
        let (mut dx, mut dw, mut db) = (more_x.host.clone(), w.host.clone(), b.host.clone());
        for (index, y) in y.iter_mut().enumerate() {
            *y += b.host[index / pixels % shape.c_out];
        }
        for (index, dy) in dy.host.iter().enumerate() {
            db[index / pixels % shape.c_out] += dy;
        }
        products(&shape, |out, input, weight| {
            y[out] += x.host[input] * w.host[weight];
            dx[input] += dy.host[out] * w.host[weight];
            dw[weight] += dy.host[out] * x.host[input];
        });
        let kernels = &bench.kernels;
        let packed = kernels.pack_weights(&shape, &w.device, Turn::Forward).expect("packed");
        let turned = kernels.pack_weights(&shape, &w.device, Turn::Backward).expect("packed");
        let got = kernels.conv(&shape, &x.device, None, &packed, &b.device, Some(&more_y.device));
        bench.check(&format!("output of {shape:?}"), &got.expect("a pass"), &y);
        let problem = Problem::forward(&shape, &x.device, None, &packed, &b.device, Some(&more_y.device));
        for splits in [1, 2, shape.c_in.div_ceil(16)] {
            for tiling in Tiling::all(shape.kernel, shape.stride, splits) {
                let twice = [(); 2].map(|()| bench.read(&kernels.convolve(&problem, tiling).expect("a pass")));
                assert_eq!(twice[0], twice[1], "the second time other bits");
                bench.check(&format!("output by {tiling:?}"), &bench.upload(&twice[0]), &y);
            }
        }
        let got = kernels.conv_input_gradient(&shape, &dy.device, &turned, Some(&more_x.device));
        bench.check(&format!("input gradient of {shape:?}"), &got.expect("a pass"), &dx);
        // Gradients of parameters are added to what is there.
        let (mut got_w, mut got_b) = (w.device, b.device);
        let got = kernels.conv_weight_gradient(&shape, &x.device, None, &dy.device, &mut got_w);
        got.expect("a pass");
        bench.check(&format!("weight gradient of {shape:?}"), &got_w, &dw);
        kernels
            .bias_gradient(shape.batch, &dy.device, &mut got_b)
            .expect("a pass");
        bench.check(&format!("bias gradient of {shape:?}"), &got_b, &db);
    }
}

/// A norm in f64: `act(norm(x))`, and the gradients of everything against `dy`.
struct NormReference {
    y: Vec<f64>,
    dx: Vec<f64>,
    dweight: Vec<f64>,
    dbias: Vec<f64>,
    dmodulation: Vec<f64>,
}

#[allow(clippy::too_many_arguments)] // They are the op's.
fn norm_reference(
    batch: usize,
    groups: usize,
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    modulation: Option<&[f64]>,
    activation: Activation,
    dy: &[f64],
) -> NormReference {
    let channels = weight.len();
    let pixels = x.len() / batch / channels;
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
        let inverse = 1.0 / (variance + 1e-5).sqrt();
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
    for (batch, channels, groups, pixels, modulated, activation) in [
        (2, 6, 3, 35, true, Activation::Silu),
        (1, 4, 4, 130, false, Activation::Silu),
        (3, 40, 1, 5, true, Activation::None),
    ] {
        let len = batch * channels * pixels;
        let [x, dy, more] = [len; 3].map(|len| bench.random(len));
        let [weight, bias] = [channels; 2].map(|len| bench.random(len));
        let modulation = modulated.then(|| bench.random(2 * batch * channels));
        let on_host = modulation.as_ref().map(|m| m.host.as_slice());
        let on_device = modulation.as_ref().map(|m| &m.device);
        let expected = norm_reference(
            batch,
            groups,
            &x.host,
            &weight.host,
            &bias.host,
            on_host,
            activation,
            &dy.host,
        );
        let what = |of: &str| format!("{of} of {batch} x {channels} channels in {groups}, {pixels} pixels");

        let kernels = &bench.kernels;
        let norm = kernels.norm(batch, groups, &x.device, &weight.device, &bias.device, on_device);
        let norm = norm.expect("a norm");
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
        bench.check(&what("output"), &y.expect("a pass"), &expected.y);
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

/// `<A x, y> = <x, B y>`: B is the gradient of the linear map A.
#[track_caller]
fn assert_adjoint(what: &str, ax: &[f32], y: &[f64], x: &[f64], by: &[f32]) {
    let dot = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
    let (forward, backward) = (dot(ax, y), dot(by, x));
    assert!(
        (forward - backward).abs() < 1e-4 * forward.abs().max(1.0),
        "{what}: {forward} and {backward}"
    );
}

#[test]
fn cuda_maps_are_moved_as_on_the_cpu() {
    let Some(mut bench) = Bench::open(5) else { return };
    let (batch, channels, height, width) = (2, 3, 5, 7);
    let count = batch * channels * height * width;
    let [x, y] = [count; 2].map(|len| bench.random(len));
    let kernels = &bench.kernels;

    let mut twice = vec![0.0; 4 * count];
    crate::resample::upsample2(batch * channels * height, width, 1, &f32s(&x), &mut twice);
    let got = kernels.upsample(height, width, &x.device).expect("a pass");
    assert_eq!(bench.read(&got), twice);
    let large = Both {
        host: (0..4 * count).map(|i| (i % 13) as f64).collect(),
        device: bench.upload(&(0..4 * count).map(|i| (i % 13) as f32).collect::<Vec<_>>()),
    };
    let back = kernels.upsample_gradient(width, &large.device, None).expect("a pass");
    assert_adjoint("upsampling", &twice, &large.host, &x.host, &bench.read(&back));
    let more = kernels
        .upsample_gradient(width, &large.device, Some(&y.device))
        .expect("a pass");
    let sum: Vec<f64> = bench
        .read(&back)
        .iter()
        .zip(&y.host)
        .map(|(&a, b)| f64::from(a) + b)
        .collect();
    assert_close("with more", &bench.read(&more), &sum, 1e-6);

    let joined = kernels.join_channels(batch, &x.device, &large.device).expect("a pass");
    let (part_x, part_y) = (count / batch, 4 * count / batch);
    for (first, part, expected) in [(0, part_x, &x.host), (part_x, part_y, &large.host)] {
        let got = kernels
            .take_channels(batch, &joined, first, part, None)
            .expect("a pass");
        assert_eq!(to_f64(&bench.read(&got)), *expected);
    }
    assert_eq!(
        bench.read(&joined)[part_x..part_x + part_y],
        bench.read(&large.device)[..part_y]
    );
    let got = kernels
        .take_channels(batch, &joined, 0, part_x, Some(&y.device))
        .expect("a pass");
    let sum: Vec<f64> = x.host.iter().zip(&y.host).map(|(x, y)| x + y).collect();
    assert_close("part of a map and more", &bench.read(&got), &sum, 1e-6);
    assert_close(
        "sum",
        &bench.read(&kernels.add(&x.device, &y.device).expect("a pass")),
        &sum,
        1e-6,
    );
    let mut added = bench.upload(&f32s(&x));
    kernels.add_assign(&mut added, &y.device).expect("a pass");
    assert_close("sum", &bench.read(&added), &sum, 1e-6);
}

#[test]
fn cuda_pixels_are_shuffled_as_on_the_cpu() {
    let Some(mut bench) = Bench::open(6) else { return };
    let (batch, channels, height, width, factor) = (2, 3, 6, 9, 3);
    let count = batch * channels * height * width;
    let small = [height / factor, width / factor];
    let (x, more) = (bench.random(count), bench.random(count));
    let mut apart = vec![0.0; count];
    crate::resample::pixel_unshuffle(batch, channels, height, width, factor, &f32s(&x), &mut apart);
    let kernels = &bench.kernels;
    let mut got = kernels.take(count).expect("memory");
    let moved = kernels.pixel_unshuffle(small, factor, &x.device, Onto::Overwrite, &mut got);
    moved.expect("a pass");
    assert_eq!(bench.read(&got), apart);
    let mut back = bench.upload(&f32s(&more));
    kernels
        .pixel_shuffle(small, factor, &got, Onto::Add, &mut back)
        .expect("a pass");
    let sum: Vec<f64> = x.host.iter().zip(&more.host).map(|(x, y)| x + y).collect();
    assert_close("shuffled back onto something", &bench.read(&back), &sum, 1e-6);
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
