//! The trainer as a library and as a command, on small data that the tests make.

mod going_on;
#[cfg(feature = "cuda-stand-in")]
mod gpu_counts;
#[cfg(feature = "cuda-stand-in")]
mod gpu_faults;
mod guided;
mod printing;
#[cfg(unix)]
mod signals;
mod train_command;
mod training;
