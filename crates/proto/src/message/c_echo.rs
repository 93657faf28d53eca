//! C-ECHO, PS3.7 9.1.5 and 9.3.5.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId, Status};
use crate::Uid;

/// C-ECHO-RQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CEchoRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002): Verification.
    pub affected_sop_class_uid: Uid,
}

impl CEchoRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0030;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CEchoRq, CommandError> {
        set.check_data_set_type(DataSetType::Null)?;
        Ok(CEchoRq {
            message_id: set.required(element::MESSAGE_ID)?,
            affected_sop_class_uid: set.required(element::AFFECTED_SOP_CLASS_UID)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Null)
            .with(element::AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
    }
}

/// C-ECHO-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CEchoRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Status (0000,0900).
    pub status: Status,
}

impl CEchoRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8030;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CEchoRsp, CommandError> {
        set.check_no_data_set()?;
        Ok(CEchoRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            status: set.required(element::STATUS)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Null)
            .with_optional(element::AFFECTED_SOP_CLASS_UID, self.affected_sop_class_uid.as_ref())
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
            .with(element::STATUS, &self.status)
    }
}
