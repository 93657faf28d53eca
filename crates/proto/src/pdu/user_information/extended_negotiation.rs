//! SOP class extended negotiation, 56H, PS3.7 D.3.3.5.
//!
//! ```text
//! byte 5-6  UID length    then  SOP class UID    then  service-class-application-information, to the end
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::EXTENDED_NEGOTIATION;
use crate::Uid;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

/// SOP class extended negotiation, 56H.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedNegotiation {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// Service-class-application-information.
    pub information: Bytes,
}

impl ExtendedNegotiation {
    /// `None` when the SOP class is no UID.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Option<ExtendedNegotiation>, DecodeError> {
        let sop_class_uid = reader.uid_field()?;
        let information = Bytes::copy_from_slice(reader.rest());
        Ok(sop_class_uid.map(|sop_class_uid| ExtendedNegotiation { sop_class_uid, information }))
    }

    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, EXTENDED_NEGOTIATION, |output| {
            write::field(output, self.sop_class_uid.as_str().as_bytes());
            output.put_slice(&self.information);
        });
    }
}
