//! Feature maps in our own memory on a GPU, and their gradients. Vectors are maps of one pixel.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::tensor::CudaError;
use kernels::cuda::{Buffer, Kernels};

use crate::gpu::context::Context;

/// The sizes of a feature map, `(batch, channels, height, width)`.
pub type Shape4 = (usize, usize, usize, usize);

/// A feature map `[batch][channels][height][width]`.
#[derive(Debug)]
pub struct Map {
    pub context: Rc<Context>,
    pub values: Buffer,
    pub shape: Shape4,
}

impl Map {
    /// The kernels on its device.
    pub fn kernels(&self) -> &Kernels {
        &self.context.kernels
    }

    /// Another map on the same device.
    pub fn beside(&self, values: Buffer, shape: Shape4) -> Self {
        Self {
            context: self.context.clone(),
            values,
            shape,
        }
    }
}

/// The output of an op: its values, and where its gradient gathers in the backward pass.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub map: Rc<Map>,
    pub gradient: MapGradient,
}

impl Recorded {
    /// A map that has no gradient yet.
    pub fn new(map: Map) -> Self {
        Self {
            map: Rc::new(map),
            gradient: MapGradient::default(),
        }
    }
}

/// The gradient of a map, as far as it is known: every op that used the map adds its part.
#[derive(Clone, Debug, Default)]
pub struct MapGradient(Rc<RefCell<Option<Buffer>>>);

impl MapGradient {
    /// Adds a part.
    pub fn add_part(&self, kernels: &Kernels, part: Buffer) -> Result<(), CudaError> {
        self.add(|others| match others {
            None => Ok(part),
            Some(others) => Ok(kernels.add(others, &part)?),
        })
    }

    /// The same in one go: `add(others)` computes the part plus the sum of the others, where there are any.
    pub fn add(&self, add: impl FnOnce(Option<&Buffer>) -> Result<Buffer, CudaError>) -> Result<(), CudaError> {
        let others = self.0.take();
        let sum = add(others.as_ref())?;
        self.0.replace(Some(sum));
        Ok(())
    }

    /// The sum of all parts, once they are there; none where nobody used the map. Nothing reads it again, so its
    /// memory is free for the rest of the backward pass.
    pub fn take(&self) -> Option<Buffer> {
        self.0.take()
    }
}
