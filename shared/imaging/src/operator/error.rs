//! What can go wrong with an operator.

/// Why an operator cannot be made, or cannot be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// An array of the wrong shape.
    #[error(
        "{operator}: {what} has shape {got:?}, expected [B, C, H, W] = [_, {}, {}, {}]",
        expected[0], expected[1], expected[2]
    )]
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
        "{operator}: {what} of shape {shape:?} holds {value} at {index:?}, expected finite numbers; find the step that \
         made it"
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
        "{operator} is not linear: an adjoint, a pseudo-inverse and least squares are those of linear operators; every \
         operator has `vjp` and `start_image`"
    )]
    NotLinear {
        /// The operator's name.
        operator: &'static str,
    },
    /// A question that only an operator with a known singular value decomposition can answer.
    #[error(
        "the singular vectors of {operator} are not known here: expected an operator that has them, such as a mask or \
         a blur; use a method that asks for less"
    )]
    NotSpectral {
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
    #[error("no operator is called `{got}`{}; expected one of\n{known}", meant(*nearest))]
    Unknown {
        /// The name that was given.
        got: String,
        /// The operator whose name is nearest to it, if one is near.
        nearest: Option<&'static str>,
        /// All operators, one to a line.
        known: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// A parameter that lies outside its range.
pub(crate) fn refuse(
    operator: &'static str,
    what: impl Into<String>,
    expected: impl Into<String>,
    got: impl ToString,
) -> OperatorError {
    OperatorError::Parameter {
        operator,
        what: what.into(),
        expected: expected.into(),
        got: got.to_string(),
    }
}
