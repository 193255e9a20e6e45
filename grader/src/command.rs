//! Carries out the subcommands.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use grader::bands::calibrate::{self, Scope};
use grader::bands::thresholds::Thresholds;
use grader::checks::Bench;
use grader::course::doctor::{self, Build};
use grader::course::package::{self, Libraries};
use grader::course::{hidden, release};
use grader::report::{write_file, write_reports};
use grader::{GradeOptions, GradeReport, Grader, Task, bar, batch};
use program::{all_printed, print, say};
use score_unet::Prior;

use crate::options::{Command, Options};

/// The bands, in the workspace.
const THRESHOLDS: &str = "grader/thresholds.toml";

/// Carries a command out.
///
/// # Errors
///
/// What the user can mend, in words.
pub fn run(options: Options) -> Result<ExitCode> {
    let root = find_root(options.root)?;
    match options.command {
        Command::Release { out } => {
            release::release(&root, &out)?;
            print(&format!("The students' tree is in `{}`.", out.display()));
        }
        Command::Doctor { build } => return examined(&root, if build { Build::Yes } else { Build::No }),
        Command::Check { task, out } => {
            std::env::set_current_dir(&root)?;
            let passed = check::check(task.as_deref(), Some(&out))?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Grade { submission, out, how } => return grade(&submission, &out, &how.options(&root)),
        Command::Batch {
            submissions,
            out,
            jobs,
            how,
        } => {
            let done = batch::grade_class(&submissions, &out, jobs, &how.options(&root))?;
            print(&format!(
                "{} submissions; see `{}` and scores.csv beside it.",
                done.len(),
                out.join("class.html").display()
            ));
        }
        Command::Package { out, vendored } => {
            let libraries = if vendored {
                Libraries::Vendored
            } else {
                Libraries::FromRegistry
            };
            let count = package::package(&root, &out, libraries)?;
            print(&format!(
                "{count} files in `{}`; classroom.yml is beside it.",
                out.display()
            ));
        }
        Command::Calibrate {
            seeds,
            first,
            tasks,
            check_fairness,
            no_images,
        } => {
            let tasks = if tasks.is_empty() { Task::all() } else { tasks };
            let seeds = first..first.saturating_add(seeds);
            let bench = bench(&root)?;
            return if check_fairness {
                let scope = if no_images {
                    Scope::WithoutImages
                } else {
                    Scope::Everything
                };
                fair(bench, &tasks, seeds, scope)
            } else {
                calibrated(bench, &tasks, seeds, &root)
            };
        }
        Command::Hidden {
            seed,
            count,
            steps,
            device,
            out,
        } => {
            let device = device.open(say)?;
            let prior = Prior::load_on(&root.join("data/priors/fruits64"), &device)?;
            let out = out.unwrap_or_else(|| root.join("grader/hidden"));
            hidden::draw(&prior, &out, seed, count, steps)?;
            print(&format!(
                "{count} images in `{}`; now run `grader calibrate`.",
                out.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn examined(root: &Path, build: Build) -> Result<ExitCode> {
    let findings = doctor::examine(root, build)?;
    findings.iter().for_each(|finding| print(&finding.to_string()));
    if findings.is_empty() {
        print("All agrees.");
    }
    all_printed()?;
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn find_root(named: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(root) = named {
        return root
            .canonicalize()
            .with_context(|| format!("there is no folder `{}`", root.display()));
    }
    let is_root = |folder: &Path| folder.join("grader/thresholds.toml").is_file();
    let here = std::env::current_dir()?;
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match here.ancestors().chain(built_in).find(|folder| is_root(folder)) {
        Some(root) => Ok(root.to_owned()),
        None => bail!("no instructor's workspace here or above: run inside of it, or name it with --root"),
    }
}

/// Grades, and writes a result whatever happens: a failure of the grader's own is told in it.
fn grade(submission: &Path, out: &Path, options: &GradeOptions) -> Result<ExitCode> {
    let outcome = Grader::new(options.clone()).and_then(|grader| {
        let bar = bar::new("checks", grader.num_checks() as u64);
        let report = grader.grade(submission, &mut |key, _| {
            bar.set_message(key.to_owned());
            bar.inc(1);
        });
        bar.finish_and_clear();
        report
    });
    match outcome {
        Ok(report) => {
            write_reports(&report, out)?;
            print_report(&report);
            print(&format!("See `{}`.", out.join("report.html").display()));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let report = GradeReport {
                submission: submission.display().to_string(),
                notes: vec![format!(
                    "Nothing was graded, because the grader itself failed: {error:#}"
                )],
                ..GradeReport::default()
            };
            write_reports(&report, out)?;
            Err(error)
        }
    }
}

fn print_report(report: &GradeReport) {
    for note in &report.notes {
        print(&format!("note: {note}"));
    }
    for task in &report.tasks {
        print(&format!(
            "{}: {:.2} of {:.0} points ({:.1} s)",
            task.task.title(),
            task.points(),
            task.out_of(),
            task.seconds
        ));
        if let Some(error) = &task.build_error {
            print(error);
            continue;
        }
        for check in &task.checks {
            print(&format!(
                "  {:<14} {:>5.2} of {:>2} ({:.1} s)",
                check.key, check.points, check.out_of, check.seconds
            ));
            if check.points < check.out_of {
                check.text.lines().for_each(|line| print(&format!("      {line}")));
            }
        }
    }
    print(&format!(
        "{:.2} of {:.0} points in {:.0} s",
        report.points(),
        report.out_of(),
        report.seconds
    ));
}

/// The instructor's own prior, hidden images and bands.
fn bench(root: &Path) -> Result<Bench> {
    let thresholds = Thresholds::read(&root.join(THRESHOLDS))?;
    Bench::new(
        0,
        &root.join("data/priors/fruits64"),
        &root.join("grader/hidden"),
        thresholds,
    )
}

/// Measures the bands anew, and writes them.
fn calibrated(mut bench: Bench, tasks: &[Task], seeds: Range<u64>, root: &Path) -> Result<ExitCode> {
    let thresholds = calibrate::calibrate(&mut bench, tasks, seeds)?;
    let path = root.join(THRESHOLDS);
    write_file(&path, calibrate::to_text(&thresholds)?.as_bytes())?;
    print(&format!("The bands are in `{}`.", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Says where the reference solution loses points.
fn fair(mut bench: Bench, tasks: &[Task], seeds: Range<u64>, scope: Scope) -> Result<ExitCode> {
    let faults = calibrate::unfair(&mut bench, tasks, seeds.clone(), scope)?;
    faults.iter().for_each(|fault| print(fault));
    print(&format!("{} faults on {} seeds", faults.len(), seeds.end - seeds.start));
    all_printed()?;
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
