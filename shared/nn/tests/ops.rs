//! Every op of the backend: its gradients against central differences of its own forward pass.
//!
//! `kernels` tests the numbers of each forward pass against a naive reference, and `score_unet` a whole network against
//! PyTorch; this suite holds what lies between: that each op puts the right gradient on the tape, for its inputs and its
//! parameters, also where an input is used twice.

use dfdx::tensor::{OwnedTape, PutTape, SplitTape, TensorFromVec, Trace, WithEmptyTape};
use dfdx::tensor_ops::Backward;
use nn::{Attention, Backend, Conv2d, Cpu, GroupNorm, Linear, Parameter, Parameters, Tensor2, Tensor4};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Traced4 = Tensor4<Cpu, OwnedTape<f32, Cpu>>;
type Shape4 = (usize, usize, usize, usize);

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn images(values: &[f32], shape: Shape4) -> Tensor4<Cpu> {
    Cpu::default().tensor_from_vec(values.to_vec(), shape)
}

fn len((b, c, h, w): Shape4) -> usize {
    b * c * h * w
}

/// `sum(output * v)` with a fixed random `v`, without a tape.
fn objective(output: &Tensor4<Cpu>) -> f64 {
    let values = output.as_vec();
    values.iter().zip(random(values.len(), 99)).map(|(y, v)| f64::from(*y) * f64::from(v)).sum()
}

/// The same with a tape, and backwards.
fn backward(output: Traced4) -> dfdx::tensor::Gradients<f32, Cpu> {
    let shape = *dfdx::shapes::HasShape::shape(&output);
    let v = images(&random(len(shape), 99), shape);
    Cpu::inner_product(output, &v).and_then(|loss| loss.try_backward()).expect("a backward pass")
}

/// Compares `gradient` with central differences of `f` at `x`, element by element.
fn assert_gradient(what: &str, x: &[f32], gradient: &[f32], f: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}");
    let step = 1e-2f32;
    let largest = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
    assert!(largest > 1e-3, "{what}: the gradient is zero everywhere, so the check would prove nothing");
    for i in (0..x.len()).step_by((x.len() / 40).max(1)) {
        let at = |delta: f32| {
            let mut moved = x.to_vec();
            moved[i] += delta;
            f(&moved)
        };
        let numeric = (at(step) - at(-step)) / f64::from(2.0 * step);
        let error = (numeric - f64::from(gradient[i])).abs();
        assert!(
            error < 2e-2 * f64::from(largest).max(0.05),
            "{what}, element {i}: the tape says {}, central differences say {numeric}",
            gradient[i]
        );
    }
}

/// Checks the input gradient of an op from images to images.
fn check_input(what: &str, shape: Shape4, plain: impl Fn(Tensor4<Cpu>) -> Tensor4<Cpu>, traced: impl Fn(Traced4) -> Traced4) {
    let values = random(len(shape), 7);
    let x = images(&values, shape);
    let gradients = backward(traced(x.leaky_trace()));
    assert_gradient(what, &values, &gradients.get(&x).as_vec(), |x| objective(&plain(images(x, shape))));
}

/// Checks the gradient of every parameter of a layer.
fn check_parameters<L: Parameters<Cpu>>(
    what: &str,
    layer: &mut L,
    plain: impl Fn(&L) -> Tensor4<Cpu>,
    traced: impl Fn(&L) -> Traced4,
) {
    let mut gradients = backward(traced(layer));
    let mut found = Vec::new();
    layer.visit("", &mut |name, parameter| {
        let gradient = gradients.get_or_alloc_mut(parameter.value()).expect("a gradient").to_vec();
        found.push((name, parameter.to_vec(), gradient));
    });
    let cell = std::cell::RefCell::new(layer);
    for (index, (name, values, gradient)) in found.iter().enumerate() {
        let set = |values: &[f32]| {
            let mut position = 0;
            cell.borrow_mut().visit_mut("", &mut |_, parameter: &mut Parameter<Cpu>| {
                if position == index {
                    parameter.value_mut().copy_from(values);
                }
                position += 1;
            });
        };
        assert_gradient(&format!("{what}, {name}"), values, gradient, |values| {
            set(values);
            let result = objective(&plain(&cell.borrow()));
            set(found[index].1.as_slice());
            result
        });
    }
}

fn uniform(seed: u64) -> impl FnMut(f32) -> f32 {
    let mut rng = StdRng::seed_from_u64(seed);
    move |bound| rng.random_range(-bound..=bound)
}

#[test]
fn convolutions() {
    for (kernel, stride) in [(3, 1), (3, 2), (1, 1)] {
        let shape = (2, 3, 5, 7);
        let what = format!("conv {kernel}x{kernel} stride {stride}");
        let mut layer = Conv2d::new(&Cpu::default(), 3, 5, kernel, stride, &mut uniform(1));
        check_input(&what, shape, |x| layer.forward(x).unwrap(), |x| layer.forward(x).unwrap());
        let x = images(&random(len(shape), 3), shape);
        check_parameters(
            &what,
            &mut layer,
            |l| l.forward(x.clone()).unwrap(),
            |l| l.forward(x.leaky_trace()).unwrap(),
        );
    }
}

#[test]
fn a_changed_weight_is_seen_although_packed_weights_are_kept() {
    let mut layer = Conv2d::new(&Cpu::default(), 1, 1, 1, 1, &mut uniform(1));
    let x = images(&[2.0], (1, 1, 1, 1));
    layer.bias.value_mut().copy_from(&[0.0]);
    for weight in [3.0, 5.0] {
        layer.weight.value_mut().copy_from(&[weight]);
        assert_eq!(layer.forward(x.clone()).unwrap().as_vec(), vec![2.0 * weight]);
        let gradients = backward(layer.forward(x.leaky_trace()).unwrap());
        let v = random(1, 99)[0];
        assert!((gradients.get(&x).as_vec()[0] - weight * v).abs() < 1e-5);
    }
}

#[test]
fn group_norms() {
    let shape = (2, 6, 3, 4);
    let mut norm = GroupNorm::new(&Cpu::default(), 6, 3);
    norm.weight.value_mut().copy_from(&random(6, 11));
    norm.bias.value_mut().copy_from(&random(6, 12));
    check_input("norm", shape, |x| norm.forward(x).unwrap(), |x| norm.forward(x).unwrap());
    check_input("norm + silu", shape, |x| norm.forward_silu(x).unwrap(), |x| norm.forward_silu(x).unwrap());
    let x = images(&random(len(shape), 3), shape);
    check_parameters(
        "norm + silu",
        &mut norm,
        |l| l.forward_silu(x.clone()).unwrap(),
        |l| l.forward_silu(x.leaky_trace()).unwrap(),
    );
}

#[test]
fn modulated_group_norm() {
    let shape = (2, 4, 3, 3);
    let mut norm = GroupNorm::new(&Cpu::default(), 4, 2);
    norm.weight.value_mut().copy_from(&random(4, 11));
    norm.bias.value_mut().copy_from(&random(4, 12));
    let modulation = |values: &[f32]| -> Tensor2<Cpu> { Cpu::default().tensor_from_vec(values.to_vec(), (2, 8)) };
    let values = random(16, 13);
    let x = images(&random(len(shape), 3), shape);

    let m = modulation(&values);
    let output = norm.forward_modulated_silu(x.leaky_trace(), m.leaky_trace()).unwrap();
    let gradients = backward(output);
    let plain = |norm: &GroupNorm<Cpu>, x: &Tensor4<Cpu>, m: &[f32]| {
        norm.forward_modulated_silu(x.clone(), modulation(m)).unwrap()
    };
    assert_gradient("modulation", &values, &gradients.get(&m).as_vec(), |m| objective(&plain(&norm, &x, m)));
    check_input("modulated norm", shape, |x| plain(&norm, &x, &values), |x| {
        norm.forward_modulated_silu(x, modulation(&values)).unwrap()
    });
    check_parameters("modulated norm", &mut norm, |l| plain(l, &x, &values), |l| {
        l.forward_modulated_silu(x.leaky_trace(), modulation(&values)).unwrap()
    });
}

#[test]
fn attention() {
    let shape = (2, 8, 2, 3);
    let mut layer = Attention::new(&Cpu::default(), 8, 2, 4, &mut uniform(5));
    layer.proj.weight.value_mut().copy_from(&random(64, 15));
    check_input("attention", shape, |x| layer.forward(x).unwrap(), |x| layer.forward(x).unwrap());
    let x = images(&random(len(shape), 3), shape);
    check_parameters(
        "attention",
        &mut layer,
        |l| l.forward(x.clone()).unwrap(),
        |l| l.forward(x.leaky_trace()).unwrap(),
    );
}

#[test]
fn linear_and_silu() {
    let mut layer = Linear::new(&Cpu::default(), 5, 12, &mut uniform(6));
    let values = random(10, 8);
    let vectors = |values: &[f32]| -> Tensor2<Cpu> { Cpu::default().tensor_from_vec(values.to_vec(), (2, 5)) };
    // As images, so that the helpers above serve: [2, 12] becomes the modulation of a norm.
    let norm = GroupNorm::new(&Cpu::default(), 6, 2);
    let x = images(&random(len((2, 6, 2, 2)), 3), (2, 6, 2, 2));
    let plain = |layer: &Linear<Cpu>, v: &[f32]| {
        let m = Cpu::silu(layer.forward(vectors(v)).unwrap()).unwrap();
        norm.forward_modulated_silu(x.clone(), m).unwrap()
    };
    let v = vectors(&values);
    let traced = |layer: &Linear<Cpu>| {
        let m = Cpu::silu(layer.forward(v.leaky_trace()).unwrap()).unwrap();
        norm.forward_modulated_silu(x.leaky_trace(), m).unwrap()
    };
    let gradients = backward(traced(&layer));
    assert_gradient("linear", &values, &gradients.get(&v).as_vec(), |v| objective(&plain(&layer, v)));
    check_parameters("linear", &mut layer, |l| plain(l, &values), traced);
}

#[test]
fn resampling() {
    check_input("upsample", (2, 3, 3, 4), |x| Cpu::upsample2(x).unwrap(), |x| Cpu::upsample2(x).unwrap());
    let unshuffle = "pixel unshuffle";
    check_input(unshuffle, (2, 3, 4, 6), |x| Cpu::pixel_unshuffle(x, 2).unwrap(), |x| {
        Cpu::pixel_unshuffle(x, 2).unwrap()
    });
    check_input("pixel shuffle", (2, 8, 3, 2), |x| Cpu::pixel_shuffle(x, 2).unwrap(), |x| {
        Cpu::pixel_shuffle(x, 2).unwrap()
    });
}

#[test]
fn an_input_that_is_used_twice_gets_both_gradients() {
    let shape = (2, 2, 3, 3);
    let conv = Conv2d::new(&Cpu::default(), 2, 2, 3, 1, &mut uniform(1));
    check_input(
        "residual connection",
        shape,
        |x| Cpu::add(conv.forward(x.clone()).unwrap(), x).unwrap(),
        |x| Cpu::add(conv.forward(x.with_empty_tape()).unwrap(), x).unwrap(),
    );
    check_input(
        "skip connection",
        shape,
        |x| Cpu::concat_channels(conv.forward(x.clone()).unwrap(), x).unwrap(),
        |x| Cpu::concat_channels(conv.forward(x.with_empty_tape()).unwrap(), x).unwrap(),
    );
}

#[test]
fn mean_squared_error() {
    let shape = (2, 1, 2, 3);
    let (values, target) = (random(12, 1), images(&random(12, 2), shape));
    let x = images(&values, shape);
    let loss = Cpu::mean_squared_error(x.leaky_trace(), &target).unwrap();
    let gradients = loss.try_backward().unwrap();
    let expected = |x: &[f32]| {
        x.iter().zip(target.as_vec()).map(|(x, t)| f64::from(x - t).powi(2)).sum::<f64>() / x.len() as f64
    };
    assert_gradient("mean squared error", &values, &gradients.get(&x).as_vec(), expected);
}

#[test]
fn a_permuted_tensor_is_refused_instead_of_misread() {
    use dfdx::shapes::Axes4;
    use dfdx::tensor_ops::PermuteTo;
    let conv = Conv2d::new(&Cpu::default(), 2, 2, 1, 1, &mut uniform(1));
    let x = images(&random(len((2, 2, 2, 3)), 1), (2, 2, 2, 3));
    let permuted: Tensor4<Cpu> = x.permute::<_, Axes4<1, 0, 2, 3>>();
    let (permuted, tape) = permuted.split_tape();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| conv.forward(permuted.put_tape(tape))));
    assert!(result.is_err(), "a permuted tensor was read in the wrong order");
}
