//! The trained network gives the same scores, pullbacks and samples on every backend, and small networks of the other
//! architecture the same outputs and gradients.

use std::path::PathBuf;

use dfdx::shapes::Shape;
use dfdx::tensor::{Gradients, Tensor, TensorFromVec, Trace};
use dfdx::tensor_ops::Backward;
use diffusion::ScoreModel;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use nn::{Backend, Composed, Cpu, DeviceExt, Parameters, Tensor4};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use score_unet::unet::UNet;
use score_unet::{GuidedConfig, Heads, Resampling, TimeInBlocks, UNetConfig, WaveOrder, Waves};

fn network<B: Backend>(backend: &B) -> UNet<B> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/priors/fruits64");
    let mut network = UNet::load(&folder, backend).expect("the repository has a prior");
    network.freeze();
    network
}

fn noise(images: usize, seed: u64) -> Array4<f32> {
    Array4::random_using((images, 3, 64, 64), StandardNormal, &mut StdRng::seed_from_u64(seed))
}

fn assert_close(what: &str, expected: &Array4<f32>, found: &Array4<f32>, tolerance: f32) {
    assert_eq!(expected.dim(), found.dim(), "{what}");
    let error = relative_error(expected.iter(), found.iter());
    println!("{what}: off by {error:.1e} of the largest value");
    assert!(error < tolerance, "{what} is off by {error:e} of the largest value");
}

/// The largest difference, relative to the largest value. It is NaN where a difference is.
fn relative_error<'a>(expected: impl Iterator<Item = &'a f32> + Clone, found: impl Iterator<Item = &'a f32>) -> f32 {
    let largest = expected.clone().fold(0f32, |m, v| m.max(v.abs()));
    assert!(largest > 1e-4, "zero everywhere: the comparison would prove nothing");
    let differences = expected.zip(found).map(|(e, f)| (e - f).abs());
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst }) / largest
}

/// The models that have to agree with the kernels on the CPU.
fn others() -> Vec<(&'static str, Box<dyn ScoreModel>)> {
    #[allow(unused_mut)]
    let mut others: Vec<(_, Box<dyn ScoreModel>)> =
        vec![("dfdx's CPU", Box::new(network(&Composed::on(Cpu::default()))))];
    #[cfg(feature = "cuda")]
    if let Ok(gpu) = nn::Gpu::open(0) {
        others.push(("the GPU", Box::new(network(&gpu))));
    }
    others
}

#[test]
fn scores_and_pullbacks_agree() {
    let kernels = network(&Cpu::default());
    let (x, v) = (noise(2, 1), noise(2, 2));
    for (name, other) in others() {
        for t in [1, 100, 1000] {
            let (expected, expected_pullback) = kernels.score_with_pullback(&x, t).expect("a score");
            let (found, pullback) = other.score_with_pullback(&x, t).expect("a score");
            assert_close(&format!("score at t = {t} on {name}"), &expected, &found, 1e-3);
            let (expected, found) = (
                expected_pullback(&v).expect("a gradient"),
                pullback(&v).expect("a gradient"),
            );
            assert_close(&format!("pullback at t = {t} on {name}"), &expected, &found, 1e-3);
        }
    }
}

/// Twenty steps from noise to images without any chance, as in DDIM, so that what differs adds up.
fn samples(model: &dyn ScoreModel) -> Array4<f32> {
    let mut x = noise(1, 7);
    for step in model.schedule().steps(20).expect("20 of 1000 steps") {
        let deviation = (1.0 - step.alpha_bar).sqrt() as f32;
        let eps = model.score(&x, step.t).expect("a score") * -deviation;
        let x0_hat = ((&x - &(&eps * deviation)) / step.alpha_bar.sqrt() as f32).mapv(|x| x.clamp(-1.0, 1.0));
        x = x0_hat * step.alpha_bar_prev.sqrt() as f32 + eps * (1.0 - step.alpha_bar_prev).sqrt() as f32;
    }
    x
}

#[test]
fn samples_from_the_same_noise_agree() {
    let expected = samples(&network(&Cpu::default()));
    for (name, other) in others() {
        assert_close(&format!("samples on {name}"), &expected, &samples(other.as_ref()), 1e-2);
    }
}

/// guided-diffusion's kind of network with everything that it has, for images that a stand-in for a GPU has time for.
fn guided() -> GuidedConfig {
    GuidedConfig {
        image_size: 8,
        base_channels: 8,
        level_channels: vec![8, 12],
        attention_levels: vec![1],
        heads: Heads::Channels(6),
        norm_groups: 4,
        ..GuidedConfig::ffhq256()
    }
}

/// The same as diffusers' DDPM has it.
fn ddpm() -> GuidedConfig {
    GuidedConfig {
        heads: Heads::Number(1),
        norm_epsilon: 1e-3,
        resampling: Resampling::Convolutions,
        time_in_blocks: TimeInBlocks::Shift,
        waves: Waves {
            order: WaveOrder::SinesFirst,
            frequency_shift: 1.0,
        },
        half_turn: true,
        ..guided()
    }
}

/// A network without a layer that is zero, or as it begins.
fn random_network<B: Backend>(config: &GuidedConfig, backend: &B) -> UNet<B> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut network = UNet::new(&UNetConfig::Guided(config.clone()), backend, &mut rng).expect("a valid configuration");
    network.visit_mut("", &mut |_, parameter| {
        let values: Vec<f32> = parameter.to_vec();
        let values: Vec<f32> = values.iter().map(|v| v + rng.random_range(-0.1..0.1)).collect();
        parameter.set(&values);
    });
    network
}

/// What was computed: names and values.
type Found = Vec<(String, Vec<f32>)>;

fn gradient<B: Backend, S: Shape>(of: &Tensor<S, f32, B::Device>, all: &mut Gradients<f32, B::Device>) -> Vec<f32> {
    let gradient = all.get_or_alloc_mut(of).expect("a gradient");
    B::Device::gradient_to_vec(gradient).expect("its values")
}

/// The output of a network for two images at two times, and the gradients of `sum(output v)`: of the image by the
/// frozen network; of the image and all parameters by one that is trained.
fn output_and_gradients<B: Backend>(config: &GuidedConfig, backend: &B) -> Found {
    let mut network = random_network(config, backend);
    let shape = (2, 3, config.image_size, config.image_size);
    let images = |seed| -> Tensor4<B> {
        let mut rng = StdRng::seed_from_u64(seed);
        let values = (0..6 * config.image_size.pow(2)).map(|_| rng.random_range(-1.0..1.0));
        backend.device().tensor_from_vec(values.collect(), shape)
    };
    let (x, v) = (images(1), images(2));
    let output = network.forward_training(x.clone(), &[3, 700]).expect("a forward pass");
    let mut found = vec![("output".to_string(), output.as_vec())];
    let loss = B::inner_product(output, &v).expect("an inner product");
    let mut gradients = loss.try_backward().expect("a backward pass");
    found.push(("gradient of the image".into(), gradient::<B, _>(&x, &mut gradients)));
    network.visit("", &mut |name, parameter| {
        let values = gradient::<B, _>(parameter.value(), &mut gradients);
        found.push((format!("gradient of {name}"), values));
    });

    network.freeze();
    let output = network.forward(x.leaky_trace(), &[3, 700]).expect("a forward pass");
    let loss = B::inner_product(output, &v).expect("an inner product");
    let mut gradients = loss.try_backward().expect("a backward pass");
    found.push((
        "gradient by the frozen network".into(),
        gradient::<B, _>(&x, &mut gradients),
    ));
    found
}

/// Holds all that was computed against what the CPU did. Measured on the CPU and on the stand-in: at most 7e-6.
fn assert_same(what: &str, expected: &Found, found: &Found) {
    let mut worst = (0.0, "nothing");
    for ((name, expected), (_, found)) in expected.iter().zip(found) {
        assert_eq!(expected.len(), found.len(), "{name} of {what}");
        let error = relative_error(expected.iter(), found.iter());
        assert!(
            error < 1e-4,
            "{name} of {what} is off by {error:e} of its largest value"
        );
        if error > worst.0 {
            worst = (error, name);
        }
    }
    let (error, name) = worst;
    println!("{what}: off by {error:.1e} of the largest value, the {name}");
}

#[test]
fn guided_networks_and_all_their_gradients_agree() {
    for (name, config) in [("a guided network", guided()), ("a network of diffusers", ddpm())] {
        let expected = output_and_gradients(&config, &Cpu::default());
        let composed = output_and_gradients(&config, &Composed::on(Cpu::default()));
        assert_same(&format!("{name} on dfdx's CPU"), &expected, &composed);
        #[cfg(feature = "cuda")]
        if let Ok(gpu) = nn::Gpu::open(0) {
            let found = output_and_gradients(&config, &gpu);
            assert_same(&format!("{name} on the GPU"), &expected, &found);
            assert_eq!(found, output_and_gradients(&config, &gpu), "the second time other bits");
        }
    }
}
