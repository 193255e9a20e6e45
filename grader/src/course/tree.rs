//! Which files of the workspace go where: into the students' tree, and into the package for a platform.

use std::path::Path;

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

/// What is at the top of the students' tree, as far as it is there.
const FOR_STUDENTS: [&str; 17] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "RESULTS.md",
    "data",
    "methods",
    "notebooks",
    "playground",
    "rustfmt.toml",
    "shared",
    "site",
    "tasks",
];
/// What is at the top of the package besides.
const FOR_GRADING: [&str; 2] = ["grader", "results"];
/// The crate with which students check their own work; in their tree it stands at the top.
pub const CHECK: &str = "grader/check";
/// The lists of mistakes that students make, and of solutions that are written otherwise.
const SOLUTIONS_AND_MISTAKES: [&str; 2] = ["/tests/mistakes.toml", "/tests/variants.toml"];
/// What builds and runs leave behind, and a prior that is in the making.
const LEFTOVERS: [&str; 4] = ["target", "out", "__pycache__", "next"];

/// The paths of the students' tree, sorted, relative to `root`; their check, which stands elsewhere in their tree,
/// last.
///
/// # Errors
///
/// If the tree cannot be read.
pub fn students_files(root: &Path) -> Result<Vec<String>> {
    let mut paths = files(root, &FOR_STUDENTS)?;
    paths.retain(|path| !SOLUTIONS_AND_MISTAKES.iter().any(|list| path.ends_with(list)));
    paths.extend(files(root, &[CHECK])?);
    Ok(paths)
}

/// The paths of all that grading needs, sorted, relative to `root`.
///
/// # Errors
///
/// If the tree cannot be read.
pub fn graders_files(root: &Path) -> Result<Vec<String>> {
    let all: Vec<&str> = FOR_STUDENTS.into_iter().chain(FOR_GRADING).collect();
    files(root, &all)
}

fn files(root: &Path, tops: &[&str]) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for top in tops.iter().map(|top| root.join(top)).filter(|top| top.exists()) {
        for entry in WalkDir::new(&top).into_iter().filter_entry(is_source) {
            let entry = entry.context("cannot read the workspace")?;
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(root)?;
                paths.push(path.to_str().context("a file's name is not UTF-8")?.replace('\\', "/"));
            }
        }
    }
    paths.sort();
    Ok(paths)
}

/// Neither hidden (but for what git needs) nor made by a build.
fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_leftover = entry.file_type().is_dir() && LEFTOVERS.contains(&name.as_ref());
    !is_leftover && !name.ends_with(".ckpt") && (!name.starts_with('.') || name == ".gitignore")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_builds_and_runs_leave_behind_goes_nowhere() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for path in [
            "site/build.py",
            "site/__pycache__/build.pyc",
            "site/.venv/python",
            "data/a.ckpt",
            "data/priors/a/next/weights.safetensors",
            "notebooks/out/a",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().context("each has a folder")?)?;
            fs::write(path, "")?;
        }
        assert_eq!(students_files(folder.path())?, ["site/build.py"]);
        Ok(())
    }
}
