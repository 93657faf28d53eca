//! Fuzzy semantic matching of person names, PS3.4 C.2.2.2.1 and C.5.1.1: which names are alike is for us to say, and
//! the conformance statement tells it.
//!
//! Every word of the key has to be found in one component group of the name, in whatever component and order. Words
//! are alike when they are equal without case and accents, when a word with wildcards fits, or when the two sound
//! alike: `Meyer^Hans` finds `Hans Maier`. What matches without fuzziness matches with it.

use super::pattern::Pattern;
use super::person_name::{NameKey, NormalisedName, fold};

/// What a key of VR PN asks when fuzzy matching was negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuzzyName {
    text: String,
    exact: NameKey,
    words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Pattern(Pattern),
    /// The word, and its sound where it is of Latin letters.
    Sound(String, Option<String>),
}

impl FuzzyName {
    /// Reads a key value. One of several component groups is held against each group as it is.
    pub fn new(text: &str) -> FuzzyName {
        let exact = NameKey::new(text);
        let words = match &exact {
            NameKey::AnyGroup(_) => words_of(text.trim_end_matches('=')).map(Word::new).collect(),
            NameKey::Groups(_) => Vec::new(),
        };
        FuzzyName { text: text.to_owned(), exact, words }
    }

    /// The key as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it asks without fuzziness.
    pub fn exact(&self) -> &NameKey {
        &self.exact
    }

    /// Whether a name, normalised, is like the key.
    pub fn matches(&self, name: &NormalisedName) -> bool {
        self.exact.matches(name) || name.groups().iter().any(|group| self.matches_group(group))
    }

    /// Whether the words of the key are in a component group, normalised.
    pub fn matches_group(&self, group: &str) -> bool {
        !self.words.is_empty()
            && self.words.iter().all(|word| words_of(group).any(|candidate| word.matches(candidate)))
    }
}

impl Word {
    fn new(word: &str) -> Word {
        if Pattern::has_wildcard(word) {
            return Word::Pattern(Pattern::new(word).map_literals(fold));
        }
        let word = fold(word);
        let sound = sound(&word);
        Word::Sound(word, sound)
    }

    fn matches(&self, candidate: &str) -> bool {
        match self {
            Word::Pattern(pattern) => pattern.matches(candidate),
            Word::Sound(word, own) => {
                word == candidate || own.as_ref().is_some_and(|own| sound(candidate).as_ref() == Some(own))
            }
        }
    }
}

/// The words of a name, whatever stands between them.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '^' | '=' | '-' | ',' | '.' | '\'');
    text.split(is_between).filter(|word| !word.is_empty() && word.chars().any(|c| c != '*'))
}

/// How a word of Latin letters, folded, sounds: its first sound, then the classes of its consonants, after the idea of
/// Soundex but of the whole word. None for a word of one letter, which is an initial, and for other scripts.
fn sound(word: &str) -> Option<String> {
    if word.len() < 2 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let word = word.replace("ph", "f").replace("th", "t").replace("sch", "s").replace("ck", "k");
    let mut sound = String::new();
    let mut last = ' ';
    for (index, letter) in word.chars().enumerate() {
        let class = class_of(letter);
        match (index, class) {
            // A vowel or h keeps two consonants of one class apart.
            (0, '-') => sound.push('a'),
            (_, '-') => {}
            (_, class) if class != last => sound.push(class),
            _ => {}
        }
        last = class;
    }
    Some(sound)
}

/// Consonants that are taken for one another; `-` for what is not heard as one.
fn class_of(letter: char) -> char {
    match letter {
        'b' | 'p' => 'b',
        'f' | 'v' | 'w' => 'f',
        'c' | 'g' | 'k' | 'q' | 'x' => 'k',
        's' | 'z' | 'j' => 's',
        'd' | 't' => 't',
        'm' | 'n' => 'n',
        'l' | 'r' => letter,
        _ => '-',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::normalise_person_name;

    fn is_like(key: &str, name: &str) -> bool {
        FuzzyName::new(key).matches(&normalise_person_name(name))
    }

    #[test]
    fn words_that_sound_alike_match_in_any_order() {
        for (key, name) in [
            ("Meyer^Hans", "Maier^Hans"),
            ("Meyer", "Mayr^Anna"),
            ("hans meier", "Meyer^Hans^^Dr"),
            ("Mueller", "Müller^Jörg"),
            ("Schmidt", "Schmitt^Ann"),
            ("Philip", "Bowen^Filip"),
            ("Bowen^Will*", "Bowen^Dr^William"),
            ("Smith-Jones", "Jones^Smith"),
            ("山田", "Yamada^Tarou=山田^太郎"),
            ("Vivaldi^A", "Vivaldi^A"),
        ] {
            assert!(is_like(key, name), "{key} {name}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for (key, name) in [
            ("Bowen", "Müller^Jörg"),
            ("Meyer^Hans", "Meyer^Anna"),
            ("A", "Ann"),
            ("山", "山田"),
            ("Bowen=山田", "Bowen"),
            ("Bowen", ""),
        ] {
            assert!(!is_like(key, name), "{key} {name}");
        }
    }

    #[test]
    fn what_matches_exactly_matches_fuzzily() {
        for (key, name) in
            [("Bo*liam", "Bowen^William"), ("*^?illiam", "Bowen^William"), ("=山*", "Yamada=山田")]
        {
            assert!(NameKey::new(key).matches(&normalise_person_name(name)));
            assert!(is_like(key, name), "{key} {name}");
        }
    }
}
