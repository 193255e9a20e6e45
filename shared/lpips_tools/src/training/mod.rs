//! Training the embedded backbone of [`Lpips`](metrics::Lpips) to tell classes of images apart.
//!
//! The program `train-backbone` drives it.

mod batch;
mod loss;
mod trainer;

pub use batch::LabelledSet;
pub use loss::cross_entropy;
pub use trainer::{Counters, Settings, Trainer};
