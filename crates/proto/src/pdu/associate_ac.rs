//! A-ASSOCIATE-AC, PS3.8 9.3.3.

use super::{ContextResult, UserInformation};
use crate::Uid;

/// A-ASSOCIATE-AC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociateAc {
    /// Protocol version, bytes 7-8.
    pub protocol_version: u16,
    /// Bytes 11-26: the called AE title of the request, sent back, never tested.
    pub called_ae_title: [u8; 16],
    /// Bytes 27-42: the calling AE title of the request, sent back, never tested.
    pub calling_ae_title: [u8; 16],
    /// Application context name.
    pub application_context: Uid,
    /// One result a proposed presentation context.
    pub presentation_contexts: Vec<ContextResult>,
    /// The user information item.
    pub user_information: UserInformation,
}
