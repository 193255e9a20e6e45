//! Folders that come and go while a submission is graded.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// How the folders of graders begin, in the system's folder for temporary files.
const PREFIX: &str = "grader-";
/// The file in each that its grader holds a lock on.
const LOCK: &str = "lock";

/// The folder of one grading, which goes with it, whatever a submission has left in it.
pub struct Work {
    folder: PathBuf,
    _lock: File,
}

impl Work {
    /// A new one, with what the sandbox may see inside it; only the grader lists it.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .context("cannot make a temporary folder")?
            .keep();
        let lock = File::create(folder.join(LOCK)).context("cannot write to the temporary folder")?;
        // Tells later graders that this one lives. Where there are no locks, leftovers stay.
        let _ = lock.try_lock();
        make_executable(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes what graders left that were killed.
pub fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    let own = nix::unistd::Uid::effective().as_raw();
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path
                .symlink_metadata()
                .is_ok_and(|about| about.is_dir() && about.uid() == own);
        // A folder whose lock is free has no grader; one without a lock is just being made.
        let is_left = is_ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_left {
            remove(&path);
        }
    }
}

/// A new, empty folder whose name begins like this.
///
/// # Errors
///
/// If it cannot be made.
pub fn make(parent: &Path, name: &str) -> Result<PathBuf> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    // Never a name that was there before: what cannot be removed is in nobody's way.
    let folder = parent.join(format!("{name}-{}", MADE.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    Ok(folder)
}

/// Removes a folder. What cannot be removed is told, and takes space, but stops nothing.
pub fn remove(folder: &Path) {
    if let Err(error) = sandbox::remove_tree(folder) {
        program::say(&format!("note: `{}` could not be removed: {error}", folder.display()));
    }
}

/// Lets everybody read and execute a program or enter a folder.
///
/// # Errors
///
/// If it is not there.
pub fn make_executable(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Lets nobody but its owner read a file.
///
/// # Errors
///
/// If it is not there.
pub fn make_private(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Lets everybody read a file.
///
/// # Errors
///
/// If it is not there.
pub fn make_public(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o644))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_grader_left_goes_and_what_lives_stays() -> Result<()> {
        let living = Work::new()?;
        let left = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        File::create(left.join(LOCK))?;
        remove_leftovers();
        assert!(living.path().is_dir() && !left.exists());
        let folder = living.path().to_owned();
        drop(living);
        assert!(!folder.exists());
        Ok(())
    }
}
