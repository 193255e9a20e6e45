//! The tables of a class: `scores.csv`, and what platforms import.

use std::path::Path;

use anyhow::Result;

use super::grade::{Graded, Summary};
use super::page::page;
use crate::course::task::Task;
use crate::report::write_file;

/// Writes `scores.csv` and `class.html`.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_tables(graded: &Graded, tasks: &[Task], out: &Path) -> Result<()> {
    write_file(&out.join("scores.csv"), &scores(&graded.summaries, tasks)?)?;
    write_file(&out.join("class.html"), page(graded, tasks).as_bytes())
}

fn scores(summaries: &[Summary], tasks: &[Task]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = tasks.iter().map(|task| task.crate_name().to_owned());
    let header = ["submission", "id", "name", "points"]
        .map(String::from)
        .into_iter()
        .chain(names);
    writer.write_record(header.chain(["late", "not_built", "notes", "seconds"].map(String::from)))?;
    for summary in summaries {
        let of_tasks = tasks.iter().map(|&task| format!("{:.2}", points(summary, task)));
        let start = [&summary.submission, &summary.id, &summary.name].map(|text| cell(text));
        let end = [
            if summary.late { "late" } else { "" }.to_owned(),
            summary.not_built.to_string(),
            summary.notes.to_string(),
            format!("{:.1}", summary.seconds),
        ];
        let start = start.into_iter().chain([format!("{:.2}", summary.points)]);
        writer.write_record(start.chain(of_tasks).chain(end))?;
    }
    Ok(writer.into_inner()?)
}

/// A spreadsheet takes text that begins with such a character for a formula, also behind blanks.
pub fn cell(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%'])
    {
        format!("'{text}")
    } else {
        text
    }
}

/// The points of a task.
pub fn points(summary: &Summary, task: Task) -> f64 {
    let found = summary.tasks.iter().find(|(number, _)| *number == task.number());
    found.map_or(0.0, |(_, points)| *points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", " =cmd|' /C calc'!A0", "\t@SUM(A1)", "+1", "-1", "＝1"] {
            assert!(cell(text).starts_with('\''), "{text}");
        }
        assert_eq!((cell("ada"), cell("a\r\nb")), ("ada".into(), "a  b".into()));
    }
}
