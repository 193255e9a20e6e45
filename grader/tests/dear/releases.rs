//! The students' tree is built: unsolved it fails, solved it passes.

use anyhow::{Result, ensure};
use grader::course::rehearse::rehearse;

use crate::{root, target_folder};

/// Builds in this workspace's target folder, where most of the libraries that the tree stands on are compiled already.
#[test]
#[ignore = "builds the students' tree: minutes"]
fn the_cut_tree_compiles_each_exercise_says_so_and_the_reference_brings_it_back() -> Result<()> {
    let faults = rehearse(&root(), target_folder()?)?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
