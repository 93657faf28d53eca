//! C-FIND, PS3.7 9.1.2 and 9.3.2.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId, Priority, Status};
use crate::Uid;
use crate::dataset::Tag;

/// C-FIND-RQ. An identifier always follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CFindRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002): the information model.
    pub affected_sop_class_uid: Uid,
    /// Priority (0000,0700).
    pub priority: Priority,
}

impl CFindRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0020;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CFindRq, CommandError> {
        set.check_data_set_type(DataSetType::Present)?;
        Ok(CFindRq {
            message_id: set.required(element::MESSAGE_ID)?,
            affected_sop_class_uid: set.required(element::AFFECTED_SOP_CLASS_UID)?,
            priority: set.required(element::PRIORITY)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Present)
            .with(element::AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
            .with(element::PRIORITY, &self.priority)
    }
}

/// C-FIND-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CFindRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Status (0000,0900).
    pub status: Status,
    /// Whether an identifier follows: with Pending it shall.
    pub identifier: DataSetType,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
    /// Offending Element (0000,0901).
    pub offending_elements: Vec<Tag>,
}

impl CFindRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8020;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CFindRsp, CommandError> {
        Ok(CFindRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            status: set.required(element::STATUS)?,
            identifier: set.required(element::COMMAND_DATA_SET_TYPE)?,
            error_comment: set.optional(element::ERROR_COMMENT),
            offending_elements: set.optional(element::OFFENDING_ELEMENT).unwrap_or_default(),
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, self.identifier)
            .with_optional(element::AFFECTED_SOP_CLASS_UID, self.affected_sop_class_uid.as_ref())
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
            .with(element::STATUS, &self.status)
            .with_reasons(&self.offending_elements, self.error_comment.as_ref())
    }
}
