//! What may change when a training goes on.

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::{Map, Value};

/// The fields in which two structs of one type differ, in words: `batch 32 before, 16 now`.
#[must_use]
pub fn differences<T: Serialize>(before: &T, now: &T) -> Vec<String> {
    let (before, now) = (fields(before), fields(now));
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".into(), Value::to_string);
    let differ = before.iter().filter(|(name, value)| now.get(*name) != Some(*value));
    differ
        .map(|(name, value)| format!("{name} {} before, {} now", text(Some(value)), text(now.get(name))))
        .map(|line| line.trim_start().to_owned())
        .collect()
}

/// What a flag names is compared with what a training began with.
///
/// # Errors
///
/// If they differ; the message names `what` and the fields.
pub fn require_same<T: Serialize>(what: &str, before: &T, now: &T) -> Result<()> {
    let differences = differences(before, now);
    ensure!(
        differences.is_empty(),
        "{what} cannot be another than that of the training that is gone on with: {}; leave the flag out, or train \
         from the beginning in another --out",
        differences.join("; ")
    );
    Ok(())
}

/// A single value counts as a struct of one field without a name.
fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        Ok(value) => Map::from_iter([(String::new(), value)]),
        Err(_) => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Sizes {
        width: usize,
        levels: Vec<usize>,
    }

    #[test]
    fn what_differs_is_named() {
        let sizes = |width| Sizes {
            width,
            levels: vec![1, 2],
        };
        assert!(require_same("--config", &sizes(48), &sizes(48)).is_ok());
        assert_eq!(differences(&sizes(48), &sizes(32)), ["width 48 before, 32 now"]);
        let refused = require_same("--seed", &1, &2).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(
            refused.starts_with("--seed cannot be another") && refused.contains("1 before, 2 now"),
            "{refused}"
        );
    }
}
