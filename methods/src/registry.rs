//! All methods, one line each; a new one goes here and nowhere else.

use crate::error::MethodError;
use crate::posterior::classical::{PseudoInverse, Tikhonov, TotalVariation};
use crate::posterior::daps::Daps;
use crate::posterior::ddnm::Ddnm;
use crate::posterior::ddnm_plus::DdnmPlus;
use crate::posterior::ddrm::Ddrm;
use crate::posterior::diffpir::DiffPir;
use crate::posterior::dps::Dps;
use crate::posterior::ilvr::Ilvr;
use crate::posterior::mcg::Mcg;
use crate::posterior::moment_matching::MomentMatching;
use crate::posterior::pigdm::Pigdm;
use crate::posterior::pnp_admm::PnpAdmm;
use crate::posterior::red_diff::RedDiff;
use crate::posterior::score_ald::ScoreAld;
use crate::posterior::score_sde::ScoreSde;
use crate::posterior::sdedit::Sdedit;
use crate::samplers::ancestral::Ancestral;
use crate::samplers::ddim::Ddim;
use crate::samplers::dpm_solver::DpmSolver;
use crate::samplers::edm::Edm;
use crate::samplers::flow::Flow;
use crate::{PosteriorMethod, Sampler};

const SAMPLERS: &[&dyn Sampler] = &[
    &Ancestral::DIRECT,
    &Ancestral::BETA,
    &Ancestral::POSTERIOR,
    &Ddim::DETERMINISTIC,
    &Edm::EULER,
    &Edm::HEUN,
    &Edm::HEUN_CHURN,
    &DpmSolver::ODE,
    &DpmSolver::SDE,
    &Flow::EULER,
    &Flow::MIDPOINT,
];

const POSTERIOR: &[&dyn PosteriorMethod] = &[
    &PseudoInverse,
    &Tikhonov,
    &TotalVariation,
    &Sdedit,
    &ScoreAld,
    &Dps::ONE_SAMPLE,
    &Dps::FEW_TIMES,
    &Dps::MEAN,
    &Dps::MEAN_LONG,
    &Dps::LONG,
    &ScoreSde,
    &Ilvr,
    &Mcg::TUNED,
    &MomentMatching::ONE_ROUND,
    &Pigdm::PUBLISHED,
    &Ddnm::PUBLISHED,
    &DdnmPlus::TUNED,
    &Ddrm::PUBLISHED,
    &DiffPir::TUNED,
    &PnpAdmm::TUNED,
    &RedDiff::TUNED,
    &Daps::ONE_START,
    &Daps::FOUR_STARTS,
];

/// All samplers, in the order in which tables show them.
#[must_use]
pub fn samplers() -> &'static [&'static dyn Sampler] {
    SAMPLERS
}

/// All ways from a measurement to an image, in the order in which tables show them.
#[must_use]
pub fn posterior_methods() -> &'static [&'static dyn PosteriorMethod] {
    POSTERIOR
}

/// The sampler of this name.
///
/// # Errors
///
/// [`MethodError::Unknown`], which lists all samplers.
pub fn sampler(name: &str) -> Result<&'static dyn Sampler, MethodError> {
    let found = SAMPLERS.iter().find(|sampler| sampler.name() == name);
    found.copied().ok_or_else(|| unknown("sampler", name, sampler_list()))
}

/// The posterior method of this name.
///
/// # Errors
///
/// [`MethodError::Unknown`], which lists all posterior methods.
pub fn posterior_method(name: &str) -> Result<&'static dyn PosteriorMethod, MethodError> {
    let found = POSTERIOR.iter().find(|method| method.name() == name);
    found
        .copied()
        .ok_or_else(|| unknown("posterior method", name, posterior_list()))
}

/// Samplers and posterior methods, each under a heading, one to a line.
#[must_use]
pub fn list() -> String {
    format!("samplers\n{}\nposterior methods\n{}", sampler_list(), posterior_list())
}

fn sampler_list() -> String {
    let lines = SAMPLERS.iter().map(|one| line(one.name(), one.reference()));
    lines.collect::<Vec<_>>().join("\n")
}

fn posterior_list() -> String {
    let lines = POSTERIOR.iter().map(|one| line(one.name(), one.reference()));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(name: &str, reference: &str) -> String {
    format!("  {name:<16} {reference}")
}

fn unknown(what: &'static str, name: &str, known: String) -> MethodError {
    MethodError::Unknown {
        what,
        got: name.to_owned(),
        known,
    }
}
