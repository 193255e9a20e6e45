//! Every method on every operator in one table: a row for each method, a column for each operator.

use cli::{MeanRow, Report};

use crate::table::Costs;

/// The table, with the best PSNR and LPIPS of each operator in bold; None where there are fewer than three operators,
/// which the long table shows as well. `operators` are the cases' names.
pub fn markdown(report: &Report, costs: &Costs, operators: &[String]) -> Option<String> {
    const FEWEST: usize = 3;
    let means = report.means();
    let is_there = |operator: &&String| means.iter().any(|mean| mean.case == **operator);
    let operators: Vec<&String> = operators.iter().filter(is_there).collect();
    if operators.len() < FEWEST {
        return None;
    }
    let mut methods: Vec<&str> = Vec::new();
    for mean in means.iter().filter(|mean| operators.contains(&&mean.case)) {
        if !methods.contains(&mean.method.as_str()) {
            methods.push(&mean.method);
        }
    }
    let names: Vec<&str> = operators.iter().map(|operator| operator.as_str()).collect();
    let mut table = format!(
        "PSNR in dB / LPIPS; calls, pullbacks and seconds for one image of the first operator that a method can do.\n\n\
         | method | calls | pullbacks | s per image | {} |\n|---|---:|---:|---:|{}\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for method in methods {
        let of = |operator: &str| find(&means, operator, method);
        let first = names.iter().find(|operator| of(operator).is_some());
        let mut cells = vec![method.to_owned()];
        cells.extend(first.map(|operator| costs.cells(operator, method)).unwrap_or_default());
        cells.extend(names.iter().map(|operator| cell(of(operator), &means)));
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    Some(table)
}

fn find<'a>(means: &'a [MeanRow], operator: &str, method: &str) -> Option<&'a MeanRow> {
    means.iter().find(|mean| mean.case == operator && mean.method == method)
}

/// Empty where the method cannot do the operator.
fn cell(mean: Option<&MeanRow>, all: &[MeanRow]) -> String {
    let Some(mean) = mean else { return String::new() };
    let same_operator = || all.iter().filter(|other| other.case == mean.case);
    let best_psnr = same_operator().filter_map(|row| row.psnr).reduce(f64::max);
    let best_lpips = same_operator().filter_map(|row| row.lpips).reduce(f64::min);
    let psnr = number(mean.psnr, best_psnr, 1);
    let lpips = number(mean.lpips, best_lpips, 3);
    format!("{psnr} / {lpips}")
}

fn number(value: Option<f64>, best: Option<f64>, decimals: usize) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let text = format!("{value:.decimals$}");
    if Some(value) == best {
        format!("**{text}**")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use cli::ReportRow;
    use methods::stepping::Cost;

    use super::*;

    fn row(case: &str, method: &str, psnr: f64, lpips: f64) -> ReportRow {
        ReportRow {
            case: case.into(),
            method: method.into(),
            image: "a".into(),
            seed: 0,
            psnr: Some(psnr),
            ssim: None,
            lpips: Some(lpips),
            seconds: 0.0,
        }
    }

    #[test]
    fn the_best_of_each_operator_is_bold_and_what_a_method_cannot_do_is_empty() {
        let rows = [
            row("t=30", "noisy", 26.0, 0.1),
            row("blur", "a", 30.0, 0.1),
            row("blur", "b", 31.0, 0.2),
            row("mask", "a", 20.0, 0.1),
            row("mask", "b", 20.5, 0.05),
            row("phase", "b", 10.0, 1.0),
        ];
        let mut report = Report::default();
        report.rows.extend(rows);
        let mut costs = Costs::default();
        let cost = Cost {
            evaluations: 10,
            pullbacks: 5,
        };
        costs.enter("blur", "a", cost, Some(1.0));
        costs.enter("blur", "b", cost, None);
        let operators = ["blur", "mask", "phase"].map(str::to_owned);
        let table = markdown(&report, &costs, &operators).unwrap();
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| method | calls | pullbacks | s per image | blur | mask | phase |",
                "|---|---:|---:|---:|---:|---:|---:|",
                "| a | 10 | 5 | 1.00 | 30.0 / **0.100** | 20.0 / 0.100 |  |",
                "| b | 10 | 5 |  | **31.0** / 0.200 | **20.5** / **0.050** | **10.0** / **1.000** |",
            ]
        );
        assert!(
            markdown(&report, &costs, &operators[..2]).is_none(),
            "the long table will do"
        );
    }
}
