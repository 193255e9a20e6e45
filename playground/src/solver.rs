//! A method with the settings that somebody chose: the student's own function where a task has it.

use anyhow::Result;
use diffusion::{Observer, Schedule, ScoreModel};
use imaging::{ForwardOperator, operator_norm};
use methods::posterior::ddnm::Ddnm;
use methods::posterior::ddnm_plus::DdnmPlus;
use methods::posterior::ddrm::Ddrm;
use methods::posterior::diffpir::DiffPir;
use methods::posterior::moment_matching::MomentMatching;
use methods::posterior::pigdm::Pigdm;
use methods::posterior::pnp_admm::{PnpAdmm, PnpAdmmSettings};
use methods::posterior::red_diff::{RedDiff, RedDiffSettings};
use methods::samplers::ddim::Ddim;
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, Sampler, registry};
use ndarray::Array4;
use rand::rngs::StdRng;

use crate::knobs::Settings;

/// A posterior method, ready to solve.
#[derive(Debug)]
pub enum Solver {
    /// As the registry has it.
    Known(&'static dyn PosteriorMethod),
    /// One of `methods`, with other settings.
    Set(Box<dyn PosteriorMethod>),
    /// Task 4 with the time and the passes that were chosen.
    Sdedit(SdeditSettings),
    /// Task 5 with the `lambda` that was chosen.
    ScoreAld(f64),
    /// Task 6 with the `zeta` that was chosen, divided by twice the residual's norm.
    Dps(f64),
}

/// What SDEdit is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdeditSettings {
    /// The time that the guide is noised to.
    pub t0: usize,
    /// How many passes.
    pub repeats: usize,
}

impl SdeditSettings {
    /// Those that were given; the others are the tuned ones for this operator. `t0` is at most the last time.
    #[must_use]
    pub fn of(settings: &Settings, operator: &dyn ForwardOperator, schedule: &Schedule) -> Self {
        let tuned = task4_sdedit::tuned(operator.kind());
        Self {
            t0: settings.count("t0").unwrap_or(tuned.t0).min(schedule.num_steps()),
            repeats: settings.count("repeats").unwrap_or(tuned.repeats),
        }
    }
}

impl Solver {
    /// The method of this name with these settings.
    ///
    /// # Errors
    ///
    /// No method of that name; one that cannot do the operator.
    pub fn new(name: &str, settings: &Settings, operator: &dyn ForwardOperator, schedule: &Schedule) -> Result<Self> {
        let known = registry::posterior_method(name)?;
        known.supports(operator)?;
        Ok(match name {
            "sdedit" if !settings.is_empty() => Self::Sdedit(SdeditSettings::of(settings, operator, schedule)),
            "score-ald" => settings.get("lambda").map_or(Self::Known(known), Self::ScoreAld),
            "dps" => settings.get("zeta").map_or(Self::Known(known), Self::Dps),
            _ if settings.is_empty() => Self::Known(known),
            _ => with_settings(name, settings, operator).map_or(Self::Known(known), Self::Set),
        })
    }

    /// How often the network is called for one sample.
    ///
    /// # Errors
    ///
    /// A number of steps that does not fit the schedule.
    pub fn evaluations(&self, operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<usize> {
        Ok(match self {
            Self::Known(method) => method.cost(operator, schedule, num_steps)?.evaluations,
            Self::Set(method) => method.cost(operator, schedule, num_steps)?.evaluations,
            Self::Sdedit(SdeditSettings { t0, repeats }) => {
                repeats * task4_sdedit::steps_from(schedule, *t0, num_steps)?.len()
            }
            Self::ScoreAld(_) | Self::Dps(_) => schedule.steps(num_steps)?.len(),
        })
    }

    /// What it is set to, in words.
    ///
    /// # Errors
    ///
    /// Those of the operator, where settings are measured on it.
    pub fn settings(&self, operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<String> {
        Ok(match self {
            Self::Known(method) => method.settings(operator, schedule, num_steps)?,
            Self::Set(method) => method.settings(operator, schedule, num_steps)?,
            Self::Sdedit(SdeditSettings { t0, repeats }) => format!("t0 {t0}, {repeats} passes"),
            Self::ScoreAld(lambda) => format!("lambda {lambda}"),
            Self::Dps(zeta) => format!("zeta {zeta}"),
        })
    }

    /// The reconstructions `[B, C, H, W]`, one for each measurement; the observer sees every step.
    ///
    /// # Errors
    ///
    /// Those of the method, of the model and of the observer.
    pub fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        rng: &mut StdRng,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>> {
        let Problem { operator, b, sigma } = *problem;
        match self {
            Self::Known(method) => Ok(method.solve(model, problem, stepping, rng, observer)?),
            Self::Set(method) => Ok(method.solve(model, problem, stepping, rng, observer)?),
            Self::Sdedit(SdeditSettings { t0, repeats }) => {
                let steps = task4_sdedit::steps_from(model.schedule(), *t0, stepping.num_steps)?;
                task4_sdedit::restore(model, operator, b, &stepping.with_noise(steps), *repeats, rng, observer)
            }
            Self::ScoreAld(lambda) => {
                let guidance = task5_score_ald::Guidance { sigma, lambda: *lambda };
                let steps = stepping.steps(model.schedule())?;
                task5_score_ald::score_ald(model, operator, b, guidance, &steps, rng, observer)
            }
            Self::Dps(zeta) => {
                let step_size = task6_dps::StepSize::Normalised(*zeta);
                let steps = stepping.steps(model.schedule())?;
                task6_dps::dps(model, operator, b, step_size, &steps, rng, observer)
            }
        }
    }

    /// What to do should the numbers leave all bounds, where a setting that somebody chose is the likely cause.
    #[must_use]
    pub fn advice(&self, operator: &dyn ForwardOperator, num_steps: usize) -> Option<String> {
        match self {
            Self::Dps(zeta) if *zeta > task6_dps::tuned(operator.kind(), num_steps) => {
                Some(format!("zeta {zeta} is likely too large: use a smaller one"))
            }
            Self::ScoreAld(lambda) => {
                let tuned = task5_score_ald::tuned_lambda(num_steps, operator_norm(operator).ok()?);
                (*lambda < tuned)
                    .then(|| format!("lambda {lambda} is likely too small: use a larger one, or more steps"))
            }
            _ => None,
        }
    }
}

/// The method with what was given in the place of what it has; none for a method without knobs.
fn with_settings(name: &str, settings: &Settings, operator: &dyn ForwardOperator) -> Option<Box<dyn PosteriorMethod>> {
    let or = |name: &str, usual: f64| settings.get(name).unwrap_or(usual);
    let kind = operator.kind();
    Some(match name {
        "pigdm" => Box::new(Pigdm {
            eta: or("eta", Pigdm::PUBLISHED.eta),
        }),
        "ddnm" => Box::new(Ddnm {
            eta: or("eta", Ddnm::PUBLISHED.eta),
        }),
        "ddnm-plus" => Box::new(DdnmPlus {
            eta: or("eta", DdnmPlus::TUNED.eta),
            repeats: settings.count("repeats").unwrap_or(DdnmPlus::TUNED.repeats),
        }),
        "ddrm" => Box::new(Ddrm {
            eta: or("eta", Ddrm::PUBLISHED.eta),
            eta_b: or("eta_b", Ddrm::PUBLISHED.eta_b),
        }),
        "diffpir" => Box::new(DiffPir {
            lambda: or("lambda", DiffPir::TUNED.lambda),
            zeta: or("zeta", DiffPir::TUNED.zeta),
        }),
        "pnp-admm" => {
            let tuned = PnpAdmmSettings::tuned(kind);
            let lambda = or("lambda", tuned.lambda);
            let settings = Some(PnpAdmmSettings { lambda, ..tuned });
            Box::new(PnpAdmm { settings })
        }
        "red-diff" => {
            let tuned = RedDiffSettings::tuned(kind);
            let (lambda, rate) = (or("lambda", tuned.lambda), or("rate", tuned.rate));
            let settings = Some(RedDiffSettings { lambda, rate });
            Box::new(RedDiff { settings })
        }
        "moment-matching" => Box::new(MomentMatching {
            rounds: settings.count("rounds").unwrap_or(MomentMatching::ONE_ROUND.rounds),
        }),
        _ => return None,
    })
}

/// A sampler, ready to draw.
#[derive(Debug)]
pub enum Drawer {
    /// As the registry has it.
    Known(&'static dyn Sampler),
    /// DDIM with the `eta` that was chosen.
    Ddim(Ddim),
}

impl Drawer {
    /// The sampler of this name with these settings.
    ///
    /// # Errors
    ///
    /// No sampler of that name.
    pub fn new(name: &str, settings: &Settings) -> Result<Self> {
        let known = registry::sampler(name)?;
        Ok(match (name, settings.get("eta")) {
            ("ddim", Some(eta)) => Self::Ddim(Ddim { eta }),
            _ => Self::Known(known),
        })
    }

    /// The sampler.
    #[must_use]
    pub fn sampler(&self) -> &dyn Sampler {
        match self {
            Self::Known(sampler) => *sampler,
            Self::Ddim(ddim) => ddim,
        }
    }
}
