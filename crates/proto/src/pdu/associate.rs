//! What A-ASSOCIATE-RQ and A-ASSOCIATE-AC have in common, PS3.8 9.3.2 and 9.3.3.
//!
//! ```text
//! byte 7-8    protocol version      byte 9-10   reserved
//! byte 11-26  called AE title       byte 27-42  calling AE title
//! byte 43-74  reserved              byte 75-    items
//! ```

use bytes::{BufMut, BytesMut};

use super::read::Reader;
use super::{DecodeError, Item, Rule, UserInformation, write};
use crate::Uid;

/// Bytes 7 to 74.
pub(super) struct FixedFields {
    pub(super) protocol_version: u16,
    pub(super) called_ae_title: [u8; 16],
    pub(super) calling_ae_title: [u8; 16],
}

impl FixedFields {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<FixedFields, DecodeError> {
        let protocol_version = reader.u16()?;
        reader.take(2)?;
        let called_ae_title = reader.array()?;
        let calling_ae_title = reader.array()?;
        reader.take(32)?;
        Ok(FixedFields { protocol_version, called_ae_title, calling_ae_title })
    }

    pub(super) fn encode(&self, output: &mut BytesMut) {
        output.put_u16(self.protocol_version);
        output.put_u16(0);
        output.put_slice(&self.called_ae_title);
        output.put_slice(&self.calling_ae_title);
        output.put_bytes(0, 32);
    }
}

/// The items after byte 74, as they are found.
#[derive(Default)]
pub(super) struct Items {
    application_contexts: Vec<Option<Uid>>,
    user_information: Option<UserInformation>,
}

/// Item types.
pub(super) const APPLICATION_CONTEXT: u8 = 0x10;
const USER_INFORMATION: u8 = 0x50;

impl Items {
    /// Reads all items; those of `context_type` go to `context`. Items of other types are passed over.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        context_type: u8,
        mut context: impl FnMut(Reader<'_>) -> Result<(), DecodeError>,
    ) -> Result<Items, DecodeError> {
        let mut items = Items::default();
        while let Some((item_type, mut item)) = reader.item(name)? {
            match item_type {
                APPLICATION_CONTEXT | USER_INFORMATION if item.is_empty() => {
                    return Err(item.error(Rule::TooShort));
                }
                // Two names are as good as none; a third need not be kept.
                APPLICATION_CONTEXT if items.application_contexts.len() < 2 => {
                    items.application_contexts.push(Uid::from_bytes(item.rest()).ok());
                }
                USER_INFORMATION if items.user_information.is_some() => {
                    return Err(item.error(Rule::Repeated));
                }
                USER_INFORMATION => items.user_information = Some(UserInformation::decode(item)?),
                other if other == context_type => context(item)?,
                _ => {}
            }
        }
        Ok(items)
    }

    /// The application context name, if there is just one and it is a UID.
    pub(super) fn application_context(&self) -> Option<Uid> {
        match &self.application_contexts[..] {
            [one] => one.clone(),
            _ => None,
        }
    }

    pub(super) fn user_information(self) -> Result<UserInformation, DecodeError> {
        self.user_information.ok_or(DecodeError { item: Item::UserInformation, rule: Rule::Missing })
    }
}

pub(super) fn encode_application_context(output: &mut BytesMut, application_context: Option<&Uid>) {
    if application_context.is_some() {
        write::uid_item(output, APPLICATION_CONTEXT, application_context);
    }
}

pub(super) fn encode_user_information(output: &mut BytesMut, user_information: &UserInformation) {
    write::item(output, USER_INFORMATION, |output| user_information.encode(output));
}

fn name(item_type: u8) -> Item {
    match item_type {
        APPLICATION_CONTEXT => Item::ApplicationContext,
        0x20 | 0x21 => Item::PresentationContext,
        USER_INFORMATION => Item::UserInformation,
        _ => Item::Unknown,
    }
}
