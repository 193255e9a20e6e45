//! Where the weights of the published backbones come from: reading the files that PyTorch and the authors of LPIPS
//! published, checking them, downloading them, and writing the one file that [`Lpips::load`](metrics::Lpips::load)
//! reads.
//!
//! The program `lpips-weights` drives it.

mod download;
mod import;
mod source;

pub use download::download;
pub use import::{Files, Report, import};
pub use source::{Digest, Source, backbone_source, linear_source};
