//! A zip archive, which is never unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use zip::ZipArchive;

use super::files::{Entry, Files, MOST_ARCHIVE, MOST_ENTRIES, read_capped};

/// The bits of a file's kind in its Unix mode, and the value for a symbolic link.
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;

trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

/// An open archive.
pub struct Archive {
    zip: ZipArchive<Box<dyn Bytes>>,
    places: BTreeMap<String, usize>,
}

impl Archive {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// If it is no zip archive, or a very large one.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
        let size = file.metadata()?.len();
        ensure!(
            size <= MOST_ARCHIVE,
            "`{}` has {size} bytes, expected at most {MOST_ARCHIVE}: hand in the source files without `target` and \
             data",
            path.display()
        );
        Self::of(Box::new(BufReader::new(file)))
            .context("the submission is neither a folder nor a zip archive that can be read")
    }

    /// One that lies in memory.
    ///
    /// # Errors
    ///
    /// If it is no zip archive.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::of(Box::new(Cursor::new(bytes)))
    }

    fn of(bytes: Box<dyn Bytes>) -> Result<Self> {
        Ok(Self {
            zip: ZipArchive::new(bytes)?,
            places: BTreeMap::new(),
        })
    }

    fn entry(&mut self, index: usize) -> Option<Entry> {
        let name = match self.zip.name_for_index(index) {
            Some(Ok(name)) => name.replace('\\', "/"),
            _ => return Some(Entry::refused("(a file)", "its name cannot be read")),
        };
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Some(Entry::refused(name, "its path leads out of the submission"));
        }
        let entry = match self.zip.by_index(index) {
            Ok(entry) if entry.is_dir() => return None,
            Ok(entry) if entry.unix_mode().is_some_and(|mode| mode & KIND == LINK) => {
                Entry::refused(name, "it is a symbolic link, which is not followed")
            }
            Ok(_) => {
                self.places.insert(name.clone(), index);
                Entry::file(name)
            }
            Err(error) => Entry::refused(name, format!("it cannot be read: {error}")),
        };
        Some(entry)
    }
}

impl Files for Archive {
    fn list(&mut self) -> (Vec<Entry>, Vec<String>) {
        let count = self.zip.len();
        let mut entries: Vec<Entry> = (0..count.min(MOST_ENTRIES))
            .filter_map(|index| self.entry(index)?.looked_at())
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let left = (count > MOST_ENTRIES)
            .then(|| format!("Only the first {MOST_ENTRIES} of {count} entries of the archive were looked at."));
        (entries, left.into_iter().collect())
    }

    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, String> {
        let index = *self.places.get(path).ok_or("it is not there")?;
        match self.zip.by_index(index) {
            Ok(entry) => read_capped(entry, most),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }
}
