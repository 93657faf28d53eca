//! SCP/SCU role selection, 54H, PS3.7 D.3.3.4.
//!
//! ```text
//! byte 5-6  UID length    then  SOP class UID    then  SCU role, SCP role: one byte each, 0 or 1
//! ```

use bytes::{BufMut, BytesMut};

use super::ROLE_SELECTION;
use crate::Uid;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

/// SCP/SCU role selection, 54H: the roles of the association-requestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSelection {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// The requestor's SCU role.
    pub scu: bool,
    /// The requestor's SCP role.
    pub scp: bool,
}

impl RoleSelection {
    /// `None` when the SOP class is no UID.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Option<RoleSelection>, DecodeError> {
        let sop_class_uid = reader.uid_field()?;
        let [scu, scp] = reader.array()?;
        // Only 1 grants a role; values of no meaning grant nothing.
        Ok(sop_class_uid.map(|sop_class_uid| RoleSelection { sop_class_uid, scu: scu == 1, scp: scp == 1 }))
    }

    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, ROLE_SELECTION, |output| {
            write::field(output, self.sop_class_uid.as_str().as_bytes());
            output.put_u8(u8::from(self.scu));
            output.put_u8(u8::from(self.scp));
        });
    }
}
