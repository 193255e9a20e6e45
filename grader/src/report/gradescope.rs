//! The report in the format that Gradescope reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bands::thresholds::Worse;
use crate::checks::Figure;
use crate::grading::grade::{CheckReport, GradeReport, Visibility};

/// `results.json`.
#[derive(Serialize)]
pub struct Results {
    score: f64,
    execution_time: u64,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
    stdout_visibility: &'static str,
    tests: Vec<Test>,
    leaderboard: Vec<Leader>,
    extra_data: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Test {
    score: f64,
    max_score: f64,
    status: &'static str,
    name: String,
    number: String,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
}

#[derive(Serialize)]
struct Leader {
    name: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'static str>,
}

/// The report as Gradescope wants it. Scores are those of the tests; times per task are in `extra_data`.
pub fn results(report: &GradeReport) -> Results {
    let mut tests = Vec::new();
    let mut extra_data = BTreeMap::new();
    for task in &report.tasks {
        extra_data.insert(format!("seconds_{}", task.task.crate_name()), task.seconds);
        // What the compiler says stands with the first check, once.
        let error = |index: usize| task.build_error.as_deref().filter(|_| index == 0);
        let checks = task.checks.iter().enumerate();
        tests.extend(checks.map(|(index, check)| test(check, error(index), visibility(report, check))));
    }
    Results {
        score: report.score(),
        execution_time: report.seconds.round() as u64,
        output: output(report),
        output_format: "text",
        visibility: "visible",
        stdout_visibility: "hidden",
        tests,
        leaderboard: leaderboard(report),
        extra_data,
    }
}

/// A result without a grade.
pub fn no_grade(why: &str) -> Results {
    Results {
        score: 0.0,
        execution_time: 0,
        output: format!("No grade: the points shown here are none. {why}"),
        output_format: "text",
        visibility: "visible",
        stdout_visibility: "hidden",
        tests: Vec::new(),
        leaderboard: Vec::new(),
        extra_data: BTreeMap::new(),
    }
}

fn test(check: &CheckReport, build_error: Option<&str>, visibility: &'static str) -> Test {
    Test {
        score: check.points,
        max_score: check.out_of,
        status: if check.points >= check.out_of {
            "passed"
        } else {
            "failed"
        },
        name: check.key.clone(),
        number: check.key.split(' ').next().unwrap_or_default().to_owned(),
        output: match build_error {
            Some(error) => format!("{}\n{error}", check.text),
            None => check.text.clone(),
        },
        output_format: "text",
        visibility,
    }
}

/// Checks on hidden images may be shown later than others.
fn visibility(report: &GradeReport, check: &CheckReport) -> &'static str {
    let visibility = if check.key.ends_with(" images") {
        report.visibility
    } else {
        Visibility::Visible
    };
    visibility.name()
}

/// What arrived, and how long it took.
fn output(report: &GradeReport) -> String {
    let mut lines = vec![format!("{:.2} of {:.0} points", report.score(), report.out_of())];
    if let Some(kept) = report.kept.filter(|kept| *kept < 1.0) {
        let earned = report.points();
        lines.push(format!(
            "Late: {:.0} % of the {earned:.2} points earned are kept.",
            100.0 * kept
        ));
    }
    for task in &report.tasks {
        let built = if task.build_error.is_some() {
            "not built"
        } else {
            "built"
        };
        lines.push(format!(
            "{}: {built}, {:.2} of {:.0} points, {:.1} s",
            task.task.title(),
            task.points(),
            task.out_of(),
            task.seconds
        ));
    }
    lines.extend(report.notes.iter().map(|note| format!("Note: {note}")));
    lines.join("\n")
}

/// The figures of those tasks that the list wants on the leaderboard, as students like to compare them.
fn leaderboard(report: &GradeReport) -> Vec<Leader> {
    let mut leaders = Vec::new();
    for task in &report.tasks {
        let Some(title) = &task.task.listed().leaderboard else {
            continue;
        };
        let figures = task.checks.iter().flat_map(|check| &check.figures);
        leaders.extend(figures.map(|figure| leader(title, figure)));
    }
    leaders
}

fn leader(title: &str, figure: &Figure) -> Leader {
    Leader {
        name: format!("{title}, {}", figure.key()),
        value: figure.value,
        order: (figure.worse == Worse::Above).then_some("asc"),
    }
}
