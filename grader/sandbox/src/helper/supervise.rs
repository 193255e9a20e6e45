//! The supervisor: starts the program, watches the clock, the processor, memory and disk, and leaves nothing running.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid, setsid};

use super::plan::{Outcome, Plan, Report};
use super::processes::{self, Process, end_of};
use super::unsafe_calls::{close_all_files_at_exec, fork_into};
use super::{confine, disk, init, namespaces};
use crate::policy::End;

/// How often the clock is looked at, processor time and memory, and the disk: the more it costs, the more seldom.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_AT_PROCESSES: Duration = Duration::from_millis(100);
const LOOK_AT_DISK: Duration = Duration::from_millis(250);

/// Runs the plan's program to its end, whatever end that is, and reports it.
///
/// # Errors
///
/// If the report cannot be written or something of the program cannot be killed. Other failures are in the report.
pub(super) fn supervise(plan: &Plan, report: &Report) -> Result<(), String> {
    let outcome = match start(plan, report) {
        Ok(child) => watch(plan, child),
        Err(what) => Some(Outcome::Failed(what)),
    };
    processes::kill_descendants(getpid().as_raw())?;
    outcome.map_or(Ok(()), |outcome| report.add(&outcome))
}

fn start(plan: &Plan, report: &Report) -> Result<Pid, String> {
    setsid().map_err(|errno| format!("new session: {errno}"))?;
    // Descendants whose parent dies come to us, however far they have run away.
    set_child_subreaper(true).map_err(|errno| format!("subreaper: {errno}"))?;
    close_all_files_at_exec()?;
    if plan.layers.namespaces {
        namespaces::enter()?;
        fork_into(|| init::init(plan, report))
    } else {
        fork_into(|| confine::become_program(plan, report))
    }
}

/// Waits until the program ends or has to be stopped. `None`: the first process of the namespaces reports by itself.
fn watch(plan: &Plan, child: Pid) -> Option<Outcome> {
    let mut use_of = Use::new(plan);
    loop {
        match ended(child) {
            Some(Ok(End::Exit(_))) if plan.layers.namespaces => return None,
            Some(Ok(end)) => return Some(Outcome::Ended(end)),
            Some(Err(what)) => return Some(Outcome::Failed(what)),
            None => {}
        }
        if let Some(end) = use_of.exceeded(plan) {
            return Some(stop(child, end));
        }
        if getppid().as_raw() != plan.caller {
            return Some(stop(child, End::Signal(Signal::SIGKILL as i32)));
        }
        std::thread::sleep(LOOK);
    }
}

/// Kills the child and, where it is the first of its namespaces, all in there with it.
fn stop(child: Pid, end: End) -> Outcome {
    // It may have ended in this moment.
    let _ = kill(child, Signal::SIGKILL);
    Outcome::Ended(end)
}

/// How the child ended, if it did. Orphans that end are taken note of on the way.
fn ended(child: Pid) -> Option<Result<End, String>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(status) if status.pid() == Some(child) => return end_of(status).map(Ok),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Some(Err(format!("waiting for the program: {errno}"))),
        }
    }
}

/// What the program has used so far, and when that was looked at.
struct Use {
    start: Instant,
    looked_at_processes: Instant,
    looked_at_disk: Instant,
    /// The size up to which the scratch folder may grow, in bytes.
    most_disk: u64,
}

impl Use {
    fn new(plan: &Plan) -> Self {
        let at_first = disk::folder(&plan.policy.writable, u64::MAX);
        let now = Instant::now();
        let most_disk = at_first.saturating_add(plan.policy.limits.disk_bytes);
        Self {
            start: now,
            looked_at_processes: now,
            looked_at_disk: now,
            most_disk,
        }
    }

    /// The limit that was passed, if one was.
    fn exceeded(&mut self, plan: &Plan) -> Option<End> {
        let limits = &plan.policy.limits;
        if self.start.elapsed() > limits.wall {
            return Some(End::TimedOut);
        }
        if !due(&mut self.looked_at_processes, LOOK_AT_PROCESSES) {
            return None;
        }
        if plan.is_to_stop() {
            return Some(End::Signal(Signal::SIGTERM as i32));
        }
        if !plan.layers.limits {
            return None;
        }
        let processes = processes::descendants(getpid().as_raw());
        if processes.iter().map(|process| process.cpu).sum::<Duration>() > limits.cpu {
            return Some(End::CpuTime);
        }
        if processes.iter().map(Process::memory).sum::<u64>() > limits.memory_bytes {
            return Some(End::Memory);
        }
        if due(&mut self.looked_at_disk, LOOK_AT_DISK) {
            let used = disk::folder(&plan.policy.writable, self.most_disk).saturating_add(disk::deleted(&processes));
            return (used > self.most_disk).then_some(End::Disk);
        }
        None
    }
}

/// Whether it is time to look again.
fn due(looked: &mut Instant, interval: Duration) -> bool {
    let due = looked.elapsed() >= interval;
    if due {
        *looked = Instant::now();
    }
    due
}
