//! How much disk a program uses: its scratch folder, and the files that it deleted but holds open.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use walkdir::WalkDir;

use super::processes::Process;

/// What an empty file or folder still costs: a million of them fill a disk too.
const LEAST: u64 = 4096;

/// The size of a folder on disk, in bytes. Stops counting once it is past `enough`.
pub(super) fn folder(path: &Path, enough: u64) -> u64 {
    let mut total = 0;
    let mut seen = HashSet::new();
    for entry in WalkDir::new(path).follow_links(false).into_iter().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
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
