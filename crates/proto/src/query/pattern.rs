//! Wildcards, PS3.4 C.2.2.2.4: `*` stands for any characters or none, `?` for one; nothing else is special.

/// A text with wildcards, or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// `*`; never two in a row.
    Any,
    /// `?`.
    One,
    /// These characters; never empty, never two in a row.
    Literal(String),
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Pattern {
        let mut pattern = Pattern { pieces: Vec::new() };
        for character in text.chars() {
            pattern.push(character);
        }
        pattern
    }

    /// A pattern that is only the text, whatever characters it has.
    pub fn of_literal(text: &str) -> Pattern {
        let pieces = if text.is_empty() { Vec::new() } else { vec![Piece::Literal(text.to_owned())] };
        Pattern { pieces }
    }

    /// A pattern of pieces that keep the promises of [`Piece`].
    pub(super) fn of_pieces(pieces: Vec<Piece>) -> Pattern {
        Pattern { pieces }
    }

    /// Whether a text has wildcards in it.
    pub fn has_wildcard(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The text, if there is no wildcard in it.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether every text matches.
    pub fn is_any(&self) -> bool {
        self.pieces == [Piece::Any]
    }

    /// The literal characters that every match begins with; an index can use them.
    pub fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The same pattern with its literal characters changed, as for a comparison without case.
    pub fn map_literals(&self, change: impl Fn(&str) -> String) -> Pattern {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => {
                    let text = change(text);
                    if !text.is_empty() {
                        pieces.push(Piece::Literal(text));
                    }
                }
                other => pieces.push(other.clone()),
            }
        }
        pieces.dedup_by(|next, piece| *next == Piece::Any && *piece == Piece::Any);
        Pattern { pieces }
    }

    /// Whether a text matches, character by character.
    ///
    /// After a `*` only that one is gone back to, never an earlier one: the steps are bounded by the product of
    /// the two lengths, however many wildcards there are.
    pub fn matches(&self, text: &str) -> bool {
        let pattern: Vec<Symbol> = self.symbols().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut in_pattern) = (0, 0);
        let mut last_any: Option<(usize, usize)> = None;
        while at < text.len() {
            match pattern.get(in_pattern) {
                Some(Symbol::Any) => {
                    last_any = Some((in_pattern, at));
                    in_pattern += 1;
                }
                Some(Symbol::One) => (at, in_pattern) = (at + 1, in_pattern + 1),
                Some(Symbol::Is(character)) if *character == text[at] => {
                    (at, in_pattern) = (at + 1, in_pattern + 1);
                }
                _ => match last_any.as_mut() {
                    Some((any, from)) => {
                        *from += 1;
                        (at, in_pattern) = (*from, *any + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[in_pattern..].iter().all(|symbol| *symbol == Symbol::Any)
    }

    fn push(&mut self, character: char) {
        match (character, self.pieces.last_mut()) {
            ('*', Some(Piece::Any)) => {}
            ('*', _) => self.pieces.push(Piece::Any),
            ('?', _) => self.pieces.push(Piece::One),
            (_, Some(Piece::Literal(text))) => text.push(character),
            _ => self.pieces.push(Piece::Literal(character.to_string())),
        }
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.pieces.iter().flat_map(|piece| {
            let (symbol, text) = match piece {
                Piece::Any => (Some(Symbol::Any), ""),
                Piece::One => (Some(Symbol::One), ""),
                Piece::Literal(text) => (None, text.as_str()),
            };
            symbol.into_iter().chain(text.chars().map(Symbol::Is))
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Any,
    One,
    Is(char),
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_asterisk_and_question_mark_are_special() {
        for (pattern, text, expected) in [
            ("Bowen*", "Bowen^William^^Dr", true),
            ("Bowen*", "Bowen", true),
            ("Bowen*", "Bower^Anna", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "山", true),
            ("B?we*n", "Bowen", true),
            ("*ll*a*", "William", true),
            ("*iam", "William", true),
            ("*iam", "Williams", false),
            ("%", "a", false),
            ("_", "a", false),
            ("[0-9]+", "1", false),
            ("[0-9]+", "[0-9]+", true),
            ("a\\", "a\\", true),
            ("case", "Case", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_wildcards_take_bounded_time() {
        let begin = Instant::now();
        assert!(!Pattern::new(&"*?".repeat(5_000)).matches(&"a".repeat(4_000)));
        assert!(!Pattern::new(&format!("{}b", "*a".repeat(100))).matches(&"a".repeat(10_000)));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn pieces_say_what_an_index_can_use() {
        let pattern = Pattern::new("Bow**?n*");
        assert_eq!(pattern.prefix(), "Bow");
        let literal = |text: &str| Piece::Literal(text.to_owned());
        assert_eq!(pattern.pieces(), [literal("Bow"), Piece::Any, Piece::One, literal("n"), Piece::Any]);
        assert!(Pattern::new("***").is_any());
        assert_eq!(Pattern::new("CT").literal(), Some("CT"));
        assert_eq!(Pattern::new("C?").literal(), None);
    }

    /// The definition itself, exponential.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                by_definition(rest, text) || (!text.is_empty() && by_definition(pattern, &text[1..]))
            }
            (Some(('?', rest)), Some((_, others))) => by_definition(rest, others),
            (Some((is, rest)), Some((character, others))) => is == character && by_definition(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let definition = by_definition(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), definition);
        }
    }
}
