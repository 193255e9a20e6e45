//! What a network needs of a device beyond dfdx's own ops.

use dfdx::shapes::Shape;
use dfdx::tensor::{Gradients, Tensor};
use dfdx::tensor_ops::Device;

use crate::backend::Gradient;

/// A dfdx device, with the few things that dfdx does not offer: arithmetic on gradient buffers, and words.
///
/// dfdx keeps gradients in buffers that its ops do not take, so that norms, clipping and checkpoints need these.
pub trait DeviceExt: Device<f32> + std::fmt::Debug {
    /// Whether it is a GPU.
    const IS_GPU: bool;

    /// The values of a gradient buffer, copied to the host.
    ///
    /// # Errors
    ///
    /// What the device reports.
    fn gradient_to_vec(gradient: &Gradient<Self>) -> Result<Vec<f32>, Self::Err>;

    /// Overwrites a gradient buffer with `values`.
    ///
    /// # Errors
    ///
    /// Another number of values than the buffer has; what the device reports.
    fn write_gradient(gradient: &mut Gradient<Self>, values: &[f32]) -> Result<(), Self::Err>;

    /// `sum(g^2)` over the gradients of all `parameters` together. Parameters that have none count as zero.
    ///
    /// # Errors
    ///
    /// What the device reports.
    fn squared_norm(
        gradients: &mut Gradients<f32, Self>,
        parameters: &[&Tensor<(usize,), f32, Self>],
    ) -> Result<f64, Self::Err>;

    /// `g *= factor` for the gradient of `parameter`, which must be finite. The parameter keeps its values.
    ///
    /// # Errors
    ///
    /// What the device reports.
    fn scale_gradient(
        gradients: &mut Gradients<f32, Self>,
        parameter: &mut Tensor<(usize,), f32, Self>,
        factor: f32,
    ) -> Result<(), Self::Err>;

    /// Whether several elements of `x` are known to be one place in memory, as along an axis that was broadcast. A
    /// device that cannot tell says no: what [`Composed`](crate::Composed) must not do with such tensors is found on
    /// the CPU.
    fn repeats_elements<S: Shape, T>(x: &Tensor<S, f32, Self, T>) -> bool;

    /// The device in words, as they follow "on": `the CPU (avx2 kernels)`.
    fn describe(&self) -> String;

    /// An error of the device in words, and what to do about it.
    fn explain(error: &Self::Err) -> String;
}
