//! Application Entity titles, PS3.5 Table 6.2-1 (VR AE) and PS3.8 9.3.2.

use std::fmt;

/// The longest AE title, in characters (PS3.5 Table 6.2-1).
pub const MAX_LENGTH: usize = 16;

/// An Application Entity title: 1 to 16 characters of the default repertoire, no backslash, no control
/// characters; leading and trailing spaces are not significant and are not kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AeTitle(Box<str>);

impl AeTitle {
    /// Checks a text and makes it an AE title.
    ///
    /// # Errors
    /// [`InvalidAeTitle`] says what is wrong; it does not quote the text.
    pub fn new(text: &str) -> Result<AeTitle, InvalidAeTitle> {
        AeTitle::from_bytes(text.as_bytes())
    }

    /// Reads an AE title from a field that may be padded with spaces or, seen in the field, with NULs.
    ///
    /// # Errors
    /// As [`AeTitle::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<AeTitle, InvalidAeTitle> {
        let end = bytes.iter().rposition(|&byte| byte != 0 && byte != b' ').map_or(0, |last| last + 1);
        let start = bytes.iter().position(|&byte| byte != b' ').unwrap_or(end).min(end);
        let text = &bytes[start..end];
        if text.is_empty() {
            return Err(InvalidAeTitle::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(InvalidAeTitle::TooLong);
        }
        if !text.iter().all(|&byte| (0x20..0x7f).contains(&byte) && byte != b'\\') {
            return Err(InvalidAeTitle::Character);
        }
        let text = std::str::from_utf8(text).map_err(|_| InvalidAeTitle::Character)?;
        Ok(AeTitle(text.into()))
    }

    /// The title as text, without padding.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The title as the 16 bytes of an A-ASSOCIATE PDU, padded with spaces (PS3.8 9.3.2).
    pub fn to_padded(&self) -> [u8; MAX_LENGTH] {
        let mut field = [b' '; MAX_LENGTH];
        field[..self.0.len()].copy_from_slice(self.0.as_bytes());
        field
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AeTitle({})", self.0)
    }
}

impl std::str::FromStr for AeTitle {
    type Err = InvalidAeTitle;

    fn from_str(text: &str) -> Result<AeTitle, InvalidAeTitle> {
        AeTitle::new(text)
    }
}

/// What is wrong with an AE title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAeTitle {
    /// It is empty or has spaces only.
    #[error("the AE title is empty")]
    Empty,
    /// It has more than 16 characters.
    #[error("the AE title is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// It has a backslash, a control character or one outside ASCII.
    #[error("the AE title has a character that is not allowed (printable ASCII without '\\')")]
    Character,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_around_are_not_significant_and_spaces_within_are() {
        let title = AeTitle::from_bytes(b"  MY PACS       ").unwrap();
        assert_eq!(title.as_str(), "MY PACS");
        assert_eq!(&title.to_padded(), b"MY PACS         ");
    }

    #[test]
    fn refuses_hostile_titles() {
        assert_eq!(AeTitle::from_bytes(&[b' '; 16]), Err(InvalidAeTitle::Empty));
        assert_eq!(AeTitle::from_bytes(&[0; 16]), Err(InvalidAeTitle::Empty));
        assert_eq!(AeTitle::new("SEVENTEEN_LETTERS"), Err(InvalidAeTitle::TooLong));
        for text in [&b"..\\x"[..], b"A\x1b[2J", b"A\0B", b"A\xff"] {
            assert_eq!(AeTitle::from_bytes(text), Err(InvalidAeTitle::Character));
        }
    }
}
