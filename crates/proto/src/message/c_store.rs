//! C-STORE, PS3.7 9.1.1 and 9.3.1.

use dicom_core::Tag;

use super::{MessageId, Priority, Status};
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
