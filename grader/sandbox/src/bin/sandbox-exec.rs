//! The sandbox's helper as a program of its own; the autograder carries the same as a hidden subcommand.

/// Hands over to the helper, which never returns to untrusted input: its one argument comes from `sandbox::run`.
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match std::env::args_os().nth(1) {
        Some(folder) => sandbox::helper_main(std::path::Path::new(&folder)),
        None => {
            eprintln!("sandbox-exec is started by the sandbox crate and is of no use by hand");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the sandbox needs Linux");
}
