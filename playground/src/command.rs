//! The command line that does what the page does.

use diffusion::StepVariance;
use imaging::OperatorSpec;
use methods::stepping::Stepping;

use crate::plan::{DRAWN_HOLE, Edit, Work};
use crate::wish::Wish;

/// The prior that programs take where none is named.
const USUAL_PRIOR: &str = "fruits64";
/// The file that the page saves a mask as: bright where something is drawn for an edit, dark for a hole.
const MASK: &str = "mask.png";
/// The file that the page saves a run as.
pub const SAVED_RUN: &str = "run.json";

/// The command line of a task or of `methods` where one does the same; else that of this program without a page, on the
/// run as the page saves it.
///
/// - `prior`: as it was named when the program started
pub(crate) fn of(wish: &Wish, work: &Work, prior: &str, stepping: Stepping, seed: u64) -> String {
    let samples = wish.samples.trim();
    let known = match work {
        Work::Generate(_) => generate(wish, samples),
        Work::Edit(edit) => Some(self::edit(wish, edit, samples)),
        Work::Reconstruct(_) => reconstruct(wish, samples),
    };
    let prior = if prior == USUAL_PRIOR {
        String::new()
    } else {
        format!(" --prior {}", quoted(prior))
    };
    let Some(command) = known else {
        return format!("cargo run -p playground -- --again {SAVED_RUN}{prior}");
    };
    let variance = match stepping.variance {
        None => "",
        Some(StepVariance::Beta) => " --variance beta",
        Some(StepVariance::Posterior) => " --variance posterior",
    };
    format!(
        "{command} --steps {}{variance} --seed {seed}{prior}",
        stepping.num_steps
    )
}

fn generate(wish: &Wish, samples: &str) -> Option<String> {
    let is_task_3 = wish.method == "ancestral";
    is_task_3.then(|| format!("cargo run -p task3_generate -- --count {samples} --batch {samples} --save-each"))
}

fn edit(wish: &Wish, edit: &Edit, samples: &str) -> String {
    let mask = edit
        .mask
        .as_ref()
        .map_or_else(String::new, |_| format!(" --mask {MASK}"));
    let Edit { t0, repeats, .. } = edit;
    let guide = image(wish);
    format!("cargo run -p task4_sdedit -- --guide {guide}{mask} --t0 {t0} --repeats {repeats} --samples {samples}")
}

fn reconstruct(wish: &Wish, samples: &str) -> Option<String> {
    let is_set = wish.settings.values().any(|text| !text.trim().is_empty());
    let (package, flags) = match wish.method.as_str() {
        "dps" => ("task6_dps", flags(wish)),
        "score-ald" => ("task5_score_ald", flags(wish)),
        "sdedit" => ("task4_sdedit", flags(wish)),
        _ if is_set => return None,
        method => ("methods", format!(" --method {method}")),
    };
    let operator = if wish.operator == DRAWN_HOLE {
        format!("mask:{MASK}")
    } else {
        // With its defaults, as reports have it; it was read before.
        let spec = wish.operator.parse::<OperatorSpec>();
        quoted(&spec.map_or_else(|_| wish.operator.clone(), |spec| spec.to_string()))
    };
    let noise = match wish.noise.trim().parse::<f64>() {
        Ok(sigma) if sigma > 0.0 => format!("--sigma {sigma}"),
        _ => "--noise none".to_owned(),
    };
    let image = image(wish);
    Some(format!(
        "cargo run -p {package} --{flags} --images {image} --count 1 --operator {operator} {noise} --samples {samples}"
    ))
}

/// The settings that were typed, as flags.
fn flags(wish: &Wish) -> String {
    let flag = |(name, text): (&String, &String)| match text.trim() {
        "" => String::new(),
        value => format!(" --{name} {value}"),
    };
    wish.settings.iter().map(flag).collect()
}

fn image(wish: &Wish) -> String {
    wish.image
        .as_ref()
        .map_or_else(String::new, |image| quoted(&image.name))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
