//! Runs a program in the sandbox, from the caller's side: starts the helper, speaks with the program, collects the
//! output.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::helper::plan::{Outcome, Plan, Report, ask_to_stop};
use crate::helper_process::{empty_plan, start_helper};
use crate::policy::{End, Finished, Isolation, Layers, Policy, SandboxError};
use crate::prepare::{checked, give_to, next_user};
use crate::support::available;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on all programs that run are stopped, as if by the signal TERM: for a caller that was asked to end, and
/// wants to clean up before.
pub fn stop_all() {
    STOPPED.store(true, Ordering::SeqCst);
}

/// Runs `program` with `args` and `stdin` under the policy, to its end, and hands back what it wrote.
///
/// When this returns, nothing that the program started is left. What it left in the scratch folder is as hostile as the
/// program: read it with [`crate::take_file`], and remove it with [`crate::remove_tree`].
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
    run_with(program, args, stdin, policy, layers(isolation)?)
}

/// [`run`] with a conversation in place of an input: `talk`, on the calling thread, writes to the program's standard
/// input and reads its standard output, and should come back once that ends. What it reads is as hostile as the
/// program. [`Finished::stdout`] is empty.
///
/// # Errors
///
/// As [`run`].
pub fn converse<T>(
    program: &Path,
    args: &[OsString],
    policy: &Policy,
    isolation: Isolation,
    talk: impl FnOnce(ChildStdin, ChildStdout) -> T,
) -> Result<(Finished, T), SandboxError> {
    let running = Running::start(program, args, policy, layers(isolation)?)?;
    let (finished, (_, said)) = running.see_through(|input, output| (Caught::default(), talk(input, output)))?;
    Ok((finished, said))
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
    let most = policy.limits.output_bytes;
    let feed_and_catch = |mut input: ChildStdin, output| {
        thread::scope(|scope| {
            // A program that does not read its input is free to do so.
            scope.spawn(move || drop(input.write_all(stdin)));
            (catch(output, most), ())
        })
    };
    let (mut finished, (stdout, ())) = Running::start(program, args, policy, layers)?.see_through(feed_and_catch)?;
    finished.stdout = stdout.kept;
    finished.output_cut |= stdout.cut;
    Ok(finished)
}

/// All protections of this machine, if the essential ones are among them.
fn layers(isolation: Isolation) -> Result<Layers, SandboxError> {
    let available = available()?;
    let missing = available.missing();
    if isolation == Isolation::Required && !missing.is_empty() {
        return Err(SandboxError::Unavailable(missing.join("; ")));
    }
    Ok(available.layers())
}

/// A program that runs.
struct Running {
    start: Instant,
    folder: TempDir,
    plan: Plan,
    helper: Child,
}

impl Running {
    fn start(program: &Path, args: &[OsString], policy: &Policy, layers: Layers) -> Result<Self, SandboxError> {
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
        let helper = start_helper(folder.path())?;
        Ok(Self {
            start,
            folder,
            plan,
            helper,
        })
    }

    /// Speaks with the program until all is over.
    fn see_through<T>(
        mut self,
        talk: impl FnOnce(ChildStdin, ChildStdout) -> (Caught, T),
    ) -> Result<(Finished, (Caught, T)), SandboxError> {
        let (input, output, errors) = (
            self.helper.stdin.take(),
            self.helper.stdout.take(),
            self.helper.stderr.take(),
        );
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(SandboxError::Setup("the helper was started without pipes".into()));
        };
        let limits = self.plan.policy.limits;
        let (helper, folder) = (&mut self.helper, self.folder.path());
        let (said, stderr) = thread::scope(|scope| {
            let stderr = scope.spawn(|| catch(errors, limits.output_bytes));
            let waiting = scope.spawn(|| wait_for(helper, folder, limits.wall));
            let said = talk(input, output);
            let lost = |_| SandboxError::Setup("a thread that looks after the program died".into());
            waiting.join().map_err(lost)??;
            Ok::<_, SandboxError>((said, stderr.join().map_err(lost)?))
        })?;
        let finished = Finished {
            end: read_end(folder, &stderr)?,
            stdout: Vec::new(),
            stderr: stderr.kept,
            output_cut: stderr.cut,
            wall: self.start.elapsed(),
        };
        Ok((finished, said))
    }
}

/// What came through one pipe.
#[derive(Default)]
struct Caught {
    kept: Vec<u8>,
    cut: bool,
}

/// Reads to the end, but keeps only the first `most` bytes.
fn catch(mut pipe: impl Read, most: u64) -> Caught {
    let mut kept = Vec::new();
    // What was read before an error is worth keeping; after one there is nothing more to read.
    let _ = pipe.by_ref().take(most).read_to_end(&mut kept);
    let rest = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or(0);
    Caught { kept, cut: rest > 0 }
}

/// Waits for the helper, which keeps the time itself. Only if it is far over does something have to be wrong with it.
fn wait_for(helper: &mut Child, folder: &Path, wall: Duration) -> Result<(), SandboxError> {
    const GRACE: Duration = Duration::from_secs(30);
    let start = Instant::now();
    while helper
        .try_wait()
        .map_err(SandboxError::io("waiting for the helper"))?
        .is_none()
    {
        if STOPPED.load(Ordering::SeqCst) {
            ask_to_stop(folder);
        }
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
