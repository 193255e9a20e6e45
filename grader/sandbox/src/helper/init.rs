//! The first process of the new namespaces: builds the file tree, starts the program, and collects orphans until it
//! ends.

use nix::sys::prctl::{set_dumpable, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::plan::{Outcome, Plan, Report};
use super::processes::end_of;
use super::unsafe_calls::fork_into;
use super::{confine, file_tree};

/// Runs to the end of the program and reports it. Its own exit makes the kernel kill all that is left.
pub(super) fn init(plan: &Plan, report: &Report) -> i32 {
    let outcome = match start(plan, report) {
        Ok(program) => wait_for(program),
        Err(what) => Outcome::Failed(what),
    };
    i32::from(report.add(&outcome).is_err())
}

fn start(plan: &Plan, report: &Report) -> Result<Pid, String> {
    // If the supervisor dies, so does everything in here; and nobody in here can look into this process.
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| format!("parent death signal: {errno}"))?;
    set_dumpable(false).map_err(|errno| format!("not dumpable: {errno}"))?;
    file_tree::build(&plan.policy, &plan.root)?;
    fork_into(|| confine::become_program(plan, report))
}

fn wait_for(program: Pid) -> Outcome {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(program) => {
                if let Some(end) = end_of(status) {
                    return Outcome::Ended(end);
                }
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Outcome::Failed(format!("waiting for the program: {errno}")),
        }
    }
}
