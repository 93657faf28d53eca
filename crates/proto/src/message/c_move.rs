//! C-MOVE, PS3.7 9.1.4 and 9.3.4.

use super::command_set::{CommandError, CommandSet, element};
use super::{Counters, DataSetType, MessageId, Priority, Status};
use crate::dataset::Tag;
use crate::{AeTitle, Uid};

/// C-MOVE-RQ. An identifier always follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CMoveRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002): the information model.
    pub affected_sop_class_uid: Uid,
    /// Priority (0000,0700).
    pub priority: Priority,
    /// Move Destination (0000,0600).
    pub move_destination: AeTitle,
}

impl CMoveRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0021;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CMoveRq, CommandError> {
        set.check_data_set_type(DataSetType::Present)?;
        Ok(CMoveRq {
            message_id: set.required(element::MESSAGE_ID)?,
            affected_sop_class_uid: set.required(element::AFFECTED_SOP_CLASS_UID)?,
            priority: set.required(element::PRIORITY)?,
            move_destination: set.required(element::MOVE_DESTINATION)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Present)
            .with(element::AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
            .with(element::PRIORITY, &self.priority)
            .with(element::MOVE_DESTINATION, &self.move_destination)
    }
}

/// C-MOVE-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CMoveRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Status (0000,0900).
    pub status: Status,
    /// (0000,1020) to (0000,1023).
    pub counters: Counters,
    /// Whether an identifier with the Failed SOP Instance UID List follows.
    pub identifier: DataSetType,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
    /// Offending Element (0000,0901).
    pub offending_elements: Vec<Tag>,
}

impl CMoveRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8021;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CMoveRsp, CommandError> {
        Ok(CMoveRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            status: set.required(element::STATUS)?,
            counters: set.counters(),
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
            .with_counters(&self.counters)
    }
}
