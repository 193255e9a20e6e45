//! Runs the hostile programs in the sandbox, with the layers of protection that a test asks for.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::{End, Finished, Layers, Limits, Policy, available, run_with};
use tempfile::TempDir;

use super::hostile::{AIM, ATTACK, STOPPED};

/// What a hostile program is given: a scratch folder, the system's libraries, and the test binary to run.
pub struct Arena {
    pub scratch: TempDir,
    pub policy: Policy,
}

/// All layers that this machine has. Fails loudly where it has not the essential ones: the tests would show nothing.
pub fn all_layers() -> Layers {
    let found = available().expect("the helper runs");
    assert_eq!(
        found.missing(),
        Vec::<String>::new(),
        "this machine cannot isolate:\n{found}"
    );
    found.layers()
}

/// No protection at all: shows that an attack works where nothing stops it.
pub fn no_layers() -> Layers {
    Layers {
        namespaces: false,
        landlock: false,
        seccomp: false,
        other_user: false,
        limits: false,
    }
}

/// What is left in a container without namespaces.
pub fn layers_in_container() -> Layers {
    Layers {
        namespaces: false,
        ..all_layers()
    }
}

pub fn arena() -> Arena {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let limits = Limits {
        wall: Duration::from_secs(30),
        cpu: Duration::from_secs(30),
        memory_bytes: 256 << 20,
        processes: 64,
        output_bytes: 1 << 20,
        disk_bytes: 32 << 20,
    };
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"].map(PathBuf::from);
    let policy = Policy {
        readable: vec![],
        executable: system.into_iter().chain([program()]).collect(),
        writable: scratch.path().into(),
        limits,
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
    };
    Arena { scratch, policy }
}

fn program() -> PathBuf {
    std::env::current_exe().expect("a test has a path")
}

impl Arena {
    /// Runs an attack to its end.
    pub fn attack(&self, attack: &str, aim: &str, layers: Layers) -> Finished {
        self.attack_with_input(attack, aim, b"", layers)
    }

    pub fn attack_with_input(&self, attack: &str, aim: &str, stdin: &[u8], layers: Layers) -> Finished {
        let mut policy = self.policy.clone();
        policy
            .environment
            .extend([(ATTACK.into(), attack.into()), (AIM.into(), aim.into())]);
        let args = [
            "hostile::hostile",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]
        .map(OsString::from);
        run_with(&program(), &args, stdin, &policy, layers).expect("the sandbox runs")
    }
}

/// The attack works without protection, and is stopped by all of it, and also by what a container has of it.
pub fn assert_stopped(attack: &str, aim: &str) {
    assert_works(attack, aim, no_layers());
    assert_stopped_by(attack, aim, all_layers());
    assert_stopped_by(attack, aim, layers_in_container());
}

pub fn assert_works(attack: &str, aim: &str, layers: Layers) {
    let finished = arena().attack(attack, aim, layers);
    assert_eq!(
        finished.end,
        End::Exit(0),
        "'{attack}' should work with {layers:?}: {}",
        text(&finished)
    );
}

pub fn assert_stopped_by(attack: &str, aim: &str, layers: Layers) {
    let finished = arena().attack(attack, aim, layers);
    assert_eq!(
        finished.end,
        End::Exit(STOPPED),
        "'{attack}' should be stopped by {layers:?}: {}",
        text(&finished)
    );
}

fn text(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr).into_owned()
}

/// Whether a process whose command line holds `mark` is running, on the whole machine.
pub fn is_running(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("a list of processes").flatten();
    let command_line = |folder: &Path| fs::read(folder.join("cmdline")).unwrap_or_default();
    processes
        .map(|process| command_line(&process.path()))
        .any(|line| String::from_utf8_lossy(&line).contains(mark))
}
