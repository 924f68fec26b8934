//! Shortens text that others wrote, and replaces characters that cannot be shown.

use super::names::is_unseen;

/// Stands for a character that shows nothing, or does something to whoever shows it.
const UNSHOWN: char = '\u{fffd}';
/// Stands at the end of what goes on.
const CUT: char = '…';

/// The text in at most `most` characters, none of which a terminal or a log line would obey.
pub fn excerpt(text: &str, most: usize) -> String {
    let shown = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() || is_unseen(c) => UNSHOWN,
        c => c,
    };
    match text.char_indices().nth(most) {
        None => text.chars().map(shown).collect(),
        Some(_) => text.chars().take(most.saturating_sub(1)).map(shown).chain([CUT]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_harmless() {
        assert_eq!(excerpt("already register", 16), "already register");
        assert_eq!(excerpt("already register", 15), "already regist…");
        assert_eq!(
            excerpt("张三\r\n\u{1b}[2J\0\u{85}\u{202e}x", 20),
            "张三  \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}x"
        );
        assert_eq!(excerpt(&"👑".repeat(10_000), 200).chars().count(), 200);
        assert_eq!(excerpt("", 0), "");
    }
}
