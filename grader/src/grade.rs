//! `grader grade`: one submission, and a result whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use grader::grading::grade::name_of;
use grader::late::{LatePolicy, Metadata};
use grader::report::{write_no_grade, write_reports};
use grader::{GradeOptions, GradeReport, Grader, bar};
use program::{catch_signals, explain, print, say, stop_asked};

/// Whose submission it is, and what being late costs.
pub struct Who {
    /// The student's number or login.
    pub student: Option<String>,
    /// Gradescope's file about the submission.
    pub metadata: Option<PathBuf>,
    /// What being late costs.
    pub policy: LatePolicy,
}

/// Grades. From the first second there is a `results.json`, which says that the grader did not finish; it is replaced
/// by the grade, or by what went wrong.
pub fn grade(submission: &Path, who: &Who, out: &Path, options: &GradeOptions) -> Result<ExitCode> {
    write_no_grade("The grader did not finish.", out)?;
    stop_programs_on_signals()?;
    let graded = catch_unwind(AssertUnwindSafe(|| graded(submission, who, options)));
    let graded = graded.unwrap_or_else(|_| Err(anyhow!("the grader panicked; its log holds the message")));
    if let Some(signal) = stop_asked() {
        let number = signal.exit_status() - 128;
        write_no_grade(
            &format!("The grader was stopped by a signal (number {number}) before it had finished."),
            out,
        )?;
        return Ok(ExitCode::from(signal.exit_status()));
    }
    match graded {
        Ok(report) => {
            write_reports(&report, out)?;
            print_report(&report);
            print(&format!("See `{}`.", out.join("report.html").display()));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            write_no_grade(
                &format!(
                    "Nothing was graded, because the grader itself failed: {}",
                    explain(&error)
                ),
                out,
            )?;
            Err(error)
        }
    }
}

fn graded(submission: &Path, who: &Who, options: &GradeOptions) -> Result<GradeReport> {
    let about = submission
        .metadata()
        .with_context(|| format!("there is no submission at `{}`", submission.display()))?;
    ensure!(
        about.is_dir() || about.is_file(),
        "the submission `{}` is neither a folder nor a file",
        submission.display()
    );
    let metadata = match &who.metadata {
        Some(path) => Metadata::read(path)?,
        None => Metadata::default(),
    };
    let student = who
        .student
        .clone()
        .or(metadata.student)
        .unwrap_or_else(|| name_of(submission));
    let grader = Grader::new(options.clone())?;
    warn(&grader);
    let bar = bar::new("checks", grader.num_checks() as u64);
    let report = grader.grade(submission, &student, &mut |key, _| {
        bar.set_message(key.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    Ok(GradeReport {
        kept: metadata.times.map(|times| who.policy.kept(times)),
        ..report?
    })
}

/// Says loudly what makes grades worth little.
pub fn warn(grader: &Grader) {
    if let Some(warning) = grader.warning() {
        say(&format!("warning: {warning}"));
    }
}

/// From now on a signal that asks to end stops what runs in the sandbox, so that the grader comes to write what it has,
/// and to remove its scratch folders.
pub fn stop_programs_on_signals() -> Result<()> {
    catch_signals("Stopping.").context("cannot wait for signals")?;
    std::thread::Builder::new().name("stop".into()).spawn(|| {
        while stop_asked().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        sandbox::stop_all();
    })?;
    Ok(())
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
    if let Some(kept) = report.kept.filter(|kept| *kept < 1.0) {
        print(&format!(
            "Late: {:.0} % of the {:.2} points earned are kept.",
            100.0 * kept,
            report.points()
        ));
    }
    print(&format!(
        "{:.2} of {:.0} points in {:.0} s",
        report.score(),
        report.out_of(),
        report.seconds
    ));
}
