//! C-CANCEL, PS3.7 9.3.2.3, 9.3.3.3 and 9.3.4.3. It has no response of its own.

use super::command_set::{CommandError, CommandSet, element};
use super::{DataSetType, MessageId};

/// C-CANCEL-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CCancelRq {
    /// Message ID Being Responded To (0000,0120): the operation to end.
    pub message_id: MessageId,
}

impl CCancelRq {
    /// Command Field (0000,0100).
    pub const COMMAND_FIELD: u16 = 0x0FFF;

    pub(super) fn from_command_set(set: &CommandSet) -> Result<CCancelRq, CommandError> {
        set.check_no_data_set()?;
        Ok(CCancelRq { message_id: set.required(element::MESSAGE_ID_BEING_RESPONDED_TO)? })
    }

    pub(super) fn to_command_set(self) -> CommandSet {
        CommandSet::new(Self::COMMAND_FIELD, DataSetType::Null)
            .with(element::MESSAGE_ID_BEING_RESPONDED_TO, &self.message_id)
    }
}
