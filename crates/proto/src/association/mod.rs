//! The association of PS3.8 9.2: state machine, negotiation, and messages as fragments. Sans-I/O.
//!
//! [`Association`] is a value: bytes and time go in by `handle_*`, the user's primitives by verbs, and what is
//! to be done comes out by `poll_*`. The owner, after anything that it put in: sends what `poll_transmit`
//! gives, looks at every event of `poll_event`, closes the transport when `wants_close` says so, and comes back
//! at `poll_timeout`.
//!
//! An association tells its end once: one of [`Event::Released`], [`Event::Rejected`], [`Event::Aborted`],
//! [`Event::PeerMisbehaved`], [`Event::ConnectionClosed`] and [`Event::TimedOut`] is the last event. An end
//! that the owner makes itself, by `reject` or `abort`, needs no telling.
//!
//! In the order to read them: [`negotiation`], `state` (the tables of the standard), `receive` (what becomes of a
//! PDU), [`fragments`], `timer`, `limits`.

pub mod fragments;
mod limits;
pub mod negotiation;
mod receive;
mod state;
mod timer;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

pub use self::limits::{
    ARTIM, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Limits, MAX_ASSOCIATE_LENGTH,
    MAX_FRAGMENT_LENGTH, MAX_PDU_LENGTH, MIN_PEER_PDU_LENGTH,
};
use self::negotiation::{Acceptance, Negotiated, Proposal};
use self::receive::Taken;
use self::state::{Action, Event as Evt, Side, State};
use self::timer::Artim;
use crate::pdu::{
    Abort, AbortReason, AbortSource, AssociateRj, AssociateRq, DataTf, Header, ReleaseRp, ReleaseRq,
    UserInformation, data_tf,
};
pub use crate::pdu::{ContextId, FragmentKind, Position};

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
    state: State,
    side: Side,
    framing: Framing,
    limits: Limits,
    artim: Artim,
    /// Requestor: what was proposed, until it is answered.
    proposal: Option<Box<Proposal>>,
    /// Accepted presentation contexts: the bit at [`ContextId::index`].
    accepted: u128,
    max_fragment_length: usize,
    transmit: BytesMut,
    events: VecDeque<Queued>,
}

/// Whether the input still falls into PDUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// It begins with a PDU header.
    Whole,
    /// A PDU was refused by its header: what follows cannot be told apart and is thrown away.
    Lost,
}

/// What waits for [`Association::poll_event`].
#[derive(Debug)]
enum Queued {
    Event(Event),
    /// The values of a P-DATA-TF, sliced only when they are asked for: a PDU of tiny ones takes no more memory
    /// than another.
    Data(DataTf),
}

impl Association {
    /// Begins as requestor: the transport is open (Evt1, Evt2 together), and an A-ASSOCIATE-RQ waits to be sent.
    pub fn requestor(proposal: Proposal, limits: Limits, _now: Instant) -> Association {
        let mut association = Association::new(Side::Requestor, limits);
        association.step(Evt::Evt1);
        association.step(Evt::Evt2);
        let mut associate_rq = negotiation::associate_rq(&proposal);
        introduce(&mut associate_rq.user_information, association.limits.max_pdu_length);
        associate_rq.encode(&mut association.transmit);
        association.proposal = Some(Box::new(proposal));
        association
    }

    /// Begins as acceptor: the transport is open (Evt5), ARTIM runs until the A-ASSOCIATE-RQ is in whole.
    pub fn acceptor(limits: Limits, now: Instant) -> Association {
        let mut association = Association::new(Side::Acceptor, limits);
        association.step(Evt::Evt5);
        association.artim.start(now);
        association
    }

    fn new(side: Side, mut limits: Limits) -> Association {
        if limits.max_pdu_length == 0 {
            limits.max_pdu_length = MAX_PDU_LENGTH;
        }
        Association {
            state: State::Sta1,
            side,
            framing: Framing::Whole,
            artim: Artim::new(limits.artim),
            limits,
            proposal: None,
            accepted: 0,
            max_fragment_length: 0,
            transmit: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes whole PDUs off the front of `input` and leaves the rest. Call it again with more.
    ///
    /// P-DATA is handed out as slices of `input`. Returns early once an A-ASSOCIATE-RQ is in: answer it, then
    /// call this again. What is put in before the answer is judged by the standard: A-ABORT is one, anything
    /// else is a breach.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        while self.state != State::Sta1 && self.framing == Framing::Whole {
            let Some(header) = Header::peek(input) else { return };
            match self.handle_pdu(header, input, now) {
                Taken::Whole if self.state != State::Sta3 => {}
                Taken::Whole | Taken::TooFew => return,
                Taken::Refused => self.framing = Framing::Lost,
            }
        }
        input.clear();
    }

    /// The transport has ended (Evt17).
    pub fn handle_closed(&mut self, _now: Instant) {
        if let Some(Action::Aa4 | Action::Aa5) = self.step(Evt::Evt17) {
            self.tell(Event::ConnectionClosed);
        }
        self.artim.stop();
    }

    /// Time has passed: to be called at or after [`Association::poll_timeout`] (Evt18).
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.artim.take_expired(now) {
            return;
        }
        let awaited_request = self.state == State::Sta2;
        self.step(Evt::Evt18); // AA-2
        if awaited_request {
            self.tell(Event::TimedOut);
        }
    }

    /// A-ASSOCIATE response primitive, accept (Evt7). [`Event::Established`] follows at once.
    ///
    /// # Errors
    /// [`NotInThisState`] unless an A-ASSOCIATE-RQ waits for its answer.
    pub fn accept(&mut self, acceptance: Acceptance) -> Result<(), NotInThisState> {
        self.request(Evt::Evt7, "A-ASSOCIATE response (accept)")?; // AE-7
        let Acceptance { mut associate_ac, negotiated } = acceptance;
        introduce(&mut associate_ac.user_information, self.limits.max_pdu_length);
        associate_ac.encode(&mut self.transmit);
        self.establish(negotiated);
        Ok(())
    }

    /// A-ASSOCIATE response primitive, reject (Evt8).
    ///
    /// # Errors
    /// [`NotInThisState`] unless an A-ASSOCIATE-RQ waits for its answer.
    pub fn reject(&mut self, rejection: AssociateRj, now: Instant) -> Result<(), NotInThisState> {
        self.request(Evt::Evt8, "A-ASSOCIATE response (reject)")?; // AE-8
        rejection.encode(&mut self.transmit);
        self.artim.start(now);
        Ok(())
    }

    /// P-DATA request primitive (Evt9): checks the state and gives the twelve bytes (PDU header and one PDV
    /// header, PS3.8 9.3.5) that go before `length` bytes of fragment. The owner sends both, in this order,
    /// after all that [`Association::poll_transmit`] gave.
    ///
    /// # Errors
    /// [`NotInThisState`] when no data may be sent, on that context or of that length
    /// ([`Association::max_fragment_length`]).
    pub fn data_header(
        &mut self,
        context_id: ContextId,
        kind: FragmentKind,
        position: Position,
        length: usize,
    ) -> Result<[u8; 12], NotInThisState> {
        if length > self.max_fragment_length {
            return Err(NotInThisState { primitive: "P-DATA request of more than the peer takes" });
        }
        self.request_data(context_id)?;
        Ok(fragments::header(context_id, kind, position, length))
    }

    /// P-DATA request primitives (Evt9) for a whole message in memory: appends its P-DATA-TFs to `output`, just
    /// one where command and data set fit together. Goes out after all that [`Association::poll_transmit`] gave.
    ///
    /// # Errors
    /// [`NotInThisState`] when no data may be sent, or not on that context.
    pub fn write_message(
        &mut self,
        context_id: ContextId,
        command: &[u8],
        data_set: Option<&[u8]>,
        output: &mut BytesMut,
    ) -> Result<(), NotInThisState> {
        self.request_data(context_id)?;
        fragments::write_message(output, context_id, command, data_set, self.max_fragment_length);
        Ok(())
    }

    fn request_data(&mut self, context_id: ContextId) -> Result<(), NotInThisState> {
        if !self.is_accepted(context_id) {
            return Err(NotInThisState {
                primitive: "P-DATA request on a presentation context that was not accepted",
            });
        }
        self.request(Evt::Evt9, "P-DATA request") // DT-1 or AR-7
    }

    /// The most bytes of one fragment that the peer takes in a P-DATA-TF with one PDV, and no more than is
    /// useful ([`MAX_FRAGMENT_LENGTH`]) when it takes more; even. 0 before the association stands.
    pub fn max_fragment_length(&self) -> usize {
        self.max_fragment_length
    }

    /// A-RELEASE request primitive (Evt11).
    ///
    /// # Errors
    /// [`NotInThisState`] unless established.
    pub fn release(&mut self) -> Result<(), NotInThisState> {
        self.request(Evt::Evt11, "A-RELEASE request")?; // AR-1
        ReleaseRq.encode(&mut self.transmit);
        Ok(())
    }

    /// A-RELEASE response primitive (Evt14). [`Event::Released`] follows: at once, or, where both sides had
    /// asked and we are the requestor, when the peer has answered as well.
    ///
    /// # Errors
    /// [`NotInThisState`] unless the peer asked for release ([`Association::release_is_requested`]).
    pub fn release_response(&mut self, now: Instant) -> Result<(), NotInThisState> {
        let response = state::action(self.state, Evt::Evt14);
        self.request(Evt::Evt14, "A-RELEASE response")?; // AR-4 or AR-9
        ReleaseRp.encode(&mut self.transmit);
        if response == Some(Action::Ar4) {
            self.artim.start(now);
            self.tell(Event::Released);
        }
        Ok(())
    }

    /// A-ABORT request primitive (Evt15); nothing when there is nothing to abort. Events that nobody has asked
    /// for yet are dropped.
    pub fn abort(&mut self, now: Instant) {
        self.send_abort(AbortSource::ServiceUser, now);
    }

    /// As [`Association::abort`], for a peer that broke the rules above the PDU layer: source 2 with a reason,
    /// and [`Event::PeerMisbehaved`].
    pub fn abort_for(&mut self, reason: AbortReason, what: &'static str, now: Instant) {
        if self.send_abort(AbortSource::ServiceProvider(reason), now) {
            self.tell(Event::PeerMisbehaved { reason, what });
        }
    }

    fn send_abort(&mut self, source: AbortSource, now: Instant) -> bool {
        let aborted = self.step(Evt::Evt15) == Some(Action::Aa1);
        if aborted {
            self.events.clear();
            Abort { source }.encode(&mut self.transmit);
            self.artim.start(now);
        }
        aborted
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.events.front_mut()? {
                Queued::Event(_) => match self.events.pop_front()? {
                    Queued::Event(event) => return Some(event),
                    Queued::Data(_) => {}
                },
                Queued::Data(values) => {
                    let value = values.next();
                    if values.is_empty() {
                        self.events.pop_front();
                    }
                    // Only values on accepted contexts are in the queue.
                    let Some((value, context_id)) =
                        value.and_then(|value| ContextId::new(value.context_id).map(|id| (value, id)))
                    else {
                        continue;
                    };
                    return Some(Event::Data(Fragment {
                        context_id,
                        kind: value.kind,
                        position: value.position,
                        data: value.data,
                    }));
                }
            }
        }
    }

    /// Appends what is to be sent before any further data.
    pub fn poll_transmit(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(&self.transmit);
        self.transmit.clear();
    }

    /// When [`Association::handle_timeout`] is due, if ARTIM runs.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.artim.deadline()
    }

    /// Whether the transport is to be closed once all output is sent.
    pub fn wants_close(&self) -> bool {
        self.state == State::Sta1
    }

    /// Whether the peer asked for release and waits for our answer (Sta8, Sta9, Sta12).
    pub fn release_is_requested(&self) -> bool {
        state::action(self.state, Evt::Evt14).is_some()
    }

    /// Makes the step of PS3.8 Table 9-10; `None`, and no step, when the event cannot happen in this state.
    fn step(&mut self, event: Evt) -> Option<Action> {
        let action = state::action(self.state, event)?;
        self.state = action.next_state(self.side);
        Some(action)
    }

    /// The step of a local primitive.
    fn request(&mut self, event: Evt, primitive: &'static str) -> Result<(), NotInThisState> {
        self.step(event).map(drop).ok_or(NotInThisState { primitive })
    }

    fn establish(&mut self, negotiated: Negotiated) {
        self.accepted = negotiated.contexts.iter().fold(0, |bits, context| bits | 1 << context.id.index());
        self.max_fragment_length = fragment_length(negotiated.peer_max_pdu_length);
        self.tell(Event::Established(Box::new(negotiated)));
    }

    fn is_accepted(&self, id: ContextId) -> bool {
        self.accepted & (1 << id.index()) != 0
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(Queued::Event(event));
    }
}

/// Says who we are and what we take.
fn introduce(user_information: &mut UserInformation, max_pdu_length: u32) {
    user_information.maximum_length = Some(max_pdu_length);
    user_information.implementation_class_uid = Some(IMPLEMENTATION_CLASS_UID);
    user_information.implementation_version_name = Some(IMPLEMENTATION_VERSION_NAME.to_owned());
}

/// The longest fragment for a peer's maximum length; an even number, as PS3.8 E.1 wants it.
fn fragment_length(peer_max_pdu_length: Option<u32>) -> usize {
    let most = peer_max_pdu_length.map_or(MAX_FRAGMENT_LENGTH, |length| {
        (length as usize).saturating_sub(data_tf::VALUE_HEADER_LENGTH).min(MAX_FRAGMENT_LENGTH)
    });
    most & !1
}

#[cfg(test)]
mod tests;
