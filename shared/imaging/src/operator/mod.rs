//! The ladder of operators: what every operator can do, what a linear one can do beside, and what one can do whose
//! singular value decomposition is known.

mod check;
mod error;
mod forward;
mod kind;
mod linear;
mod spectral;

pub(crate) use check::check_batch;
pub use error::OperatorError;
pub(crate) use error::refuse;
pub use forward::ForwardOperator;
pub use kind::OperatorKind;
pub use linear::LinearOperator;
pub use spectral::SpectralOperator;
pub(crate) use spectral::{flatten, unflatten};
