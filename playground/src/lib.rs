//! A page in the browser on which the tasks and the methods can be tried: draw or choose an image, choose a method, and
//! watch it work. What a student has written is what runs.
//!
//! | module | what is in it |
//! |---|---|
//! | [`wish`] | what the page asks for, as it was typed |
//! | [`plan`] | what can be done of that, or the sentence that says why it cannot |
//! | [`knobs`], [`solver`] | the settings of a method, and a method with its settings |
//! | [`work`], [`watch`] | does a plan, as the programs of the tasks do, and watches it |
//! | [`event`], [`log`] | what a run tells, and keeps for whoever comes later |
//! | [`queue`] | one run at a time |
//! | [`server`], [`guard`], [`page`], [`offers`] | the addresses, who may ask, the page's files, what it offers |
//! | [`again`](mod@again) | a run that the page saved, without a page |
//!
//! It listens on 127.0.0.1 and nowhere else, and answers its own page only.

pub mod again;
mod bytes;
mod command;
pub mod event;
mod fields;
pub mod guard;
pub mod knobs;
pub mod log;
pub mod offers;
pub mod page;
pub mod picture;
pub mod plan;
pub mod queue;
pub mod server;
pub mod solver;
pub mod watch;
pub mod wish;
pub mod work;
