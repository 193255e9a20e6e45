//! The system calls that a confined program may make. What is not on the list does not exist for it.

use std::collections::BTreeMap;

use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// What compilers, linkers and number crunching need: files, memory, threads, pipes, clocks, children.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files. Which of them may be opened is up to Landlock.
    SYS_openat, SYS_close, SYS_close_range, SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
    SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs,
    SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir,
    SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_fchmod, SYS_fchmodat, SYS_utimensat,
    SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_fadvise64,
    SYS_readahead, SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_flock, SYS_fcntl, SYS_ioctl, SYS_dup, SYS_dup3,
    SYS_umask, SYS_pipe2, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr,
    // Waiting.
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2,
    SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_times,
    SYS_getitimer, SYS_setitimer, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_timer_create,
    SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete, SYS_sched_yield,
    // Memory.
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_msync, SYS_mincore, SYS_membarrier,
    SYS_mlock, SYS_munlock, SYS_get_mempolicy, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    // Threads and children. `clone` only without new namespaces: see `REFUSED_FLAGS`.
    SYS_clone, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_futex, SYS_futex_waitv,
    SYS_set_robust_list, SYS_get_robust_list, SYS_set_tid_address, SYS_rseq, SYS_gettid, SYS_getpid, SYS_getppid,
    SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_sched_getaffinity, SYS_sched_setaffinity,
    SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_getcpu,
    SYS_getpriority, SYS_prctl, SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage,
    // Signals. Whom they reach is up to the namespace, the user and Landlock.
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigsuspend,
    SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_sigaltstack, SYS_restart_syscall, SYS_signalfd4,
    // A pair of sockets that knows only itself: Rust's standard library starts programs with it.
    SYS_socketpair, SYS_sendmsg, SYS_recvmsg, SYS_sendto, SYS_recvfrom,
    // Who and where am I.
    SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_uname,
    SYS_sysinfo, SYS_getrandom,
];

/// Older forms of the same calls, which only this processor has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[c_long] = &[
    SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_mkdir, SYS_rmdir, SYS_unlink,
    SYS_rename, SYS_renameat, SYS_link, SYS_symlink, SYS_chmod, SYS_utime, SYS_utimes, SYS_futimesat, SYS_dup2,
    SYS_pipe, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_time, SYS_alarm, SYS_pause,
    SYS_fork, SYS_vfork, SYS_getpgrp, SYS_arch_prctl, SYS_signalfd,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[c_long] = &[SYS_renameat];

/// Calls that programs may try and get a plain "not permitted" for. All others answer "no such call", which the C
/// library takes as the sign to use an older one; so `clone3`, whose flags a filter cannot see, turns into `clone`,
/// which it can.
#[rustfmt::skip]
const REFUSED: &[c_long] = &[
    SYS_socket, SYS_connect, SYS_bind, SYS_listen,
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal,
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_by_handle_at,
    SYS_memfd_create, SYS_shmget, SYS_mq_open, SYS_io_uring_setup, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_setuid, SYS_setgid, SYS_setresuid, SYS_setresgid, SYS_setgroups,
    SYS_capset, SYS_personality, SYS_mknodat, SYS_fchown, SYS_fchownat,
];

/// `clone` with any of these makes a namespace.
const REFUSED_FLAGS: &[c_int] = &[
    CLONE_NEWUSER,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWNET,
    CLONE_NEWIPC,
    CLONE_NEWUTS,
    CLONE_NEWCGROUP,
];

/// Puts both lists on this process and all that it starts, for good.
///
/// # Errors
///
/// In words, if the kernel has no such filters.
pub(super) fn restrict() -> Result<(), String> {
    for filter in [refuse()?, allow_known()?] {
        apply_filter(&filter).map_err(|e| format!("seccomp: {e}"))?;
    }
    Ok(())
}

/// Everything that is neither allowed nor refused does not exist. Where both filters object, this one's word counts
/// less, as it lets through what the other refuses.
fn allow_known() -> Result<BpfProgram, String> {
    let known = ALLOWED.iter().chain(ALLOWED_HERE).chain(REFUSED);
    let rules = known.map(|&call| (call, Vec::new())).collect();
    compile(rules, SeccompAction::Errno(ENOSYS as u32), SeccompAction::Allow)
}

/// The refused calls, and others with the wrong arguments.
fn refuse() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let flags = REFUSED_FLAGS
        .iter()
        .map(|&flag| argument(0, SeccompCmpOp::MaskedEq(flag as u64), flag as u64));
    rules.insert(SYS_clone, flags.collect::<Result<_, _>>()?);
    rules.insert(SYS_socketpair, vec![argument(0, SeccompCmpOp::Ne, AF_UNIX as u64)?]);
    // Limits and processors of another process: the grader itself may be one of the same user.
    for call in [SYS_prlimit64, SYS_sched_setaffinity] {
        rules.insert(call, vec![argument(0, SeccompCmpOp::Ne, 0)?]);
    }
    // Typing into the terminal that the grader was started from.
    let typing = [TIOCSTI, TIOCLINUX].map(|request| argument(1, SeccompCmpOp::Eq, request));
    rules.insert(SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM as u32))
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, compare, value);
    condition
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|e| format!("seccomp: {e}"))
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let processor = std::env::consts::ARCH.try_into().map_err(|e| format!("seccomp: {e}"))?;
    let filter = SeccompFilter::new(rules, other, listed, processor).map_err(|e| format!("seccomp: {e}"))?;
    filter.try_into().map_err(|e| format!("seccomp: {e}"))
}
