//! What the grader and its workers say to each other: requests, questions and answers as bytes, and the small settings
//! (operators, steps) that both sides build from a request.
//!
//! The grader is trusted and holds what is right, and the models. A worker runs a student's functions on what it is
//! given, asks the grader for each score, and hands back arrays, so that everything it says is to be doubted:
//! [`decode`] and [`read_frame`] take any bytes without harm.

mod asked_model;
mod message;
mod pipe;
mod probed;
mod question;
mod record;
mod serve;
mod setting;

pub use message::{Message, decode, encode};
pub use pipe::{MOST_BYTES, read_frame, write_frame};
pub use probed::{PROBE, events, is_probed, probed_request};
pub use question::Question;
pub use record::{Watcher, run_sampler};
pub use serve::{Answer, serve};
pub use setting::{LOPSIDED_BLUR, SMALL_SHAPE, operator, step, steps};
