//! Grades a class: every submission of a folder, several at a time, going on after an interruption.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::bar;
use crate::course::task::Task;
use crate::grading::grade::{GradeOptions, Grader};
use crate::report::{escaped, write_file, write_reports};

/// Where each submission has a folder of its own, whatever its name.
const REPORTS: &str = "reports";

/// One line of the table; it is kept in the submission's folder as `summary.json`, written when all else is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The submission's file or folder.
    pub submission: String,
    /// All points.
    pub points: f64,
    /// The points of each task that was graded, by its number.
    pub tasks: Vec<(u8, f64)>,
    /// How many tasks could not be built.
    pub not_built: usize,
    /// Notes on what was not taken.
    pub notes: usize,
    /// On the clock.
    pub seconds: f64,
    /// What was graded, and how: another submission of the same name is graded anew.
    fingerprint: String,
}

/// Grades all submissions in `folder` with `jobs` at a time, and writes reports, `scores.csv` and `class.html` to
/// `out`.
///
/// # Errors
///
/// If the folder holds no submission, or the grader itself fails; what was graded until then is kept.
pub fn grade_class(folder: &Path, out: &Path, jobs: usize, options: &GradeOptions) -> Result<Vec<Summary>> {
    let submissions = submissions(folder)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))?;
    ensure!(
        !files::lies_in(out, folder),
        "--out `{}` lies among the submissions in `{}`: the next run would take the reports for one; name a folder \
         beside it",
        out.display(),
        folder.display()
    );
    let bar = bar::new("submissions", submissions.len() as u64);
    let queue = Mutex::new(VecDeque::from(submissions));
    let done: Mutex<Vec<Summary>> = Mutex::default();
    let work = || -> Result<()> {
        let mut grader = None;
        while let Some(path) = locked(&queue).pop_front() {
            let summary = match graded_before(&path, out, options)? {
                Some(summary) => summary,
                None => {
                    let grader = match &mut grader {
                        Some(grader) => grader,
                        none => none.insert(Grader::new(options.clone())?),
                    };
                    grade_one(grader, &path, out, options)?
                }
            };
            locked(&done).push(summary);
            bar.inc(1);
        }
        Ok(())
    };
    let outcome = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the grader panicked")))
        };
        // All are waited for, also after one has failed.
        let outcomes: Vec<Result<()>> = threads.into_iter().map(join).collect();
        outcomes.into_iter().collect::<Result<()>>()
    });
    bar.finish_and_clear();
    let mut summaries = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    summaries.sort_by(|a, b| a.submission.cmp(&b.submission));
    write_file(&out.join("scores.csv"), &table(&summaries, options)?)?;
    write_file(&out.join("class.html"), page(&summaries, options).as_bytes())?;
    outcome?;
    Ok(summaries)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Folders and zip archives, sorted by name.
fn submissions(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    ensure!(
        !paths.is_empty(),
        "`{}` holds no submission: expected folders and zip archives, one for each student",
        folder.display()
    );
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn grade_one(grader: &Grader, path: &Path, out: &Path, options: &GradeOptions) -> Result<Summary> {
    let fingerprint = fingerprint(path, options)?;
    let report = grader
        .grade(path, &mut |_, _| {})
        .with_context(|| format!("while grading `{}`", name(path)))?;
    let folder = out.join(REPORTS).join(name(path));
    write_reports(&report, &folder)?;
    let summary = Summary {
        submission: report.submission.clone(),
        points: report.points(),
        tasks: report
            .tasks
            .iter()
            .map(|task| (task.task.number(), task.points()))
            .collect(),
        not_built: report.tasks.iter().filter(|task| task.build_error.is_some()).count(),
        notes: report.notes.len(),
        seconds: report.seconds,
        fingerprint,
    };
    write_file(&folder.join("summary.json"), &serde_json::to_vec_pretty(&summary)?)?;
    Ok(summary)
}

fn graded_before(path: &Path, out: &Path, options: &GradeOptions) -> Result<Option<Summary>> {
    let Ok(text) = fs::read(out.join(REPORTS).join(name(path)).join("summary.json")) else {
        return Ok(None);
    };
    let Ok(summary) = serde_json::from_slice::<Summary>(&text) else {
        return Ok(None);
    };
    Ok((summary.fingerprint == fingerprint(path, options)?).then_some(summary))
}

/// Names, sizes and times of all files, and the settings; the contents of a large class would take long to read.
fn fingerprint(path: &Path, options: &GradeOptions) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{:?} {} {} {:?}",
        options.tasks, options.seed, options.images, options.only
    ));
    hash.update(fs::read(&options.thresholds).unwrap_or_default());
    let points = options.tasks.iter().flat_map(|task| task.listed().points());
    hash.update(format!("{:?}", points.collect::<Vec<_>>()));
    for entry in WalkDir::new(path)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .take(10_000)
    {
        let about = entry.metadata().map_err(std::io::Error::from)?;
        hash.update(format!(
            "{} {} {:?}\n",
            entry.path().display(),
            about.len(),
            about.modified()?
        ));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn table(summaries: &[Summary], options: &GradeOptions) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let tasks = options.tasks.iter().map(|task| task.crate_name().to_owned());
    let header = ["submission", "points"].map(String::from).into_iter().chain(tasks);
    writer.write_record(header.chain(["not_built", "notes", "seconds"].map(String::from)))?;
    for summary in summaries {
        let points = options
            .tasks
            .iter()
            .map(|&task| format!("{:.2}", points(summary, task)));
        let start = [cell(&summary.submission), format!("{:.2}", summary.points)];
        let end = [
            summary.not_built.to_string(),
            summary.notes.to_string(),
            format!("{:.1}", summary.seconds),
        ];
        writer.write_record(start.into_iter().chain(points).chain(end))?;
    }
    Ok(writer.into_inner()?)
}

/// A spreadsheet takes text that begins with such a character for a formula.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn points(summary: &Summary, task: Task) -> f64 {
    let found = summary.tasks.iter().find(|(number, _)| *number == task.number());
    found.map_or(0.0, |(_, points)| *points)
}

/// The distribution as bars of ten points each, and the table with links to the reports.
fn page(summaries: &[Summary], options: &GradeOptions) -> String {
    const BARS: usize = 10;
    let mut counts = [0usize; BARS];
    for summary in summaries {
        counts[((summary.points / 10.0) as usize).min(BARS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let mut bars = String::new();
    for (index, count) in counts.iter().enumerate() {
        let height = 120 * count / most;
        let (x, y) = (45 * index, 140 - height);
        bars.push_str(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"40\" height=\"{height}\" fill=\"#47a\"/>\
             <text x=\"{x}\" y=\"{}\">{count}</text>\
             <text x=\"{x}\" y=\"155\">{}</text>\n",
            y - 4,
            10 * index
        ));
    }
    let heads: String = options
        .tasks
        .iter()
        .map(|task| format!("<th>task {}</th>", task.number()))
        .collect();
    let mut rows = String::new();
    for summary in summaries {
        let name = escaped(&summary.submission);
        let cells: String = options
            .tasks
            .iter()
            .map(|&task| format!("<td>{:.1}</td>", points(summary, task)))
            .collect();
        rows.push_str(&format!(
            "<tr><td><a href=\"{REPORTS}/{name}/report.html\">{name}</a></td><td>{:.1}</td>{cells}\
             <td>{}</td><td>{}</td><td>{:.0}</td></tr>\n",
            summary.points, summary.not_built, summary.notes, summary.seconds
        ));
    }
    let mean = summaries.iter().map(|summary| summary.points).sum::<f64>() / summaries.len().max(1) as f64;
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Points of the class</title><style>\
         body{{font-family:sans-serif;max-width:60em;margin:2em auto}}td,th{{padding:.2em .8em;text-align:left}}\
         text{{font-size:12px}}</style></head><body><h1>{} submissions, {mean:.1} points on average</h1>\n\
         <svg width=\"460\" height=\"165\">{bars}</svg>\n<table><tr><th>submission</th><th>points</th>{heads}\
         <th>not built</th><th>notes</th><th>seconds</th></tr>\n{rows}</table></body></html>\n",
        summaries.len()
    )
}
