//! User identity response, 59H, PS3.7 D.3.3.7.2: length (2 bytes) and server response.

use bytes::{Bytes, BytesMut};

use super::USER_IDENTITY_RESPONSE;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

pub(super) fn decode(mut reader: Reader<'_>) -> Result<Bytes, DecodeError> {
    Ok(Bytes::copy_from_slice(reader.field()?))
}

pub(super) fn encode(response: &[u8], output: &mut BytesMut) {
    write::item(output, USER_IDENTITY_RESPONSE, |output| write::field(output, response));
}
