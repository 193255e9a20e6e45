//! Where images lie: one file, a folder with folders below it, or a zip archive.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::error::ImageError;

/// The kinds of image file that are read, for messages.
pub(crate) const KINDS: &str = "png, jpg, jpeg, webp, bmp or gif";

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
/// More entries than any data set this project is meant for; a folder or archive beyond it is a mistake or an attack.
const MAX_ENTRIES: usize = 500_000;
/// A compressed image file larger than this is refused unread.
const MAX_FILE_BYTES: u64 = 256 << 20;
const MAX_DEPTH: usize = 32;

/// What a walk through a folder or archive finds.
#[derive(Default)]
struct Found {
    images: Vec<String>,
    others: BTreeSet<String>,
    passed: Vec<String>,
}

/// The images of one path, listed but not yet read.
pub(crate) struct Source {
    path: PathBuf,
    items: Items,
    /// What else lies there at the top, for the message when no image does.
    others: BTreeSet<String>,
    /// All other files, by their paths inside the folder or archive.
    passed: Vec<String>,
}

enum Items {
    File(String),
    /// Names relative to the folder, with `/` between their parts.
    Folder(Vec<String>),
    /// Index in the archive and name.
    Zip(Box<ZipArchive<BufReader<File>>>, Vec<(usize, String)>),
}

impl Source {
    /// Lists what lies at `path`, without reading any image.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ImageError::NotFound { path: path.to_owned() });
            }
            Err(source) => return Err(io("read", path, source)),
        };
        let mut found = Found::default();
        let items = if metadata.is_dir() {
            walk(path, "", 0, &mut found)?;
            found.images.sort();
            Items::Folder(std::mem::take(&mut found.images))
        } else if !metadata.is_file() {
            return Err(ImageError::Broken {
                file: path.display().to_string(),
                reason: "it is neither a file nor a folder".into(),
            });
        } else if is_zip(path)? {
            open_zip(path, &mut found)?
        } else {
            let name = path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Items::File(name)
        };
        Ok(Self {
            path: path.to_owned(),
            items,
            others: found.others,
            passed: found.passed,
        })
    }

    /// The path as it was named.
    pub(crate) fn called(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn len(&self) -> usize {
        match &self.items {
            Items::File(_) => 1,
            Items::Folder(names) => names.len(),
            Items::Zip(_, entries) => entries.len(),
        }
    }

    /// The name of image `index`: the file's own name, or its path inside the folder or archive.
    pub(crate) fn name(&self, index: usize) -> &str {
        match &self.items {
            Items::File(name) => name,
            Items::Folder(names) => &names[index],
            Items::Zip(_, entries) => &entries[index].1,
        }
    }

    /// How messages call image `index`: its path, or `archive: entry`.
    pub(crate) fn label(&self, index: usize) -> String {
        match &self.items {
            Items::File(_) => self.path.display().to_string(),
            Items::Folder(names) => self.path.join(&names[index]).display().to_string(),
            Items::Zip(_, entries) => format!("{}: {}", self.path.display(), entries[index].1),
        }
    }

    /// The file's bytes.
    pub(crate) fn read(&mut self, index: usize) -> Result<Vec<u8>, ImageError> {
        let label = self.label(index);
        match &mut self.items {
            Items::File(_) => read_file(&self.path),
            Items::Folder(names) => read_file(&self.path.join(&names[index])),
            Items::Zip(archive, entries) => {
                let broken = |reason: String| ImageError::Broken {
                    file: label.clone(),
                    reason,
                };
                let entry = archive
                    .by_index(entries[index].0)
                    .map_err(|error| broken(error.to_string()))?;
                // The size in the header is a claim: it only sets how much is reserved, and the reading is cut off
                // whatever it says.
                check_size(&label, entry.size())?;
                let mut bytes = Vec::with_capacity(entry.size().min(1 << 20) as usize);
                entry
                    .take(MAX_FILE_BYTES + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| broken(error.to_string()))?;
                check_size(&label, bytes.len() as u64)?;
                Ok(bytes)
            }
        }
    }

    /// The files that are no images, by their paths inside the folder or archive; not those that a system adds.
    pub(crate) fn passed_over(&self) -> &[String] {
        &self.passed
    }

    /// What lies there beside images, in words: the first few names.
    pub(crate) fn found(&self) -> String {
        if self.others.is_empty() {
            return "nothing".into();
        }
        let mut text = self
            .others
            .iter()
            .take(5)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        if self.others.len() > 5 {
            text.push_str(&format!(" and {} more", self.others.len() - 5));
        }
        text
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> ImageError {
    ImageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn check_size(what: &str, bytes: u64) -> Result<(), ImageError> {
    if bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(ImageError::TooLarge {
        what: what.to_owned(),
        found: format!("more than {} MiB", bytes >> 20),
        limit: format!("{} MiB for one file", MAX_FILE_BYTES >> 20),
    })
}

fn check_entries(path: &Path, count: usize) -> Result<(), ImageError> {
    if count <= MAX_ENTRIES {
        return Ok(());
    }
    Err(ImageError::TooLarge {
        what: path.display().to_string(),
        found: format!("{count} entries"),
        limit: format!("{MAX_ENTRIES} entries"),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    let file = File::open(path).map_err(|source| io("read", path, source))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io("read", path, source))?;
    check_size(&path.display().to_string(), bytes.len() as u64)?;
    Ok(bytes)
}

fn is_image_name(name: &str) -> bool {
    let leaf = name.rsplit('/').next().unwrap_or(name);
    leaf.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e)))
}

/// Whether only a machine put it there: `.git`, `._x.png`, `__MACOSX/`, the caches of file managers.
fn is_leavings(name: &str) -> bool {
    let is_system_file = |part: &str| ["__MACOSX", "Thumbs.db", "desktop.ini"].contains(&part);
    name.split('/')
        .any(|part| (part.starts_with('.') && part.len() > 1) || is_system_file(part))
}

fn is_zip(path: &Path) -> Result<bool, ImageError> {
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
    {
        return Ok(true);
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(|source| io("read", path, source))?;
    file.take(4)
        .read_to_end(&mut start)
        .map_err(|source| io("read", path, source))?;
    Ok(start == b"PK\x03\x04")
}

fn walk(root: &Path, below: &str, depth: usize, found: &mut Found) -> Result<(), ImageError> {
    let folder = root.join(below);
    if depth > MAX_DEPTH {
        return Err(ImageError::TooLarge {
            what: folder.display().to_string(),
            found: "a folder inside folders without end (a link to itself?)".into(),
            limit: format!("{MAX_DEPTH} levels"),
        });
    }
    for entry in fs::read_dir(&folder).map_err(|source| io("read", &folder, source))? {
        let entry = entry.map_err(|source| io("read", &folder, source))?;
        let leaf = entry.file_name();
        let name = match (below, leaf.to_string_lossy()) {
            ("", leaf) => leaf.into_owned(),
            (below, leaf) => format!("{below}/{leaf}"),
        };
        if is_leavings(&name) {
            continue;
        }
        // A name that is not UTF-8 cannot be put together again from text.
        let is_text = leaf.to_str().is_some();
        // Follows links; one that leads nowhere counts as another file.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() && is_text => {
                if below.is_empty() {
                    found.others.insert(format!("{name}/"));
                }
                walk(root, &name, depth + 1, found)?;
            }
            Ok(metadata) if metadata.is_file() && is_text && is_image_name(&name) => found.images.push(name),
            _ => {
                if below.is_empty() {
                    found.others.insert(name.clone());
                }
                found.passed.push(name);
            }
        }
        check_entries(root, found.images.len() + found.passed.len())?;
    }
    Ok(())
}

fn open_zip(path: &Path, found: &mut Found) -> Result<Items, ImageError> {
    let broken = |error: zip::result::ZipError| ImageError::BrokenZip {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let file = File::open(path).map_err(|source| io("read", path, source))?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    check_entries(path, archive.len())?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else {
            continue;
        };
        let name = name.map_err(broken)?.replace('\\', "/");
        if is_leavings(&name) {
            continue;
        }
        match name.split_once('/') {
            Some((top, _)) => found.others.insert(format!("{top}/")),
            None if is_image_name(&name) => false,
            None => found.others.insert(name.clone()),
        };
        if is_image_name(&name) {
            entries.push((index, name));
        } else if !name.ends_with('/') {
            found.passed.push(name);
        }
    }
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(Items::Zip(Box::new(archive), entries))
}
