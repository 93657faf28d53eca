//! Maximum length, 51H, PS3.8 D.1: four bytes, unsigned.

use bytes::{BufMut, BytesMut};

use super::MAXIMUM_LENGTH;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

pub(super) fn decode(mut reader: Reader<'_>) -> Result<u32, DecodeError> {
    reader.u32()
}

pub(super) fn encode(length: u32, output: &mut BytesMut) {
    write::item(output, MAXIMUM_LENGTH, |output| output.put_u32(length));
}
