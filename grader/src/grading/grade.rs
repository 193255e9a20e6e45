//! Grades one submission: read, compile, ask, judge.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use sandbox::{Isolation, Limits};

use crate::bands::thresholds::Thresholds;
use crate::checks::{Bench, Check, Figure, Kind, Picture, Verdict};
use crate::course::task::Task;
use crate::grading::ask::ask;
use crate::grading::compile::{COMPILE_LIMITS, Worker, compile};
use crate::grading::kit::Kit;
use crate::submission::{Submission, read_submission};

/// How to grade.
#[derive(Clone, Debug)]
pub struct GradeOptions {
    /// The instructor's workspace.
    pub root: PathBuf,
    /// The tasks to grade.
    pub tasks: Vec<Task>,
    /// Only checks whose key, such as `6.2 formula`, starts with one of these; all where there are none.
    pub only: Vec<String>,
    /// Whether to run the checks on images, which take most of the time.
    pub images: bool,
    /// Where all random inputs come from.
    pub seed: u64,
    /// Whether to run without protection where there is none.
    pub isolation: Isolation,
    /// What compiling one task may use.
    pub compile_limits: Limits,
    /// The folder with the hidden images.
    pub hidden: PathBuf,
    /// The file with points and bands.
    pub thresholds: PathBuf,
}

impl GradeOptions {
    /// The usual settings, for the workspace at `root`: everything, protected, with the files of its folder `grader`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            tasks: Task::all(),
            only: Vec::new(),
            images: true,
            seed: 0,
            isolation: Isolation::Required,
            compile_limits: COMPILE_LIMITS,
            hidden: root.join("grader/hidden"),
            thresholds: root.join("grader/thresholds.toml"),
        }
    }

    fn wants(&self, check: &Check) -> bool {
        let key = check.key();
        (self.images || !matches!(check.kind, Kind::Images(_)))
            && (self.only.is_empty() || self.only.iter().any(|only| key.starts_with(only.as_str())))
    }
}

/// What came of a submission.
#[derive(Clone, Debug, Default)]
pub struct GradeReport {
    /// The submission's name.
    pub submission: String,
    /// One for each task that was graded.
    pub tasks: Vec<TaskReport>,
    /// What was not taken, or is missing, and why; also why nothing was graded.
    pub notes: Vec<String>,
    /// On the clock.
    pub seconds: f64,
}

/// What came of one task.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Which.
    pub task: Task,
    /// Why it could not be built: what the compiler says, or that it is missing.
    pub build_error: Option<String>,
    /// One for each check.
    pub checks: Vec<CheckReport>,
    /// On the clock, the compilation included.
    pub seconds: f64,
}

/// What came of one check.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// `6.2 formula`
    pub key: String,
    /// What it earned.
    pub points: f64,
    /// What it could have earned.
    pub out_of: f64,
    /// What was found, for the student.
    pub text: String,
    /// Results beside what they should look like.
    pub pictures: Vec<Picture>,
    /// What was measured of images.
    pub figures: Vec<Figure>,
    /// On the clock.
    pub seconds: f64,
}

impl GradeReport {
    /// All points earned.
    #[must_use]
    pub fn points(&self) -> f64 {
        self.tasks.iter().map(TaskReport::points).sum()
    }

    /// All points that could have been earned.
    #[must_use]
    pub fn out_of(&self) -> f64 {
        self.tasks.iter().map(TaskReport::out_of).sum()
    }

    /// The report of a check, by its key.
    #[must_use]
    pub fn check(&self, key: &str) -> Option<&CheckReport> {
        self.tasks
            .iter()
            .flat_map(|task| &task.checks)
            .find(|check| check.key == key)
    }
}

impl TaskReport {
    /// The points earned.
    #[must_use]
    pub fn points(&self) -> f64 {
        self.checks.iter().map(|check| check.points).sum()
    }

    /// The points that could have been earned.
    #[must_use]
    pub fn out_of(&self) -> f64 {
        self.checks.iter().map(|check| check.out_of).sum()
    }
}

/// What grading needs, made once and used for any number of submissions.
pub struct Grader {
    options: GradeOptions,
    kit: Kit,
    bench: Bench,
}

/// Grades one submission; for several, make a [`Grader`].
///
/// # Errors
///
/// As [`Grader::new`] and [`Grader::grade`].
pub fn grade(submission: &Path, options: &GradeOptions) -> Result<GradeReport> {
    Grader::new(options.clone())?.grade(submission, &mut |_, _| {})
}

impl Grader {
    /// Builds the kit, and reads hidden images and thresholds.
    ///
    /// # Errors
    ///
    /// If something of the instructor's is missing or broken.
    pub fn new(options: GradeOptions) -> Result<Self> {
        let kit = Kit::prepare(&options.root)?;
        let thresholds = Thresholds::read(&options.thresholds)?;
        let bench = Bench::new(options.seed, &kit.prior(), &options.hidden, thresholds)?;
        Ok(Self { options, kit, bench })
    }

    /// The number of checks of each submission, for a progress bar.
    #[must_use]
    pub fn num_checks(&self) -> usize {
        self.options.tasks.iter().map(|&task| self.checks(task).len()).sum()
    }

    fn checks(&self, task: Task) -> Vec<Check> {
        Check::of_task(task)
            .into_iter()
            .filter(|check| self.options.wants(check))
            .collect()
    }

    /// Grades a submission. `progress` is called after each check with its key and what it earned.
    ///
    /// Whatever the submission does, there is a report; an unreadable one has notes and no points.
    ///
    /// # Errors
    ///
    /// Only if the grader itself fails: no sandbox, no disk space.
    pub fn grade(&self, path: &Path, progress: &mut dyn FnMut(&str, f64)) -> Result<GradeReport> {
        let clock = Instant::now();
        let submission = read_submission(path).unwrap_or_else(|error| Submission {
            notes: vec![format!("{error:#}")],
            ..Submission::default()
        });
        let folder = work_folder()?;
        let mut tasks = Vec::new();
        for &task in &self.options.tasks {
            tasks.push(self.grade_task(task, &submission, folder.path(), progress)?);
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(GradeReport {
            submission: name.to_string_lossy().into_owned(),
            tasks,
            notes: submission.notes,
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    fn grade_task(
        &self,
        task: Task,
        submission: &Submission,
        folder: &Path,
        progress: &mut dyn FnMut(&str, f64),
    ) -> Result<TaskReport> {
        let clock = Instant::now();
        let built = match submission.sources.get(&task) {
            None => Err(format!(
                "tasks/{}/src/lib.rs did not come with the submission, or was not taken.",
                task.crate_name()
            )),
            Some(sources) => {
                let (limits, isolation) = (self.options.compile_limits, self.options.isolation);
                compile(&self.kit, task, sources, folder, limits, isolation)?
            }
        };
        let mut reports = Vec::new();
        for check in self.checks(task) {
            let report = match &built {
                Ok(worker) => self.run_check(&check, worker, folder)?,
                Err(_) => self.report(&check, Verdict::nothing("Not run: the task could not be built."), 0.0),
            };
            progress(&report.key, report.points);
            reports.push(report);
        }
        Ok(TaskReport {
            task,
            build_error: built.err(),
            checks: reports,
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    fn run_check(&self, check: &Check, worker: &Worker, folder: &Path) -> Result<CheckReport> {
        let clock = Instant::now();
        let asked = check
            .requests(&self.bench)
            .with_context(|| format!("cannot make the inputs of {}", check.key()))?;
        let isolation = self.options.isolation;
        let verdict = match ask(&self.kit, worker, &asked, check.time_limit(), folder, isolation)? {
            Ok((answers, printed)) => {
                let mut verdict = check.judge(&self.bench, &asked, &answers)?;
                if verdict.share < 1.0 && !printed.is_empty() {
                    verdict.text.push_str(&format!("\nIt printed:\n{printed}"));
                }
                verdict
            }
            Err(why) => Verdict::nothing(why),
        };
        Ok(self.report(check, verdict, clock.elapsed().as_secs_f64()))
    }

    fn report(&self, check: &Check, verdict: Verdict, seconds: f64) -> CheckReport {
        let out_of = self.bench.thresholds.points(check);
        CheckReport {
            key: check.key(),
            points: (out_of * verdict.share * 100.0).round() / 100.0,
            out_of,
            text: verdict.text,
            pictures: verdict.pictures,
            figures: verdict.figures,
            seconds,
        }
    }
}

/// A folder that only the grader lists, with what the sandbox may see inside it.
fn work_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("grader-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    crate::grading::scratch::make_executable(folder.path())?;
    Ok(folder)
}
