//! The trainer as a library and as a command, on small data that the tests make.

mod train_command;
mod training;
