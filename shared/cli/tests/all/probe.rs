//! A program to try: this test program once more, which then does what a task's program does.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Parser;
use cli::{CommonOptions, Method, ProblemOptions, solve_problems};

/// The flags of the program; the name of what it is to do is the first.
const ARGUMENTS: &str = "CLI_TEST_ARGUMENTS";
/// No flag has it in it.
const BETWEEN: &str = "\u{1f}";

#[derive(Parser)]
struct Options {
    /// Fails at the second operator: `nan`, `error`, `interrupt`; else well.
    #[arg(long, default_value = "")]
    trouble: String,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    problem: ProblemOptions,
}

/// What a run of the program came to.
pub struct Ran {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the program in `folder` with these flags.
pub fn run(folder: &Path, flags: &[&str]) -> Result<Ran> {
    run_as(Command::new(std::env::current_exe()?), folder, flags)
}

/// As [`run`], but with no more than so many KiB of addresses.
pub fn run_with_memory(folder: &Path, flags: &[&str], kibibytes: u64) -> Result<Ran> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {kibibytes} && exec \"$0\" \"$@\"")]);
    shell.arg(std::env::current_exe()?);
    run_as(shell, folder, flags)
}

fn run_as(mut command: Command, folder: &Path, flags: &[&str]) -> Result<Ran> {
    let Output { stdout, stderr, .. } = command
        .args(["--exact", "probe::program", "--nocapture"])
        .env(ARGUMENTS, flags.join(BETWEEN))
        .current_dir(folder)
        .output()?;
    let (out, err) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    let status = err.lines().find_map(|line| line.strip_prefix("status "));
    let Some(Ok(status)) = status.map(str::parse) else {
        bail!("no status in\n{err}");
    };
    Ok(Ran { status, out, err })
}

/// Not a test, but the program.
#[test]
fn program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let flags = arguments.split(BETWEEN).filter(|flag| !flag.is_empty());
    let options = Options::parse_from(std::iter::once("probe").chain(flags));
    let code = cli::run("probe", &options.common, |session| {
        let prior = session.prior()?;
        let method = Method {
            name: "guess",
            evaluations: 1,
            settings: Vec::new(),
            advice: None,
        };
        let mut calls = 0;
        let solve = &mut |problem: &cli::Problem<'_>, _: &mut _, _: &mut dyn diffusion::Observer| {
            calls += 1;
            let mut images = problem.operator.start_image(problem.b)?;
            match options.trouble.as_str() {
                _ if calls == 1 => {}
                "nan" => images.fill(f32::NAN),
                "error" => bail!("something went wrong"),
                "interrupt" => {
                    let this = std::process::id().to_string();
                    ensure!(Command::new("kill").args(["-INT", &this]).status()?.success());
                    let start = Instant::now();
                    while cli::check_interrupted().is_ok() {
                        ensure!(
                            start.elapsed() < Duration::from_secs(20),
                            "SIGINT is not noticed: is it ignored, as in a job in the background?"
                        );
                        std::thread::yield_now();
                    }
                    cli::check_interrupted()?;
                }
                _ => {}
            }
            Ok(images)
        };
        solve_problems(session, &prior, &options.common, &options.problem, &method, solve)
    });
    // An exit status cannot be looked into, but compared.
    let status = (0..=255_u8).find(|status| code == (*status).into());
    eprintln!("status {}", status.map_or(-1, i32::from));
}
