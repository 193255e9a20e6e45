//! The students' tree is built: unsolved it fails, solved it passes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use grader::course::rehearse::rehearse;

use crate::root;

/// Builds in this workspace's target folder, where most of the libraries that the tree stands on are compiled already.
#[test]
#[ignore = "builds the students' tree: minutes"]
fn the_cut_tree_compiles_each_exercise_says_so_and_the_reference_brings_it_back() -> Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .context("a target folder")?;
    let faults = rehearse(&root(), target)?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
