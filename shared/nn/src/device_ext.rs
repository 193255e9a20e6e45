//! What a network needs of a device beyond dfdx's own ops.

use dfdx::tensor_ops::Device;

use crate::backend::Gradient;

/// A dfdx device, with the few things that dfdx does not offer: arithmetic on gradient buffers, and words.
///
/// dfdx keeps gradients in buffers that its ops do not take, so that norms, clipping and checkpoints need these.
pub trait DeviceExt: Device<f32> + std::fmt::Debug {
    /// Whether it is a GPU.
    const IS_GPU: bool;

    /// The values of a gradient buffer, copied to the host.
    fn gradient_to_vec(gradient: &Gradient<Self>) -> Result<Vec<f32>, Self::Err>;

    /// Overwrites a gradient buffer with `values` (same length).
    fn write_gradient(gradient: &mut Gradient<Self>, values: &[f32]) -> Result<(), Self::Err>;

    /// `sum(g^2)`, in f64.
    fn squared_norm(gradient: &Gradient<Self>) -> Result<f64, Self::Err>;

    /// `g *= factor`.
    fn scale_gradient(gradient: &mut Gradient<Self>, factor: f32) -> Result<(), Self::Err>;

    /// The device in words, as they follow "on": `the CPU (avx2 kernels)`.
    fn describe(&self) -> String;

    /// An error of the device in words, and what to do about it.
    fn explain(error: &Self::Err) -> String;
}
