//! A folder, in which no link is followed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::files::{Entry, Files, MOST_ENTRIES, read_capped};

/// Folders below the submission deeper than that are not looked into.
const DEEPEST: usize = 12;

/// The folder at a path.
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn list(&mut self) -> (Vec<Entry>, Vec<String>) {
        let walk = WalkDir::new(&self.0)
            .follow_links(false)
            .max_depth(DEEPEST)
            .sort_by_file_name();
        // A build folder can be large, and holds nothing of the student's own.
        let all = walk
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != "target");
        let mut entries = Vec::new();
        for (index, entry) in all.flatten().enumerate() {
            if index >= MOST_ENTRIES {
                let left = format!("Only the first {MOST_ENTRIES} entries of the folder were looked at.");
                return (entries, vec![left]);
            }
            let Ok(path) = entry.path().strip_prefix(&self.0) else {
                continue;
            };
            let kind = entry.file_type();
            let found = match path.to_str() {
                None => Some(Entry::refused(path.to_string_lossy(), "its name is not UTF-8")),
                Some(path) if kind.is_symlink() => {
                    Some(Entry::refused(path, "it is a symbolic link, which is not followed"))
                }
                Some(path) if kind.is_file() => Some(Entry::file(path)),
                Some(path) => (!kind.is_dir()).then(|| Entry::refused(path, "it is no ordinary file")),
            };
            entries.extend(found.and_then(Entry::looked_at));
        }
        (entries, Vec::new())
    }

    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, String> {
        match open_plain(&self.0.join(path)) {
            Ok(file) => read_capped(file, most),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }
}

/// The file may have become a link since it was seen: the flags refuse that, and do not wait for a pipe.
fn open_plain(path: &Path) -> std::io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no ordinary file"));
    }
    Ok(file)
}
