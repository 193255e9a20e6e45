//! What every notebook imports, so that cells can be short: the task crates, the prior and the shipped images, figures
//! that a notebook shows, and progress as lines of text.
//!
//! A notebook begins with the same cell as all others, which keeps what the kernel has compiled of use to all:
//!
//! ```text
//! :dep notebook = { path = "kit" }
//! use notebook::prelude::*;
//! let lab: Lab = Lab::open()?;
//! ```
//!
//! There is no formula in here that a student is asked to write. Each cell is compiled into a library of its own, so
//! nothing in here may rely on a `static` that an earlier cell has set.

mod arrays;
mod contest;
mod gallery;
mod lab;
mod panics;
mod show;
mod toy;
mod watch;

pub use arrays::{difference_map, mean_of, measure, normal_like, repeat, rng, std_map};
pub use contest::{Outcome, compare_all, ranks};
pub use gallery::Gallery;
pub use lab::Lab;
pub use show::{line, show, show_maps};
pub use toy::{coordinates, panel};
pub use watch::Watch;

/// Everything that the cells name.
pub mod prelude {
    pub use crate::{
        Gallery, Lab, Outcome, Watch, compare_all, coordinates, difference_map, line, mean_of, measure, normal_like,
        panel, ranks, repeat, rng, show, show_maps, std_map,
    };
    pub use cli::Scores;
    pub use diffusion::{FiniteCheck, GaussianMixtureModel, Schedule, ScoreModel, Step, Trajectory};
    pub use imaging::{ForwardOperator, best_gaussian_blur, norms, residual, residual_norms};
    pub use methods::calibration::closed_forms::ClosedForm;
    pub use methods::calibration::study::{Drawer, Fault, Findings, Size, Study};
    pub use methods::stepping::Stepping;
    pub use metrics::psnr;
    pub use ndarray::{Array1, Array2, Array3, Array4, Axis, array, s};
    pub use plots::{Figure, FlowPanel, HistogramRow, Series, curves, flow, histograms, image_grid};
    pub use rand::rngs::StdRng;
    pub use {diffusion, imaging, methods, ndarray, plots};
    pub use {task2_denoise, task3_generate, task4_sdedit, task5_score_ald, task6_dps};
}
