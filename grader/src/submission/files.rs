//! The files of a submission before anything is known of them: listed first, and read only where they are wanted.

use std::io::Read;

/// The largest source file that is taken, in bytes.
pub const MOST_BYTES: u64 = 512 << 10;
/// The largest archive that is opened, in bytes.
pub const MOST_ARCHIVE: u64 = 64 << 20;
/// So many entries of a folder or an archive are looked at.
pub const MOST_ENTRIES: usize = 50_000;
/// The longest path that is looked at, in bytes.
const LONGEST: usize = 1000;

/// What stands at a path.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path below the submission, with `/` between folders.
    pub path: String,
    /// Why it is not read, where it is no ordinary file.
    pub refused: Option<String>,
}

impl Entry {
    /// An ordinary file.
    pub fn file(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            refused: None,
        }
    }

    /// Something that is not read, and why.
    pub fn refused(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            refused: Some(why.into()),
        }
    }

    /// The entry, if it is worth a look: nothing that systems put beside files, or that a build leaves.
    pub fn looked_at(self) -> Option<Self> {
        let mut parts = self.path.split('/').rev();
        let name = parts.next().unwrap_or_default();
        let is_junk = name.starts_with("._")
            || ["Thumbs.db", "desktop.ini", ".DS_Store"].contains(&name)
            || parts.any(|part| part == "__MACOSX" || part == "target" || part == ".git");
        match (is_junk, self.path.len() > LONGEST) {
            (true, _) => None,
            (false, true) => {
                let start: String = self.path.chars().take(60).collect();
                Some(Self::refused(start, format!("its path is longer than {LONGEST} bytes")))
            }
            (false, false) => Some(self),
        }
    }
}

/// A folder or an archive.
pub trait Files {
    /// What is in it, at most [`MOST_ENTRIES`], by path; the notes say what was not looked at.
    fn list(&mut self) -> (Vec<Entry>, Vec<String>);

    /// The bytes of a file that was listed.
    ///
    /// # Errors
    ///
    /// If it is larger than `most`, or cannot be read; in words that follow `was not taken: `.
    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, String>;
}

/// At most `most` bytes, whatever size the file claims: a small archive can unpack to a huge file.
pub fn read_capped(file: impl Read, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match file.take(most + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > most => Err(format!("it is larger than {most} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}
