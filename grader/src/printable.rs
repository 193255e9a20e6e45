//! Texts from submissions as they may be shown: on a terminal, in a table, in a page.

/// The text without what could do something where it is printed: control characters but the ends of lines and tabs, and
/// the marks that turn the direction of writing, become `?`.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect()
}

/// The same in one line, of at most `most` characters.
#[must_use]
pub fn line(text: &str, most: usize) -> String {
    let of_line = |c: char| if c == '\n' || c == '\t' { ' ' } else { c };
    printable(text).chars().map(of_line).take(most).collect()
}

fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_no_character = matches!(c, '\u{fffe}' | '\u{ffff}');
    matches!(c, '\n' | '\t') || !(c.is_control() || turns || is_no_character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        let hostile = "a\u{1b}[2J\u{1b}]52;c;eA==\u{7}b\r\u{202e}c\0\u{9b}1m\td\n";
        assert_eq!(printable(hostile), "a?[2J?]52;c;eA==?b??c??1m\td\n");
        assert_eq!(line("é\n=1+1\tx", 6), "é =1+1");
    }
}
