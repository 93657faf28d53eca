//! PDUs from the peer: refused by their header, or read and put to the state machine.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::state::{self, Action, Event as Evt, Side, State};
use super::{Association, ContextId, Event, MIN_PEER_PDU_LENGTH, Queued, negotiation};
use crate::pdu::{
    Abort, AbortReason, AbortSource, AssociateAc, AssociateRj, AssociateRq, DataTf, DecodeError,
    HEADER_LENGTH, Header, PduType, ReleaseRp, ReleaseRq, Rule,
};

/// What became of a PDU.
pub(super) enum Taken {
    /// It was taken off the input.
    Whole,
    /// It is not all there.
    TooFew,
    /// It was refused by its header; nothing was taken.
    Refused,
}

impl Association {
    /// One PDU: refused by its header where it has no business here, else taken when it is whole.
    pub(super) fn handle_pdu(&mut self, header: Header, input: &mut BytesMut, now: Instant) -> Taken {
        let Some(pdu_type) = header.pdu_type else {
            self.breach(Evt::Evt19, AbortReason::UnrecognizedPdu, "sent a PDU of unknown type", now);
            return Taken::Refused;
        };
        let event = received(pdu_type);
        if let Some(Action::Aa1 | Action::Aa7 | Action::Aa8) = state::action(self.state, event) {
            self.breach(event, AbortReason::UnexpectedPdu, unexpected(pdu_type), now);
            return Taken::Refused;
        }
        if header.length > self.longest(pdu_type) {
            self.breach(Evt::Evt19, AbortReason::InvalidPduParameterValue, too_long(pdu_type), now);
            return Taken::Refused;
        }
        let end = HEADER_LENGTH + header.length as usize;
        if input.len() < end {
            return Taken::TooFew;
        }
        let mut content = input.split_to(end).freeze();
        let content = content.split_off(HEADER_LENGTH);
        if let Err(error) = self.receive(pdu_type, content, now) {
            self.breach(Evt::Evt19, error.abort_reason(), error.what(), now);
        }
        Taken::Whole
    }

    /// The longest content of a PDU that we take.
    fn longest(&self, pdu_type: PduType) -> u32 {
        match pdu_type {
            PduType::AssociateRq | PduType::AssociateAc => self.limits.max_associate_length,
            PduType::DataTf => self.limits.max_pdu_length,
            PduType::AssociateRj | PduType::ReleaseRq | PduType::ReleaseRp | PduType::Abort => 4,
        }
    }

    /// A whole PDU that the state has an action for: reads it, then makes the step.
    fn receive(&mut self, pdu_type: PduType, content: Bytes, now: Instant) -> Result<(), DecodeError> {
        if self.state == State::Sta13 && pdu_type != PduType::Abort {
            self.step(received(pdu_type)); // AA-6
            return Ok(());
        }
        match pdu_type {
            PduType::AssociateRq => self.receive_associate_rq(&content, now)?,
            PduType::AssociateAc => {
                let associate_ac = AssociateAc::decode(&content)?;
                self.receive_associate_ac(&associate_ac, now);
            }
            PduType::AssociateRj => {
                let associate_rj = AssociateRj::decode(&content)?;
                self.step(Evt::Evt4); // AE-4
                self.tell(Event::Rejected(associate_rj));
            }
            PduType::DataTf => self.receive_data_tf(DataTf::decode(content)?, now),
            PduType::ReleaseRq => {
                ReleaseRq::decode(&content)?;
                self.receive_release_rq();
            }
            PduType::ReleaseRp => {
                ReleaseRp::decode(&content)?;
                self.receive_release_rp();
            }
            PduType::Abort => {
                let abort = Abort::decode(&content)?;
                let told_before = self.state == State::Sta13;
                self.step(Evt::Evt16); // AA-2 or AA-3
                self.artim.stop();
                if !told_before {
                    self.tell(Event::Aborted(abort));
                }
            }
        }
        Ok(())
    }

    fn receive_associate_rq(&mut self, content: &[u8], now: Instant) -> Result<(), DecodeError> {
        let associate_rq = match AssociateRq::decode(content) {
            Ok(associate_rq) => associate_rq,
            // A well-formed request for the impossible: the table's AA-1 gives no reason, and this has one.
            Err(error) if error.rule == Rule::TooMany => {
                self.step(Evt::Evt6);
                self.abort_for(error.abort_reason(), error.what(), now);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.step(Evt::Evt6); // AE-6
        self.artim.stop();
        if is_too_small(associate_rq.user_information.maximum_length) {
            self.abort_for(AbortReason::InvalidPduParameterValue, TOO_SMALL, now);
        } else {
            self.tell(Event::AssociateRequested(Box::new(associate_rq)));
        }
        Ok(())
    }

    fn receive_associate_ac(&mut self, associate_ac: &AssociateAc, now: Instant) {
        let Some(proposal) = self.proposal.take() else { return };
        let concluded = if is_too_small(associate_ac.user_information.maximum_length) {
            Err(TOO_SMALL)
        } else {
            negotiation::conclude(&proposal, associate_ac).map_err(negotiation::InvalidAnswer::what)
        };
        match concluded {
            Ok(negotiated) => {
                self.step(Evt::Evt3); // AE-3
                self.establish(negotiated);
            }
            Err(what) => self.breach(Evt::Evt19, AbortReason::InvalidPduParameterValue, what, now),
        }
    }

    fn receive_data_tf(&mut self, values: DataTf, now: Instant) {
        if values.context_ids().all(|id| ContextId::new(id).is_some_and(|id| self.is_accepted(id))) {
            self.step(Evt::Evt10); // DT-2 or AR-6
            self.events.push_back(Queued::Data(values));
        } else {
            let what = "sent data on a presentation context that was not accepted";
            self.breach(Evt::Evt19, AbortReason::InvalidPduParameterValue, what, now);
        }
    }

    fn receive_release_rq(&mut self) {
        match (self.step(Evt::Evt12), self.side) {
            // In a collision the requestor answers first; the acceptor may answer, and is asked to, when the
            // answer to its own request has come (AR-10).
            (Some(Action::Ar2), _) | (Some(Action::Ar8), Side::Requestor) => {
                self.tell(Event::ReleaseRequested);
            }
            _ => {}
        }
    }

    fn receive_release_rp(&mut self) {
        match self.step(Evt::Evt13) {
            Some(Action::Ar3) => self.tell(Event::Released),
            Some(Action::Ar10) => self.tell(Event::ReleaseRequested),
            _ => {}
        }
    }

    /// The peer sent what it may not send: AA-1, AA-8 or AA-7.
    fn breach(&mut self, event: Evt, reason: AbortReason, what: &'static str, now: Instant) {
        let source = match self.step(event) {
            Some(Action::Aa1) => AbortSource::ServiceUser,
            Some(Action::Aa8) => AbortSource::ServiceProvider(reason),
            Some(Action::Aa7) => {
                Abort { source: AbortSource::ServiceProvider(reason) }.encode(&mut self.transmit);
                return;
            }
            _ => return,
        };
        Abort { source }.encode(&mut self.transmit);
        self.artim.start(now);
        self.tell(Event::PeerMisbehaved { reason, what });
    }
}

const TOO_SMALL: &str = "stated a maximum length in which no fragment fits";

fn is_too_small(maximum_length: Option<u32>) -> bool {
    maximum_length.is_some_and(|length| length != 0 && length < MIN_PEER_PDU_LENGTH)
}

/// The event that a received PDU is.
fn received(pdu_type: PduType) -> Evt {
    match pdu_type {
        PduType::AssociateRq => Evt::Evt6,
        PduType::AssociateAc => Evt::Evt3,
        PduType::AssociateRj => Evt::Evt4,
        PduType::DataTf => Evt::Evt10,
        PduType::ReleaseRq => Evt::Evt12,
        PduType::ReleaseRp => Evt::Evt13,
        PduType::Abort => Evt::Evt16,
    }
}

fn unexpected(pdu_type: PduType) -> &'static str {
    match pdu_type {
        PduType::AssociateRq => "sent an A-ASSOCIATE-RQ where none may be sent",
        PduType::AssociateAc => "sent an A-ASSOCIATE-AC where none may be sent",
        PduType::AssociateRj => "sent an A-ASSOCIATE-RJ where none may be sent",
        PduType::DataTf => "sent a P-DATA-TF where none may be sent",
        PduType::ReleaseRq => "sent an A-RELEASE-RQ where none may be sent",
        PduType::ReleaseRp => "sent an A-RELEASE-RP where none may be sent",
        PduType::Abort => "sent an A-ABORT where none may be sent",
    }
}

fn too_long(pdu_type: PduType) -> &'static str {
    match pdu_type {
        PduType::AssociateRq | PduType::AssociateAc => "sent an A-ASSOCIATE PDU that is too long",
        PduType::DataTf => "sent a P-DATA-TF that is longer than our maximum length",
        _ => "sent a PDU that is longer than its fields",
    }
}
