//! The doctor finds nothing in this tree, and names what is wrong in broken copies.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use grader::course::doctor::{Build, examine};
use walkdir::WalkDir;

use crate::root;

#[test]
fn this_tree_agrees_with_itself() -> Result<()> {
    let findings = examine(&root(), Build::No)?;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

/// What the doctor reads, copied, without pictures.
fn copy(to: &Path) -> Result<()> {
    for folder in ["tasks", "notebooks", "grader/worker", "grader/thresholds.toml"] {
        let files = WalkDir::new(root().join(folder)).into_iter();
        let files = files.filter_entry(|entry| entry.file_name() != "target" && entry.file_name() != ".venv");
        for entry in files {
            let path = entry?.into_path();
            let is_read = |kind: &std::ffi::OsStr| ["rs", "toml", "md", "ipynb"].iter().any(|read| kind == *read);
            if path.extension().is_some_and(is_read) {
                let target = to.join(path.strip_prefix(root())?);
                fs::create_dir_all(target.parent().context("a folder")?)?;
                fs::copy(&path, target)?;
            }
        }
    }
    Ok(())
}

/// Breaks a copy: in a file, one text becomes another. The findings.
fn broken(file: &str, text: &str, other: &str) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    copy(folder.path())?;
    let path = folder.path().join(file);
    let whole = fs::read_to_string(&path)?;
    assert!(whole.contains(text), "{file} does not hold `{text}`");
    fs::write(&path, whole.replacen(text, other, 1))?;
    examine(folder.path(), Build::No)
}

/// Whether one of the findings holds all the words.
fn is_named(findings: &[String], words: &[&str]) -> bool {
    findings
        .iter()
        .any(|finding| words.iter().all(|word| finding.contains(word)))
}

#[test]
fn each_kind_of_disagreement_is_named() -> Result<()> {
    let list = "tasks/tasks.toml";
    let cases: [(&str, &str, &str, &[&str]); 10] = [
        (
            list,
            "\"6.3\" = { formula = 2 }\n",
            "",
            &["lacks exercise 6.3", "task6_dps/src", "add it"],
        ),
        (
            list,
            "\"6.3\" = { formula = 2 }",
            "\"6.3\" = { formula = 1 }",
            &["add up to 99", "expected 100"],
        ),
        (
            list,
            "\"6.3\" = { formula = 2 }",
            "\"6.3\" = { formula = 2, sampler = 0 }",
            &["no check \"6.3 sampler\""],
        ),
        (
            list,
            "notebook = \"6_dps\"",
            "notebook = \"6_dqs\"",
            &["notebooks/6_dqs.ipynb", "cannot be read"],
        ),
        (
            list,
            "crate = \"task6_dps\"",
            "crate = \"task6_dqs\"",
            &["tasks/task6_dps", "add a stanza"],
        ),
        (list, "[[task]]", "[task]", &["tasks/tasks.toml", "mend it first"]),
        (
            "tasks/task5_score_ald/src/lib.rs",
            "// END SOLUTION",
            "",
            &["task5_score_ald/src/lib.rs", "END SOLUTION"],
        ),
        (
            "tasks/task4_sdedit/README.md",
            "# Task 4: SDEdit",
            "# SDEdit",
            &["does not begin with `# Task 4: SDEdit`"],
        ),
        (
            "tasks/task3_generate/README.md",
            "| 3.2 |",
            "| 3.7 |",
            &["task3_generate/README.md", "exercise 3.2", "add it"],
        ),
        (
            "grader/thresholds.toml",
            "[bands.",
            "[points]\n\"6.3 formula\" = 3.0\n\n[bands.",
            &["add up to 101"],
        ),
    ];
    for (file, text, other, words) in cases {
        let findings = broken(file, text, other)?;
        assert!(
            is_named(&findings, words),
            "{words:?} is not in:\n{}",
            findings.join("\n")
        );
    }
    Ok(())
}

#[test]
fn a_missing_notebook_and_a_folder_that_is_not_listed_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    copy(folder.path())?;
    fs::remove_file(folder.path().join("notebooks/2_denoise.ipynb"))?;
    fs::create_dir(folder.path().join("tasks/task7_new"))?;
    let findings = examine(folder.path(), Build::No)?;
    assert!(
        is_named(&findings, &["notebooks/2_denoise.ipynb", "add it"]),
        "{findings:?}"
    );
    assert!(
        is_named(&findings, &["tasks/task7_new", "add a stanza"]),
        "{findings:?}"
    );
    assert_eq!(findings.len(), 2, "{findings:?}");
    Ok(())
}
