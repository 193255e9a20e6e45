//! Feature maps with their channels last, in which the ops compute.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, TensorFromVec};
use kernels::channels_last::{Onto, from_channels_last, padded, to_channels_last};
use kernels::scratch::Scratch;

use crate::backend::Tensor4;
use crate::cpu::tape::read;

/// The sizes of a feature map, `(batch, channels, height, width)`.
pub type Shape4 = (usize, usize, usize, usize);

/// A feature map `[batch][height][width][padded channels]`: what becomes a tensor, `[batch][channels][height][width]`,
/// where an op ends.
#[derive(Debug)]
pub struct Map {
    pub values: Scratch,
    pub shape: Shape4,
}

impl Map {
    /// A map that is about to be overwritten.
    pub fn take(shape @ (batch, channels, height, width): Shape4) -> Self {
        let values = Scratch::take(batch * height * width * padded(channels));
        Self { values, shape }
    }

    /// The values of a tensor.
    pub fn read<T>(x: &Tensor4<Cpu, T>) -> Self {
        Self::from_channels_first(&read(x), *x.shape())
    }

    /// Values `[batch][channels][height][width]`, such as a gradient.
    pub fn from_channels_first(x: &[f32], shape: Shape4) -> Self {
        let mut map = Self::take(shape);
        to_channels_last(shape.1, shape.2 * shape.3, x, &mut map.values);
        map
    }

    /// The map as a tensor.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    pub fn to_tensor(&self, device: &Cpu) -> Result<Tensor4<Cpu>, CpuError> {
        let (batch, channels, height, width) = self.shape;
        let mut values = vec![0.0; batch * channels * height * width];
        from_channels_last(channels, height * width, &self.values, Onto::Overwrite, &mut values);
        device.try_tensor_from_vec(values, self.shape)
    }

    /// Adds the map to a gradient, `[batch][channels][height][width]`.
    pub fn add_to(&self, gradient: &mut [f32]) {
        let (_, channels, height, width) = self.shape;
        from_channels_last(channels, height * width, &self.values, Onto::Add, gradient);
    }
}

impl Clone for Map {
    fn clone(&self) -> Self {
        let mut copy = Self::take(self.shape);
        copy.values.copy_from_slice(&self.values);
        copy
    }
}
