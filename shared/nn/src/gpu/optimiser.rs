//! Training's last step: Adam and the moving average, one kernel each for a parameter.

use std::sync::Arc;

use dfdx::optim::WeightDecay;
use dfdx::tensor::{Cuda, CudaError, Gradients};
use dfdx::tensor_ops::AdamConfig;
use kernels::cuda::AdamStep;

use crate::adam::Moments;
use crate::gpu::Gpu;
use crate::gpu::context::{Context, read};
use crate::parameter::Parameter;

pub fn adam_step(
    parameter: &mut Parameter<Gpu>,
    gradients: &mut Gradients<f32, Cuda>,
    moments: &mut Moments<Gpu>,
    config: &AdamConfig,
    step: i32,
    factor: f32,
) -> Result<(), CudaError> {
    let gradient = gradients.get_or_alloc_mut(parameter.value())?;
    let first = moments.first.get_or_alloc_mut(parameter.value())?;
    let second = moments.second.get_or_alloc_mut(parameter.value())?;
    let context = Context::of(&gradient.device());
    let by = kernel_step(config, step, factor);
    parameter.change(&context, |values| {
        Ok(context.kernels.adam(by, gradient, first, second, values)?)
    })
}

/// The settings of Adam for step number `step`, as its kernel takes them.
fn kernel_step(config: &AdamConfig, step: i32, factor: f32) -> AdamStep {
    let [beta1, beta2] = config.betas;
    let (coupled, decoupled) = match config.weight_decay {
        None => (0.0, 0.0),
        Some(WeightDecay::L2(decay)) => (decay, 0.0),
        Some(WeightDecay::Decoupled(decay)) => (0.0, decay * config.lr),
    };
    AdamStep {
        scale: factor,
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        rate: (config.lr / (1.0 - beta1.powi(step))) as f32,
        correction: (1.0 / (1.0 - beta2.powi(step))) as f32,
        epsilon: config.eps as f32,
        coupled: coupled as f32,
        decoupled: decoupled as f32,
    }
}

pub fn average_step(average: &mut Parameter<Gpu>, parameter: &Parameter<Gpu>, decay: f64) -> Result<(), CudaError> {
    let values = match parameter.held() {
        Some(values) => values,
        None => Arc::new(read(&mut parameter.value().clone())?.1),
    };
    let context = Context::of(&values.device());
    average.change(&context, |average| {
        Ok(context.kernels.move_average(&values, average, decay as f32)?)
    })
}
