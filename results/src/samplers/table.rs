//! The distances as two tables in Markdown, and as a report for other programs.

use std::path::Path;

use anyhow::{Context, Result};
use methods::Sampler;
use serde::Serialize;

use crate::samplers::photographs::Photographs;

/// One cell of both tables.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    pub sampler: &'static str,
    /// As asked for.
    pub calls: usize,
    /// As it took.
    pub calls_taken: usize,
    /// The distance from photographs of the train split.
    pub train: f64,
    /// The distance from photographs of the test split.
    pub test: f64,
}

/// The table for other programs.
#[derive(Serialize)]
struct Report<'a> {
    prior: &'a str,
    seed: u64,
    /// In each set.
    images: usize,
    scores: &'a [Score],
    /// Distances of further sets of photographs from those of the train split.
    other_photographs_to_train: &'a [f64],
    /// And from those of the test split.
    other_photographs_to_test: &'a [f64],
}

/// What is known so far.
pub struct Table {
    samplers: Vec<&'static dyn Sampler>,
    calls: Vec<usize>,
    count: usize,
    /// Distances of photographs from photographs.
    own: (Vec<f64>, Vec<f64>),
    scores: Vec<Score>,
}

impl Table {
    pub fn new(
        samplers: &[&'static dyn Sampler],
        calls: &[usize],
        count: usize,
        photographs: &Photographs,
    ) -> Result<Self> {
        Ok(Self {
            samplers: samplers.to_vec(),
            calls: calls.to_vec(),
            count,
            own: photographs.own_distances()?,
            scores: Vec::new(),
        })
    }

    pub fn enter(&mut self, score: Score) {
        self.scores.push(score);
    }

    /// Both tables, each with what photographs reach under it.
    pub fn markdown(&self) -> String {
        let train = self.of_split("train", |score| score.train, &self.own.0);
        let test = self.of_split("test", |score| score.test, &self.own.1);
        format!("{train}\n{test}")
    }

    /// All numbers, as JSON, with what they depend on.
    pub fn write_json(&self, prior: &str, seed: u64, path: &Path) -> Result<()> {
        let report = Report {
            prior,
            seed,
            images: self.count,
            scores: &self.scores,
            other_photographs_to_train: &self.own.0,
            other_photographs_to_test: &self.own.1,
        };
        let text = serde_json::to_vec_pretty(&report)?;
        files::write_whole(path, &text).with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn of_split(&self, split: &str, distance: fn(&Score) -> f64, own: &[f64]) -> String {
        let heads: Vec<String> = self.calls.iter().map(|calls| format!("{calls} calls")).collect();
        let mut text = format!(
            "### Fréchet distance from {} photographs of the {split} split\n\n| sampler | {} |\n|---|{}\n",
            self.count,
            heads.join(" | "),
            "---:|".repeat(heads.len())
        );
        for sampler in &self.samplers {
            let cells: Vec<String> = self
                .calls
                .iter()
                .map(|&calls| self.cell(*sampler, calls, distance))
                .collect();
            text.push_str(&format!("| {} | {} |\n", sampler.title(), cells.join(" | ")));
        }
        let others = match own.len() {
            1 => format!("{:.1}, one set", own[0]),
            sets => {
                let mean = own.iter().sum::<f64>() / sets as f64;
                let squares: f64 = own.iter().map(|distance| (distance - mean).powi(2)).sum();
                format!("{mean:.1} ± {:.1}, {sets} sets", (squares / (sets - 1) as f64).sqrt())
            }
        };
        text.push_str(&format!(
            "\n{} other photographs of the train split: {others}.\n",
            self.count
        ));
        text
    }

    /// Empty where nothing was measured; the number of calls stands beside the distance where it is another than asked
    /// for.
    fn cell(&self, sampler: &dyn Sampler, calls: usize, distance: fn(&Score) -> f64) -> String {
        let is_it = |score: &&Score| (score.sampler, score.calls) == (sampler.name(), calls);
        let Some(score) = self.scores.iter().find(is_it) else {
            return String::new();
        };
        match score.calls_taken {
            taken if taken == calls => format!("{:.1}", distance(score)),
            taken => format!("({taken}) {:.1}", distance(score)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use methods::registry;

    #[test]
    fn a_score_stands_where_it_belongs_and_what_is_not_measured_stays_empty() -> Result<()> {
        let samplers = [registry::sampler("ddim")?, registry::sampler("heun")?];
        let score = |sampler, calls, calls_taken, train| Score {
            sampler,
            calls,
            calls_taken,
            train,
            test: 2.0 * train,
        };
        let table = Table {
            samplers: samplers.to_vec(),
            calls: vec![5, 10],
            count: 512,
            own: (vec![0.1, 0.3], vec![4.0]),
            scores: vec![score("heun", 10, 9, 1.5), score("ddim", 5, 5, 2.25)],
        };
        let text = table.markdown();
        for line in [
            "| sampler | 5 calls | 10 calls |",
            "| DDIM | 2.2 |  |",
            "| EDM, Heun |  | (9) 1.5 |",
            "| EDM, Heun |  | (9) 3.0 |",
            "512 other photographs of the train split: 0.2 ± 0.1, 2 sets.",
            "512 other photographs of the train split: 4.0, one set.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        table.write_json("fruits64", 7, &path)?;
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        assert_eq!((&report["prior"], &report["seed"]), (&"fruits64".into(), &7.into()));
        assert_eq!(report["scores"][0]["calls_taken"], 9);
        assert_eq!(report["scores"][1]["test"], 4.5);
        Ok(())
    }
}
