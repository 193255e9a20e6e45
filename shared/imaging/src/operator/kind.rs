//! What operators do to images, in classes.

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
