//! The optimiser and the moving average.

use dfdx::tensor::{Gradients, TensorFromVec, Trace};
use dfdx::tensor_ops::{AdamConfig, Backward};
use nn::{Adam, Backend, Conv2d, Cpu, Tensor4, update_average};

fn layer() -> Conv2d<Cpu> {
    let mut layer = Conv2d::zeros(&Cpu::default(), 1, 1, 1);
    layer.weight.set(&[0.5]);
    layer
}

/// Gradients of `sum(w x + b)` with `x = 3`: 3 for the weight, 1 for the bias.
fn gradients(layer: &Conv2d<Cpu>) -> Gradients<f32, Cpu> {
    let device = Cpu::default();
    let x: Tensor4<Cpu> = device.tensor_from_vec(vec![3.0], (1, 1, 1, 1));
    let one: Tensor4<Cpu> = device.tensor_from_vec(vec![1.0], (1, 1, 1, 1));
    let y = layer.forward(Cpu::features(x.leaky_trace()).unwrap()).unwrap();
    Cpu::inner_product(Cpu::images(y).unwrap(), &one)
        .and_then(|y| y.try_backward())
        .unwrap()
}

fn adam() -> Adam<Cpu> {
    Adam::new(AdamConfig {
        lr: 0.1,
        betas: [0.9, 0.99],
        eps: 1e-8,
        weight_decay: None,
    })
}

/// Adam by its paper's algorithm 1, in f64, for a constant gradient.
fn reference(start: f64, gradient: f64, steps: i32) -> f64 {
    let (mut m, mut v, mut x) = (0.0, 0.0, start);
    for t in 1..=steps {
        m = 0.9 * m + 0.1 * gradient;
        v = 0.99 * v + 0.01 * gradient * gradient;
        x -= 0.1 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.99f64.powi(t))).sqrt() + 1e-8);
    }
    x
}

#[test]
fn adam_follows_its_paper() {
    let (mut layer, mut adam) = (layer(), adam());
    for steps in 1..=5 {
        let mut gradients = gradients(&layer);
        let norm = adam.update(&mut layer, &mut gradients, f64::INFINITY).unwrap();
        assert!((norm - 10f64.sqrt()).abs() < 1e-6, "norm {norm}");
        let (got, expected) = (f64::from(layer.weight.to_vec()[0]), reference(0.5, 3.0, steps));
        assert!(
            (got - expected).abs() < 1e-5,
            "after {steps} steps the weight is {got}, expected {expected}"
        );
    }
}

#[test]
fn clipping_scales_all_gradients_alike() {
    let mut layer = layer();
    let mut gradients = gradients(&layer);
    let norm = adam().update(&mut layer, &mut gradients, 1.0).unwrap();
    assert!(
        (norm - 10f64.sqrt()).abs() < 1e-6,
        "the norm before clipping is returned, got {norm}"
    );
    let weight = gradients.get_or_alloc_mut(layer.weight.value()).unwrap()[0];
    let bias = gradients.get_or_alloc_mut(layer.bias.value()).unwrap()[0];
    assert!((weight - 3.0 / 10f32.sqrt()).abs() < 1e-6 && (bias - 1.0 / 10f32.sqrt()).abs() < 1e-6);
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let mut layer = layer();
    let mut gradients = gradients(&layer);
    gradients.get_or_alloc_mut(layer.weight.value()).unwrap()[0] = f32::NAN;
    assert!(adam().update(&mut layer, &mut gradients, 1.0).unwrap().is_nan());
    assert_eq!(layer.weight.to_vec(), [0.5]);
}

#[test]
fn a_restored_optimiser_goes_on_as_if_it_had_never_stopped() {
    let (mut layer, mut first) = (layer(), adam());
    for _ in 0..3 {
        let mut gradients = gradients(&layer);
        first.update(&mut layer, &mut gradients, 1e9).unwrap();
    }
    let mut second = adam();
    let state = first.state(&layer).unwrap();
    second.restore(&layer, &state).unwrap();
    let mut gradients = gradients(&layer);
    second.update(&mut layer, &mut gradients, 1e9).unwrap();
    let expected = reference(0.5, 3.0, 4);
    assert!((f64::from(layer.weight.to_vec()[0]) - expected).abs() < 1e-5);
}

#[test]
fn the_average_moves_by_one_minus_decay() {
    let (mut average, mut network) = (layer(), layer());
    network.weight.set(&[1.5]);
    update_average(&mut average, &network, 0.9).unwrap();
    assert!((average.weight.to_vec()[0] - 0.6).abs() < 1e-6);
    assert_eq!(network.weight.to_vec(), [1.5], "the network itself must not change");
}
