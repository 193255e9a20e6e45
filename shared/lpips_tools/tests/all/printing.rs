//! Tables that nobody can read: told, and no panic.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

const FULL: &str = "/dev/full";

fn study() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lpips-study"));
    command.args(["--count", "2", "--psnr", "25"]).stderr(Stdio::piped());
    command
}

#[test]
fn a_study_ends_well_where_a_pipe_is_closed_and_with_an_error_where_a_disk_is_full() -> std::io::Result<()> {
    let mut child = study().stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");

    if Path::new(FULL).exists() {
        let output = study().stdout(OpenOptions::new().write(true).open(FULL)?).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("what was printed is not complete"), "{said}");
    }
    Ok(())
}
