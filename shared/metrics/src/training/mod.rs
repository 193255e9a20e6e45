//! Training the embedded backbone of [`Lpips`](crate::Lpips) to tell classes of images apart.
//!
//! Nothing of this is needed to compute a distance; the program `train-backbone` drives it.

mod batch;
mod trainer;

pub use batch::LabelledSet;
pub use trainer::{CHECKPOINT_FILE, Counters, Settings, Trainer};
