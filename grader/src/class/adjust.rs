//! What an instructor changes by hand: due dates, points of single checks, points for what no grader sees.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::grade::Summary;
use crate::late::{LatePolicy, Times, seconds};

/// The name in the column `check` of points that no check gives.
pub const MANUAL: &str = "manual";

/// All adjustments, by the student's id. They are applied to the tables anew each time, so that no regrading loses
/// them.
#[derive(Clone, Debug, Default)]
pub struct Adjustments {
    times: BTreeMap<String, Times>,
    points: BTreeMap<String, Vec<Override>>,
    policy: LatePolicy,
}

#[derive(Clone, Debug)]
struct Override {
    check: String,
    points: f64,
    comment: String,
}

/// What is left of a student's points.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjusted {
    /// With points that were given by hand, before anything is taken off for being late.
    pub points: f64,
    /// The share that is kept.
    pub kept: f64,
    /// What was changed, in words.
    pub why: String,
}

impl Adjusted {
    /// What counts.
    #[must_use]
    pub fn total(&self) -> f64 {
        (self.points * self.kept * 100.0).round() / 100.0
    }
}

impl Adjustments {
    /// Reads the tables that there are: `due` with the columns `id,submitted,due`, `overrides` with
    /// `id,check,points,comment`.
    ///
    /// # Errors
    ///
    /// If a table cannot be read, lacks a column, or holds no time or number where one is needed.
    pub fn read(due: Option<&Path>, overrides: Option<&Path>, policy: LatePolicy) -> Result<Self> {
        let mut adjustments = Self {
            policy,
            ..Self::default()
        };
        for row in due.map_or_else(|| Ok(Vec::new()), |path| rows(path, &["id", "submitted", "due"]))? {
            let [id, submitted, due] = &row[..] else { continue };
            let times = Times {
                submitted: seconds(submitted)?,
                due: seconds(due)?,
            };
            adjustments.times.insert(id.clone(), times);
        }
        let columns = ["id", "check", "points", "comment"];
        for row in overrides.map_or_else(|| Ok(Vec::new()), |path| rows(path, &columns))? {
            let [id, check, points, comment] = &row[..] else {
                continue;
            };
            let points: f64 = points
                .parse()
                .with_context(|| format!("`{points}` of {id} is no number of points"))?;
            ensure!(points.is_finite(), "`{points}` of {id} is no number of points");
            adjustments.points.entry(id.clone()).or_default().push(Override {
                check: check.clone(),
                points,
                comment: comment.clone(),
            });
        }
        Ok(adjustments)
    }

    /// What is left of the points of a submission.
    #[must_use]
    pub fn of(&self, summary: &Summary) -> Adjusted {
        let (mut points, mut why) = (summary.points, Vec::new());
        for given in self.points.get(&summary.id).into_iter().flatten() {
            let graded = summary.checks.iter().find(|(key, _)| *key == given.check);
            points += given.points - graded.map_or(0.0, |(_, points)| *points);
            why.push(format!(
                "{}: {:.2} by hand ({})",
                given.check, given.points, given.comment
            ));
        }
        let times = self.times.get(&summary.id);
        let kept = times.map_or(1.0, |times| self.policy.kept(*times));
        if kept < 1.0 {
            why.push(format!("late: {:.0} % kept", 100.0 * kept));
        }
        Adjusted {
            points: points.max(0.0),
            kept,
            why: why.join("; "),
        }
    }

    /// What names a student or a check that there is not, a sentence each.
    #[must_use]
    pub fn unused(&self, summaries: &[Summary]) -> Vec<String> {
        let find = |id: &String| summaries.iter().find(|summary| summary.id == *id);
        let ids = self.times.keys().chain(self.points.keys());
        let mut unused: Vec<String> = ids
            .filter(|id| find(id).is_none())
            .map(|id| format!("no submission is of the student `{id}`, whom a table names"))
            .collect();
        for (id, given) in &self.points {
            let Some(summary) = find(id) else { continue };
            let is_known =
                |given: &&Override| given.check != MANUAL && summary.checks.iter().all(|(key, _)| *key != given.check);
            unused.extend(given.iter().filter(is_known).map(|given| {
                format!(
                    "`{}` of the student `{id}` is no check that was graded: its points are added; call it `{MANUAL}` \
                     if that is meant",
                    given.check
                )
            }));
        }
        unused
    }
}

/// The cells of these columns, row by row.
fn rows(path: &Path, columns: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let header = reader.headers()?.clone();
    let place = |column: &&str| {
        let name = |cell: &str| cell.trim_start_matches('\u{feff}').eq_ignore_ascii_case(column);
        header.iter().position(name).with_context(|| {
            format!(
                "`{}` has no column `{column}`, expected {}",
                path.display(),
                columns.join(",")
            )
        })
    };
    let places = columns.iter().map(place).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("`{}` is damaged", path.display()))?;
        let cell = |place: &usize| record.get(*place).unwrap_or_default().to_owned();
        rows.push(places.iter().map(cell).collect());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            id: "7".into(),
            points: 9.0,
            checks: vec![("2.1 formula".into(), 5.0), ("2.3 formula".into(), 4.0)],
            ..Summary::default()
        }
    }

    #[test]
    fn points_are_replaced_and_added_and_lateness_comes_last() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (due, overrides) = (folder.path().join("due.csv"), folder.path().join("overrides.csv"));
        std::fs::write(&due, "id,submitted,due\n7,2026-02-01T01:00Z,2026-02-01T00:00Z\n")?;
        std::fs::write(
            &overrides,
            "comment,id,check,points\nmercy,7,2.1 formula,2.5\nreport,7,manual,3\n,8,manual,1\n",
        )?;
        let policy = LatePolicy {
            percent_per_day: 20.0,
            grace_minutes: 0,
        };
        let adjustments = Adjustments::read(Some(&due), Some(&overrides), policy)?;
        let adjusted = adjustments.of(&summary());
        assert_eq!((adjusted.points, adjusted.kept, adjusted.total()), (9.5, 0.8, 7.6));
        assert!(
            adjusted.why.contains("mercy") && adjusted.why.contains("80 % kept"),
            "{}",
            adjusted.why
        );
        let unused = adjustments.unused(&[summary()]);
        assert!(unused.len() == 1 && unused[0].contains("`8`"), "{unused:?}");
        std::fs::write(&due, "id,due\n7,2026-02-01\n")?;
        assert!(
            Adjustments::read(Some(&due), None, policy).is_err(),
            "a column is missing"
        );
        Ok(())
    }
}
