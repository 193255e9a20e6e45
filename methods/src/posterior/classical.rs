//! Reconstruction without a learned prior: what a diffusion prior has to beat.
//!
//! These are the lecture's maximum likelihood and maximum a posteriori estimates, with priors that can be written down.
//! They ask for a linear operator, never for the model, and take no steps that an observer could see.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::{ForwardOperator, OperatorKind};
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::posterior::penalised::{tikhonov, total_variation};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// The weights of both penalties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lambdas {
    /// For [`tikhonov`].
    pub tikhonov: f64,
    /// For [`total_variation`].
    pub total_variation: f64,
}

impl Lambdas {
    /// The weights that gave the highest mean PSNR for this kind of operator with its default parameters, Gaussian
    /// noise of sigma 0.05 and 64x64 photographs of fruit kept for tuning (`examples/classical_sweep.rs`). For other
    /// noise and other images they are a place to start.
    #[must_use]
    pub fn tuned(kind: OperatorKind) -> Self {
        let (tikhonov, total_variation) = match kind {
            OperatorKind::ScatteredMask => (0.005, 0.015),
            OperatorKind::HoleMask => (0.07, 0.05),
            OperatorKind::Blur => (0.03, 0.01),
            OperatorKind::MotionBlur => (0.03, 0.015),
            OperatorKind::Downsampling => (0.005, 0.01),
            OperatorKind::CompressedSensing => (0.005, 0.015),
            OperatorKind::Tomography => (0.03, 0.015),
            OperatorKind::Fourier => (0.015, 0.03),
            // No weight makes colours of grey. Neither method takes the nonlinear two.
            OperatorKind::Colourisation | OperatorKind::PhaseRetrieval | OperatorKind::Hdr => (0.03, 0.015),
        };
        Self {
            tikhonov,
            total_variation,
        }
    }
}

/// Maximum likelihood: `A^+ b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoInverse;

impl PosteriorMethod for PseudoInverse {
    fn name(&self) -> &'static str {
        "pseudo-inverse"
    }

    fn title(&self) -> String {
        "pseudo-inverse (ML)".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Moore 1920, Penrose 1955: least squares of least norm"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::PseudoInverse]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(String::new())
    }

    fn cost(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<Cost, MethodError> {
        Ok(Cost::default())
    }

    fn solve(
        &self,
        _: &dyn ScoreModel,
        problem: &Problem<'_>,
        _: Stepping,
        _: &mut dyn RngCore,
        _: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        self.supports(problem.operator)?;
        Ok(problem.operator.linear()?.pseudo_inverse(problem.b)?)
    }
}

/// Least squares with a penalty on squared differences of neighbours: [`tikhonov`] with its tuned weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tikhonov;

impl PosteriorMethod for Tikhonov {
    fn name(&self) -> &'static str {
        "tikhonov"
    }

    fn title(&self) -> String {
        "Tikhonov (MAP)".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Tikhonov 1963, by conjugate gradients (Hestenes and Stiefel 1952)"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Linear, Need::Vjp]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("lambda {}", Lambdas::tuned(operator.kind()).tikhonov))
    }

    fn cost(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<Cost, MethodError> {
        Ok(Cost::default())
    }

    fn solve(
        &self,
        _: &dyn ScoreModel,
        problem: &Problem<'_>,
        _: Stepping,
        _: &mut dyn RngCore,
        _: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        self.supports(problem.operator)?;
        let lambda = Lambdas::tuned(problem.operator.kind()).tikhonov;
        Ok(tikhonov(problem.operator, problem.b, lambda)?.images)
    }
}

/// Least squares with total variation: [`total_variation`] with its tuned weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalVariation;

impl PosteriorMethod for TotalVariation {
    fn name(&self) -> &'static str {
        "total-variation"
    }

    fn title(&self) -> String {
        "total variation (MAP)".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Rudin, Osher and Fatemi 1992, by the primal-dual method of Condat 2013"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Linear, Need::Vjp]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("lambda {}", Lambdas::tuned(operator.kind()).total_variation))
    }

    fn cost(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<Cost, MethodError> {
        Ok(Cost::default())
    }

    fn solve(
        &self,
        _: &dyn ScoreModel,
        problem: &Problem<'_>,
        _: Stepping,
        _: &mut dyn RngCore,
        _: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        self.supports(problem.operator)?;
        let lambda = Lambdas::tuned(problem.operator.kind()).total_variation;
        Ok(total_variation(problem.operator, problem.b, lambda)?.images)
    }
}
