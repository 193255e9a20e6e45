//! Files that are written whole or not at all: whoever reads one never sees half of it, and a program that is stopped
//! while it writes leaves the old file as it was. And [`Folder`], which such files go into.

mod folder;
mod place;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write};
use std::path::Path;

use place::Place;

pub use folder::Folder;
pub use place::{is_stream, lies_in};

/// Writes a file in place of what was there before; its folder must exist.
///
/// The bytes go into a file beside it first, which takes its name once they are on the disk. A link is followed: it
/// stays, and what it leads to is written. Where there is no file to replace, the bytes are written straight: into a
/// device or a pipe, and onto standard output for `-`.
///
/// # Errors
///
/// If the folder is not there or cannot be written to, the disk is full, or a folder has that name. Nothing is left
/// behind.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    match Place::of(path)? {
        Place::StandardOutput => match std::io::stdout().write_all(bytes) {
            // Whoever closed a pipe has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.and_then(|()| std::io::stdout().flush()),
        },
        Place::Stream => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Place::File(file) => replace(&file, bytes),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(folder::UNFINISHED);
    // Temporary files are private by default; this one becomes an ordinary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    // The lock tells `Folder` that this program lives. Where there are none, leftovers stay.
    let _ = file.as_file().try_lock();
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        write_whole(&path, b"a long first version")?;
        write_whole(&path, b"short")?;
        assert_eq!(fs::read(&path)?, b"short");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is_left_behind() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let taken = folder.path().join("taken");
        fs::create_dir(&taken)?;
        assert!(write_whole(&taken, b"bytes").is_err());
        assert!(write_whole(&folder.path().join("missing/file"), b"bytes").is_err());
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        assert_eq!(fs::read_dir(&taken)?.count(), 0);
        Ok(())
    }

    /// Others may read it, as far as the user's umask allows.
    #[cfg(unix)]
    #[test]
    fn it_is_an_ordinary_file() -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        write_whole(&ours, b"bytes")?;
        fs::write(&usual, b"bytes")?;
        let mode = |path: &Path| fs::metadata(path).map(|data| data.permissions().mode());
        assert_eq!(mode(&ours)?, mode(&usual)?);
        Ok(())
    }
}
