//! P-DATA-TF, PS3.8 9.3.5 and Annex E.2.
//!
//! ```text
//! byte 1-6   PDU header
//! then, once or more, a presentation data value item:
//!   byte 1-4  item length: the bytes that follow
//!   byte 5    presentation context ID
//!   byte 6    message control header: bit 0 command, bit 1 last fragment
//!   byte 7-   the fragment
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::{DecodeError, Item, PduType, Rule, write};

/// The bytes of a presentation data value item before its fragment.
pub const VALUE_HEADER_LENGTH: usize = 6;

/// Whether a fragment belongs to a command or to a data set: bit 0 of the message control header (PS3.8 E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FragmentKind {
    /// Bit 0 set.
    Command,
    /// Bit 0 clear.
    DataSet,
}

/// Whether a fragment is the last of its command or data set: bit 1 of the message control header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Bit 1 clear: more follow.
    More,
    /// Bit 1 set.
    Last,
}

/// One presentation data value item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentationDataValue {
    /// Presentation context ID as it came.
    pub context_id: u8,
    /// Command or data set.
    pub kind: FragmentKind,
    /// Whether it is the last.
    pub position: Position,
    /// The fragment. PS3.8 E.1 wants an even number of bytes; odd ones occur and are let through.
    pub data: Bytes,
}

/// The presentation data values of one P-DATA-TF: an iterator that slices, and copies nothing.
#[derive(Debug, Clone)]
pub struct DataTf {
    /// Whole items, as [`DataTf::decode`] has made sure.
    rest: Bytes,
}

impl DataTf {
    /// Checks the lengths of all items of the bytes after the PDU header.
    ///
    /// # Errors
    /// [`DecodeError`] when there is no item, or one that is too short or reaches beyond the PDU.
    pub fn decode(content: Bytes) -> Result<DataTf, DecodeError> {
        if content.is_empty() {
            return Err(DecodeError { item: Item::PresentationDataValue, rule: Rule::Missing });
        }
        let mut rest = &content[..];
        while !rest.is_empty() {
            rest = &rest[item_length(rest)?..];
        }
        Ok(DataTf { rest: content })
    }

    /// Whether no value is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The presentation context IDs of the values that are left.
    pub fn context_ids(&self) -> impl Iterator<Item = u8> {
        let mut rest = &self.rest[..];
        std::iter::from_fn(move || {
            let length = item_length(rest).ok()?;
            let context_id = rest[4];
            rest = &rest[length..];
            Some(context_id)
        })
    }
}

impl Iterator for DataTf {
    type Item = PresentationDataValue;

    fn next(&mut self) -> Option<PresentationDataValue> {
        let length = item_length(&self.rest).ok()?;
        let mut item = self.rest.split_to(length);
        let data = item.split_off(VALUE_HEADER_LENGTH);
        Some(PresentationDataValue {
            context_id: item[4],
            kind: if item[5] & 1 == 1 { FragmentKind::Command } else { FragmentKind::DataSet },
            position: if item[5] & 2 == 2 { Position::Last } else { Position::More },
            data,
        })
    }
}

/// The length of the item at the front, its header counted: at least 6 and at most what is there.
fn item_length(rest: &[u8]) -> Result<usize, DecodeError> {
    let error = |item, rule| Err(DecodeError { item, rule });
    let Some(length) = rest.first_chunk::<4>() else {
        return error(Item::DataTf, Rule::Trailing);
    };
    let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else {
        return error(Item::PresentationDataValue, Rule::BeyondParent);
    };
    if length > rest.len() - 4 {
        return error(Item::PresentationDataValue, Rule::BeyondParent);
    }
    if length < 2 {
        return error(Item::PresentationDataValue, Rule::TooShort);
    }
    Ok(4 + length)
}

/// Writes a P-DATA-TF to the end of `output`.
pub fn encode(values: &[PresentationDataValue], output: &mut BytesMut) {
    write::pdu(output, PduType::DataTf, |output| {
        for value in values {
            let length = u32::try_from(value.data.len()).unwrap_or(u32::MAX);
            output.put_slice(&value_header(value.context_id, value.kind, value.position, length));
            output.put_slice(&value.data);
        }
    });
}

/// The header of a P-DATA-TF with `length` bytes of items.
pub const fn header(length: u32) -> [u8; super::HEADER_LENGTH] {
    let [a, b, c, d] = length.to_be_bytes();
    [PduType::DataTf as u8, 0, a, b, c, d]
}

/// What goes before a fragment of `length` bytes in a presentation data value item.
pub const fn value_header(
    context_id: u8,
    kind: FragmentKind,
    position: Position,
    length: u32,
) -> [u8; VALUE_HEADER_LENGTH] {
    let [a, b, c, d] = length.saturating_add(2).to_be_bytes();
    let command = match kind {
        FragmentKind::Command => 1,
        FragmentKind::DataSet => 0,
    };
    let last = match position {
        Position::Last => 2,
        Position::More => 0,
    };
    [a, b, c, d, context_id, command | last]
}
