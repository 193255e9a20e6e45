//! Folders that a program writes into.

use std::fs::{self, OpenOptions};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The names of files that are being written begin so.
pub(crate) const UNFINISHED: &str = ".unfinished-";
/// Between making such a file and locking it there is a moment: a file younger than this is left alone.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder that files can be written into. When it is dropped it goes away again if nothing was written and it was not
/// there before, so that a program that fails early leaves no empty folder behind.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The folders that were not there before, the outermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder if need be, tries whether a file can be written into it, and removes the unfinished files of
    /// programs that were killed while they wrote. An empty path is the current folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written to, such as a folder on a disk that is read-only or full; a file of that name.
    pub fn open(path: &Path) -> Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let lacking = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let mut made: Vec<PathBuf> = lacking.map(Path::to_path_buf).collect();
        made.reverse();
        let folder = Self {
            path: path.to_owned(),
            made,
        };
        fs::create_dir_all(path)?;
        folder.try_writing()?;
        folder.remove_leftovers()?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One byte: a full disk has room for a name.
    fn try_writing(&self) -> Result<()> {
        let mut probe = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        probe.write_all(b"?")?;
        probe.as_file().sync_all()
    }

    fn remove_leftovers(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_left_over(&entry.path()) {
                // Whoever else may have removed it: it is gone.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// Whoever writes a file holds a lock on it, which the operating system takes back when the program ends, however it
/// ends.
fn is_left_over(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|data| data.modified())
        .map(|time| time.elapsed());
    let old = age.is_ok_and(|age| age.is_ok_and(|age| age > YOUNG));
    old && file.try_lock().is_ok()
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that holds something cannot be removed, and is to stay.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_folder_that_nothing_was_written_into_goes_away_again() -> Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("new/out");
        drop(Folder::open(&path)?);
        assert_eq!(fs::read_dir(place.path())?.count(), 0);
        let folder = Folder::open(&path)?;
        crate::write_whole(&folder.path().join("weights"), b"bytes")?;
        drop(folder);
        assert!(path.join("weights").is_file());
        // An empty folder that was there before stays.
        fs::create_dir(place.path().join("mine"))?;
        drop(Folder::open(&place.path().join("mine"))?);
        assert!(place.path().join("mine").is_dir());
        Ok(())
    }

    #[test]
    fn where_no_file_can_be_written_it_says_so() -> Result<()> {
        let place = tempfile::tempdir()?;
        fs::write(place.path().join("file"), b"mine")?;
        assert!(Folder::open(&place.path().join("file")).is_err());
        assert!(Folder::open(&place.path().join("file/below")).is_err());
        // As root nothing is read-only but what the kernel itself writes.
        if Path::new("/proc").is_dir() {
            assert!(Folder::open(Path::new("/proc")).is_err());
        }
        Ok(())
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_nothing_else() -> Result<()> {
        let place = tempfile::tempdir()?;
        let make = |name: &str, age: u64| -> Result<fs::File> {
            let file = fs::File::create(place.path().join(name))?;
            file.set_modified(SystemTime::now() - Duration::from_secs(age))?;
            Ok(file)
        };
        make(".unfinished-dead", 3600)?;
        make(".unfinished-young", 1)?;
        make("finished", 3600)?;
        let writing = make(".unfinished-alive", 3600)?;
        writing.lock()?;
        Folder::open(place.path())?;
        let mut left: Vec<String> = fs::read_dir(place.path())?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, [".unfinished-alive", ".unfinished-young", "finished"]);
        Ok(())
    }
}
