//! Specific Character Set (0008,0005): PS3.3 C.12.1.1.2, PS3.5 6.1 and Annexes H, I, J, K.
//!
//! One value of (0008,0005) names a character set, several name code extensions by ISO 2022: the first stands
//! at the beginning of every value, an escape sequence switches to another, and at a delimiter or a control
//! character the first one stands again. `defined_term` has the terms, `graphic` the sets of characters
//! behind them, `escape` the sequences between them, `decode` and `encode` the two walks.
//!
//! Decoding never fails and loses no text: what a peer got wrong is read as well as it can be. Encoding is
//! strict: it writes what decoding gives back, or says that it cannot.

mod decode;
mod defined_term;
mod encode;
mod escape;
mod graphic;

use defined_term::Repertoire;

/// The character sets of a data set: the values of (0008,0005), ISO 2022 code extensions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterSets {
    defined_terms: Vec<String>,
    repertoire: Repertoire,
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

impl TextKind {
    /// Whether a byte of the code table's lower half is a delimiter.
    fn is_delimiter(self, byte: u8) -> bool {
        match self {
            TextKind::Values => byte == b'\\',
            TextKind::PersonName => matches!(byte, b'\\' | b'^' | b'='),
            TextKind::Text => false,
        }
    }
}

impl CharacterSets {
    /// The default repertoire, ISO_IR 6: what holds when (0008,0005) is absent.
    pub fn default_repertoire() -> CharacterSets {
        CharacterSets::from_defined_terms([])
    }

    /// ISO_IR 192, UTF-8.
    pub fn utf8() -> CharacterSets {
        CharacterSets::from_defined_terms(["ISO_IR 192"])
    }

    /// From the values of (0008,0005). An unknown term is kept and decoded as the default repertoire would be.
    ///
    /// Spellings seen in the field (`ISO-IR 100`, `iso_ir_100`, `ISO 2022 GBK`, `UTF8`) are understood; the terms
    /// are kept as they came, without padding.
    pub fn from_defined_terms<'a>(terms: impl IntoIterator<Item = &'a str>) -> CharacterSets {
        let mut defined_terms: Vec<String> =
            terms.into_iter().map(|term| term.trim_matches([' ', '\0']).to_owned()).collect();
        if defined_terms.iter().all(String::is_empty) {
            defined_terms.clear();
        }
        let repertoire = Repertoire::new(&defined_terms);
        CharacterSets { defined_terms, repertoire }
    }

    /// The values of (0008,0005); empty for the default repertoire.
    pub fn defined_terms(&self) -> &[String] {
        &self.defined_terms
    }

    /// Whether every term is one of PS3.3 C.12.1.1.2, in whatever spelling.
    pub fn is_known(&self) -> bool {
        self.defined_terms.iter().all(|term| defined_term::parse(term).is_some())
    }

    /// The same sets, in the standard's spelling and in a combination that it allows (PS3.3 C.12.1.1.2): a set that
    /// prohibits code extensions stands alone, a multi-byte one is never the first. Unknown terms stay as they came.
    pub fn normalised(&self) -> CharacterSets {
        let terms = || self.defined_terms.iter().map(|term| (term.as_str(), defined_term::parse(term)));
        let known = || terms().filter_map(|(_, known)| known);
        if let Some(alone) = known().find(|known| known.stands_alone()) {
            return CharacterSets::from_defined_terms([alone.standard_spelling(false)]);
        }
        let first = terms().next();
        let of_first = first.and_then(|(_, known)| known).filter(|known| known.is_multi_byte()).map(|_| "");
        let rest = terms().skip(1).filter(|(term, _)| !term.is_empty());
        let legal: Vec<_> =
            of_first.map(|empty| (empty, None)).into_iter().chain(first).chain(rest).collect();
        let extended = legal.len() > 1;
        CharacterSets::from_defined_terms(legal.into_iter().map(|(term, known)| match known {
            Some(known) if !term.is_empty() => known.standard_spelling(extended),
            _ => term,
        }))
    }

    /// Decodes a text value. Never fails: what the character set does not have becomes U+FFFD.
    ///
    /// Bytes of 80H and above in the default repertoire, which the standard leaves undefined, are read in the
    /// one other set that is declared, else as UTF-8 if they are that, else as ISO 8859-1.
    pub fn decode(&self, bytes: &[u8], kind: TextKind) -> String {
        decode::decode(&self.repertoire, bytes, kind)
    }

    /// Decodes the values of an element, split at the backslashes that are delimiters and not half of a
    /// character; none for an empty element, one for [`TextKind::Text`].
    pub fn decode_values(&self, bytes: &[u8], kind: TextKind) -> Vec<String> {
        if bytes.is_empty() {
            return Vec::new();
        }
        let text = self.decode(bytes, kind);
        match kind {
            TextKind::Text => vec![text],
            // No character of any set decodes to a backslash unless its byte is the delimiter.
            TextKind::Values | TextKind::PersonName => text.split('\\').map(str::to_owned).collect(),
        }
    }

    /// Encodes a text value: each character in the first set that has it, with escape sequences where code
    /// extensions are declared. ESC, which no text may hold, is left out.
    ///
    /// # Errors
    /// [`NotEncodable`] when a character is in none of the character sets.
    pub fn encode(&self, text: &str, kind: TextKind) -> Result<Vec<u8>, NotEncodable> {
        encode::encode(&self.repertoire, text, kind)
            .ok_or_else(|| NotEncodable { character_sets: self.defined_terms.join("\\") })
    }

    /// Whether every one of the texts can be encoded.
    pub fn can_encode<'a>(&self, texts: impl IntoIterator<Item = (&'a str, TextKind)>) -> bool {
        texts.into_iter().all(|(text, kind)| encode::encode(&self.repertoire, text, kind).is_some())
    }

    /// The smallest character sets for some texts: the default repertoire if they are ASCII, these sets if they are known
    /// and can hold them, else ISO_IR 192, which holds everything.
    pub fn fitting<'a>(&self, texts: impl IntoIterator<Item = (&'a str, TextKind)>) -> CharacterSets {
        let texts: Vec<_> = texts.into_iter().collect();
        let normalised = self.normalised();
        if texts.iter().all(|(text, _)| text.is_ascii()) {
            CharacterSets::default_repertoire()
        } else if self.is_known() && normalised.can_encode(texts) {
            normalised
        } else {
            CharacterSets::utf8()
        }
    }
}

impl Default for CharacterSets {
    fn default() -> CharacterSets {
        CharacterSets::default_repertoire()
    }
}

/// A text has a character that the character sets do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a character cannot be written in '{character_sets}'")]
pub struct NotEncodable {
    /// The defined terms, joined by a backslash.
    pub character_sets: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
