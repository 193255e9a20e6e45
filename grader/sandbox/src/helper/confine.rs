//! The last steps before the untrusted program: limits, another user, Landlock, system calls; each is for good.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, setsid};

use super::file_tree::DEVICES;
use super::plan::{Outcome, Plan, Report};
use super::{processes, system_calls};
use crate::policy::{Limits, Policy};

/// The newest rules that this crate knows. An older kernel enforces those of them that it has.
const RULES: ABI = ABI::V7;

/// Shuts this process in and turns it into the program. Returns, with an exit code, only if that failed.
pub(super) fn become_program(plan: &Plan, report: &Report) -> i32 {
    let what = match shut_in(plan) {
        Ok(()) => start(plan),
        Err(what) => what,
    };
    // Nobody is left to tell if the report cannot be written; the exit code still says that it went wrong.
    let _ = report.add(&Outcome::Failed(what));
    1
}

fn shut_in(plan: &Plan) -> Result<(), String> {
    setsid().map_err(|errno| format!("new session: {errno}"))?;
    umask(Mode::from_bits_truncate(0o022));
    std::env::set_current_dir(&plan.policy.writable)
        .map_err(|e| format!("entering the scratch folder {}: {e}", plan.policy.writable.display()))?;
    // The rules open their paths here, while we still may; they bind from `restrict_self` on.
    let rules = plan.layers.landlock.then(|| file_rules(&plan.policy)).transpose()?;
    if plan.layers.limits {
        set_limits(&plan.policy.limits, own_processes(plan))?;
    }
    if let Some(user) = plan.user {
        become_user(user)?;
    }
    // Changing the user took the signal away, so that it has to be asked for after it.
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| format!("parent death signal: {errno}"))?;
    set_no_new_privs().map_err(|errno| format!("no new privileges: {errno}"))?;
    if let Some(rules) = rules {
        rules.restrict_self().map_err(|e| format!("Landlock: {e}"))?;
    }
    if plan.layers.seccomp {
        system_calls::restrict()
    } else {
        Ok(())
    }
}

/// Starts the program in the place of this process. Returns only if that failed, with the reason.
fn start(plan: &Plan) -> String {
    let scratch = &plan.policy.writable;
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.args)
        .env_clear()
        .env("HOME", scratch)
        .env("TMPDIR", scratch);
    let error = command.envs(plan.policy.environment.iter().cloned()).exec();
    let hint = match plan.user {
        Some(user) if error.kind() == std::io::ErrorKind::PermissionDenied && !plan.layers.namespaces => {
            format!(
                " (it runs as user {user}, who must be able to reach the program and its libraries; move them out of \
                 folders that only root can enter)"
            )
        }
        _ => String::new(),
    };
    format!("starting {}: {error}{hint}", plan.program.display())
}

/// The processes that count towards the limit but are not the program's: those of the caller, where both share a user.
fn own_processes(plan: &Plan) -> u64 {
    let shared = plan.user.is_none() && !plan.layers.namespaces;
    if shared {
        processes::of_user(Uid::current().as_raw())
    } else {
        0
    }
}

/// Sets the limits that the kernel keeps for each process.
fn set_limits(limits: &Limits, own_processes: u64) -> Result<(), String> {
    const OPEN_FILES: u64 = 1024;
    const STACK: u64 = 64 << 20;
    // Address space is reserved far more generously than it is used (thread stacks, heaps, mapped libraries).
    let address_space = limits.memory_bytes.saturating_mul(2).saturating_add(4 << 30);
    let cpu = limits.cpu.as_secs_f64().ceil() as u64;
    let all = [
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_CPU, cpu, cpu.saturating_add(1)),
        (Resource::RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (Resource::RLIMIT_AS, address_space, address_space),
        (Resource::RLIMIT_FSIZE, limits.disk_bytes, limits.disk_bytes),
        (Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (Resource::RLIMIT_STACK, STACK / 8, STACK),
        (Resource::RLIMIT_MEMLOCK, 0, 0),
        (Resource::RLIMIT_MSGQUEUE, 0, 0),
        (
            Resource::RLIMIT_NPROC,
            limits.processes + own_processes,
            limits.processes + own_processes,
        ),
    ];
    for (resource, soft, hard) in all {
        // A limit that is lower already stays: only root may raise it, and nobody needs to.
        let (_, highest) = nix::sys::resource::getrlimit(resource).map_err(|e| format!("{resource:?}: {e}"))?;
        setrlimit(resource, soft.min(highest), hard.min(highest)).map_err(|e| format!("limit {resource:?}: {e}"))?;
    }
    Ok(())
}

/// Becomes an unprivileged user, with a group of the same number and no others.
fn become_user(number: u32) -> Result<(), String> {
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    let failed = |errno| format!("becoming user {number}: {errno}");
    setgroups(&[]).map_err(failed)?;
    setresgid(group, group, group).map_err(failed)?;
    setresuid(user, user, user).map_err(failed)
}

/// Landlock's rules: the policy's paths, no TCP, no signals and no abstract sockets to the outside.
fn file_rules(policy: &Policy) -> Result<RulesetCreated, String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(RULES)
        & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::IoctlDev);
    let mut rules = new_ruleset().map_err(|e| format!("Landlock: {e}"))?;
    let readable = policy.readable.iter().map(|path| (path.as_path(), read));
    let executable = policy
        .executable
        .iter()
        .map(|path| (path.as_path(), read | AccessFs::Execute));
    let writable = std::iter::once((policy.writable.as_path(), write));
    let devices = DEVICES
        .iter()
        .map(|path| (Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile));
    for (path, access) in readable.chain(executable).chain(writable).chain(devices) {
        rules = allow(rules, path, access).map_err(|e| format!("Landlock, {}: {e}", path.display()))?;
    }
    Ok(rules)
}

/// A set of rules that forbids everything.
fn new_ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()
}

/// Allows `access` below a path, if it exists.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(RULES)
    };
    rules.add_rule(PathBeneath::new(opened, access))
}

/// Puts the emptiest rules on this process: for finding out what the kernel enforces.
pub(super) fn try_landlock() -> Result<RestrictionStatus, String> {
    new_ruleset()
        .and_then(RulesetCreated::restrict_self)
        .map_err(|e| e.to_string())
}
