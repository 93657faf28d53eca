//! The requestor's side: the A-ASSOCIATE-RQ of a proposal, and what holds after its answer.

use std::collections::HashMap;

use bytes::BytesMut;

use super::{
    APPLICATION_CONTEXT, Context, Negotiated, PROTOCOL_VERSION, Proposal, RefusedContext, limit, set_roles,
};
use crate::Uid;
use crate::association::{MAX_PDU_LENGTH, introduce};
use crate::pdu::presentation_context::MAX_CONTEXTS;
use crate::pdu::{
    AssociateAc, AssociateRq, AsyncOperationsWindow, ContextId, ContextResult, ContextResultReason,
    HEADER_LENGTH, ProposedContext, RoleSelection, UserInformation,
};

/// The A-ASSOCIATE-RQ of a proposal. Maximum length and implementation are filled in by the association.
///
/// Contexts beyond the 128th have no ID and are left out; [`conclude`] counts them as refused.
pub fn associate_rq(proposal: &Proposal) -> AssociateRq {
    let presentation_contexts = proposed(proposal)
        .map(|(id, abstract_syntax, transfer_syntaxes)| ProposedContext {
            id: id.get(),
            abstract_syntax: Some(abstract_syntax.clone()),
            transfer_syntaxes: transfer_syntaxes.to_vec(),
        })
        .collect();
    AssociateRq {
        protocol_version: PROTOCOL_VERSION,
        called_ae_title: proposal.called_ae_title.to_padded(),
        calling_ae_title: proposal.calling_ae_title.to_padded(),
        application_context: Some(APPLICATION_CONTEXT),
        presentation_contexts,
        user_information: UserInformation {
            async_operations_window: proposal.async_operations_window,
            role_selections: proposal.role_selections.clone(),
            extended_negotiations: proposal.extended_negotiations.clone(),
            user_identity_request: proposal.user_identity.clone(),
            ..UserInformation::default()
        },
    }
}

/// The contexts of a proposal that have an ID.
fn proposed(proposal: &Proposal) -> impl Iterator<Item = (ContextId, &Uid, &[Uid])> {
    proposal.contexts.iter().enumerate().filter_map(|(index, (abstract_syntax, transfer_syntaxes))| {
        Some((ContextId::of_index(index)?, abstract_syntax, &transfer_syntaxes[..]))
    })
}

/// A proposal that cannot be put into an A-ASSOCIATE-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProposal {
    /// Nothing is proposed.
    #[error("no presentation context is proposed")]
    NoContext,
    /// A presentation context, an identity or the whole user information is beyond the 65,535 bytes of an item.
    #[error("a part of the association request is longer than the 65,535 bytes that an item can have")]
    ItemTooLong,
}

/// Whether all of a proposal fits into an A-ASSOCIATE-RQ. What does not fit would be left out of it in silence,
/// so it is for whoever takes proposals from outside to ask here first.
///
/// # Errors
/// [`InvalidProposal`].
pub fn check(proposal: &Proposal) -> Result<(), InvalidProposal> {
    if proposal.contexts.is_empty() {
        return Err(InvalidProposal::NoContext);
    }
    let mut associate_rq = associate_rq(proposal);
    introduce(&mut associate_rq.user_information, MAX_PDU_LENGTH);
    let mut bytes = BytesMut::new();
    associate_rq.encode(&mut bytes);
    match AssociateRq::decode(&bytes[HEADER_LENGTH..]) {
        Ok(written) if written == associate_rq => Ok(()),
        _ => Err(InvalidProposal::ItemTooLong),
    }
}

/// What an A-ASSOCIATE-AC says that it may not say: the requestor aborts (reason 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnswer {
    /// It answers a context that was not proposed.
    #[error("{}", self.what())]
    UnknownContext,
    /// It answers a context twice.
    #[error("{}", self.what())]
    RepeatedContext,
    /// It accepts a context with a transfer syntax that was not proposed for it.
    #[error("{}", self.what())]
    ForeignTransferSyntax,
}

impl InvalidAnswer {
    /// What the peer did, as the end of a sentence that begins with "it".
    pub const fn what(self) -> &'static str {
        match self {
            InvalidAnswer::UnknownContext => "answered a presentation context that was not proposed",
            InvalidAnswer::RepeatedContext => "answered a presentation context twice",
            InvalidAnswer::ForeignTransferSyntax => {
                "accepted a presentation context with a transfer syntax that was not proposed for it"
            }
        }
    }
}

/// What holds after an A-ASSOCIATE-AC.
///
/// A context without an answer, or with a result of no meaning, is refused. A role that was asked for and not
/// answered is not granted: the default holds. Some PACS never answer roles and send all the same; whoever
/// wants to try finds [`Negotiated::roles_answered`] false.
///
/// # Errors
/// [`InvalidAnswer`]; the association is to be aborted.
pub fn conclude(proposal: &Proposal, associate_ac: &AssociateAc) -> Result<Negotiated, InvalidAnswer> {
    let (mut contexts, refused_contexts) = conclude_contexts(proposal, associate_ac)?;
    let answered = &associate_ac.user_information;
    let roles = conclude_roles(proposal, &answered.role_selections);
    set_roles(&mut contexts, |class| roles.get(class).copied());
    let async_operations_window = match (proposal.async_operations_window, answered.async_operations_window) {
        (Some(asked), Some(answered)) => AsyncOperationsWindow {
            invoked: lower_window(asked.invoked, answered.invoked),
            performed: lower_window(asked.performed, answered.performed),
        },
        _ => AsyncOperationsWindow::SYNCHRONOUS,
    };
    Ok(Negotiated {
        calling_ae_title: proposal.calling_ae_title.clone(),
        called_ae_title: proposal.called_ae_title.clone(),
        contexts,
        refused_contexts,
        peer_max_pdu_length: limit(answered.maximum_length),
        async_operations_window,
        roles_answered: !roles.is_empty(),
        extended_negotiations: answered.extended_negotiations.clone(),
        user_identity_response: answered.user_identity_response.clone(),
        peer_implementation_class_uid: answered.implementation_class_uid.clone(),
        peer_implementation_version_name: answered.implementation_version_name.clone(),
    })
}

/// The contexts that were accepted, and those that were not.
fn conclude_contexts(
    proposal: &Proposal,
    associate_ac: &AssociateAc,
) -> Result<(Vec<Context>, Vec<RefusedContext>), InvalidAnswer> {
    let mut answers: [Option<&ContextResult>; MAX_CONTEXTS] = [None; MAX_CONTEXTS];
    for answer in &associate_ac.presentation_contexts {
        let id = ContextId::new(answer.id).ok_or(InvalidAnswer::UnknownContext)?;
        if id.index() >= proposal.contexts.len() {
            return Err(InvalidAnswer::UnknownContext);
        }
        if answers[id.index()].replace(answer).is_some() {
            return Err(InvalidAnswer::RepeatedContext);
        }
    }
    let (mut contexts, mut refused) = (Vec::new(), Vec::new());
    for (index, (abstract_syntax, transfer_syntaxes)) in proposal.contexts.iter().enumerate() {
        let answer = answers.get(index).copied().flatten();
        match (ContextId::of_index(index), answer) {
            (Some(id), Some(answer)) if answer.result == ContextResultReason::Acceptance => {
                let transfer_syntax = answer
                    .transfer_syntax
                    .as_ref()
                    .filter(|chosen| transfer_syntaxes.contains(chosen))
                    .ok_or(InvalidAnswer::ForeignTransferSyntax)?;
                contexts.push(Context {
                    id,
                    abstract_syntax: abstract_syntax.clone(),
                    transfer_syntax: transfer_syntax.clone(),
                    requestor_is_scu: true,
                    requestor_is_scp: false,
                });
            }
            (_, answer) => refused.push(RefusedContext {
                abstract_syntax: abstract_syntax.clone(),
                transfer_syntaxes: transfer_syntaxes.clone(),
                reason: answer.map_or(ContextResultReason::NoReason, |answer| answer.result),
            }),
        }
    }
    Ok((contexts, refused))
}

/// Our roles (SCU, SCP) in the classes for which we asked and were answered: never more than asked.
fn conclude_roles(proposal: &Proposal, answers: &[RoleSelection]) -> HashMap<Uid, (bool, bool)> {
    let asked: HashMap<&Uid, &RoleSelection> =
        proposal.role_selections.iter().rev().map(|asked| (&asked.sop_class_uid, asked)).collect();
    answers
        .iter()
        .rev()
        .filter_map(|answer| {
            let asked = asked.get(&answer.sop_class_uid)?;
            Some((answer.sop_class_uid.clone(), (asked.scu && answer.scu, asked.scp && answer.scp)))
        })
        .collect()
}

/// The lower of two windows, where 0 says unlimited.
fn lower_window(asked: u16, answered: u16) -> u16 {
    match (asked, answered) {
        (0, other) | (other, 0) => other,
        (asked, answered) => asked.min(answered),
    }
}
