//! Requests that have to wait: while an operation goes on that needs the association to itself, others are put off as
//! they arrive, and handed out after it, in the order of their coming, as if they had come then.
//!
//! ```text
//! inbox ------------------> owner      [`Association::receive_arriving`], while the operation goes on
//!   ^                         |
//!   |                         | [`Association::put_off`]
//!   +--------- put off <------+
//!      [`Association::receive`], afterwards
//! ```
//!
//! Nobody waits for the data set of a request that is put off: its pieces are put with it as they come.

use std::collections::VecDeque;

use bytes::Bytes;
use dicomet_proto::message::{Command, DataSetType, MessageId};

use super::{Association, Following, Item, Message, Queue, Received};
use crate::Error;

/// Room for the data sets of all requests that are put off on one association, in bytes: identifiers of a few hundred
/// bytes for as many requests as the widest window allows, or a few long lists of UIDs.
const ROOM: usize = 1024 * 1024;

/// The requests that are put off, in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct PutOff {
    requests: VecDeque<Request>,
    size: usize,
}

/// One of them.
#[derive(Debug)]
struct Request {
    message: Message,
    data: Vec<u8>,
    /// All of its data set has come, or it has none.
    is_whole: bool,
}

impl PutOff {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether the data set that is arriving belongs to the last of them.
    pub(super) fn is_arriving(&self) -> bool {
        self.requests.back().is_some_and(|request| !request.is_whole)
    }

    fn push(&mut self, message: Message) {
        let is_whole = message.command.data_set_type() == DataSetType::Null;
        self.requests.push_back(Request { message, data: Vec::new(), is_whole });
    }

    /// Takes the next piece of the data set that is arriving.
    ///
    /// # Errors
    /// The command, put off no longer, when there is no room for it.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), Message> {
        if self.size + piece.len() > ROOM
            && let Some(request) = self.requests.pop_back()
        {
            self.size -= request.data.len();
            return Err(request.message);
        }
        if let Some(request) = self.requests.back_mut() {
            self.size += piece.len();
            // A copy: the piece lies in the buffer that it was read into, which it would keep from being freed.
            request.data.extend_from_slice(piece);
        }
        Ok(())
    }

    /// The data set that is arriving has come to its end.
    pub(super) fn end(&mut self) {
        if let Some(request) = self.requests.back_mut() {
            request.is_whole = true;
        }
    }

    /// The first of them, as it came.
    pub(super) fn pop(&mut self) -> Option<impl DoubleEndedIterator<Item = Item> + use<>> {
        let Request { message, data, is_whole } = self.requests.pop_front()?;
        self.size -= data.len();
        let has_data = message.command.data_set_type() == DataSetType::Present;
        let command = Item::Command(message.context_id, Ok(message.command));
        let data = (!data.is_empty()).then(|| Item::Data(Bytes::from(data)));
        let end = (has_data && is_whole).then_some(Item::EndOfData);
        Some([Some(command), data, end].into_iter().flatten())
    }

    /// Takes out the one that a C-CANCEL-RQ names.
    fn take_cancelled(&mut self, message_id: MessageId) -> Option<Message> {
        let is_named = |request: &Request| cancelled_by(&request.message.command) == Some(message_id);
        let request = self.requests.remove(self.requests.iter().position(is_named)?)?;
        self.size -= request.data.len();
        Some(request.message)
    }
}

/// What a C-CANCEL-RQ of a request has for its Message ID Being Responded To; `None` where there is no such thing.
fn cancelled_by(request: &Command) -> Option<MessageId> {
    let can_be_cancelled = matches!(request, Command::CFindRq(_) | Command::CGetRq(_) | Command::CMoveRq(_));
    request.request_id().filter(|_| can_be_cancelled)
}

impl Association {
    /// Whether a request that is put off has this Message ID.
    pub(crate) fn is_put_off(&self, message_id: MessageId) -> bool {
        let mut requests = self.put_off.requests.iter();
        requests.any(|request| request.message.command.request_id() == Some(message_id))
    }

    /// As [`Association::receive`], past what is put off.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub(crate) async fn receive_arriving(&mut self) -> Result<Received, Error> {
        self.receive_from(Queue::Arriving, self.timeouts.progress, "send a response").await
    }

    /// As [`Association::try_receive`], past what is put off.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub(crate) fn try_receive_arriving(&mut self) -> Result<Option<Received>, Error> {
        self.try_receive_from(Queue::Arriving)
    }

    /// Puts off the request received last, with the data set that follows it, unless so many are put off already. One
    /// whose data set turns out to have no room is received a second time, and cannot be put off then.
    ///
    /// # Errors
    /// The request itself, when it cannot be put off.
    pub(crate) fn put_off(&mut self, request: Message, most: usize) -> Result<(), Message> {
        if self.following == Following::Rest || self.put_off.requests.len() >= most {
            return Err(request);
        }
        self.following = Following::Nothing;
        self.put_off.push(request);
        Ok(())
    }

    /// Takes out the request that a C-CANCEL-RQ names, if it is put off.
    pub(crate) fn take_cancelled(&mut self, message_id: MessageId) -> Option<Message> {
        self.put_off.take_cancelled(message_id)
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::association::ContextId;
    use dicomet_proto::dataset::dictionary::uids;
    use dicomet_proto::message::{CEchoRq, CFindRq, Priority};

    use super::*;
    use crate::association::Data;
    use crate::testing::{data, message, pair};

    const PIPE: usize = 64 * 1024;
    const MANY: usize = 100;

    fn echo(id: u16) -> Command {
        let affected_sop_class_uid = uids::VERIFICATION;
        Command::CEchoRq(CEchoRq { message_id: MessageId(id), affected_sop_class_uid })
    }

    fn find(id: u16) -> Command {
        let affected_sop_class_uid = uids::STUDY_ROOT_FIND;
        let priority = Priority::Medium;
        Command::CFindRq(CFindRq { message_id: MessageId(id), affected_sop_class_uid, priority })
    }

    async fn send_echo(association: &mut Association, id: u16) {
        association.send(ContextId::new(1).unwrap(), &echo(id), Data::None).await.unwrap();
        association.flush().await.unwrap();
    }

    async fn send_find(association: &mut Association, id: u16, identifier: &[u8]) {
        let context_id = ContextId::new(3).unwrap();
        association.send(context_id, &find(id), Data::Bytes(identifier)).await.unwrap();
        association.flush().await.unwrap();
    }

    async fn arriving(association: &mut Association) -> Message {
        match association.receive_arriving().await.unwrap() {
            Received::Message(message) => message,
            Received::ReleaseRequested => panic!("a release request instead of a message"),
        }
    }

    /// Puts off the next, which must be this.
    async fn put_off(association: &mut Association, command: Command) {
        let message = arriving(association).await;
        assert_eq!(message.command, command);
        association.put_off(message, MANY).unwrap();
    }

    #[tokio::test]
    async fn what_is_put_off_comes_afterwards_in_its_order_and_before_what_arrives() {
        let (mut requestor, mut acceptor) = pair(PIPE).await;
        for id in [1, 2] {
            send_find(&mut requestor, id, &[id as u8; 1000]).await;
        }
        send_echo(&mut requestor, 3).await;
        put_off(&mut acceptor, find(1)).await;
        put_off(&mut acceptor, find(2)).await;
        assert_eq!(arriving(&mut acceptor).await.command, echo(3));
        send_echo(&mut requestor, 4).await;
        assert!(acceptor.arrives_within(std::time::Duration::ZERO).await.unwrap());
        for id in [1, 2] {
            assert_eq!(message(&mut acceptor).await.command, find(id));
            assert_eq!(data(&mut acceptor).await, vec![id as u8; 1000]);
        }
        assert_eq!(message(&mut acceptor).await.command, echo(4));
    }

    #[tokio::test]
    async fn what_is_passed_over_of_one_does_not_come_with_the_next() {
        let (mut requestor, mut acceptor) = pair(PIPE).await;
        for id in [1, 2] {
            send_find(&mut requestor, id, &[id as u8; 1000]).await;
            put_off(&mut acceptor, find(id)).await;
        }
        assert_eq!(message(&mut acceptor).await.command, find(1));
        assert_eq!(message(&mut acceptor).await.command, find(2));
        assert_eq!(data(&mut acceptor).await, vec![2; 1000]);
    }

    #[tokio::test]
    async fn a_data_set_that_has_not_come_yet_is_not_waited_for_and_comes_with_its_request() {
        let (mut requestor, mut acceptor) = pair(1000).await;
        let identifier: Vec<u8> = (0..400_000).map(|place| (place % 251) as u8).collect();
        let serve = async {
            put_off(&mut acceptor, find(1)).await;
            while acceptor.put_off.size == 0 {
                assert_eq!(acceptor.try_receive_arriving().unwrap(), None);
                tokio::task::yield_now().await;
            }
            assert!(acceptor.put_off.is_arriving());
            assert_eq!(message(&mut acceptor).await.command, find(1));
            assert!(data(&mut acceptor).await == identifier);
            assert_eq!(message(&mut acceptor).await.command, echo(2));
        };
        let ask = async {
            send_find(&mut requestor, 1, &identifier).await;
            send_echo(&mut requestor, 2).await;
        };
        tokio::join!(ask, serve);
    }

    #[tokio::test]
    async fn one_without_room_comes_a_second_time_and_cannot_be_put_off() {
        let (mut requestor, mut acceptor) = pair(PIPE).await;
        let identifier = vec![7; ROOM / 2 + 1];
        let serve = async {
            put_off(&mut acceptor, find(1)).await;
            put_off(&mut acceptor, find(2)).await;
            let again = arriving(&mut acceptor).await;
            assert_eq!(again.command, find(2));
            let refused = acceptor.put_off(again, MANY).unwrap_err();
            assert_eq!(refused.command, find(2));
            put_off(&mut acceptor, find(3)).await;
            assert_eq!(arriving(&mut acceptor).await.command, echo(4));
            for (id, identifier) in [(1, &identifier[..]), (3, &[3; 10])] {
                assert_eq!(message(&mut acceptor).await.command, find(id));
                assert!(data(&mut acceptor).await == identifier);
            }
            assert_eq!(acceptor.put_off.size, 0);
        };
        let ask = async {
            send_find(&mut requestor, 1, &identifier).await;
            send_find(&mut requestor, 2, &identifier).await;
            send_find(&mut requestor, 3, &[3; 10]).await;
            send_echo(&mut requestor, 4).await;
        };
        tokio::join!(ask, serve);
    }

    #[tokio::test]
    async fn no_more_are_put_off_than_may_be_and_one_that_is_cancelled_makes_room() {
        let (mut requestor, mut acceptor) = pair(PIPE).await;
        for id in 1..=3 {
            send_find(&mut requestor, id, &[id as u8; 10]).await;
        }
        for _ in 0..2 {
            let message = arriving(&mut acceptor).await;
            acceptor.put_off(message, 2).unwrap();
        }
        assert_eq!([1, 2, 3].map(|id| acceptor.is_put_off(MessageId(id))), [true, true, false]);
        let third = arriving(&mut acceptor).await;
        let third = acceptor.put_off(third, 2).unwrap_err();
        assert_eq!(acceptor.take_cancelled(MessageId(9)), None);
        assert_eq!(acceptor.take_cancelled(MessageId(1)).unwrap().command, find(1));
        assert_eq!(acceptor.take_cancelled(MessageId(1)), None);
        acceptor.put_off(third, 2).unwrap();
        for id in [2, 3] {
            assert_eq!(message(&mut acceptor).await.command, find(id));
            assert_eq!(data(&mut acceptor).await, vec![id as u8; 10]);
        }
    }
}
