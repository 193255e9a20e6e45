//! The class on one page.

use super::grade::{Graded, REPORTS, Summary};
use super::table::points;
use crate::course::task::Task;
use crate::report::escaped;

/// The distribution as bars of ten points each, and the table with links to the reports.
pub fn page(graded: &Graded, tasks: &[Task]) -> String {
    let summaries = &graded.summaries;
    let heads: String = tasks
        .iter()
        .map(|task| format!("<th>task {}</th>", task.number()))
        .collect();
    let rows: String = summaries.iter().map(|summary| row(summary, tasks)).collect();
    let failed: String = graded
        .failed
        .iter()
        .map(|(name, why)| format!("<p>No grade for {}: {}</p>\n", escaped(name), escaped(why)))
        .collect();
    let mean = summaries.iter().map(|summary| summary.points).sum::<f64>() / summaries.len().max(1) as f64;
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Points of the class</title><style>\
         body{{font-family:sans-serif;max-width:60em;margin:2em auto}}td,th{{padding:.2em .8em;text-align:left}}\
         text{{font-size:12px}}</style></head><body><h1>{} submissions, {:.1} points on average</h1>\n{failed}\
         <svg width=\"460\" height=\"165\">{}</svg>\n<table><tr><th>submission</th><th>points</th>{heads}\
         <th>not built</th><th>notes</th><th>seconds</th></tr>\n{rows}</table></body></html>\n",
        summaries.len(),
        mean + 0.0,
        bars(summaries)
    )
}

fn bars(summaries: &[Summary]) -> String {
    const BARS: usize = 10;
    let mut counts = [0usize; BARS];
    for summary in summaries {
        counts[((summary.points / 10.0) as usize).min(BARS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let bar = |(index, count): (usize, &usize)| {
        let height = 120 * count / most;
        let (x, y) = (45 * index, 140 - height);
        format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"40\" height=\"{height}\" fill=\"#47a\"/>\
             <text x=\"{x}\" y=\"{}\">{count}</text>\
             <text x=\"{x}\" y=\"155\">{}</text>\n",
            y - 4,
            10 * index
        )
    };
    counts.iter().enumerate().map(bar).collect()
}

fn row(summary: &Summary, tasks: &[Task]) -> String {
    let cells: String = tasks
        .iter()
        .map(|&task| format!("<td>{:.1}</td>", points(summary, task)))
        .collect();
    format!(
        "<tr><td><a href=\"{REPORTS}/{}/report.html\">{}</a></td><td>{:.1}</td>{cells}<td>{}</td><td>{}</td>\
         <td>{:.0}</td></tr>\n",
        in_link(&summary.submission),
        escaped(&summary.submission),
        summary.points,
        summary.not_built,
        summary.notes,
        summary.seconds
    )
}

/// A name as it may stand in a link, whatever characters it has.
fn in_link(name: &str) -> String {
    let of_byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(of_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_names_with_any_character() {
        assert_eq!(in_link("a#b 100%é"), "a%23b%20100%25%C3%A9");
    }
}
