//! What a name may hold that other people are shown.

/// A name has at most this many characters (NIM server API, user/create).
pub const MAX_NAME_CHARS: usize = 64;

/// Characters that show nothing, or turn around what stands beside them: with one of them a name can look like another.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),       // soft hyphen
    ('\u{34f}', '\u{34f}'),     // combining grapheme joiner
    ('\u{61c}', '\u{61c}'),     // Arabic letter mark
    ('\u{115f}', '\u{1160}'),   // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),   // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'),   // Mongolian selectors
    ('\u{200b}', '\u{200b}'),   // zero-width space
    ('\u{200e}', '\u{200f}'),   // direction marks
    ('\u{2028}', '\u{202e}'),   // line separators, embeddings and overrides of direction
    ('\u{2060}', '\u{206f}'),   // word joiner, isolates of direction, deprecated controls
    ('\u{2800}', '\u{2800}'),   // blank Braille pattern
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{feff}', '\u{feff}'),   // byte order mark
    ('\u{ffa0}', '\u{ffa0}'),   // half-width Hangul filler
    ('\u{fff9}', '\u{fffb}'),   // interlinear annotations
    ('\u{1d173}', '\u{1d17a}'), // musical controls
];
/// The zero-width non-joiner and joiner, which some scripts and many emoji need.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// Arabic to Myanmar: scripts whose words need joiners.
const JOINING: std::ops::RangeInclusive<char> = '\u{600}'..='\u{109f}';

/// Why a text is no name. The text is a sentence's predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than [`MAX_NAME_CHARS`].
    #[error("must have 1 to {MAX_NAME_CHARS} characters")]
    Length,
    /// White space alone.
    #[error("must not be blank")]
    Blank,
    /// Control characters, zero-width ones, marks that change the direction of writing.
    #[error(
        "must not contain control characters, invisible ones, or such as change the direction of writing"
    )]
    Unseen,
}

/// Whether `name` is one that others can be shown: 1 to [`MAX_NAME_CHARS`] characters, not all of them blank, none of them
/// invisible but a joiner where it joins.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) {
        return Err(NameError::Length);
    }
    let mut before = ' ';
    for character in name.chars() {
        let joiner = JOINERS.contains(&character);
        let unseen = if joiner { !joins(before) } else { is_unseen(character) };
        if unseen || character.is_control() {
            return Err(NameError::Unseen);
        }
        before = character;
    }
    if name.chars().all(char::is_whitespace) { Err(NameError::Blank) } else { Ok(()) }
}

/// Whether it shows nothing, or turns around what stands beside it. Joiners are no such characters where they join.
pub(super) fn is_unseen(character: char) -> bool {
    UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// Whether a joiner behind `before` can change what is seen: behind an emoji, and in scripts that have joiners.
fn joins(before: char) -> bool {
    let symbol = !before.is_ascii() && !before.is_alphanumeric() && !before.is_whitespace();
    (symbol && !JOINERS.contains(&before)) || JOINING.contains(&before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_taken_in_every_script() {
        let names = [
            "Alice",
            "张 三",
            "O’Brien",
            "Jose\u{301}",
            "🦀",
            "👩\u{200d}👩\u{200d}👧\u{200d}👦",
            "🏳\u{fe0f}\u{200d}🌈",
            "👩🏽\u{200d}💻",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ไทย",
            "עברית",
            "❤\u{fe0f}",
            &"👑".repeat(MAX_NAME_CHARS),
        ];
        for name in names {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_seen_or_looks_like_another_is_refused() {
        assert_eq!(check_name(""), Err(NameError::Length));
        assert_eq!(check_name(&"x".repeat(MAX_NAME_CHARS + 1)), Err(NameError::Length));
        for blank in [" ", "\u{3000}\u{a0}", "\u{2003}"] {
            assert_eq!(check_name(blank), Err(NameError::Blank), "{blank:?}");
        }
        let unseen = [
            "two\nlines",
            "nul\0",
            "\u{7f}",
            "a\u{85}b",
            "Al\u{200b}ice",
            "Ali\u{200d}ce",
            "张\u{200d}三",
            "\u{200d}a",
            "Alice\u{feff}",
            "\u{202e}ecilA",
            "\u{2066}Alice",
            "Alice\u{200f}",
            "a\u{ad}b",
            "\u{3164}",
            "\u{2800}",
            "👩\u{200d}\u{200d}👩",
            "a\u{2028}b",
        ];
        for name in unseen {
            assert_eq!(check_name(name), Err(NameError::Unseen), "{name:?}");
        }
    }
}
