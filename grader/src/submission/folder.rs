//! Looks for source files in a folder, without following a link.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use walkdir::WalkDir;

use super::sort::{MOST_BYTES, MOST_ENTRIES, is_source};
use super::{Content, Found};

/// Folders below the submission deeper than that are not looked into.
const DEEPEST: usize = 12;

/// All source files in the folder, and what stands in the place of one.
pub fn find(root: &Path) -> Vec<Found> {
    let walk = WalkDir::new(root)
        .follow_links(false)
        .max_depth(DEEPEST)
        .sort_by_file_name();
    let mut found = Vec::new();
    // A build folder can be large, and holds nothing of the student's own.
    let entries = walk
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != "target");
    for (index, entry) in entries.enumerate() {
        if index >= MOST_ENTRIES {
            found.push(refused(
                "",
                format!("only the first {MOST_ENTRIES} entries were looked at"),
            ));
            break;
        }
        let Ok(entry) = entry else { continue };
        let Ok(path) = entry.path().strip_prefix(root) else {
            continue;
        };
        let Some(path) = path.to_str() else { continue };
        let kind = entry.file_type();
        if kind.is_symlink() {
            found.push(refused(path, "it is a symbolic link, which is not followed".into()));
        } else if kind.is_file() && is_source(path) {
            found.push(read(entry.path(), path));
        } else if !kind.is_dir() && is_source(path) {
            found.push(refused(path, "it is no ordinary file".into()));
        }
    }
    found
}

fn refused(path: &str, why: String) -> Found {
    Found {
        path: path.into(),
        content: Content::Refused(why),
    }
}

fn read(file: &Path, path: &str) -> Found {
    match read_capped(file) {
        Ok(bytes) if bytes.len() as u64 > MOST_BYTES => refused(path, format!("it is larger than {MOST_BYTES} bytes")),
        Ok(bytes) => Found {
            path: path.into(),
            content: Content::Bytes(bytes),
        },
        Err(error) => refused(path, format!("it cannot be read: {error}")),
    }
}

/// The file may have become a link since it was seen: the flags refuse that, and do not wait for a pipe.
fn read_capped(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
