//! The three reports: complete, readable by others, and safe whatever the student wrote.

use std::fs;

use anyhow::Result;
use grader::bands::thresholds::Worse;
use grader::checks::Figure;
use grader::report::write_reports;
use grader::{CheckReport, GradeReport, TaskReport, Visibility};

use crate::task;

const HOSTILE: &str = "</pre><script>alert(1)</script> & \"quoted\" \u{1b}[31m \0 ]]>";

fn check(key: &str, points: f64, out_of: f64) -> CheckReport {
    CheckReport {
        key: key.into(),
        points,
        out_of,
        text: HOSTILE.into(),
        pictures: Vec::new(),
        figures: vec![Figure {
            case: "inpainting".into(),
            name: "PSNR",
            value: 30.5,
            worse: Worse::Below,
        }],
        seconds: 1.5,
    }
}

fn report() -> GradeReport {
    GradeReport {
        submission: HOSTILE.into(),
        tasks: vec![
            TaskReport {
                task: task(6),
                build_error: None,
                checks: vec![check("6.2 formula", 5.0, 5.0), check("6.5 images", 2.0, 4.0)],
                seconds: 9.0,
            },
            TaskReport {
                task: task(2),
                build_error: Some(HOSTILE.into()),
                checks: vec![check("2.1 formula", 0.0, 5.0)],
                seconds: 1.0,
            },
        ],
        notes: vec![HOSTILE.into()],
        seconds: 10.0,
        kept: Some(0.5),
        visibility: Visibility::AfterDueDate,
    }
}

#[test]
fn gradescope_gets_what_it_asks_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_reports(&report(), folder.path())?;
    let results: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("results.json"))?)?;
    assert_eq!(
        (results["score"].as_f64(), results["execution_time"].as_u64()),
        (Some(3.5), Some(10))
    );
    let tests = results["tests"].as_array().cloned().unwrap_or_default();
    assert_eq!(tests.len(), 3);
    for field in [
        "score",
        "max_score",
        "status",
        "name",
        "number",
        "output",
        "output_format",
        "visibility",
    ] {
        assert!(tests.iter().all(|test| !test[field].is_null()), "a test lacks {field}");
    }
    assert_eq!(
        (tests[0]["visibility"].as_str(), tests[1]["visibility"].as_str()),
        (Some("visible"), Some("after_due_date"))
    );
    assert_eq!(
        (tests[0]["status"].as_str(), tests[1]["status"].as_str()),
        (Some("passed"), Some("failed"))
    );
    assert_eq!(results["leaderboard"][0]["value"].as_f64(), Some(30.5));
    assert!(
        tests[2]["output"]
            .as_str()
            .is_some_and(|text| text.contains("<script>")),
        "the compiler's words are missing"
    );
    Ok(())
}

#[test]
fn nothing_of_the_students_becomes_markup() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_reports(&report(), folder.path())?;
    let page = fs::read_to_string(folder.path().join("report.html"))?;
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    let xml = fs::read_to_string(folder.path().join("junit.xml"))?;
    let mut reader = quick_xml::Reader::from_str(&xml);
    let mut cases = 0;
    loop {
        match reader.read_event()? {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                assert_ne!(tag.name().as_ref(), "script");
                cases += usize::from(tag.name().as_ref() == "testcase");
            }
            _ => {}
        }
    }
    assert_eq!(cases, 3);
    assert!(
        !xml.contains(['\0', '\u{1b}']),
        "XML has no place for control characters"
    );
    Ok(())
}
