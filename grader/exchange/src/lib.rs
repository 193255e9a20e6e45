//! What the grader and its workers say to each other: requests and answers as bytes, and the small settings (models,
//! operators, steps) that both sides build from a request.
//!
//! The grader is trusted and holds what is right. A worker runs a student's functions on what it is given and hands
//! back arrays, so that everything it says is to be doubted: [`decode`] takes any bytes without harm.

mod message;
mod probed;
mod record;
mod serve;
mod setting;

pub use message::{Message, decode, encode};
pub use probed::{PROBE, events, is_probed, probed_request};
pub use record::{RecordingModel, Watcher, run_sampler};
pub use serve::serve;
pub use setting::{LOPSIDED_BLUR, SMALL_SHAPE, model, operator, small_model, step, steps};
