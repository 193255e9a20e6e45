//! Arithmetic on gradients where they are: dfdx keeps them in buffers that its ops do not take.

use dfdx::optim::Momentum;
use dfdx::shapes::{HasShape, Rank0};
use dfdx::tensor::{Gradients, Storage, Tensor};
use dfdx::tensor_ops::{Device, SgdConfig, SumTo, TryStack};

/// A flat parameter.
type Flat<D> = Tensor<(usize,), f32, D>;

/// `sum(g^2)` over the gradients of all `parameters`. Each gradient is summed on the device, in f32; what comes to the
/// host, in one copy, is one number of each.
pub fn squared_norm<D: Device<f32>>(gradients: &mut Gradients<f32, D>, parameters: &[&Flat<D>]) -> Result<f64, D::Err> {
    let mut sums: Vec<Tensor<Rank0, f32, D>> = Vec::new();
    for &parameter in parameters {
        gradients.try_alloc_for(parameter)?;
        sums.push(gradients.get(parameter).try_square()?.try_sum::<Rank0, _>()?);
    }
    if sums.is_empty() {
        return Ok(0.0);
    }
    Ok(sums.try_stack()?.as_vec().into_iter().map(f64::from).sum())
}

/// `g *= factor` for the gradient of `parameter`, which itself stays as it is.
///
/// It is SGD with momentum (`v = momentum v + g; p -= rate v`) that does it: the gradient stands in the place of the
/// velocity, with zeros for the gradient and a learning rate of zero. The gradient must be finite: zero times infinity
/// would reach the parameter.
pub fn scale_gradient<D: Device<f32>>(
    gradients: &mut Gradients<f32, D>,
    parameter: &mut Flat<D>,
    factor: f32,
) -> Result<(), D::Err> {
    let zeros = Storage::<f32>::try_alloc_len(parameter.device(), parameter.shape().0)?;
    let multiply = SgdConfig {
        lr: 0.0,
        momentum: Some(Momentum::Classic(factor.into())),
        weight_decay: None,
    };
    let gradient = gradients.get_or_alloc_mut(parameter)?;
    multiply.try_update(parameter, gradient, &zeros)
}

#[cfg(test)]
mod tests {
    use dfdx::tensor::{Cpu, TensorFromVec};

    use super::*;

    #[test]
    fn norm_and_scaling_are_those_of_the_numbers() {
        let device = Cpu::default();
        let mut x: Flat<Cpu> = device.tensor_from_vec(vec![5.0, 6.0, 7.0], (3,));
        let without: Flat<Cpu> = device.tensor_from_vec(vec![8.0], (1,));
        let mut gradients = Gradients::leaky();
        let gradient = gradients.get_or_alloc_mut(&x).expect("a gradient");
        gradient.copy_from_slice(&[1.0, -2.0, 4.0]);
        let norm = squared_norm(&mut gradients, &[&x, &without]).expect("a norm");
        assert!((norm - 21.0).abs() < 1e-5, "{norm}");
        scale_gradient(&mut gradients, &mut x, 0.5).expect("scaled");
        assert_eq!(gradients.get(&x).as_vec(), [0.5, -1.0, 2.0]);
        assert_eq!(x.as_vec(), [5.0, 6.0, 7.0]);
    }
}
