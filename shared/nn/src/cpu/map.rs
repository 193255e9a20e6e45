//! Feature maps with their channels last, in which the ops compute, and their gradients.

use std::cell::RefCell;
use std::rc::Rc;

use kernels::channels_last::padded;
use kernels::elementwise::{add_assign, copy};
use kernels::scratch::Scratch;

/// The sizes of a feature map, `(batch, channels, height, width)`.
pub type Shape4 = (usize, usize, usize, usize);

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

    /// Values of a pixel.
    pub fn depth(&self) -> usize {
        padded(self.shape.1)
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.shape.2 * self.shape.3
    }

    /// Adds a map of the same shape.
    pub fn add(&mut self, other: &Map) {
        assert_eq!(self.shape, other.shape, "feature maps of two shapes cannot be added");
        add_assign(&mut self.values, &other.values);
    }
}

impl Clone for Map {
    fn clone(&self) -> Self {
        let mut result = Self::take(self.shape);
        copy(&self.values, &mut result.values);
        result
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
pub struct MapGradient(Rc<RefCell<Option<Map>>>);

impl MapGradient {
    /// Adds a part.
    pub fn add(&self, part: Map) {
        let mut sum = self.0.borrow_mut();
        match sum.as_mut() {
            Some(sum) => sum.add(&part),
            None => *sum = Some(part),
        }
    }

    /// The sum of all parts, once they are there; none where nobody used the map. Nothing reads it again, so its
    /// memory is free for the rest of the backward pass.
    pub fn take(&self) -> Option<Map> {
        self.0.take()
    }
}
