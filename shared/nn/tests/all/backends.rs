//! Every op on every backend at hand against the CPU's kernels: values, input gradients, parameter gradients.
//!
//! `ops.rs` checks the kernels' gradients by central differences; here the other backends are held against the kernels.
//! [`Composed`] on dfdx's CPU is always there; with the feature `cuda` and a GPU, the same cases run on the GPU, on our
//! kernels and composed of dfdx's ops.

use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Gradients, OwnedTape, Tensor, TensorFromVec, Trace, WithEmptyTape};
use dfdx::tensor_ops::{AdamConfig, Backward};
use nn::{
    Adam, Attention, Backend, Composed, Conv2d, Cpu, DeviceExt, Features, GroupNorm, Linear, Parameter, Parameters,
    Residual, Scalar, Tensor1, Tensor2, Tensor4, Traced4, Vectors, update_average,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Shape4 = (usize, usize, usize, usize);

/// Features whose history is recorded.
type TracedMaps<B> = Features<B, OwnedTape<f32, <B as Backend>::Device>>;
type TracedVectors<B> = Vectors<B, OwnedTape<f32, <B as Backend>::Device>>;
type TracedScalar<B> = Scalar<B, OwnedTape<f32, <B as Backend>::Device>>;
type Grads<B> = Gradients<f32, <B as Backend>::Device>;

/// What a case computed: names and values.
type Found = Vec<(String, Vec<f32>)>;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn images<B: Backend>(backend: &B, shape: Shape4, seed: u64) -> Tensor4<B> {
    backend
        .device()
        .tensor_from_vec(random(shape.num_elements(), seed), shape)
}

fn vectors<B: Backend>(backend: &B, shape: (usize, usize), seed: u64) -> Tensor2<B> {
    backend
        .device()
        .tensor_from_vec(random(shape.num_elements(), seed), shape)
}

fn uniform(seed: u64) -> impl FnMut(f32) -> f32 {
    let mut rng = StdRng::seed_from_u64(seed);
    move |bound| rng.random_range(-bound..=bound)
}

/// No parameter keeps a value at which an error could hide, such as a norm's weights of 1.
fn randomise<B: Backend>(layer: &mut dyn Parameters<B>) {
    layer.visit_mut("", &mut |name, parameter| {
        let values = random(parameter.len(), 50 + name.len() as u64);
        parameter.set(&values);
    });
}

/// The gradients of `sum(output v)` for a fixed random `v`; the output's values become the first entry of what was
/// found.
fn backward<B: Backend>(backend: &B, output: Traced4<B>) -> (Found, Grads<B>) {
    let found = vec![("output".to_string(), output.as_vec())];
    let v = images(backend, *output.shape(), 99);
    (found, finish::<B>(B::inner_product(output, &v)))
}

/// The same for features.
fn backward_maps<B: Backend>(backend: &B, output: Result<TracedMaps<B>, B::Err>) -> (Found, Grads<B>) {
    backward(backend, output.and_then(B::images).expect("a forward pass"))
}

/// Images as features, on a tape that begins at the images.
fn traced_maps<B: Backend>(x: &Tensor4<B>) -> TracedMaps<B> {
    B::features(x.leaky_trace()).expect("features")
}

/// The same for vectors.
fn traced_vectors<B: Backend>(x: &Tensor2<B>) -> TracedVectors<B> {
    B::vectors(x.leaky_trace()).expect("vectors")
}

fn finish<B: Backend>(loss: Result<TracedScalar<B>, B::Err>) -> Grads<B> {
    loss.and_then(|loss| loss.try_backward()).expect("a backward pass")
}

/// Adds the gradient of `x` to what was found.
fn note<B: Backend, S: Shape>(found: &mut Found, gradients: &mut Grads<B>, name: &str, x: &Tensor<S, f32, B::Device>) {
    let gradient = gradients.get_or_alloc_mut(x).expect("a gradient");
    let values = B::Device::gradient_to_vec(gradient).expect("its values");
    found.push((format!("gradient of {name}"), values));
}

/// Adds the gradients of all parameters.
fn note_parameters<B: Backend>(found: &mut Found, gradients: &mut Grads<B>, layer: &dyn Parameters<B>) {
    layer.visit("", &mut |name, parameter: &Parameter<B>| {
        note::<B, _>(found, gradients, &name, parameter.value());
    });
}

/// A layer from images to images: output, and the gradients of the input and of every parameter.
fn layer_case<B: Backend, L: Parameters<B>>(
    backend: &B,
    mut layer: L,
    shape: Shape4,
    forward: impl Fn(&L, TracedMaps<B>) -> Result<TracedMaps<B>, B::Err>,
) -> Found {
    randomise(&mut layer);
    let x = images(backend, shape, 7);
    let y = forward(&layer, traced_maps(&x));
    let (mut found, mut gradients) = backward_maps(backend, y);
    note::<B, _>(&mut found, &mut gradients, "the input", &x);
    note_parameters(&mut found, &mut gradients, &layer);
    found
}

/// An op on images without parameters.
fn op_case<B: Backend>(
    backend: &B,
    shape: Shape4,
    forward: impl Fn(Traced4<B>) -> Result<Traced4<B>, B::Err>,
) -> Found {
    let x = images(backend, shape, 7);
    let (mut found, mut gradients) = backward(backend, forward(x.leaky_trace()).expect("a forward pass"));
    note::<B, _>(&mut found, &mut gradients, "the input", &x);
    found
}

fn conv<B: Backend>(backend: &B, kernel: usize, stride: usize, shape: Shape4) -> Found {
    let layer = Conv2d::new(backend, shape.1, 5, kernel, stride, &mut uniform(1));
    layer_case(backend, layer, shape, |layer, x| layer.forward(x))
}

fn conv3<B: Backend>(backend: &B) -> Found {
    conv(backend, 3, 1, (3, 4, 5, 7))
}

fn conv3_of_one_image<B: Backend>(backend: &B) -> Found {
    conv(backend, 3, 1, (1, 4, 6, 6))
}

fn conv3_stride_2<B: Backend>(backend: &B) -> Found {
    conv(backend, 3, 2, (2, 3, 8, 6))
}

fn conv3_stride_2_of_odd_size<B: Backend>(backend: &B) -> Found {
    conv(backend, 3, 2, (2, 3, 5, 7))
}

fn conv1<B: Backend>(backend: &B) -> Found {
    conv(backend, 1, 1, (2, 3, 5, 7))
}

/// A layer that meets images of two sizes, one after the other: nothing that it keeps may outlive the first.
fn conv3_of_two_sizes<B: Backend>(backend: &B) -> Found {
    let mut layer = Conv2d::new(backend, 3, 4, 3, 1, &mut uniform(1));
    randomise(&mut layer);
    let mut found = Vec::new();
    for shape in [(2, 3, 4, 4), (1, 3, 6, 3), (2, 3, 4, 4)] {
        let x = images(backend, shape, 7);
        found.push((
            format!("output for {shape:?}"),
            B::features(x)
                .and_then(|x| layer.forward(x))
                .and_then(B::images)
                .expect("a forward pass")
                .as_vec(),
        ));
    }
    found
}

/// A norm and a convolution as one list of parameters.
struct Pair<B: Backend>(GroupNorm<B>, Conv2d<B>);

impl<B: Backend> Pair<B> {
    fn new(backend: &B) -> Self {
        let conv = Conv2d::new(backend, 6, 4, 3, 1, &mut uniform(2));
        Self(GroupNorm::new(backend, 6, 3), conv)
    }
}

impl<B: Backend> Parameters<B> for Pair<B> {
    fn visit<'a>(&'a self, _: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        self.0.visit("norm", visit);
        self.1.visit("conv", visit);
    }
    fn visit_mut<'a>(&'a mut self, _: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        self.0.visit_mut("norm", visit);
        self.1.visit_mut("conv", visit);
    }
}

fn norm_conv<B: Backend>(backend: &B) -> Found {
    layer_case(backend, Pair::new(backend), (2, 6, 3, 4), |p, x| p.0.conv(x, &p.1))
}

fn norm_silu_conv<B: Backend>(backend: &B) -> Found {
    layer_case(backend, Pair::new(backend), (2, 6, 3, 4), |p, x| p.0.silu_conv(x, &p.1))
}

fn modulated_norm_silu_conv<B: Backend>(backend: &B) -> Found {
    let mut pair = Pair::new(backend);
    randomise(&mut pair);
    let (x, m) = (images(backend, (2, 6, 3, 4), 7), vectors(backend, (2, 12), 8));
    let y = pair.0.modulated_silu_conv(traced_maps(&x), traced_vectors(&m), &pair.1);
    let (mut found, mut gradients) = backward_maps(backend, y);
    note::<B, _>(&mut found, &mut gradients, "the input", &x);
    note::<B, _>(&mut found, &mut gradients, "the modulation", &m);
    note_parameters(&mut found, &mut gradients, &pair);
    found
}

/// By itself, with an epsilon that nobody overlooks.
fn norm_silu<B: Backend>(backend: &B) -> Found {
    let norm = GroupNorm::new(backend, 6, 3).with_epsilon(0.2);
    layer_case(backend, norm, (2, 6, 3, 4), |norm, x| norm.silu(x))
}

fn norm_conv_of_another_epsilon<B: Backend>(backend: &B) -> Found {
    let Pair(norm, conv) = Pair::new(backend);
    let pair = Pair(norm.with_epsilon(0.2), conv);
    layer_case(backend, pair, (2, 6, 3, 4), |p, x| p.0.silu_conv(x, &p.1))
}

fn shift_channels<B: Backend>(backend: &B) -> Found {
    let (x, shift) = (images(backend, (2, 3, 5, 4), 7), vectors(backend, (2, 3), 8));
    let y = B::shift_channels(traced_maps(&x), traced_vectors(&shift));
    let (mut found, mut gradients) = backward_maps(backend, y);
    note::<B, _>(&mut found, &mut gradients, "the input", &x);
    note::<B, _>(&mut found, &mut gradients, "the shift", &shift);
    found
}

/// The layers of a residual block as one list of parameters.
struct Block<B: Backend> {
    norm1: GroupNorm<B>,
    conv1: Conv2d<B>,
    norm2: GroupNorm<B>,
    conv2: Conv2d<B>,
    skip: Option<Conv2d<B>>,
}
nn::parameters!(Block: norm1, conv1, norm2, conv2, skip);

/// A residual block from 6 channels to `c_out`.
fn residual<B: Backend>(backend: &B, c_out: usize) -> Found {
    let conv = |c_in, kernel| Conv2d::new(backend, c_in, c_out, kernel, 1, &mut uniform(3));
    let mut block = Block {
        norm1: GroupNorm::new(backend, 6, 3),
        conv1: conv(6, 3),
        norm2: GroupNorm::new(backend, c_out, 2),
        conv2: conv(c_out, 3),
        skip: (c_out != 6).then(|| conv(6, 1)),
    };
    randomise(&mut block);
    let layers = Residual {
        norm1: &block.norm1,
        conv1: &block.conv1,
        norm2: &block.norm2,
        conv2: &block.conv2,
        skip: block.skip.as_ref(),
    };
    let (x, m) = (images(backend, (2, 6, 5, 4), 7), vectors(backend, (2, 2 * c_out), 8));
    let y = B::residual(traced_maps(&x), traced_vectors(&m), &layers);
    let (mut found, mut gradients) = backward_maps(backend, y);
    note::<B, _>(&mut found, &mut gradients, "the input", &x);
    note::<B, _>(&mut found, &mut gradients, "the modulation", &m);
    note_parameters(&mut found, &mut gradients, &block);
    found
}

fn residual_with_skip_convolution<B: Backend>(backend: &B) -> Found {
    residual(backend, 4)
}

fn residual_with_identity<B: Backend>(backend: &B) -> Found {
    residual(backend, 6)
}

fn attention<B: Backend>(backend: &B) -> Found {
    let layer = Attention::new(backend, 8, 2, 4, &mut uniform(5));
    layer_case(backend, layer, (2, 8, 2, 3), |layer, x| layer.forward(x))
}

/// Two vectors through a linear layer and SiLU, and on as the modulation of a norm: what the time embedding does.
fn linear_and_silu<B: Backend>(backend: &B) -> Found {
    let (mut linear, mut pair) = (Linear::new(backend, 5, 12, &mut uniform(6)), Pair::new(backend));
    randomise(&mut linear);
    randomise(&mut pair);
    let (x, v) = (images(backend, (2, 6, 3, 4), 7), vectors(backend, (2, 5), 8));
    let modulation = linear
        .forward(traced_vectors(&v))
        .and_then(B::silu)
        .expect("a forward pass");
    let y = pair.0.modulated_silu_conv(traced_maps(&x), modulation, &pair.1);
    let (mut found, mut gradients) = backward_maps(backend, y);
    note::<B, _>(&mut found, &mut gradients, "the vectors", &v);
    note_parameters(&mut found, &mut gradients, &linear);
    found
}

fn upsample<B: Backend>(backend: &B) -> Found {
    op_case(backend, (2, 3, 3, 4), |x| B::images(B::upsample2(B::features(x)?)?))
}

fn average_pool<B: Backend>(backend: &B) -> Found {
    op_case(backend, (2, 3, 6, 4), |x| B::images(B::average_pool2(B::features(x)?)?))
}

/// On most backends the same ops of dfdx's, so that the values are held here.
fn half_turn<B: Backend>(backend: &B) -> Found {
    let x: Tensor4<B> = backend
        .device()
        .tensor_from_vec((0..12).map(|i| i as f32).collect(), (1, 2, 2, 3));
    let turned = B::half_turn(x).expect("a half turn").as_vec();
    assert_eq!(turned, [5., 4., 3., 2., 1., 0., 11., 10., 9., 8., 7., 6.]);
    let v = images(backend, (2, 3, 4, 5), 99);
    let found = op_case(backend, (2, 3, 4, 5), B::half_turn);
    let back = B::half_turn(v).expect("a half turn").as_vec();
    assert_eq!(found[1].1, back, "the gradient is not turned back");
    found
}

fn pixel_unshuffle<B: Backend>(backend: &B) -> Found {
    op_case(backend, (2, 3, 4, 6), |x| B::pixel_unshuffle(x, 2))
}

fn pixel_shuffle<B: Backend>(backend: &B) -> Found {
    op_case(backend, (2, 8, 3, 2), |x| B::pixel_shuffle(x, 2))
}

/// An input that is used twice, as in a residual connection.
fn add<B: Backend>(backend: &B) -> Found {
    let layer = Conv2d::new(backend, 2, 2, 3, 1, &mut uniform(1));
    layer_case(backend, layer, (2, 2, 3, 3), |layer, x| {
        B::add(layer.forward(x.with_empty_tape())?, x)
    })
}

/// The same as in a skip connection.
fn concat_channels<B: Backend>(backend: &B) -> Found {
    let layer = Conv2d::new(backend, 2, 3, 3, 1, &mut uniform(1));
    layer_case(backend, layer, (2, 2, 3, 3), |layer, x| {
        B::concat_channels(layer.forward(x.with_empty_tape())?, x)
    })
}

fn blend<B: Backend>(backend: &B) -> Found {
    op_case(backend, (2, 2, 3, 3), |x| {
        let y = B::pixel_unshuffle(x.with_empty_tape(), 1)?;
        B::blend(x, &[0.5, -2.0], y, &[3.0, 0.25])
    })
}

fn mean_squared_error<B: Backend>(backend: &B) -> Found {
    let shape = (2, 1, 2, 3);
    let (x, target) = (images(backend, shape, 1), images(backend, shape, 2));
    let loss = B::mean_squared_error(x.leaky_trace(), &target, &[3.0, 0.5]).expect("a loss");
    let mut found = vec![("loss".to_string(), loss.as_vec())];
    note::<B, _>(&mut found, &mut finish::<B>(Ok(loss)), "the input", &x);
    found
}

/// The arithmetic on gradients: write, scale, norm, read.
fn gradient_buffers<B: Backend>(backend: &B) -> Found {
    let exact = random(150, 4);
    let mut x: Tensor1<B> = backend.device().tensor_from_vec(random(150, 1), (150,));
    let without: Tensor1<B> = backend.device().tensor_from_vec(random(3, 2), (3,));
    let mut gradients = Grads::<B>::leaky();
    let gradient = gradients.get_or_alloc_mut(&x).expect("a gradient");
    B::Device::write_gradient(gradient, &exact).expect("written");
    assert!(
        B::Device::write_gradient(gradient, &exact[..7]).is_err(),
        "too few values were taken"
    );
    B::Device::scale_gradient(&mut gradients, &mut x, 0.3).expect("scaled");
    assert_eq!(x.as_vec(), random(150, 1), "the parameter itself was changed");
    let norm = B::Device::squared_norm(&mut gradients, &[&without, &x, &x]).expect("a norm") as f32;
    let expected: f32 = 2.0 * exact.iter().map(|g| (0.3 * g).powi(2)).sum::<f32>();
    assert!(
        (norm - expected).abs() < 1e-4 * expected,
        "{norm} instead of {expected}"
    );
    assert_eq!(B::Device::squared_norm(&mut gradients, &[]).expect("a norm"), 0.0);
    let mut found = vec![("norm".into(), vec![norm])];
    note::<B, _>(&mut found, &mut gradients, "x", &x);
    found
}

/// Three steps of Adam whose gradients are clipped, and the average that follows them: of weights that were used
/// before, and set anew in between, as a training does that goes on.
fn adam_and_average<B: Backend>(backend: &B) -> Found {
    let new = |seed| {
        let mut layer = Conv2d::new(backend, 2, 3, 3, 1, &mut uniform(seed));
        randomise(&mut layer);
        layer
    };
    let (mut layer, mut average) = (new(1), new(2));
    let mut adam = Adam::<B>::new(AdamConfig {
        lr: 0.1,
        betas: [0.9, 0.99],
        eps: 1e-8,
        weight_decay: None,
    });
    let x = images(backend, (2, 2, 3, 3), 7);
    let mut found = Vec::new();
    for step in 0..3 {
        let y = layer.forward(traced_maps(&x));
        let (_, mut gradients) = backward_maps(backend, y);
        let norm = adam.update(&mut layer, &mut gradients, 0.5).expect("a step");
        update_average(&mut average, &layer, 0.75).expect("an average");
        found.push((format!("norm {step}"), vec![norm as f32]));
        found.push((format!("weight {step}"), layer.weight.to_vec()));
        found.push((format!("average {step}"), average.weight.to_vec()));
        if step == 1 {
            layer.weight.set(&random(layer.weight.len(), 3));
            update_average(&mut average, &layer, 0.75).expect("an average");
        }
    }
    found.push(("bias".into(), average.bias.to_vec()));
    let output = B::features(x).and_then(|x| average.forward(x)).and_then(B::images);
    found.push(("output".into(), output.expect("a forward pass").as_vec()));
    found
}

/// Largest difference that is let through, relative to the largest value. The project promises 1e-3 in f32.
const TOLERANCE: f32 = 1e-4;

fn assert_same(backend: &str, expected: &Found, found: &Found) {
    assert_eq!(expected.len(), found.len());
    for ((name, expected), (_, found)) in expected.iter().zip(found) {
        assert_eq!(expected.len(), found.len(), "{name} on {backend}");
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(
            largest > 1e-4,
            "{name} is zero everywhere: the comparison would prove nothing"
        );
        let differences = expected.iter().zip(found).map(|(e, f)| (e - f).abs());
        // A NaN stays, and does not pass.
        let worst = differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst });
        let error = worst / largest;
        println!("{name} on {backend}: {error:.1e}");
        assert!(
            error < TOLERANCE,
            "{name} on {backend} is off by {error:e} of its largest value"
        );
    }
}

/// The first GPU, where there is one; the stand-in always is.
#[cfg(feature = "cuda")]
pub fn gpu() -> Option<nn::Gpu> {
    let gpu = nn::Gpu::open(0);
    if cfg!(feature = "cuda-stand-in") {
        return Some(gpu.expect("the stand-in"));
    }
    gpu.map_err(|reason| println!("no GPU: {reason}")).ok()
}

macro_rules! on_all_backends {
    ($($case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                let expected = super::$case(&Cpu::default());
                assert_same("dfdx's CPU", &expected, &super::$case(&Composed::on(Cpu::default())));
                #[cfg(feature = "cuda")]
                if let Some(gpu) = gpu() {
                    let found = super::$case(&gpu);
                    assert_same("the GPU", &expected, &found);
                    assert_eq!(found, super::$case(&gpu), "the second time other bits");
                    let composed = Composed::on(gpu.device().clone());
                    assert_same("dfdx's GPU", &expected, &super::$case(&composed));
                }
            }
        )+
    };
}

mod against_the_kernels {
    use super::*;

    on_all_backends!(
        conv3,
        conv3_of_one_image,
        conv3_stride_2,
        conv3_stride_2_of_odd_size,
        conv3_of_two_sizes,
        conv1,
        norm_conv,
        norm_silu_conv,
        modulated_norm_silu_conv,
        norm_silu,
        norm_conv_of_another_epsilon,
        shift_channels,
        residual_with_skip_convolution,
        residual_with_identity,
        attention,
        linear_and_silu,
        upsample,
        average_pool,
        half_turn,
        pixel_unshuffle,
        pixel_shuffle,
        add,
        concat_channels,
        blend,
        mean_squared_error,
        gradient_buffers,
        adam_and_average,
    );
}
