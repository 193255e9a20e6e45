//! Which protections this machine offers, in words, and which of them are essential.

use std::sync::OnceLock;

use crate::helper::Probe;
use crate::helper::plan::{Plan, Report, Task};
use crate::helper_process::{empty_plan, start_helper};
use crate::policy::{Layers, SandboxError};

/// What this machine offers. Its display is a short list in words.
#[derive(Clone, Debug)]
pub struct Availability {
    /// New namespaces, or why there are none.
    pub namespaces: Result<(), String>,
    /// The version of Landlock's rules, or why there is none.
    pub landlock: Result<u32, String>,
    /// The filter of system calls, or why there is none.
    pub seccomp: Result<(), String>,
    /// Whether the caller is root, and programs can be run as another user.
    pub other_user: bool,
}

/// Finds out, once, by trying each of them in the helper program.
///
/// # Errors
///
/// If the helper program cannot be found or started.
pub fn available() -> Result<&'static Availability, SandboxError> {
    static FOUND: OnceLock<Availability> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = ask_helper()?;
    Ok(FOUND.get_or_init(|| found))
}

fn ask_helper() -> Result<Availability, SandboxError> {
    let folder = tempfile::tempdir().map_err(SandboxError::io("making a temporary folder"))?;
    let plan = Plan {
        task: Task::Probe,
        ..empty_plan(folder.path())?
    };
    plan.write(folder.path()).map_err(SandboxError::Setup)?;
    let output = start_helper(folder.path())?
        .wait_with_output()
        .map_err(SandboxError::io("waiting for the helper"))?;
    let probe: Probe = Report::first(folder.path()).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        SandboxError::Setup(format!("the helper found out nothing: {said}"))
    })?;
    let Probe {
        namespaces,
        landlock,
        seccomp,
    } = probe;
    Ok(Availability {
        namespaces,
        landlock,
        seccomp,
        other_user: nix::unistd::Uid::effective().is_root(),
    })
}

impl Availability {
    /// Every layer that is there.
    #[must_use]
    pub fn layers(&self) -> Layers {
        Layers {
            namespaces: self.namespaces.is_ok(),
            landlock: self.landlock.is_ok(),
            seccomp: self.seccomp.is_ok(),
            other_user: self.other_user,
            limits: true,
        }
    }

    /// What is essential and missing, one sentence each. Empty: untrusted programs can be run.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if let Err(why) = &self.landlock {
            missing.push(format!("files are not protected: {why}"));
        }
        if let Err(why) = &self.seccomp {
            missing.push(format!("the network and other processes are not protected: {why}"));
        }
        if self.namespaces.is_err() && !self.other_user {
            missing.push(
                "the user's own files and the grader itself are not protected: neither are there namespaces, nor is \
                 the grader root, who could use another user (Landlock has no rules for permissions and times)"
                    .into(),
            );
        }
        missing
    }
}

impl std::fmt::Display for Availability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_why = |layer: &Result<(), String>| {
            layer
                .as_ref()
                .map_or_else(|why| format!("no ({why})"), |()| "yes".into())
        };
        writeln!(
            f,
            "namespaces (processes, network, files): {}",
            or_why(&self.namespaces)
        )?;
        match &self.landlock {
            Ok(version) => writeln!(f, "Landlock (files, signals): yes, version {version}")?,
            Err(why) => writeln!(f, "Landlock (files, signals): no ({why})")?,
        }
        writeln!(f, "seccomp (system calls): {}", or_why(&self.seccomp))?;
        let user = if self.other_user {
            "yes"
        } else {
            "no (the caller is not root)"
        };
        write!(f, "a user of its own: {user}")
    }
}
