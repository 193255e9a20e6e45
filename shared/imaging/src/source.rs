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

/// The images of one path, listed but not yet read.
pub(crate) struct Source {
    path: PathBuf,
    items: Items,
    /// What else lies there at the top, for the message when no image does.
    others: BTreeSet<String>,
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
        let mut others = BTreeSet::new();
        let items = if metadata.is_dir() {
            let mut names = Vec::new();
            walk(path, "", 0, &mut names, &mut others)?;
            names.sort();
            Items::Folder(names)
        } else if !metadata.is_file() {
            return Err(ImageError::Broken {
                file: path.display().to_string(),
                reason: "it is neither a file nor a folder".into(),
            });
        } else if is_zip(path)? {
            open_zip(path, &mut others)?
        } else {
            let name = path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Items::File(name)
        };
        Ok(Self {
            path: path.to_owned(),
            items,
            others,
        })
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
    // `._x.png` and `__MACOSX/` are what one system's archiver adds beside the real files.
    if leaf.starts_with('.') || name.starts_with("__MACOSX/") {
        return false;
    }
    leaf.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e)))
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

fn walk(
    root: &Path,
    below: &str,
    depth: usize,
    names: &mut Vec<String>,
    others: &mut BTreeSet<String>,
) -> Result<(), ImageError> {
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
        // A name that is not UTF-8 cannot be put together again from text, so such a file counts as another file.
        let Ok(leaf) = entry.file_name().into_string() else {
            others.insert(entry.file_name().to_string_lossy().into_owned());
            continue;
        };
        let name = if below.is_empty() {
            leaf.clone()
        } else {
            format!("{below}/{leaf}")
        };
        // Follows links; one that leads nowhere counts as another file.
        match fs::metadata(entry.path()) {
            // Folders that only a machine made: `.git`, an archiver's leavings.
            Ok(metadata) if metadata.is_dir() && (leaf.starts_with('.') || leaf == "__MACOSX") => {}
            Ok(metadata) if metadata.is_dir() => {
                if below.is_empty() {
                    others.insert(format!("{leaf}/"));
                }
                walk(root, &name, depth + 1, names, others)?;
            }
            Ok(metadata) if metadata.is_file() && is_image_name(&name) => names.push(name),
            _ if below.is_empty() => {
                others.insert(name);
            }
            _ => {}
        }
        check_entries(root, names.len())?;
    }
    Ok(())
}

fn open_zip(path: &Path, others: &mut BTreeSet<String>) -> Result<Items, ImageError> {
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
        if let Some((top, _)) = name.split_once('/') {
            others.insert(format!("{top}/"));
        }
        if is_image_name(&name) {
            entries.push((index, name));
        } else if !name.contains('/') {
            others.insert(name);
        }
    }
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(Items::Zip(Box::new(archive), entries))
}
