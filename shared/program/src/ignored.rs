//! Which signals were ignored when the program began.

use std::process::{Command, Stdio};

use crate::signals::Signal;

/// Whether a signal is ignored; to be asked before a handler is set.
pub(crate) fn is_ignored(signal: Signal) -> bool {
    by_mask(signal).unwrap_or_else(|| by_trial(signal))
}

/// As Linux tells: a mask with a bit for each signal, the lowest for number 1. None where there is no such file.
fn by_mask(signal: Signal) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal as u8 - 1) & 1 == 1)
}

/// Other systems tell only to `unsafe` code. But a child inherits what is ignored: a shell that sends the signal to
/// itself lives on to end well if it is, and dies of it if it is not.
fn by_trial(signal: Signal) -> bool {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("kill -{} $$", signal as u8));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "PROGRAM_TEST_IGNORES_HUP";

    /// Runs itself once more under a shell that ignores HUP.
    #[test]
    fn both_ways_see_what_a_shell_ignored() {
        if std::env::var_os(ALONE).is_some() {
            assert!(by_trial(Signal::HangUp) && !by_trial(Signal::Terminate));
            assert!(by_mask(Signal::HangUp).unwrap_or(true) && !by_mask(Signal::Terminate).unwrap_or(false));
            return;
        }
        let this = std::env::current_exe().expect("the test program");
        let status = Command::new("sh")
            .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
            .arg(this)
            .args(["--exact", "ignored::tests::both_ways_see_what_a_shell_ignored"])
            .env(ALONE, "1")
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}
