//! The course as files: the list of tasks, whether all agrees with it, and what is cut or packed from the tree.

pub mod doctor;
pub mod hidden;
pub mod package;
pub mod rehearse;
pub mod release;
pub mod task;
mod tree;
