//! The command `grader`.

mod command;
mod options;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// The first argument with which the program is the sandbox's helper.
const SANDBOX: &str = "sandbox-exec";

fn main() -> ExitCode {
    // The helper must start before this process has a second thread, so that it comes before everything else.
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(first), Some(folder)) = (arguments.next(), arguments.next())
        && first == SANDBOX
    {
        return sandbox::helper_main(Path::new(&folder));
    }
    if let Ok(this) = std::env::current_exe() {
        sandbox::use_helper(this, vec![SANDBOX.into()]);
    }
    match command::run(options::Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
