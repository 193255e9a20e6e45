//! Looks at processes from outside: all descendants of one, what they use, and how to kill them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::policy::End;

/// What the kernel says of one process.
pub(super) struct Process {
    pub number: i32,
    parent: i32,
    /// Its own processor time and that of its children that have ended.
    pub cpu: Duration,
}

impl Process {
    /// Its memory in bytes: what is its own and what it shares, but no mapped files.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number)).unwrap_or_default();
        (field(&status, "RssAnon:") + field(&status, "RssShmem:") + field(&status, "VmSwap:")) * 1024
    }
}

/// All descendants of the process `of`, at this moment.
pub(super) fn descendants(of: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all_numbers().filter_map(look_at) {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut next) = (Vec::new(), vec![of]);
    while let Some(parent) = next.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        next.extend(born.iter().map(|process| process.number));
        found.extend(born);
    }
    found
}

/// How many processes and threads a user has.
pub(super) fn of_user(user: u32) -> u64 {
    let threads = |number: i32| {
        let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        if field(&status, "Uid:") == u64::from(user) {
            field(&status, "Threads:")
        } else {
            0
        }
    };
    all_numbers().map(threads).sum()
}

/// Kills all descendants. Each is stopped first, so that none can start another while we go through the list; and we go
/// through it again until it is empty.
///
/// # Errors
///
/// If some are still there after five seconds.
pub(super) fn kill_descendants(of: i32) -> Result<(), String> {
    for _ in 0..1000 {
        collect_dead();
        let left = descendants(of);
        if left.is_empty() {
            return Ok(());
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for process in &left {
                // It may be gone already.
                let _ = kill(Pid::from_raw(process.number), signal);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!(
        "{} processes of the program could not be killed",
        descendants(of).len()
    ))
}

/// How a child ended, if this is the news that it did.
pub(super) fn end_of(status: WaitStatus) -> Option<End> {
    match status {
        WaitStatus::Exited(_, code) => Some(End::Exit(code)),
        WaitStatus::Signaled(_, Signal::SIGXCPU, _) => Some(End::CpuTime),
        WaitStatus::Signaled(_, Signal::SIGXFSZ, _) => Some(End::Disk),
        WaitStatus::Signaled(_, signal, _) => Some(End::Signal(signal as i32)),
        _ => None,
    }
}

/// Takes note of all dead children, so that they do not stay in the list of processes.
fn collect_dead() {
    use nix::sys::wait::{WaitPidFlag, waitpid};
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
}

fn all_numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Reads `/proc/N/stat`. The program's name, in brackets, may itself hold brackets and blanks.
fn look_at(number: i32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    let cpu = Duration::from_secs_f64(ticks as f64 / per_second);
    Some(Process {
        number,
        parent: fields.get(1)?.parse().ok()?,
        cpu,
    })
}

/// The first number behind a name in `/proc/N/status`, 0 if it is not there.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
