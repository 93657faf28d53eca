//! A-RELEASE-RP, PS3.8 9.3.7: four reserved bytes, and that is all.

use bytes::{BufMut, BytesMut};

use super::{DecodeError, Item, PduType, four_bytes, write};

/// A-RELEASE-RP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRp;

impl ReleaseRp {
    /// Reads the bytes after the PDU header.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not four.
    pub fn decode(content: &[u8]) -> Result<ReleaseRp, DecodeError> {
        four_bytes(Item::ReleaseRp, content).map(|_reserved| ReleaseRp)
    }

    /// Writes the PDU to the end of `output`.
    pub fn encode(self, output: &mut BytesMut) {
        write::pdu(output, PduType::ReleaseRp, |output| output.put_slice(&[0; 4]));
    }
}
