//! C-STORE, PS3.7 9.1.1 and 9.3.1.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId, Priority, Status};
use crate::dataset::Tag;
use crate::{AeTitle, Uid};

/// C-STORE-RQ. A data set always follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CStoreRq {
    /// Message ID (0000,0110).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002).
    pub affected_sop_class_uid: Uid,
    /// Affected SOP Instance UID (0000,1000).
    pub affected_sop_instance_uid: Uid,
    /// Priority (0000,0700).
    pub priority: Priority,
    /// Move Originator AE title (0000,1030) and Message ID (0000,1031): only in sub-operations of C-MOVE.
    pub move_originator: Option<(AeTitle, MessageId)>,
}

impl CStoreRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0001;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CStoreRq, CommandError> {
        set.check_data_set_type(DataSetType::Present)?;
        Ok(CStoreRq {
            message_id: set.required(element::MESSAGE_ID)?,
            affected_sop_class_uid: set.required(element::AFFECTED_SOP_CLASS_UID)?,
            affected_sop_instance_uid: set.required(element::AFFECTED_SOP_INSTANCE_UID)?,
            priority: set.required(element::PRIORITY)?,
            move_originator: set
                .optional(element::MOVE_ORIGINATOR_AE_TITLE)
                .zip(set.optional(element::MOVE_ORIGINATOR_MESSAGE_ID)),
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        let (ae_title, message_id) = self.move_originator.as_ref().map(|(a, m)| (a, m)).unzip();
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Present)
            .with(element::AFFECTED_SOP_CLASS_UID, &self.affected_sop_class_uid)
            .with(element::MESSAGE_ID, &self.message_id)
            .with(element::PRIORITY, &self.priority)
            .with(element::AFFECTED_SOP_INSTANCE_UID, &self.affected_sop_instance_uid)
            .with_optional(element::MOVE_ORIGINATOR_AE_TITLE, ae_title)
            .with_optional(element::MOVE_ORIGINATOR_MESSAGE_ID, message_id)
    }
}

/// C-STORE-RSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CStoreRsp {
    /// Message ID Being Responded To (0000,0120).
    pub message_id: MessageId,
    /// Affected SOP Class UID (0000,0002), optional in a response.
    pub affected_sop_class_uid: Option<Uid>,
    /// Affected SOP Instance UID (0000,1000), optional in a response.
    pub affected_sop_instance_uid: Option<Uid>,
    /// Status (0000,0900).
    pub status: Status,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
    /// Offending Element (0000,0901).
    pub offending_elements: Vec<Tag>,
}

impl CStoreRsp {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x8001;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CStoreRsp, CommandError> {
        set.check_no_data_set()?;
        Ok(CStoreRsp {
            message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)?,
            affected_sop_class_uid: set.optional(element::AFFECTED_SOP_CLASS_UID),
            affected_sop_instance_uid: set.optional(element::AFFECTED_SOP_INSTANCE_UID),
            status: set.required(element::STATUS)?,
            error_comment: set.optional(element::ERROR_COMMENT),
            offending_elements: set.optional(element::OFFENDING_ELEMENT).unwrap_or_default(),
        })
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Null)
            .with_optional(element::AFFECTED_SOP_CLASS_UID, self.affected_sop_class_uid.as_ref())
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
            .with(element::STATUS, &self.status)
            .with_reasons(&self.offending_elements, self.error_comment.as_ref())
            .with_optional(element::AFFECTED_SOP_INSTANCE_UID, self.affected_sop_instance_uid.as_ref())
    }
}
