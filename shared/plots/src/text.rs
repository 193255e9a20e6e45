//! Texts as figures can show them.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef};
use deunicode::deunicode_char;

/// A longer text is cut.
const MAX_TEXT: usize = 60;

static GLYPHS: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).ok());

/// The text in letters that the font has, cut in its middle where it is too long: the end of a path is the file's name.
pub(crate) fn shown(text: &str) -> String {
    let letters: Vec<char> = text
        .chars()
        .flat_map(|c| readable(c).chars().collect::<Vec<_>>())
        .collect();
    if letters.len() <= MAX_TEXT {
        return letters.into_iter().collect();
    }
    let (start, end) = (MAX_TEXT / 2 - 1, letters.len() - MAX_TEXT / 2);
    letters[..start].iter().chain(&['…']).chain(&letters[end..]).collect()
}

/// A letter that the font lacks in Latin ones: `Ж` as `Zh`, `山` as `Shan`.
fn readable(c: char) -> String {
    let has = |c: char| GLYPHS.as_ref().is_none_or(|font| font.glyph_id(c).0 != 0);
    match c {
        c if c.is_whitespace() => " ".into(),
        c if c.is_control() => "?".into(),
        c if has(c) => c.into(),
        c => deunicode_char(c).unwrap_or("?").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_keeps_its_files_name() {
        let path = format!("mask:/home/{}/holiday.png", "folder/".repeat(20));
        let text = shown(&path);
        assert_eq!(text.chars().count(), MAX_TEXT);
        assert!(
            text.starts_with("mask:/home/") && text.ends_with("/holiday.png"),
            "{text}"
        );
        assert_eq!(shown("t = 30"), "t = 30");
        assert_eq!(shown(&"x".repeat(MAX_TEXT)), "x".repeat(MAX_TEXT));
    }

    #[test]
    fn what_the_font_lacks_is_written_in_letters_that_it_has() {
        assert_eq!(shown("Ärger, ½, σ, Ж"), "Ärger, ½, σ, Ж");
        assert_eq!(shown("山.png"), "Shan .png");
        assert_eq!(shown("a\tb\u{7}c\u{e000}"), "a b?c?");
        // A letter and an accent of its own, as file names of macOS have them.
        assert!(shown("e\u{301}te.png").starts_with('e'));
        let has = |c| GLYPHS.as_ref().is_some_and(|font| font.glyph_id(c).0 != 0);
        assert!(shown("写真 фото صورة 📷.png").chars().all(has));
    }
}
