//! A report as a table in Markdown.

use std::collections::BTreeMap;

use cli::{Judge, Report, ReportRow};
use methods::stepping::Cost;

/// PSNR and LPIPS on the lecture's result slides: FFHQ faces of 256x256 pixels, another network, one image each.
const LECTURE: [(&str, &str, &str); 9] = [
    ("t=30", "task 2, one step", "37.4 / 0.0378"),
    ("t=100", "task 2, one step", "32.7 / 0.0941"),
    ("t=300", "task 2, one step", "27.3 / 0.203"),
    ("inpainting", "task 4, SDEdit", "20.2 / 0.189"),
    ("inpainting", "task 5, Score-ALD", "28.5 / 0.0605"),
    ("inpainting", "task 6, DPS", "34.0 / 0.0239"),
    ("deconvolution", "task 4, SDEdit", "20.1 / 0.232"),
    ("deconvolution", "task 5, Score-ALD", "22.2 / 0.144"),
    ("deconvolution", "task 6, DPS", "28.4 / 0.0518"),
];

/// Mean, standard deviation over images and seeds, and the standard deviation of the seeds' means.
struct Spread {
    mean: f64,
    of_images: f64,
    of_seeds: f64,
}

/// What one image costs, by case and method.
#[derive(Default)]
pub struct Costs(BTreeMap<(String, String), (Cost, Vec<f64>)>);

impl Costs {
    /// `seconds` is None where nobody knows how long it took.
    pub fn enter(&mut self, case: &str, method: &str, cost: Cost, seconds: Option<f64>) {
        let (_, times) = self.0.entry((case.into(), method.into())).or_insert((cost, Vec::new()));
        times.extend(seconds);
    }

    /// Calls of the network, pullbacks, and the mean of the seconds that are known.
    pub fn cells(&self, case: &str, method: &str) -> [String; 3] {
        let Some((cost, times)) = self.0.get(&(case.into(), method.into())) else {
            return Default::default();
        };
        let seconds = match times.as_slice() {
            [] => String::new(),
            times => format!("{:.2}", mean(times.iter().copied())),
        };
        [cost.evaluations.to_string(), cost.pullbacks.to_string(), seconds]
    }
}

/// One line for each case and method, in the order in which they first appear.
pub fn markdown(report: &Report, judge: &Judge, costs: &Costs) -> String {
    let mut table = format!(
        "| problem | method | PSNR, dB | (seeds) | SSIM | LPIPS ({}) | (seeds) | calls | pullbacks | s per image | \
         lecture (FFHQ), PSNR / LPIPS |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        judge.backbone()
    );
    for mean in report.means() {
        let rows: Vec<&ReportRow> = report
            .rows
            .iter()
            .filter(|row| (&row.case, &row.method) == (&mean.case, &mean.method))
            .collect();
        let psnr = spread(&rows, |row| row.psnr);
        let ssim = spread(&rows, |row| row.ssim);
        let lpips = spread(&rows, |row| row.lpips);
        let lecture = LECTURE
            .iter()
            .find(|entry| (entry.0, entry.1) == (mean.case.as_str(), mean.method.as_str()))
            .map_or("", |entry| entry.2);
        let [calls, pullbacks, seconds] = costs.cells(&mean.case, &mean.method);
        let cells = [
            mean.case.clone(),
            mean.method.clone(),
            cell(psnr.as_ref(), 2),
            seeds(psnr.as_ref(), 2),
            cell(ssim.as_ref(), 3),
            cell(lpips.as_ref(), 4),
            seeds(lpips.as_ref(), 4),
            calls,
            pullbacks,
            seconds,
            lecture.to_owned(),
        ];
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

fn cell(spread: Option<&Spread>, decimals: usize) -> String {
    // A perfect image makes the mean infinite, and nothing spreads around that.
    spread.map_or_else(String::new, |s| match s.mean.is_finite() {
        true => format!("{:.decimals$} ± {:.decimals$}", s.mean, s.of_images),
        false => s.mean.to_string(),
    })
}

fn seeds(spread: Option<&Spread>, decimals: usize) -> String {
    let finite = spread.filter(|s| s.mean.is_finite());
    finite.map_or_else(String::new, |s| format!("± {:.decimals$}", s.of_seeds))
}

/// None where no row has the metric.
fn spread(rows: &[&ReportRow], metric: impl Fn(&ReportRow) -> Option<f64>) -> Option<Spread> {
    let values: Vec<(u64, f64)> = rows.iter().filter_map(|row| Some((row.seed, metric(row)?))).collect();
    let mut all_seeds: Vec<u64> = values.iter().map(|value| value.0).collect();
    all_seeds.sort_unstable();
    all_seeds.dedup();
    let of_seed = |seed: u64| values.iter().filter(move |value| value.0 == seed).map(|value| value.1);
    let means: Vec<f64> = all_seeds.iter().map(|&seed| mean(of_seed(seed))).collect();
    (!values.is_empty()).then(|| Spread {
        mean: mean(values.iter().map(|value| value.1)),
        of_images: standard_deviation(&values.iter().map(|value| value.1).collect::<Vec<_>>()),
        of_seeds: standard_deviation(&means),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// 0 for a single value.
fn standard_deviation(values: &[f64]) -> f64 {
    let centre = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, psnr: f64) -> ReportRow {
        ReportRow {
            case: "inpainting".into(),
            method: "task 6, DPS".into(),
            image: "a".into(),
            seed,
            psnr: Some(psnr),
            ssim: None,
            lpips: None,
            seconds: 0.0,
        }
    }

    #[test]
    fn the_spread_of_images_and_that_of_seeds_are_told_apart() {
        let rows = [row(0, 29.0), row(0, 31.0), row(1, 30.0), row(1, 34.0)];
        let spread = spread(&rows.iter().collect::<Vec<_>>(), |row| row.psnr).unwrap();
        assert_eq!(spread.mean, 31.0);
        assert!((spread.of_images - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((spread.of_seeds - 2.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_mean_is_of_the_times_that_are_known() {
        let mut costs = Costs::default();
        let cost = Cost {
            evaluations: 10,
            pullbacks: 5,
        };
        costs.enter("inpainting", "a", cost, None);
        assert_eq!(costs.cells("inpainting", "a"), ["10", "5", ""]);
        costs.enter("inpainting", "a", cost, Some(1.0));
        costs.enter("inpainting", "a", cost, Some(2.0));
        assert_eq!(costs.cells("inpainting", "a"), ["10", "5", "1.50"]);
        assert_eq!(costs.cells("inpainting", "b"), ["", "", ""]);
    }

    #[test]
    fn a_perfect_image_is_shown() {
        let rows = [row(0, 29.0), row(0, f64::INFINITY)];
        let spread = spread(&rows.iter().collect::<Vec<_>>(), |row| row.psnr);
        assert_eq!(
            (cell(spread.as_ref(), 2), seeds(spread.as_ref(), 2)),
            ("inf".into(), String::new())
        );
    }

    #[test]
    fn a_metric_that_no_row_has_leaves_its_cell_empty() {
        let rows = [row(0, 29.0)];
        assert!(spread(&rows.iter().collect::<Vec<_>>(), |row| row.lpips).is_none());
    }
}
