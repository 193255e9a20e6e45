//! An imported network computes what it computes in PyTorch, on every backend.

use std::collections::BTreeMap;

use dfdx::tensor::{Cpu, TensorFromVec, Trace};
use dfdx::tensor_ops::Backward;
use diffusion::ScoreModel;
use import::convert::convert;
use import::found;
use nn::{Backend, Composed, DeviceExt, NamedTensor, Parameters, Tensor4};
use score_unet::UNetConfig;
use score_unet::unet::UNet;

use crate::fixture::Fixture;

const FIXTURES: [&str; 6] = [
    "guided_blocks",
    "guided_convolutions",
    "guided_half",
    "diffusers_ddpm",
    "diffusers_scale_shift",
    "diffusers_cosine",
];

/// Largest difference that is let through, relative to the largest value.
const TOLERANCE: f32 = 1e-4;

/// Gradients below this are zero but for rounding; others are above 0.2.
const ZERO: f32 = 2e-4;

#[test]
fn output_and_gradients_are_pytorchs() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        check(&fixture, &Cpu::default());
        check(&fixture, &Composed::on(Cpu::default()));
    }
}

/// The network on a backend, as it is read from what was published.
fn network<B: Backend>(fixture: &Fixture, backend: &B) -> UNet<B> {
    let place = tempfile::tempdir().expect("a folder");
    let published = found::read(&fixture.publish(place.path()), &fixture.wishes()).expect("a network");
    let config = UNetConfig::Guided(published.config.clone());
    let mut network = UNet::blank(&config, backend).expect("a valid network");
    nn::load_weights(&mut network, &convert(published).expect("its tensors")).expect("tensors that fit");
    network
}

fn check<B: Backend>(fixture: &Fixture, backend: &B) {
    let network = network(fixture, backend);
    let on_backend = |images: Tensor4<Cpu>| -> Tensor4<B> {
        let shape = *dfdx::shapes::HasShape::shape(&images);
        backend.device().tensor_from_vec(images.as_vec(), shape)
    };
    let (x, cotangent) = (on_backend(fixture.images(1000.0)), on_backend(fixture.images(1001.0)));
    let times = fixture.times();

    let plain = network.forward(x.clone(), &times).expect("a forward pass").as_vec();
    assert_near(fixture, backend, "output", &plain);
    let output = network.forward_training(x.clone(), &times).expect("a forward pass");
    let loss = B::inner_product(output, &cotangent).expect("an inner product");
    let mut gradients = loss.try_backward().expect("a backward pass");
    let read = |x: &_| B::Device::gradient_to_vec(x).expect("its values");
    let of_x = read(gradients.get_or_alloc_mut(&x).expect("a gradient"));
    assert_near(fixture, backend, "gradient_x", &of_x);

    let mut ours = Vec::new();
    network.visit("", &mut |name, parameter| {
        let values = read(gradients.get_or_alloc_mut(parameter.value()).expect("a gradient"));
        let shape = parameter.shape().to_vec();
        ours.push(NamedTensor { name, shape, values });
    });
    check_parameters(fixture, backend, &ours);

    // Without gradients of parameters, which another path of the code computes.
    let mut network = network;
    network.freeze();
    let output = network.forward(x.leaky_trace(), &times).expect("a forward pass");
    let loss = B::inner_product(output, &cotangent).expect("an inner product");
    let mut gradients = loss.try_backward().expect("a backward pass");
    let of_x = read(gradients.get_or_alloc_mut(&x).expect("a gradient"));
    assert_near(fixture, backend, "gradient_x", &of_x);
}

/// The gradients of our parameters against those of theirs. What `convert` does with weights is linear, so that the
/// place of each of their values among ours is found by converting their numbers instead of their weights.
fn check_parameters<B: Backend>(fixture: &Fixture, backend: &B, ours: &[NamedTensor]) {
    let place = tempfile::tempdir().expect("a folder");
    let mut numbered = found::read(&fixture.publish(place.path()), &fixture.wishes()).expect("a network");
    let mut names = Vec::new();
    for (name, tensor) in &mut numbered.tensors {
        // Two numbers that f32 holds exactly: which tensor, and which of its values.
        tensor.values = (0..tensor.values.len()).map(|index| index as f32).collect();
        names.push((name.clone(), tensor.values.len()));
    }
    let offsets: BTreeMap<String, usize> = names
        .iter()
        .scan(0, |next, (name, len)| {
            *next += len;
            Some((name.clone(), *next - len))
        })
        .collect();
    for (name, tensor) in &mut numbered.tensors {
        tensor
            .values
            .iter_mut()
            .for_each(|index| *index += offsets[name] as f32);
    }
    let total: usize = names.iter().map(|(_, len)| len).sum();
    assert!(total < 1 << 24, "f32 cannot count so far");
    let mut theirs = vec![0.0; total];
    for (places, gradient) in convert(numbered).expect("places").iter().zip(ours) {
        assert_eq!((&places.name, &places.shape), (&gradient.name, &gradient.shape));
        for (place, value) in places.values.iter().zip(&gradient.values) {
            theirs[*place as usize] = *value;
        }
    }
    for (name, len) in names {
        let gradient = &theirs[offsets[&name]..][..len];
        let sampled: Vec<f32> = gradient.iter().copied().step_by((len / 97).max(1)).take(97).collect();
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
        // What is left away has no gradient; and a bias in front of a norm of single channels has one of rounding only.
        if fixture.get(&format!("norm.{name}"))[0] < ZERO {
            assert!(norm < 10.0 * ZERO, "{} on {backend:?}: {name}, {norm:e}", fixture.name);
            continue;
        }
        assert_near(fixture, backend, &format!("norm.{name}"), &[norm]);
        let largest = gradient.iter().fold(0f32, |m, v| m.max(v.abs()));
        let error = fixture
            .get(&format!("gradient.{name}"))
            .iter()
            .zip(&sampled)
            .fold(0f32, |m, (e, g)| m.max((e - g).abs()));
        assert!(
            error < TOLERANCE * largest,
            "{} on {backend:?}: the gradient of {name} is off by {:e}",
            fixture.name,
            error / largest
        );
    }
}

fn assert_near<B: Backend>(fixture: &Fixture, backend: &B, what: &str, got: &[f32]) {
    let expected = fixture.get(what);
    assert_eq!(expected.len(), got.len(), "{what}");
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(
        largest > 1e-4,
        "{what} is zero everywhere: the comparison would prove nothing"
    );
    let error = expected.iter().zip(got).fold(0f32, |m, (e, g)| m.max((e - g).abs())) / largest;
    println!("{} {what} {error:.1e}", fixture.name);
    // Written so that a NaN does not pass.
    assert!(
        error < TOLERANCE,
        "{} on {backend:?}: {what} is off by {error:e} of its largest value",
        fixture.name
    );
}

#[test]
fn the_noise_schedule_is_the_schedulers() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let Some(expected) = fixture.alpha_bars() else { continue };
        let network = network(&fixture, &Cpu::default());
        for (t, expected) in fixture.times().into_iter().zip(expected) {
            let found = network.schedule().alpha_bar(t);
            // diffusers multiplies in f32.
            assert!(
                (found / expected - 1.0).abs() < 1e-4,
                "{name}, t = {t}: {found}, {expected}"
            );
        }
    }
}
