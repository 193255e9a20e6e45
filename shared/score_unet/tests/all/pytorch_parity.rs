//! Our network computes what the same network in PyTorch computes, on every backend: `fixtures/pytorch_twin.py` made
//! the numbers.

use std::path::PathBuf;

use dfdx::tensor::TensorFromVec;
use dfdx::tensor_ops::Backward;
use nn::{Backend, Composed, Cpu, DeviceExt, NamedTensor, Parameters, Tensor4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::UNetConfig;
use score_unet::unet::UNet;

struct Fixture<B: Backend> {
    tensors: Vec<NamedTensor>,
    network: UNet<B>,
}

impl<B: Backend> Fixture<B> {
    fn load(backend: &B) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let tensors = nn::read_weights(&folder.join("tiny_unet.safetensors")).expect("the fixture is readable");
        let config = UNetConfig::read(&folder.join("tiny_unet.json")).expect("the fixture has a configuration");
        let mut network = UNet::new(&config, backend, &mut StdRng::seed_from_u64(0)).expect("a valid network");
        let fixture = |tensors: &[NamedTensor]| -> Vec<NamedTensor> {
            let strip = |t: &NamedTensor| Some((t.name.strip_prefix("network.")?.to_string(), t.clone()));
            tensors
                .iter()
                .filter_map(strip)
                .map(|(name, t)| NamedTensor { name, ..t })
                .collect()
        };
        nn::load_weights(&mut network, &fixture(&tensors)).expect("the twin has the same parameters");
        Self { tensors, network }
    }

    fn get(&self, name: &str) -> &NamedTensor {
        self.tensors
            .iter()
            .find(|t| t.name == name)
            .unwrap_or_else(|| panic!("the fixture lacks {name}"))
    }

    fn images(&self, name: &str) -> Tensor4<B> {
        let NamedTensor { shape, values, .. } = self.get(name).clone();
        let device = self.network.backend().device();
        device.tensor_from_vec(values, (shape[0], shape[1], shape[2], shape[3]))
    }

    fn times(&self) -> Vec<usize> {
        self.get("t").values.iter().map(|&t| t as usize).collect()
    }

    /// Largest difference to the fixture's tensor, relative to that tensor's largest value.
    fn relative_error(&self, name: &str, got: &[f32]) -> f32 {
        let expected = &self.get(name).values;
        assert_eq!(expected.len(), got.len(), "{name}");
        let scale = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let differences = expected.iter().zip(got).map(|(e, g)| (e - g).abs());
        // A NaN stays, and does not pass.
        differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst }) / scale
    }
}

const TOLERANCE: f32 = 1e-4;

/// Runs a check on every backend at hand.
macro_rules! on_all_backends {
    ($check:ident) => {
        $check(&Cpu::default());
        $check(&Composed::on(Cpu::default()));
        #[cfg(feature = "cuda")]
        if let Ok(gpu) = nn::Gpu::open(0) {
            $check(&gpu);
        }
    };
}

#[test]
fn the_output_is_pytorchs() {
    on_all_backends!(check_output);
}

fn check_output<B: Backend>(backend: &B) {
    let fixture = Fixture::load(backend);
    let output = fixture
        .network
        .forward(fixture.images("x"), &fixture.times())
        .expect("forward");
    let error = fixture.relative_error("output", &output.as_vec());
    assert!(
        error < TOLERANCE,
        "on {backend:?} the output is off by {error:e} of its largest value"
    );
}

#[test]
fn every_gradient_is_pytorchs() {
    on_all_backends!(check_gradients);
}

fn check_gradients<B: Backend>(backend: &B) {
    let fixture = Fixture::load(backend);
    let x = fixture.images("x");
    let output = fixture
        .network
        .forward_training(x.clone(), &fixture.times())
        .expect("forward");
    let loss = B::inner_product(output, &fixture.images("cotangent")).expect("inner product");
    let mut gradients = loss.try_backward().expect("backward");
    let read = |gradient: &_| B::Device::gradient_to_vec(gradient).expect("its values");
    let gradient = gradients.get_or_alloc_mut(&x).expect("a gradient");
    let error = fixture.relative_error("gradient_x", &read(gradient));
    assert!(
        error < TOLERANCE,
        "on {backend:?} the input gradient is off by {error:e}"
    );
    let mut checked = 0;
    fixture.network.visit("", &mut |name, parameter| {
        let gradient = gradients.get_or_alloc_mut(parameter.value()).expect("a gradient");
        let error = fixture.relative_error(&format!("gradient.{name}"), &read(gradient));
        assert!(
            error < TOLERANCE,
            "on {backend:?} the gradient of {name} is off by {error:e}"
        );
        checked += 1;
    });
    let expected = fixture.tensors.iter().filter(|t| t.name.starts_with("gradient."));
    assert_eq!(checked, expected.count());
}

#[test]
fn a_frozen_network_gives_the_same_input_gradient_and_no_parameter_gradient() {
    let mut fixture = Fixture::load(&Cpu::default());
    fixture.network.freeze();
    let x = fixture.images("x");
    let traced = dfdx::tensor::Trace::leaky_trace(&x);
    let output = fixture.network.forward(traced, &fixture.times()).expect("forward");
    let loss = Cpu::inner_product(output, &fixture.images("cotangent")).expect("inner product");
    let mut gradients = loss.try_backward().expect("backward");
    let error = fixture.relative_error("gradient_x", &gradients.get(&x).as_vec());
    assert!(error < TOLERANCE, "the input gradient is off by {error:e}");
    // A gradient that was never written is allocated here and is all zero.
    fixture.network.visit("", &mut |name, parameter| {
        let gradient = gradients.get_or_alloc_mut(parameter.value()).expect("a gradient");
        assert!(
            gradient.iter().all(|g| *g == 0.0),
            "{name} got a gradient although it is frozen"
        );
    });
}
