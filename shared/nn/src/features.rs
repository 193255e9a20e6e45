//! Feature maps on their way from layer to layer.

use dfdx::tensor::NoneTape;

use crate::backend::Backend;

/// A batch of feature maps, `[B, C, H, W]`, with tape `T`, kept as the backend `B` computes with them fastest:
/// [`Backend::features`] and [`Backend::images`] lead there from tensors and back.
///
/// Between the two a backend is free to choose the order in memory and where a gradient gathers. dfdx's tensors leave
/// it neither: they hold their memory back from other crates, and their gradients start as zeros that are added to.
#[derive(Clone, Debug)]
pub struct Features<B: Backend, T = NoneTape> {
    map: B::Map,
    tape: T,
}

impl<B: Backend, T> Features<B, T> {
    /// A map with its history.
    pub(crate) fn new(map: B::Map, tape: T) -> Self {
        Self { map, tape }
    }

    /// The map and its history.
    pub(crate) fn split(self) -> (B::Map, T) {
        (self.map, self.tape)
    }

    /// The same maps for a second use, whose history the other one keeps.
    #[must_use]
    pub fn with_empty_tape(&self) -> Self
    where
        T: Default,
    {
        Self::new(self.map.clone(), T::default())
    }
}
