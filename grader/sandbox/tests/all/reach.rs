//! What a program must not reach: the network, other files, other processes, new rights.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sandbox::{End, Layers, Policy};
use tempfile::TempDir;

use super::harness::*;

/// A folder outside the sandbox, with a file in it that anyone may read and write: only the sandbox stands before it.
fn outside() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
    let file = folder.path().join("secret");
    fs::write(&file, "secret").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("permissions");
    (folder, file)
}

fn only(layer: &str) -> Layers {
    let none = no_layers();
    match layer {
        "namespaces" => Layers {
            namespaces: true,
            ..none
        },
        "landlock" => Layers { landlock: true, ..none },
        "seccomp" => Layers { seccomp: true, ..none },
        "other user" => Layers {
            other_user: all_layers().other_user,
            ..none
        },
        other => panic!("no layer is called {other}"),
    }
}

#[test]
fn tcp_is_stopped_by_each_of_three_layers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let aim = listener.local_addr().expect("an address").to_string();
    assert_stopped("tcp", &aim);
    for layer in ["namespaces", "landlock", "seccomp"] {
        assert_stopped_by("tcp", &aim, only(layer));
    }
}

#[test]
fn udp_is_stopped() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a receiver");
    let aim = receiver.local_addr().expect("an address").to_string();
    assert_stopped("udp", &aim);
    assert_stopped_by("udp", &aim, only("namespaces"));
}

#[test]
fn unix_sockets_are_stopped() {
    let (folder, _) = outside();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).expect("a listener");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("permissions");
    assert_stopped("unix", &path.display().to_string());
}

#[test]
fn abstract_unix_sockets_are_stopped() {
    let name = format!("sandbox-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("a listener");
    assert_stopped("abstract unix", &name);
}

#[test]
fn files_outside_can_neither_be_read_nor_changed() {
    let (_folder, file) = outside();
    let aim = file.display().to_string();
    for attack in ["read", "link", "write", "truncate", "delete"] {
        fs::write(&file, "secret").expect("a file");
        assert_works(attack, &aim, no_layers());
        fs::write(&file, "secret").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("permissions");
        for layers in [
            all_layers(),
            layers_in_container(),
            only("namespaces"),
            only("landlock"),
        ] {
            assert_stopped_by(attack, &aim, layers);
        }
        assert_eq!(fs::read_to_string(&file).expect("still there"), "secret");
    }
}

#[test]
fn a_file_outside_gets_no_second_name_inside() {
    let (_folder, file) = outside();
    assert_stopped("hard link", &file.display().to_string());
}

#[test]
fn readable_files_cannot_be_written() {
    let (folder, file) = outside();
    for layers in [all_layers(), layers_in_container()] {
        let mut arena = arena();
        arena.policy.readable = vec![folder.path().into()];
        let aim = file.display().to_string();
        assert_eq!(arena.attack("read", &aim, layers).end, End::Exit(0));
        assert_ne!(arena.attack("write", &aim, layers).end, End::Exit(0));
    }
}

#[test]
fn the_scratch_folder_can_be_written_but_not_run_from() {
    let arena = arena();
    assert_eq!(arena.attack("write", "a-file", all_layers()).end, End::Exit(0));
    assert_eq!(
        fs::read_to_string(arena.scratch.path().join("a-file")).expect("written"),
        "hostile"
    );
    fs::copy("/bin/true", arena.scratch.path().join("true")).expect("a program");
    for layers in [all_layers(), layers_in_container()] {
        assert_ne!(arena.attack("run", "./true", layers).end, End::Exit(0));
        let executable = [arena.policy.executable.clone(), vec![arena.policy.writable.clone()]].concat();
        let policy = Policy {
            executable,
            ..arena.policy.clone()
        };
        let arena = Arena {
            scratch: tempfile::tempdir().expect("a folder"),
            policy,
        };
        assert_eq!(arena.attack("run", "./true", layers).end, End::Exit(0));
    }
}

#[test]
fn the_callers_environment_is_out_of_reach() {
    // Not to be read in its process, ...
    let me = std::process::id();
    assert_stopped("read", &format!("/proc/{me}/environ"));
    assert_stopped_by("read", &format!("/proc/{me}/environ"), only("landlock"));
    assert_stopped("read", &format!("/proc/{me}/maps"));
    // ... and not inherited.
    let finished = arena().attack("environment", "", all_layers());
    let text = String::from_utf8(finished.stdout).expect("text");
    // Behind the empty variable that ends the test harness' own line.
    let (_, text) = text.split_once("=\n").expect("a list of variables");
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["AIM", "ATTACK", "HOME", "PATH", "TMPDIR"]);
}

#[test]
fn the_caller_cannot_be_killed_or_traced() {
    let me = std::process::id().to_string();
    assert_stopped("signal", &me);
    assert_stopped_by("signal", &me, only("namespaces"));
    assert_stopped_by("signal", &me, only("landlock"));
    for layers in [all_layers(), layers_in_container(), only("seccomp"), only("landlock")] {
        assert_stopped_by("trace", &me, layers);
    }
    assert_works("trace child", "", no_layers());
    assert_stopped_by("trace child", "", only("seccomp"));
}

#[test]
fn open_files_are_not_inherited() {
    let (_folder, file) = outside();
    let open = fs::File::open(&file).expect("a file");
    fcntl(&open, FcntlArg::F_SETFD(FdFlag::empty())).expect("inheritable");
    let number = open.as_raw_fd().to_string();
    // Without the sandbox it is inherited.
    let read = std::process::Command::new("sh")
        .args(["-c", &format!("cat <&{number}")])
        .output()
        .expect("sh");
    assert_eq!(read.stdout, b"secret");
    // Closing them is no layer that can be left out.
    for layers in [all_layers(), no_layers()] {
        assert_stopped_by("read open file", &number, layers);
    }
}

#[test]
fn dangerous_system_calls_are_refused() {
    assert_works("new user namespace", "", no_layers());
    assert_stopped_by("new user namespace", "", only("seccomp"));
    for call in [
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_memfd_create,
        libc::SYS_shmget,
        libc::SYS_keyctl,
        libc::SYS_open_by_handle_at,
        libc::SYS_add_key,
    ] {
        let finished = arena().attack("system call", &call.to_string(), only("seccomp"));
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert!(said.contains("Operation not permitted"), "system call {call}: {said}");
    }
}

#[test]
fn root_becomes_nobody() {
    let print = |layers| {
        let arena = arena();
        let args = ["-u".into()];
        sandbox::run_with("/usr/bin/id".as_ref(), &args, b"", &arena.policy, layers)
            .expect("id runs")
            .stdout
    };
    let inside = String::from_utf8(print(all_layers())).expect("text");
    assert_ne!(inside.trim(), "0");
    assert!(inside.trim().parse::<u32>().is_ok(), "id said {inside:?}");
}

#[test]
fn the_standard_input_arrives() {
    let finished = arena().attack_with_input("echo", "", b"a question", all_layers());
    assert_eq!(finished.end, End::Exit(0));
    assert!(String::from_utf8_lossy(&finished.stdout).contains("a question"));
}

/// A user's own process may change the limits and processors of all others of that user.
#[test]
fn other_processes_keep_their_limits_and_processors() {
    let caller = std::process::id().to_string();
    assert_stopped("limits of another", &caller);
    assert_stopped("processors of another", &caller);
    let only_seccomp = Layers {
        seccomp: true,
        ..no_layers()
    };
    assert_stopped_by("limits of another", &caller, only_seccomp);
    assert_stopped_by("processors of another", &caller, only_seccomp);
}
