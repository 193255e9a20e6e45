//! Progress bars on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `total` things.
#[must_use]
pub fn new(what: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = format!("{{bar:30}} {{pos}}/{{len}} {what} {{elapsed}} (left: {{eta}}) {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}
