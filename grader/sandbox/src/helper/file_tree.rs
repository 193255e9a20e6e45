//! Builds the file tree that the program sees: an empty one, with the allowed paths mounted where they always were.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use crate::policy::Policy;

/// Devices without a memory: programs expect them, and nothing can be read from or left in them.
pub(super) const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Makes `root`, an empty folder, the root of all paths, with nothing below it but what the policy names.
///
/// Must be called as the first process of new namespaces.
///
/// # Errors
///
/// In words, if a mount fails.
pub(super) fn build(policy: &Policy, root: &Path) -> Result<(), String> {
    // Here and not with the other namespaces: the supervisor must keep seeing the old tree, with the list of all
    // processes.
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("unshare (own mounts)"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(failed("making mounts private"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some("size=1m,mode=755")).map_err(failed("mounting a root"))?;
    for (source, access) in wanted(policy) {
        place(&source, access, root)?;
    }
    place_proc(root)?;
    change_root(root)?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
    mount(None::<&str>, "/", None::<&str>, read_only, None::<&str>).map_err(failed("making the root read-only"))
}

/// How a path is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    /// Read and write; `run`: what is there may be executed.
    Write {
        run: bool,
    },
    Device,
}

/// The paths to mount, outer ones first, so that an inner mount is not hidden by an outer one.
fn wanted(policy: &Policy) -> Vec<(PathBuf, Access)> {
    let scratch = &policy.writable;
    let run = policy.executable.iter().any(|path| path.starts_with(scratch));
    let outside = |path: &&PathBuf| !path.starts_with(scratch);
    let mut paths: Vec<(PathBuf, Access)> = policy
        .readable
        .iter()
        .chain(&policy.executable)
        .filter(outside)
        .map(|path| (path.clone(), Access::Read))
        .collect();
    paths.push((scratch.clone(), Access::Write { run }));
    paths.extend(DEVICES.map(|path| (path.into(), Access::Device)));
    paths.sort_by_key(|(path, _)| path.components().count());
    paths.dedup();
    paths
}

/// Mounts one path below the new root. If links lead to it, they lead to it there too.
fn place(path: &Path, access: Access, root: &Path) -> Result<(), String> {
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    let at = below(root, &real);
    make_mount_point(&real, &at).map_err(|e| format!("making a place for {}: {e}", path.display()))?;
    let what = format!("mounting {}", path.display());
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&real), &at, None::<&str>, bind, None::<&str>).map_err(failed(&what))?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | restrictions(access) | kept(&at);
    mount(None::<&str>, &at, None::<&str>, flags, None::<&str>).map_err(failed(&what))?;
    if real == path {
        return Ok(());
    }
    link(&real, &below(root, path)).map_err(|e| format!("linking {}: {e}", path.display()))
}

fn restrictions(access: Access) -> MsFlags {
    match access {
        Access::Read => MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Access::Write { run: true } => MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Access::Write { run: false } => MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Access::Device => MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
    }
}

/// The restrictions that a mount already has: without root's rights they cannot be taken off, and must be named again.
fn kept(at: &Path) -> MsFlags {
    let Ok(status) = statvfs(at) else {
        return MsFlags::empty();
    };
    let pairs = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    pairs
        .into_iter()
        .filter(|(is, _)| status.flags().contains(*is))
        .fold(MsFlags::empty(), |all, (_, set)| all | set)
}

/// An empty folder or file to mount over, unless an outer mount has brought it along.
fn make_mount_point(real: &Path, at: &Path) -> io::Result<()> {
    if at.symlink_metadata().is_ok() {
        return Ok(());
    }
    if real.is_dir() {
        return fs::create_dir_all(at);
    }
    at.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create(at).map(drop)
}

/// A link at `at`, unless there is something already.
fn link(to: &Path, at: &Path) -> io::Result<()> {
    if at.symlink_metadata().is_ok() {
        return Ok(());
    }
    at.parent().map_or(Ok(()), fs::create_dir_all)?;
    symlink(to, at)
}

/// The process list, which shows nothing but this sandbox, for programs that look themselves up. Landlock forbids
/// reading it.
///
/// Some containers hide parts of theirs, and then no new one may be mounted: the program has to do without.
fn place_proc(root: &Path) -> Result<(), String> {
    let at = root.join("proc");
    fs::create_dir_all(&at).map_err(|e| format!("making /proc: {e}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), &at, Some("proc"), flags, None::<&str>);
    Ok(())
}

/// Puts the new root in the place of the old one, and takes the old one away.
fn change_root(root: &Path) -> Result<(), String> {
    chdir(root).map_err(failed("entering the new root"))?;
    pivot_root(".", ".").map_err(failed("changing the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("taking the old root away"))?;
    chdir("/").map_err(failed("entering the root"))
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn failed(what: &str) -> impl FnOnce(nix::errno::Errno) -> String {
    move |errno| format!("{what}: {errno}")
}
