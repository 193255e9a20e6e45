//! Cuts the students' tree from the instructor's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use toml_edit::{Array, DocumentMut};

use crate::course::tree::{CHECK, students_files};

/// The folder of [`CHECK`] in the students' tree.
const THEIR_CHECK: &str = "check";
/// How links begin that lead to folders which students do not have.
const INSTRUCTORS_LINKS: [&str; 2] = ["](grader/", "](results/"];

/// A solution, as it stands between its markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// `6.1`, or `3.2a` for a part.
    pub exercise: String,
    /// The text after the number.
    pub hint: String,
    /// The lines between the markers.
    pub lines: Vec<String>,
}

/// Writes the students' tree into `out`, which must not exist or be empty.
///
/// # Errors
///
/// If `out` holds something, markers do not pair up, or files cannot be read or written.
pub fn release(root: &Path, out: &Path) -> Result<()> {
    let is_empty = fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_empty, "`{}` is not empty: name a new folder", out.display());
    for path in students_files(root)? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read `{path}`"))?;
        let bytes = match String::from_utf8(bytes) {
            Ok(text) if path.starts_with("tasks/") && path.ends_with(".rs") => {
                cut(&text).with_context(|| format!("cannot cut `{path}`"))?.into_bytes()
            }
            Ok(text) if path == "README.md" => without_instructors_lines(&text).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(error) => error.into_bytes(),
        };
        let place = match path.strip_prefix(CHECK) {
            Some(rest) => format!("{THEIR_CHECK}{rest}"),
            None => path,
        };
        write(&out.join(place), &bytes)?;
    }
    keep_members(out).context("cannot rewrite the members in Cargo.toml")?;
    write(
        &out.join(".gitignore"),
        b"/target\n/notebooks/.venv\n.ipynb_checkpoints\n/out\n*.ckpt\n",
    )?;
    prune_lock_file(out)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Puts a `todo!` in the place of each solution.
///
/// # Errors
///
/// If markers do not pair up.
pub fn cut(source: &str) -> Result<String> {
    let mut text = String::new();
    let mut inside = false;
    for line in source.lines() {
        match marker(line) {
            Some((exercise, hint)) => {
                ensure!(!inside, "a solution begins before the last one ended: {line}");
                inside = true;
                let indent = &line[..line.len() - line.trim_start().len()];
                let message = format!("Task {exercise}: {hint}")
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"");
                let message = message.replace('{', "{{").replace('}', "}}");
                text.push_str(&format!("{indent}todo!(\"{message}\")\n"));
            }
            None if is_end(line) => {
                ensure!(inside, "a solution ends that did not begin: {line}");
                inside = false;
            }
            None if !inside => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    ensure!(!inside, "the last solution does not end");
    Ok(text)
}

/// The top README without the lines that link to what students do not have.
fn without_instructors_lines(readme: &str) -> String {
    let for_students = |line: &&str| !INSTRUCTORS_LINKS.iter().any(|link| line.contains(link));
    readme
        .lines()
        .filter(for_students)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// All solutions of a source file.
#[must_use]
pub fn solutions(source: &str) -> Vec<Solution> {
    let mut all: Vec<Solution> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        if let Some((exercise, hint)) = marker(line) {
            inside = true;
            all.push(Solution {
                exercise,
                hint,
                lines: Vec::new(),
            });
        } else if is_end(line) {
            inside = false;
        } else if let (true, Some(solution)) = (inside, all.last_mut()) {
            solution.lines.push(line.to_owned());
        }
    }
    all
}

/// Number and hint of a line that begins a solution.
fn marker(line: &str) -> Option<(String, String)> {
    let rest = line.trim().strip_prefix("// BEGIN SOLUTION ")?;
    let (exercise, hint) = rest.split_once(' ').unwrap_or((rest, "write this function"));
    Some((exercise.to_owned(), hint.trim().to_owned()))
}

fn is_end(line: &str) -> bool {
    line.trim() == "// END SOLUTION"
}

/// Leaves in the workspace's manifest the members that are there, and adds the check.
fn keep_members(out: &Path) -> Result<()> {
    let path = out.join("Cargo.toml");
    let mut manifest: DocumentMut = fs::read_to_string(&path)?.parse()?;
    let workspace = manifest.get("workspace");
    let listed = workspace
        .and_then(|workspace| workspace.get("members")?.as_array())
        .context("the workspace's Cargo.toml lists no members")?;
    let is_there = |member: &&str| out.join(member.trim_end_matches("/*")).is_dir();
    let kept = listed.iter().filter_map(|member| member.as_str()).filter(is_there);
    let members: Array = kept.chain([THEIR_CHECK]).collect();
    manifest["workspace"]["members"] = toml_edit::value(members);
    write(&path, manifest.to_string().as_bytes())
}

/// Lets cargo drop from the lock file what only the instructor's crates need.
fn prune_lock_file(out: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["update", "--offline", "--workspace", "--quiet"])
        .current_dir(out)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo does not read the tree that was cut: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn f() -> f64 {\n    // BEGIN SOLUTION 6.1 say \"{}\"\n    let secret = 1.0;\n    secret\n  \
                            // END SOLUTION\n}\n";

    #[test]
    fn a_solution_becomes_a_todo() -> Result<()> {
        assert_eq!(
            cut(SOURCE)?,
            "fn f() -> f64 {\n    todo!(\"Task 6.1: say \\\"{{}}\\\"\")\n}\n"
        );
        let found = solutions(SOURCE);
        assert_eq!((found[0].exercise.as_str(), found[0].lines.len()), ("6.1", 2));
        Ok(())
    }

    #[test]
    fn lines_for_instructors_leave_the_readme() {
        let readme =
            "# Title\n| [`grader`](grader/README.md) | for instructors |\n| [`shared/`](ARCHITECTURE.md) | for all |\n";
        assert_eq!(
            without_instructors_lines(readme),
            "# Title\n| [`shared/`](ARCHITECTURE.md) | for all |\n"
        );
    }

    #[test]
    fn unpaired_markers_are_refused() {
        let without_end = SOURCE.replace("// END SOLUTION", "");
        let without_begin = SOURCE.replace("// BEGIN SOLUTION", "// a solution");
        assert!(cut(&without_end).is_err() && cut(&without_begin).is_err());
        assert!(cut(&format!("{without_end}{SOURCE}")).is_err());
    }
}
