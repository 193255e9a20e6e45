//! Do the public tests name the mistake? Each task lists plausible ones in `tests/mistakes.toml`; here they are made in
//! the reference solution, one at a time, and the task's tests must fail and say what is wrong. And do they know what
//! is right? Correct solutions that are written otherwise, in `tests/variants.toml`, must pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grader::Task;
use grader::course::rehearse::test_targets;
use grader::grading::kit::MAY_NAME;
use toml_edit::{DocumentMut, Item, TableLike};

use crate::list::{Mistake, mistakes, variants};
use crate::part::Part;
use crate::{chosen_tasks, root, target_folder};

/// What the tasks' formulas and the tests of them stand on, as far as it is there.
const SHARED: [&str; 6] = [
    "shared/diffusion",
    "shared/files",
    "shared/imaging",
    "shared/checks",
    "shared/probe",
    "tasks/testing",
];
/// Parts of a task that need more: its program, and the tests with the network.
const LEFT_OUT: [&str; 6] = [
    "src/main.rs",
    "src/bin",
    "tests/images.rs",
    "tests/images",
    "examples",
    "figures",
];
/// Tables of a manifest that name files which were left out.
const TARGETS: [&str; 4] = ["bin", "example", "bench", "test"];

/// A small workspace, under `target/`: all tasks without their programs, and the crates that these stand on. It is
/// built once, beside this workspace, whose compiled libraries it takes; a mistake then compiles only its task and the
/// tests.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn new() -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
        let copy = Self { folder };
        for shared in SHARED.iter().filter(|shared| root().join(shared).is_dir()) {
            copy.add_crate(shared, &["tests", "examples"], |manifest| {
                manifest.remove("dev-dependencies");
            })?;
        }
        for task in Task::all() {
            copy.add_task(task)?;
        }
        fs::copy(root().join("Cargo.lock"), copy.folder.join("Cargo.lock"))?;
        copy.write_manifest()?;
        Ok(copy)
    }

    /// A task without its program, and without the dependencies of that.
    fn add_task(&self, task: Task) -> Result<()> {
        let given = task.listed().given.iter().map(|file| format!("src/{file}"));
        let left_out: Vec<String> = LEFT_OUT.map(String::from).into_iter().chain(given).collect();
        let left_out: Vec<&str> = left_out.iter().map(String::as_str).collect();
        self.add_crate(&format!("tasks/{}", task.crate_name()), &left_out, |manifest| {
            manifest.remove("features");
            retain(&mut manifest["dependencies"], |name| {
                MAY_NAME.contains(&name.replace('-', "_").as_str())
            });
            let shared = |folder: &Path, name: &str| folder.join("shared").join(name).is_dir();
            retain(&mut manifest["dev-dependencies"], |name| {
                !shared(&root(), name) || shared(&self.folder, name)
            });
        })
    }

    /// Copies a crate without some of its parts, and edits its manifest.
    fn add_crate(&self, folder: &str, left_out: &[&str], edit: impl Fn(&mut DocumentMut)) -> Result<()> {
        let (from, to) = (root().join(folder), self.folder.join(folder));
        let left_out: Vec<&str> = left_out.iter().copied().chain(["Cargo.toml"]).collect();
        sync(&from, &to, &left_out)?;
        let mut manifest = parse(&from.join("Cargo.toml"))?;
        TARGETS.iter().for_each(|table| drop(manifest.remove(table)));
        edit(&mut manifest);
        write(&to.join("Cargo.toml"), manifest.to_string().as_bytes())
    }

    /// The workspace's manifest with the members and the profiles of what the copy has.
    fn write_manifest(&self) -> Result<()> {
        let path = self.folder.join("Cargo.toml");
        let mut manifest = parse(&root().join("Cargo.toml"))?;
        let members: toml_edit::Array = ["shared/*", "tasks/*"].into_iter().collect();
        manifest["workspace"]["members"] = toml_edit::value(members);
        let profile = &mut manifest["profile"]["dev"];
        let profiles = std::mem::take(&mut profile["package"]);
        // Formulas on small arrays: here the compiler takes longer than what it optimises.
        (profile["debug"], profile["incremental"]) = (toml_edit::value(false), toml_edit::value(true));
        write(&path, manifest.to_string().as_bytes())?;
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(&path)
            .other_options(["--offline".to_owned()])
            .exec()?;
        let is_there = |spec: &str| {
            let name = spec.split('@').next().unwrap_or(spec);
            let is_task = Task::all().iter().any(|task| task.crate_name() == name);
            name == "*" || !is_task && metadata.packages.iter().any(|package| package.name.as_str() == name)
        };
        manifest["profile"]["dev"]["package"] = profiles;
        retain(&mut manifest["profile"]["dev"]["package"], is_there);
        write(&path, manifest.to_string().as_bytes())
    }

    fn source(&self, task: Task) -> PathBuf {
        self.folder.join("tasks").join(task.crate_name()).join("src/lib.rs")
    }

    /// Runs the task's tests on `source`; whether they passed, and what they said, on one line.
    fn test(&self, task: Task, source: &str) -> Result<(bool, String)> {
        write(&self.source(task), source.as_bytes())?;
        let mut arguments = vec![
            "test",
            "--quiet",
            "--offline",
            "--no-fail-fast",
            "-p",
            task.crate_name(),
        ];
        let targets = test_targets(&self.folder.join("tasks").join(task.crate_name()).join("tests"))?;
        arguments.extend(targets.iter().flat_map(|name| ["--test", name]));
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target_folder()?)
            .env("RUST_BACKTRACE", "0")
            .output()
            .context("cargo runs")?;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(!text.contains("could not compile"), "this does not compile: {text}");
        Ok((
            output.status.success(),
            text.split_whitespace().collect::<Vec<_>>().join(" "),
        ))
    }

    /// Mistakes that the tests of a task do not name, in words.
    fn missed(&self, task: Task, part: &Part) -> Result<Vec<String>> {
        let (name, solution) = (task.crate_name(), fs::read_to_string(self.source(task))?);
        let (passed, text) = self.test(task, &solution)?;
        ensure!(passed, "the tests of {name} fail on the reference solution: {text}");
        let (mistakes, clock, mut missed) = (part.of(mistakes(task)?), Instant::now(), Vec::new());
        for Mistake { correct, mistake, says } in &mistakes.taken {
            ensure!(
                solution.contains(correct),
                "the solution of {name} does not contain `{correct}`"
            );
            let (passed, text) = self.test(task, &solution.replacen(correct, mistake, 1))?;
            if passed {
                missed.push(format!("{name}: `{mistake}` for `{correct}`: the tests pass"));
            } else if says.is_empty() || !text.contains(says) {
                missed.push(format!(
                    "{name}: `{mistake}` for `{correct}`: nothing says `{says}`, but: {text}"
                ));
            }
        }
        let seconds = clock.elapsed().as_secs_f64() / mistakes.taken.len().max(1) as f64;
        println!(
            "{name}: {mistakes}; {} are not named; {seconds:.1} s each",
            missed.len()
        );
        write(&self.source(task), solution.as_bytes())?;
        Ok(missed)
    }
}

impl Copy {
    /// Correct variants that the tests of a task refuse, in words.
    fn refused(&self, task: Task, part: &Part) -> Result<Vec<String>> {
        let (name, solution) = (task.crate_name(), fs::read_to_string(self.source(task))?);
        let (variants, mut refused) = (part.of(variants(task)?), Vec::new());
        for variant in &variants.taken {
            let (passed, text) = self.test(task, &variant.of(&solution)?)?;
            if !passed {
                refused.push(format!(
                    "{name}: the correct variant `{}` is refused: {text}",
                    variant.name
                ));
            }
        }
        println!(
            "{name}: {variants} of the correct variants; {} are refused",
            refused.len()
        );
        write(&self.source(task), solution.as_bytes())?;
        Ok(refused)
    }
}

fn parse(manifest: &Path) -> Result<DocumentMut> {
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read `{}`", manifest.display()))?;
    text.parse().with_context(|| format!("`{}`", manifest.display()))
}

/// Keeps the entries of a table by their names; where there is no table, there is nothing to do.
fn retain(table: &mut Item, keep: impl Fn(&str) -> bool) {
    let Some(table) = table.as_table_like_mut() else { return };
    let names: Vec<String> = TableLike::iter(table).map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| !keep(name)) {
        table.remove(name);
    }
}

/// Makes a folder the same as another, but for some of its parts and its manifest. Files that are the same already are
/// not touched, so that cargo need not build them anew.
fn sync(from: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(folder).into_iter().flatten();
        let files = files.filter(|entry| entry.file_type().is_file());
        files
            .filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_owned()))
            .collect()
    };
    let kept: Vec<PathBuf> = files(from)
        .into_iter()
        .filter(|path| !left_out.iter().any(|part| path.starts_with(part)))
        .collect();
    let manifest = Path::new("Cargo.toml");
    for gone in files(to)
        .iter()
        .filter(|path| *path != manifest && !kept.contains(path))
    {
        fs::remove_file(to.join(gone))?;
    }
    for path in kept {
        write(&to.join(&path), &fs::read(from.join(&path))?)?;
    }
    Ok(())
}

/// Writes a file unless it holds those bytes already.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

#[test]
#[ignore = "builds a task once for each mistake: minutes"]
fn the_tests_of_the_tasks_name_every_mistake() -> Result<()> {
    let (copy, part, mut missed) = (Copy::new()?, Part::from_environment("mistakes")?, Vec::new());
    for task in chosen_tasks()? {
        missed.extend(copy.missed(task, &part)?);
        missed.extend(copy.refused(task, &part)?);
    }
    ensure!(missed.is_empty(), "{}", missed.join("\n\n"));
    Ok(())
}
