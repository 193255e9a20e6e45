//! What a method asks of a model and of an operator.

use std::fmt;

use imaging::ForwardOperator;

/// One thing that a method cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// The model's score: one forward pass of the network for each.
    Score,
    /// The score's vector-Jacobian product, which costs a backward pass more.
    Pullback,
    /// The operator's vector-Jacobian product, which every operator has.
    Vjp,
    /// An operator that is linear.
    Linear,
    /// `A^+ b`.
    PseudoInverse,
    /// `argmin_z ||A z - b||^2 / 2 + rho / 2 ||z - x||^2`.
    Prox,
    /// `(r2 A A^T + sigma2 I)^-1`.
    GramSolve,
    /// `A = U S V^T`.
    SingularValues,
}

impl Need {
    /// Whether this operator has it; what is asked of the model, every model has.
    #[must_use]
    pub fn is_met_by(self, operator: &dyn ForwardOperator) -> bool {
        match self {
            Self::Score | Self::Pullback | Self::Vjp => true,
            Self::Linear | Self::PseudoInverse | Self::Prox | Self::GramSolve => operator.as_linear().is_some(),
            Self::SingularValues => operator.spectral().is_ok(),
        }
    }
}

impl Need {
    /// In as few words as tables have room for.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Pullback => "pullback",
            Self::Vjp => "VJP",
            Self::Linear => "linear A",
            Self::PseudoInverse => "pseudo-inverse",
            Self::Prox => "prox",
            Self::GramSolve => "Gram solve",
            Self::SingularValues => "singular values",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Score => "the model's score",
            Self::Pullback => "the pullback of the model's score",
            Self::Vjp => "a vector-Jacobian product",
            Self::Linear => "a linear operator",
            Self::PseudoInverse => "a pseudo-inverse, which linear operators have",
            Self::Prox => "a proximal map, which linear operators have",
            Self::GramSolve => "a solver for r2 A A^T + sigma2, which linear operators have",
            Self::SingularValues => "singular values and vectors, which not every linear operator knows of itself",
        })
    }
}
