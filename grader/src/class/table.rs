//! The tables of a class: `scores.csv`, and what platforms import.

use std::path::Path;

use anyhow::Result;

use super::adjust::{Adjusted, Adjustments};
use super::grade::{Graded, Summary};
use super::page::page;
use crate::course::task::Task;
use crate::report::write_file;

/// Writes `scores.csv`, `moodle.csv`, `canvas.csv` and `class.html`.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_tables(graded: &Graded, tasks: &[Task], adjustments: &Adjustments, out: &Path) -> Result<()> {
    let rows: Vec<(&Summary, Adjusted)> = graded
        .summaries
        .iter()
        .map(|summary| (summary, adjustments.of(summary)))
        .collect();
    write_file(&out.join("scores.csv"), &scores(&rows, tasks)?)?;
    write_file(&out.join("moodle.csv"), &moodle(&rows)?)?;
    write_file(&out.join("canvas.csv"), &canvas(&rows, tasks)?)?;
    write_file(&out.join("class.html"), page(graded, tasks).as_bytes())
}

type Row<'s> = (&'s Summary, Adjusted);

fn scores(rows: &[Row<'_>], tasks: &[Task]) -> Result<Vec<u8>> {
    let names = tasks.iter().map(|task| task.crate_name());
    let start = ["submission", "id", "name", "total", "points"];
    let end = ["adjusted", "late", "not_built", "notes", "seconds"];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(start.into_iter().chain(names).chain(end))?;
    for (summary, adjusted) in rows {
        let mut record = vec![
            cell(&summary.submission),
            cell(&summary.id),
            cell(&summary.name),
            format!("{:.2}", adjusted.total()),
            format!("{:.2}", summary.points),
        ];
        record.extend(tasks.iter().map(|&task| format!("{:.2}", points(summary, task))));
        record.push(cell(&adjusted.why));
        record.push(if summary.late { "late".into() } else { String::new() });
        record.extend([summary.not_built.to_string(), summary.notes.to_string()]);
        record.push(format!("{:.1}", summary.seconds));
        writer.write_record(record)?;
    }
    Ok(writer.into_inner()?)
}

/// Moodle's grading worksheet, as far as it is read again: who, and how many points.
fn moodle(rows: &[Row<'_>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["Identifier", "Full name", "Grade"])?;
    for (summary, adjusted) in rows {
        let identifier = format!("Participant {}", summary.id);
        writer.write_record([
            cell(&identifier),
            cell(&summary.name),
            format!("{:.2}", adjusted.total()),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// Canvas' gradebook: rename the last column to the assignment's name, with its number in brackets.
fn canvas(rows: &[Row<'_>], tasks: &[Task]) -> Result<Vec<u8>> {
    let all: f64 = tasks
        .iter()
        .flat_map(|task| task.listed().points())
        .map(|(_, points)| points)
        .sum();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["Student", "ID", "SIS Login ID", "Section", "Autograder"])?;
    writer.write_record(["    Points Possible", "", "", "", &format!("{all:.2}")])?;
    for (summary, adjusted) in rows {
        let total = format!("{:.2}", adjusted.total());
        writer.write_record([
            cell(&summary.name),
            cell(&summary.id),
            String::new(),
            String::new(),
            total,
        ])?;
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

    #[test]
    fn platforms_get_the_columns_that_they_read() -> Result<()> {
        let summary = Summary {
            id: "44".into(),
            name: "=ada".into(),
            points: 12.5,
            ..Summary::default()
        };
        let rows = [(&summary, Adjustments::default().of(&summary))];
        let text = |bytes: Vec<u8>| String::from_utf8(bytes);
        assert_eq!(
            text(moodle(&rows)?)?,
            "Identifier,Full name,Grade\nParticipant 44,'=ada,12.50\n"
        );
        let canvas = text(canvas(&rows, &Task::all())?)?;
        assert!(
            canvas.contains("    Points Possible,,,,100.00\n'=ada,44,,,12.50\n"),
            "{canvas}"
        );
        Ok(())
    }
}
