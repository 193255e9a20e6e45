//! The command `grader`.

mod batch;
mod command;
mod grade;
mod options;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use program::{USER_ERROR, explain, say};

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
    // The flags name tasks, so that the list must be sound before they are read.
    let outcome = grader::course::task::check_list().and_then(|()| match options::Options::try_parse() {
        Ok(options) => command::run(options),
        Err(error) => {
            if error.use_stderr() {
                grader::report::promise::tell(
                    "The grader was started with wrong flags; what it says of them is in its log.",
                );
            }
            error.exit()
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {}", explain(&error)));
            ExitCode::from(USER_ERROR)
        }
    }
}
