//! The command `check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

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
    /// Test this one task again whenever a file of it is saved, and show the first thing that is wrong.
    #[arg(long, conflicts_with_all = ["out", "no_pictures"])]
    watch: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let task = options.task.as_deref();
    let pictures = (!options.no_pictures).then_some(options.out.as_path());
    let outcome = if options.watch {
        check::watch::watch(task).map(|()| true)
    } else {
        check::check(task, pictures)
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
