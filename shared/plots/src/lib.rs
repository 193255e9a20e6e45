//! Figures for the command line and for notebooks: pictures in rows with captions, grids, trajectories and curves.
//!
//! Every function returns a [`Figure`], pixels in memory, which can be saved or handed on as the bytes of a PNG. The
//! font is part of the crate, so a figure looks the same on every machine. Images are `[C, H, W]` with pixels in
//! [-1, 1]; what lies outside is clamped. Each is enlarged by a whole number, pixel by pixel, so nothing is smoothed
//! over.
//!
//! - [`image_rows`]: the result figure: a label per row, a title per column, a caption under each picture;
//! - [`strip`]: a sampler's path, `x_t` above the clean image expected behind it;
//! - [`image_grid`]: samples side by side;
//! - [`curves`]: lines over axes with units and a legend;
//! - [`heat_maps`]: numbers as colours, side by side, with one colour bar for all;
//! - [`histograms`]: small histograms in rows, beside what equally likely values would give;
//! - [`flow`]: points in the plane and the vector field that moves them, at several moments.

mod axis;
mod canvas;
mod curves;
mod error;
mod figure;
mod flow;
mod heat;
mod histograms;
mod palette;
mod pictures;
mod text;

pub use curves::{Series, curves};
pub use error::PlotError;
pub use figure::Figure;
pub use flow::{Arrow, FlowPanel, flow};
pub use heat::{HeatMap, heat_maps};
pub use histograms::{Histogram, HistogramRow, histograms};
pub use pictures::{Cell, Frame, Row, image_grid, image_rows, strip};
