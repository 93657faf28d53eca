//! The acceptor's answer to an A-ASSOCIATE-RQ.

use std::collections::{HashMap, HashSet};

use super::{
    APPLICATION_CONTEXT, Acceptance, Context, Negotiated, PROTOCOL_VERSION, RefusedContext, Support, limit,
    set_roles,
};
use crate::pdu::{
    AssociateAc, AssociateRj, AssociateRq, AsyncOperationsWindow, ContextId, ContextResult,
    ContextResultReason, ExtendedNegotiation, ProposedContext, RejectReason, RejectResult, RoleSelection,
    UserInformation,
};
use crate::{AeTitle, Uid};

/// What stands in a refused context, where it is not significant: Implicit VR Little Endian, which everybody knows.
const ANY_TRANSFER_SYNTAX: Uid = Uid::from_static("1.2.840.10008.1.2");

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
