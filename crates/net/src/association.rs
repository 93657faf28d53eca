//! The driver: moves a [`dicomet_proto::association::Association`] over a transport, and DIMSE messages over it.
//!
//! The owner drives. There is no hidden task: every `send` and `receive` pumps both directions, so a response
//! or a C-CANCEL that arrives while we send is there at the next look, and neither side can wait for the other
//! for ever. Commands are held whole, data sets pass by in pieces.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::{Context, Negotiated};
use dicomet_proto::message::Command;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Error;

/// What an association runs over: TCP, TLS, or a pipe in memory.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Called after each read that brought something: re-arms TCP_QUICKACK where there is such a thing.
    fn received(&self) {}
}

impl Transport for tokio::io::DuplexStream {}

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

/// The data set of a message to be sent.
pub enum Data<'a> {
    /// The command has none.
    None,
    /// In memory. Packed with the command in one P-DATA-TF when both fit.
    Bytes(&'a [u8]),
    /// Read as it is sent; constant memory.
    Source(&'a mut dyn Source),
}

/// Something that is read as it is sent, such as the data set in a file.
pub trait Source: Send {
    /// Bytes that remain.
    fn remaining(&self) -> u64;

    /// Fills the front of `buffer` and says how much, at least 1 while anything remains.
    ///
    /// # Errors
    /// Whatever reading says. The association is then aborted: a data set that was begun cannot be taken back.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// An association that stands.
pub struct Association {
    _private: (),
}

impl Association {
    /// What was negotiated.
    pub fn negotiated(&self) -> &Negotiated {
        todo!()
    }

    /// An accepted presentation context by its ID.
    pub fn context(&self, id: ContextId) -> Option<&Context> {
        let _ = id;
        todo!()
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        todo!()
    }

    /// The next Message ID for a request of ours.
    pub fn next_message_id(&mut self) -> dicomet_proto::message::MessageId {
        todo!()
    }

    /// Sends a message. On return all of it is sent or stands in the write buffer, which the next `send`,
    /// `receive` or `flush` moves on; so several small messages leave in one system call.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn send(
        &mut self,
        context_id: ContextId,
        command: &Command,
        data: Data<'_>,
    ) -> Result<(), Error> {
        let _ = (context_id, command, data);
        todo!()
    }

    /// Waits until all that was sent has left.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn flush(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Waits for the next command. What is left of the data set of the message before is passed over.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive(&mut self) -> Result<Received, Error> {
        todo!()
    }

    /// Looks whether a command has arrived, without waiting: reads what the transport has at hand.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub fn try_receive(&mut self) -> Result<Option<Received>, Error> {
        todo!()
    }

    /// The next piece of the data set that follows the command received last; `None` at its end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive_data(&mut self) -> Result<Option<Bytes>, Error> {
        todo!()
    }

    /// The whole data set that follows the command received last, for identifiers. `None` when it is longer
    /// than `limit` bytes; it is then passed over.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn receive_data_whole(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let _ = limit;
        todo!()
    }

    /// Releases the association and waits for the answer; what still arrives before it is passed over.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn release(self) -> Result<(), Error> {
        todo!()
    }

    /// Answers the peer's wish to release, and closes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn respond_release(self) -> Result<(), Error> {
        todo!()
    }

    /// Aborts: sends A-ABORT as far as the transport takes it, and closes.
    pub async fn abort(self) {
        todo!()
    }
}
