//! Runs a program in the sandbox, from the caller's side: prepares the scratch folder, starts the helper, collects the
//! output.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use walkdir::WalkDir;

use crate::helper::plan::{Outcome, Plan, Report};
use crate::helper_process::{empty_plan, start_helper};
use crate::policy::{End, Finished, Isolation, Layers, Limits, Policy, SandboxError};
use crate::support::available;

/// Runs `program` with `args` and `stdin` under the policy, to its end, and hands back what it wrote.
///
/// When this returns, nothing that the program started is left. What it left in the scratch folder is as hostile as the
/// program: read it with [`crate::take_file`].
///
/// # Errors
///
/// If the machine cannot isolate (see [`Isolation`]), the policy cannot be carried out, or the program cannot be
/// started. That it fails or is stopped is no error.
pub fn run(
    program: &Path,
    args: &[OsString],
    stdin: &[u8],
    policy: &Policy,
    isolation: Isolation,
) -> Result<Finished, SandboxError> {
    let available = available()?;
    let missing = available.missing();
    if isolation == Isolation::Required && !missing.is_empty() {
        return Err(SandboxError::Unavailable(missing.join("; ")));
    }
    run_with(program, args, stdin, policy, available.layers())
}

/// [`run`] with chosen layers of protection. For tests, which show what each layer is good for.
///
/// # Errors
///
/// As [`run`], but nothing is refused.
pub fn run_with(
    program: &Path,
    args: &[OsString],
    stdin: &[u8],
    policy: &Policy,
    layers: Layers,
) -> Result<Finished, SandboxError> {
    let start = Instant::now();
    let policy = checked(program, policy)?;
    let user = layers.other_user.then(next_user);
    if let Some(user) = user {
        give_to(&policy.writable, user)?;
    }
    let folder = tempfile::tempdir().map_err(SandboxError::io("making a temporary folder"))?;
    let (program, args) = (program.to_owned(), args.to_owned());
    let plan = Plan {
        program,
        args,
        policy,
        layers,
        user,
        ..empty_plan(folder.path())?
    };
    plan.write(folder.path()).map_err(SandboxError::Policy)?;
    let mut helper = start_helper(folder.path())?;
    let output = talk(&mut helper, stdin, &plan.policy.limits)?;
    let end = read_end(folder.path(), &output.stderr)?;
    let output_cut = output.stdout.cut || output.stderr.cut;
    Ok(Finished {
        end,
        stdout: output.stdout.kept,
        stderr: output.stderr.kept,
        output_cut,
        wall: start.elapsed(),
    })
}

/// The policy with real paths for what is inside the scratch folder, if it can be carried out.
fn checked(program: &Path, policy: &Policy) -> Result<Policy, SandboxError> {
    let paths = policy
        .readable
        .iter()
        .chain(&policy.executable)
        .chain([&policy.writable]);
    if let Some(path) = paths.into_iter().find(|path| !path.is_absolute()) {
        return Err(SandboxError::Policy(format!(
            "the path {} of the policy must be absolute",
            path.display()
        )));
    }
    let writable = policy
        .writable
        .canonicalize()
        .map_err(SandboxError::io("opening the scratch folder"))?;
    if !writable.is_dir() {
        return Err(SandboxError::Policy(format!(
            "the scratch folder {} is not a folder",
            writable.display()
        )));
    }
    let allowed = |path: &Path| policy.executable.iter().any(|allowed| path.starts_with(allowed));
    if !allowed(program) && !program.canonicalize().is_ok_and(|real| allowed(&real)) {
        let what = format!(
            "{} is not below any of the executable paths of the policy",
            program.display()
        );
        return Err(SandboxError::Policy(what));
    }
    Ok(Policy {
        writable,
        ..policy.clone()
    })
}

/// A user for one run. Each run takes the next of 477 numbers that no Linux distribution gives to anyone, so that two
/// programs at the same time neither share their limits nor reach each other.
fn next_user() -> u32 {
    const FIRST: u32 = 60_706;
    const COUNT: u32 = 477;
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    FIRST + std::process::id().wrapping_mul(31).wrapping_add(run) % COUNT
}

/// Gives the folder and what is in it to the user, and closes it to others.
///
/// Files with a second name are left alone: the other name may be outside, and must not change hands.
fn give_to(folder: &Path, user: u32) -> Result<(), SandboxError> {
    let what = format!("giving {} to the sandbox's user", folder.display());
    for entry in WalkDir::new(folder).follow_links(false) {
        let entry = entry.map_err(std::io::Error::from).map_err(SandboxError::io(&what))?;
        let metadata = entry
            .metadata()
            .map_err(std::io::Error::from)
            .map_err(SandboxError::io(&what))?;
        if metadata.is_dir() || metadata.nlink() == 1 {
            lchown(entry.path(), Some(user), Some(user)).map_err(SandboxError::io(&what))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(SandboxError::io(what))
}

/// What came through one pipe.
struct Caught {
    kept: Vec<u8>,
    cut: bool,
}

struct Output {
    stdout: Caught,
    stderr: Caught,
}

/// Feeds the standard input and catches both outputs until the helper has ended.
fn talk(helper: &mut Child, stdin: &[u8], limits: &Limits) -> Result<Output, SandboxError> {
    let (input, out, err) = (helper.stdin.take(), helper.stdout.take(), helper.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input is free to do so.
            let _ = input.map(|mut input| input.write_all(stdin));
        });
        let stdout = scope.spawn(|| catch(out, limits.output_bytes));
        let stderr = scope.spawn(|| catch(err, limits.output_bytes));
        wait_for(helper, limits.wall)?;
        let lost = |_| SandboxError::Setup("the thread that reads the output died".into());
        Ok(Output {
            stdout: stdout.join().map_err(lost)?,
            stderr: stderr.join().map_err(lost)?,
        })
    })
}

/// Reads to the end, but keeps only the first `most` bytes.
fn catch(pipe: Option<impl Read>, most: u64) -> Caught {
    let Some(mut pipe) = pipe else {
        return Caught {
            kept: Vec::new(),
            cut: false,
        };
    };
    let mut kept = Vec::new();
    // What was read before an error is worth keeping; after one there is nothing more to read.
    let _ = pipe.by_ref().take(most).read_to_end(&mut kept);
    let rest = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or(0);
    Caught { kept, cut: rest > 0 }
}

/// Waits for the helper, which keeps the time itself. Only if it is far over does something have to be wrong with it.
fn wait_for(helper: &mut Child, wall: Duration) -> Result<(), SandboxError> {
    const GRACE: Duration = Duration::from_secs(30);
    let start = Instant::now();
    while helper
        .try_wait()
        .map_err(SandboxError::io("waiting for the helper"))?
        .is_none()
    {
        if start.elapsed() > wall + GRACE {
            let _ = helper.kill();
            let _ = helper.wait();
            return Err(SandboxError::Setup(
                "the helper did not keep to the time limit and was killed".into(),
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// How the program ended, by the helper's report.
fn read_end(folder: &Path, stderr: &Caught) -> Result<End, SandboxError> {
    match Report::first(folder) {
        Some(Outcome::Ended(end)) => Ok(end),
        Some(Outcome::Failed(what)) => Err(SandboxError::Setup(what)),
        None => {
            let said = String::from_utf8_lossy(&stderr.kept).into_owned();
            Err(SandboxError::Setup(format!(
                "the helper ended without a report: {said}"
            )))
        }
    }
}
