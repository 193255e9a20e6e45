//! What the programs that train a network share, whatever the network: the folder that a training lives in, its log,
//! the images it reads, and what may change when it goes on.
//!
//! - [`open_folder`]: no training overwrites another one;
//! - [`Log`] is `log.csv`;
//! - [`read_split`], [`fingerprint`]: the images, and what tells them from others;
//! - [`differences`]: which settings are others than before;
//! - [`write_json`]: what a training says at its end;
//! - [`bar`]: a progress bar.

mod folder;
mod images;
mod log;
mod settings;

pub use folder::{Begin, CHECKPOINT_FILE, open_folder, write_json};
pub use images::{bar, fingerprint, read_split, require_same_data};
pub use log::Log;
pub use settings::{differences, require_same};
