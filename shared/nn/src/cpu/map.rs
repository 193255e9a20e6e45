//! Feature maps: how the values of a tensor `[B, C, H, W]` lie in memory, and the order in which the ops compute.

use dfdx::shapes::{Axes4, HasShape, Shape};
use dfdx::tensor::{Cpu, CpuError, TensorFromVec};
use dfdx::tensor_ops::PermuteTo;
use kernels::channels_last::{Onto, from_channels_last, pad_channels, padded, strip_channels, to_channels_last};
use kernels::scratch::Scratch;
use rayon::prelude::*;

use crate::backend::Tensor4;
use crate::cpu::tape::lies_in_order;

/// The sizes of a feature map, `(batch, channels, height, width)`.
pub type Shape4 = (usize, usize, usize, usize);

/// Values that are copied at a time.
const BLOCK: usize = 16;
/// Values of a task: below that, handing work to another thread costs more than the work.
const TASK_LEN: usize = 32 * 1024;

/// How the values of a tensor `[B, C, H, W]` lie in memory; its gradient lies as the tensor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Row-major, as images come and go.
    ChannelsFirst,
    /// `[B][H][W][C]`, as convolutions leave them: the next op need not turn them.
    ChannelsLast,
}

impl Order {
    /// That of a tensor.
    ///
    /// # Panics
    ///
    /// If it is neither, as in a broadcast tensor.
    pub fn of<T>(x: &Tensor4<Cpu, T>) -> Self {
        if lies_in_order(x, &[0, 1, 2, 3]) {
            Order::ChannelsFirst
        } else if lies_in_order(x, &[0, 2, 3, 1]) {
            Order::ChannelsLast
        } else {
            panic!("expected a feature map stored with its channels first or last, got other strides")
        }
    }
}

/// A feature map `[batch][height][width][padded channels]`.
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
        let (shape, order) = (*x.shape(), Order::of(x));
        let mut values = Scratch::take(shape.num_elements());
        x.copy_into(&mut values);
        if order == Order::ChannelsLast && padded(shape.1) == shape.1 {
            return Self { values, shape };
        }
        Self::from_memory(&values, shape, order)
    }

    /// Values in that order, such as a gradient.
    pub fn from_memory(x: &[f32], shape: Shape4, order: Order) -> Self {
        let mut map = Self::take(shape);
        match order {
            Order::ChannelsFirst => to_channels_last(shape.1, shape.2 * shape.3, x, &mut map.values),
            Order::ChannelsLast => pad_channels(shape.1, x, &mut map.values),
        }
        map
    }

    /// The gradient of a tensor that [`Map::to_tensor`] made.
    pub fn from_gradient(d: &[f32], shape: Shape4) -> Self {
        Self::from_memory(d, shape, Order::ChannelsLast)
    }

    /// Values of a pixel.
    pub fn depth(&self) -> usize {
        padded(self.shape.1)
    }

    /// The map as a tensor, its channels last in memory.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    pub fn to_tensor(&self, device: &Cpu) -> Result<Tensor4<Cpu>, CpuError> {
        let (batch, channels, height, width) = self.shape;
        let values = if padded(channels) == channels {
            let (blocks, _) = self.values.as_chunks::<BLOCK>();
            let copies = blocks.par_iter().with_min_len(TASK_LEN / BLOCK).copied();
            copies.collect::<Vec<_>>().into_flattened()
        } else {
            let mut values = vec![0.0; batch * channels * height * width];
            strip_channels(channels, &self.values, Onto::Overwrite, &mut values);
            values
        };
        let tensor = device.try_tensor_from_vec(values, (batch, height, width, channels))?;
        tensor.try_permute::<Shape4, Axes4<0, 3, 1, 2>>()
    }

    /// Adds the map to a gradient that lies in that order.
    pub fn add_to(&self, gradient: &mut [f32], order: Order) {
        let (_, channels, height, width) = self.shape;
        match order {
            Order::ChannelsFirst => {
                from_channels_last(channels, height * width, &self.values, Onto::Add, gradient);
            }
            Order::ChannelsLast => strip_channels(channels, &self.values, Onto::Add, gradient),
        }
    }
}

impl Clone for Map {
    fn clone(&self) -> Self {
        let mut copy = Self::take(self.shape);
        copy.values.copy_from_slice(&self.values);
        copy
    }
}

/// The values of a tensor `[B, C, H, W]`, row-major, however it lies in memory.
pub fn read_planes<T>(x: &Tensor4<Cpu, T>) -> Scratch {
    let (shape, order) = (*x.shape(), Order::of(x));
    let mut values = Scratch::take(shape.num_elements());
    if order == Order::ChannelsFirst {
        x.copy_into(&mut values);
    } else {
        let map = Map::read(x);
        from_channels_last(shape.1, shape.2 * shape.3, &map.values, Onto::Overwrite, &mut values);
    }
    values
}

/// Adds row-major values to a gradient that lies in that order.
pub fn add_planes(values: &[f32], shape: Shape4, order: Order, gradient: &mut [f32]) {
    match order {
        Order::ChannelsFirst => kernels::elementwise::add_assign(gradient, values),
        Order::ChannelsLast => Map::from_memory(values, shape, Order::ChannelsFirst).add_to(gradient, order),
    }
}
