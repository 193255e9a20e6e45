//! Grades a class, several submissions at a time, going on after an interruption.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use program::stop_asked;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::find::{Class, Student};
use crate::bar;
use crate::grading::grade::{GradeReport, Grader};
use crate::printable::line;
use crate::report::{write_file, write_no_grade, write_reports};
use crate::submission::{Submission, read_submission_for};

/// Where each submission has a folder of its own, whatever its name.
pub const REPORTS: &str = "reports";
/// The file in it that says what came of it.
pub const SUMMARY: &str = "summary.json";

/// How a class is graded.
#[derive(Clone, Debug, Default)]
pub struct ClassOptions {
    /// How many submissions at one time.
    pub jobs: usize,
    /// Which part of the class, where several machines share it.
    pub shard: Option<Shard>,
}

/// Every N-th student, from number I on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `of`.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| {
            let (number, of) = (number.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&number).then_some(Self { number, of })
        });
        parts.ok_or_else(|| format!("`{text}` is no part of a class: expected I/N with I from 1 to N, such as 2/3"))
    }
}

impl Shard {
    /// Whether the student at this place, from 0, of the class sorted by id is its own.
    fn holds(self, place: usize) -> bool {
        place % self.of == self.number - 1
    }
}

/// One line of the table; it is kept in the submission's folder, written when all else is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The platform's number or login of the student.
    pub id: String,
    /// The student's name.
    pub name: String,
    /// The submission's file or folder.
    pub submission: String,
    /// Whether the platform marked it as late.
    pub late: bool,
    /// All points.
    pub points: f64,
    /// The points of each task that was graded, by its number.
    pub tasks: Vec<(u8, f64)>,
    /// The points of each check, by its key.
    pub checks: Vec<(String, f64)>,
    /// How many tasks could not be built.
    pub not_built: usize,
    /// Notes on what was not taken.
    pub notes: usize,
    /// On the clock.
    pub seconds: f64,
    /// What was graded, and how: another submission of the same name is graded anew.
    pub fingerprint: String,
    /// With which secret, images, thresholds and settings.
    pub course: String,
}

/// What came of a class.
#[derive(Debug, Default)]
pub struct Graded {
    /// Of each submission that was graded, now or before, by name.
    pub summaries: Vec<Summary>,
    /// The others, each with why there is no grade.
    pub failed: Vec<(String, String)>,
}

/// Grades the students of a class and writes a folder of reports for each to `out`; those that were graded before, in
/// the same way, are kept. No submission stops those behind it.
///
/// # Errors
///
/// If `out` cannot be written to.
pub fn grade_class(grader: &Grader, class: &Class, out: &Path, options: &ClassOptions) -> Result<Graded> {
    let mut students: Vec<&Student> = class.students.iter().collect();
    if let Some(shard) = options.shard {
        students.sort_by(|a, b| (&a.id, &a.submission).cmp(&(&b.id, &b.submission)));
        let of_shard = students
            .into_iter()
            .enumerate()
            .filter(|(place, _)| shard.holds(*place));
        students = of_shard.map(|(_, student)| student).collect();
    }
    let bar = bar::new("submissions", students.len() as u64);
    let queue = Mutex::new(VecDeque::from(students));
    let graded: Mutex<Graded> = Mutex::default();
    let work = || {
        // The lock must not be held while a submission is graded.
        let next = || locked(&queue).pop_front().filter(|_| stop_asked().is_none());
        while let Some(student) = next() {
            let outcome = grade_one(grader, student, out);
            let mut graded = locked(&graded);
            match outcome {
                Ok(summary) => graded.summaries.push(summary),
                Err(error) => graded.failed.push((student.submission.clone(), format!("{error:#}"))),
            }
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut graded = graded.into_inner().unwrap_or_else(PoisonError::into_inner);
    graded.summaries.sort_by(|a, b| a.submission.cmp(&b.submission));
    graded.failed.sort();
    Ok(graded)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grade_one(grader: &Grader, student: &Student, out: &Path) -> Result<Summary> {
    let tasks = &grader.options().tasks;
    let submission = read_submission_for(&student.path, tasks).unwrap_or_else(|error| Submission {
        notes: vec![line(&format!("{error:#}"), 500)],
        ..Submission::default()
    });
    let (fingerprint, course) = (fingerprint(student, &submission), course(grader)?);
    let folder = out.join(REPORTS).join(&student.submission);
    if let Some(summary) = graded_before(&folder)
        && (&summary.fingerprint, &summary.course) == (&fingerprint, &course)
    {
        return Ok(summary);
    }
    let attempt = || -> Result<Summary> {
        // What is there is of another submission, or another course.
        let _ = fs::remove_file(folder.join(SUMMARY));
        write_no_grade("The grader did not finish.", &folder)?;
        let mut report = grader.grade_read(&submission, &student.id, &mut |_, _| {})?;
        report.submission.clone_from(&student.submission);
        write_reports(&report, &folder)?;
        let summary = summary(student, &report, fingerprint.clone(), course.clone());
        write_file(&folder.join(SUMMARY), &serde_json::to_vec_pretty(&summary)?)?;
        Ok(summary)
    };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt));
    let outcome = caught.unwrap_or_else(|_| Err(anyhow::anyhow!("the grader panicked; see its message above")));
    if let Err(error) = &outcome {
        // It may be the disk that is full.
        let _ = write_no_grade(&format!("The grader itself failed: {error:#}"), &folder);
    }
    outcome
}

fn summary(student: &Student, report: &GradeReport, fingerprint: String, course: String) -> Summary {
    let checks = report.tasks.iter().flat_map(|task| &task.checks);
    Summary {
        id: student.id.clone(),
        name: student.name.clone(),
        submission: student.submission.clone(),
        late: student.late,
        points: report.points(),
        tasks: report
            .tasks
            .iter()
            .map(|task| (task.task.number(), task.points()))
            .collect(),
        checks: checks.map(|check| (check.key.clone(), check.points)).collect(),
        not_built: report.tasks.iter().filter(|task| task.build_error.is_some()).count(),
        notes: report.notes.len(),
        seconds: report.seconds,
        fingerprint,
        course,
    }
}

/// The summary in a submission's folder, if it was graded.
pub fn graded_before(folder: &Path) -> Option<Summary> {
    serde_json::from_slice(&fs::read(folder.join(SUMMARY)).ok()?).ok()
}

/// By content, not by times: whoever unpacks an archive again gives its files the same ones.
fn fingerprint(student: &Student, submission: &Submission) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{:?}",
        (&student.id, student.late, &submission.notes, &submission.arrived)
    ));
    for (task, sources) in &submission.sources {
        hash.update(format!("{} {sources:?}", task.number()));
    }
    hex(hash)
}

/// A fingerprint of what all submissions of a class are graded with.
///
/// # Errors
///
/// If the thresholds cannot be read.
pub fn course(grader: &Grader) -> Result<String> {
    let options = grader.options();
    let mut hash = Sha256::new();
    hash.update(format!(
        "{:?} {} {} {:?} {:?}",
        options.tasks,
        options.seed,
        options.images,
        options.only,
        grader.fingerprints()
    ));
    hash.update(fs::read(&options.thresholds)?);
    let points = options.tasks.iter().flat_map(|task| task.listed().points());
    hash.update(format!("{:?}", points.collect::<Vec<_>>()));
    Ok(hex(hash))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the folder for reports, if it can be used beside a class.
///
/// # Errors
///
/// If it lies among the submissions, or cannot be made.
pub fn make_out(out: &Path, class: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))?;
    ensure!(
        !files::lies_in(out, class),
        "--out `{}` lies among the submissions in `{}`: the next run would take the reports for one; name a folder \
         beside it",
        out.display(),
        class.display()
    );
    Ok(())
}
