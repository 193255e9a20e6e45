//! The results of a run: a table for the screen, and a JSON file with every figure in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::decibels;
use crate::judge::Judge;
use crate::table::{Column, aligned};

/// One image, treated with one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The setting, such as `t=30` or `inpainting`.
    pub case: String,
    /// What was done, such as `denoised`; baselines and the unprocessed input have their names too.
    pub method: String,
    /// The image's name.
    pub image: String,
    /// The seed that its random numbers came from.
    pub seed: u64,
    /// In dB; infinite where the image is the ground truth, and then `"inf"` in JSON, which has no infinity. None where
    /// there is no ground truth.
    #[serde(with = "decibels")]
    pub psnr: Option<f64>,
    /// None where there is no ground truth.
    pub ssim: Option<f64>,
    /// None where it was not computed.
    pub lpips: Option<f64>,
    /// How long this image took with this method.
    pub seconds: f64,
}

impl ReportRow {
    /// What stands under the image in a figure: `31.2 dB / 0.093`, PSNR and LPIPS.
    #[must_use]
    pub fn caption(&self) -> String {
        let parts = [
            self.psnr.map(|psnr| format!("{psnr:.1} dB")),
            self.lpips.map(|lpips| format!("{lpips:.3}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" / ")
    }
}

/// The means over all images and seeds of one case and method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeanRow {
    /// As in [`ReportRow`].
    pub case: String,
    /// As in [`ReportRow`].
    pub method: String,
    /// Over how many rows the means are taken: images, seeds and samples.
    pub count: usize,
    /// In dB; over the rows that have one, and infinite if one of them is.
    #[serde(with = "decibels")]
    pub psnr: Option<f64>,
    /// Over the rows that have one.
    pub ssim: Option<f64>,
    /// Over the rows that have one.
    pub lpips: Option<f64>,
    /// Per image.
    pub seconds: f64,
}

/// All results of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the run was set to: names and values, in words.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// One for each image and method.
    pub rows: Vec<ReportRow>,
}

/// The setting that names the network of LPIPS: distances of different networks cannot be compared.
const LPIPS: &str = "LPIPS";

/// What the JSON file holds.
#[derive(Serialize)]
struct Content<'a> {
    settings: &'a BTreeMap<String, String>,
    rows: &'a [ReportRow],
    means: Vec<MeanRow>,
}

impl Report {
    /// Says that the metrics come from `judge`.
    #[must_use]
    pub fn judged_by(mut self, judge: &Judge) -> Self {
        self.set(LPIPS, judge.backbone());
        self
    }

    /// Says what the run was set to.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// The means over images and seeds, in the order in which case and method first appear.
    #[must_use]
    pub fn means(&self) -> Vec<MeanRow> {
        let mut means: Vec<MeanRow> = Vec::new();
        for row in &self.rows {
            if means
                .iter()
                .any(|mean| (&mean.case, &mean.method) == (&row.case, &row.method))
            {
                continue;
            }
            let group = || {
                self.rows
                    .iter()
                    .filter(|other| (&other.case, &other.method) == (&row.case, &row.method))
            };
            means.push(MeanRow {
                case: row.case.clone(),
                method: row.method.clone(),
                count: group().count(),
                psnr: mean(group().filter_map(|row| row.psnr)),
                ssim: mean(group().filter_map(|row| row.ssim)),
                lpips: mean(group().filter_map(|row| row.lpips)),
                seconds: mean(group().map(|row| row.seconds)).unwrap_or(0.0),
            });
        }
        means
    }

    /// The means as a table; a column that holds nothing is left out.
    #[must_use]
    pub fn table(&self) -> String {
        let means = self.means();
        let lpips = match self.settings.get(LPIPS) {
            Some(backbone) => format!("LPIPS ({backbone})"),
            None => "LPIPS".into(),
        };
        let metrics = [
            Column::numbers("PSNR/dB", 2, means.iter().map(|row| row.psnr)),
            Column::numbers("SSIM", 4, means.iter().map(|row| row.ssim)),
            Column::numbers(&lpips, 4, means.iter().map(|row| row.lpips)),
        ];
        let mut columns = vec![
            Column::words("case", means.iter().map(|row| row.case.clone())),
            Column::words("method", means.iter().map(|row| row.method.clone())),
        ];
        let counts = means.iter().map(|row| Some(row.count as f64));
        columns.push(Column::numbers("mean of", 0, counts));
        columns.extend(metrics.into_iter().filter(Column::holds_something));
        let seconds = means.iter().map(|row| Some(row.seconds));
        columns.push(Column::numbers("s/image", 3, seconds));

        (0..=means.len()).map(|line| aligned(&columns, line)).collect()
    }

    /// Writes `rows` and `means` as JSON: all of it, or, where that fails, nothing. `-` is standard output.
    ///
    /// # Errors
    ///
    /// A path that cannot be written to.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let cannot = || format!("cannot write the report `{}`", path.display());
        let content = Content {
            settings: &self.settings,
            rows: &self.rows,
            means: self.means(),
        };
        let mut text = serde_json::to_string_pretty(&content).with_context(cannot)?;
        text.push('\n');
        if let Some(folder) = path.parent().filter(|_| !files::is_stream(path)) {
            fs::create_dir_all(folder).with_context(cannot)?;
        }
        files::write_whole(path, text.as_bytes()).with_context(cannot)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, method: &str, image: &str, psnr: Option<f64>, seconds: f64) -> ReportRow {
        let (case, method, image) = (case.into(), method.into(), image.into());
        ReportRow {
            case,
            method,
            image,
            seed: 4,
            psnr,
            ssim: Some(0.5),
            lpips: None,
            seconds,
        }
    }

    fn report() -> Report {
        Report {
            settings: BTreeMap::new(),
            rows: vec![
                row("t=30", "noisy", "a.png", Some(24.0), 0.0),
                row("t=30", "denoised", "a.png", Some(36.0), 0.5),
                row("t=30", "noisy", "b.png", Some(26.0), 0.0),
                row("t=30", "denoised", "b.png", None, 1.5),
            ],
        }
    }

    #[test]
    fn means_are_taken_over_the_images_of_a_case_and_method() {
        let means = report().means();
        let psnr: Vec<_> = means
            .iter()
            .map(|mean| (mean.method.as_str(), mean.psnr, mean.seconds))
            .collect();
        assert_eq!(psnr, [("noisy", Some(25.0), 0.0), ("denoised", Some(36.0), 1.0)]);
        assert_eq!(means[0].lpips, None);
    }

    #[test]
    fn the_table_is_aligned_and_leaves_empty_columns_out() {
        let expected = "\
case  method    mean of  PSNR/dB    SSIM  s/image
t=30  noisy           2    25.00  0.5000    0.000
t=30  denoised        2    36.00  0.5000    1.000
";
        assert_eq!(report().table(), expected);
        assert_eq!(Report::default().table(), "case  method  mean of  s/image\n");
    }

    /// One of two images comes back as it was: nothing of that is lost on the way into table, file and back.
    #[test]
    fn a_perfect_image_is_shown_and_counts() -> Result<()> {
        let mut report = report();
        report.rows[2].psnr = Some(f64::INFINITY);
        assert_eq!(report.rows[2].caption(), "inf dB");
        let means = report.means();
        assert_eq!((means[0].psnr, means[0].count), (Some(f64::INFINITY), 2));
        let line = report.table().lines().nth(1).unwrap_or_default().to_owned();
        assert_eq!(line, "t=30  noisy           2      inf  0.5000    0.000");

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("results.json");
        report.write_json(&path)?;
        let text = fs::read_to_string(&path)?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(
            (&json["rows"][2]["psnr"], &json["means"][0]["psnr"]),
            (&"inf".into(), &"inf".into())
        );
        assert_eq!(serde_json::from_str::<Report>(&text)?, report);
        Ok(())
    }

    #[test]
    fn the_json_holds_rows_and_means() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new/results.json");
        report().write_json(&path)?;
        let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let expected = serde_json::json!({
            "case": "t=30", "method": "noisy", "image": "a.png", "seed": 4,
            "psnr": 24.0, "ssim": 0.5, "lpips": null, "seconds": 0.0
        });
        assert_eq!(json["rows"][0], expected);
        let expected = serde_json::json!({
            "case": "t=30", "method": "noisy", "count": 2, "psnr": 25.0, "ssim": 0.5, "lpips": null, "seconds": 0.0
        });
        assert_eq!(json["means"][0], expected);

        // A folder in the way: an error, and no half of a file left behind.
        let refused = report().write_json(&folder.path().join("new"));
        assert!(refused.is_err_and(|error| error.to_string().contains("cannot write the report")));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
