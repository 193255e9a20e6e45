//! How much disk a program uses: its scratch folder, and the files that it deleted but holds open.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use walkdir::WalkDir;

use super::processes::Process;

/// What an empty file or folder still costs: a million of them fill a disk too.
const LEAST: u64 = 4096;

/// So deep may folders lie in each other, and so long may a path be: what lies beyond cannot be counted by its path.
const DEEPEST: usize = 64;

/// The size of a folder on disk, in bytes. Stops counting once it is past `enough`.
///
/// What cannot be looked into counts as without end: a folder that is closed even to its owner, or lies so deep that no
/// path leads there.
pub(super) fn folder(path: &Path, enough: u64) -> u64 {
    let mut total = 0;
    let mut seen = HashSet::new();
    for entry in WalkDir::new(path).follow_links(false) {
        let metadata = entry.and_then(|entry| {
            let metadata = entry.metadata()?;
            Ok((entry.depth(), metadata))
        });
        let (depth, metadata) = match metadata {
            Ok(found) => found,
            // It was removed in between.
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|error| error.kind() == ErrorKind::NotFound) =>
            {
                continue;
            }
            Err(_) => return u64::MAX,
        };
        if depth > DEEPEST {
            return u64::MAX;
        }
        if metadata.nlink() == 1 || metadata.is_dir() || seen.insert(metadata.ino()) {
            total += LEAST.max(metadata.blocks() * 512);
        }
        if total > enough {
            break;
        }
    }
    total
}

/// The size of all deleted files that the processes hold open, in bytes.
pub(super) fn deleted(processes: &[Process]) -> u64 {
    let mut seen = HashSet::new();
    let mut total = 0;
    for process in processes {
        let files = fs::read_dir(format!("/proc/{}/fd", process.number))
            .into_iter()
            .flatten()
            .flatten();
        for metadata in files.filter_map(|file| fs::metadata(file.path()).ok()) {
            if metadata.is_file() && metadata.nlink() == 0 && seen.insert((metadata.dev(), metadata.ino())) {
                total += metadata.blocks() * 512;
            }
        }
    }
    total
}
