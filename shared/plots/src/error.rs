//! What can go wrong with a figure.

use std::path::PathBuf;

/// Why a figure could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// Nothing to draw.
    #[error("nothing to draw: {0}")]
    Empty(&'static str),
    /// Images or rows that do not fit together.
    #[error("{what}: expected {expected}, got {found}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The figure would be larger than anyone could look at.
    #[error("the figure would have {width}x{height} pixels, at most {limit} in all: draw fewer rows or columns")]
    TooLarge {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// The largest number of pixels.
        limit: usize,
    },
    /// The plotting library failed.
    #[error("cannot draw the figure: {0}")]
    Draw(String),
    /// The file could not be written.
    #[error("cannot write the figure `{}`: {source}", path.display())]
    Write {
        /// Where it was to go.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
