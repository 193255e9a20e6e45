//! Removes what an untrusted program has left behind, however it lies there.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a folder with all that is in it; that there is none is fine.
///
/// Neither depth nor permissions are in the way: what lies in a folder of the folder is moved up before, so that no
/// path grows, and no folder is open while another is looked into. Links are not followed. Nothing may write there any
/// more.
///
/// # Errors
///
/// If the folder belongs to somebody else, or a file cannot be removed even by its owner.
pub fn remove_tree(folder: &Path) -> Result<()> {
    match open_up(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    }
    let mut moved = 0u64;
    let mut waiting = entries(folder)?;
    while let Some(path) = waiting.pop() {
        if !path.symlink_metadata()?.is_dir() {
            fs::remove_file(&path)?;
            continue;
        }
        open_up(&path)?;
        for inner in entries(&path)? {
            let place = free_place(folder, &mut moved);
            if inner.symlink_metadata()?.is_dir() {
                // A folder that is moved has to be written to: its entry for the folder above changes.
                open_up(&inner)?;
                fs::rename(&inner, &place)?;
                waiting.push(place);
            } else {
                fs::remove_file(&inner)?;
            }
        }
        fs::remove_dir(&path)?;
    }
    fs::remove_dir(folder)
}

/// Lets its owner read, write and enter a folder.
fn open_up(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// A name that nothing in the folder has.
fn free_place(folder: &Path, moved: &mut u64) -> PathBuf {
    loop {
        *moved += 1;
        let place = folder.join(format!("moved-{moved}"));
        if place.symlink_metadata().is_err() {
            return place;
        }
    }
}
