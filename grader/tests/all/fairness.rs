//! Is the grading fair? The reference solution earns everything.

use anyhow::Result;
use grader::Task;
use grader::bands::calibrate::{self, Scope};
use grader::bands::thresholds::Thresholds;
use grader::checks::Bench;
use grader::secret::Secret;

use crate::root;

/// Without images, on few seeds: quick enough for every run. On 20 seeds with images: `grader calibrate
/// --check-fairness --seeds 20 --first 0`.
#[test]
fn the_reference_earns_all_points_of_formulas_and_samplers() -> Result<()> {
    let (root, thresholds) = (root(), Thresholds::read(&root().join("grader/thresholds.toml"))?);
    let (prior, hidden) = (root.join("data/priors/fruits64"), root.join("grader/hidden"));
    let bench = Bench::new(Secret::known(0), &prior, &hidden, thresholds)?;
    let faults = calibrate::unfair(&bench, &Task::all(), 0..20, Scope::WithoutImages)?;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
