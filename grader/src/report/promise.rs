//! A result where there would be none: platforms show what `results.json` says, and nothing where it is missing.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::write_no_grade;

/// Writes a result without a grade to the folder that `grader grade --out` names, where the flags cannot be read
/// otherwise.
pub fn tell(why: &str) {
    if let Some(out) = out(std::env::args_os().skip(1)) {
        // There is nowhere else to tell it.
        let _ = write_no_grade(why, &out);
    }
}

fn out(arguments: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let arguments: Vec<OsString> = arguments.collect();
    if !arguments.iter().any(|argument| argument == "grade") {
        return None;
    }
    let behind = arguments.iter().position(|argument| argument == "--out");
    if let Some(place) = behind {
        return arguments.get(place + 1).map(PathBuf::from);
    }
    let joined = |argument: &OsString| argument.to_str()?.strip_prefix("--out=").map(PathBuf::from);
    arguments
        .iter()
        .find_map(joined)
        .filter(|out| out.as_os_str() != OsStr::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_among_wrong_flags() {
        let out_of = |text: &str| out(text.split(' ').map(OsString::from));
        assert_eq!(out_of("grade x --frobnicate --out here"), Some("here".into()));
        assert_eq!(out_of("--root . grade --out=here"), Some("here".into()));
        assert_eq!(out_of("grade x --out"), None);
        assert_eq!(out_of("calibrate --out here"), None);
    }
}
