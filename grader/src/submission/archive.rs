//! Looks for source files in a zip archive, without unpacking it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::sort::{MOST_BYTES, MOST_ENTRIES, is_source};
use super::{Content, Found};

/// An archive of sources is smaller than that.
const LARGEST: u64 = 256 << 20;
/// The bits of a file's kind in its Unix mode, and the value for a symbolic link.
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;

/// All source files in the archive, and what stands in the place of one.
///
/// # Errors
///
/// If it is no zip archive, or a very large one.
pub fn find(path: &Path) -> Result<Vec<Found>> {
    let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let size = file.metadata()?.len();
    ensure!(
        size <= LARGEST,
        "`{}` has {size} bytes, expected at most {LARGEST}: hand in the source files without `target` and data",
        path.display()
    );
    let mut archive = ZipArchive::new(BufReader::new(file))
        .context("the submission is neither a folder nor a zip archive that can be read")?;
    let mut found = Vec::new();
    if archive.len() > MOST_ENTRIES {
        found.push(Found {
            path: String::new(),
            content: Content::Refused(format!(
                "only the first {MOST_ENTRIES} of {} entries were looked at",
                archive.len()
            )),
        });
    }
    for index in 0..archive.len().min(MOST_ENTRIES) {
        let name = match archive.name_for_index(index) {
            Some(Ok(name)) => name.replace('\\', "/"),
            _ => continue,
        };
        match archive.by_index(index) {
            Ok(entry) if entry.is_dir() => {}
            Ok(entry) => found.extend(examine(name, entry)),
            Err(error) if is_source(&name) => found.push(refused(name, format!("it cannot be read: {error}"))),
            Err(_) => {}
        }
    }
    Ok(found)
}

fn refused(path: String, why: String) -> Found {
    Found {
        path,
        content: Content::Refused(why),
    }
}

fn examine(name: String, entry: ZipFile<'_, BufReader<File>>) -> Option<Found> {
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Some(refused(name, "its path leads out of the submission".into()));
    }
    if entry.unix_mode().is_some_and(|mode| mode & KIND == LINK) {
        return Some(refused(name, "it is a symbolic link, which is not followed".into()));
    }
    is_source(&name).then(|| read(name, entry))
}

/// Reads at most [`MOST_BYTES`], whatever size the archive claims: a small archive can unpack to a huge file.
fn read(name: String, entry: ZipFile<'_, BufReader<File>>) -> Found {
    let mut bytes = Vec::new();
    match entry.take(MOST_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > MOST_BYTES => refused(name, format!("it is larger than {MOST_BYTES} bytes")),
        Ok(_) => Found {
            path: name,
            content: Content::Bytes(bytes),
        },
        Err(error) => refused(name, format!("it cannot be read: {error}")),
    }
}
