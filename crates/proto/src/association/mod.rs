//! The association of PS3.8 9.2: state machine, negotiation, and messages as fragments. Sans-I/O.
//!
//! [`Association`] is a value: bytes and time go in by `handle_*`, the user's primitives by verbs, and what is
//! to be done comes out by `poll_*`.

pub mod negotiation;

use std::time::Instant;

use bytes::{Bytes, BytesMut};

pub use crate::pdu::ContextId;
use crate::pdu::{Abort, AbortReason, AssociateRj, AssociateRq};
use negotiation::{Acceptance, Negotiated, Proposal};

/// Bounds that hold for every association.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest P-DATA-TF that we take, its six header bytes not counted: what we say in item 51H.
    pub max_pdu_length: u32,
    /// The longest A-ASSOCIATE PDU that we take.
    pub max_associate_length: u32,
    /// ARTIM, PS3.8 9.1.5.
    pub artim: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_pdu_length: 256 * 1024,
            // As DCMTK: a request with 128 contexts of twenty transfer syntaxes has some 80 KiB.
            max_associate_length: 1024 * 1024,
            artim: std::time::Duration::from_secs(30),
        }
    }
}

/// Whether a fragment belongs to a command or to a data set: bit 0 of the message control header (PS3.8 E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FragmentKind {
    /// Bit 0 set.
    Command,
    /// Bit 0 clear.
    DataSet,
}

/// Whether a fragment is the last of its command or data set: bit 1 of the message control header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Bit 1 clear: more follow.
    More,
    /// Bit 1 set.
    Last,
}

/// One presentation data value: a fragment with its context (PS3.8 9.3.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The presentation context.
    pub context_id: ContextId,
    /// Command or data set.
    pub kind: FragmentKind,
    /// Whether it is the last.
    pub position: Position,
    /// The content, shared with the read buffer, not copied.
    pub data: Bytes,
}

/// What an association has to tell its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Acceptor: an A-ASSOCIATE-RQ is in; answer with [`Association::accept`] or [`Association::reject`].
    AssociateRequested(Box<AssociateRq>),
    /// The association stands (AE-3 at the requestor; at the acceptor after [`Association::accept`]).
    Established(Box<Negotiated>),
    /// Requestor: the peer said no.
    Rejected(AssociateRj),
    /// A fragment of a message, on a context that was accepted.
    Data(Fragment),
    /// The peer wants to release; answer with [`Association::release_response`] when all is sent.
    ReleaseRequested,
    /// The release is complete.
    Released,
    /// The peer aborted.
    Aborted(Abort),
    /// The peer broke the rules and we aborted; in words, without any value of the peer's.
    PeerMisbehaved {
        /// The reason that went into our A-ABORT.
        reason: AbortReason,
        /// What the peer did.
        what: &'static str,
    },
    /// The transport ended without release or abort (AA-4).
    ConnectionClosed,
    /// ARTIM ran out.
    TimedOut,
}

/// A primitive that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{primitive} is not possible in this state of the association")]
pub struct NotInThisState {
    /// The primitive, in the standard's words.
    pub primitive: &'static str,
}

/// One association, without its transport.
#[derive(Debug)]
pub struct Association {
    _private: (),
}

impl Association {
    /// Begins as requestor: the transport is open (Evt1, Evt2 together), and an A-ASSOCIATE-RQ waits to be sent.
    pub fn requestor(proposal: Proposal, limits: Limits, now: Instant) -> Association {
        let _ = (proposal, limits, now);
        todo!()
    }

    /// Begins as acceptor: the transport is open (Evt5), ARTIM runs until the A-ASSOCIATE-RQ is in whole.
    pub fn acceptor(limits: Limits, now: Instant) -> Association {
        let _ = (limits, now);
        todo!()
    }

    /// Takes whole PDUs off the front of `input` and leaves the rest. Call it again with more.
    ///
    /// P-DATA is handed out as slices of `input`. Stops early while an A-ASSOCIATE-RQ waits for its answer.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        let _ = (input, now);
        todo!()
    }

    /// The transport has ended (Evt17).
    pub fn handle_closed(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Time has passed: to be called at or after [`Association::poll_timeout`] (Evt18).
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// A-ASSOCIATE response primitive, accept (Evt7). [`Event::Established`] follows at once.
    ///
    /// # Errors
    /// [`NotInThisState`] unless an A-ASSOCIATE-RQ waits for its answer.
    pub fn accept(&mut self, acceptance: Acceptance) -> Result<(), NotInThisState> {
        let _ = acceptance;
        todo!()
    }

    /// A-ASSOCIATE response primitive, reject (Evt8).
    ///
    /// # Errors
    /// [`NotInThisState`] unless an A-ASSOCIATE-RQ waits for its answer.
    pub fn reject(&mut self, rejection: AssociateRj, now: Instant) -> Result<(), NotInThisState> {
        let _ = (rejection, now);
        todo!()
    }

    /// P-DATA request primitive (Evt9): checks the state and gives the twelve bytes (PDU header and one PDV
    /// header, PS3.8 9.3.5) that go before `length` bytes of fragment. The owner sends both, in this order,
    /// after all that [`Association::poll_transmit`] gave.
    ///
    /// # Errors
    /// [`NotInThisState`] when no data may be sent. Panics never; `length` must not exceed
    /// [`Association::max_fragment_length`], and is checked.
    pub fn data_header(
        &mut self,
        context_id: ContextId,
        kind: FragmentKind,
        position: Position,
        length: usize,
    ) -> Result<[u8; 12], NotInThisState> {
        let _ = (context_id, kind, position, length);
        todo!()
    }

    /// The most bytes of one fragment that the peer takes in a P-DATA-TF with one PDV, and no more than is
    /// useful (256 KiB) when it takes more; even.
    pub fn max_fragment_length(&self) -> usize {
        todo!()
    }

    /// A-RELEASE request primitive (Evt11).
    ///
    /// # Errors
    /// [`NotInThisState`] unless established.
    pub fn release(&mut self) -> Result<(), NotInThisState> {
        todo!()
    }

    /// A-RELEASE response primitive (Evt14).
    ///
    /// # Errors
    /// [`NotInThisState`] unless the peer asked for release.
    pub fn release_response(&mut self, now: Instant) -> Result<(), NotInThisState> {
        let _ = now;
        todo!()
    }

    /// A-ABORT request primitive (Evt15); nothing when there is nothing to abort.
    pub fn abort(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// As [`Association::abort`], for a peer that broke the rules above the PDU layer: source 2 with a reason,
    /// and [`Event::PeerMisbehaved`].
    pub fn abort_for(&mut self, reason: AbortReason, what: &'static str, now: Instant) {
        let _ = (reason, what, now);
        todo!()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// Appends what is to be sent before any further data.
    pub fn poll_transmit(&mut self, output: &mut BytesMut) {
        let _ = output;
        todo!()
    }

    /// When [`Association::handle_timeout`] is due, if ARTIM runs.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Whether the transport is to be closed once all output is sent.
    pub fn wants_close(&self) -> bool {
        todo!()
    }

    /// Whether the peer asked for release and waits for our answer (Sta8, Sta9, Sta12).
    pub fn release_is_requested(&self) -> bool {
        todo!()
    }
}
