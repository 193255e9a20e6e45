//! A single file that was handed in by itself.

use std::path::PathBuf;

use super::files::{Entry, Files};
use super::folder::Folder;

/// The file at a path.
pub struct Lone(pub PathBuf);

impl Files for Lone {
    fn list(&mut self) -> (Vec<Entry>, Vec<String>) {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        (vec![Entry::file(name)], Vec::new())
    }

    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, String> {
        Folder(self.0.with_file_name("")).read(path, most)
    }
}
