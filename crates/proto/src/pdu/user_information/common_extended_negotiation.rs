//! SOP class common extended negotiation, 57H, PS3.7 D.3.3.6.
//!
//! ```text
//! byte 2    version, 0
//! byte 5-6  UID length    then  SOP class UID
//! then      UID length (2 bytes), service class UID
//! then      length of what follows (2 bytes), and once a class: UID length (2 bytes), related general SOP class UID
//! then      reserved for what later versions add
//! ```

use bytes::BytesMut;

use super::COMMON_EXTENDED_NEGOTIATION;
use crate::Uid;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, Item, write};

/// SOP class common extended negotiation, 57H.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonExtendedNegotiation {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// Service Class UID.
    pub service_class_uid: Uid,
    /// Related general SOP classes; without those that are no UIDs.
    pub related_general_sop_class_uids: Vec<Uid>,
}

impl CommonExtendedNegotiation {
    /// `None` when the SOP class or the service class is no UID.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Option<CommonExtendedNegotiation>, DecodeError> {
        let sop_class_uid = reader.uid_field()?;
        let service_class_uid = reader.uid_field()?;
        let mut related = Reader::new(Item::CommonExtendedNegotiation, reader.field()?);
        let mut related_general_sop_class_uids = Vec::new();
        while !related.is_empty() {
            related_general_sop_class_uids.extend(related.uid_field()?);
        }
        Ok(sop_class_uid.zip(service_class_uid).map(|(sop_class_uid, service_class_uid)| {
            CommonExtendedNegotiation { sop_class_uid, service_class_uid, related_general_sop_class_uids }
        }))
    }

    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, COMMON_EXTENDED_NEGOTIATION, |output| {
            write::field(output, self.sop_class_uid.as_str().as_bytes());
            write::field(output, self.service_class_uid.as_str().as_bytes());
            let mut related = BytesMut::new();
            for uid in &self.related_general_sop_class_uids {
                write::field(&mut related, uid.as_str().as_bytes());
            }
            write::field(output, &related);
        });
    }
}
