//! What can go wrong in a method.

use diffusion::{ScheduleError, ScoreError};
use imaging::OperatorError;
use thiserror::Error;

use crate::needs::Need;

/// Why a method has no result.
// Not `transparent`: the error inside has to be a cause of its own, so that whoever stopped a sampler finds it again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MethodError {
    /// The model failed, or an observer stopped the method.
    #[error("{0}")]
    Score(#[from] ScoreError),
    /// The steps do not fit the schedule.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
    /// The operator refuses what it is given.
    #[error("{0}")]
    Operator(#[from] OperatorError),
    /// A function of a task failed.
    #[error("{0}")]
    Task(#[from] anyhow::Error),
    /// The operator lacks something that the method cannot do without.
    #[error("{method} cannot be used with {operator}: it needs {need}")]
    Unsupported {
        /// The method's name.
        method: &'static str,
        /// The operator's name.
        operator: &'static str,
        /// What is missing.
        need: Need,
    },
    /// A setting out of range.
    #[error("{method}: {setting} must be {expected}, is {got}")]
    Setting {
        /// The method's name.
        method: &'static str,
        /// The field at fault.
        setting: &'static str,
        /// Its range.
        expected: &'static str,
        /// What it is.
        got: f64,
    },
    /// No method goes by that name.
    #[error("no {what} is called `{got}`; expected one of\n{known}")]
    Unknown {
        /// `sampler` or `posterior method`.
        what: &'static str,
        /// The name that was given.
        got: String,
        /// All there are, one to a line.
        known: String,
    },
}
