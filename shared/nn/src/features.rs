//! Feature maps and vectors on their way from layer to layer.

use dfdx::tensor::{NoneTape, PutTape, SplitTape, Tape};

use crate::backend::{Backend, Tensor2};

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

/// A batch of vectors, `[B, F]`, with tape `T`, kept as the backend `B` computes with them fastest: the time on its way
/// to the residual blocks. [`Backend::vectors`] leads there from tensors.
#[derive(Clone, Debug)]
pub struct Vectors<B: Backend, T = NoneTape> {
    values: B::Vectors,
    tape: T,
}

impl<B: Backend, T> Vectors<B, T> {
    /// Vectors with their history.
    pub(crate) fn new(values: B::Vectors, tape: T) -> Self {
        Self { values, tape }
    }

    /// The vectors and their history.
    pub(crate) fn split(self) -> (B::Vectors, T) {
        (self.values, self.tape)
    }

    /// The vectors without their history, and the history.
    #[must_use]
    pub fn split_tape(self) -> (Vectors<B>, T) {
        (Vectors::new(self.values, NoneTape), self.tape)
    }

    /// The same vectors for another use, with a history that begins here.
    #[must_use]
    pub fn retaped<U: Default>(&self) -> Vectors<B, U> {
        Vectors::new(self.values.clone(), U::default())
    }
}

/// Where a backend keeps vectors as tensors.
impl<B: Backend<Vectors = Tensor2<B>>, T: Tape<f32, B::Device>> Vectors<B, T> {
    pub(crate) fn from_tensor(x: Tensor2<B, T>) -> Self {
        let (values, tape) = x.split_tape();
        Self::new(values, tape)
    }

    pub(crate) fn into_tensor(self) -> Tensor2<B, T> {
        let (values, tape) = self.split();
        values.put_tape(tape)
    }
}
