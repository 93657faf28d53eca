//! The command set of PS3.7 section 6.3.1 and Annex E: group 0000, Implicit VR Little Endian, bounded.
//!
//! ```text
//! each element:  group 2 | element 2 | length 4 | value      all little endian, tags ascending,
//!                                                            Command Group Length (0000,0000) first
//! ```
//!
//! A `CommandSet` holds the values as bytes; `Argument` gives them their types. The service files say which
//! elements a command has. What is not asked for is not looked at: unknown elements do no harm, and Command
//! Group Length is written but never believed, since the last-fragment bit says where the set ends.

use std::collections::BTreeMap;

use super::argument::Argument;
use super::{CCancelRq, Counters, DataSetType, MessageId, Status};
use crate::dataset::Tag;

/// The largest command set that is read, in bytes. Real ones have 100 to 300.
pub const MAX_LENGTH: usize = 64 * 1024;

/// Set in the Command Field of a response.
pub(super) const RESPONSE: u16 = 0x8000;

/// The elements of group 0000 that the services have, PS3.7 Table E.1-1.
pub(super) mod element {
    use crate::dataset::Tag;

    pub(crate) const COMMAND_GROUP_LENGTH: Tag = Tag(0x0000, 0x0000);
    pub(crate) const AFFECTED_SOP_CLASS_UID: Tag = Tag(0x0000, 0x0002);
    pub(crate) const REQUESTED_SOP_CLASS_UID: Tag = Tag(0x0000, 0x0003);
    pub(crate) const COMMAND_FIELD: Tag = Tag(0x0000, 0x0100);
    pub(crate) const MESSAGE_ID: Tag = Tag(0x0000, 0x0110);
    pub(crate) const MESSAGE_ID_BEING_RESPONDED_TO: Tag = Tag(0x0000, 0x0120);
    pub(crate) const MOVE_DESTINATION: Tag = Tag(0x0000, 0x0600);
    pub(crate) const PRIORITY: Tag = Tag(0x0000, 0x0700);
    pub(crate) const COMMAND_DATA_SET_TYPE: Tag = Tag(0x0000, 0x0800);
    pub(crate) const STATUS: Tag = Tag(0x0000, 0x0900);
    pub(crate) const OFFENDING_ELEMENT: Tag = Tag(0x0000, 0x0901);
    pub(crate) const ERROR_COMMENT: Tag = Tag(0x0000, 0x0902);
    pub(crate) const AFFECTED_SOP_INSTANCE_UID: Tag = Tag(0x0000, 0x1000);
    pub(crate) const REQUESTED_SOP_INSTANCE_UID: Tag = Tag(0x0000, 0x1001);
    pub(crate) const EVENT_TYPE_ID: Tag = Tag(0x0000, 0x1002);
    pub(crate) const ACTION_TYPE_ID: Tag = Tag(0x0000, 0x1008);
    pub(crate) const REMAINING_SUB_OPERATIONS: Tag = Tag(0x0000, 0x1020);
    pub(crate) const COMPLETED_SUB_OPERATIONS: Tag = Tag(0x0000, 0x1021);
    pub(crate) const FAILED_SUB_OPERATIONS: Tag = Tag(0x0000, 0x1022);
    pub(crate) const WARNING_SUB_OPERATIONS: Tag = Tag(0x0000, 0x1023);
    pub(crate) const MOVE_ORIGINATOR_AE_TITLE: Tag = Tag(0x0000, 0x1030);
    pub(crate) const MOVE_ORIGINATOR_MESSAGE_ID: Tag = Tag(0x0000, 0x1031);
}

/// A well-formed command of no service known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCommand {
    /// Command Field (0000,0100).
    pub command_field: u16,
    /// Message ID (0000,0110), in a response Message ID Being Responded To (0000,0120), where there is one.
    pub message_id: Option<MessageId>,
    /// Whether a data set follows.
    pub data_set_type: DataSetType,
    /// Status (0000,0900), in a response.
    pub status: Option<Status>,
}

impl UnknownCommand {
    pub(super) fn from_command_set(set: &CommandSet) -> UnknownCommand {
        UnknownCommand {
            command_field: set.command_field(),
            message_id: set.message_id(),
            data_set_type: set.data_set_type().unwrap_or(DataSetType::Null),
            status: set.optional(element::STATUS),
        }
    }

    pub(super) fn to_command_set(&self) -> CommandSet {
        let set = CommandSet::new(self.command_field, self.data_set_type);
        let tag = set.message_id_tag();
        set.with_optional(tag, self.message_id.as_ref()).with_optional(element::STATUS, self.status.as_ref())
    }
}

/// Why a command set is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It cannot be read as elements, or has no Command Field: abort the association.
    #[error("malformed command set: {0}")]
    Malformed(&'static str),
    /// It can be read, but an element it must have is missing or mistyped: answer [`CommandError::status`].
    #[error("command {command_field:04X} lacks a usable element {element}")]
    MistypedArgument {
        /// Command Field (0000,0100).
        command_field: u16,
        /// Message ID (0000,0110), which an answer needs; of a response, Message ID Being Responded To.
        message_id: Option<MessageId>,
        /// The element that is missing, mistyped or repeated.
        element: Tag,
        /// Which of these it is.
        fault: ArgumentFault,
        /// Whether a data set follows and must be passed over.
        data_set_type: DataSetType,
    },
}

/// What is wrong with an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentFault {
    /// It is absent or has no value.
    Lacking,
    /// Its value is none of its type, or not what the command always says.
    Unreadable,
    /// It comes twice.
    Repeated,
}

impl CommandError {
    /// The status of an answer, where there can be one: 0117 for a SOP Instance UID that is there and no UID (PS3.7
    /// C.5.6), else 0212.
    pub fn status(&self) -> Option<Status> {
        match self {
            CommandError::Malformed(_) => None,
            CommandError::MistypedArgument { element, fault: ArgumentFault::Unreadable, .. }
                if [element::AFFECTED_SOP_INSTANCE_UID, element::REQUESTED_SOP_INSTANCE_UID]
                    .contains(element) =>
            {
                Some(Status::INVALID_SOP_INSTANCE)
            }
            CommandError::MistypedArgument { .. } => Some(Status::MISTYPED_ARGUMENT),
        }
    }
}

/// The elements of a command, by element number; the group is always 0000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandSet {
    command_field: u16,
    values: BTreeMap<u16, Vec<u8>>,
    /// An element that came twice: two meanings for one argument.
    repeated: Option<Tag>,
}

impl CommandSet {
    /// A set with its Command Field and Command Data Set Type.
    pub(super) fn new(command_field: u16, data_set_type: DataSetType) -> CommandSet {
        CommandSet { command_field, values: BTreeMap::new(), repeated: None }
            .with(element::COMMAND_FIELD, &command_field)
            .with(element::COMMAND_DATA_SET_TYPE, &data_set_type)
    }

    /// Reads a set.
    ///
    /// # Errors
    /// Only [`CommandError::Malformed`]: which arguments there must be, the services say.
    pub(super) fn parse(bytes: &[u8]) -> Result<CommandSet, CommandError> {
        if bytes.len() > MAX_LENGTH {
            return Err(CommandError::Malformed("longer than 64 KiB"));
        }
        let mut values = BTreeMap::new();
        let mut repeated = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tag, value, after) = split_element(rest)?;
            // Orthanc 1.10.1 puts the Failed SOP Instance UID List (0008,0058) of a C-GET-RSP in here.
            if tag.group() == 0 && values.insert(tag.element(), value.to_vec()).is_some() {
                repeated = Some(tag);
            }
            rest = after;
        }
        let command_field = values
            .get(&element::COMMAND_FIELD.element())
            .and_then(|value| u16::read(value))
            .ok_or(CommandError::Malformed("no Command Field (0000,0100)"))?;
        Ok(CommandSet { command_field, values, repeated })
    }

    /// Writes the set, Command Group Length first.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        const HEADER: usize = 8;
        let group_length: usize = self.values.values().map(|value| HEADER + value.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER + 4 + group_length);
        push_element(&mut bytes, element::COMMAND_GROUP_LENGTH.element(), &length_field(group_length));
        for (&number, value) in &self.values {
            push_element(&mut bytes, number, value);
        }
        bytes
    }

    /// Command Field (0000,0100).
    pub(super) fn command_field(&self) -> u16 {
        self.command_field
    }

    /// Adds an argument.
    pub(super) fn with(mut self, tag: Tag, argument: &impl Argument) -> CommandSet {
        let mut value = argument.write();
        if value.len() % 2 == 1 {
            // PS3.5 6.2: UI is padded with NUL, the texts with a space.
            value.push(if argument.pads_with_nul() { 0 } else { b' ' });
        }
        self.values.insert(tag.element(), value);
        self
    }

    /// Adds an argument that may be absent.
    pub(super) fn with_optional(self, tag: Tag, argument: Option<&impl Argument>) -> CommandSet {
        match argument {
            Some(argument) => self.with(tag, argument),
            None => self,
        }
    }

    /// Adds Offending Element and Error Comment, where there are any.
    pub(super) fn with_reasons(self, offending_elements: &Vec<Tag>, comment: Option<&String>) -> CommandSet {
        let offending_elements = (!offending_elements.is_empty()).then_some(offending_elements);
        self.with_optional(element::OFFENDING_ELEMENT, offending_elements)
            .with_optional(element::ERROR_COMMENT, comment)
    }

    /// Adds the counters that are there.
    pub(super) fn with_counters(self, counters: &Counters) -> CommandSet {
        self.with_optional(element::REMAINING_SUB_OPERATIONS, counters.remaining.as_ref())
            .with_optional(element::COMPLETED_SUB_OPERATIONS, counters.completed.as_ref())
            .with_optional(element::FAILED_SUB_OPERATIONS, counters.failed.as_ref())
            .with_optional(element::WARNING_SUB_OPERATIONS, counters.warning.as_ref())
    }

    /// The counters that are there.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            remaining: self.optional(element::REMAINING_SUB_OPERATIONS),
            completed: self.optional(element::COMPLETED_SUB_OPERATIONS),
            failed: self.optional(element::FAILED_SUB_OPERATIONS),
            warning: self.optional(element::WARNING_SUB_OPERATIONS),
        }
    }

    /// An argument that must be there.
    ///
    /// # Errors
    /// [`CommandError::MistypedArgument`].
    pub(super) fn required<A: Argument>(&self, tag: Tag) -> Result<A, CommandError> {
        self.optional(tag).ok_or_else(|| self.mistyped(tag))
    }

    /// An argument that may be absent. One that cannot be read counts as absent: a response is not worth less
    /// for a broken comment.
    pub(super) fn optional<A: Argument>(&self, tag: Tag) -> Option<A> {
        self.values.get(&tag.element()).and_then(|value| A::read(value))
    }

    /// Whether a data set follows, if Command Data Set Type is there.
    pub(super) fn data_set_type(&self) -> Option<DataSetType> {
        self.optional(element::COMMAND_DATA_SET_TYPE)
    }

    /// The one Message ID that names the operation: in a response, of the request that it answers. C-CANCEL-RQ has none,
    /// whatever it says: it has no response either (PS3.7 9.3.2.3).
    pub(super) fn message_id(&self) -> Option<MessageId> {
        if self.command_field == CCancelRq::COMMAND_FIELD {
            return None;
        }
        self.optional(self.message_id_tag())
    }

    fn message_id_tag(&self) -> Tag {
        let is_response = self.command_field & RESPONSE != 0;
        if is_response { element::MESSAGE_ID_BEING_RESPONDED_TO } else { element::MESSAGE_ID }
    }

    /// Checks that no element came twice.
    ///
    /// # Errors
    /// [`CommandError::MistypedArgument`].
    pub(super) fn check_not_repeated(&self) -> Result<(), CommandError> {
        self.repeated.map_or(Ok(()), |tag| Err(self.mistyped(tag)))
    }

    /// Checks that the command says of the data set what it always says.
    ///
    /// # Errors
    /// [`CommandError::MistypedArgument`].
    pub(super) fn check_data_set_type(&self, expected: DataSetType) -> Result<(), CommandError> {
        if self.data_set_type() == Some(expected) {
            Ok(())
        } else {
            Err(self.mistyped(element::COMMAND_DATA_SET_TYPE))
        }
    }

    /// As [`CommandSet::check_data_set_type`] for a response that never has a data set, and for a C-CANCEL-RQ, which has no
    /// response: nobody can be told that it is not said, so that is forgiven; to announce one is not.
    ///
    /// # Errors
    /// [`CommandError::MistypedArgument`].
    pub(super) fn check_no_data_set(&self) -> Result<(), CommandError> {
        match self.data_set_type() {
            Some(DataSetType::Present) => Err(self.mistyped(element::COMMAND_DATA_SET_TYPE)),
            Some(DataSetType::Null) | None => Ok(()),
        }
    }

    fn mistyped(&self, element: Tag) -> CommandError {
        CommandError::MistypedArgument {
            command_field: self.command_field,
            message_id: self.message_id(),
            element,
            fault: self.fault(element),
            data_set_type: self.data_set_type().unwrap_or_else(|| self.usual_data_set_type()),
        }
    }

    fn fault(&self, element: Tag) -> ArgumentFault {
        let is_padding = |byte: &u8| matches!(byte, 0 | b' ');
        match self.values.get(&element.element()) {
            _ if self.repeated == Some(element) => ArgumentFault::Repeated,
            None => ArgumentFault::Lacking,
            Some(value) if value.iter().all(is_padding) => ArgumentFault::Lacking,
            Some(_) => ArgumentFault::Unreadable,
        }
    }

    /// What is most likely when the command does not say: all DIMSE-C requests but C-ECHO and C-CANCEL have one, and
    /// so have the reports and actions of Storage Commitment.
    fn usual_data_set_type(&self) -> DataSetType {
        match self.command_field {
            0x0001 | 0x0010 | 0x0020 | 0x0021 | 0x0100 | 0x0130 => DataSetType::Present,
            _ => DataSetType::Null,
        }
    }
}

/// Splits the first element off: its tag, its value, and what comes after.
fn split_element(bytes: &[u8]) -> Result<(Tag, &[u8], &[u8]), CommandError> {
    let [g0, g1, e0, e1, l0, l1, l2, l3, rest @ ..] = bytes else {
        return Err(CommandError::Malformed("ends within an element header"));
    };
    let tag = Tag(u16::from_le_bytes([*g0, *g1]), u16::from_le_bytes([*e0, *e1]));
    let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
    usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .map(|(value, after)| (tag, value, after))
        .ok_or(CommandError::Malformed("an element is longer than the command set"))
}

fn push_element(bytes: &mut Vec<u8>, number: u16, value: &[u8]) {
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&length_field(value.len()));
    bytes.extend_from_slice(value);
}

/// A length of what we write ourselves, which has a few hundred bytes.
fn length_field(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A C-ECHO-RQ by hand, with its Command Group Length and what else a test wants to put in.
    fn echo_rq(more: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0\0\x02\0\x12\0\0\x001.2.840.10008.1.1\0\0\0\0\x01\x02\0\0\0\x30\0".to_vec();
        bytes.extend_from_slice(b"\0\0\x10\x01\x02\0\0\0\x07\0\0\0\0\x08\x02\0\0\0\x01\x01");
        bytes.extend_from_slice(more);
        bytes
    }

    #[test]
    fn unknown_elements_and_any_group_length_do_no_harm() {
        for more in [&b""[..], b"\0\0\0\0\x04\0\0\0\xff\xff\xff\xff", b"\0\0\x34\x12\x03\0\0\0abc"] {
            let set = CommandSet::parse(&echo_rq(more)).unwrap();
            assert_eq!(set.command_field(), 0x0030);
            assert_eq!(set.message_id(), Some(MessageId(7)));
            assert_eq!(set.check_not_repeated(), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_read_as_elements_is_malformed() {
        for (more, reason) in [
            (&b"\0"[..], "ends within an element header"),
            (b"\0\0\x34\x12\x01\0\0\0", "an element is longer than the command set"),
            (b"\0\0\x34\x12\xff\xff\xff\xffab", "an element is longer than the command set"),
            // Explicit VR: the VR and the short length are taken for a length of 150 KB.
            (b"\0\0\x34\x12US\x02\0\x01\0", "an element is longer than the command set"),
        ] {
            assert_eq!(CommandSet::parse(&echo_rq(more)), Err(CommandError::Malformed(reason)));
        }
        assert_eq!(CommandSet::parse(b""), Err(CommandError::Malformed("no Command Field (0000,0100)")));
        let long = vec![0; MAX_LENGTH + 1];
        assert_eq!(CommandSet::parse(&long), Err(CommandError::Malformed("longer than 64 KiB")));
    }
}
