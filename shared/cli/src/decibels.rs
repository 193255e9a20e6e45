//! A PSNR in JSON, which has no infinity: a number, or the word `inf` (as Python's `float` reads it).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const INFINITE: &str = "inf";

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Word(String),
}

pub(crate) fn serialize<S: Serializer>(psnr: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    let written = psnr.map(|psnr| match psnr {
        f64::INFINITY => Written::Word(INFINITE.to_owned()),
        number => Written::Number(number),
    });
    written.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Number(number)) => Ok(Some(number)),
        Some(Written::Word(word)) if word == INFINITE => Ok(Some(f64::INFINITY)),
        Some(Written::Word(word)) => Err(serde::de::Error::custom(format!(
            "expected a number or `{INFINITE}`, got `{word}`"
        ))),
    }
}
