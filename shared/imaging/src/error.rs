//! What can go wrong with images and their files.

use std::path::PathBuf;

use crate::source::KINDS;

/// Why an image could not be read, written or filtered. Each message says what was expected, what came, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A path that the user named does not exist.
    #[error("`{}` does not exist: name an image ({KINDS}), a folder of images or a zip file", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder or archive was read, and nothing in it is an image.
    #[error(
        "no images in `{}`: expected {KINDS}, found {found}; name a folder or zip file that holds images",
        path.display()
    )]
    NoImages {
        /// The folder or archive.
        path: PathBuf,
        /// What lies there instead, in words.
        found: String,
    },
    /// A data set has no part of the name that was asked for.
    #[error(
        "no images under `{split}/` in `{}`: expected `{split}/<class>/<image>`, found {found}; \
         name the folder or zip file that holds `train/` and `test/`", path.display()
    )]
    NoSplit {
        /// The data set's folder or archive.
        path: PathBuf,
        /// The part that was asked for.
        split: String,
        /// What lies at the top of it instead.
        found: String,
    },
    /// An image file that is broken, or that is no image at all.
    #[error("cannot read the image `{file}`: {reason}; expected {KINDS}; replace or remove the file")]
    Broken {
        /// The file, or `archive: entry`.
        file: String,
        /// What the decoder found.
        reason: String,
    },
    /// An archive that cannot be read.
    #[error("cannot read the zip file `{}`: {reason}; make it anew (deflate, no password)", path.display())]
    BrokenZip {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something larger than this program is willing to hold in memory.
    #[error("`{what}` is too large: {found}, at most {limit}; use a smaller one")]
    TooLarge {
        /// The file, entry or folder.
        what: String,
        /// Its size, in words.
        found: String,
        /// The limit, in words.
        limit: String,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `make the folder`.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// An array or a parameter that does not fit.
    #[error("{what}: expected {expected}, got {found}")]
    Invalid {
        /// The argument.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it was.
        found: String,
    },
}
