//! Compiles one task of a submission, and the worker around it, in the sandbox.
//!
//! rustc is called directly and not through cargo: nothing of a submission but its sources can take part then, and the
//! kit of compiled crates is only read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sandbox::{End, Finished, Isolation, Limits, Policy};

use crate::course::task::Task;
use crate::grading::kit::{Kit, MAY_NAME};
use crate::grading::scratch;
use crate::printable::printable;

/// What compiling one task may use, unless told otherwise. The clock is generous: somebody else may use the processor,
/// too.
pub const COMPILE_LIMITS: Limits = Limits {
    wall: Duration::from_secs(360),
    cpu: Duration::from_secs(120),
    memory_bytes: 4 << 30,
    processes: 256,
    output_bytes: 32 << 10,
    disk_bytes: 512 << 20,
};
/// Where the sandbox finds the linker and the system's libraries.
const SYSTEM: [&str; 6] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/alternatives",
];
/// Devices that programs expect.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

/// The largest program that is taken, in bytes.
const MOST_PROGRAM: u64 = 128 << 20;

/// A worker that was built from a student's sources.
#[derive(Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
}

/// Compiles the sources of a task into `folder/worker`; the inner error is what the compiler says to the student.
///
/// # Errors
///
/// If the sandbox cannot be set up, or files cannot be written.
pub fn compile(
    kit: &Kit,
    task: Task,
    sources: &BTreeMap<String, String>,
    folder: &Path,
    limits: Limits,
    isolation: Isolation,
) -> Result<Result<Worker, String>> {
    let scratch = scratch::make(folder, "compile")?;
    let built = compile_in(&scratch, kit, task, sources, folder, limits, isolation);
    scratch::remove(&scratch);
    built
}

fn compile_in(
    scratch: &Path,
    kit: &Kit,
    task: Task,
    sources: &BTreeMap<String, String>,
    folder: &Path,
    limits: Limits,
    isolation: Isolation,
) -> Result<Result<Worker, String>> {
    if let Err(why) = write_sources(scratch, task, sources) {
        return Ok(Err(format!("The sources cannot be compiled as they came: {why:#}.")));
    }
    let name = task.crate_name();
    let library: Vec<OsString> = [
        format!("tasks/{name}/src/lib.rs"),
        format!("--crate-name={name}"),
        "--crate-type=lib".into(),
        // Not to be lifted by an attribute in the sources: no task needs it, and it shuts out many a trick.
        "-Funsafe_code".into(),
    ]
    .into_iter()
    .chain(kit.task_arguments())
    .map(OsString::from)
    .collect();
    if let Err(message) = rustc(kit, &library, name, scratch, limits, isolation)? {
        return Ok(Err(with_crates(message)));
    }
    let number = task.number();
    let program: Vec<OsString> = [
        kit.folder.join(format!("worker/task{number}.rs")).display().to_string(),
        "--crate-name=worker".into(),
        "--crate-type=bin".into(),
        format!("--extern={name}=lib{name}.rlib"),
    ]
    .into_iter()
    .chain(kit.worker_arguments())
    .map(OsString::from)
    .collect();
    if let Err(message) = rustc(kit, &program, "worker", scratch, limits, isolation)? {
        return Ok(Err(with_reason(message)));
    }
    let program = folder.join(format!("worker-{name}"));
    let bytes =
        sandbox::take_file(scratch, Path::new("worker"), MOST_PROGRAM).context("the compiler left no program")?;
    fs::write(&program, bytes)?;
    scratch::make_executable(&program)?;
    Ok(Ok(Worker { program }))
}

/// With the crates that there are, where one was named that there is not.
fn with_crates(message: String) -> String {
    let is_about_crates = message.contains("unlinked crate") || message.contains("can't find crate");
    if !is_about_crates {
        return message;
    }
    format!(
        "{message}\nA task's sources may name the crates {} and the standard library, and no other: whatever else the \
         task's program uses is not for its functions.",
        MAY_NAME.join(", ")
    )
}

/// An error with a number is about names and types.
fn with_reason(message: String) -> String {
    if message.contains("error[E") {
        format!(
            "{message}\nThe file itself compiles, but the grader cannot call its functions as they were given: \
             restore their names, arguments and results."
        )
    } else {
        message
    }
}

/// Fails where one path is a file and a folder, or longer than the system has it: the submission's own fault.
fn write_sources(scratch: &Path, task: Task, sources: &BTreeMap<String, String>) -> Result<()> {
    let folder = scratch.join("tasks").join(task.crate_name()).join("src");
    for (path, text) in sources {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&folder))
            .with_context(|| format!("cannot make the folder of the submission's `{path}`"))?;
        fs::write(&file, text).with_context(|| format!("cannot write the submission's `{path}`"))?;
    }
    Ok(())
}

/// Runs rustc; the inner error is its message.
fn rustc(
    kit: &Kit,
    arguments: &[OsString],
    package: &str,
    scratch: &Path,
    limits: Limits,
    isolation: Isolation,
) -> Result<Result<(), String>> {
    // As the workspace's dev profile compiles a task.
    let profile = ["-Copt-level=1", "-Coverflow-checks=on"];
    let common = ["--edition=2024", "--emit=link", "--out-dir=.", "--color=never"];
    let mut all: Vec<OsString> = arguments.to_vec();
    // Messages are for students: where the kit lies is nothing to them.
    all.push(format!("--remap-path-prefix={}=grader", kit.folder.display()).into());
    all.extend(common.iter().chain(&profile).map(OsString::from));
    let policy = Policy {
        readable: vec![kit.folder.clone()],
        executable: [kit.sysroot.clone()].into_iter().chain(system()).collect(),
        writable: scratch.to_owned(),
        limits,
        environment: vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("CARGO_PKG_NAME".into(), package.into()),
            ("CARGO_MANIFEST_DIR".into(), format!("tasks/{package}")),
        ],
    };
    let finished = sandbox::run(&kit.sysroot.join("bin/rustc"), &all, b"", &policy, isolation)?;
    Ok(if finished.end.is_success() {
        Ok(())
    } else {
        Err(compiler_message(&finished))
    })
}

/// What programs need of the system, besides their own files.
pub fn system() -> impl Iterator<Item = PathBuf> {
    SYSTEM.iter().chain(&DEVICES).map(PathBuf::from)
}

fn compiler_message(finished: &Finished) -> String {
    let mut message = printable(&String::from_utf8_lossy(&finished.stderr));
    if message.contains("the compiler unexpectedly panicked") {
        message = format!(
            "These sources are too much for the compiler, which failed on them; simpler ones are needed. It is no \
             fault that you have to report.\n{message}"
        );
    }
    if finished.output_cut {
        message.push_str("\n(the compiler said more)");
    }
    match finished.end {
        End::Exit(_) => message,
        end => format!("{message}\nThe compiler did not come to an end: {end}."),
    }
}
