//! The committed notebooks, looked at as files: no Jupyter is needed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// So many pictures a notebook has at least.
const LEAST_PICTURES: usize = 3;
/// So many bytes a notebook may have.
const MOST_BYTES: usize = 1_500_000;

/// All notebooks of the folder: their names, and what the files hold.
fn notebooks() -> Result<Vec<(String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut notebooks = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ipynb") {
            let name = path.file_stem().context("a file with a name")?.to_string_lossy();
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            notebooks.push((name.into_owned(), text));
        }
    }
    ensure!(!notebooks.is_empty(), "there are no notebooks");
    Ok(notebooks)
}

/// How many pictures are among some outputs.
fn pictures(outputs: &[&Value]) -> usize {
    let is_picture = |output: &&&Value| !output["data"]["image/png"].is_null();
    outputs.iter().filter(is_picture).count()
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

fn outputs_of(cell: &Value) -> Vec<&Value> {
    cell["outputs"].as_array().into_iter().flatten().collect()
}

#[test]
fn all_begin_with_the_same_cell() -> Result<()> {
    let mut first = Vec::new();
    for (_, file) in notebooks()? {
        let notebook: Value = serde_json::from_str(&file)?;
        first.push(text(&code_cells(&notebook)[0]["source"]));
    }
    // Only then is it compiled already when the second notebook is opened.
    assert!(first.iter().all(|cell| *cell == first[0]), "{first:#?}");
    Ok(())
}

#[test]
fn all_were_run_in_order_with_full_settings_and_without_complaints() -> Result<()> {
    for (name, file) in notebooks()? {
        let notebook: Value = serde_json::from_str(&file)?;
        let cells = code_cells(&notebook);
        for (index, cell) in cells.iter().enumerate() {
            ensure!(
                cell["execution_count"] == index + 1,
                "{name}: cell {} was run out of order, or not at all",
                index + 1
            );
        }
        let outputs: Vec<&Value> = cells.iter().flat_map(|cell| outputs_of(cell)).collect();
        for output in &outputs {
            let is_complaint = output["output_type"] == "error" || output["name"] == "stderr";
            ensure!(!is_complaint, "{name}: a cell complains: {output}");
        }
        let printed: String = outputs.iter().map(|output| text(&output["text"])).collect();
        ensure!(
            printed.contains("setting: full\n"),
            "{name} was not run with full settings: {printed}"
        );
        let shown = pictures(&outputs);
        ensure!(
            shown >= LEAST_PICTURES,
            "{name} shows {shown} pictures, expected {LEAST_PICTURES} or more"
        );
        for cell in cells {
            let code = text(&cell["source"]);
            let asked = code.contains("show(") || code.contains("show_maps(");
            let shown = pictures(&outputs_of(cell));
            ensure!(
                shown == usize::from(asked),
                "{name}: {shown} pictures are under a cell that says\n{code}"
            );
        }
    }
    Ok(())
}

#[test]
fn all_ask_questions_and_none_is_unfinished_or_huge() -> Result<()> {
    for (name, file) in notebooks()? {
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
