//! A-ASSOCIATE-RQ, PS3.8 9.3.2.

use super::{ProposedContext, UserInformation};
use crate::Uid;

/// A-ASSOCIATE-RQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateRq {
    /// Protocol version, bytes 7-8; bit 0 says version 1.
    pub protocol_version: u16,
    /// Called AE title as it stands in bytes 11-26: what is in it is the peer's word until checked.
    pub called_ae_title: [u8; 16],
    /// Calling AE title as it stands in bytes 27-42.
    pub calling_ae_title: [u8; 16],
    /// Application context name.
    pub application_context: Uid,
    /// The presentation contexts, in the order they stand in.
    pub presentation_contexts: Vec<ProposedContext>,
    /// The user information item.
    pub user_information: UserInformation,
}
