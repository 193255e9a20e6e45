//! Images that explain a measurement, one method (or one family) to a file.

pub mod classical;
pub mod daps;
mod data_term;
pub mod ddnm;
pub mod ddnm_plus;
pub mod ddrm;
pub mod diffpir;
pub mod dps;
pub mod ilvr;
mod langevin;
mod levels;
pub mod mcg;
pub mod moment_matching;
pub mod penalised;
pub mod pigdm;
pub mod pnp_admm;
pub mod red_diff;
pub mod score_ald;
pub mod score_sde;
pub mod sdedit;
mod walk;
