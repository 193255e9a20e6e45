//! The fully connected layer and SiLU on the tape.

use dfdx::tensor::{Cuda, CudaError, Tape};
use kernels::cuda::LinearShape;

use crate::features::Vectors;
use crate::gpu::Gpu;
use crate::gpu::map::Recorded;
use crate::layers::Linear;

pub fn linear<T: Tape<f32, Cuda>>(x: Vectors<Gpu, T>, layer: &Linear<Gpu>) -> Result<Vectors<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let (batch, features, ..) = x.map.shape;
    let (f_in, f_out) = (layer.features_in, layer.features_out);
    assert_eq!(features, f_in, "a linear layer of {f_in} features got {features}");
    let shape = LinearShape {
        batch,
        inputs: f_in,
        outputs: f_out,
    };
    let weight = layer.weight.values(&x.map.context)?;
    let bias = layer.bias.values(&x.map.context)?;
    let y = x.map.kernels().linear(&shape, &x.map.values, &weight, &bias)?;
    let y = Recorded::new(x.map.beside(y, (batch, f_out, 1, 1)));
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        let parameters = || (layer.weight.value().clone(), layer.bias.value().clone());
        let parameters = layer.weight.is_trainable().then(parameters);
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let kernels = x.map.kernels();
            if let Some((weight, bias)) = &parameters {
                let dw = gradients.get_or_alloc_mut(weight)?;
                kernels.linear_weight_gradient(&shape, &x.map.values, &dy, dw)?;
                kernels.bias_gradient(batch, &dy, gradients.get_or_alloc_mut(bias)?)?;
            }
            x.gradient
                .add(|others| Ok(kernels.linear_input_gradient(&shape, &dy, &weight, others)?))
        });
    }
    Ok(Vectors::new(y, tape))
}

pub fn silu<T: Tape<f32, Cuda>>(x: Vectors<Gpu, T>) -> Result<Vectors<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let y = x.map.kernels().silu(&x.map.values)?;
    let y = Recorded::new(x.map.beside(y, x.map.shape));
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let kernels = x.map.kernels();
            let d = kernels.silu_gradient(&x.map.values, &dy)?;
            x.gradient.add_part(kernels, d)
        });
    }
    Ok(Vectors::new(y, tape))
}
