//! Specific Character Set (0008,0005): PS3.3 C.12.1.1.2, PS3.5 6.1 and Annexes H, I, J, K.

/// The character sets of a data set: the values of (0008,0005), ISO 2022 code extensions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterSets {
    defined_terms: Vec<String>,
}

/// What splits a value into pieces at which code extensions fall back to the first character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// SH, LO, UC: several values, split at a backslash.
    Values,
    /// PN: several values, and within one the delimiters `^` and `=`.
    PersonName,
    /// ST, LT, UT: one value, a backslash is a character, line ends reset.
    Text,
}

impl CharacterSets {
    /// The default repertoire, ISO_IR 6: what holds when (0008,0005) is absent.
    pub fn default_repertoire() -> CharacterSets {
        CharacterSets { defined_terms: Vec::new() }
    }

    /// ISO_IR 192, UTF-8.
    pub fn utf8() -> CharacterSets {
        CharacterSets { defined_terms: vec!["ISO_IR 192".to_owned()] }
    }

    /// From the values of (0008,0005). An unknown term is kept and decoded as the default repertoire would be.
    pub fn from_defined_terms<'a>(terms: impl IntoIterator<Item = &'a str>) -> CharacterSets {
        CharacterSets { defined_terms: terms.into_iter().map(str::to_owned).collect() }
    }

    /// The values of (0008,0005); empty for the default repertoire.
    pub fn defined_terms(&self) -> &[String] {
        &self.defined_terms
    }

    /// Decodes a text value. Never fails: what the character set does not have becomes U+FFFD.
    pub fn decode(&self, bytes: &[u8], kind: TextKind) -> String {
        let _ = (bytes, kind);
        todo!()
    }

    /// Encodes a text value.
    ///
    /// # Errors
    /// [`NotEncodable`] when a character is in none of the character sets.
    pub fn encode(&self, text: &str, kind: TextKind) -> Result<Vec<u8>, NotEncodable> {
        let _ = (text, kind);
        todo!()
    }
}

/// A text has a character that the character sets do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a character cannot be written in {character_sets}")]
pub struct NotEncodable {
    /// The defined terms, joined by a backslash.
    pub character_sets: String,
}
