//! When a submission came, and what is taken off if that was too late.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What being late costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LatePolicy {
    /// So many percent of the points for each day that has begun.
    pub percent_per_day: f64,
    /// So many minutes that do not count.
    pub grace_minutes: u32,
}

/// When a submission came, and until when it should have, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it came.
    pub submitted: i64,
    /// Until when it should have come.
    pub due: i64,
}

const DAY: i64 = 24 * 3600;

impl LatePolicy {
    /// The share of the points that is kept, 0 to 1.
    #[must_use]
    pub fn kept(self, times: Times) -> f64 {
        let late = times.submitted - times.due - 60 * i64::from(self.grace_minutes);
        if late <= 0 {
            return 1.0;
        }
        let days = (late + DAY - 1) / DAY;
        (1.0 - self.percent_per_day / 100.0 * days as f64).max(0.0)
    }
}

/// What Gradescope says of a submission in `submission_metadata.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The number of the (first) student.
    pub student: Option<String>,
    /// When it came and should have; none where it does not say.
    pub times: Option<Times>,
}

impl Metadata {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it is no JSON, or a time in it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::of_text(&text)
            .with_context(|| format!("`{}` is no submission_metadata.json of Gradescope", path.display()))
    }

    fn of_text(text: &str) -> Result<Self> {
        let file: Value = serde_json::from_str(text)?;
        let user = &file["users"][0];
        let student = match &user["id"] {
            Value::Number(id) => Some(id.to_string()),
            Value::String(id) => Some(id.clone()),
            _ => None,
        };
        // An extension stands with the student.
        let due = [&user["assignment"]["due_date"], &file["assignment"]["due_date"]];
        let due = due.into_iter().find_map(Value::as_str);
        let times = match (file["created_at"].as_str(), due) {
            (Some(submitted), Some(due)) => Some(Times {
                submitted: seconds(submitted)?,
                due: seconds(due)?,
            }),
            _ => None,
        };
        Ok(Self { student, times })
    }
}

/// Seconds since 1970 of a time such as `2026-01-31T23:59:00+01:00`, `2026-01-31T22:59:00.5Z` or `2026-01-31 23:59`;
/// without a zone it is UTC.
///
/// # Errors
///
/// If it is none.
pub fn seconds(text: &str) -> Result<i64> {
    let Some(seconds) = of_time(text.trim()) else {
        bail!("`{text}` is no time: expected one such as 2026-01-31T23:59:00+01:00");
    };
    Ok(seconds)
}

fn of_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?)?, number(date.next()?)?, number(date.next()?)?);
    let rest = rest.strip_prefix(['T', ' ']).unwrap_or(rest);
    let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    let offset = match zone.strip_prefix(['+', '-']) {
        Some(size) => {
            let (hours, minutes) = size.split_once(':').or_else(|| size.split_at_checked(2))?;
            let size = number(hours)? * 3600 + if minutes.is_empty() { 0 } else { number(minutes)? * 60 };
            if zone.starts_with('-') { -size } else { size }
        }
        None => 0,
    };
    let mut clock = clock.split(':');
    let mut next = || match clock.next() {
        None | Some("") => Some(0),
        // Fractions of seconds do not count.
        Some(part) => number(part.split('.').next()?),
    };
    let of_day = next()? * 3600 + next()? * 60 + next()?;
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then(|| days(year, month, day) * DAY + of_day - offset)
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Days since 1970 of a date of our calendar, counted in years that begin in March, so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_zones() -> Result<()> {
        assert_eq!(seconds("1970-01-01T00:00:00Z")?, 0);
        assert_eq!(seconds("2000-03-01T00:00:00Z")? - seconds("2000-02-28 00:00")?, 2 * DAY);
        assert_eq!(
            seconds("2026-01-31T23:59:00+01:00")?,
            seconds("2026-01-31T22:59:00.365935Z")?
        );
        assert_eq!(seconds("2018-07-01T14:22:32.365935-07:00")?, 1_530_480_152);
        assert_eq!(seconds("2026-01-31")?, seconds("2026-01-31T00:00")?);
        for wrong in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-31T2x:00"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn each_day_that_has_begun_costs() {
        let policy = LatePolicy {
            percent_per_day: 10.0,
            grace_minutes: 30,
        };
        let kept = |late: i64| {
            policy.kept(Times {
                submitted: 1000 + late,
                due: 1000,
            })
        };
        assert_eq!(
            (kept(-5), kept(1800), kept(1801), kept(1800 + DAY)),
            (1.0, 1.0, 0.9, 0.9)
        );
        assert_eq!((kept(1801 + DAY), kept(100 * DAY)), (0.8, 0.0));
    }

    #[test]
    fn gradescope_says_who_and_when() -> Result<()> {
        let text = r#"{"created_at": "2026-02-01T01:00:00Z", "users": [{"email": "a@b", "id": 1815}],
            "assignment": {"due_date": "2026-01-31T23:00:00Z"}}"#;
        let found = Metadata::of_text(text)?;
        assert_eq!(found.student.as_deref(), Some("1815"));
        assert_eq!(found.times.map(|times| times.submitted - times.due), Some(7200));
        assert_eq!(Metadata::of_text("{}")?, Metadata::default());
        assert!(Metadata::of_text("no").is_err());
        Ok(())
    }
}
