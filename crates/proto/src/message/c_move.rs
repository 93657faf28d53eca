//! C-MOVE, PS3.7 9.1.4 and 9.3.4.

use dicom_core::Tag;

use super::{Counters, DataSetType, MessageId, Priority, Status};
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
