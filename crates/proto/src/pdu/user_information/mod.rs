//! The user information item, PS3.8 9.3.2.3 and Annex D, PS3.7 Annex D.3.3: one sub-item a file.
//!
//! Sub-items stand in any order. Of one that may stand only once the first counts. A sub-item of a type that is
//! not known here is kept and written back (PS3.8 D.2: it is no reason to reject); so is one whose lengths are
//! right but whose SOP class is no UID, because nothing can be meant by it.

mod async_operations_window;
mod common_extended_negotiation;
mod extended_negotiation;
mod implementation_class_uid;
mod implementation_version_name;
mod maximum_length;
mod role_selection;
mod user_identity_request;
mod user_identity_response;

use bytes::{BufMut, Bytes, BytesMut};

pub use async_operations_window::AsyncOperationsWindow;
pub use common_extended_negotiation::CommonExtendedNegotiation;
pub use extended_negotiation::ExtendedNegotiation;
pub use role_selection::RoleSelection;
pub use user_identity_request::UserIdentityRequest;

use super::read::Reader;
use super::{DecodeError, Item, write};
use crate::Uid;

/// The user information item of A-ASSOCIATE-RQ and A-ASSOCIATE-AC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInformation {
    /// 51H, PS3.8 D.1: the longest P-DATA-TF that the sender of this item takes; 0 says no limit.
    pub maximum_length: Option<u32>,
    /// 52H, PS3.7 D.3.3.2.1.
    pub implementation_class_uid: Option<Uid>,
    /// 55H, PS3.7 D.3.3.2.3, 1 to 16 characters; longer ones are cut, and what is not printable becomes `?`.
    pub implementation_version_name: Option<String>,
    /// 53H, PS3.7 D.3.3.3.
    pub async_operations_window: Option<AsyncOperationsWindow>,
    /// 54H, PS3.7 D.3.3.4.
    pub role_selections: Vec<RoleSelection>,
    /// 56H, PS3.7 D.3.3.5.
    pub extended_negotiations: Vec<ExtendedNegotiation>,
    /// 57H, PS3.7 D.3.3.6, in requests only.
    pub common_extended_negotiations: Vec<CommonExtendedNegotiation>,
    /// 58H, PS3.7 D.3.3.7.1, in requests only.
    pub user_identity_request: Option<UserIdentityRequest>,
    /// 59H, PS3.7 D.3.3.7.2, in responses only: the server response.
    pub user_identity_response: Option<Bytes>,
    /// Sub-items of other types: type and content, kept as they came.
    pub unknown: Vec<(u8, Bytes)>,
}

/// Sub-item types.
const MAXIMUM_LENGTH: u8 = 0x51;
const IMPLEMENTATION_CLASS_UID: u8 = 0x52;
const ASYNC_OPERATIONS_WINDOW: u8 = 0x53;
const ROLE_SELECTION: u8 = 0x54;
const IMPLEMENTATION_VERSION_NAME: u8 = 0x55;
const EXTENDED_NEGOTIATION: u8 = 0x56;
const COMMON_EXTENDED_NEGOTIATION: u8 = 0x57;
const USER_IDENTITY_REQUEST: u8 = 0x58;
const USER_IDENTITY_RESPONSE: u8 = 0x59;

impl UserInformation {
    /// Reads the content of the item.
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<UserInformation, DecodeError> {
        let mut information = UserInformation::default();
        while let Some((item_type, item)) = reader.item(name)? {
            information.decode_sub_item(item_type, item)?;
        }
        Ok(information)
    }

    fn decode_sub_item(&mut self, item_type: u8, item: Reader<'_>) -> Result<(), DecodeError> {
        let mut content = item;
        let content = content.rest();
        let mut keep = || self.unknown.push((item_type, Bytes::copy_from_slice(content)));
        match item_type {
            MAXIMUM_LENGTH => first(&mut self.maximum_length, maximum_length::decode(item)?),
            IMPLEMENTATION_CLASS_UID => match implementation_class_uid::decode(item) {
                Some(uid) => first(&mut self.implementation_class_uid, uid),
                None => keep(),
            },
            ASYNC_OPERATIONS_WINDOW => {
                first(&mut self.async_operations_window, AsyncOperationsWindow::decode(item)?);
            }
            ROLE_SELECTION => match RoleSelection::decode(item)? {
                Some(role_selection) => self.role_selections.push(role_selection),
                None => keep(),
            },
            IMPLEMENTATION_VERSION_NAME => {
                if let Some(name) = implementation_version_name::decode(item) {
                    first(&mut self.implementation_version_name, name);
                }
            }
            EXTENDED_NEGOTIATION => match ExtendedNegotiation::decode(item)? {
                Some(negotiation) => self.extended_negotiations.push(negotiation),
                None => keep(),
            },
            COMMON_EXTENDED_NEGOTIATION => match CommonExtendedNegotiation::decode(item)? {
                Some(negotiation) => self.common_extended_negotiations.push(negotiation),
                None => keep(),
            },
            USER_IDENTITY_REQUEST => {
                first(&mut self.user_identity_request, UserIdentityRequest::decode(item)?);
            }
            USER_IDENTITY_RESPONSE => {
                first(&mut self.user_identity_response, user_identity_response::decode(item)?);
            }
            _ => keep(),
        }
        Ok(())
    }

    /// Writes the sub-items, in ascending order of their types.
    pub(super) fn encode(&self, output: &mut BytesMut) {
        if let Some(length) = self.maximum_length {
            maximum_length::encode(length, output);
        }
        if let Some(uid) = &self.implementation_class_uid {
            write::uid_item(output, IMPLEMENTATION_CLASS_UID, Some(uid));
        }
        if let Some(window) = &self.async_operations_window {
            window.encode(output);
        }
        for role_selection in &self.role_selections {
            role_selection.encode(output);
        }
        if let Some(name) = &self.implementation_version_name {
            implementation_version_name::encode(name, output);
        }
        for negotiation in &self.extended_negotiations {
            negotiation.encode(output);
        }
        for negotiation in &self.common_extended_negotiations {
            negotiation.encode(output);
        }
        if let Some(identity) = &self.user_identity_request {
            identity.encode(output);
        }
        if let Some(response) = &self.user_identity_response {
            user_identity_response::encode(response, output);
        }
        for (item_type, content) in &self.unknown {
            write::item(output, *item_type, |output| output.put_slice(content));
        }
    }
}

/// Keeps the first of what may stand only once.
fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn name(item_type: u8) -> Item {
    match item_type {
        MAXIMUM_LENGTH => Item::MaximumLength,
        IMPLEMENTATION_CLASS_UID => Item::ImplementationClassUid,
        ASYNC_OPERATIONS_WINDOW => Item::AsyncOperationsWindow,
        ROLE_SELECTION => Item::RoleSelection,
        IMPLEMENTATION_VERSION_NAME => Item::ImplementationVersionName,
        EXTENDED_NEGOTIATION => Item::ExtendedNegotiation,
        COMMON_EXTENDED_NEGOTIATION => Item::CommonExtendedNegotiation,
        USER_IDENTITY_REQUEST => Item::UserIdentityRequest,
        USER_IDENTITY_RESPONSE => Item::UserIdentityResponse,
        _ => Item::Unknown,
    }
}
