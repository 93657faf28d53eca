//! Negotiation as a table of questions and answers.

use super::*;
use crate::pdu::{AssociateAc, AssociateRq, ContextResult, ProposedContext, RejectReason, RejectResult};

const CT: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.2");
const MR: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.4");
const GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.2.3");
const IMPLICIT: Uid = Uid::from_static("1.2.840.10008.1.2");
const EXPLICIT: Uid = Uid::from_static("1.2.840.10008.1.2.1");
const JPEG: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");

/// Supports CT and GET, native transfer syntaxes, every role for CT, windows up to 16.
struct Archive;

impl Support for Archive {
    fn transfer_syntax(&self, class: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        if *class != CT && *class != GET {
            return Err(ContextResultReason::AbstractSyntaxNotSupported);
        }
        let native = proposed.iter().find(|syntax| [IMPLICIT, EXPLICIT].contains(syntax));
        native.cloned().ok_or(ContextResultReason::TransferSyntaxesNotSupported)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        RoleSelection {
            sop_class_uid: asked.sop_class_uid.clone(),
            scu: true,
            scp: asked.sop_class_uid == CT,
        }
    }

    fn extended_negotiation(&self, asked: &ExtendedNegotiation) -> Option<ExtendedNegotiation> {
        Some(ExtendedNegotiation { sop_class_uid: asked.sop_class_uid.clone(), information: Bytes::new() })
    }

    fn async_operations_window(&self, _: AsyncOperationsWindow) -> AsyncOperationsWindow {
        AsyncOperationsWindow { invoked: 16, performed: 0 }
    }
}

fn proposal(contexts: Vec<(Uid, Vec<Uid>)>) -> Proposal {
    Proposal::new(AeTitle::new("DICOMET").unwrap(), AeTitle::new("ARCHIVE").unwrap(), contexts)
}

fn ct_and_get() -> Proposal {
    proposal(vec![(CT, vec![JPEG, EXPLICIT]), (GET, vec![IMPLICIT])])
}

fn request(proposal: &Proposal) -> AssociateRq {
    associate_rq(proposal)
}

fn role(class: Uid, scu: bool, scp: bool) -> RoleSelection {
    RoleSelection { sop_class_uid: class, scu, scp }
}

fn context(id: u8, class: Option<Uid>, syntaxes: &[Uid]) -> ProposedContext {
    ProposedContext { id, abstract_syntax: class, transfer_syntaxes: syntaxes.to_vec() }
}

/// ID and result of each answer.
fn results(contexts: Vec<ProposedContext>) -> Vec<(u8, ContextResultReason)> {
    let mut request = request(&ct_and_get());
    request.presentation_contexts = contexts;
    let acceptance = answer(&request, &Archive).unwrap();
    let answers = &acceptance.associate_ac.presentation_contexts;
    let accepted = answers.iter().filter(|answer| answer.result == ContextResultReason::Acceptance).count();
    assert_eq!(acceptance.negotiated.contexts.len(), accepted);
    answers.iter().map(|answer| (answer.id, answer.result)).collect()
}

#[test]
fn a_request_is_rejected_for_what_no_context_can_mend() {
    let rejected = |change: fn(&mut AssociateRq)| {
        let mut request = request(&ct_and_get());
        change(&mut request);
        answer(&request, &Archive).map(|_| ()).map_err(|rejection| {
            assert_eq!(rejection.result, RejectResult::Permanent);
            rejection.reason
        })
    };
    assert_eq!(rejected(|_| {}), Ok(()));
    assert_eq!(rejected(|rq| rq.protocol_version = 0xffff), Ok(()), "only bit 0 is tested");
    assert_eq!(rejected(|rq| rq.protocol_version = 0xfffe), Err(RejectReason::ProtocolVersionNotSupported));
    assert_eq!(
        rejected(|rq| rq.application_context = None),
        Err(RejectReason::ApplicationContextNotSupported)
    );
    assert_eq!(
        rejected(|rq| rq.application_context = Some(CT)),
        Err(RejectReason::ApplicationContextNotSupported)
    );
    assert_eq!(
        rejected(|rq| rq.calling_ae_title = [b' '; 16]),
        Err(RejectReason::CallingAeTitleNotRecognized)
    );
    assert_eq!(
        rejected(|rq| rq.calling_ae_title = *b"..\\..\\x         "),
        Err(RejectReason::CallingAeTitleNotRecognized)
    );
    assert_eq!(
        rejected(|rq| rq.called_ae_title = *b"A\x1b[2J           "),
        Err(RejectReason::CalledAeTitleNotRecognized)
    );
}

#[test]
fn each_context_is_answered_for_itself() {
    use ContextResultReason::{AbstractSyntaxNotSupported, Acceptance, TransferSyntaxesNotSupported};
    let answers = results(vec![
        context(5, Some(CT), &[JPEG, EXPLICIT]),
        context(1, Some(MR), &[EXPLICIT]),
        context(3, Some(CT), &[JPEG]),
        context(7, Some(CT), &[]),
        context(9, None, &[IMPLICIT]),
    ]);
    assert_eq!(
        answers,
        [
            (5, Acceptance),
            (1, AbstractSyntaxNotSupported),
            (3, TransferSyntaxesNotSupported),
            (7, TransferSyntaxesNotSupported),
            (9, AbstractSyntaxNotSupported),
        ]
    );
}

#[test]
fn an_id_that_is_even_or_repeated_is_answered_once_and_refused() {
    use ContextResultReason::{Acceptance, NoReason};
    let ct = |id| context(id, Some(CT), &[EXPLICIT]);
    let answers = results(vec![ct(0), ct(2), ct(1), ct(3), ct(3), ct(2), ct(5)]);
    assert_eq!(answers, [(0, NoReason), (2, NoReason), (1, Acceptance), (3, NoReason), (5, Acceptance)]);
}

#[test]
fn roles_are_granted_as_asked_and_never_more() {
    let mut asked = ct_and_get();
    asked.contexts.push((MR, vec![EXPLICIT]));
    asked.contexts.push((CT, vec![IMPLICIT]));
    asked.role_selections = vec![
        role(CT, false, false), // asks for nothing
        role(CT, false, true),
        role(CT, true, true), // the second for its class
        role(GET, false, true),
        role(MR, false, true),  // its context is refused
        role(JPEG, true, true), // never proposed
    ];
    let acceptance = answer(&request(&asked), &Archive).unwrap();
    assert_eq!(
        acceptance.associate_ac.user_information.role_selections,
        [role(CT, false, true), role(GET, false, false)]
    );
    let roles: Vec<_> = acceptance
        .negotiated
        .contexts
        .iter()
        .map(|context| (context.id.get(), context.requestor_is_scu, context.requestor_is_scp))
        .collect();
    assert_eq!(roles, [(1, false, true), (3, false, false), (7, false, true)]);
}

#[test]
fn without_role_selection_the_requestor_is_scu() {
    let acceptance = answer(&request(&ct_and_get()), &Archive).unwrap();
    assert!(acceptance.negotiated.contexts.iter().all(|it| it.requestor_is_scu && !it.requestor_is_scp));
    assert!(!acceptance.negotiated.roles_answered);
}

#[test]
fn a_window_is_granted_within_what_is_asked_and_never_unlimited() {
    let granted = |asked: Option<(u16, u16)>| {
        let mut proposal = ct_and_get();
        proposal.async_operations_window =
            asked.map(|(invoked, performed)| AsyncOperationsWindow { invoked, performed });
        let acceptance = answer(&request(&proposal), &Archive).unwrap();
        let concluded = conclude(&proposal, &acceptance.associate_ac).unwrap();
        assert_eq!(concluded.async_operations_window, acceptance.negotiated.async_operations_window);
        let item = acceptance.associate_ac.user_information.async_operations_window;
        assert_eq!(item.is_some(), asked.is_some(), "answered only when asked");
        (concluded.async_operations_window.invoked, concluded.async_operations_window.performed)
    };
    assert_eq!(granted(None), (1, 1));
    assert_eq!(granted(Some((0, 0))), (16, 1));
    assert_eq!(granted(Some((65535, 65535))), (16, 1));
    assert_eq!(granted(Some((4, 1))), (4, 1));
}

#[test]
fn extended_negotiation_is_answered_once_a_class_that_was_accepted() {
    let mut asked = ct_and_get();
    let negotiation = |class: Uid| ExtendedNegotiation { sop_class_uid: class, information: Bytes::new() };
    asked.extended_negotiations = vec![negotiation(GET), negotiation(GET), negotiation(MR)];
    let acceptance = answer(&request(&asked), &Archive).unwrap();
    assert_eq!(acceptance.negotiated.extended_negotiations, [negotiation(GET)]);
}

#[test]
fn user_identity_of_any_type_is_accepted_in_silence() {
    let mut asked = ct_and_get();
    asked.user_identity = Some(UserIdentityRequest {
        identity_type: 99,
        positive_response_requested: true,
        primary: Bytes::from_static(b"user"),
        secondary: Bytes::new(),
    });
    let acceptance = answer(&request(&asked), &Archive).unwrap();
    assert_eq!(acceptance.associate_ac.user_information.user_identity_response, None);
}

#[test]
fn both_sides_conclude_the_same() {
    let mut proposal = ct_and_get();
    proposal.role_selections = vec![role(CT, false, true)];
    let acceptance = answer(&request(&proposal), &Archive).unwrap();
    let concluded = conclude(&proposal, &acceptance.associate_ac).unwrap();
    assert_eq!(concluded.contexts, acceptance.negotiated.contexts);
    assert_eq!(concluded.refused_contexts, acceptance.negotiated.refused_contexts);
    assert!(concluded.roles_answered);
}

fn answer_to(proposal: &Proposal) -> AssociateAc {
    answer(&request(proposal), &Archive).unwrap().associate_ac
}

#[test]
fn an_answer_that_nobody_asked_for_is_an_error() {
    let proposal = ct_and_get();
    let concluded = |change: fn(&mut Vec<ContextResult>)| {
        let mut associate_ac = answer_to(&proposal);
        change(&mut associate_ac.presentation_contexts);
        conclude(&proposal, &associate_ac).map(|_| ())
    };
    assert_eq!(concluded(|answers| answers[0].id = 5), Err(InvalidAnswer::UnknownContext));
    assert_eq!(concluded(|answers| answers[0].id = 2), Err(InvalidAnswer::UnknownContext));
    assert_eq!(concluded(|answers| answers[0].id = 255), Err(InvalidAnswer::UnknownContext));
    assert_eq!(concluded(|answers| answers[0].id = 3), Err(InvalidAnswer::RepeatedContext));
    assert_eq!(
        concluded(|answers| answers[0].transfer_syntax = Some(IMPLICIT)),
        Err(InvalidAnswer::ForeignTransferSyntax)
    );
    assert_eq!(
        concluded(|answers| answers[0].transfer_syntax = None),
        Err(InvalidAnswer::ForeignTransferSyntax)
    );
}

#[test]
fn a_missing_or_meaningless_answer_refuses_its_context_alone() {
    let proposal = ct_and_get();
    let mut associate_ac = answer_to(&proposal);
    associate_ac.presentation_contexts.remove(0);
    let negotiated = conclude(&proposal, &associate_ac).unwrap();
    assert_eq!(negotiated.contexts.len(), 1);
    assert_eq!(negotiated.refused_contexts[0].reason, ContextResultReason::NoReason);
    assert_eq!(negotiated.refused_contexts[0].transfer_syntaxes, [JPEG, EXPLICIT]);

    let mut associate_ac = answer_to(&proposal);
    associate_ac.presentation_contexts[1].result = ContextResultReason::Other(9);
    associate_ac.presentation_contexts[1].transfer_syntax = None;
    let negotiated = conclude(&proposal, &associate_ac).unwrap();
    assert_eq!(negotiated.refused_contexts[0].reason, ContextResultReason::Other(9));
}

#[test]
fn a_role_that_is_not_answered_is_not_granted_but_remembered_as_unanswered() {
    let mut proposal = ct_and_get();
    proposal.role_selections = vec![role(CT, false, true)];
    let mut associate_ac = answer_to(&proposal);
    associate_ac.user_information.role_selections.clear();
    let negotiated = conclude(&proposal, &associate_ac).unwrap();
    assert!(!negotiated.roles_answered);
    assert!(negotiated.contexts[0].requestor_is_scu && !negotiated.contexts[0].requestor_is_scp);
    // An answer of more than was asked gives no more than was asked.
    associate_ac.user_information.role_selections = vec![role(CT, true, true), role(MR, true, true)];
    let negotiated = conclude(&proposal, &associate_ac).unwrap();
    assert!(negotiated.roles_answered);
    assert!(!negotiated.contexts[0].requestor_is_scu && negotiated.contexts[0].requestor_is_scp);
}

#[test]
fn a_window_that_nobody_asked_for_does_not_hold() {
    let proposal = ct_and_get();
    let mut associate_ac = answer_to(&proposal);
    associate_ac.user_information.async_operations_window =
        Some(AsyncOperationsWindow { invoked: 0, performed: 0 });
    let negotiated = conclude(&proposal, &associate_ac).unwrap();
    assert_eq!(negotiated.async_operations_window, AsyncOperationsWindow::SYNCHRONOUS);
}

#[test]
fn a_maximum_length_of_zero_or_none_states_no_limit() {
    for (stated, limit) in [(None, None), (Some(0), None), (Some(16_384), Some(16_384))] {
        let mut request = request(&ct_and_get());
        request.user_information.maximum_length = stated;
        assert_eq!(answer(&request, &Archive).unwrap().negotiated.peer_max_pdu_length, limit);
    }
}

#[test]
fn contexts_beyond_the_128th_are_not_proposed_and_count_as_refused() {
    let proposal = proposal(vec![(CT, vec![EXPLICIT]); 130]);
    let request = request(&proposal);
    assert_eq!(request.presentation_contexts.len(), 128);
    assert_eq!(request.presentation_contexts[127].id, 255);
    let negotiated = conclude(&proposal, &answer_to(&proposal)).unwrap();
    assert_eq!((negotiated.contexts.len(), negotiated.refused_contexts.len()), (128, 2));
}

#[test]
fn a_proposal_that_does_not_fit_is_found_before_it_is_sent() {
    assert_eq!(check(&ct_and_get()), Ok(()));
    assert_eq!(check(&proposal(Vec::new())), Err(InvalidProposal::NoContext));
    assert_eq!(check(&proposal(vec![(CT, vec![EXPLICIT; 4000])])), Err(InvalidProposal::ItemTooLong));
    let mut token = ct_and_get();
    let identity = |length| UserIdentityRequest {
        identity_type: 5,
        positive_response_requested: false,
        primary: vec![b'x'; length].into(),
        secondary: Bytes::new(),
    };
    token.user_identity = Some(identity(65_000));
    assert_eq!(check(&token), Ok(()));
    token.user_identity = Some(identity(65_500));
    assert_eq!(check(&token), Err(InvalidProposal::ItemTooLong), "the user information around it");
    token.user_identity = Some(identity(70_000));
    assert_eq!(check(&token), Err(InvalidProposal::ItemTooLong));
    let largest = proposal(vec![(CT, vec![EXPLICIT; 20]); 128]);
    assert_eq!(check(&largest), Ok(()));
}
