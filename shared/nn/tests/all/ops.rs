//! Every op of the backend: its gradients against central differences of its own forward pass.
//!
//! `kernels` tests the numbers of each forward pass against a naive reference, and `score_unet` a whole network against
//! PyTorch; this suite holds what lies between: that each op puts the right gradient on the tape, for its inputs and
//! its parameters, also where an input is used twice.

use dfdx::tensor::{OwnedTape, PutTape, SplitTape, TensorFromVec, Trace};
use dfdx::tensor_ops::Backward;
use nn::{
    Attention, Backend, Conv2d, Cpu, Features, GroupNorm, Linear, Parameter, Parameters, Tensor2, Tensor4, Vectors,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Traced4 = Tensor4<Cpu, OwnedTape<f32, Cpu>>;
type Maps = Features<Cpu>;
type TracedMaps = Features<Cpu, OwnedTape<f32, Cpu>>;
type Shape4 = (usize, usize, usize, usize);

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn images(values: &[f32], shape: Shape4) -> Tensor4<Cpu> {
    Cpu::default().tensor_from_vec(values.to_vec(), shape)
}

/// Vectors as layers take them, without a tape.
fn vectors(x: Tensor2<Cpu>) -> Vectors<Cpu> {
    Cpu::vectors(x).expect("vectors")
}

/// The same, on a tape that begins there.
fn traced_vectors(x: &Tensor2<Cpu>) -> Vectors<Cpu, OwnedTape<f32, Cpu>> {
    Cpu::vectors(x.leaky_trace()).expect("vectors")
}

/// Images as features, without a tape.
fn maps(x: &Tensor4<Cpu>) -> Maps {
    Cpu::features(x.clone()).expect("features")
}

/// Images as features, on a tape that begins at the images.
fn traced_maps(x: &Tensor4<Cpu>) -> TracedMaps {
    Cpu::features(x.leaky_trace()).expect("features")
}

fn len((b, c, h, w): Shape4) -> usize {
    b * c * h * w
}

/// `sum(output * v)` with a fixed random `v`, without a tape.
fn objective(output: &Tensor4<Cpu>) -> f64 {
    let values = output.as_vec();
    values
        .iter()
        .zip(random(values.len(), 99))
        .map(|(y, v)| f64::from(*y) * f64::from(v))
        .sum()
}

/// The same with a tape, and backwards.
fn backward(output: Traced4) -> dfdx::tensor::Gradients<f32, Cpu> {
    let shape = *dfdx::shapes::HasShape::shape(&output);
    let v = images(&random(len(shape), 99), shape);
    Cpu::inner_product(output, &v)
        .and_then(|loss| loss.try_backward())
        .expect("a backward pass")
}

/// Both for features.
fn objective_maps(output: Maps) -> f64 {
    objective(&Cpu::images(output).expect("images"))
}

fn backward_maps(output: TracedMaps) -> dfdx::tensor::Gradients<f32, Cpu> {
    backward(Cpu::images(output).expect("images"))
}

/// Compares `gradient` with central differences of `f` at `x`, element by element.
fn assert_gradient(what: &str, x: &[f32], gradient: &[f32], f: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}");
    let step = 1e-2f32;
    let largest = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
    assert!(
        largest > 1e-3,
        "{what}: the gradient is zero everywhere, so the check would prove nothing"
    );
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
fn check_input(
    what: &str,
    shape: Shape4,
    plain: impl Fn(Tensor4<Cpu>) -> Tensor4<Cpu>,
    traced: impl Fn(Traced4) -> Traced4,
) {
    let values = random(len(shape), 7);
    let x = images(&values, shape);
    let gradients = backward(traced(x.leaky_trace()));
    assert_gradient(what, &values, &gradients.get(&x).as_vec(), |x| {
        objective(&plain(images(x, shape)))
    });
}

/// Checks the input gradient of an op from features to features.
fn check_maps(what: &str, shape: Shape4, plain: impl Fn(Maps) -> Maps, traced: impl Fn(TracedMaps) -> TracedMaps) {
    check_input(
        what,
        shape,
        |x| Cpu::images(plain(Cpu::features(x).expect("features"))).expect("images"),
        |x| Cpu::images(traced(Cpu::features(x).expect("features"))).expect("images"),
    );
}

/// Checks the gradient of every parameter of a layer.
fn check_parameters<L: Parameters<Cpu>>(
    what: &str,
    layer: &mut L,
    plain: impl Fn(&L) -> Maps,
    traced: impl Fn(&L) -> TracedMaps,
) {
    let mut gradients = backward_maps(traced(layer));
    let mut found = Vec::new();
    layer.visit("", &mut |name, parameter| {
        let gradient = gradients
            .get_or_alloc_mut(parameter.value())
            .expect("a gradient")
            .to_vec();
        found.push((name, parameter.to_vec(), gradient));
    });
    let cell = std::cell::RefCell::new(layer);
    for (index, (name, values, gradient)) in found.iter().enumerate() {
        let set = |values: &[f32]| {
            let mut position = 0;
            cell.borrow_mut()
                .visit_mut("", &mut |_, parameter: &mut Parameter<Cpu>| {
                    if position == index {
                        parameter.set(values);
                    }
                    position += 1;
                });
        };
        assert_gradient(&format!("{what}, {name}"), values, gradient, |values| {
            set(values);
            let result = objective_maps(plain(&cell.borrow()));
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
        check_maps(
            &what,
            shape,
            |x| layer.forward(x).unwrap(),
            |x| layer.forward(x).unwrap(),
        );
        let x = images(&random(len(shape), 3), shape);
        check_parameters(
            &what,
            &mut layer,
            |l| l.forward(maps(&x)).unwrap(),
            |l| l.forward(traced_maps(&x)).unwrap(),
        );
    }
}

#[test]
fn a_changed_weight_is_seen_although_packed_weights_are_kept() {
    let mut layer = Conv2d::new(&Cpu::default(), 1, 1, 1, 1, &mut uniform(1));
    let x = images(&[2.0], (1, 1, 1, 1));
    layer.bias.set(&[0.0]);
    for weight in [3.0, 5.0] {
        layer.weight.set(&[weight]);
        let y = Cpu::images(layer.forward(maps(&x)).unwrap()).unwrap();
        assert_eq!(y.as_vec(), vec![2.0 * weight]);
        let gradients = backward_maps(layer.forward(traced_maps(&x)).unwrap());
        let v = random(1, 99)[0];
        assert!((gradients.get(&x).as_vec()[0] - weight * v).abs() < 1e-5);
    }
}

fn norm_and_conv(channels: usize, groups: usize) -> (GroupNorm<Cpu>, Conv2d<Cpu>) {
    let mut norm = GroupNorm::new(&Cpu::default(), channels, groups);
    norm.weight.set(&random(channels, 11));
    norm.bias.set(&random(channels, 12));
    (norm, Conv2d::new(&Cpu::default(), channels, 4, 3, 1, &mut uniform(2)))
}

/// A norm and a convolution as one list of parameters.
struct Pair(GroupNorm<Cpu>, Conv2d<Cpu>);

impl Parameters<Cpu> for Pair {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<Cpu>)) {
        self.0.visit(prefix, visit);
        self.1.visit(prefix, visit);
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<Cpu>)) {
        self.0.visit_mut(prefix, visit);
        self.1.visit_mut(prefix, visit);
    }
}

#[test]
fn norm_and_convolution() {
    let shape = (2, 6, 3, 4);
    let (norm, conv) = norm_and_conv(6, 3);
    check_maps(
        "norm, conv",
        shape,
        |x| norm.conv(x, &conv).unwrap(),
        |x| norm.conv(x, &conv).unwrap(),
    );
    let what = "norm, silu, conv";
    check_maps(
        what,
        shape,
        |x| norm.silu_conv(x, &conv).unwrap(),
        |x| norm.silu_conv(x, &conv).unwrap(),
    );
    let x = images(&random(len(shape), 3), shape);
    check_parameters(
        what,
        &mut Pair(norm, conv),
        |p| p.0.silu_conv(maps(&x), &p.1).unwrap(),
        |p| p.0.silu_conv(traced_maps(&x), &p.1).unwrap(),
    );
}

#[test]
fn modulated_norm_and_convolution() {
    let shape = (2, 4, 3, 3);
    let (norm, conv) = norm_and_conv(4, 2);
    let modulation = |values: &[f32]| -> Tensor2<Cpu> { Cpu::default().tensor_from_vec(values.to_vec(), (2, 8)) };
    let values = random(16, 13);
    let x = images(&random(len(shape), 3), shape);

    let m = modulation(&values);
    let gradients = backward_maps(
        norm.modulated_silu_conv(traced_maps(&x), traced_vectors(&m), &conv)
            .unwrap(),
    );
    let plain = |norm: &GroupNorm<Cpu>, conv: &Conv2d<Cpu>, x: Maps, m: &[f32]| {
        norm.modulated_silu_conv(x, vectors(modulation(m)), conv).unwrap()
    };
    assert_gradient("modulation", &values, &gradients.get(&m).as_vec(), |m| {
        objective_maps(plain(&norm, &conv, maps(&x), m))
    });
    check_maps(
        "modulated norm",
        shape,
        |x| plain(&norm, &conv, x, &values),
        |x| {
            norm.modulated_silu_conv(x, vectors(modulation(&values)), &conv)
                .unwrap()
        },
    );
    check_parameters(
        "modulated norm",
        &mut Pair(norm, conv),
        |p| plain(&p.0, &p.1, maps(&x), &values),
        |p| {
            p.0.modulated_silu_conv(traced_maps(&x), vectors(modulation(&values)), &p.1)
                .unwrap()
        },
    );
}

#[test]
fn attention() {
    let shape = (2, 8, 2, 3);
    let mut layer = Attention::new(&Cpu::default(), 8, 2, 4, &mut uniform(5));
    layer.proj.weight.set(&random(64, 15));
    check_maps(
        "attention",
        shape,
        |x| layer.forward(x).unwrap(),
        |x| layer.forward(x).unwrap(),
    );
    let x = images(&random(len(shape), 3), shape);
    check_parameters(
        "attention",
        &mut layer,
        |l| l.forward(maps(&x)).unwrap(),
        |l| l.forward(traced_maps(&x)).unwrap(),
    );
}

#[test]
fn linear_and_silu() {
    let mut layer = Linear::new(&Cpu::default(), 5, 12, &mut uniform(6));
    let values = random(10, 8);
    let input = |values: &[f32]| -> Tensor2<Cpu> { Cpu::default().tensor_from_vec(values.to_vec(), (2, 5)) };
    // As images, so that the helpers above serve: [2, 12] becomes the modulation of a norm.
    let (norm, conv) = norm_and_conv(6, 2);
    let x = images(&random(len((2, 6, 2, 2)), 3), (2, 6, 2, 2));
    let plain = |layer: &Linear<Cpu>, v: &[f32]| {
        let m = Cpu::silu(layer.forward(vectors(input(v))).unwrap()).unwrap();
        norm.modulated_silu_conv(maps(&x), m, &conv).unwrap()
    };
    let v = input(&values);
    let traced = |layer: &Linear<Cpu>| {
        let m = Cpu::silu(layer.forward(traced_vectors(&v)).unwrap()).unwrap();
        norm.modulated_silu_conv(traced_maps(&x), m, &conv).unwrap()
    };
    let gradients = backward_maps(traced(&layer));
    assert_gradient("linear", &values, &gradients.get(&v).as_vec(), |v| {
        objective_maps(plain(&layer, v))
    });
    check_parameters("linear", &mut layer, |l| plain(l, &values), traced);
}

#[test]
fn resampling() {
    check_maps(
        "upsample",
        (2, 3, 3, 4),
        |x| Cpu::upsample2(x).unwrap(),
        |x| Cpu::upsample2(x).unwrap(),
    );
    let unshuffle = "pixel unshuffle";
    check_input(
        unshuffle,
        (2, 3, 4, 6),
        |x| Cpu::pixel_unshuffle(x, 2).unwrap(),
        |x| Cpu::pixel_unshuffle(x, 2).unwrap(),
    );
    check_input(
        "pixel shuffle",
        (2, 8, 3, 2),
        |x| Cpu::pixel_shuffle(x, 2).unwrap(),
        |x| Cpu::pixel_shuffle(x, 2).unwrap(),
    );
}

#[test]
fn an_input_that_is_used_twice_gets_both_gradients() {
    let shape = (2, 2, 3, 3);
    let conv = Conv2d::new(&Cpu::default(), 2, 2, 3, 1, &mut uniform(1));
    check_maps(
        "residual connection",
        shape,
        |x| Cpu::add(conv.forward(x.clone()).unwrap(), x).unwrap(),
        |x| Cpu::add(conv.forward(x.with_empty_tape()).unwrap(), x).unwrap(),
    );
    check_maps(
        "skip connection",
        shape,
        |x| Cpu::concat_channels(conv.forward(x.clone()).unwrap(), x).unwrap(),
        |x| Cpu::concat_channels(conv.forward(x.with_empty_tape()).unwrap(), x).unwrap(),
    );
}

#[test]
fn blending() {
    let shape = (2, 2, 3, 3);
    let (a, b) = ([0.5, -2.0], [3.0, 0.25]);
    let other = images(&random(len(shape), 4), shape);
    let what = "blend, first input";
    check_input(
        what,
        shape,
        |x| Cpu::blend(x, &a, other.clone(), &b).unwrap(),
        |x| Cpu::blend(x, &a, other.clone().put_tape(OwnedTape::default()), &b).unwrap(),
    );
    let what = "blend, second input";
    check_input(
        what,
        shape,
        |y| Cpu::blend(other.clone(), &a, y, &b).unwrap(),
        |y| Cpu::blend(other.clone().put_tape(OwnedTape::default()), &a, y, &b).unwrap(),
    );
}

#[test]
fn mean_squared_error() {
    let shape = (2, 1, 2, 3);
    let (values, target, weights) = (random(12, 1), images(&random(12, 2), shape), [3.0, 0.5]);
    let x = images(&values, shape);
    let loss = Cpu::mean_squared_error(x.leaky_trace(), &target, &weights).unwrap();
    let gradients = loss.try_backward().unwrap();
    let expected = |x: &[f32]| {
        let squares = x.iter().zip(target.as_vec()).map(|(x, t)| f64::from(x - t).powi(2));
        squares
            .enumerate()
            .map(|(i, s)| f64::from(weights[i / 6]) * s)
            .sum::<f64>()
            / x.len() as f64
    };
    assert_gradient("mean squared error", &values, &gradients.get(&x).as_vec(), expected);
}

#[test]
fn a_permuted_tensor_is_refused_instead_of_misread() {
    use dfdx::shapes::Axes4;
    use dfdx::tensor_ops::PermuteTo;
    let x = images(&random(len((2, 2, 2, 3)), 1), (2, 2, 2, 3));
    let permuted: Tensor4<Cpu> = x.permute::<_, Axes4<1, 0, 2, 3>>();
    let (permuted, tape) = permuted.split_tape();
    let permuted = permuted.put_tape(tape);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Cpu::features(permuted)));
    assert!(result.is_err(), "a permuted tensor was read in the wrong order");
}
