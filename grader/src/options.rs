//! The subcommands and their flags.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use grader::class::{Adjustments, Shard};
use grader::late::LatePolicy;
use grader::{GradeOptions, Task, Visibility};
use sandbox::Isolation;
use score_unet::DeviceChoice;

/// Cuts the students' tree, grades submissions in a sandbox, and reports.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// The instructor's workspace; by default the one around the current folder, else the one this program was built
    /// in.
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    #[command(subcommand)]
    /// What to do.
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Cut the students' tree: solutions become `todo!`, what is the instructor's is left out.
    Release {
        /// A new folder for it.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Prove that the tree agrees with itself: tasks/tasks.toml, folders, exercises, handouts, notebooks, checks,
    /// points.
    Doctor {
        /// Cut the students' tree as well, and see its tests fail unsolved and pass solved: minutes.
        #[arg(long)]
        build: bool,
    },
    /// Run the public tests of this tree, as students do with `cargo run -p check`.
    Check {
        /// A task's number or name; all tasks if it is left out.
        task: Option<String>,
        /// The folder for pictures.
        #[arg(long, value_name = "DIR", default_value = "out/check")]
        out: PathBuf,
    },
    /// Grade one submission.
    Grade {
        /// A folder or a zip archive; of one task also its lib.rs.
        submission: PathBuf,
        /// The folder for results.json, junit.xml and report.html (and pictures.html, with hidden images: for you).
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The student's number or login, on which, with the course's secret, all random inputs depend; the
        /// submission's name if it is left out.
        #[arg(long, value_name = "ID")]
        student: Option<String>,
        /// Gradescope's submission_metadata.json: who the student is, and whether the submission is late.
        #[arg(long, value_name = "FILE")]
        metadata: Option<PathBuf>,
        #[command(flatten)]
        late: Late,
        #[command(flatten)]
        how: How,
    },
    /// Grade a class; goes on where an interrupted run stopped.
    Batch {
        /// What the platform hands out: a folder or an archive with a folder, an archive or a file for each student
        /// (Moodle, Canvas, Gradescope, ILIAS, GitHub Classroom).
        submissions: PathBuf,
        /// The folder for scores.csv, class.html and a folder for each submission.
        #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
        out: Option<PathBuf>,
        /// How many are graded at one time.
        #[arg(long, value_name = "N", default_value_t = 1)]
        jobs: usize,
        /// Grade nothing, but show who would be graded from what, and what is passed over.
        #[arg(long)]
        dry_run: bool,
        /// Grade only part I of N of the class, on one of N machines with the same secret and hidden images.
        #[arg(long, value_name = "I/N")]
        shard: Option<Shard>,
        #[command(flatten)]
        tables: Tables,
        #[command(flatten)]
        how: How,
    },
    /// Join the parts of a class that `batch --shard` graded on several machines, and say what is missing or there
    /// twice.
    Merge {
        /// The folders that the parts were graded into.
        #[arg(required = true, value_name = "DIR")]
        parts: Vec<PathBuf>,
        /// The folder for all of it.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        tables: Tables,
    },
    /// Write the sources of a class as JPlag reads them, a folder for each student.
    Jplag {
        /// What the platform hands out, as for `batch`.
        submissions: PathBuf,
        /// A new folder for them.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only these tasks, by number or name; all if left out.
        #[arg(long, value_name = "TASK", num_args = 1..)]
        tasks: Vec<Task>,
    },
    /// Pack the autograder for Gradescope, and write a workflow for GitHub Classroom beside it.
    Package {
        /// The archive.
        #[arg(long, value_name = "FILE", default_value = "autograder.zip")]
        out: PathBuf,
        /// Put the sources of all dependencies into it, so that building it needs no registry.
        #[arg(long)]
        vendored: bool,
    },
    /// Measure what the reference solution reaches on the hidden images, and write the bands to grader/thresholds.toml.
    Calibrate {
        /// How many seeds.
        #[arg(long, value_name = "N", default_value_t = 12)]
        seeds: u64,
        /// The first seed; another than those that are graded with.
        #[arg(long, value_name = "SEED", default_value_t = 1000)]
        first: u64,
        /// Only these tasks, by number or name; all if left out.
        #[arg(long, value_name = "TASK", num_args = 1..)]
        tasks: Vec<Task>,
        /// Measure nothing, but show that the reference solution earns all points on these seeds.
        #[arg(long)]
        check_fairness: bool,
        /// With --check-fairness: leave the images out, which take most of the time.
        #[arg(long)]
        no_images: bool,
    },
    /// Draw hidden images of your own from the prior, and the course's secret, from which they and all random inputs
    /// are derived; run `calibrate` after it.
    Hidden {
        /// Draw the demonstration set, the same for everybody, which this repository shows.
        #[arg(long)]
        demonstration: bool,
        /// How many images.
        #[arg(long, value_name = "N", default_value_t = 4)]
        count: u64,
        /// Steps for each.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        steps: usize,
        /// Where the network runs: cpu, cuda (the first NVIDIA GPU), cuda:N or auto.
        #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
        device: DeviceChoice,
        /// The folder for them; by default grader/hidden of the workspace.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// What being late costs.
#[derive(Args, Clone, Copy)]
pub struct Late {
    /// So many percent of the points are taken off for each day that has begun after the due date.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    late_percent: f64,
    /// So many minutes after the due date do not count.
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    late_grace: u32,
}

impl Late {
    /// As the library takes it.
    pub fn policy(self) -> LatePolicy {
        LatePolicy {
            percent_per_day: self.late_percent.clamp(0.0, 100.0),
            grace_minutes: self.late_grace,
        }
    }
}

/// What goes into the tables of a class besides what was graded.
#[derive(Args)]
pub struct Tables {
    /// When submissions came and should have, a CSV file with the columns id,submitted,due
    /// (2026-01-31T23:59:00+01:00).
    #[arg(long, value_name = "FILE")]
    due: Option<PathBuf>,
    /// Points given by hand, a CSV file with the columns id,check,points,comment: in the place of a check's, or, for
    /// the check `manual`, besides.
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    #[command(flatten)]
    late: Late,
}

impl Tables {
    /// Reads the files.
    pub fn adjustments(&self) -> Result<Adjustments> {
        Adjustments::read(self.due.as_deref(), self.overrides.as_deref(), self.late.policy())
    }
}

/// How to grade.
#[derive(Args)]
pub struct How {
    /// Only these tasks, by number or name; all if left out.
    #[arg(long, value_name = "TASK", num_args = 1..)]
    tasks: Vec<Task>,
    /// Goes into all random inputs, beside the course's secret and the student: another number gives others.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Leave out the checks on images, which take most of the time.
    #[arg(long)]
    no_images: bool,
    /// Who sees on a platform what came of the checks on hidden images: visible, after_due_date, after_published,
    /// hidden.
    #[arg(long, value_name = "WHO", default_value = "visible")]
    visibility: Visibility,
    /// So many minutes one submission may take; what is not done by then earns nothing.
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    budget: u64,
    /// The folder with the hidden images and the secret; by default grader/hidden of the workspace.
    #[arg(long, value_name = "DIR")]
    hidden: Option<PathBuf>,
    /// Grade even where the machine cannot isolate the submission: it can then do whatever you can.
    #[arg(long = "unsafe")]
    unprotected: bool,
}

impl How {
    /// As the library takes it, for the workspace at `root`.
    pub fn options(&self, root: &Path) -> GradeOptions {
        let mut options = GradeOptions::new(root);
        if !self.tasks.is_empty() {
            options.tasks = self.tasks.clone();
        }
        options.seed = self.seed;
        options.images = !self.no_images;
        options.visibility = self.visibility;
        options.budget = Duration::from_secs(self.budget.saturating_mul(60));
        options.hidden = self.hidden.clone().unwrap_or(options.hidden);
        if self.unprotected {
            options.isolation = Isolation::Unsafe;
        }
        options
    }
}
