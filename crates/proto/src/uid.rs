//! Unique identifiers, PS3.5 section 9 and Annex B (grammar in PS3.5 9.1).
//!
//! A [`Uid`] is checked once, when it is made; after that nobody checks again. Its characters are digits and
//! dots, so it can never name a path outside its folder, break out of SQL, or move a terminal's cursor.

use std::borrow::Cow;
use std::fmt;

/// The longest UID that PS3.5 9.1 allows, in characters.
pub const MAX_LENGTH: usize = 64;

/// A unique identifier: 1 to 64 characters, components of digits joined by dots.
///
/// A component with leading zeros breaks PS3.5 9.1 but occurs in the field; it is kept as it came, so that two
/// different UIDs never become one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Cow<'static, str>);

impl Uid {
    /// Makes a UID of a constant of the standard.
    ///
    /// The text is not checked; it is for literals that a person has read.
    pub const fn from_static(text: &'static str) -> Uid {
        Uid(Cow::Borrowed(text))
    }

    /// Checks a text and makes it a UID.
    ///
    /// # Errors
    /// [`InvalidUid`] says which rule of PS3.5 9.1 the text breaks; it does not quote the text.
    pub fn new(text: impl Into<String>) -> Result<Uid, InvalidUid> {
        let text = text.into();
        check(text.as_bytes())?;
        Ok(Uid(Cow::Owned(text)))
    }

    /// Reads a UID from a value field: one trailing NUL is padding (PS3.5 9.1), trailing spaces are tolerated.
    ///
    /// # Errors
    /// As [`Uid::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Uid, InvalidUid> {
        let text = trim_padding(bytes);
        check(text)?;
        let text = std::str::from_utf8(text).map_err(|_| InvalidUid::Character)?;
        Ok(Uid(Cow::Owned(text.to_owned())))
    }

    /// The UID as text, without padding.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

impl AsRef<str> for Uid {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Uid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Uid, InvalidUid> {
        Uid::new(text)
    }
}

/// The rule of PS3.5 9.1 that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUid {
    /// There is nothing in it.
    #[error("the UID is empty")]
    Empty,
    /// It has more than 64 characters.
    #[error("the UID is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// It has a character other than a digit or a dot.
    #[error("the UID has a character other than 0-9 and '.'")]
    Character,
    /// It begins or ends with a dot, or two dots follow one another.
    #[error("the UID has an empty component")]
    EmptyComponent,
}

fn trim_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0 && byte != b' ').map_or(0, |last| last + 1);
    &bytes[..end]
}

fn check(text: &[u8]) -> Result<(), InvalidUid> {
    if text.is_empty() {
        return Err(InvalidUid::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(InvalidUid::TooLong);
    }
    if !text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return Err(InvalidUid::Character);
    }
    if text.split(|&byte| byte == b'.').any(<[u8]>::is_empty) {
        return Err(InvalidUid::EmptyComponent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_grammar_allows_and_keeps_leading_zeros() {
        for text in ["1", "1.2.840.10008.1.1", "1.02.3", &"1".repeat(64)] {
            assert_eq!(Uid::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn padding_is_no_part_of_the_uid() {
        assert_eq!(Uid::from_bytes(b"1.2.3\0").unwrap().as_str(), "1.2.3");
        assert_eq!(Uid::from_bytes(b"1.2.3 ").unwrap().as_str(), "1.2.3");
    }

    #[test]
    fn refuses_hostile_text_by_the_rule_it_breaks() {
        let cases: [(&[u8], InvalidUid); 10] = [
            (b"", InvalidUid::Empty),
            (b"\0", InvalidUid::Empty),
            (&[b'1'; 65], InvalidUid::TooLong),
            (b"../../etc/passwd", InvalidUid::Character),
            (b"C:\\", InvalidUid::Character),
            (b"1.2\x003", InvalidUid::Character),
            (b"1..2", InvalidUid::EmptyComponent),
            (b"..", InvalidUid::EmptyComponent),
            (b".1", InvalidUid::EmptyComponent),
            (b"1.2\xff", InvalidUid::Character),
        ];
        for (bytes, rule) in cases {
            assert_eq!(Uid::from_bytes(bytes), Err(rule));
        }
    }
}
