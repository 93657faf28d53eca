//! Negotiation as pure functions: what a requestor proposes ([`associate_rq`]), what an acceptor answers
//! ([`answer`]), what then holds ([`conclude`]). PS3.8 7.1.1 and 9.3, PS3.7 Annex D.3.
//!
//! Where the standard leaves it open:
//! - a context whose ID is even, or that shares its ID with another, is refused without a reason (2), one answer
//!   an ID, so that no ID ever has two meanings; the other contexts stand;
//! - an abstract syntax that is no UID is not supported (3); so is, as 4, a context that has no transfer syntax
//!   that is a UID;
//! - role selections for what was not accepted, second ones for a class, and ones that ask for no role at all go
//!   unanswered; nothing is granted that was not asked for;
//! - user identity is not looked at here. It is in the request for whoever wants to reject because of it; where
//!   a positive response is asked, none is given, and the requestor draws its conclusion (PS3.7 D.3.3.7).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::pdu::presentation_context::MAX_CONTEXTS;
use crate::pdu::{
    AssociateAc, AssociateRj, AssociateRq, AsyncOperationsWindow, ContextId, ContextResult,
    ContextResultReason, ExtendedNegotiation, ProposedContext, RejectReason, RejectResult, RoleSelection,
    UserIdentityRequest, UserInformation,
};
use crate::{AeTitle, Uid};

/// The DICOM application context name, PS3.7 Annex A.2.1.
pub const APPLICATION_CONTEXT: Uid = Uid::from_static("1.2.840.10008.3.1.1.1");

/// Protocol version: bit 0 says version 1, PS3.8 9.3.2.
const PROTOCOL_VERSION: u16 = 1;

/// What stands in a refused context, where it is not significant: Implicit VR Little Endian, which everybody knows.
const ANY_TRANSFER_SYNTAX: Uid = Uid::from_static("1.2.840.10008.1.2");

/// What a requestor proposes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Our AE title.
    pub calling_ae_title: AeTitle,
    /// The peer's AE title.
    pub called_ae_title: AeTitle,
    /// Abstract syntax and transfer syntaxes; the context at place n has the ID 2n+1. At most 128.
    pub contexts: Vec<(Uid, Vec<Uid>)>,
    /// Role selections.
    pub role_selections: Vec<RoleSelection>,
    /// The asynchronous operations window; `None` leaves the item out, which means 1 and 1.
    pub async_operations_window: Option<AsyncOperationsWindow>,
    /// SOP class extended negotiations.
    pub extended_negotiations: Vec<ExtendedNegotiation>,
    /// User identity.
    pub user_identity: Option<UserIdentityRequest>,
}

/// What holds once an association stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Negotiated {
    /// Calling AE title: the requestor's.
    pub calling_ae_title: AeTitle,
    /// Called AE title: the acceptor's.
    pub called_ae_title: AeTitle,
    /// Accepted presentation contexts, in ascending order of their IDs.
    pub contexts: Vec<Context>,
    /// Presentation contexts that were not accepted.
    pub refused_contexts: Vec<RefusedContext>,
    /// The longest P-DATA-TF the peer takes; `None` when it states no limit.
    pub peer_max_pdu_length: Option<u32>,
    /// The window that holds: 1 and 1 when not negotiated.
    pub async_operations_window: AsyncOperationsWindow,
    /// Whether the peer answered any role selection at all. Some PACS never do.
    pub roles_answered: bool,
    /// Extended negotiation as answered.
    pub extended_negotiations: Vec<ExtendedNegotiation>,
    /// User identity server response.
    pub user_identity_response: Option<Bytes>,
    /// The peer's Implementation Class UID.
    pub peer_implementation_class_uid: Option<Uid>,
    /// The peer's implementation version name.
    pub peer_implementation_version_name: Option<String>,
}

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Presentation context ID.
    pub id: ContextId,
    /// Abstract syntax: a SOP class.
    pub abstract_syntax: Uid,
    /// The transfer syntax that was chosen.
    pub transfer_syntax: Uid,
    /// Whether the association-requestor may be SCU.
    pub requestor_is_scu: bool,
    /// Whether the association-requestor may be SCP.
    pub requestor_is_scp: bool,
}

/// A presentation context that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedContext {
    /// Abstract syntax: a SOP class.
    pub abstract_syntax: Uid,
    /// The transfer syntaxes that were proposed.
    pub transfer_syntaxes: Vec<Uid>,
    /// Why.
    pub reason: ContextResultReason,
}

/// What an acceptor supports: asked once for every proposed context and role.
pub trait Support {
    /// Which of the proposed transfer syntaxes to take for an abstract syntax; `Err` is the reason of refusal.
    ///
    /// # Errors
    /// [`ContextResultReason`] for the answer; never `Acceptance`.
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason>;

    /// The roles of the requestor that we grant, of those it asks for.
    fn roles(&self, asked: &RoleSelection) -> RoleSelection;

    /// Answers SOP class extended negotiation; `None` leaves it out.
    fn extended_negotiation(&self, asked: &ExtendedNegotiation) -> Option<ExtendedNegotiation>;

    /// The window we grant, of what is asked; 0 never comes out where a bound is ours to give.
    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow;
}

/// An acceptor's yes: made by [`answer`], given to [`super::Association::accept`].
#[derive(Debug, Clone, PartialEq)]
pub struct Acceptance {
    /// The answer as it goes over the wire; maximum length and implementation are filled in by the association.
    pub associate_ac: crate::pdu::AssociateAc,
    /// What then holds.
    pub negotiated: Negotiated,
}

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

/// Answers an A-ASSOCIATE-RQ by what is supported. Whether the AE titles are welcome is decided before.
///
/// # Errors
/// The rejection for a wrong application context, protocol version, or AE titles that break their grammar.
pub fn answer(request: &AssociateRq, support: &dyn Support) -> Result<Acceptance, AssociateRj> {
    let (calling_ae_title, called_ae_title) = acceptable(request)?;
    let (presentation_contexts, mut contexts, refused_contexts) = answer_contexts(request, support);
    let role_selections = answer_roles(request, support, &mut contexts);
    let extended_negotiations = answer_extended_negotiations(request, support, &contexts);
    let asked = &request.user_information;
    let async_operations_window = asked
        .async_operations_window
        .map(|asked| grant_window(asked, support.async_operations_window(asked)));
    let associate_ac = AssociateAc {
        protocol_version: PROTOCOL_VERSION,
        called_ae_title: request.called_ae_title,
        calling_ae_title: request.calling_ae_title,
        application_context: Some(APPLICATION_CONTEXT),
        presentation_contexts,
        user_information: UserInformation {
            async_operations_window,
            role_selections: role_selections.clone(),
            extended_negotiations: extended_negotiations.clone(),
            ..UserInformation::default()
        },
    };
    let negotiated = Negotiated {
        calling_ae_title,
        called_ae_title,
        contexts,
        refused_contexts,
        peer_max_pdu_length: limit(asked.maximum_length),
        async_operations_window: async_operations_window.unwrap_or(AsyncOperationsWindow::SYNCHRONOUS),
        roles_answered: !role_selections.is_empty(),
        extended_negotiations,
        user_identity_response: None,
        peer_implementation_class_uid: asked.implementation_class_uid.clone(),
        peer_implementation_version_name: asked.implementation_version_name.clone(),
    };
    Ok(Acceptance { associate_ac, negotiated })
}

/// What has to be right before a context is looked at: the AE titles, calling and called, if it is.
fn acceptable(request: &AssociateRq) -> Result<(AeTitle, AeTitle), AssociateRj> {
    let permanent = |reason| AssociateRj { result: RejectResult::Permanent, reason };
    // Only bit 0 is tested (9.3.2): a peer may speak further versions as well.
    if request.protocol_version & PROTOCOL_VERSION == 0 {
        return Err(permanent(RejectReason::ProtocolVersionNotSupported));
    }
    if request.application_context != Some(APPLICATION_CONTEXT) {
        return Err(permanent(RejectReason::ApplicationContextNotSupported));
    }
    let calling = AeTitle::from_bytes(&request.calling_ae_title)
        .map_err(|_| permanent(RejectReason::CallingAeTitleNotRecognized))?;
    let called = AeTitle::from_bytes(&request.called_ae_title)
        .map_err(|_| permanent(RejectReason::CalledAeTitleNotRecognized))?;
    Ok((calling, called))
}

/// The answers, and the contexts that were accepted and refused.
fn answer_contexts(
    request: &AssociateRq,
    support: &dyn Support,
) -> (Vec<ContextResult>, Vec<Context>, Vec<RefusedContext>) {
    let mut seen = [0_u32; 256];
    for proposed in &request.presentation_contexts {
        seen[usize::from(proposed.id)] += 1;
    }
    let (mut results, mut contexts, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for proposed in &request.presentation_contexts {
        let times = std::mem::take(&mut seen[usize::from(proposed.id)]);
        if times == 0 {
            continue; // Its ID was answered before.
        }
        let chosen = match ContextId::new(proposed.id).filter(|_| times == 1) {
            Some(id) => choose(proposed, support).map(|(abstract_syntax, transfer_syntax)| Context {
                id,
                abstract_syntax,
                transfer_syntax,
                requestor_is_scu: true,
                requestor_is_scp: false,
            }),
            None => Err(ContextResultReason::NoReason),
        };
        let (result, transfer_syntax) = match &chosen {
            Ok(context) => (ContextResultReason::Acceptance, context.transfer_syntax.clone()),
            Err(reason) => {
                (*reason, proposed.transfer_syntaxes.first().cloned().unwrap_or(ANY_TRANSFER_SYNTAX))
            }
        };
        results.push(ContextResult { id: proposed.id, result, transfer_syntax: Some(transfer_syntax) });
        match (chosen, &proposed.abstract_syntax) {
            (Ok(context), _) => contexts.push(context),
            (Err(reason), Some(abstract_syntax)) => refused.push(RefusedContext {
                abstract_syntax: abstract_syntax.clone(),
                transfer_syntaxes: proposed.transfer_syntaxes.clone(),
                reason,
            }),
            (Err(_), None) => {}
        }
    }
    contexts.sort_by_key(|context: &Context| context.id);
    (results, contexts, refused)
}

/// Abstract syntax and transfer syntax of a context that is supported.
fn choose(proposed: &ProposedContext, support: &dyn Support) -> Result<(Uid, Uid), ContextResultReason> {
    let abstract_syntax =
        proposed.abstract_syntax.as_ref().ok_or(ContextResultReason::AbstractSyntaxNotSupported)?;
    if proposed.transfer_syntaxes.is_empty() {
        return Err(ContextResultReason::TransferSyntaxesNotSupported);
    }
    match support.transfer_syntax(abstract_syntax, &proposed.transfer_syntaxes) {
        Ok(chosen) if proposed.transfer_syntaxes.contains(&chosen) => Ok((abstract_syntax.clone(), chosen)),
        Ok(_) => Err(ContextResultReason::TransferSyntaxesNotSupported),
        Err(ContextResultReason::Acceptance) => Err(ContextResultReason::NoReason),
        Err(reason) => Err(reason),
    }
}

/// Answers the first role selection of each class that has an accepted context, and sets the roles of its
/// contexts: all contexts of a class have the same.
fn answer_roles(
    request: &AssociateRq,
    support: &dyn Support,
    contexts: &mut [Context],
) -> Vec<RoleSelection> {
    let mut granted: HashMap<Uid, Option<RoleSelection>> =
        contexts.iter().map(|context| (context.abstract_syntax.clone(), None)).collect();
    let mut answers = Vec::new();
    for asked in &request.user_information.role_selections {
        let Some(slot @ None) = granted.get_mut(&asked.sop_class_uid) else { continue };
        if !asked.scu && !asked.scp {
            continue;
        }
        let roles = support.roles(asked);
        let roles = RoleSelection {
            sop_class_uid: asked.sop_class_uid.clone(),
            scu: asked.scu && roles.scu,
            scp: asked.scp && roles.scp,
        };
        *slot = Some(roles.clone());
        answers.push(roles);
    }
    set_roles(contexts, |class| {
        granted.get(class).and_then(Option::as_ref).map(|roles| (roles.scu, roles.scp))
    });
    answers
}

/// Sets the roles of contexts whose class has been negotiated; the others keep the default, requestor is SCU.
fn set_roles(contexts: &mut [Context], roles: impl Fn(&Uid) -> Option<(bool, bool)>) {
    for context in contexts {
        if let Some((scu, scp)) = roles(&context.abstract_syntax) {
            context.requestor_is_scu = scu;
            context.requestor_is_scp = scp;
        }
    }
}

/// Answers the first extended negotiation of each class that has an accepted context.
fn answer_extended_negotiations(
    request: &AssociateRq,
    support: &dyn Support,
    contexts: &[Context],
) -> Vec<ExtendedNegotiation> {
    let mut open: HashSet<&Uid> = contexts.iter().map(|context| &context.abstract_syntax).collect();
    request
        .user_information
        .extended_negotiations
        .iter()
        .filter(|asked| open.remove(&asked.sop_class_uid))
        .filter_map(|asked| support.extended_negotiation(asked))
        .collect()
}

/// Never more than asked for, and never "unlimited": 0 from [`Support`] is taken as 1.
fn grant_window(asked: AsyncOperationsWindow, granted: AsyncOperationsWindow) -> AsyncOperationsWindow {
    let bounded = |asked: u16, granted: u16| match asked {
        0 => granted.max(1),
        asked => granted.clamp(1, asked),
    };
    AsyncOperationsWindow {
        invoked: bounded(asked.invoked, granted.invoked),
        performed: bounded(asked.performed, granted.performed),
    }
}

/// A maximum length of 0 states no limit, and so does none at all.
fn limit(maximum_length: Option<u32>) -> Option<u32> {
    maximum_length.filter(|length| *length != 0)
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

#[cfg(test)]
mod tests;
