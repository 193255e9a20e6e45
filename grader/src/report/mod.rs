//! A report as files: Gradescope's `results.json`, JUnit XML, and a page with pictures.

mod gradescope;
mod html;
mod junit;
pub mod promise;

use std::path::Path;

use anyhow::{Context, Result};

pub use html::escaped;

use crate::grading::grade::GradeReport;
use crate::printable::printable;

/// Writes `results.json`, `junit.xml` and `report.html` into a folder, each whole or not at all; and `pictures.html`,
/// which shows hidden images and is for instructors, readable by its owner alone.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_reports(report: &GradeReport, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    // First: where the disk is full, it is what counts.
    let results = serde_json::to_vec_pretty(&gradescope::results(report))?;
    write_file(&folder.join("results.json"), &results)?;
    write_file(&folder.join("report.html"), html::page(report).as_bytes())?;
    let pictures = folder.join("pictures.html");
    write_file(&pictures, html::pictures(report).as_bytes())?;
    crate::grading::scratch::make_private(&pictures)?;
    write_file(&folder.join("junit.xml"), &junit::document(report)?)
}

/// Writes a `results.json` that holds no grade, but a sentence why: platforms show it.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_no_grade(why: &str, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let results = serde_json::to_vec_pretty(&gradescope::no_grade(&printable(why)))?;
    write_file(&folder.join("results.json"), &results)
}

/// Writes a file that everybody may read, whole or not at all; into a device or a pipe, straight.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        files::write_whole(path, bytes)?;
        if files::is_stream(path) {
            return Ok(());
        }
        crate::grading::scratch::make_public(path)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
