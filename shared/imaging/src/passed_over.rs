//! What is said of files that are not read.

use std::collections::BTreeSet;

/// So many kinds are named at most.
const NAMED: usize = 6;

/// How many files were passed over, and of which kinds: `2 files passed over: .heic, .tif`. `None` without any.
pub(crate) fn describe<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let (mut count, mut kinds) = (0, BTreeSet::new());
    for name in names {
        count += 1;
        kinds.insert(kind(name));
    }
    let files = match count {
        0 => return None,
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let mut named = kinds.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if kinds.len() > NAMED {
        named.push_str(&format!(" and {} more kinds", kinds.len() - NAMED));
    }
    Some(format!("{files} passed over: {named}"))
}

/// The extension, or what else keeps a file from being read.
fn kind(name: &str) -> String {
    let leaf = name.rsplit('/').next().unwrap_or(name);
    if leaf.contains(char::REPLACEMENT_CHARACTER) {
        return "a name that is not UTF-8".into();
    }
    match leaf.rsplit_once('.') {
        Some((_, extension)) if !extension.is_empty() && extension.len() <= 8 => {
            format!(".{}", extension.to_lowercase())
        }
        _ => "no extension".into(),
    }
}
