//! Training, import and download, and the study, each with small data that the test makes.

mod study;
mod training;
mod weights;
