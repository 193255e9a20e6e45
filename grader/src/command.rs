//! Carries out the subcommands.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use grader::Task;
use grader::bands::calibrate::{self, Scope};
use grader::bands::thresholds::Thresholds;
use grader::checks::Bench;
use grader::class::{self, ClassOptions, jplag};
use grader::course::doctor::{self, Build};
use grader::course::package::{self, Libraries};
use grader::course::{hidden, release};
use grader::report::write_file;
use grader::secret::{Owner, Secret};
use program::{all_printed, print, say};
use score_unet::Prior;

use crate::batch::{batch, dry_run, merge};
use crate::grade::{Who, grade};
use crate::options::{Command, Options};

/// The bands, and the hidden images, in the workspace.
const THRESHOLDS: &str = "grader/thresholds.toml";
const HIDDEN: &str = "grader/hidden";

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
        Command::Grade {
            submission,
            out,
            student,
            metadata,
            late,
            how,
        } => {
            say(&format!("Grading with the workspace `{}`.", root.display()));
            let who = Who {
                student,
                metadata,
                policy: late.policy(),
            };
            return grade(&submission, &who, &out, &how.options(&root));
        }
        Command::Batch {
            submissions,
            out,
            jobs,
            dry_run: is_dry,
            shard,
            tables,
            how,
        } => {
            say(&format!("Grading with the workspace `{}`.", root.display()));
            let options = how.options(&root);
            return match out {
                Some(out) if !is_dry => {
                    let how = ClassOptions { jobs, shard };
                    batch(&submissions, &out, &how, &tables.adjustments()?, &options)
                }
                _ => dry_run(&submissions, &options),
            };
        }
        Command::Merge { parts, out, tables } => return merge(&parts, &out, &tables.adjustments()?),
        Command::Jplag {
            submissions,
            out,
            tasks,
        } => {
            let tasks = if tasks.is_empty() { Task::all() } else { tasks };
            let count = jplag::export(&class::find(&submissions)?, &tasks, &out)?;
            print(&format!("The sources of {count} students are in `{}`.", out.display()));
        }
        Command::Package { out, vendored } => {
            let libraries = if vendored {
                Libraries::Vendored
            } else {
                Libraries::FromRegistry
            };
            let count = package::package(&root, &out, libraries)?;
            if Secret::read(&root.join(HIDDEN))?.1 == Owner::Everybody {
                say(
                    "warning: THE PACKAGE HOLDS THE DEMONSTRATION SET, WHICH EVERYBODY CAN SEE. For a course run \
                     `grader hidden` and `grader calibrate` first.",
                );
            }
            print(&format!(
                "{count} files in `{}`, with the course's secret: give it to nobody but the platform. classroom.yml is \
                 beside it.",
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
                fair(&bench, &tasks, seeds, scope)
            } else {
                calibrated(&bench, &tasks, seeds, &root)
            };
        }
        Command::Hidden {
            demonstration,
            count,
            steps,
            device,
            out,
        } => {
            let device = device.open(say)?;
            let prior = Prior::load_on(&root.join("data/priors/fruits64"), &device)?;
            let out = out.unwrap_or_else(|| root.join(HIDDEN));
            let owner = if demonstration { Owner::Everybody } else { Owner::Course };
            hidden::draw(&prior, &out, owner, count, steps)?;
            print(&format!(
                "{count} images and the secret in `{0}`; now run `grader calibrate`. Keep a copy of `{0}`: regrading \
                 needs it.",
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

/// The instructor's own prior, hidden images and bands.
fn bench(root: &Path) -> Result<Bench> {
    let thresholds = Thresholds::read(&root.join(THRESHOLDS))?;
    let hidden = root.join(HIDDEN);
    // Calibration is the same for everybody who has the images: it draws from no secret.
    Bench::new(
        Secret::known(0),
        &root.join("data/priors/fruits64"),
        &hidden,
        thresholds,
    )
}

/// Measures the bands anew, and writes them.
fn calibrated(bench: &Bench, tasks: &[Task], seeds: Range<u64>, root: &Path) -> Result<ExitCode> {
    let thresholds = calibrate::calibrate(bench, tasks, seeds)?;
    let path = root.join(THRESHOLDS);
    write_file(&path, calibrate::to_text(&thresholds)?.as_bytes())?;
    print(&format!("The bands are in `{}`.", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Says where the reference solution loses points.
fn fair(bench: &Bench, tasks: &[Task], seeds: Range<u64>, scope: Scope) -> Result<ExitCode> {
    let faults = calibrate::unfair(bench, tasks, seeds.clone(), scope)?;
    faults.iter().for_each(|fault| print(fault));
    print(&format!("{} faults on {} seeds", faults.len(), seeds.end - seeds.start));
    all_printed()?;
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
