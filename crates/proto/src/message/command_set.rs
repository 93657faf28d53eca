//! The command set of PS3.7 section 6.3.1 and Annex E: group 0000, Implicit VR Little Endian, bounded.

use super::{DataSetType, MessageId};

/// The largest command set that is read, in bytes. Real ones have 100 to 300.
pub const MAX_LENGTH: usize = 64 * 1024;

/// A well-formed command of no service known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCommand {
    /// Command Field (0000,0100).
    pub command_field: u16,
    /// Message ID (0000,0110) where there is one.
    pub message_id: Option<MessageId>,
    /// Whether a data set follows.
    pub data_set_type: DataSetType,
}

/// Why a command set is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It cannot be read as elements, or has no Command Field: abort the association.
    #[error("malformed command set: {0}")]
    Malformed(&'static str),
    /// It can be read, but an element it must have is missing or mistyped: answer 0212.
    #[error("command {command_field:04X} lacks a usable element {element}")]
    MistypedArgument {
        /// Command Field (0000,0100).
        command_field: u16,
        /// Message ID (0000,0110), which an answer needs.
        message_id: Option<MessageId>,
        /// The element that is missing or mistyped.
        element: dicom_core::Tag,
        /// Whether a data set follows and must be passed over.
        data_set_type: DataSetType,
    },
}
