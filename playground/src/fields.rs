//! Numbers that somebody typed, and what is wrong with them.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};

/// The whole number that a field holds.
///
/// # Errors
///
/// Text that is no whole number in `range`.
pub(crate) fn whole(field: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64> {
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => bail!(
            "{field}: expected a whole number from {} to {}, got `{}`",
            range.start(),
            range.end(),
            shortened(text)
        ),
    }
}

/// The number that a field holds.
///
/// # Errors
///
/// Text that is no number in `range`.
pub(crate) fn number(field: &str, text: &str, range: RangeInclusive<f64>) -> Result<f64> {
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => bail!(
            "{field}: expected a number from {} to {}, got `{}`",
            range.start(),
            range.end(),
            shortened(text)
        ),
    }
}

/// What is quoted of a text that may be of any length.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
