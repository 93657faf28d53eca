//! The types of arguments, as value fields of a command set: PS3.7 Annex E, PS3.5 6.2.

use super::{DataSetType, MessageId, Priority, Status};
use crate::dataset::Tag;
use crate::{AeTitle, Uid};

/// A type that an argument of a command can have.
pub(super) trait Argument: Sized {
    /// Reads a value field; `None` when it is empty or not of this type.
    fn read(value: &[u8]) -> Option<Self>;

    /// Writes a value field, not yet padded to even length.
    fn write(&self) -> Vec<u8>;

    /// Whether padding is NUL, not space.
    fn pads_with_nul(&self) -> bool {
        false
    }
}

impl Argument for u16 {
    fn read(value: &[u8]) -> Option<u16> {
        value.try_into().ok().map(u16::from_le_bytes)
    }

    fn write(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

impl Argument for MessageId {
    fn read(value: &[u8]) -> Option<MessageId> {
        u16::read(value).map(MessageId)
    }

    fn write(&self) -> Vec<u8> {
        self.0.write()
    }
}

impl Argument for Status {
    fn read(value: &[u8]) -> Option<Status> {
        u16::read(value).map(Status::new)
    }

    fn write(&self) -> Vec<u8> {
        self.code().write()
    }
}

impl Argument for Priority {
    fn read(value: &[u8]) -> Option<Priority> {
        match u16::read(value)? {
            0 => Some(Priority::Medium),
            1 => Some(Priority::High),
            2 => Some(Priority::Low),
            _ => None,
        }
    }

    fn write(&self) -> Vec<u8> {
        let code: u16 = match self {
            Priority::Medium => 0,
            Priority::High => 1,
            Priority::Low => 2,
        };
        code.write()
    }
}

impl Argument for DataSetType {
    fn read(value: &[u8]) -> Option<DataSetType> {
        u16::read(value).map(|code| if code == 0x0101 { DataSetType::Null } else { DataSetType::Present })
    }

    fn write(&self) -> Vec<u8> {
        let code: u16 = match self {
            DataSetType::Null => 0x0101,
            // Any other value will do; this one is what most peers send.
            DataSetType::Present => 0x0001,
        };
        code.write()
    }
}

impl Argument for Uid {
    fn read(value: &[u8]) -> Option<Uid> {
        Uid::from_bytes(value).ok()
    }

    fn write(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }

    fn pads_with_nul(&self) -> bool {
        true
    }
}

impl Argument for AeTitle {
    fn read(value: &[u8]) -> Option<AeTitle> {
        AeTitle::from_bytes(value).ok()
    }

    fn write(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }
}

/// A text of VR LO: at most 64 characters, and a command set has no character set but the default repertoire.
impl Argument for String {
    fn read(value: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(value);
        let text = text.trim_matches([' ', '\0']);
        // It is shown to a person: nothing in it may move a terminal's cursor or forge a line of a log.
        (!text.is_empty()).then(|| text.replace(char::is_control, "?"))
    }

    fn write(&self) -> Vec<u8> {
        self.chars().take(64).map(|c| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' }).collect()
    }
}

/// Values of VR AT.
impl Argument for Vec<Tag> {
    fn read(value: &[u8]) -> Option<Vec<Tag>> {
        let (values, rest) = value.as_chunks::<4>();
        let tag =
            |[g0, g1, e0, e1]: &[u8; 4]| Tag(u16::from_le_bytes([*g0, *g1]), u16::from_le_bytes([*e0, *e1]));
        rest.is_empty().then(|| values.iter().map(tag).collect())
    }

    fn write(&self) -> Vec<u8> {
        self.iter()
            .flat_map(|tag| [tag.group().to_le_bytes(), tag.element().to_le_bytes()])
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_of_another_length_is_no_argument() {
        assert_eq!(u16::read(b"\x01"), None);
        assert_eq!(u16::read(b"\x01\0\0\0"), None);
        assert_eq!(Uid::read(b""), None);
        assert_eq!(String::read(b"  \0"), None);
        assert_eq!(<Vec<Tag>>::read(b"\x08\0\x18"), None);
    }

    #[test]
    fn a_comment_is_cut_to_64_characters_of_ascii() {
        let comment = format!("Jos\u{e9}\n{}", "x".repeat(100));
        let written = comment.write();
        assert_eq!(written.len(), 64);
        assert!(written.starts_with(b"Jos??x"));
    }
}
