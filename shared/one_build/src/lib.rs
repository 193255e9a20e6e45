//! Nothing but its manifest counts: it asks for the features that some crate of this workspace asks for, of libraries
//! that the tasks' programs use as well.
//!
//! Cargo compiles a library once for each set of features. `cargo test -p task6_dps` alone would take `serde_json`
//! without what the grader needs of it, `cargo test` with it, and everything above would be compiled twice. The crate
//! `cli` depends on this one, so that both take the same. A test of the grader (`one_build`) compares them.
