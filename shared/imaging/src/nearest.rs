//! Which name was meant.

/// The name that `word` is nearest to: the same but for capitals and hyphens, one that it begins, or one that differs
/// in a quarter of its letters at most. None where nothing is near, or two names equally so.
pub(crate) fn nearest(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = letters(word);
    let distance = |name: &str| {
        let name = letters(name);
        let begun = word.len() >= 3 && name.starts_with(&word);
        let apart = if begun { 0 } else { strsim::osa_distance(&word, &name) };
        (apart <= (name.chars().count() / 4).max(1)).then_some(apart)
    };
    let mut near: Vec<(usize, &str)> = names.filter_map(|name| Some((distance(name)?, name))).collect();
    near.sort_unstable();
    match near[..] {
        [(_, one)] => Some(one),
        [(first, one), (second, _), ..] if first < second => Some(one),
        _ => None,
    }
}

fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognised_and_nothing_else() {
        let names = || {
            [
                "inpainting",
                "box-inpainting",
                "super-resolution",
                "colourisation",
                "hdr",
            ]
            .into_iter()
        };
        for (word, meant) in [
            ("colorization", Some("colourisation")),
            ("HDR", Some("hdr")),
            ("inpaint", Some("inpainting")),
            ("inpaintng", Some("inpainting")),
            ("SuperResolution", Some("super-resolution")),
            ("super_res", Some("super-resolution")),
            ("photo.png", None),
            ("blur", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names()), meant, "{word}");
        }
        assert_eq!(nearest("abx", ["aba", "abc"].into_iter()), None, "either may be meant");
    }
}
