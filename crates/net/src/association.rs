//! The driver: moves a [`dicomet_proto::association::Association`] over a transport, and DIMSE messages over it.
//!
//! The owner drives. There is no hidden task: every `send` and `receive` pumps both directions, so a response
//! or a C-CANCEL that arrives while we send is there at the next look, and neither side can wait for the other
//! for ever. Commands are held whole, data sets pass by in pieces.
//!
//! In memory an association holds at most a write buffer (256 KiB), a read buffer (about 1 MiB), 1 MiB of
//! what arrived while the owner did something else, and 1 MiB of data sets of requests that are put off.

mod data;
mod inbox;
mod output;
mod pump;
mod put_off;
mod send;
mod stopwatch;
mod transport;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dicomet_proto::association::negotiation::{Context, Negotiated};
use dicomet_proto::association::{ContextId, FragmentKind, Limits, NotInThisState, Position};
use dicomet_proto::message::command_set::CommandError;
use dicomet_proto::message::{Command, DataSetType, MessageId};
use dicomet_proto::pdu::AbortReason;

pub use data::{Data, ReaderSource, Source};
pub use transport::{TcpTransport, Transport};

pub(crate) use inbox::Item;
pub(crate) use pump::{Goal, Patience, Pump, now};

use put_off::PutOff;

use crate::Error;

/// How long to wait for what.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For the TCP connection.
    pub connect: Duration,
    /// For the answer to an association request, and for a release.
    pub association: Duration,
    /// For any sign of life while an operation goes on: not for its whole length.
    pub progress: Duration,
    /// Acceptor: for the next request while nothing goes on.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            association: Duration::from_secs(30),
            progress: Duration::from_secs(60),
            idle: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    /// The limits of the association core with our ARTIM.
    pub(crate) fn limits(&self) -> Limits {
        Limits { artim: self.association, ..Limits::default() }
    }
}

/// Past so many bytes of our own short answers, a peer that does not read them is not listened to.
const MAX_UNREAD_ANSWERS: usize = 64 * 1024;

/// A command with the presentation context it came on.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The presentation context.
    pub context_id: ContextId,
    /// The command.
    pub command: Command,
}

/// What comes in on an association.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A command; its data set, if one follows, is to be taken with [`Association::receive_data`].
    Message(Message),
    /// The peer wants to release: answer with [`Association::respond_release`].
    ReleaseRequested,
}

/// What is to come of the data set of the command received last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Following {
    /// Nothing: there is none, it was taken to its end, or it is put off.
    Nothing,
    /// The data set.
    DataSet,
    /// Its rest: the beginning was passed over.
    Rest,
}

/// Where the next command is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// From what was put off, then from what arrives.
    All,
    /// From what arrives; what was put off stays.
    Arriving,
}

/// An association that stands.
///
/// After an [`Error`] it is at its end. Dropped without release, it closes the connection.
pub struct Association {
    pump: Pump,
    negotiated: Box<Negotiated>,
    peer_address: Option<SocketAddr>,
    timeouts: Timeouts,
    last_message_id: u16,
    following: Following,
    put_off: PutOff,
    /// A message of ours was begun and not ended: nothing else can be sent after it.
    half_sent: bool,
    refused: u64,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("calling", &self.negotiated.calling_ae_title)
            .field("called", &self.negotiated.called_ae_title)
            .field("peer_address", &self.peer_address)
            .finish_non_exhaustive()
    }
}

impl Association {
    pub(crate) fn new(
        pump: Pump,
        negotiated: Box<Negotiated>,
        peer_address: Option<SocketAddr>,
        timeouts: Timeouts,
    ) -> Association {
        Association {
            pump,
            negotiated,
            peer_address,
            timeouts,
            last_message_id: 0,
            following: Following::Nothing,
            put_off: PutOff::default(),
            half_sent: false,
            refused: 0,
        }
    }

    /// What was negotiated.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// An accepted presentation context by its ID.
    pub fn context(&self, id: ContextId) -> Option<&Context> {
        self.negotiated.contexts.iter().find(|context| context.id == id)
    }

    /// The first accepted presentation context of a SOP class.
    pub fn context_of(&self, abstract_syntax: &dicomet_proto::Uid) -> Option<&Context> {
        self.negotiated.contexts.iter().find(|context| context.abstract_syntax == *abstract_syntax)
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Requests of the peer that were answered with no more than a refusal: they lack an argument, do not fit their
    /// presentation context, are of no service known here, or are not allowed.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// One more of them.
    pub(crate) fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// The time limits that hold here.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The next Message ID for a request of ours.
    pub fn next_message_id(&mut self) -> MessageId {
        // 0 is allowed, but some peers take it for absent.
        self.last_message_id = self.last_message_id.checked_add(1).unwrap_or(1);
        MessageId(self.last_message_id)
    }

    /// Waits until all that was sent has left.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let patience = Patience::progress(self.timeouts.progress, "take our data");
        self.pump.drive(Goal::Sent, patience).await
    }

    /// Waits for the next command; what was put off comes first. What is left of the data set of the message
    /// before is passed over. A command that lacks an argument is answered here, with 0212.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive(&mut self) -> Result<Received, Error> {
        self.receive_within(self.timeouts.progress, "send a response").await
    }

    /// As [`Association::receive`], with a limit of one's own on the time without progress.
    pub(crate) async fn receive_within(
        &mut self,
        limit: Duration,
        action: &'static str,
    ) -> Result<Received, Error> {
        self.receive_from(Queue::All, limit, action).await
    }

    async fn receive_from(
        &mut self,
        queue: Queue,
        limit: Duration,
        action: &'static str,
    ) -> Result<Received, Error> {
        self.check_usable("P-DATA request")?;
        loop {
            if self.pump.output.len() > MAX_UNREAD_ANSWERS {
                self.flush().await?;
            }
            if let Some(received) = self.take_received(queue)? {
                self.pump.write_if_due();
                return Ok(received);
            }
            self.pump.drive(Goal::Arrived, Patience::progress(limit, action)).await?;
        }
    }

    /// Waits until something has arrived that is to be taken, or the time is over; answers which. For an owner that
    /// has something else to do when nothing comes.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn arrives_within(&mut self, limit: Duration) -> Result<bool, Error> {
        self.check_usable("P-DATA request")?;
        if !self.put_off.is_empty() {
            return Ok(true);
        }
        let arrival =
            self.pump.drive(Goal::Arrived, Patience::progress(self.timeouts.idle, "send a request"));
        match tokio::time::timeout(limit, arrival).await {
            Ok(arrived) => arrived.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Looks whether a command has arrived, without waiting: reads what the transport has at hand.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub fn try_receive(&mut self) -> Result<Option<Received>, Error> {
        self.try_receive_from(Queue::All)
    }

    fn try_receive_from(&mut self, queue: Queue) -> Result<Option<Received>, Error> {
        self.pump.read_now();
        while self.has_received(queue) && self.pump.output.len() <= MAX_UNREAD_ANSWERS {
            if let Some(received) = self.take_received(queue)? {
                return Ok(Some(received));
            }
        }
        if self.pump.has_ended() { Err(self.pump.error()) } else { Ok(None) }
    }

    /// Looks whether the peer has sent C-CANCEL for an operation, without waiting. Whatever else has arrived
    /// stays where it is.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub fn cancel_requested(&mut self, message_id: MessageId) -> Result<bool, Error> {
        self.pump.read_now();
        if self.pump.inbox.take_cancel(message_id) {
            return Ok(true);
        }
        if self.pump.has_ended() { Err(self.pump.error()) } else { Ok(false) }
    }

    /// The next piece of the data set that follows the command received last; `None` at its end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive_data(&mut self) -> Result<Option<Bytes>, Error> {
        while self.following != Following::Nothing {
            match self.pump.inbox.pop() {
                Some(Item::Data(data)) => return Ok(Some(data)),
                Some(Item::EndOfData) => self.following = Following::Nothing,
                Some(Item::ReleaseRequested) => return Err(self.released_by_peer()),
                Some(_) => {}
                None => {
                    let patience = Patience::progress(self.timeouts.progress, "send its data");
                    self.pump.drive(Goal::Arrived, patience).await?;
                }
            }
        }
        Ok(None)
    }

    /// The whole data set that follows the command received last, for identifiers. `None` when it is longer
    /// than `limit` bytes; it is then passed over.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive_data_whole(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut whole = Some(Vec::new());
        while let Some(data) = self.receive_data().await? {
            match &mut whole {
                Some(bytes) if bytes.len() + data.len() <= limit => bytes.extend_from_slice(&data),
                _ => whole = None,
            }
        }
        Ok(whole)
    }

    /// Releases the association and waits for the answer; what still arrives before it is passed over.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn release(mut self) -> Result<(), Error> {
        self.check_usable("A-RELEASE request")?;
        if self.pump.core.release_is_requested() {
            return self.respond_release().await;
        }
        self.pump.core.release()?;
        let patience = Patience::total(self.timeouts.association, "answer our release request");
        loop {
            self.pump.drive(Goal::Arrived, patience).await?;
            match self.pump.inbox.pop() {
                Some(Item::Released) => break,
                // Both asked at the same time: AR-8, PS3.8 9.2.3.
                Some(Item::ReleaseRequested) => self.pump.core.release_response(now())?,
                _ => {}
            }
            self.pump.take_events();
        }
        self.pump.close().await;
        Ok(())
    }

    /// Answers the peer's wish to release, and closes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn respond_release(mut self) -> Result<(), Error> {
        self.pump.core.release_response(now())?;
        let patience = Patience::total(self.timeouts.association, "take our release response");
        self.pump.drive(Goal::Sent, patience).await?;
        self.pump.close().await;
        Ok(())
    }

    /// Aborts: sends A-ABORT as far as the transport takes it, and closes.
    pub async fn abort(mut self) {
        if !self.pump.has_ended() {
            self.pump.core.abort(now());
            self.pump.close().await;
        }
    }

    /// Aborts without waiting: A-ABORT leaves if the transport takes it just now.
    pub(crate) fn abort_at_once(&mut self) {
        if !self.pump.has_ended() {
            self.pump.abort(Error::ConnectionClosed);
        }
    }

    /// Aborts because the peer broke a rule of DIMSE, and gives the error to return.
    pub(crate) fn misbehaved(&mut self, what: impl Into<String>) -> Error {
        self.pump.misbehaved(AbortReason::UnexpectedPdu, what)
    }

    /// Aborts because of a message that cannot be used and cannot be answered, and gives the error to return.
    pub(crate) fn unanswerable(&mut self, what: impl Into<String>) -> Error {
        self.pump.misbehaved(AbortReason::InvalidPduParameterValue, what)
    }

    /// Aborts for want of patience, and gives the error to return.
    pub(crate) fn timed_out(&mut self, action: &'static str, after: Duration) -> Error {
        self.pump.abort(Error::TimedOut { action, after })
    }

    /// Aborts because what is to be sent cannot be made, and gives the error to return.
    pub(crate) fn failed_to_read(&mut self, error: std::io::Error) -> Error {
        self.pump.abort(Error::Source(error))
    }

    /// Answers a release that came in the middle of an operation, and gives the error to return.
    pub(crate) fn released_by_peer(&mut self) -> Error {
        match self.pump.core.release_response(now()) {
            Ok(()) => self.pump.finish(Error::ReleasedByPeer),
            Err(error) => error.into(),
        }
    }

    fn has_received(&self, queue: Queue) -> bool {
        !self.pump.inbox.is_empty() || (queue == Queue::All && !self.put_off.is_empty())
    }

    /// Takes the next command; `None` when there is none, or one that was answered here.
    fn take_received(&mut self, queue: Queue) -> Result<Option<Received>, Error> {
        while let Some(item) = self.next_item(queue) {
            let is_put_off = queue == Queue::Arriving && self.put_off.is_arriving();
            match item {
                Item::Command(context_id, Ok(command)) => {
                    self.following = following(command.data_set_type());
                    return Ok(Some(Received::Message(Message { context_id, command })));
                }
                Item::Command(context_id, Err(error)) => {
                    self.answer_mistyped(context_id, &error)?;
                    return Ok(None);
                }
                Item::ReleaseRequested => return Ok(Some(Received::ReleaseRequested)),
                Item::Data(data) if is_put_off => {
                    if let Err(message) = self.put_off.append(&data) {
                        self.following = Following::Rest;
                        return Ok(Some(Received::Message(message)));
                    }
                }
                Item::EndOfData if is_put_off => self.put_off.end(),
                Item::EndOfData => self.following = Following::Nothing,
                _ => {}
            }
        }
        Ok(None)
    }

    fn next_item(&mut self, queue: Queue) -> Option<Item> {
        // Not in the midst of a data set that is being passed over.
        if queue == Queue::All
            && self.following == Following::Nothing
            && let Some(items) = self.put_off.pop()
        {
            self.pump.inbox.put_back(items);
        }
        self.pump.inbox.pop()
    }

    /// Answers a command that can be read but lacks an argument. A response can not be answered, nor a request
    /// without Message ID.
    fn answer_mistyped(&mut self, context_id: ContextId, error: &CommandError) -> Result<(), Error> {
        const RESPONSE: u16 = 0x8000;
        self.following = Following::Nothing;
        match (error, error.status()) {
            (
                CommandError::MistypedArgument {
                    command_field,
                    message_id: Some(message_id),
                    data_set_type,
                    ..
                },
                Some(status),
            ) if command_field & RESPONSE == 0 => {
                self.following = following(*data_set_type);
                self.count_refused();
                tracing::info!(
                    message_id = message_id.0,
                    status = %status.digits(),
                    comment = %error,
                    "request refused: it lacks an argument"
                );
                let answer = Command::refusal(*command_field, *message_id, status).encode();
                self.put_bytes(context_id, FragmentKind::Command, &answer, Position::Last)
            }
            _ => Err(self.unanswerable(format!("sent a message that cannot be used: {error}"))),
        }
    }

    fn check_usable(&mut self, primitive: &'static str) -> Result<(), Error> {
        if self.half_sent {
            self.half_sent = false;
            return Err(self.pump.abort(NotInThisState { primitive }.into()));
        }
        self.pump.collect_control();
        Ok(())
    }
}

fn following(data_set_type: DataSetType) -> Following {
    match data_set_type {
        DataSetType::Null => Following::Nothing,
        DataSetType::Present => Following::DataSet,
    }
}
