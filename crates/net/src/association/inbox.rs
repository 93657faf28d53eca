//! What has arrived and was not taken yet: commands whole, data sets in pieces, in the order of their coming.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use dicomet_proto::association::negotiation::Negotiated;
use dicomet_proto::association::{ContextId, Fragment, FragmentKind, Position};
use dicomet_proto::message::command_set::{self, CommandError};
use dicomet_proto::message::{Command, DataSetType, MessageId};
use dicomet_proto::pdu::{AbortReason, AssociateRq};

/// Past so many bytes nothing more is read until the owner has taken some: the transport then holds the peer
/// back.
const LIMIT: usize = 1024 * 1024;

/// What an item counts beside its bytes, so that a million empty fragments are not free.
const ITEM_SIZE: usize = 128;

/// One thing that has arrived.
#[derive(Debug)]
pub(crate) enum Item {
    AssociateRequested(Box<AssociateRq>),
    Established(Box<Negotiated>),
    /// A command, or what could be made out of one that lacks something and must be answered.
    Command(ContextId, Result<Command, CommandError>),
    Data(Bytes),
    EndOfData,
    ReleaseRequested,
    Released,
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Item::Data(data) => ITEM_SIZE + data.len(),
            _ => ITEM_SIZE,
        }
    }
}

/// What the next fragment must be (PS3.8 E.1: the fragments of a message follow one another).
#[derive(Debug)]
enum Expected {
    /// The first of a command.
    Command,
    /// A further one of a command.
    MoreOfCommand(ContextId, BytesMut),
    /// One of the data set that a command announced.
    DataSet(ContextId),
}

/// A rule of PS3.8 Annex E or PS3.7 that the peer broke, and what to say in A-ABORT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: AbortReason,
    pub(crate) what: &'static str,
}

impl Fault {
    /// A fragment where it does not belong.
    fn unexpected(what: &'static str) -> Fault {
        Fault { reason: AbortReason::UnexpectedPduParameter, what }
    }

    /// A fragment with something wrong in it.
    fn invalid(what: &'static str) -> Fault {
        Fault { reason: AbortReason::InvalidPduParameterValue, what }
    }
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    items: VecDeque<Item>,
    size: usize,
    cancels: usize,
    expected: Expected,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { items: VecDeque::new(), size: 0, cancels: 0, expected: Expected::Command }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.size >= LIMIT
    }

    /// Throws away what is there.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        (self.size, self.cancels) = (0, 0);
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.size += item.size();
        self.cancels += usize::from(is_cancel(&item));
        self.items.push_back(item);
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.size -= item.size();
        self.cancels -= usize::from(is_cancel(&item));
        Some(item)
    }

    /// Takes a C-CANCEL-RQ of one operation out of the middle of the queue, and leaves the rest as it stands.
    pub(crate) fn take_cancel(&mut self, message_id: MessageId) -> bool {
        if self.cancels == 0 {
            return false;
        }
        let place = self.items.iter().position(|item| match item {
            Item::Command(_, Ok(Command::CCancelRq(cancel))) => cancel.message_id == message_id,
            _ => false,
        });
        let Some(item) = place.and_then(|place| self.items.remove(place)) else { return false };
        self.size -= item.size();
        self.cancels -= 1;
        true
    }

    /// Takes a fragment. Answers whether a command or a data set is now whole.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn take_fragment(&mut self, fragment: Fragment) -> Result<bool, Fault> {
        let Fragment { context_id, kind, position, data } = fragment;
        match (&mut self.expected, kind) {
            (Expected::Command, FragmentKind::Command) => {
                check_command_length(data.len())?;
                if position == Position::Last {
                    self.take_command(context_id, &data)?;
                } else {
                    self.expected = Expected::MoreOfCommand(context_id, BytesMut::from(&data[..]));
                }
            }
            (Expected::MoreOfCommand(id, bytes), FragmentKind::Command) if *id == context_id => {
                check_command_length(bytes.len() + data.len())?;
                bytes.extend_from_slice(&data);
                if position == Position::Last {
                    let bytes = std::mem::take(bytes);
                    self.take_command(context_id, &bytes)?;
                }
            }
            (Expected::DataSet(id), FragmentKind::DataSet) if *id == context_id => {
                if !data.is_empty() {
                    self.push(Item::Data(data));
                }
                if position == Position::Last {
                    self.push(Item::EndOfData);
                    self.expected = Expected::Command;
                }
            }
            (Expected::Command, FragmentKind::DataSet) => {
                return Err(Fault::unexpected("a data set that no command announced"));
            }
            (Expected::DataSet(_), FragmentKind::Command) => {
                return Err(Fault::unexpected("a command before the data set of the one before has ended"));
            }
            (Expected::MoreOfCommand(..), FragmentKind::DataSet) => {
                return Err(Fault::unexpected("a data set before its command has ended"));
            }
            (Expected::MoreOfCommand(..) | Expected::DataSet(_), _) => {
                return Err(Fault::unexpected("fragments of one message on two presentation contexts"));
            }
        }
        Ok(position == Position::Last)
    }

    fn take_command(&mut self, context_id: ContextId, bytes: &[u8]) -> Result<(), Fault> {
        let command = Command::decode(bytes);
        let data_set_type = match &command {
            Ok(command) => command.data_set_type(),
            Err(CommandError::MistypedArgument { data_set_type, .. }) => *data_set_type,
            Err(CommandError::Malformed(what)) => return Err(Fault::invalid(what)),
        };
        self.expected = match data_set_type {
            DataSetType::Null => Expected::Command,
            DataSetType::Present => Expected::DataSet(context_id),
        };
        self.push(Item::Command(context_id, command));
        Ok(())
    }
}

fn is_cancel(item: &Item) -> bool {
    matches!(item, Item::Command(_, Ok(Command::CCancelRq(_))))
}

fn check_command_length(length: usize) -> Result<(), Fault> {
    if length > command_set::MAX_LENGTH {
        Err(Fault::invalid("a command set longer than 64 KiB"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::message::{CCancelRq, CEchoRq};

    use super::*;

    fn fragment(context_id: u8, kind: FragmentKind, position: Position, data: &[u8]) -> Fragment {
        let context_id = ContextId::new(context_id).unwrap();
        Fragment { context_id, kind, position, data: Bytes::copy_from_slice(data) }
    }

    fn find_rq() -> Vec<u8> {
        Command::CFindRq(dicomet_proto::message::CFindRq {
            message_id: MessageId(7),
            affected_sop_class_uid: dicomet_proto::dataset::dictionary::uids::STUDY_ROOT_FIND,
            priority: Default::default(),
        })
        .encode()
    }

    #[test]
    fn a_command_in_fragments_of_one_byte_is_one_command() {
        let mut inbox = Inbox::new();
        let bytes = find_rq();
        for byte in &bytes[..bytes.len() - 1] {
            let whole = inbox.take_fragment(fragment(1, FragmentKind::Command, Position::More, &[*byte]));
            assert_eq!(whole, Ok(false));
        }
        let last = fragment(1, FragmentKind::Command, Position::Last, &bytes[bytes.len() - 1..]);
        assert_eq!(inbox.take_fragment(last), Ok(true));
        assert!(matches!(inbox.pop(), Some(Item::Command(_, Ok(Command::CFindRq(_))))));
    }

    #[test]
    fn a_message_does_not_change_its_context_nor_stand_inside_another() {
        use FragmentKind::{Command as C, DataSet as D};
        use Position::{Last, More};
        let whole = find_rq();
        let (head, tail) = whole.split_at(10);
        let transcripts: [&[(u8, FragmentKind, Position, &[u8])]; 5] = [
            &[(1, C, More, head), (3, C, Last, tail)],
            &[(1, C, Last, &whole), (3, D, Last, b"x")],
            &[(1, C, Last, &whole), (1, D, More, b"x"), (1, C, Last, &whole)],
            &[(1, D, Last, b"x")],
            &[(1, C, More, head), (1, D, Last, b"x")],
        ];
        for transcript in transcripts {
            let mut inbox = Inbox::new();
            let (last, before) = transcript.split_last().unwrap();
            for &(id, kind, position, data) in before {
                inbox.take_fragment(fragment(id, kind, position, data)).unwrap();
            }
            assert!(inbox.take_fragment(fragment(last.0, last.1, last.2, last.3)).is_err());
        }
    }

    #[test]
    fn a_command_without_end_is_refused_before_it_is_held() {
        let mut inbox = Inbox::new();
        let piece = || fragment(1, FragmentKind::Command, Position::More, &[0; 16 * 1024]);
        for _ in 0..4 {
            inbox.take_fragment(piece()).unwrap();
        }
        assert_eq!(inbox.take_fragment(piece()), Err(Fault::invalid("a command set longer than 64 KiB")));
    }

    #[test]
    fn a_cancel_is_found_behind_other_things_which_stay() {
        let mut inbox = Inbox::new();
        let echo = Command::CEchoRq(CEchoRq {
            message_id: MessageId(1),
            affected_sop_class_uid: dicomet_proto::dataset::dictionary::uids::VERIFICATION,
        });
        let cancel = Command::CCancelRq(CCancelRq { message_id: MessageId(7) });
        for command in [&echo, &cancel] {
            let bytes = command.encode();
            inbox.take_fragment(fragment(1, FragmentKind::Command, Position::Last, &bytes)).unwrap();
        }
        assert!(!inbox.take_cancel(MessageId(8)));
        assert!(inbox.take_cancel(MessageId(7)));
        assert!(!inbox.take_cancel(MessageId(7)));
        assert!(matches!(inbox.pop(), Some(Item::Command(_, Ok(Command::CEchoRq(_))))));
        assert!(inbox.is_empty() && inbox.size == 0);
    }

    #[test]
    fn empty_fragments_fill_the_queue_too() {
        let mut inbox = Inbox::new();
        inbox.take_fragment(fragment(1, FragmentKind::Command, Position::Last, &find_rq())).unwrap();
        while !inbox.is_full() {
            inbox.take_fragment(fragment(1, FragmentKind::DataSet, Position::More, b"x")).unwrap();
        }
        assert!(inbox.items.len() < 10_000);
    }
}
