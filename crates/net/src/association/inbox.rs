//! What has arrived and was not taken yet: commands whole, data sets in pieces, in the order of their coming.

use std::collections::VecDeque;

use bytes::Bytes;
use dicomet_proto::association::fragments::{Assembled, Assembler, FragmentError};
use dicomet_proto::association::negotiation::Negotiated;
use dicomet_proto::association::{ContextId, Fragment, Position};
use dicomet_proto::message::command_set::CommandError;
use dicomet_proto::message::{Command, MessageId};
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

/// A rule of PS3.8 Annex E or PS3.7 that the peer broke, and what to say in A-ABORT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: AbortReason,
    pub(crate) what: &'static str,
}

impl From<FragmentError> for Fault {
    fn from(error: FragmentError) -> Fault {
        Fault { reason: error.abort_reason(), what: error.what() }
    }
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    items: VecDeque<Item>,
    size: usize,
    cancels: usize,
    assembler: Assembler,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { items: VecDeque::new(), size: 0, cancels: 0, assembler: Assembler::new() }
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

    /// Puts in front what was taken out before.
    pub(crate) fn put_back(&mut self, items: impl DoubleEndedIterator<Item = Item>) {
        for item in items.rev() {
            self.size += item.size();
            self.cancels += usize::from(is_cancel(&item));
            self.items.push_front(item);
        }
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
        match self.assembler.push(fragment)? {
            None => Ok(false),
            Some(Assembled::Command { context_id, bytes }) => {
                let command = Command::decode(&bytes);
                let data_set_type = match &command {
                    Ok(command) => command.data_set_type(),
                    Err(CommandError::MistypedArgument { data_set_type, .. }) => *data_set_type,
                    Err(CommandError::Malformed(_)) => {
                        let what = "sent a command set that cannot be read";
                        return Err(Fault { reason: AbortReason::InvalidPduParameterValue, what });
                    }
                };
                self.assembler.command_read(data_set_type);
                self.push(Item::Command(context_id, command));
                Ok(true)
            }
            Some(Assembled::Data { data, position }) => {
                if !data.is_empty() {
                    self.push(Item::Data(data));
                }
                if position == Position::Last {
                    self.push(Item::EndOfData);
                }
                Ok(position == Position::Last)
            }
        }
    }
}

fn is_cancel(item: &Item) -> bool {
    matches!(item, Item::Command(_, Ok(Command::CCancelRq(_))))
}

#[cfg(test)]
mod tests {
    use dicomet_proto::association::FragmentKind;
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
