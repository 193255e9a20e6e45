//! Grades one submission: read, compile, ask, judge.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use program::stop_asked;
use sandbox::{Isolation, Limits};

use crate::bands::thresholds::Thresholds;
use crate::checks::{Bench, Check, Kind, Verdict};
use crate::course::task::Task;
use crate::grading::ask::{Outcome, Place, ask_each, ask_together};
use crate::grading::budget::Budget;
use crate::grading::compile::{COMPILE_LIMITS, Worker, compile};
use crate::grading::kit::Kit;
pub use crate::grading::outcome::{CheckReport, GradeReport, TaskReport, Visibility};
use crate::grading::proof;
use crate::grading::scratch::{Work, remove_leftovers};
use crate::printable::{line, printable};
use crate::secret::{Owner, Secret};
use crate::submission::{Submission, read_submission_for};

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
    /// Goes into all random inputs, beside the course's secret and the student's id.
    pub seed: u64,
    /// Whether to run without protection where there is none.
    pub isolation: Isolation,
    /// What compiling one task may use.
    pub compile_limits: Limits,
    /// How long one submission may be graded; what is not done by then earns nothing.
    pub budget: Duration,
    /// Who sees the results of the checks on images.
    pub visibility: Visibility,
    /// The folder with the hidden images and the course's secret.
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
            budget: Duration::from_secs(15 * 60),
            visibility: Visibility::default(),
            hidden: root.join("grader/hidden"),
            thresholds: root.join("grader/thresholds.toml"),
        }
    }

    pub(crate) fn wants(&self, check: &Check) -> bool {
        let key = check.key();
        (self.images || !matches!(check.kind, Kind::Images(_)))
            && (self.only.is_empty() || self.only.iter().any(|only| key.starts_with(only.as_str())))
    }
}

/// What grading needs, made once and used for any number of submissions, several at a time.
pub struct Grader {
    options: GradeOptions,
    kit: Kit,
    bench: Bench,
    owner: Owner,
}

/// Grades one submission; for several, make a [`Grader`].
///
/// # Errors
///
/// As [`Grader::new`] and [`Grader::grade`].
pub fn grade(submission: &Path, options: &GradeOptions) -> Result<GradeReport> {
    Grader::new(options.clone())?.grade(submission, &name_of(submission), &mut |_, _| {})
}

/// What a submission is called where nothing else is known: its file's or folder's name.
#[must_use]
pub fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl Grader {
    /// Builds the kit, reads hidden images, the course's secret and thresholds, and has the reference solution graded
    /// where this machine has not done that yet.
    ///
    /// # Errors
    ///
    /// If something of the instructor's is missing or broken, or the reference solution loses points here: nobody gets
    /// points from a machine that cannot grade.
    pub fn new(options: GradeOptions) -> Result<Self> {
        let grader = Self::unproved(options)?;
        proof::prove(&grader)?;
        Ok(grader)
    }

    fn unproved(options: GradeOptions) -> Result<Self> {
        remove_leftovers();
        // What is quickly looked at comes before the kit, which may take minutes.
        let thresholds = Thresholds::read(&options.thresholds)?;
        let (secret, owner) = Secret::read(&options.hidden)?;
        let prior = options.root.join("data/priors/fruits64");
        let bench = Bench::new(secret, &prior, &options.hidden, thresholds)?;
        if options.images {
            bench.check_calibrated()?;
        }
        let kit = Kit::prepare(&options.root)?;
        Ok(Self {
            options,
            kit,
            bench,
            owner,
        })
    }

    /// How it grades.
    #[must_use]
    pub fn options(&self) -> &GradeOptions {
        &self.options
    }

    /// The same without the checks on images.
    pub(crate) fn without_images(&self) -> Self {
        Self {
            options: GradeOptions {
                images: false,
                ..self.options.clone()
            },
            kit: self.kit.clone(),
            bench: self.bench.clone(),
            owner: self.owner,
        }
    }

    /// What it is built from.
    pub(crate) fn kit(&self) -> &Kit {
        &self.kit
    }

    /// What tells this course from others: of its secret, and of its hidden images.
    #[must_use]
    pub fn fingerprints(&self) -> [String; 2] {
        [self.bench.secret.fingerprint(), self.bench.images_fingerprint()]
    }

    /// What everybody has to know who sees results: where anybody could have seen the hidden images.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.owner == Owner::Everybody).then(|| {
            format!(
                "THE DEMONSTRATION SET IS USED, WHICH EVERYBODY CAN SEE: `{}`. For a course draw images and a secret \
                 of its own with `grader hidden`, then run `grader calibrate`.",
                self.options.hidden.display()
            )
        })
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

    /// Grades a submission of a student, whose id decides, with the course's secret, on all random inputs: they are the
    /// same in every regrading. `progress` is called after each check with its key and what it earned.
    ///
    /// Whatever the submission does, there is a report; an unreadable one has notes and no points.
    ///
    /// # Errors
    ///
    /// Only if the grader itself fails (no sandbox, no disk space) or is stopped.
    pub fn grade(&self, path: &Path, student: &str, progress: &mut dyn FnMut(&str, f64)) -> Result<GradeReport> {
        let submission = read_submission_for(path, &self.options.tasks).unwrap_or_else(|error| Submission {
            notes: vec![printable(&format!("{error:#}"))],
            ..Submission::default()
        });
        self.grade_read(&submission, student, progress)
    }

    /// The same for a submission that was read.
    ///
    /// # Errors
    ///
    /// As [`Self::grade`].
    pub fn grade_read(
        &self,
        submission: &Submission,
        student: &str,
        progress: &mut dyn FnMut(&str, f64),
    ) -> Result<GradeReport> {
        let clock = Instant::now();
        let secret = self
            .bench
            .secret
            .derive(&["grading", &self.options.seed.to_string(), student]);
        let work = Work::new()?;
        let course = Sitting {
            grader: self,
            bench: self.bench.with_secret(secret),
            folder: work.path(),
        };
        let (mut tasks, mut budget) = (Vec::new(), Budget::new(self.options.budget));
        for &task in &self.options.tasks {
            tasks.push(course.grade_task(task, submission, &mut budget, progress)?);
        }
        let warning = self.warning();
        Ok(GradeReport {
            submission: line(student, 200),
            tasks,
            notes: warning.into_iter().chain(submission.notes.iter().cloned()).collect(),
            seconds: clock.elapsed().as_secs_f64(),
            kept: None,
            visibility: self.options.visibility,
        })
    }
}

/// The grading of one submission.
struct Sitting<'a> {
    grader: &'a Grader,
    bench: Bench,
    folder: &'a Path,
}

impl Sitting<'_> {
    fn grade_task(
        &self,
        task: Task,
        submission: &Submission,
        budget: &mut Budget,
        progress: &mut dyn FnMut(&str, f64),
    ) -> Result<TaskReport> {
        let clock = Instant::now();
        let built = self.build(task, submission, budget)?;
        budget.begin_task();
        let mut reports = Vec::new();
        for check in self.grader.checks(task) {
            ensure!(stop_asked().is_none(), "stopped by a signal");
            let report = match &built {
                Ok(worker) => self.run_check(&check, worker, budget)?,
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

    fn build(&self, task: Task, submission: &Submission, budget: &Budget) -> Result<Result<Worker, String>> {
        let Some(sources) = submission.sources.get(&task) else {
            return Ok(Err(submission.missing(task)));
        };
        let options = &self.grader.options;
        let mut limits = options.compile_limits;
        limits.wall = limits.wall.min(budget.left());
        if limits.wall.is_zero() {
            return Ok(Err(budget.spent()));
        }
        let built = compile(&self.grader.kit, task, sources, self.folder, limits, options.isolation);
        built.map(|built| built.map_err(|error| printable(&error)))
    }

    fn run_check(&self, check: &Check, worker: &Worker, budget: &mut Budget) -> Result<CheckReport> {
        let clock = Instant::now();
        let verdict = match budget.for_check(check.time_limit()) {
            Some(time) => self.verdict(check, worker, time, budget)?,
            None => Verdict::nothing(budget.spent()),
        };
        Ok(self.report(check, verdict, clock.elapsed().as_secs_f64()))
    }

    fn verdict(&self, check: &Check, worker: &Worker, time: Duration, budget: &mut Budget) -> Result<Verdict> {
        let asked = check
            .requests(&self.bench)
            .with_context(|| format!("cannot make the inputs of {}", check.key()))?;
        let place = Place {
            worker,
            folder: self.folder,
            isolation: self.grader.options.isolation,
        };
        let (answers, printed) = match ask_each(place, &self.bench, check, &asked, time)? {
            Outcome::Answers(answers, printed) => (answers, printed),
            Outcome::Nothing { why, out_of_time } => {
                if stop_asked().is_some() {
                    bail!("stopped by a signal");
                }
                if out_of_time {
                    budget.note_timeout();
                }
                return Ok(Verdict::nothing(why));
            }
        };
        // Answers come from the submission: one that no judge foresaw is the submission's fault, and nobody else's.
        let judged = catch_unwind(AssertUnwindSafe(|| check.judge(&self.bench, &asked, &answers)));
        let mut verdict = match judged {
            Ok(verdict) => verdict?,
            Err(_) => {
                return Ok(Verdict::nothing(
                    "The answers have a form that no function of the exercise gives.",
                ));
            }
        };
        let probes = check.probed_requests()?;
        if verdict.share < 1.0 && !probes.is_empty() {
            let told = ask_together(place, &probes, check.time_limit())?;
            verdict = check.with_cause(verdict, &probes, &told);
        }
        if verdict.share < 1.0 && !printed.is_empty() && !matches!(check.kind, Kind::Images(_)) {
            verdict.text.push_str(&format!("\nIt printed:\n{printed}"));
        }
        Ok(verdict)
    }

    fn report(&self, check: &Check, verdict: Verdict, seconds: f64) -> CheckReport {
        let out_of = self.bench.thresholds.points(check);
        CheckReport {
            key: check.key(),
            points: (out_of * verdict.share * 100.0).round() / 100.0,
            out_of,
            text: printable(&verdict.text),
            pictures: verdict.pictures,
            figures: verdict.figures,
            seconds,
        }
    }
}
