//! What the command lines of tasks 4, 5 and 6, and that of `methods`, share: measure images with an operator,
//! reconstruct them with one method or several, and write the lecture's result figure.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use diffusion::{Observer, ScoreModel};
use imaging::{ForwardOperator, OperatorSpec, Symmetry};
use ndarray::Array4;
use rand::rngs::StdRng;
use score_unet::Prior;

use crate::experiment::Experiment;
use crate::inverse_figures::{save_figures, save_paths};
use crate::judge::Judge;
use crate::memory::check_batch;
use crate::operators::{self, Asked};
use crate::options::CommonOptions;
use crate::problem_options::ProblemOptions;
use crate::progress::Progress;
use crate::report::Report;
use crate::session::Session;

/// A batch of measurements to be inverted.
pub struct Problem<'a> {
    /// How the command line calls the operator.
    pub spec: &'a OperatorSpec,
    /// `A`.
    pub operator: &'a dyn ForwardOperator,
    /// The measurements, `[B, ...measurement_shape()]`.
    pub b: &'a Array4<f32>,
}

/// A task's reconstruction of a batch, from its measurements, with random numbers of one sample's own, shown to an
/// observer step by step.
pub type Solve<'a> = dyn FnMut(&Problem<'_>, &mut StdRng, &mut dyn Observer) -> Result<Array4<f32>> + 'a;

/// What a task tells [`solve_problems`] about its method.
#[derive(Debug, Clone)]
pub struct Method {
    /// What reports and figures call it.
    pub name: &'static str,
    /// Network evaluations for one batch, for the progress bar.
    pub evaluations: usize,
    /// What it was set to, for the report: names and values.
    pub settings: Vec<(&'static str, String)>,
    /// What to do should its numbers leave all bounds, where a flag is the likely cause.
    pub advice: Option<String>,
}

/// One of the methods that [`compare_methods`] runs.
pub struct Contender<'a> {
    /// What reports and figures call it.
    pub name: &'static str,
    /// What it will do with an operator, or, in one line, why it cannot.
    pub plan: Box<Planning<'a>>,
    /// Its reconstruction of a batch.
    pub solve: Box<Solve<'a>>,
    /// As in [`Method`].
    pub advice: Option<String>,
}

/// How a [`Contender`] says what it will do.
pub type Planning<'a> = dyn Fn(&dyn ForwardOperator) -> Result<Plan> + 'a;

/// What a method will do with an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Network evaluations for one batch, for the progress bar.
    pub evaluations: usize,
    /// What it is set to for this operator, for the report; may be empty.
    pub settings: String,
}

/// Measures the images with each of the operators, reconstructs them with `solve`, and writes a figure (ground truth,
/// input, reconstruction, PSNR and LPIPS underneath; with several samples also their mean and standard deviation), the
/// path and the residual of the first image for each operator, and the report. Where an error or a signal ends it
/// early, all of that is written for what was done by then.
///
/// The noise of an image depends on --seed and its place among the images. What a sampler draws depends on --seed, the
/// place of its batch's first image, and the number of the sample: with another --batch it is another result.
///
/// What an operator cannot tell ([`Symmetry`]) is not held against a reconstruction, and that is said.
///
/// # Errors
///
/// Options that do not fit the images, files that cannot be read or written, what `solve` returns, and a NaN in a
/// result.
pub fn solve_problems(
    session: &mut Session,
    prior: &Prior,
    common: &CommonOptions,
    options: &ProblemOptions,
    method: &Method,
    solve: &mut Solve<'_>,
) -> Result<()> {
    let plan = |_: &dyn ForwardOperator| {
        Ok(Plan {
            evaluations: method.evaluations,
            settings: String::new(),
        })
    };
    let contender = Contender {
        name: method.name,
        plan: Box::new(plan),
        solve: Box::new(solve),
        advice: method.advice.clone(),
    };
    compare_methods(session, prior, common, options, &method.settings, &mut [contender])
}

/// As [`solve_problems`], with several methods on the same measurements: a column of the figure for each. One that
/// cannot do an operator is left out there, and its reason is said.
///
/// - `settings`: what all methods share, for the report: names and values
///
/// # Errors
///
/// As [`solve_problems`]; no method that can do any of the operators.
pub fn compare_methods(
    session: &mut Session,
    prior: &Prior,
    common: &CommonOptions,
    options: &ProblemOptions,
    settings: &[(&'static str, String)],
    contenders: &mut [Contender<'_>],
) -> Result<()> {
    options.check()?;
    let operators = operators::make(session, &options.operator, prior.image_shape(), common.seed)?;
    let images = session.images(&options.images, prior, options.count as usize)?;
    check_batch(session, prior, images.len().min(options.batch.into()))?;
    let judge = Judge::new()?;
    let mut report = session.report(prior).judged_by(&judge);
    report.settings.extend(all_settings(options, settings, &operators));
    report.settings.insert("method".to_owned(), names(contenders));
    let plans = plans(session, &operators, contenders)?;
    for plan in &plans {
        if !plan.settings.is_empty() {
            report.settings.insert(plan.of.clone(), plan.settings.clone());
        }
    }
    say_symmetries(session, &operators, &mut report);
    let runs = images.len().div_ceil(options.batch.into()) * usize::from(options.samples);
    let evaluations: usize = plans.iter().map(|plan| plan.evaluations).sum();
    let mut experiment = Experiment {
        common,
        options,
        judge,
        progress: Progress::new(&names(contenders), runs * evaluations),
        report,
        unfinished: None,
    };
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    let mut shown = Vec::new();
    let outcome = operators.iter().try_for_each(|asked| {
        let mut first = None;
        let inverted = experiment.invert_all(asked, &images, contenders, &mut first);
        let kept = session.keep_report(&experiment.report).and_then(|()| {
            let Some(first) = first else { return Ok(()) };
            let saved = save_paths(session, asked, &names, &first.paths);
            shown.push((asked.spec, first));
            saved
        });
        inverted.and(kept)
    });
    let Experiment {
        progress,
        report,
        unfinished,
        ..
    } = experiment;
    drop(progress);
    // Whatever ended it, what was done by then is kept; and first what takes the least room.
    let saved = session
        .save_report(&report)
        .and_then(|()| unfinished.map_or(Ok(()), |picture| session.save_image(&picture, UNFINISHED)))
        .and_then(|()| save_figures(session, &names, &shown));
    outcome.and(saved)
}

/// The picture so far of the first image that Ctrl-C left unfinished.
const UNFINISHED: &str = "unfinished.png";

/// The methods' names, as one.
fn names(contenders: &[Contender<'_>]) -> String {
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    names.join(", ")
}

/// A [`Plan`] of one method for one operator.
struct NamedPlan {
    /// `dps on inpainting:0.7`
    of: String,
    evaluations: usize,
    settings: String,
}

/// What will be done; what cannot be is said.
fn plans(session: &Session, operators: &[Asked<'_>], contenders: &[Contender<'_>]) -> Result<Vec<NamedPlan>> {
    let (mut plans, mut reasons) = (Vec::new(), Vec::new());
    for Asked { spec, operator, .. } in operators {
        for contender in contenders {
            match (contender.plan)(operator.as_ref()) {
                Ok(Plan { evaluations, settings }) => plans.push(NamedPlan {
                    of: format!("{} on {spec}", contender.name),
                    evaluations,
                    settings,
                }),
                Err(reason) => reasons.push(format!("{reason:#}")),
            }
        }
    }
    if plans.is_empty() {
        bail!("there is nothing to do: {}", reasons.join("; "));
    }
    reasons.iter().for_each(|reason| session.note(reason));
    Ok(plans)
}

/// Tells the user, and whoever reads the report, what an operator cannot tell.
fn say_symmetries(session: &Session, operators: &[Asked<'_>], report: &mut Report) {
    for Asked { operator, .. } in operators {
        if let Some(description) = Symmetry::of(operator.kind()).description() {
            session.note(&format!("{} {description}", operator.name()));
            let name = format!("symmetry of {}", operator.name());
            report.settings.insert(name, description.to_owned());
        }
    }
}

fn all_settings(
    options: &ProblemOptions,
    settings: &[(&'static str, String)],
    operators: &[Asked<'_>],
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("batch".to_owned(), options.batch.to_string()),
        ("noise".to_owned(), options.measurement_noise().to_string()),
    ]);
    for Asked { spec, operator, .. } in operators {
        all.insert(spec.to_string(), operator.description());
    }
    for (name, value) in settings {
        all.insert((*name).to_owned(), value.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use diffusion::{ScoreError, ScoreModel, StepView};
    use imaging::{NamedImage, stack};
    use ndarray::s;
    use rand::Rng;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        common: CommonOptions,
        #[command(flatten)]
        problem: ProblemOptions,
    }

    fn method(name: &'static str) -> Method {
        Method {
            name,
            evaluations: 0,
            settings: Vec::new(),
            advice: None,
        }
    }

    fn options(flags: &str) -> Result<Options> {
        Ok(Options::try_parse_from(["test"].into_iter().chain(flags.split(' ')))?)
    }

    /// One test for both: a process has one session, as it has one pool of threads.
    #[test]
    fn what_it_draws_and_how_it_judges() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut common = options("--count 1")?.common;
        common.out = Some(folder.path().to_owned());
        let mut session = Session::new("test", &common)?;
        let prior = session.prior()?;
        each_batch_and_each_sample_has_random_numbers_of_its_own(&mut session, &prior, &common)?;
        the_picture_so_far_is_kept_where_it_is_stopped(&mut session, &prior, &common)?;
        a_turned_image_is_as_good_where_nobody_can_tell(&mut session, &prior, &common)
    }

    fn each_batch_and_each_sample_has_random_numbers_of_its_own(
        session: &mut Session,
        prior: &Prior,
        common: &CommonOptions,
    ) -> Result<()> {
        let problem = options("--operator deconvolution --count 4 --batch 1 --samples 2")?.problem;
        let mut first_numbers = Vec::new();
        let solve = &mut |problem: &Problem<'_>, rng: &mut StdRng, _: &mut dyn Observer| {
            first_numbers.push(rng.random::<u64>());
            Ok(problem.operator.start_image(problem.b)?)
        };
        solve_problems(session, prior, common, &problem, &method("start image"), solve)?;
        assert_eq!(first_numbers.len(), 8);
        first_numbers.sort_unstable();
        first_numbers.dedup();
        assert_eq!(first_numbers.len(), 8, "two batches or samples drew the same numbers");
        Ok(())
    }

    fn the_picture_so_far_is_kept_where_it_is_stopped(
        session: &mut Session,
        prior: &Prior,
        common: &CommonOptions,
    ) -> Result<()> {
        let problem = options("--operator deconvolution --count 2")?.problem;
        let steps = prior.schedule().steps(2)?;
        let solve = &mut |problem: &Problem<'_>, _: &mut StdRng, observer: &mut dyn Observer| {
            let x0_hat = problem.operator.start_image(problem.b)?;
            observer.observe(&StepView {
                step: &steps[0],
                index: 0,
                num_steps: 2,
                x_t: &x0_hat,
                x0_hat: &x0_hat,
                residual: None,
            })?;
            Err(ScoreError::Interrupted.into())
        };
        assert!(solve_problems(session, prior, common, &problem, &method("stopped"), solve).is_err());
        assert!(session.out().join(UNFINISHED).is_file());
        Ok(())
    }

    fn a_turned_image_is_as_good_where_nobody_can_tell(
        session: &mut Session,
        prior: &Prior,
        common: &CommonOptions,
    ) -> Result<()> {
        let problem = options("--operator phase-retrieval deconvolution --count 2 --samples 2")?.problem;
        let turn = |image: &NamedImage| image.pixels.slice(s![.., ..;-1, ..;-1]).to_owned();
        let turned: Vec<_> = session
            .images(&problem.images, prior, problem.count as usize)?
            .iter()
            .map(turn)
            .collect();
        let turned = stack(&turned.iter().map(|image| image.view()).collect::<Vec<_>>())?;
        let solve = &mut |_: &Problem<'_>, _: &mut StdRng, _: &mut dyn Observer| Ok(turned.clone());
        solve_problems(session, prior, common, &problem, &method("turned"), solve)?;

        let json = std::fs::read_to_string(session.out().join("results.json"))?;
        let json: serde_json::Value = serde_json::from_str(&json)?;
        let mut judged = 0;
        for row in json["rows"].as_array().into_iter().flatten() {
            if row["method"] == "start image" {
                continue;
            }
            judged += 1;
            // Nothing is left of the difference where nobody can tell: the PSNR is infinite.
            assert_eq!(row["psnr"] == "inf", row["case"] == "phase-retrieval", "{row}");
        }
        assert_eq!(
            judged,
            2 * 2 * 3,
            "two operators, two images, two samples and their mean"
        );
        assert!(json["settings"]["symmetry of phase-retrieval"].is_string());
        Ok(())
    }
}
