//! The command `check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use program::say;

/// Runs the public tests of the tasks, and says what passed, what failed and why, with a first estimate of the points.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// A task's number or name, such as 6 or task6_dps; all tasks if it is left out.
    task: Option<String>,
    /// The folder for pictures.
    #[arg(long, value_name = "DIR", default_value = "out/check")]
    out: PathBuf,
    /// Draw no pictures.
    #[arg(long)]
    no_pictures: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match check::check(
        options.task.as_deref(),
        (!options.no_pictures).then_some(options.out.as_path()),
    ) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
