//! `log.csv`: a line for each validation.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::folder::Begin;

/// The log of a training.
#[derive(Debug)]
pub struct Log {
    file: File,
    name: String,
}

impl Log {
    /// Opens `log.csv` in `folder`. A training that goes on adds to it; one that begins anew begins it anew with
    /// `header`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn open(folder: &Path, header: &str, begin: Begin) -> Result<Self> {
        let path = folder.join("log.csv");
        let goes_on = begin == Begin::GoOn && path.exists();
        let mut options = OpenOptions::new();
        options.create(true).append(goes_on).write(true).truncate(!goes_on);
        let name = path.display().to_string();
        let file = options.open(&path).with_context(|| format!("cannot write {name}"))?;
        let mut log = Self { file, name };
        if !goes_on {
            log.write(header)?;
        }
        Ok(log)
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").with_context(|| format!("cannot write {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_with_its_training() -> Result<()> {
        let place = tempfile::tempdir()?;
        let read = || std::fs::read_to_string(place.path().join("log.csv"));
        Log::open(place.path(), "step,loss", Begin::Anew)?.write("1,0.5")?;
        Log::open(place.path(), "step,loss", Begin::GoOn)?.write("2,0.4")?;
        assert_eq!(read()?, "step,loss\n1,0.5\n2,0.4\n");
        Log::open(place.path(), "step,loss", Begin::Anew)?;
        assert_eq!(read()?, "step,loss\n");
        Ok(())
    }
}
