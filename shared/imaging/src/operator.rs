//! What a forward operator is to a solver: `A`, its vector-Jacobian product, and a first guess from a measurement.

use std::fmt::Debug;

use ndarray::{Array4, ArrayRef4};

/// What an operator does to an image: settings that were tuned for one operator are right for all of its kind.
///
/// Match it without `_`, so that the compiler asks whoever adds a kind what its settings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperatorKind {
    /// Pixels are missing here and there, with others near them.
    ScatteredMask,
    /// Whole regions are missing.
    HoleMask,
    /// Each pixel is a mean of those around it.
    Blur,
    /// Each pixel is a mean along a path.
    MotionBlur,
    /// Fewer pixels, each a mean of several.
    Downsampling,
    /// Fewer channels.
    Colourisation,
    /// Random mixtures of all pixels.
    CompressedSensing,
    /// Sums along lines in many directions.
    Tomography,
    /// Some of the Fourier coefficients.
    Fourier,
    /// Nonlinear: magnitudes of the Fourier transform.
    PhaseRetrieval,
    /// Nonlinear: a response curve that saturates.
    Hdr,
}

/// A forward operator `A` of the image formation model `b = A(x) + noise`, for images of one shape.
///
/// Images come as batches `[B, C, H, W]` in [-1, 1], measurements as batches `[B, ...measurement_shape()]`; the operator
/// acts on each image by itself. It is `f32` in and out. Lecture: "A Bayesian Perspective of Inverse Problems", where
/// `A` is a matrix of `M` rows; here it may be nonlinear, too.
///
/// The trait can be made into an object; solvers take `&dyn ForwardOperator`.
pub trait ForwardOperator: Debug + Send + Sync {
    /// Its name, as the command line calls it: `box-inpainting`.
    fn name(&self) -> &'static str;

    /// What it does to an image.
    fn kind(&self) -> OperatorKind;

    /// Its parameters in words, for reports: `24x24 pixels in the centre`.
    fn parameters(&self) -> String;

    /// The shape `[C, H, W]` of one image.
    fn image_shape(&self) -> [usize; 3];

    /// The shape of one measurement; `[C, 1, M]` where it is no image.
    fn measurement_shape(&self) -> [usize; 3];

    /// Whether `A(x)` is linear in `x`.
    fn is_linear(&self) -> bool {
        true
    }

    /// The noiseless measurement `A(x)` of each image.
    ///
    /// # Errors
    /// If the images have another shape than [`Self::image_shape`], or hold a NaN or an infinity.
    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError>;

    /// The vector-Jacobian product `J_A(x)^T v`, image by image: `A^T v` for a linear operator, whatever `x` is.
    ///
    /// With `v = b - A(x)` this is half the downhill direction of `||b - A(x)||^2`.
    ///
    /// - `x`: images, `[B, C, H, W]`
    /// - `v`: `[B, ...measurement_shape()]`
    /// - returns `[B, C, H, W]`
    ///
    /// # Errors
    /// If a shape is wrong or the two batches differ in size, or on a NaN or an infinity.
    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError>;

    /// `A^+ b`, the least-squares solution of least norm: what maximum likelihood gives under Gaussian noise.
    ///
    /// # Errors
    /// [`OperatorError::NotLinear`] for an operator that has none; else as [`Self::apply`].
    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError>;

    /// A first guess at the image from a measurement, without any prior; not too far from [-1, 1] even if the noise is
    /// large. Where nothing better is to be had it is the pseudo-inverse.
    ///
    /// # Errors
    /// As [`Self::apply`], for the measurement's shape.
    fn start_image(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        self.pseudo_inverse(b)
    }

    /// The measurement as a picture `[B, C, H, W]` for people to look at (any `H`, `W`), in [-1, 1] or nearly so.
    ///
    /// # Errors
    /// As [`Self::start_image`].
    fn picture(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        self.start_image(b)
    }
}

/// Why an operator cannot be made, or cannot be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// An array of the wrong shape.
    #[error("{operator}: {what} has shape {got:?}, expected [B, C, H, W] = [_, {}, {}, {}]", expected[0], expected[1], expected[2])]
    Shape {
        /// The operator's name.
        operator: &'static str,
        /// Which array.
        what: &'static str,
        /// Without the batch.
        expected: [usize; 3],
        /// With the batch.
        got: Vec<usize>,
    },
    /// Images and vectors of different number.
    #[error("{operator}: {images} images, but {vectors} vectors to pull back: expected as many")]
    BatchSize {
        /// The operator's name.
        operator: &'static str,
        /// In the batch of images.
        images: usize,
        /// In the batch of vectors.
        vectors: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "{operator}: {what} of shape {shape:?} holds {value} at {index:?}, expected finite numbers; find the step that made it"
    )]
    NotFinite {
        /// The operator's name.
        operator: &'static str,
        /// Which array.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// Where in it: image, channel, row and column.
        index: Vec<usize>,
        /// What stands there.
        value: f32,
    },
    /// A measurement that another operator made.
    #[error(
        "the measurement b has shape {got:?}, but {operator} makes measurements of shape {expected:?}: was b made with \
         another operator?"
    )]
    Measurement {
        /// The operator's name.
        operator: &'static str,
        /// With the batch.
        expected: Vec<usize>,
        /// With the batch.
        got: Vec<usize>,
    },
    /// A question that only a linear operator can answer.
    #[error(
        "{operator} is not linear: a pseudo-inverse or least squares asks for a linear operator; use its start image"
    )]
    NotLinear {
        /// The operator's name.
        operator: &'static str,
    },
    /// A parameter out of range.
    #[error("{operator}: {what}: expected {expected}, got {got}")]
    Parameter {
        /// The operator's name.
        operator: &'static str,
        /// The parameter.
        what: String,
        /// Its range.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A mask or kernel that cannot be read from its file.
    #[error("{operator}: {message}")]
    File {
        /// The operator's name.
        operator: &'static str,
        /// What is wrong, with the file's name.
        message: String,
    },
    /// No operator goes by that name.
    #[error("no operator is called `{got}`; expected one of\n{known}")]
    Unknown {
        /// The name that was given.
        got: String,
        /// All operators, one to a line.
        known: String,
    },
}

/// What every operator asks of a batch: `expected` as the shape of each of its arrays, and finite numbers.
pub(crate) fn check_batch(
    operator: &'static str,
    what: &'static str,
    batch: &ArrayRef4<f32>,
    expected: [usize; 3],
) -> Result<(), OperatorError> {
    if batch.shape()[1..] != expected {
        return Err(OperatorError::Shape {
            operator,
            what,
            expected,
            got: batch.shape().to_vec(),
        });
    }
    // A pass without indices is many times faster, and almost always enough.
    if batch.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    if let Some((index, &value)) = batch.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(OperatorError::NotFinite {
            operator,
            what,
            shape: batch.shape().to_vec(),
            index: vec![index.0, index.1, index.2, index.3],
            value,
        });
    }
    Ok(())
}
