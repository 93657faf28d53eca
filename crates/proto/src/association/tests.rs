//! The association, driven through the cells of PS3.8 Table 9-10 that matter: two of them in memory, and one
//! against bytes written by hand.

use super::negotiation::{Willing, answer, first_proposed};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::pdu::{HEADER_LENGTH, Pdu, RejectReason, RejectResult, RoleSelection};
use crate::{AeTitle, Uid};

const CT: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.2");
const IMPLICIT: Uid = Uid::from_static("1.2.840.10008.1.2");
const EXPLICIT: Uid = Uid::from_static("1.2.840.10008.1.2.1");

fn proposal() -> Proposal {
    Proposal {
        role_selections: vec![RoleSelection { sop_class_uid: CT, scu: false, scp: true }],
        ..Proposal::new(
            AeTitle::new("DICOMET").unwrap(),
            AeTitle::new("ARCHIVE").unwrap(),
            vec![(CT, vec![EXPLICIT, IMPLICIT])],
        )
    }
}

/// An association with what it has received and not yet taken.
struct Party {
    association: Association,
    input: BytesMut,
    now: Instant,
}

impl Party {
    fn requestor() -> Party {
        let now = Instant::now();
        let association = Association::requestor(proposal(), Limits::default(), now);
        Party { association, input: BytesMut::new(), now }
    }

    fn acceptor() -> Party {
        let now = Instant::now();
        let association = Association::acceptor(Limits::default(), now);
        Party { association, input: BytesMut::new(), now }
    }

    /// Receives bytes, and tells the events.
    fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.input.extend_from_slice(bytes);
        self.association.handle_input(&mut self.input, self.now);
        self.events()
    }

    fn receive_pdu(&mut self, pdu: &Pdu) -> Vec<Event> {
        self.receive(&bytes(pdu))
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.association.poll_event()).collect()
    }

    /// What is to be sent.
    fn output(&mut self) -> BytesMut {
        let mut output = BytesMut::new();
        self.association.poll_transmit(&mut output);
        output
    }

    fn output_pdus(&mut self) -> Vec<Pdu> {
        pdus(&self.output())
    }

    fn state(&self) -> State {
        self.association.state
    }

    fn data(&mut self, bytes: &[u8]) -> BytesMut {
        let mut output = self.output();
        let id = ContextId::new(1).unwrap();
        self.association.write_message(id, bytes, None, &mut output).unwrap();
        output
    }
}

fn bytes(pdu: &Pdu) -> BytesMut {
    let mut output = BytesMut::new();
    pdu.encode(&mut output);
    output
}

fn pdus(mut bytes: &[u8]) -> Vec<Pdu> {
    let mut pdus = Vec::new();
    while let Some(header) = Header::peek(bytes) {
        let (content, rest) = bytes[HEADER_LENGTH..].split_at(header.length as usize);
        pdus.push(Pdu::decode(header.pdu_type.unwrap(), Bytes::copy_from_slice(content)).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    pdus
}

fn abort(source: AbortSource) -> Pdu {
    Pdu::Abort(Abort { source })
}

fn provider(reason: AbortReason) -> Pdu {
    abort(AbortSource::ServiceProvider(reason))
}

fn request() -> Pdu {
    Pdu::AssociateRq(negotiation::associate_rq(&proposal()))
}

/// Two parties between whom an association stands.
fn pair() -> (Party, Party) {
    let (mut requestor, mut acceptor) = (Party::requestor(), Party::acceptor());
    let events = acceptor.receive(&requestor.output());
    let [Event::AssociateRequested(associate_rq)] = &events[..] else { panic!("{events:?}") };
    acceptor.association.accept(answer(associate_rq, &Willing(first_proposed)).unwrap()).unwrap();
    assert!(matches!(&acceptor.events()[..], [Event::Established(_)]));
    assert!(matches!(&requestor.receive(&acceptor.output())[..], [Event::Established(_)]));
    (requestor, acceptor)
}

#[test]
fn an_association_is_established_with_what_both_sides_said() {
    let (mut requestor, mut acceptor) = (Party::requestor(), Party::acceptor());
    let events = acceptor.receive(&requestor.output());
    let [Event::AssociateRequested(associate_rq)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(acceptor.association.poll_timeout(), None, "ARTIM stops when the request is in");
    acceptor.association.accept(answer(associate_rq, &Willing(first_proposed)).unwrap()).unwrap();
    let Some(Event::Established(theirs)) = acceptor.association.poll_event() else { panic!() };
    let events = requestor.receive(&acceptor.output());
    let [Event::Established(ours)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(ours.contexts, theirs.contexts);
    assert_eq!(ours.contexts[0].transfer_syntax, EXPLICIT);
    assert!(ours.contexts[0].requestor_is_scp && !ours.contexts[0].requestor_is_scu);
    assert_eq!(ours.peer_max_pdu_length, Some(MAX_PDU_LENGTH));
    assert_eq!(ours.peer_implementation_class_uid, Some(IMPLEMENTATION_CLASS_UID));
    assert_eq!(ours.peer_implementation_version_name.as_deref(), Some(IMPLEMENTATION_VERSION_NAME));
    assert_eq!(theirs.calling_ae_title.as_str(), "DICOMET");
    assert_eq!((requestor.state(), acceptor.state()), (State::Sta6, State::Sta6));
}

#[test]
fn a_rejection_is_told_and_ends_both_sides() {
    let (mut requestor, mut acceptor) = (Party::requestor(), Party::acceptor());
    acceptor.receive(&requestor.output());
    let rejection =
        AssociateRj { result: RejectResult::Transient, reason: RejectReason::TemporaryCongestion };
    acceptor.association.reject(rejection, acceptor.now).unwrap();
    assert_eq!(requestor.receive(&acceptor.output()), [Event::Rejected(rejection)]);
    assert!(requestor.association.wants_close());
    assert!(!acceptor.association.wants_close(), "the requestor closes");
    acceptor.association.handle_closed(acceptor.now);
    assert!(acceptor.association.wants_close());
    assert_eq!(acceptor.events(), []);
}

#[test]
fn data_passes_in_both_directions_and_is_not_copied() {
    let (mut requestor, mut acceptor) = pair();
    let data = requestor.data(b"abcd");
    let start = data.as_ptr() as usize;
    let mut input = data;
    acceptor.association.handle_input(&mut input, acceptor.now);
    let events = acceptor.events();
    let [Event::Data(fragment)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(&fragment.data[..], b"abcd");
    assert_eq!((fragment.kind, fragment.position), (FragmentKind::Command, Position::Last));
    assert_eq!(fragment.data.as_ptr() as usize, start + 12, "a slice of what was received");
    let back = acceptor.data(b"efgh");
    assert!(matches!(&requestor.receive(&back)[..], [Event::Data(_)]));
}

#[test]
fn pdus_are_found_however_the_bytes_are_cut() {
    let (mut requestor, mut acceptor) = pair();
    let mut sent = requestor.data(b"abcd");
    sent.extend_from_slice(&requestor.data(b"efgh"));
    requestor.association.release().unwrap();
    sent.extend_from_slice(&requestor.output());
    let mut events = Vec::new();
    for byte in sent {
        events.extend(acceptor.receive(&[byte]));
    }
    assert!(matches!(&events[..], [Event::Data(_), Event::Data(_), Event::ReleaseRequested]), "{events:?}");
}

#[test]
fn several_values_in_one_pdu_come_one_by_one() {
    let (_, mut acceptor) = pair();
    let value = |kind, data: &'static [u8]| crate::pdu::PresentationDataValue {
        context_id: 1,
        kind,
        position: Position::Last,
        data: Bytes::from_static(data),
    };
    let pdu = Pdu::DataTf(vec![value(FragmentKind::Command, b"ab"), value(FragmentKind::DataSet, b"")]);
    let events = acceptor.receive_pdu(&pdu);
    let [Event::Data(command), Event::Data(data_set)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((command.kind, data_set.kind), (FragmentKind::Command, FragmentKind::DataSet));
    assert!(data_set.data.is_empty());
}

#[test]
fn a_release_ends_both_sides() {
    let (mut requestor, mut acceptor) = pair();
    requestor.association.release().unwrap();
    assert_eq!(acceptor.receive(&requestor.output()), [Event::ReleaseRequested]);
    assert!(acceptor.association.release_is_requested());
    // What is still to be said may be said before the answer (AR-7), and is heard (AR-6).
    assert!(matches!(&requestor.receive(&acceptor.data(b"late"))[..], [Event::Data(_)]));
    acceptor.association.release_response(acceptor.now).unwrap();
    assert_eq!(acceptor.events(), [Event::Released]);
    assert_eq!(acceptor.state(), State::Sta13);
    assert_eq!(requestor.receive(&acceptor.output()), [Event::Released]);
    assert!(requestor.association.wants_close());
    acceptor.association.handle_closed(acceptor.now);
    assert_eq!((acceptor.events(), acceptor.association.poll_timeout()), (vec![], None));
    assert!(acceptor.association.wants_close());
}

#[test]
fn a_release_collision_ends_both_sides() {
    let (mut requestor, mut acceptor) = pair();
    requestor.association.release().unwrap();
    acceptor.association.release().unwrap();
    let (theirs, ours) = (acceptor.output(), requestor.output());
    assert_eq!(requestor.receive(&theirs), [Event::ReleaseRequested]);
    assert_eq!(acceptor.receive(&ours), []);
    assert_eq!((requestor.state(), acceptor.state()), (State::Sta9, State::Sta10));
    assert!(acceptor.association.release_response(acceptor.now).is_err(), "the requestor answers first");
    requestor.association.release_response(requestor.now).unwrap();
    assert_eq!(requestor.state(), State::Sta11);
    assert_eq!(acceptor.receive(&requestor.output()), [Event::ReleaseRequested]);
    assert_eq!(acceptor.state(), State::Sta12);
    acceptor.association.release_response(acceptor.now).unwrap();
    assert_eq!(acceptor.events(), [Event::Released]);
    assert_eq!(requestor.receive(&acceptor.output()), [Event::Released]);
    assert!(requestor.association.wants_close());
}

#[test]
fn an_abort_is_told_with_its_source_and_ends_both_sides() {
    let (mut requestor, mut acceptor) = pair();
    requestor.association.abort(requestor.now);
    let Event::Aborted(Abort { source }) = acceptor.receive(&requestor.output()).remove(0) else { panic!() };
    assert_eq!(source, AbortSource::ServiceUser);
    assert!(acceptor.association.wants_close());
    assert_eq!(requestor.events(), [], "who aborts knows it");
    assert_eq!(requestor.state(), State::Sta13);

    let (mut requestor, mut acceptor) = pair();
    acceptor.association.abort_for(AbortReason::UnexpectedPduParameter, "mixed two messages", acceptor.now);
    let aborted = acceptor.output();
    assert_eq!(pdus(&aborted), [provider(AbortReason::UnexpectedPduParameter)]);
    assert!(matches!(&acceptor.events()[..], [Event::PeerMisbehaved { .. }]));
    assert!(matches!(&requestor.receive(&aborted)[..], [Event::Aborted(_)]));
}

#[test]
fn data_before_an_abort_is_still_told() {
    let (mut requestor, mut acceptor) = pair();
    let mut sent = requestor.data(b"abcd");
    requestor.association.abort(requestor.now);
    sent.extend_from_slice(&requestor.output());
    assert!(matches!(&acceptor.receive(&sent)[..], [Event::Data(_), Event::Aborted(_)]));
}

#[test]
fn a_request_that_comes_too_slowly_runs_into_artim_whatever_trickles_in() {
    let mut acceptor = Party::acceptor();
    let due = acceptor.association.poll_timeout().unwrap();
    assert_eq!(due, acceptor.now + ARTIM);
    for byte in &bytes(&request())[..20] {
        acceptor.now += Duration::from_secs(1);
        acceptor.receive(&[*byte]);
        acceptor.association.handle_timeout(acceptor.now);
    }
    assert_eq!(acceptor.association.poll_timeout(), Some(due), "no byte starts it anew");
    acceptor.association.handle_timeout(due);
    assert_eq!(acceptor.events(), [Event::TimedOut]);
    assert!(acceptor.association.wants_close());
    assert!(acceptor.output().is_empty());
}

#[test]
fn a_peer_that_does_not_close_is_waited_for_as_long_as_artim_runs() {
    let (_, mut acceptor) = pair();
    acceptor.association.abort(acceptor.now);
    let due = acceptor.association.poll_timeout().unwrap();
    assert!(!acceptor.association.wants_close());
    acceptor.association.handle_timeout(due);
    assert!(acceptor.association.wants_close());
    assert_eq!(acceptor.events(), []);
}

#[test]
fn an_unknown_pdu_is_refused_by_its_header() {
    for start in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01", &[0; 6], &[0x08; 6], &[0xff; 6]] {
        let mut acceptor = Party::acceptor();
        let events = acceptor.receive(start);
        assert!(matches!(events[..], [Event::PeerMisbehaved { reason: AbortReason::UnrecognizedPdu, .. }]));
        assert_eq!(acceptor.output_pdus(), [abort(AbortSource::ServiceUser)], "AA-1");

        let (_, mut acceptor) = pair();
        acceptor.receive(start);
        assert_eq!(acceptor.output_pdus(), [provider(AbortReason::UnrecognizedPdu)], "AA-8");
        // What follows is nothing any more, and is not kept.
        assert_eq!(acceptor.receive(&[0xff; 100]), []);
        assert!(acceptor.input.is_empty() && acceptor.output().is_empty());
        assert_eq!(acceptor.state(), State::Sta13);
    }
}

#[test]
fn a_declared_length_beyond_the_limit_is_refused_by_its_header() {
    for length in [0xffff_ffff_u32, MAX_ASSOCIATE_LENGTH + 1] {
        let mut header = vec![1, 0];
        header.extend(length.to_be_bytes());
        let mut acceptor = Party::acceptor();
        assert!(matches!(acceptor.receive(&header)[..], [Event::PeerMisbehaved { .. }]));
        assert_eq!(acceptor.output_pdus(), [abort(AbortSource::ServiceUser)]);
    }
    let mut header = vec![4, 0];
    header.extend((MAX_PDU_LENGTH + 1).to_be_bytes());
    let (_, mut acceptor) = pair();
    acceptor.receive(&header);
    assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
    // A-RELEASE-RQ and the like have four bytes.
    let (_, mut acceptor) = pair();
    acceptor.receive(&[5, 0, 0, 0, 0, 5]);
    assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
}

#[test]
fn what_has_no_business_in_sta2_gets_aa_1() {
    let others = [
        bytes(&Pdu::ReleaseRq),
        bytes(&Pdu::ReleaseRp),
        BytesMut::from(&[2, 0, 0, 0, 1, 0][..]),
        BytesMut::from(&[3, 0, 0, 0, 0, 4][..]),
        BytesMut::from(&[4, 0, 0, 0, 1, 0][..]),
    ];
    for other in others {
        let mut acceptor = Party::acceptor();
        assert!(matches!(
            acceptor.receive(&other)[..],
            [Event::PeerMisbehaved { reason: AbortReason::UnexpectedPdu, .. }]
        ));
        assert_eq!(acceptor.output_pdus(), [abort(AbortSource::ServiceUser)]);
        assert_eq!(acceptor.state(), State::Sta13);
        assert_eq!(acceptor.association.poll_timeout(), Some(acceptor.now + ARTIM));
    }
    let mut acceptor = Party::acceptor();
    assert!(matches!(acceptor.receive_pdu(&abort(AbortSource::ServiceUser))[..], [Event::Aborted(_)]));
    assert!(acceptor.association.wants_close(), "AA-2");
}

#[test]
fn what_has_no_business_in_an_association_that_stands_gets_aa_8() {
    for other in [request(), Pdu::ReleaseRp] {
        let (_, mut acceptor) = pair();
        assert!(matches!(acceptor.receive_pdu(&other)[..], [Event::PeerMisbehaved { .. }]));
        assert_eq!(acceptor.output_pdus(), [provider(AbortReason::UnexpectedPdu)]);
    }
    // P-DATA after the peer's own A-RELEASE-RQ (Sta8).
    let (mut requestor, mut acceptor) = pair();
    let data = requestor.data(b"abcd");
    acceptor.receive_pdu(&Pdu::ReleaseRq);
    acceptor.receive(&data);
    assert_eq!(acceptor.output_pdus(), [provider(AbortReason::UnexpectedPdu)]);
}

#[test]
fn an_acceptor_that_asks_before_it_answers_gets_aa_8() {
    for other in [request(), Pdu::ReleaseRq, Pdu::ReleaseRp] {
        let mut requestor = Party::requestor();
        requestor.output();
        assert!(matches!(requestor.receive_pdu(&other)[..], [Event::PeerMisbehaved { .. }]));
        assert_eq!(requestor.output_pdus(), [provider(AbortReason::UnexpectedPdu)]);
    }
}

#[test]
fn data_on_a_context_that_was_not_accepted_gets_aa_8() {
    for context_id in [0, 2, 3, 255] {
        let (_, mut acceptor) = pair();
        let value = crate::pdu::PresentationDataValue {
            context_id,
            kind: FragmentKind::Command,
            position: Position::Last,
            data: Bytes::from_static(b"ab"),
        };
        assert!(matches!(
            acceptor.receive_pdu(&Pdu::DataTf(vec![value]))[..],
            [Event::PeerMisbehaved { .. }]
        ));
        assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
    }
}

#[test]
fn values_that_do_not_fill_their_pdu_get_aa_8() {
    let contents: [&[u8]; 8] = [
        &[],
        &[0, 0, 0],
        &[0, 0, 0, 0],
        &[0, 0, 0, 1, 1],
        &[0, 0, 0, 5, 1, 3, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 1, 3],
        &[0, 0, 0, 2, 1, 3, 0],
        &[0, 0, 0, 2, 1, 3, 0, 0, 0, 0, 0],
    ];
    for content in contents {
        let (_, mut acceptor) = pair();
        let mut pdu = vec![4, 0, 0, 0, 0, content.len() as u8];
        pdu.extend(content);
        assert!(matches!(acceptor.receive(&pdu)[..], [Event::PeerMisbehaved { .. }]), "{content:?}");
        assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
    }
}

#[test]
fn a_malformed_request_gets_aa_1_and_too_many_contexts_a_reason() {
    let mut acceptor = Party::acceptor();
    assert!(matches!(acceptor.receive(&[1, 0, 0, 0, 0, 2, 0, 1])[..], [Event::PeerMisbehaved { .. }]));
    assert_eq!(acceptor.output_pdus(), [abort(AbortSource::ServiceUser)]);

    let Pdu::AssociateRq(mut associate_rq) = request() else { panic!() };
    let context = associate_rq.presentation_contexts[0].clone();
    associate_rq.presentation_contexts = vec![context; 129];
    let mut acceptor = Party::acceptor();
    assert!(matches!(
        acceptor.receive_pdu(&Pdu::AssociateRq(associate_rq))[..],
        [Event::PeerMisbehaved { .. }]
    ));
    assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
    assert_eq!(acceptor.association.poll_timeout(), Some(acceptor.now + ARTIM));
}

#[test]
fn a_peer_that_takes_no_fragment_is_refused_and_others_get_what_they_take() {
    for (stated, fragment) in [(8, 2), (9, 2), (16_384, 16_378), (u32::MAX, 262_144), (0, 262_144)] {
        let mut acceptor = Party::acceptor();
        let Pdu::AssociateRq(mut associate_rq) = request() else { panic!() };
        associate_rq.user_information.maximum_length = Some(stated);
        acceptor.receive_pdu(&Pdu::AssociateRq(associate_rq.clone()));
        acceptor.association.accept(answer(&associate_rq, &Willing(first_proposed)).unwrap()).unwrap();
        assert_eq!(acceptor.association.max_fragment_length(), fragment, "{stated}");
    }
    for stated in 1..8 {
        let mut acceptor = Party::acceptor();
        let Pdu::AssociateRq(mut associate_rq) = request() else { panic!() };
        associate_rq.user_information.maximum_length = Some(stated);
        acceptor.receive_pdu(&Pdu::AssociateRq(associate_rq));
        assert_eq!(acceptor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);

        let (mut requestor, mut other) = (Party::requestor(), Party::acceptor());
        let Event::AssociateRequested(associate_rq) = other.receive(&requestor.output()).remove(0) else {
            panic!()
        };
        let mut associate_ac = answer(&associate_rq, &Willing(first_proposed)).unwrap().associate_ac;
        associate_ac.user_information.maximum_length = Some(stated);
        requestor.receive_pdu(&Pdu::AssociateAc(associate_ac));
        assert_eq!(requestor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
    }
}

#[test]
fn an_answer_to_what_was_not_proposed_is_aborted_with_reason_6() {
    let (mut requestor, mut acceptor) = (Party::requestor(), Party::acceptor());
    let Event::AssociateRequested(associate_rq) = acceptor.receive(&requestor.output()).remove(0) else {
        panic!()
    };
    let mut associate_ac = answer(&associate_rq, &Willing(first_proposed)).unwrap().associate_ac;
    associate_ac.presentation_contexts[0].id = 7;
    assert!(matches!(
        requestor.receive_pdu(&Pdu::AssociateAc(associate_ac))[..],
        [Event::PeerMisbehaved { .. }]
    ));
    assert_eq!(requestor.output_pdus(), [provider(AbortReason::InvalidPduParameterValue)]);
}

#[test]
fn a_connection_that_ends_anywhere_is_told_once() {
    for mut party in [Party::requestor(), Party::acceptor(), pair().0, pair().1] {
        party.receive(&[4, 0, 0, 0]);
        party.association.handle_closed(party.now);
        party.association.handle_closed(party.now);
        assert_eq!(party.events(), [Event::ConnectionClosed]);
        assert!(party.association.wants_close());
        assert_eq!(party.association.poll_timeout(), None);
    }
}

#[test]
fn while_the_close_is_awaited_everything_but_a_request_is_ignored() {
    let (mut requestor, mut acceptor) = pair();
    let data = requestor.data(b"abcd");
    acceptor.association.abort(acceptor.now);
    acceptor.output();
    acceptor.receive(&data); // AA-6
    acceptor.receive_pdu(&Pdu::ReleaseRq);
    acceptor.receive_pdu(&Pdu::ReleaseRp);
    assert_eq!((acceptor.events(), acceptor.output_pdus(), acceptor.state()), (vec![], vec![], State::Sta13));
    acceptor.receive_pdu(&request()); // AA-7
    assert!(matches!(acceptor.output_pdus()[..], [Pdu::Abort(_)]));
    assert_eq!((acceptor.events(), acceptor.state()), (vec![], State::Sta13));

    let (_, mut acceptor) = pair();
    acceptor.association.abort(acceptor.now);
    acceptor.receive_pdu(&abort(AbortSource::ServiceUser)); // AA-2
    assert!(acceptor.association.wants_close());
    assert_eq!(acceptor.events(), []);
}

#[test]
fn a_peer_that_does_not_wait_for_our_answer_is_judged_by_the_standard() {
    let mut acceptor = Party::acceptor();
    let mut input = bytes(&request());
    input.extend_from_slice(&bytes(&abort(AbortSource::ServiceUser)));
    assert!(matches!(acceptor.receive(&input)[..], [Event::AssociateRequested(_)]), "the answer comes first");
    assert!(matches!(acceptor.receive(&[])[..], [Event::Aborted(_)]), "AA-3");
    let mut acceptor = Party::acceptor();
    acceptor.receive_pdu(&request());
    acceptor.receive_pdu(&Pdu::ReleaseRq);
    assert_eq!(acceptor.output_pdus(), [provider(AbortReason::UnexpectedPdu)], "AA-8");
}

#[test]
fn primitives_out_of_place_are_refused_and_change_nothing() {
    let mut requestor = Party::requestor();
    assert!(requestor.association.release().is_err());
    let id = ContextId::new(1).unwrap();
    let header = |party: &mut Party, id, length| {
        party.association.data_header(id, FragmentKind::DataSet, Position::Last, length)
    };
    assert!(header(&mut requestor, id, 0).is_err());
    assert_eq!(requestor.state(), State::Sta5);
    let (mut requestor, _) = pair();
    assert_eq!(header(&mut requestor, id, 0x1234).unwrap(), [4, 0, 0, 0, 0x12, 0x3a, 0, 0, 0x12, 0x36, 1, 2]);
    assert!(header(&mut requestor, ContextId::new(3).unwrap(), 2).is_err());
    let most = requestor.association.max_fragment_length();
    assert!(header(&mut requestor, id, most).is_ok());
    assert!(header(&mut requestor, id, most + 1).is_err());
    requestor.association.release().unwrap();
    assert!(header(&mut requestor, id, 2).is_err(), "after A-RELEASE-RQ no data is sent");
    let mut acceptor = Party::acceptor();
    acceptor.association.abort(acceptor.now);
    assert_eq!(acceptor.state(), State::Sta2, "there is nothing to abort yet");
}

/// How a party is prepared for bytes of any kind.
fn in_any_state(choice: u8) -> Party {
    let mut party = match choice {
        0 => Party::acceptor(),
        1 => Party::requestor(),
        2 | 4 | 6 => pair().1,
        _ => pair().0,
    };
    match choice {
        4 | 5 => party.association.release().unwrap(),
        6 | 7 => drop(party.receive_pdu(&Pdu::ReleaseRq)),
        8 => party.association.abort(party.now),
        _ => {}
    }
    party.output();
    party.events();
    party
}

/// Bytes that are often almost PDUs.
fn almost_pdus() -> impl Strategy<Value = Vec<u8>> {
    let arbitrary = prop::collection::vec(any::<u8>(), 0..40);
    let pdu = (0_u8..9, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(pdu_type, content)| {
        let mut pdu = vec![pdu_type, 0, 0, 0, 0, content.len() as u8];
        pdu.extend(content);
        pdu
    });
    let known = (0..6_usize, 0..200_usize, any::<u8>()).prop_map(|(which, place, value)| {
        let mut pdu = match which {
            0 => bytes(&request()),
            1 => bytes(&Pdu::ReleaseRq),
            2 => bytes(&Pdu::ReleaseRp),
            3 => bytes(&abort(AbortSource::ServiceUser)),
            4 => pair().0.data(b"abcd"),
            _ => BytesMut::from(&[3, 0, 0, 0, 0, 4, 0, 1, 1, 1][..]),
        };
        if let Some(byte) = pdu.get_mut(place) {
            *byte = value;
        }
        pdu.to_vec()
    });
    prop::collection::vec(prop_oneof![1 => arbitrary, 1 => pdu, 3 => known], 0..6)
        .prop_map(|parts| parts.concat())
}

fn is_end(event: &Event) -> bool {
    !matches!(
        event,
        Event::AssociateRequested(_) | Event::Established(_) | Event::Data(_) | Event::ReleaseRequested
    )
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_end_twice(choice in 0_u8..9, chunks in prop::collection::vec(almost_pdus(), 0..5)) {
        let mut party = in_any_state(choice);
        let mut events = Vec::new();
        for chunk in chunks {
            events.extend(party.receive(&chunk));
            prop_assert!(party.input.len() <= MAX_ASSOCIATE_LENGTH as usize + HEADER_LENGTH);
        }
        party.association.handle_closed(party.now);
        events.extend(party.events());
        prop_assert!(party.association.wants_close());
        let ends = events.iter().filter(|event| is_end(event)).count();
        prop_assert_eq!(ends, usize::from(choice != 8));
        prop_assert!(events.iter().rev().skip(ends).all(|event| !is_end(event)), "the end comes last");
        let sent = party.output();
        pdus(&sent);
    }
}
