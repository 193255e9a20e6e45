//! The committed notebooks, looked at as files: no Jupyter is needed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The notebooks, and the least number of pictures in each.
const NOTEBOOKS: [(&str, usize); 6] = [
    ("0_start", 3),
    ("2_denoise", 5),
    ("3_generate", 6),
    ("4_sdedit", 6),
    ("5_score_ald", 6),
    ("6_dps", 7),
];
/// So many bytes a notebook may have.
const MOST_BYTES: usize = 1_500_000;

fn read(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{name}.ipynb"));
    fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// A text of the format, which is a string or a list of lines.
fn text(value: &Value) -> String {
    match value {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn code_cells(notebook: &Value) -> Vec<&Value> {
    let cells = notebook["cells"].as_array().into_iter().flatten();
    cells.filter(|cell| cell["cell_type"] == "code").collect()
}

fn outputs<'a>(cells: &[&'a Value]) -> Vec<&'a Value> {
    let all = cells.iter().flat_map(|cell| cell["outputs"].as_array());
    all.flatten().collect()
}

#[test]
fn all_begin_with_the_same_cell() -> Result<()> {
    let mut first = Vec::new();
    for (name, _) in NOTEBOOKS {
        let notebook: Value = serde_json::from_str(&read(name)?)?;
        first.push(text(&code_cells(&notebook)[0]["source"]));
    }
    // Only then is it compiled already when the second notebook is opened.
    assert!(first.iter().all(|cell| *cell == first[0]), "{first:#?}");
    Ok(())
}

#[test]
fn all_were_run_in_order_with_full_settings_and_without_complaints() -> Result<()> {
    for (name, pictures) in NOTEBOOKS {
        let notebook: Value = serde_json::from_str(&read(name)?)?;
        let cells = code_cells(&notebook);
        for (index, cell) in cells.iter().enumerate() {
            ensure!(
                cell["execution_count"] == index + 1,
                "{name}: cell {} was run out of order, or not at all",
                index + 1
            );
        }
        let outputs = outputs(&cells);
        for output in &outputs {
            let is_complaint = output["output_type"] == "error" || output["name"] == "stderr";
            ensure!(!is_complaint, "{name}: a cell complains: {output}");
        }
        let printed: String = outputs.iter().map(|output| text(&output["text"])).collect();
        ensure!(
            printed.contains("setting: full\n"),
            "{name} was not run with full settings: {printed}"
        );
        let shown = outputs.iter().filter(|output| !output["data"]["image/png"].is_null());
        let shown = shown.count();
        ensure!(
            shown >= pictures,
            "{name} shows {shown} pictures, expected {pictures} or more"
        );
    }
    Ok(())
}

#[test]
fn all_ask_questions_and_none_is_unfinished_or_huge() -> Result<()> {
    for (name, _) in NOTEBOOKS {
        let file = read(name)?;
        assert!(file.len() <= MOST_BYTES, "{name} has {} bytes", file.len());
        let notebook: Value = serde_json::from_str(&file)?;
        let cells = notebook["cells"].as_array().context("no cells")?;
        let words: Vec<String> = cells.iter().map(|cell| text(&cell["source"])).collect();
        let questions = words.iter().filter(|words| words.contains("**Try.**")).count();
        assert!(questions >= 2, "{name} asks {questions} questions");
        assert!(
            words
                .iter()
                .all(|words| !words.trim().is_empty() && !words.starts_with("NOTICE")),
            "{name} has an empty or unfinished cell"
        );
    }
    Ok(())
}
