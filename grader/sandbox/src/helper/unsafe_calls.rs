//! The two system calls of this crate that Rust cannot check, each with the reason why it is sound here.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::unistd::{ForkResult, fork};

/// Splits this process in two and runs `child` in the new one, which never returns; gives the new process' number.
///
/// # Errors
///
/// If the process has a second thread (the child would be a copy with its locks held for ever), or the system refuses.
pub(super) fn fork_into(child: impl FnOnce() -> i32) -> Result<nix::unistd::Pid, String> {
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(1);
    if threads != 1 {
        return Err(format!(
            "the sandbox's helper must have one thread when it forks, but it has {threads}"
        ));
    }
    // SAFETY: a fork is unsound only where another thread may hold a lock; we have just seen that there is none.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => std::process::exit(child()),
        Err(errno) => Err(format!("fork: {errno}")),
    }
}

/// Marks every open file but the standard three to be closed when the next program starts.
///
/// The caller may have left files open that its helper inherits, and what is open can be read past every rule on paths.
///
/// # Errors
///
/// If the system refuses (before Linux 5.11).
pub(super) fn close_all_files_at_exec() -> Result<(), String> {
    // SAFETY: the call takes three integers and no memory; it closes nothing now, so no owner loses its file.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result)
        .map(drop)
        .map_err(|errno| format!("close_range: {errno}"))
}
