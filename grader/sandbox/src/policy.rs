//! What the caller says and hears: the policy of a run, its limits, how it ended, and what can go wrong.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a program may touch. Everything that is not named here is out of its reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Files and folders (with all below them) that may be read. A path that does not exist is passed over, so that one
    /// list serves several distributions.
    pub readable: Vec<PathBuf>,
    /// Files and folders that may be read and executed.
    pub executable: Vec<PathBuf>,
    /// The scratch folder: the only place that may be written to, the current folder, `HOME` and `TMPDIR`. What is
    /// written there can be executed only if [`Policy::executable`] names it too. Where the caller is root, the folder
    /// is given to the sandbox's user.
    pub writable: PathBuf,
    /// How much of everything.
    pub limits: Limits,
    /// The whole environment of the program, name and value. Nothing is inherited.
    pub environment: Vec<(String, String)>,
}

/// How much of everything a program may use before it is stopped.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the clock.
    pub wall: Duration,
    /// Processor time of all its processes together (and, in whole seconds, of each).
    pub cpu: Duration,
    /// Memory of all its processes together, in bytes. Each process also meets this bound by itself: it is then refused
    /// memory, which most programs answer with an abort.
    pub memory_bytes: u64,
    /// Processes at one time. Threads count as processes.
    pub processes: u64,
    /// How much of the standard output is kept, and how much of the standard error, in bytes each. The rest is thrown
    /// away.
    pub output_bytes: u64,
    /// By how much the scratch folder may grow, in bytes. Each file counts at least 4096, deleted files count while
    /// they are open.
    pub disk_bytes: u64,
}

/// What to do where the kernel cannot isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Refuse to run unless every essential protection is there.
    Required,
    /// Run with whatever protection is there, perhaps none. For the user's own programs only.
    Unsafe,
}

/// Which layers of protection to use. Only tests, which show what each layer is good for, leave one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Own process numbers, network, mounts, host name.
    pub namespaces: bool,
    /// Rules on files, signals and TCP.
    pub landlock: bool,
    /// The list of allowed system calls.
    pub seccomp: bool,
    /// An unprivileged user of its own (needs root).
    pub other_user: bool,
    /// Resource limits and the supervisor's watch over memory, processor time and disk. The clock is always watched.
    pub limits: bool,
}

/// A program that was run to its end, whatever end that was.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// The first [`Limits::output_bytes`] of its standard output.
    pub stdout: Vec<u8>,
    /// The first [`Limits::output_bytes`] of its standard error.
    pub stderr: Vec<u8>,
    /// Whether either of them was longer.
    pub output_cut: bool,
    /// Time on the clock, from the start of the helper to the death of the last process.
    pub wall: Duration,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited by itself with this code.
    Exit(i32),
    /// A signal of this number ended it, for example 6 (abort), 9 (killed) or 11 (bad memory access).
    Signal(i32),
    /// It was still running at [`Limits::wall`].
    TimedOut,
    /// It used more than [`Limits::cpu`].
    CpuTime,
    /// All its processes together used more than [`Limits::memory_bytes`].
    Memory,
    /// It wrote more than [`Limits::disk_bytes`].
    Disk,
}

impl End {
    /// Whether the program exited by itself and said that all went well.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == End::Exit(0)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exit(code) => write!(f, "it exited with code {code}"),
            End::Signal(6) => write!(f, "it aborted (signal 6)"),
            End::Signal(9) => write!(f, "it was killed (signal 9)"),
            End::Signal(11) => write!(
                f,
                "it accessed memory that it does not have, as a function does that calls itself for ever (signal 11)"
            ),
            End::Signal(number) => write!(f, "signal {number} ended it"),
            End::TimedOut => write!(f, "it was stopped because it ran past the time limit"),
            End::CpuTime => write!(f, "it was stopped because it used more processor time than the limit"),
            End::Memory => write!(f, "it was stopped because it used more memory than the limit"),
            End::Disk => write!(f, "it was stopped because it wrote more to disk than the limit"),
        }
    }
}

/// Why a program was not run. That it failed, or was stopped, is no error: see [`Finished`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel lacks something essential.
    #[error(
        "this machine cannot isolate untrusted programs: {0}. Grade on a Linux machine that has it, or, for programs \
         that you trust, run without protection (--unsafe)"
    )]
    Unavailable(String),
    /// The policy cannot be carried out.
    #[error("{0}")]
    Policy(String),
    /// The helper program is missing.
    #[error("the sandbox's helper program was not found: {0}")]
    Helper(String),
    /// A protection could not be put in place, or the program could not be started.
    #[error("the sandbox could not be set up: {0}")]
    Setup(String),
    /// Reading or writing failed on the caller's side.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SandboxError {
    /// Wraps an error of the system, with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| SandboxError::Io { what, source }
    }
}
