//! Policies that cannot be carried out, and files that are not what they seem.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sandbox::{Isolation, SandboxError, TakeError, run, run_with, take_file};

use super::harness::{all_layers, arena};

#[test]
fn a_plain_file_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    fs::write(folder.path().join("sub/answer"), "42").expect("a file");
    assert_eq!(
        take_file(folder.path(), Path::new("sub/answer"), 2).expect("taken"),
        b"42"
    );
}

#[test]
fn what_is_no_plain_file_is_not_taken() {
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    symlink(outside.path().join("secret"), at("link")).expect("a link");
    symlink(outside.path(), at("linked-folder")).expect("a link");
    fs::hard_link(outside.path().join("secret"), at("second-name")).expect("a link");
    mkfifo(&at("pipe"), Mode::S_IRWXU).expect("a pipe");
    fs::create_dir(at("folder")).expect("a folder");
    let up = format!("../{}/secret", outside.path().file_name().expect("a name").display());
    for name in [
        "link",
        "linked-folder/secret",
        "second-name",
        "pipe",
        "folder",
        &up,
        "/etc/passwd",
    ] {
        let error = take_file(folder.path(), Path::new(name), 1000).expect_err(name);
        assert!(matches!(error, TakeError::NotPlain(..)), "{name}: {error}");
    }
    let error = take_file(folder.path(), Path::new("nothing"), 1000).expect_err("nothing");
    assert!(matches!(error, TakeError::Missing(_)), "{error}");
}

#[test]
fn a_large_file_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("answer"), "too much").expect("a file");
    let error = take_file(folder.path(), Path::new("answer"), 7).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "answer has 8 bytes, more than the 7 that are allowed"
    );
}

#[test]
fn a_program_that_is_not_allowed_is_not_started() {
    let mut arena = arena();
    arena.policy.executable.clear();
    let error = run("/bin/true".as_ref(), &[], b"", &arena.policy, Isolation::Required).expect_err("not allowed");
    assert!(matches!(error, SandboxError::Policy(_)), "{error}");
}

#[test]
fn a_missing_program_is_an_error_in_words() {
    let error =
        run_with("/bin/no-such-program".as_ref(), &[], b"", &arena().policy, all_layers()).expect_err("missing");
    assert!(
        error
            .to_string()
            .contains("starting /bin/no-such-program: No such file"),
        "{error}"
    );
}

#[test]
fn a_missing_scratch_folder_is_an_error_in_words() {
    let arena = arena();
    drop(arena.scratch);
    let error = run("/bin/true".as_ref(), &[], b"", &arena.policy, Isolation::Required).expect_err("no folder");
    assert!(error.to_string().starts_with("opening the scratch folder"), "{error}");
}

#[test]
fn what_this_machine_offers_is_said_in_words() {
    let found = sandbox::available().expect("the helper runs").to_string();
    for word in ["namespaces", "Landlock", "seccomp", "user"] {
        assert!(found.contains(word), "{found}");
    }
}
