//! Why an LPIPS distance cannot be computed.

use std::path::PathBuf;

use crate::error::MetricError;

/// Why a distance cannot be computed, or a backbone not be had. Each message says what was expected, what came, and
/// what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LpipsError {
    /// The two images cannot be compared.
    #[error(transparent)]
    Images(#[from] MetricError),
    /// Images that are not RGB.
    #[error(
        "an image has {found} channels, expected 3: LPIPS is defined for RGB images; repeat a grey channel three times"
    )]
    Channels {
        /// The number of channels.
        found: usize,
    },
    /// The file of an imported backbone is not there.
    #[error(
        "there are no weights for LPIPS ({name}) at {path}: make them with `cargo run -p lpips_tools --bin \
         lpips-weights -- fetch {name}`, or without network with `import {name}`; or use the embedded backbone",
        path = .path.display()
    )]
    NotFound {
        /// The backbone.
        name: &'static str,
        /// Where its weights were looked for.
        path: PathBuf,
    },
    /// The weights are damaged, or those of another network.
    #[error("the weights of LPIPS ({name}) do not fit: {source}")]
    Weights {
        /// The backbone.
        name: &'static str,
        /// What is wrong with them.
        source: nn::WeightsError,
    },
    /// A weight of a stage is below zero; the distance would not be one.
    #[error("`{tensor}` holds {value}, expected numbers from 0 on: these are not LPIPS weights")]
    Negative {
        /// The tensor.
        tensor: String,
        /// The weight.
        value: f32,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}
