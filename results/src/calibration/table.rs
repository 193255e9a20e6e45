//! The lines as tables in Markdown, as figures of rank histograms, and as a report for other programs.

use std::path::Path;

use anyhow::{Context, Result};
use plots::{Figure, Histogram, HistogramRow, histograms};
use serde::Serialize;

use crate::calibration::line::Line;

/// What all lines share.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    pub prior: String,
    pub seed: u64,
    /// As asked for; a line says how many it has.
    pub images: usize,
    pub samples: usize,
    pub steps: usize,
}

/// A table for each problem, in the order in which they come.
pub fn markdown(setting: &Setting, lines: &[Line]) -> String {
    let tables: Vec<String> = problems(lines)
        .into_iter()
        .map(|lines| table(setting, &lines))
        .collect();
    tables.join("\n")
}

/// A figure for each problem: a row for each method, a column for each quantity.
pub fn figure(lines: &[Line]) -> Result<Vec<(String, Figure)>> {
    let draw = |lines: Vec<&Line>| {
        let rows: Vec<HistogramRow> = lines.iter().map(|line| row(line)).collect();
        let titles: Vec<&str> = lines[0].quantities.iter().map(String::as_str).collect();
        Ok((lines[0].problem.clone(), histograms(&rows, &titles)?))
    };
    problems(lines).into_iter().map(draw).collect()
}

/// Everything, for other programs.
pub fn write_json(setting: &Setting, lines: &[Line], path: &Path) -> Result<()> {
    let report = serde_json::json!({ "setting": setting, "lines": lines });
    let text = serde_json::to_vec_pretty(&report)?;
    files::write_whole(path, &text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The lines of each problem.
fn problems(lines: &[Line]) -> Vec<Vec<&Line>> {
    let mut problems: Vec<Vec<&Line>> = Vec::new();
    for line in lines {
        match problems.iter_mut().find(|lines| lines[0].problem == line.problem) {
            Some(lines) => lines.push(line),
            None => problems.push(vec![line]),
        }
    }
    problems
}

fn table(setting: &Setting, lines: &[&Line]) -> String {
    let Some(first) = lines.first() else {
        return String::new();
    };
    let last_heads = match first.closed {
        Some(_) => "sample, dB below | mean, dB below | distance",
        None => "sample, dB | mean, dB",
    };
    let columns = 7 + last_heads.matches('|').count() + 1;
    let mut text = format!(
        "### Calibration, {} ({})\n\n| method | images | ranks, p | TARP, p | in 50 % | in 90 % | spread / skill | \
         {last_heads} |\n|---|{}\n",
        first.problem,
        setting.prior,
        "---:|".repeat(columns - 1)
    );
    for line in lines {
        text.push_str(&format!("| {} |\n", cells(line).join(" | ")));
    }
    let quantities: Vec<&str> = first.quantities.iter().map(String::as_str).collect();
    text.push_str(&format!(
        "\n{} samples of each image, {} calls of the network for each; ranks of: {}.\n",
        first.samples,
        setting.steps,
        quantities.join(", ")
    ));
    text
}

fn cells(line: &Line) -> Vec<String> {
    let psnr = |squared_error: f64| format!("{:.2}", 10.0 * (4.0 / squared_error).log10());
    let mut cells = vec![
        line.method.clone(),
        line.images.to_string(),
        chance(line.p_of_ranks),
        chance(line.p_of_tarp),
        percent(line.covered_50),
        percent(line.covered_90),
        format!("{:.2}", line.spread_to_skill),
    ];
    match line.closed {
        Some(closed) => cells.extend([
            format!("{:.2}", closed.gap_of_sample),
            format!("{:.2}", closed.gap_of_mean),
            format!("{:.3}", closed.distance),
        ]),
        None => cells.extend([psnr(line.squared_errors.0), psnr(line.squared_errors.1)]),
    }
    cells
}

fn row(line: &Line) -> HistogramRow {
    let panel = |(counts, &p): (&Vec<usize>, &Option<f64>)| Histogram {
        caption: match p {
            None => "too few images".to_owned(),
            Some(_) => format!("p {}", chance(p)),
        },
        counts: counts.clone(),
    };
    HistogramRow {
        label: line.method.clone(),
        histograms: line.ranks.iter().zip(&line.p_of_each).map(panel).collect(),
    }
}

/// A probability, no more precisely than it is worth.
fn chance(p: Option<f64>) -> String {
    match p {
        None => "too few".to_owned(),
        Some(p) if p >= 0.01 => format!("{p:.2}"),
        Some(p) if p >= 1e-6 => format!("{p:.0e}"),
        Some(_) => "< 1e-6".to_owned(),
    }
}

fn percent((share, error): (f64, f64)) -> String {
    format!("{:.1} ± {:.1}", 100.0 * share, 100.0 * error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::line::Closed;

    fn line(problem: &str, method: &str) -> Line {
        Line {
            problem: problem.to_owned(),
            method: method.to_owned(),
            images: 500,
            samples: 19,
            quantities: vec!["brightness".to_owned(), "distance (TARP)".to_owned()],
            ranks: vec![vec![25; 20]; 2],
            p_of_each: vec![Some(0.5), Some(3e-4)],
            p_of_ranks: Some(0.5),
            p_of_tarp: Some(1e-12),
            tarp_gap: 0.1,
            covered_50: (0.512, 0.006),
            covered_90: (0.9, 0.003),
            spread_to_skill: 0.987,
            squared_errors: (0.04, 0.02),
            closed: None,
        }
    }

    fn setting() -> Setting {
        Setting {
            prior: "fruits64".to_owned(),
            seed: 3,
            images: 200,
            samples: 19,
            steps: 100,
        }
    }

    #[test]
    fn a_problem_has_a_table_and_a_figure_of_its_own() -> Result<()> {
        let closed = Closed {
            gap_of_sample: 3.014,
            gap_of_mean: 0.2,
            distance: 0.0123,
        };
        let known = Line {
            closed: Some(closed),
            ..line("mixture, inpainting", "DPS")
        };
        let lines = [line("inpainting", "DPS"), known, line("inpainting", "PiGDM")];
        let text = markdown(&setting(), &lines);
        let found: Vec<&str> = text.lines().filter(|line| line.contains("| 500 |")).collect();
        assert_eq!(
            found,
            [
                "| DPS | 500 | 0.50 | < 1e-6 | 51.2 ± 0.6 | 90.0 ± 0.3 | 0.99 | 20.00 | 23.01 |",
                "| PiGDM | 500 | 0.50 | < 1e-6 | 51.2 ± 0.6 | 90.0 ± 0.3 | 0.99 | 20.00 | 23.01 |",
                "| DPS | 500 | 0.50 | < 1e-6 | 51.2 ± 0.6 | 90.0 ± 0.3 | 0.99 | 3.01 | 0.20 | 0.012 |",
            ]
        );
        // Each table's rule is as wide as its head.
        for table in text.split("### ").skip(1) {
            let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
            assert!(
                rows.iter()
                    .all(|row| row.matches('|').count() == rows[0].matches('|').count()),
                "{table}"
            );
        }
        let figures = figure(&lines)?;
        assert_eq!(
            figures.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(),
            ["inpainting", "mixture, inpainting"]
        );
        Ok(())
    }

    #[test]
    fn a_probability_is_as_precise_as_it_is_worth() {
        let texts = [None, Some(0.123), Some(2.3e-4), Some(0.0)].map(chance);
        assert_eq!(texts, ["too few", "0.12", "2e-4", "< 1e-6"]);
    }

    #[test]
    fn the_report_has_all_ranks() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("calibration.json");
        write_json(&setting(), &[line("inpainting", "DPS")], &path)?;
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        assert_eq!(
            (&report["setting"]["seed"], &report["lines"][0]["ranks"][1][19]),
            (&3.into(), &25.into())
        );
        Ok(())
    }
}
