//! Classes as platforms hand them out, and as several machines grade them.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use grader::class::find;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::root;

const LIB: &str = "tasks/task2_denoise/src/lib.rs";

fn zipped(entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in entries {
        writer.start_file(*path, SimpleFileOptions::default())?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().context("a path")?)?;
    Ok(fs::write(file, bytes)?)
}

fn reference() -> Result<Vec<u8>> {
    Ok(fs::read(root().join(LIB))?)
}

/// A student's id, name and late mark.
type Named = (String, String, bool);

/// The students, and what was passed over.
fn found(path: &Path) -> Result<(Vec<Named>, Vec<String>)> {
    let class = find(path)?;
    let students = class.students.iter();
    let students = students.map(|student| (student.id.clone(), student.name.clone(), student.late));
    let passed = class.passed_over.iter().map(|passed| passed.name.clone());
    Ok((students.collect(), passed.collect()))
}

fn student(id: &str, name: &str, late: bool) -> Named {
    (id.into(), name.into(), late)
}

#[test]
fn each_platforms_download_is_one_student_each() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = reference()?;
    let archive = zipped(&[(LIB, &source)])?;

    let moodle = folder.path().join("moodle");
    put(&moodle, "Doe Jane_123_assignsubmission_file/s.zip", &archive)?;
    put(&moodle, "Müller Özgür_7_assignsubmission_file_/inner/hw.zip", &archive)?;
    put(
        &moodle,
        "Doe Jane_123_assignsubmission_onlinetext/onlinetext.html",
        b"hello",
    )?;
    put(&moodle, "__MACOSX/._s.zip", b"x")?;
    put(&moodle, "index.html", b"x")?;
    let (students, passed) = found(&moodle)?;
    assert_eq!(
        students,
        [student("123", "Doe Jane", false), student("7", "Müller Özgür", false)]
    );
    assert_eq!(
        passed,
        ["Doe Jane_123_assignsubmission_onlinetext", "__MACOSX", "index.html"]
    );

    let canvas = folder.path().join("canvas");
    put(&canvas, "smithann_LATE_44_55_s.zip", &archive)?;
    put(&canvas, "lovelaceada_45_56_lib.rs", &source)?;
    put(&canvas, "lovelaceada_45_99_lib-1.rs", &source)?;
    let (students, passed) = found(&canvas)?;
    assert_eq!(
        students,
        [student("45", "lovelaceada", false), student("44", "smithann", true)]
    );
    assert_eq!(passed, ["lovelaceada_45_56_lib.rs"]);

    let gradescope = folder.path().join("gradescope");
    put(&gradescope, "submission_7/tasks/task2_denoise/src/lib.rs", &source)?;
    put(&gradescope, "submission_8/lib.rs", &source)?;
    let about = b"submission_7:\n  :submitters:\n  - :name: Ada\n    :sid: '1815'\n";
    put(&gradescope, "submission_metadata.yml", about)?;
    let (students, passed) = found(&gradescope)?;
    assert_eq!(
        students,
        [
            student("1815", "Ada", false),
            student("submission_8", "submission_8", false)
        ]
    );
    assert_eq!(passed, ["submission_metadata.yml"]);

    // ILIAS wraps all in folders.
    let ilias = folder.path().join("ilias");
    put(
        &ilias,
        "Exercise 1/Abgaben/Lovelace_Ada_ada1815_4711/20260131235959_hw.zip",
        b"earlier",
    )?;
    put(
        &ilias,
        "Exercise 1/Abgaben/Lovelace_Ada_ada1815_4711/20260201080000_hw.zip",
        &archive,
    )?;
    put(&ilias, "Exercise 1/Abgaben/Smith_Ann_ann_4712/lib.rs", &source)?;
    let (students, _) = found(&ilias)?;
    assert_eq!(
        students,
        [
            student("4711", "Ada Lovelace", false),
            student("4712", "Ann Smith", false)
        ]
    );

    let classroom = folder.path().join("classroom");
    put(&classroom, "homework-ada/tasks/task2_denoise/src/lib.rs", &source)?;
    put(&classroom, "homework-ben/tasks/task2_denoise/src/lib.rs", &source)?;
    assert_eq!(found(&classroom)?.0.len(), 2);

    // One archive of everything.
    let everything = folder.path().join("everything.zip");
    let entries: [(&str, &[u8]); 3] = [
        ("class/Doe Jane_123_assignsubmission_file/s.zip", &archive),
        ("class/Eva_9_assignsubmission_file/lib.rs", &source),
        ("__MACOSX/class/._x", b"x"),
    ];
    fs::write(&everything, zipped(&entries)?)?;
    assert_eq!(
        found(&everything)?.0,
        [student("123", "Doe Jane", false), student("9", "Eva", false)]
    );
    assert!(find(&folder.path().join("nowhere")).is_err());
    Ok(())
}

fn grader(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_grader"))
        .arg("--root")
        .arg(root())
        .args(arguments)
        .output()?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A small class for task 2: some right, some wrong, one empty, one broken.
fn class(folder: &Path) -> Result<PathBuf> {
    let class = folder.join("class");
    let source = String::from_utf8(reference()?)?;
    let wrong = source.replacen("(1.0 - alpha_bar_t).sqrt()", "(1.0 + alpha_bar_t).sqrt()", 1);
    ensure!(wrong != source, "the mistake does not change the reference");
    for (name, text) in [("ada", &source), ("ben", &wrong), ("cleo", &source), ("eva", &wrong)] {
        put(&class, &format!("{name}/{LIB}"), text.as_bytes())?;
    }
    put(&class, "dan.zip", b"no archive")?;
    fs::create_dir(class.join("finn"))?;
    Ok(class)
}

/// The table without the times.
fn scores(out: &Path) -> Result<Vec<String>> {
    let table = fs::read_to_string(out.join("scores.csv"))?;
    let without_time = |line: &str| {
        line.rsplit_once(',')
            .map_or(String::new(), |(start, _)| start.to_owned())
    };
    Ok(table.lines().map(without_time).collect())
}

#[test]
fn three_machines_grade_a_class_as_one_does() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let class = class(folder.path())?.display().to_string();
    let one = folder.path().join("one").display().to_string();
    let flags = ["--no-images", "--tasks", "2"];
    let output = grader(&[&["batch", &class, "--out", &one, "--jobs", "2"], &flags[..]].concat())?;
    assert!(output.status.success(), "{}", said(&output));

    let out = folder.path().join("parts").display().to_string();
    let shard = |variables: &[(&str, &str)]| -> Result<Output> {
        let mut script = Command::new("bash");
        script.arg(root().join("grader/recipes/shard.sh")).args([&class, &out]);
        script.arg("--root").arg(root()).args(flags);
        script.env("GRADER", env!("CARGO_BIN_EXE_grader"));
        Ok(script.envs(variables.iter().copied()).output()?)
    };
    // As the three schedulers set them.
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "4"),
        ("SLURM_ARRAY_TASK_MIN", "4"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
    ];
    let output = shard(&slurm)?;
    assert!(output.status.success(), "{}", said(&output));
    let output = shard(&[("JOB_COMPLETION_INDEX", "1"), ("COMPLETIONS", "3")])?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(!shard(&[])?.status.success(), "no scheduler has said which part");

    // The third machine is not done yet, then it is killed.
    let parts: Vec<String> = (1..=3).map(|part| format!("{out}/part-{part}")).collect();
    let all = folder.path().join("all").display().to_string();
    let merge = |parts: &[String]| -> Result<Output> {
        let mut arguments = vec!["merge"];
        arguments.extend(parts.iter().map(String::as_str));
        arguments.extend(["--out", &all]);
        grader(&arguments)
    };
    let output = merge(&parts[..2])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output).matches("missing: ").count(), 2, "{}", said(&output));
    let matrix = [("SHARD", "3"), ("SHARDS", "3")];
    assert!(shard(&matrix)?.status.success());
    // What is left of a killed part: one submission without a summary, and a result that says so.
    let reports = Path::new(&parts[2]).join("reports");
    let killed = fs::read_dir(&reports)?.flatten().next().context("a report")?.path();
    fs::remove_file(killed.join("summary.json"))?;
    assert!(shard(&matrix)?.status.success());
    let output = merge(&parts)?;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scores(Path::new(&all))?, scores(Path::new(&one))?);

    let output = merge(&[&parts[..], &parts[..1]].concat())?;
    assert_eq!(said(&output).matches("graded twice: ").count(), 2, "{}", said(&output));
    let other = folder.path().join("other").display().to_string();
    let seed = ["batch", &class, "--out", &other, "--shard", "1/3", "--seed", "5"];
    assert!(grader(&[&seed, &flags[..]].concat())?.status.success());
    let output = merge(&[&parts[1..], &[other]].concat())?;
    assert!(said(&output).contains("with another secret"), "{}", said(&output));
    Ok(())
}

#[test]
fn who_would_be_graded_from_what_is_shown_first() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let class = class(folder.path())?;
    put(&class, "index.html", b"x")?;
    let output = grader(&["batch", &class.display().to_string(), "--dry-run", "--tasks", "2"])?;
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for words in [
        "ada (ada) from `ada`: task2_denoise",
        "finn (finn) from `finn`: nothing",
        "neither a folder nor a zip archive",
        "passed over: index.html",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    Ok(())
}

/// Points by hand and due dates are in the tables also after a regrading, and the sources are there for a comparison.
#[test]
fn tables_hold_what_instructors_decide() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let class = class(folder.path())?.display().to_string();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        path("due.csv"),
        "id,submitted,due\nada,2026-02-01T12:00Z,2026-01-31T12:00Z\n",
    )?;
    fs::write(
        path("overrides.csv"),
        "id,check,points,comment\nben,2.1 formula,2.5,half\nzoe,manual,1,who\n",
    )?;
    let (due, overrides, out) = (path("due.csv"), path("overrides.csv"), path("out"));
    let arguments = ["batch", &class, "--out", &out, "--no-images", "--tasks", "2"];
    let decided = ["--due", &due, "--overrides", &overrides, "--late-percent", "10"];
    let output = grader(&[&arguments[..], &decided].concat())?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("no submission is of the student `zoe`"),
        "{}",
        said(&output)
    );
    let total = |name: &str| -> Result<String> {
        let mut table = csv::Reader::from_path(Path::new(&out).join("scores.csv"))?;
        let rows = table.records().collect::<Result<Vec<_>, _>>()?;
        let row = rows.iter().find(|row| &row[1] == name).context("a row")?;
        Ok(row[3].to_owned())
    };
    assert_eq!((total("ada")?, total("cleo")?), ("12.60".into(), "14.00".into()));
    assert_eq!(total("ben")?, "11.50");
    let output = grader(&["jplag", &class, "--out", &path("jplag"), "--tasks", "2"])?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(folder.path().join("jplag/ada/task2_denoise/lib.rs").is_file());
    Ok(())
}

/// Two submissions that sleep for ten seconds each end at about the same time.
#[test]
fn two_jobs_grade_two_submissions_at_a_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    let source = String::from_utf8(reference()?)?;
    let sleep = "std::thread::sleep(std::time::Duration::from_secs(2));\n    // BEGIN SOLUTION 2.1";
    let asleep = source.replacen("// BEGIN SOLUTION 2.1", sleep, 1);
    ensure!(asleep != source, "it does not sleep");
    for name in ["ada", "ben"] {
        put(&class, &format!("{name}/{LIB}"), asleep.as_bytes())?;
    }
    let (class, out_text) = (class.display().to_string(), out.display().to_string());
    let batch = [
        "batch",
        &class,
        "--out",
        &out_text,
        "--jobs",
        "2",
        "--no-images",
        "--tasks",
        "2",
    ];
    let output = grader(&batch)?;
    assert!(output.status.success(), "{}", said(&output));
    let done = |name: &str| fs::metadata(out.join("reports").join(name).join("summary.json"))?.modified();
    let (ada, ben) = (done("ada")?, done("ben")?);
    let apart = ada.duration_since(ben).or_else(|_| ben.duration_since(ada))?;
    assert!(apart.as_secs() < 8, "one was graded after the other: {apart:?}");
    Ok(())
}
