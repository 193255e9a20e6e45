//! What a program must not use up: time, memory, processes, output, disk; and nothing of it may stay behind.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{End, Layers};

use super::harness::*;
use super::hostile::STOPPED;

fn no_limits() -> Layers {
    Layers {
        limits: false,
        ..all_layers()
    }
}

/// The end with all layers, and with those of a container.
fn assert_ends(attack: &str, aim: &str, expected: &[End]) {
    for layers in [all_layers(), layers_in_container()] {
        let finished = arena().attack(attack, aim, layers);
        assert!(
            expected.contains(&finished.end),
            "'{attack}' with {layers:?} ended with {:?}: {}",
            finished.end,
            String::from_utf8_lossy(&finished.stderr)
        );
    }
}

#[test]
fn an_endless_loop_is_stopped_by_the_processors_clock() {
    for layers in [all_layers(), layers_in_container()] {
        let mut arena = arena();
        arena.policy.limits.cpu = Duration::from_secs(1);
        let finished = arena.attack("loop", "", layers);
        assert_eq!(finished.end, End::CpuTime);
    }
}

#[test]
fn sleeping_is_stopped_by_the_clock_on_the_wall() {
    for layers in [all_layers(), layers_in_container(), no_layers()] {
        let mut arena = arena();
        arena.policy.limits.wall = Duration::from_secs(1);
        let start = Instant::now();
        assert_eq!(arena.attack("sleep", "", layers).end, End::TimedOut);
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "it took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn one_process_cannot_have_too_much_memory() {
    assert_works("memory", "400", no_limits());
    assert_ends("memory", "400", &[End::Signal(6), End::Memory]);
}

#[test]
fn many_processes_together_cannot_have_too_much_memory() {
    assert_works("memory of many", "60", no_limits());
    assert_ends("memory of many", "60", &[End::Memory]);
}

#[test]
fn there_cannot_be_too_many_processes() {
    assert_works("processes", "300", no_limits());
    assert_ends("processes", "300", &[End::Exit(STOPPED)]);
    assert_ends("processes", "30", &[End::Exit(0)]);
}

#[test]
fn a_fork_bomb_is_stopped_and_leaves_nothing() {
    for (name, layers) in [("all", all_layers()), ("container", layers_in_container())] {
        let mark = format!("bomb-{name}-{}", std::process::id());
        let mut arena = arena();
        arena.policy.limits.wall = Duration::from_secs(2);
        let script = format!(": {mark}; b() {{ b | b & }}; while :; do b; done");
        let args = ["-c".into(), script.into()];
        let finished = sandbox::run_with("/bin/sh".as_ref(), &args, b"", &arena.policy, layers).expect("sh runs");
        // The shell may give up by itself when it can fork no more.
        assert!(
            matches!(finished.end, End::TimedOut | End::CpuTime | End::Exit(2)),
            "{:?}",
            finished.end
        );
        assert!(!is_running(&mark), "processes of the fork bomb are left");
    }
}

#[test]
fn a_daemon_does_not_stay_behind() {
    // Without the sandbox it does, and is seen.
    let mark = format!("daemon-free-{}", std::process::id());
    let script = format!("setsid sh -c 'sleep 5; : {mark}' & exit 0");
    Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sh");
    wait_until(|| is_running(&format!("sleep 5; : {mark}")));
    for (name, layers) in [
        ("all", all_layers()),
        ("container", layers_in_container()),
        ("none", no_layers()),
    ] {
        let mark = format!("daemon-{name}-{}", std::process::id());
        let finished = arena().attack("daemon", &mark, layers);
        assert!(matches!(finished.end, End::Exit(_)), "{:?}", finished.end);
        assert!(!is_running(&mark), "the daemon is left, with {layers:?}");
    }
}

#[test]
fn too_much_output_is_cut() {
    let finished = arena().attack("output", "20", all_layers());
    assert_eq!(finished.end, End::Exit(0));
    assert!(finished.output_cut);
    assert_eq!(finished.stdout.len(), 1 << 20);
    assert!(!arena().attack("environment", "", all_layers()).output_cut);
}

#[test]
fn the_disk_cannot_be_filled() {
    for attack in ["disk", "deleted files"] {
        assert_works(attack, "60", no_limits());
        assert_ends(attack, "60", &[End::Disk]);
    }
    assert_works("one file", "60000000", no_limits());
    assert_ends("one file", "60000000", &[End::Disk, End::Exit(STOPPED)]);
    assert_ends("empty files", "10000", &[End::Disk]);
    assert_ends("disk", "10", &[End::Exit(0)]);
}

/// What cannot be counted counts as too much.
#[test]
fn the_disk_cannot_be_filled_where_no_path_leads() {
    for layers in [all_layers(), layers_in_container()] {
        let arena = arena();
        assert_eq!(arena.attack("deep disk", "10", layers).end, End::Disk);
        sandbox::remove_tree(arena.scratch.path()).expect("it is removed");
    }
    assert_ends("closed disk", "60", &[End::Disk]);
}

#[test]
fn there_are_no_core_dumps() {
    assert_ends("raise limit", "", &[End::Exit(STOPPED)]);
}

#[test]
fn processes_die_with_the_caller() {
    // The helper looks for its caller: one that is told of a caller that does not exist stops at once. Here the caller
    // is a test process of our own that is killed while its program sleeps.
    let mark = format!("orphan-{}", std::process::id());
    let mut caller = Command::new(std::env::current_exe().expect("a path"))
        .args(["limits::a_caller_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env("MARK", &mark)
        .spawn()
        .expect("a caller");
    wait_until(|| is_running(&format!("sleep 300; : {mark}")));
    caller.kill().expect("killed");
    caller.wait().expect("dead");
    wait_until(|| !is_running(&mark));
}

/// Not a test: the caller of the test above.
#[test]
#[ignore = "started, and killed, by another test"]
fn a_caller_to_be_killed() {
    let Ok(mark) = std::env::var("MARK") else { return };
    let args = ["-c".into(), format!("sleep 300; : {mark}").into()];
    let finished = sandbox::run_with("/bin/sh".as_ref(), &args, b"", &arena().policy, all_layers());
    panic!("the program should have been running for longer: {finished:?}");
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it did not happen within 20 seconds"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
