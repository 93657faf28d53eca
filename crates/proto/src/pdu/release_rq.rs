//! A-RELEASE-RQ, PS3.8 9.3.6: four reserved bytes, and that is all.

use bytes::{BufMut, BytesMut};

use super::{DecodeError, Item, PduType, four_bytes, write};

/// A-RELEASE-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRq;

impl ReleaseRq {
    /// Reads the bytes after the PDU header.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not four.
    pub fn decode(content: &[u8]) -> Result<ReleaseRq, DecodeError> {
        four_bytes(Item::ReleaseRq, content).map(|_reserved| ReleaseRq)
    }

    /// Writes the PDU to the end of `output`.
    pub fn encode(self, output: &mut BytesMut) {
        write::pdu(output, PduType::ReleaseRq, |output| output.put_slice(&[0; 4]));
    }
}
