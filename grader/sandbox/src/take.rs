//! Takes a file that an untrusted program has left behind, without being led astray by links, pipes or size.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat};

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is no such file.
    #[error("{0} was not written")]
    Missing(PathBuf),
    /// It is a link, a pipe, a folder, ... or lies behind a link.
    #[error("{0} is not a plain file: {1}")]
    NotPlain(PathBuf, String),
    /// It is too large.
    #[error("{path} has {bytes} bytes, more than the {most} that are allowed")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size allowed.
        most: u64,
    },
    /// The system would not let it be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads `folder/name`, at most `most` bytes, if it is a plain file in that folder with no second name.
///
/// A caller with more rights than the program must read its results through this: a link in the file's place, or in
/// place of a folder on the way, would make it read something else, and a pipe would make it wait for ever.
///
/// # Errors
///
/// See [`TakeError`].
pub fn take_file(folder: &Path, name: &Path, most: u64) -> Result<Vec<u8>, TakeError> {
    let file = open_plain(folder, name)?;
    let io = |source| TakeError::Io {
        path: name.into(),
        source,
    };
    let bytes = file.metadata().map_err(io)?.len();
    if bytes > most {
        return Err(TakeError::TooLarge {
            path: name.into(),
            bytes,
            most,
        });
    }
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content).map_err(io)?;
    Ok(content)
}

/// Opens the file without following any link and without leaving the folder, and makes sure that it is a plain one.
fn open_plain(folder: &Path, name: &Path) -> Result<File, TakeError> {
    let io = |source| TakeError::Io {
        path: name.into(),
        source,
    };
    let folder = File::open(folder).map_err(io)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(&folder, name, how).map_err(|errno| match errno {
        Errno::ENOENT => TakeError::Missing(name.into()),
        Errno::ELOOP | Errno::EXDEV => TakeError::NotPlain(name.into(), "a link leads to it".into()),
        Errno::ENXIO => TakeError::NotPlain(name.into(), "it is a socket or a pipe".into()),
        other => io(other.into()),
    })?;
    let status = fstat(&file).map_err(|errno| io(errno.into()))?;
    if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(TakeError::NotPlain(
            name.into(),
            "it is a folder, a pipe or a device".into(),
        ));
    }
    if status.st_nlink != 1 {
        return Err(TakeError::NotPlain(
            name.into(),
            format!("it has {} names (hard links)", status.st_nlink),
        ));
    }
    Ok(File::from(file))
}
