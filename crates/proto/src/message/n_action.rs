//! N-ACTION, PS3.7 10.1.4 and 10.3.4.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId, Status};
use crate::Uid;

/// N-ACTION-RQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NActionRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Requested SOP Class UID (0000,0003).
    pub requested_sop_class_uid: Uid,
    /// Requested SOP Instance UID (0000,1001).
    pub requested_sop_instance_uid: Uid,
    /// Action Type ID (0000,1008): a number of the SOP class.
    pub action_type_id: u16,
    /// Whether an Action Information follows.
    pub action_information: DataSetType,
}

impl NActionRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0130;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<NActionRq, CommandError> {
        Ok(NActionRq {
            message_id: set.required(element::MESSAGE_ID)?,
            requested_sop_class_uid: set.required(element::REQUESTED_SOP_CLASS_UID)?,
            requested_sop_instance_uid: set.required(element::REQUESTED_SOP_INSTANCE_UID)?,
            action_type_id: set.required(element::ACTION_TYPE_ID)?,
            action_information: set.required(element::COMMAND_DATA_SET_TYPE)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, self.action_information)
            .with(element::REQUESTED_SOP_CLASS_UID, &self.requested_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
            .with(element::REQUESTED_SOP_INSTANCE_UID, &self.requested_sop_instance_uid)
            .with(element::ACTION_TYPE_ID, &self.action_type_id)
    }
}

/// N-ACTION-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NActionRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Affected SOP Instance UID (0000,1000), optional in a response.
    pub affected_sop_instance_uid: Option<Uid>,
    /// Action Type ID (0000,1008): with an Action Reply it shall be there.
    pub action_type_id: Option<u16>,
    /// Status (0000,0900).
    pub status: Status,
    /// Whether an Action Reply follows.
    pub action_reply: DataSetType,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
}

impl NActionRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8130;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<NActionRsp, CommandError> {
        Ok(NActionRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            affected_sop_instance_uid: set.optional(element::AFFECTED_SOP_INSTANCE_UID),
            action_type_id: set.optional(element::ACTION_TYPE_ID),
            status: set.required(element::STATUS)?,
            action_reply: set.required(element::COMMAND_DATA_SET_TYPE)?,
            error_comment: set.optional(element::ERROR_COMMENT),
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, self.action_reply)
            .with_optional(element::AFFECTED_SOP_CLASS_UID, self.affected_sop_class_uid.as_ref())
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
            .with(element::STATUS, &self.status)
            .with_optional(element::ERROR_COMMENT, self.error_comment.as_ref())
            .with_optional(element::AFFECTED_SOP_INSTANCE_UID, self.affected_sop_instance_uid.as_ref())
            .with_optional(element::ACTION_TYPE_ID, self.action_type_id.as_ref())
    }
}
