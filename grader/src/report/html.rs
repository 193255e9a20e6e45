//! The report as one page, and the pictures as another.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::grading::grade::{CheckReport, GradeReport, TaskReport};

const STYLE: &str = "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{white-space:pre-wrap;\
background:#f4f4f4;padding:.6em;overflow-wrap:anywhere}table{border-collapse:collapse}td,th{padding:.2em .8em;\
text-align:left;border-bottom:1px solid #ddd}.bad{color:#a00}.good{color:#070}\
img{image-rendering:pixelated;min-width:16em}";

/// The page. All that comes from the student is escaped.
pub fn page(report: &GradeReport) -> String {
    let name = escaped(&report.submission);
    let mut page = head(&name);
    let _ = writeln!(
        page,
        "<h1>{name}: {:.2} of {:.0} points</h1>\n<p>{:.0} seconds</p>",
        report.points(),
        report.out_of(),
        report.seconds
    );
    for note in &report.notes {
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(note));
    }
    page.push_str("<table><tr><th>task</th><th>points</th><th>of</th><th>seconds</th></tr>\n");
    for task in &report.tasks {
        let (title, points, out_of) = (task.task.title(), task.points(), task.out_of());
        let _ = writeln!(
            page,
            "<tr><td>{title}</td><td>{points:.2}</td><td>{out_of:.0}</td><td>{:.1}</td></tr>",
            task.seconds
        );
    }
    page.push_str("</table>\n");
    report.tasks.iter().for_each(|task| add_task(&mut page, task));
    page.push_str("</body></html>\n");
    page
}

fn add_task(page: &mut String, task: &TaskReport) {
    let _ = writeln!(
        page,
        "<h2>{}: {:.2} of {:.0}</h2>",
        task.task.title(),
        task.points(),
        task.out_of()
    );
    if let Some(error) = &task.build_error {
        let _ = writeln!(
            page,
            "<p class=\"bad\">It could not be built.</p><pre>{}</pre>",
            escaped(error)
        );
        return;
    }
    task.checks.iter().for_each(|check| add_check(page, check));
}

fn add_check(page: &mut String, check: &CheckReport) {
    let class = if check.points >= check.out_of { "good" } else { "bad" };
    let _ = writeln!(
        page,
        "<h3 class=\"{class}\">{}: {:.2} of {} ({:.1} s)</h3><pre>{}</pre>",
        escaped(&check.key),
        check.points,
        check.out_of,
        check.seconds,
        escaped(&check.text)
    );
}

/// The page for instructors: results beside the hidden images.
pub fn pictures(report: &GradeReport) -> String {
    let name = escaped(&report.submission);
    let mut page = head(&name);
    let _ = writeln!(
        page,
        "<h1>{name}: pictures</h1>\n<p class=\"bad\">Hidden images are shown here: not for students.</p>"
    );
    let checks = report.tasks.iter().flat_map(|task| &task.checks);
    for (check, picture) in checks.flat_map(|check| check.pictures.iter().map(move |picture| (check, picture))) {
        let _ = writeln!(
            page,
            "<figure><img alt=\"{title}\" src=\"data:image/png;base64,{}\"><figcaption>{}: \
             {title}</figcaption></figure>",
            BASE64_STANDARD.encode(&picture.png),
            escaped(&check.key),
            title = escaped(&picture.title)
        );
    }
    page.push_str("</body></html>\n");
    page
}

/// The page may load nothing and run nothing.
fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src \
         'unsafe-inline'\"><style>{STYLE}</style></head><body>"
    )
}

/// Text as it may stand in a page.
#[must_use]
pub fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
