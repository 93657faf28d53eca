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

mod acceptor;
mod requestor;
mod willing;

use bytes::Bytes;

pub use self::acceptor::answer;
pub use self::requestor::{InvalidAnswer, InvalidProposal, associate_rq, check, conclude};
pub use self::willing::{Willing, first_proposed};
use crate::pdu::{
    AsyncOperationsWindow, ContextId, ContextResultReason, ExtendedNegotiation, RoleSelection,
    UserIdentityRequest,
};
use crate::{AeTitle, Uid};

/// The DICOM application context name, PS3.7 Annex A.2.1.
pub const APPLICATION_CONTEXT: Uid = Uid::from_static("1.2.840.10008.3.1.1.1");

/// Protocol version: bit 0 says version 1, PS3.8 9.3.2.
const PROTOCOL_VERSION: u16 = 1;

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

impl Proposal {
    /// Proposes presentation contexts from the calling to the called AE title, and nothing that is optional.
    pub fn new(
        calling_ae_title: AeTitle,
        called_ae_title: AeTitle,
        contexts: Vec<(Uid, Vec<Uid>)>,
    ) -> Proposal {
        Proposal {
            calling_ae_title,
            called_ae_title,
            contexts,
            role_selections: Vec::new(),
            async_operations_window: None,
            extended_negotiations: Vec::new(),
            user_identity: None,
        }
    }
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

    /// Answers SOP class extended negotiation; `None`, as here, leaves it out.
    fn extended_negotiation(&self, _asked: &ExtendedNegotiation) -> Option<ExtendedNegotiation> {
        None
    }

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

/// Sets the roles of contexts whose class has been negotiated; the others keep the default, requestor is SCU.
fn set_roles(contexts: &mut [Context], roles: impl Fn(&Uid) -> Option<(bool, bool)>) {
    for context in contexts {
        if let Some((scu, scp)) = roles(&context.abstract_syntax) {
            context.requestor_is_scu = scu;
            context.requestor_is_scp = scp;
        }
    }
}

/// A maximum length of 0 states no limit, and so does none at all.
fn limit(maximum_length: Option<u32>) -> Option<u32> {
    maximum_length.filter(|length| *length != 0)
}

#[cfg(test)]
mod tests;
