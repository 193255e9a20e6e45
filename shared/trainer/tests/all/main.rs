//! The trainer as a library and as a command, on small data that the tests make.

mod going_on;
mod printing;
#[cfg(unix)]
mod signals;
mod train_command;
mod training;
