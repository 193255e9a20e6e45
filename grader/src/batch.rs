//! `grader batch`: a class.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use grader::class::merge::{self, write_part};
use grader::class::{self, Adjustments, Class, ClassOptions, course, grade_class, make_out, write_tables};
use grader::{GradeOptions, Grader, Task};
use program::{print, say, stop_asked};

use crate::grade::{stop_programs_on_signals, warn};

/// Grades the class in a folder or an archive. What is wrong with single submissions stops nobody else; the exit code
/// is 1 where one got no grade.
pub fn batch(
    submissions: &Path,
    out: &Path,
    how: &ClassOptions,
    adjustments: &Adjustments,
    options: &GradeOptions,
) -> Result<ExitCode> {
    make_out(out, submissions)?;
    let class = class::find(submissions)?;
    say_passed_over(&class);
    stop_programs_on_signals()?;
    let grader = Grader::new(options.clone())?;
    warn(&grader);
    write_part(&class, &course(&grader)?, how.shard, out)?;
    let graded = grade_class(&grader, &class, out, how)?;
    write_tables(&graded, &options.tasks, adjustments, out)?;
    if how.shard.is_none() {
        adjustments.unused(&graded.summaries).iter().for_each(|note| say(note));
    }
    for (name, why) in &graded.failed {
        say(&format!("no grade for {name}: {why}"));
    }
    print(&format!(
        "{} submissions; see `{}` and scores.csv beside it.",
        graded.summaries.len(),
        out.join("class.html").display()
    ));
    if let Some(signal) = stop_asked() {
        say("Stopped before the end: the same command goes on from here.");
        return Ok(ExitCode::from(signal.exit_status()));
    }
    Ok(if graded.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Joins parts of a class. The exit code is 1 where a submission is missing.
pub fn merge(parts: &[PathBuf], out: &Path, adjustments: &Adjustments) -> Result<ExitCode> {
    let merged = merge::merge(parts, out)?;
    let is_graded = |task: &Task| {
        let mut graded = merged.graded.summaries.iter().flat_map(|summary| &summary.tasks);
        graded.any(|(number, _)| *number == task.number())
    };
    let tasks: Vec<Task> = Task::all().into_iter().filter(is_graded).collect();
    write_tables(&merged.graded, &tasks, adjustments, out)?;
    for name in &merged.twice {
        say(&format!("graded twice: {name}; the first part's result is taken"));
    }
    for name in &merged.missing {
        say(&format!("missing: {name}: no part has graded it"));
    }
    adjustments
        .unused(&merged.graded.summaries)
        .iter()
        .for_each(|note| say(note));
    print(&format!(
        "{} submissions, {} missing; see `{}`.",
        merged.graded.summaries.len(),
        merged.missing.len(),
        out.join("scores.csv").display()
    ));
    Ok(if merged.missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Shows who would be graded from what.
pub fn dry_run(submissions: &Path, options: &GradeOptions) -> Result<ExitCode> {
    let class = class::find(submissions)?;
    ensure!(!class.students.is_empty(), "there is nobody to grade");
    for student in &class.students {
        let read = grader::submission::read_submission_for(&student.path, &options.tasks);
        let (tasks, notes) = match read {
            Ok(submission) => (
                submission
                    .sources
                    .keys()
                    .map(|task| task.crate_name())
                    .collect::<Vec<_>>()
                    .join(" "),
                submission.notes,
            ),
            Err(error) => (String::new(), vec![grader::printable::line(&format!("{error:#}"), 300)]),
        };
        let tasks = if tasks.is_empty() { "nothing" } else { &tasks };
        let late = if student.late { ", late" } else { "" };
        print(&format!(
            "{} ({}{late}) from `{}`: {tasks}",
            student.name, student.id, student.submission
        ));
        notes.iter().for_each(|note| print(&format!("    {note}")));
    }
    say_passed_over(&class);
    Ok(ExitCode::SUCCESS)
}

fn say_passed_over(class: &Class) {
    for passed in &class.passed_over {
        say(&format!("passed over: {}: {}", passed.name, passed.why));
    }
}
