//! Writing items: the length is filled in when the content is known.

use bytes::{BufMut, BytesMut};

use super::PduType;
use crate::Uid;

/// Writes a PDU: type, reserved byte, length (32 bits), and what `content` writes.
pub(crate) fn pdu(output: &mut BytesMut, pdu_type: PduType, content: impl FnOnce(&mut BytesMut)) {
    let start = output.len();
    output.put_slice(&[pdu_type as u8, 0, 0, 0, 0, 0]);
    content(output);
    // The contents written here are some 64 KiB a presentation context at most: 32 bits always hold them.
    let length = u32::try_from(output.len() - start - 6).unwrap_or(u32::MAX);
    output[start + 2..start + 6].copy_from_slice(&length.to_be_bytes());
}

/// Writes an item or sub-item: type, reserved byte, length (16 bits), and what `content` writes. An item whose
/// content is beyond 65,535 bytes has no form on the wire and is left out.
pub(crate) fn item(output: &mut BytesMut, item_type: u8, content: impl FnOnce(&mut BytesMut)) {
    let start = output.len();
    output.put_slice(&[item_type, 0, 0, 0]);
    content(output);
    match u16::try_from(output.len() - start - 4) {
        Ok(length) => output[start + 2..start + 4].copy_from_slice(&length.to_be_bytes()),
        Err(_) => output.truncate(start),
    }
}

/// Writes an item that is nothing but a UID; unpadded (PS3.8 9.3.2.1 and Annex F).
pub(crate) fn uid_item(output: &mut BytesMut, item_type: u8, uid: Option<&Uid>) {
    item(output, item_type, |output| {
        if let Some(uid) = uid {
            output.put_slice(uid.as_str().as_bytes());
        }
    });
}

/// Writes a field with its length (16 bits) before it. A longer one is written with the length 65,535 and makes
/// its item too long, which [`item`] leaves out.
pub(crate) fn field(output: &mut BytesMut, field: &[u8]) {
    output.put_u16(u16::try_from(field.len()).unwrap_or(u16::MAX));
    output.put_slice(field);
}
