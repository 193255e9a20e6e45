//! Runs one program that nobody trusts: without network, with no files but those it is given, within limits.
//!
//! [`run`] starts a helper program (two stages: see [`use_helper`]), which shuts itself in and then becomes the
//! untrusted program. Several layers lie on top of each other, so that a hole in one is covered by the next:
//!
//! - namespaces: own process numbers, own empty network, a file tree in which only the allowed paths exist;
//! - Landlock: the same paths once more, as rules that the process cannot take off;
//! - seccomp: a list of allowed system calls; no sockets, no tracing, no new mounts or namespaces;
//! - an unprivileged user of its own, where the caller is root;
//! - resource limits, and a supervisor outside that watches time, memory and disk and kills all that was started.
//!
//! [`available`] says what this kernel offers. With [`Isolation::Required`] nothing runs where something essential is
//! missing.

#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod helper_process;
mod policy;
#[cfg(target_os = "linux")]
mod prepare;
#[cfg(target_os = "linux")]
mod remove;
#[cfg(target_os = "linux")]
mod run;
#[cfg(not(target_os = "linux"))]
mod run_elsewhere;
#[cfg(target_os = "linux")]
mod support;
#[cfg(target_os = "linux")]
mod take;

pub use policy::{End, Finished, Isolation, Layers, Limits, Policy, SandboxError};

#[cfg(target_os = "linux")]
pub use {
    helper::helper_main,
    helper_process::use_helper,
    remove::remove_tree,
    run::{converse, run, run_with, stop_all},
    support::{Availability, available},
    take::{TakeError, take_file},
};

#[cfg(not(target_os = "linux"))]
pub use run_elsewhere::{converse, remove_tree, run, stop_all};
