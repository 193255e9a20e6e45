//! What is taken from folders and archives that anybody may have made.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use grader::Task;
use grader::submission::{MOST_BYTES, MOST_FILES, read_submission, read_submission_for};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::task;

const LIB: &str = "pub fn predict_x0() {}\n";

fn put(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap_or(root))?;
    Ok(fs::write(file, bytes)?)
}

/// Paths and contents of an archive.
type Entries<'a> = &'a [(&'a str, &'a [u8])];

fn archive(entries: Entries<'_>) -> Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in entries {
        writer.start_file(*path, SimpleFileOptions::default())?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[test]
fn only_the_students_own_sources_are_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for path in ["src/lib.rs", "src/norms.rs", "src/deep/mod.rs"] {
        put(folder.path(), &format!("a/tasks/task6_dps/{path}"), LIB.as_bytes())?;
    }
    for path in [
        "Cargo.toml",
        "build.rs",
        "src/main.rs",
        "src/bin/x.rs",
        ".cargo/config.toml",
        "tests/all/formulas.rs",
    ] {
        put(folder.path(), &format!("a/tasks/task6_dps/{path}"), b"hostile")?;
    }
    put(folder.path(), "a/tasks/task4_sdedit/src/edit.rs", b"hostile")?;
    put(folder.path(), "a/tasks/task4_sdedit/src/lib.rs", LIB.as_bytes())?;
    let submission = read_submission(folder.path())?;
    let taken: Vec<&String> = submission.sources[&task(6)].keys().collect();
    assert_eq!(taken, ["deep/mod.rs", "lib.rs", "norms.rs"]);
    assert_eq!(submission.sources[&task(4)].keys().collect::<Vec<_>>(), ["lib.rs"]);
    assert_eq!(submission.folders[&task(6)], "a/tasks/task6_dps");
    assert!(!submission.sources.contains_key(&task(2)));
    Ok(())
}

#[test]
fn links_large_files_and_other_text_are_refused_and_named() -> Result<()> {
    let (folder, secret) = (tempfile::tempdir()?, tempfile::NamedTempFile::new()?);
    fs::write(secret.path(), LIB)?;
    let src = folder.path().join("task6_dps/src");
    fs::create_dir_all(&src)?;
    symlink(secret.path(), src.join("lib.rs"))?;
    symlink(folder.path(), src.join("loop"))?;
    put(&src, "large.rs", &vec![b' '; MOST_BYTES as usize + 1])?;
    put(&src, "latin.rs", b"// caf\xe9")?;
    let submission = read_submission(folder.path())?;
    assert!(submission.sources.is_empty(), "{:?}", submission.sources);
    for (name, why) in [
        ("lib.rs", "symbolic link"),
        ("loop", "symbolic link"),
        ("large.rs", "larger"),
        ("latin.rs", "UTF-8"),
    ] {
        let is_named = |note: &String| note.contains(name) && note.contains(why);
        assert!(
            submission.notes.iter().any(is_named),
            "{name}, {why}: {:?}",
            submission.notes
        );
    }
    Ok(())
}

#[test]
fn an_archive_cannot_leave_its_place_or_unpack_without_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bomb = vec![b' '; 64 << 20];
    let bytes = archive(&[
        ("task6_dps/src/lib.rs", LIB.as_bytes()),
        ("../task5_score_ald/src/lib.rs", LIB.as_bytes()),
        ("/task3_generate/src/lib.rs", LIB.as_bytes()),
        ("task2_denoise/src/lib.rs", &bomb),
    ])?;
    let path = folder.path().join("submission.zip");
    fs::write(&path, bytes)?;
    let submission = read_submission(&path)?;
    assert_eq!(submission.sources.keys().collect::<Vec<_>>(), [&task(6)]);
    let text = submission.notes.join("\n");
    assert!(
        text.contains("leads out of the submission") && text.contains("larger than"),
        "{text}"
    );
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "something was unpacked");
    Ok(())
}

#[test]
fn too_many_files_are_cut_off() -> Result<()> {
    let folder = tempfile::tempdir()?;
    put(folder.path(), "task6_dps/src/lib.rs", LIB.as_bytes())?;
    for index in 0..MOST_FILES + 5 {
        put(folder.path(), &format!("task6_dps/src/z{index}.rs"), LIB.as_bytes())?;
    }
    let submission = read_submission(folder.path())?;
    assert_eq!(submission.sources[&task(6)].len(), MOST_FILES);
    Ok(())
}

#[test]
fn no_archive_is_an_error_in_words() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), "not a zip")?;
    let error = read_submission(file.path())
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(error.contains("nor a zip archive"), "{error}");
    assert!(read_submission(Path::new("nowhere")).is_err());
    Ok(())
}

/// What students upload, each with task 2 alone: taken where there is no doubt, else told what came and what is needed.
#[test]
fn oddly_named_uploads_of_one_task_are_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let inner = archive(&[("tasks/task2_denoise/src/lib.rs", LIB.as_bytes())])?;
    let source = LIB.as_bytes();
    let cases: [(Entries<'_>, bool); 12] = [
        (&[("lib.rs", source)], true),
        (&[("src/lib.rs", source)], true),
        (&[("tasks/task2_denoise/src/lib (1).rs", source)], true),
        (&[("tasks/task2_denoise (1)/src/lib.rs", source)], true),
        (&[("tasks/Task2_denoise/src/lib.rs", source)], true),
        (&[("task2/src/lib.rs", source)], true),
        (&[("diffusion-main/tasks/task2_denoise/src/lib.rs", source)], true),
        (&[("s.zip", &inner)], true),
        (&[("s-1.zip", b"broken"), ("s-2.zip", &inner)], true),
        (&[("a/lib.rs", source), ("b/lib.rs", source)], false),
        (&[("solution.py", source), ("report.pdf", source)], false),
        (&[("a.zip", &inner), ("b.zip", &inner)], false),
    ];
    for (entries, is_taken) in cases {
        let path = folder.path().join("submission.zip");
        fs::write(&path, archive(entries)?)?;
        let submission = read_submission_for(&path, &[task(2)])?;
        assert_eq!(
            submission.sources.contains_key(&task(2)),
            is_taken,
            "{:?}",
            submission.notes
        );
        if !is_taken {
            let said = submission.missing(task(2));
            assert!(said.contains("tasks/task2_denoise/src/lib.rs"), "{said}");
            assert!(entries.iter().all(|(name, _)| said.contains(name)), "{said}");
        }
        // With all tasks a lone file could be any of them.
        let all = read_submission_for(&path, &Task::all())?;
        let is_named = entries[0].0.to_lowercase().contains("task2") || entries[0].0.ends_with(".zip");
        assert_eq!(
            all.sources.contains_key(&task(2)),
            is_taken && is_named,
            "{:?}",
            entries[0].0
        );
    }
    Ok(())
}

#[test]
fn conflicting_and_overlong_names_cost_only_their_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let long = format!("task6_dps/src/{}.rs", "x".repeat(300));
    let path = folder.path().join("submission.zip");
    let entries = [
        ("task6_dps/src/lib.rs", LIB.as_bytes()),
        ("task6_dps/src/x.rs", b""),
        ("task6_dps/src/x.rs/y.rs", b""),
        (&long, b""),
    ];
    fs::write(&path, archive(&entries)?)?;
    let submission = read_submission(&path)?;
    assert_eq!(
        submission.sources[&task(6)].keys().collect::<Vec<_>>(),
        ["lib.rs", "x.rs"]
    );
    let text = submission.notes.join("\n");
    assert!(
        text.contains("the name of its folder") && text.contains("longer than 200 bytes"),
        "{text}"
    );
    Ok(())
}

/// All sources of a task together have a limit, which is applied while they are read.
#[test]
fn the_sources_of_a_task_are_not_read_without_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    put(folder.path(), "task6_dps/src/lib.rs", LIB.as_bytes())?;
    for index in 0..12 {
        put(
            folder.path(),
            &format!("task6_dps/src/z{index:02}.rs"),
            &vec![b' '; MOST_BYTES as usize],
        )?;
    }
    let submission = read_submission(folder.path())?;
    let bytes: usize = submission.sources[&task(6)].values().map(String::len).sum();
    assert!(bytes <= 4 << 20, "{bytes}");
    assert!(
        submission.notes.iter().any(|note| note.contains("larger than")),
        "{:?}",
        submission.notes
    );
    Ok(())
}
