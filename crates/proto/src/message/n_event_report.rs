//! N-EVENT-REPORT, PS3.7 10.1.1 and 10.3.1.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId, Status};
use crate::Uid;

/// N-EVENT-REPORT-RQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NEventReportRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002).
    pub affected_sop_class_uid: Uid,
    /// Affected SOP Instance UID (0000,1000).
    pub affected_sop_instance_uid: Uid,
    /// Event Type ID (0000,1002): a number of the SOP class.
    pub event_type_id: u16,
    /// Whether an Event Information follows.
    pub event_information: DataSetType,
}

impl NEventReportRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0100;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<NEventReportRq, CommandError> {
        Ok(NEventReportRq {
            message_id: set.required(element::MESSAGE_ID)?,
            affected_sop_class_uid: set.required(element::AFFECTED_SOP_CLASS_UID)?,
            affected_sop_instance_uid: set.required(element::AFFECTED_SOP_INSTANCE_UID)?,
            event_type_id: set.required(element::EVENT_TYPE_ID)?,
            event_information: set.required(element::COMMAND_DATA_SET_TYPE)?,
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, self.event_information)
            .with(element::AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
            .with(element::AFFECTED_SOP_INSTANCE_UID, &self.affected_sop_instance_uid)
            .with(element::EVENT_TYPE_ID, &self.event_type_id)
    }
}

/// N-EVENT-REPORT-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NEventReportRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Affected SOP Instance UID (0000,1000), optional in a response.
    pub affected_sop_instance_uid: Option<Uid>,
    /// Event Type ID (0000,1002): with an Event Reply it shall be there.
    pub event_type_id: Option<u16>,
    /// Status (0000,0900).
    pub status: Status,
    /// Whether an Event Reply follows.
    pub event_reply: DataSetType,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
}

impl NEventReportRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8100;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<NEventReportRsp, CommandError> {
        Ok(NEventReportRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            affected_sop_instance_uid: set.optional(element::AFFECTED_SOP_INSTANCE_UID),
            event_type_id: set.optional(element::EVENT_TYPE_ID),
            status: set.required(element::STATUS)?,
            event_reply: set.required(element::COMMAND_DATA_SET_TYPE)?,
            error_comment: set.optional(element::ERROR_COMMENT),
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, self.event_reply)
            .with_optional(element::AFFECTED_SOP_CLASS_UID, self.affected_sop_class_uid.as_ref())
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
            .with(element::STATUS, &self.status)
            .with_optional(element::ERROR_COMMENT, self.error_comment.as_ref())
            .with_optional(element::AFFECTED_SOP_INSTANCE_UID, self.affected_sop_instance_uid.as_ref())
            .with_optional(element::EVENT_TYPE_ID, self.event_type_id.as_ref())
    }
}
