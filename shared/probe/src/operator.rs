//! An operator that nobody knows.

use imaging::{ForwardOperator, OperatorKind};
use ndarray::{Array2, Array4, ArrayRef4};

use crate::log::{Event, Log};
use crate::mixing::{mixed, mixing};

/// An operator that is neither linear nor square: `A(x) = M tanh(x)`, which remembers what it was asked.
#[derive(Clone, Debug)]
pub struct ProbeOperator {
    image: [usize; 3],
    measurement: [usize; 3],
    matrix: Array2<f32>,
    log: Log,
}

impl ProbeOperator {
    /// From images of a shape `[C, H, W]` to `[1, 1, M]`.
    #[must_use]
    pub fn new(image: [usize; 3], measured: usize, log: &Log) -> Self {
        Self {
            image,
            measurement: [1, 1, measured],
            matrix: mixing(measured, image.iter().product(), 22),
            log: log.clone(),
        }
    }

    /// From images to measurements of the same shape, so that what is confused with what does not show in shapes.
    #[must_use]
    pub fn square(image: [usize; 3], log: &Log) -> Self {
        Self {
            measurement: image,
            ..Self::new(image, image.iter().product(), log)
        }
    }

    /// `A(x)`, without a note.
    #[must_use]
    pub fn of(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix, &x.mapv(f32::tanh), self.measurement)
    }

    /// `J_A(x)^T v`, without a note.
    #[must_use]
    pub fn back(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix.t().to_owned(), v, self.image) * x.mapv(|x| 1.0 - x.tanh().powi(2))
    }
}

impl ForwardOperator for ProbeOperator {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Hdr
    }

    fn description(&self) -> String {
        "random mixtures of bent pixels".into()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.measurement
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.log.note(Event::Apply);
        self.of(x)
    }

    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.log.note(Event::Vjp);
        self.back(x, v)
    }

    /// Neither zero nor what the measurement's gradient is.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix.t().to_owned(), b, self.image) * 0.6 + 0.2
    }
}
