//! An error in words.

/// The error and its causes, outermost first, but no cause that the message before it already quotes.
#[must_use]
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(&format!(": {cause}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use anyhow::Context;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let told = |error: Result<(), anyhow::Error>| error.map_or_else(|error| explain(&error), |()| String::new());
        let quoted = Err(Error::other("disk full")).context("cannot write a.png: disk full");
        assert_eq!(told(quoted), "cannot write a.png: disk full");
        let apart = Err(Error::other("disk full")).context("cannot write the report");
        assert_eq!(told(apart), "cannot write the report: disk full");
    }
}
