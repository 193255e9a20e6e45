//! Enters new namespaces: process numbers, network, messages and host name of one's own; `file_tree` adds the mounts.

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, sethostname};

/// Leaves the caller's namespaces. The next fork is the first process of the new ones.
///
/// Root may do this directly. Anyone else needs a user namespace, in which they keep their number and no rights
/// outside.
///
/// # Errors
///
/// In words, if the system refuses, as most containers do.
pub(super) fn enter() -> Result<(), String> {
    let mut flags =
        CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    let (user, group) = (Uid::effective(), Gid::effective());
    if !user.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(|errno| format!("unshare (new namespaces): {errno}"))?;
    if !user.is_root() {
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
        write("/proc/self/gid_map", &format!("{group} {group} 1"))?;
    }
    sethostname("sandbox").map_err(|errno| format!("sethostname: {errno}"))
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("writing {path}: {e}"))
}
