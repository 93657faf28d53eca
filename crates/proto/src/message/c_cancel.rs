//! C-CANCEL, PS3.7 9.3.2.3, 9.3.3.3 and 9.3.4.3. It has no response of its own.

use super::MessageId;

/// C-CANCEL-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CCancelRq {
    /// Message ID Being Responded To (0000,0120): the operation to end.
    pub message_id: MessageId,
}
