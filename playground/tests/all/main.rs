//! The server's logic, without a browser. `tests/browser` has what needs one.

mod common;
mod page;
mod plans;
mod queue;
mod server;
mod work;
