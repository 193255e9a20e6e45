//! Which crates a student's functions may name, in the grader's kit and in the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use grader::Task;
use grader::grading::compile::{COMPILE_LIMITS, compile};
use grader::grading::kit::{Kit, MAY_NAME};
use sandbox::Isolation;
use walkdir::WalkDir;

use crate::{root, task};

/// Compiles task 2 with a line in front; what the compiler says, if it does not compile.
fn compiled(kit: &Kit, line: &str) -> Result<Option<String>> {
    sandbox::use_helper(env!("CARGO_BIN_EXE_grader").into(), vec!["sandbox-exec".into()]);
    let source = fs::read_to_string(root().join("tasks/task2_denoise/src/lib.rs"))?;
    let (docs, code): (Vec<&str>, Vec<&str>) = source.lines().partition(|code| code.starts_with("//!"));
    let source = format!("{}\n{line}\n{}\n", docs.join("\n"), code.join("\n"));
    let sources = BTreeMap::from([("lib.rs".to_owned(), source)]);
    let folder = tempfile::tempdir()?;
    // What is tried here is no attack, so that it also runs where nothing can be isolated.
    let built = compile(kit, task(2), &sources, folder.path(), COMPILE_LIMITS, Isolation::Unsafe)?;
    Ok(built.err())
}

#[test]
fn a_submission_may_name_six_crates_and_no_other() -> Result<()> {
    let kit = Kit::prepare(&root())?;
    let six = MAY_NAME.map(|name| format!("use {name} as _;")).join(" ");
    assert_eq!(compiled(&kit, &six)?, None);
    for entry in fs::read_dir(kit.folder.join("deps"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let is_other = ["task", "worker", "grader", "methods", "cli"]
            .iter()
            .any(|name| file.starts_with(&format!("lib{name}")));
        assert!(!is_other, "{file} is in the kit");
    }
    for line in [
        "use clap::Parser;",
        "use cli::Judge as _;",
        "fn other() { metrics::psnr; }",
        "extern crate plots;",
    ] {
        let message = compiled(&kit, line)?.with_context(|| format!("`{line}` compiles"))?;
        let sentence = format!("may name the crates {} and the standard library", MAY_NAME.join(", "));
        assert!(message.contains(&sentence), "`{line}`: {message}");
    }
    Ok(())
}

/// In the workspace a task's program and its functions share one list of dependencies, so that nothing but this test
/// keeps the functions from naming what is for the program.
#[test]
fn the_functions_of_a_task_name_no_other_crates_in_the_workspace_either() -> Result<()> {
    for task in Task::all() {
        let folder = root().join("tasks").join(task.crate_name());
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
        let dependencies = manifest["dependencies"].as_table().context("no dependencies")?;
        let names = dependencies.keys().map(|name| name.replace('-', "_"));
        let forbidden: Vec<String> = names.filter(|name| !MAY_NAME.contains(&name.as_str())).collect();
        for file in sources(task, &folder.join("src"))? {
            let code = without_comments(&fs::read_to_string(folder.join("src").join(&file))?);
            for name in &forbidden {
                assert!(
                    !names_crate(&code, name),
                    "tasks/{}/src/{file} names {name}: its functions may name {}; what needs more belongs into main.rs",
                    task.crate_name(),
                    MAY_NAME.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// The student's own files, which are those of the library.
fn sources(task: Task, src: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(src) {
        let path = entry?.into_path();
        let file = path.strip_prefix(src)?.to_string_lossy().into_owned();
        if file.ends_with(".rs") && !task.listed().is_given(&file) {
            files.push(file);
        }
    }
    assert!(files.contains(&"lib.rs".to_owned()), "{files:?}");
    Ok(files)
}

fn without_comments(source: &str) -> String {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Whether a path in the code begins with the crate: `NAME::`, `::NAME`, `use NAME`, `extern crate NAME`, or `NAME` at
/// the start of a nested import.
fn names_crate(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(start, _)| {
        let (before, after) = (code[..start].trim_end(), code[start + name.len()..].trim_start());
        let is_word = !code[..start].ends_with(is_part) && !code[start + name.len()..].starts_with(is_part);
        // What stands before a leading `::` is no part of a path.
        let is_global = before
            .strip_suffix("::")
            .is_some_and(|path| !path.ends_with(is_part) && !path.ends_with('>'));
        let is_first = is_global || !before.ends_with("::");
        let is_import = ["use", "extern crate", "use {"]
            .iter()
            .any(|word| before.ends_with(word));
        is_word && is_first && (is_global || is_import || after.starts_with("::"))
    })
}

#[test]
fn a_name_is_found_where_it_is_a_crate() {
    for code in [
        "use clap::Parser;",
        "clap::Parser::parse()",
        "use {clap::Parser};",
        "extern crate clap;",
        "use ::clap::Parser;",
        "let x = ::clap::x();",
        "use clap as c;",
        "use {clap as c};",
    ] {
        assert!(names_crate(code, "clap"), "{code}");
    }
    for code in [
        "let clap = 1;",
        "use diffusion::clap::Parser;",
        "my_clap::x()",
        "clapper::x()",
    ] {
        assert!(!names_crate(code, "clap"), "{code}");
    }
}
