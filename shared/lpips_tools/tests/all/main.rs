//! Training, import and download, and the study, each with small data that the test makes.

mod printing;
mod study;
mod train_command;
mod training;
mod weights;
