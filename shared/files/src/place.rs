//! What a path leads to, where something is to be written.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// More links than anybody puts one behind another: they lead in a circle.
const MAX_LINKS: usize = 40;

/// Where the bytes go.
pub(crate) enum Place {
    /// A file, there or not yet, behind all links.
    File(PathBuf),
    /// A device or a pipe.
    Stream,
    /// This program's own.
    StandardOutput,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        // As a path `/dev/stdout` would be opened anew, and begin at the start of a file that is already written to.
        if path == Path::new("-") || path == Path::new("/dev/stdout") {
            return Ok(Self::StandardOutput);
        }
        match fs::metadata(path) {
            Ok(there) if !there.is_file() && !there.is_dir() => Ok(Self::Stream),
            _ => behind_links(path).map(Self::File),
        }
    }
}

/// Whether what is written there goes to standard output, a device or a pipe, and no file comes of it.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    matches!(Place::of(path), Ok(Place::Stream | Place::StandardOutput))
}

/// Whether `inner` is `outer` or lies in it, whatever links there are on the way. False where either is not there.
#[must_use]
pub fn lies_in(inner: &Path, outer: &Path) -> bool {
    match (fs::canonicalize(inner), fs::canonicalize(outer)) {
        (Ok(inner), Ok(outer)) => inner.starts_with(outer),
        _ => false,
    }
}

/// The file that a link leads to, even if it is not there yet.
fn behind_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => return Ok(path),
        }
    }
    Err(Error::new(ErrorKind::InvalidInput, "its links lead in a circle"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::Command;

    use super::*;
    use crate::write_whole;

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("deep"))?;
        fs::write(at("deep/report"), "old")?;
        symlink("deep/report", at("link"))?;
        symlink("link", at("link of link"))?;
        write_whole(&at("link of link"), b"new")?;
        assert_eq!(fs::read(at("deep/report"))?, b"new");
        assert!(at("link").is_symlink() && at("link of link").is_symlink());

        // What is not there yet is made where the link leads to.
        symlink("deep/later", at("ahead"))?;
        write_whole(&at("ahead"), b"first")?;
        assert_eq!(fs::read(at("deep/later"))?, b"first");
        assert!(at("ahead").is_symlink());

        symlink("circle", at("circle"))?;
        assert!(write_whole(&at("circle"), b"never").is_err());
        Ok(())
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() -> Result<()> {
        let folder = tempfile::tempdir()?;
        // Behind a link, so that a mistake here costs a link and no device.
        let null = folder.path().join("null");
        symlink("/dev/null", &null)?;
        write_whole(&null, b"bytes")?;
        assert!(null.is_symlink() && fs::metadata(&null)?.file_type().is_char_device());
        assert!(is_stream(&null) && is_stream(Path::new("-")) && !is_stream(folder.path()));
        if Path::new("/dev/full").exists() {
            let full = folder.path().join("full");
            symlink("/dev/full", &full)?;
            let refused = write_whole(&full, b"bytes");
            assert!(refused.is_err_and(|error| error.kind() == ErrorKind::StorageFull));
        }
        Ok(())
    }

    #[test]
    fn a_pipe_is_written_to() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let pipe = folder.path().join("pipe");
        if !Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .is_ok_and(|status| status.success())
        {
            return Ok(());
        }
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || -> Result<String> {
                let mut text = String::new();
                File::open(pipe)?.read_to_string(&mut text)?;
                Ok(text)
            }
        });
        write_whole(&pipe, b"through")?;
        assert!(reader.join().is_ok_and(|text| text.is_ok_and(|text| text == "through")));
        assert!(fs::metadata(&pipe)?.file_type().is_fifo());
        Ok(())
    }

    #[test]
    fn a_folder_lies_in_another_by_whatever_name() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("images/deep"))?;
        fs::create_dir(at("images2"))?;
        symlink("images", at("link"))?;
        assert!(lies_in(&at("images"), &at("images")) && lies_in(&at("link/deep"), &at("images")));
        assert!(lies_in(&at("images/deep"), &at("link")));
        assert!(!lies_in(&at("images2"), &at("images")) && !lies_in(&at("images"), &at("images/deep")));
        assert!(!lies_in(&at("nowhere"), &at("images")));
        Ok(())
    }
}
