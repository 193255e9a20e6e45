//! The report as JUnit XML, which most build servers read.

use anyhow::Result;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::grading::grade::{CheckReport, GradeReport, TaskReport};

/// The document; the writer escapes whatever comes from the student.
pub fn document(report: &GradeReport) -> Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites = BytesStart::new("testsuites");
    suites.push_attribute(("name", printable(&report.submission).as_str()));
    suites.push_attribute(("time", format!("{:.2}", report.seconds).as_str()));
    writer.write_event(Event::Start(suites))?;
    for task in &report.tasks {
        suite(&mut writer, task)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    Ok(writer.into_inner())
}

fn suite(writer: &mut Writer<Vec<u8>>, task: &TaskReport) -> Result<()> {
    let failures = task.checks.iter().filter(|check| check.points < check.out_of).count();
    let mut start = BytesStart::new("testsuite");
    start.push_attribute(("name", task.task.crate_name()));
    start.push_attribute(("tests", task.checks.len().to_string().as_str()));
    start.push_attribute(("failures", failures.to_string().as_str()));
    start.push_attribute(("time", format!("{:.2}", task.seconds).as_str()));
    writer.write_event(Event::Start(start))?;
    for check in &task.checks {
        case(writer, task, check)?;
    }
    if let Some(error) = &task.build_error {
        writer.write_event(Event::Start(BytesStart::new("system-err")))?;
        writer.write_event(Event::Text(BytesText::new(&printable(error))))?;
        writer.write_event(Event::End(BytesEnd::new("system-err")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, task: &TaskReport, check: &CheckReport) -> Result<()> {
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("classname", task.task.crate_name()));
    start.push_attribute(("name", check.key.as_str()));
    start.push_attribute(("time", format!("{:.2}", check.seconds).as_str()));
    if check.points >= check.out_of {
        writer.write_event(Event::Empty(start))?;
        return Ok(());
    }
    writer.write_event(Event::Start(start))?;
    let mut failure = BytesStart::new("failure");
    failure.push_attribute((
        "message",
        format!("{:.2} of {} points", check.points, check.out_of).as_str(),
    ));
    writer.write_event(Event::Start(failure))?;
    writer.write_event(Event::Text(BytesText::new(&printable(&check.text))))?;
    writer.write_event(Event::End(BytesEnd::new("failure")))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))?;
    Ok(())
}

/// XML has no place for most control characters, escaped or not.
fn printable(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { '?' }).collect()
}
