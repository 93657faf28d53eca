//! Messages as fragments, PS3.8 Annex E: how they are put together, and how they are cut.
//!
//! Receiving: every [`Fragment`] of [`super::Event::Data`] goes into [`Assembler::push`]. Out comes a whole
//! command, or a piece of a data set as it came, without a copy:
//!
//! ```
//! # use dicomet_proto::association::fragments::{Assembled, Assembler};
//! # use dicomet_proto::association::{ContextId, Fragment, FragmentKind, Position};
//! # use dicomet_proto::message::DataSetType;
//! # let fragment = Fragment { context_id: ContextId::new(1).unwrap(), kind: FragmentKind::Command,
//! #     position: Position::Last, data: bytes::Bytes::from_static(b"..") };
//! # let mut assembler = Assembler::new();
//! match assembler.push(fragment) {
//!     Ok(Some(Assembled::Command { context_id, bytes })) => {
//!         // Read the command, then say whether a data set follows it:
//!         assembler.command_read(DataSetType::Present);
//! #       let _ = (context_id, bytes);
//!     }
//!     Ok(Some(Assembled::Data { data, position })) => { /* a piece; the last one when position says so */ }
//!     Ok(None) => { /* a command that is not whole yet */ }
//!     Err(error) => { /* association.abort_for(error.abort_reason(), error.what(), now) */ }
//! }
//! ```
//!
//! Sending: [`write_message`] for what is in memory (one P-DATA-TF when command and data set fit); [`cut`] and
//! [`super::Association::data_header`] for what is read as it is sent.
//!
//! What E.1 says and what is made of it: the fragments of a message come one after the other, on one context,
//! command before data set; anything else is answered by A-ABORT. An odd number of bytes in a fragment is let
//! through. A P-DATA-TF with fragments of two messages is let through where each of them is whole in itself.

use bytes::{BufMut, Bytes, BytesMut};

use super::{ContextId, Fragment, FragmentKind, Position};
use crate::message::DataSetType;
use crate::message::command_set;
use crate::pdu::data_tf::{self, VALUE_HEADER_LENGTH};
use crate::pdu::{AbortReason, HEADER_LENGTH};

/// What comes out of an [`Assembler`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assembled {
    /// A whole command set; [`Assembler::command_read`] is to be called before the next fragment.
    Command {
        /// The presentation context of the message.
        context_id: ContextId,
        /// The command set.
        bytes: Bytes,
    },
    /// A piece of the data set of the command before; it may be empty.
    Data {
        /// The piece.
        data: Bytes,
        /// Whether it is the last.
        position: Position,
    },
}

/// Puts fragments together. It holds at most one command set that is not whole, and never a data set.
#[derive(Debug, Default)]
pub struct Assembler {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Between two messages.
    #[default]
    Idle,
    /// A command has begun.
    Command { context_id: ContextId, bytes: BytesMut },
    /// A command is out, and nobody has said yet whether a data set follows.
    CommandOut { context_id: ContextId },
    /// A data set follows, or goes on.
    DataSet { context_id: ContextId },
}

/// How a peer broke PS3.8 E.1, or our limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.what())]
pub enum FragmentError {
    /// A command set beyond [`command_set::MAX_LENGTH`].
    CommandTooLong,
    /// A data set fragment where no data set belongs.
    UnexpectedData,
    /// A command fragment before the data set of the message has ended.
    UnexpectedCommand,
    /// A fragment on another presentation context than the message has begun on.
    OtherContext,
}

impl FragmentError {
    /// The reason to give in A-ABORT.
    pub const fn abort_reason(self) -> AbortReason {
        match self {
            FragmentError::CommandTooLong => AbortReason::InvalidPduParameterValue,
            FragmentError::UnexpectedData
            | FragmentError::UnexpectedCommand
            | FragmentError::OtherContext => AbortReason::UnexpectedPduParameter,
        }
    }

    /// What the peer did, as the end of a sentence that begins with "it".
    pub const fn what(self) -> &'static str {
        match self {
            FragmentError::CommandTooLong => "sent a command set beyond 64 KiB",
            FragmentError::UnexpectedData => "sent a data set fragment that belongs to no command",
            FragmentError::UnexpectedCommand => "sent a command fragment in the middle of a data set",
            FragmentError::OtherContext => "changed the presentation context in the middle of a message",
        }
    }
}

impl Assembler {
    /// An assembler between two messages.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// Whether the data set of the command given out last has not ended.
    pub fn expects_data(&self) -> bool {
        matches!(self.state, State::DataSet { .. })
    }

    /// Says whether a data set follows the command given out last. As long as nobody has, none does.
    pub fn command_read(&mut self, data_set_type: DataSetType) {
        if let State::CommandOut { context_id } = self.state {
            self.state = match data_set_type {
                DataSetType::Null => State::Idle,
                DataSetType::Present => State::DataSet { context_id },
            };
        }
    }

    /// Takes the next fragment.
    ///
    /// # Errors
    /// [`FragmentError`]: the association is to be aborted for it.
    pub fn push(&mut self, fragment: Fragment) -> Result<Option<Assembled>, FragmentError> {
        match fragment.kind {
            FragmentKind::Command => self.push_command(fragment),
            FragmentKind::DataSet => self.push_data(fragment).map(Some),
        }
    }

    fn push_command(&mut self, fragment: Fragment) -> Result<Option<Assembled>, FragmentError> {
        let Fragment { context_id, position, data, .. } = fragment;
        let begun = match &mut self.state {
            State::Idle | State::CommandOut { .. } => None,
            State::Command { context_id: begun_on, .. } if *begun_on != context_id => {
                return Err(FragmentError::OtherContext);
            }
            State::Command { bytes, .. } => Some(std::mem::take(bytes)),
            State::DataSet { .. } => return Err(FragmentError::UnexpectedCommand),
        };
        if begun.as_ref().map_or(0, BytesMut::len) + data.len() > command_set::MAX_LENGTH {
            return Err(FragmentError::CommandTooLong);
        }
        let bytes = match (begun, position) {
            // The usual case: a command in one fragment.
            (None, Position::Last) => data,
            (begun, position) => {
                let mut bytes = begun.unwrap_or_default();
                bytes.put_slice(&data);
                if position == Position::More {
                    self.state = State::Command { context_id, bytes };
                    return Ok(None);
                }
                bytes.freeze()
            }
        };
        self.state = State::CommandOut { context_id };
        Ok(Some(Assembled::Command { context_id, bytes }))
    }

    fn push_data(&mut self, fragment: Fragment) -> Result<Assembled, FragmentError> {
        match self.state {
            State::DataSet { context_id } if context_id == fragment.context_id => {}
            State::DataSet { .. } => return Err(FragmentError::OtherContext),
            _ => return Err(FragmentError::UnexpectedData),
        }
        if fragment.position == Position::Last {
            self.state = State::Idle;
        }
        Ok(Assembled::Data { data: fragment.data, position: fragment.position })
    }
}

/// What goes before a fragment that is alone in its P-DATA-TF: PDU header and one item header, PS3.8 9.3.5.
pub fn header(context_id: ContextId, kind: FragmentKind, position: Position, length: usize) -> [u8; 12] {
    // No fragment here is longer than the 256 KiB of `Association::max_fragment_length`.
    let length = u32::try_from(length).unwrap_or(u32::MAX - 6);
    let mut header = [0; HEADER_LENGTH + VALUE_HEADER_LENGTH];
    header[..HEADER_LENGTH].copy_from_slice(&data_tf::header(length + VALUE_HEADER_LENGTH as u32));
    header[HEADER_LENGTH..].copy_from_slice(&data_tf::value_header(context_id.get(), kind, position, length));
    header
}

/// Cuts `length` bytes into fragments of at most `max_fragment_length`: the length and position of each, in
/// order. Nothing at all is one empty fragment, because a data set that was announced must end.
pub fn cut(length: u64, max_fragment_length: usize) -> impl Iterator<Item = (usize, Position)> {
    let most = max_fragment_length.max(1);
    let mut rest = Some(length);
    std::iter::from_fn(move || {
        let left = rest?;
        match usize::try_from(left) {
            Ok(left) if left <= most => {
                rest = None;
                Some((left, Position::Last))
            }
            _ => {
                rest = Some(left - most as u64);
                Some((most, Position::More))
            }
        }
    })
}

/// Writes a message that is in memory to the end of `output`: in one P-DATA-TF when command and data set fit
/// (PixelMed needs that of a C-GET-RSP or C-MOVE-RSP with an identifier; others do the same), else cut.
pub fn write_message(
    output: &mut BytesMut,
    context_id: ContextId,
    command: &[u8],
    data_set: Option<&[u8]>,
    max_fragment_length: usize,
) {
    match data_set {
        Some(data_set) => {
            match packed_headers(context_id, command.len(), data_set.len(), max_fragment_length) {
                Some(headers) => {
                    output.reserve(18 + command.len() + data_set.len());
                    output.put_slice(&headers.before_command);
                    output.put_slice(command);
                    output.put_slice(&headers.before_data_set);
                    output.put_slice(data_set);
                }
                None => {
                    write_cut(output, context_id, FragmentKind::Command, command, max_fragment_length);
                    write_cut(output, context_id, FragmentKind::DataSet, data_set, max_fragment_length);
                }
            }
        }
        None => write_cut(output, context_id, FragmentKind::Command, command, max_fragment_length),
    }
}

fn write_cut(
    output: &mut BytesMut,
    context_id: ContextId,
    kind: FragmentKind,
    mut bytes: &[u8],
    max_fragment_length: usize,
) {
    for (length, position) in cut(bytes.len() as u64, max_fragment_length) {
        let (fragment, rest) = bytes.split_at(length);
        output.put_slice(&header(context_id, kind, position, length));
        output.put_slice(fragment);
        bytes = rest;
    }
}

/// What goes before the two fragments of a P-DATA-TF that holds a whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedHeaders {
    /// PDU header, and the item header of the command.
    pub before_command: [u8; 12],
    /// The item header of the data set.
    pub before_data_set: [u8; 6],
}

/// The headers of a P-DATA-TF with a whole command and a whole data set; `None` when it would be longer than
/// one with a fragment of `max_fragment_length`.
pub fn packed_headers(
    context_id: ContextId,
    command_length: usize,
    data_set_length: usize,
    max_fragment_length: usize,
) -> Option<PackedHeaders> {
    let most = max_fragment_length.checked_add(VALUE_HEADER_LENGTH)?;
    let length = command_length.checked_add(data_set_length)?.checked_add(2 * VALUE_HEADER_LENGTH)?;
    if length > most {
        return None;
    }
    let id = context_id.get();
    let value_header = |kind, length| {
        let length = u32::try_from(length).ok()?;
        Some(data_tf::value_header(id, kind, Position::Last, length))
    };
    let mut before_command = [0; HEADER_LENGTH + VALUE_HEADER_LENGTH];
    before_command[..HEADER_LENGTH].copy_from_slice(&data_tf::header(u32::try_from(length).ok()?));
    before_command[HEADER_LENGTH..].copy_from_slice(&value_header(FragmentKind::Command, command_length)?);
    Some(PackedHeaders {
        before_command,
        before_data_set: value_header(FragmentKind::DataSet, data_set_length)?,
    })
}

#[cfg(test)]
mod tests;
