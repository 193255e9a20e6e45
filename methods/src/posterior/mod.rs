//! Images that explain a measurement, one method (or one family) to a file.

pub mod classical;
pub mod dps;
pub mod penalised;
pub mod score_ald;
pub mod sdedit;
