//! Implementation version name, 55H, PS3.7 D.3.3.2.3: 1 to 16 characters of ISO 646.

use bytes::BytesMut;

use super::IMPLEMENTATION_VERSION_NAME;
use crate::pdu::read::Reader;
use crate::pdu::write;

/// The most characters.
const MAX_LENGTH: usize = 16;

/// Makes a text of it that is safe to print; `None` when it is empty.
pub(super) fn decode(mut reader: Reader<'_>) -> Option<String> {
    let name: String = reader
        .rest()
        .iter()
        .take(MAX_LENGTH)
        .map(|&byte| if byte == 0 { ' ' } else { printable(byte) })
        .collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

pub(super) fn encode(name: &str, output: &mut BytesMut) {
    write::item(output, IMPLEMENTATION_VERSION_NAME, |output| {
        output.extend(name.bytes().take(MAX_LENGTH).map(|byte| printable(byte) as u8));
    });
}

fn printable(byte: u8) -> char {
    if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '?' }
}
