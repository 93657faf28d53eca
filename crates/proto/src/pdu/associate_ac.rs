//! A-ASSOCIATE-AC, PS3.8 9.3.3.

use bytes::BytesMut;

use super::associate::{self, FixedFields, Items};
use super::presentation_context::MAX_CONTEXTS;
use super::read::Reader;
use super::{ContextResult, DecodeError, Item, PduType, Rule, UserInformation, write};
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
    /// Application context name; `None` when there is none, more than one, or one that is no UID.
    pub application_context: Option<Uid>,
    /// One result a proposed presentation context.
    pub presentation_contexts: Vec<ContextResult>,
    /// The user information item.
    pub user_information: UserInformation,
}

impl AssociateAc {
    /// Reads the bytes after the PDU header. One without any presentation context is read: nothing was
    /// accepted then.
    ///
    /// # Errors
    /// [`DecodeError`] when a length is wrong, when there is no user information, and when there are more
    /// presentation contexts than there are IDs.
    pub fn decode(content: &[u8]) -> Result<AssociateAc, DecodeError> {
        let mut reader = Reader::new(Item::AssociateAc, content);
        let fixed = FixedFields::decode(&mut reader)?;
        let mut presentation_contexts = Vec::new();
        let items = Items::decode(&mut reader, ContextResult::ITEM_TYPE, |item| {
            if presentation_contexts.len() == MAX_CONTEXTS {
                return Err(item.error(Rule::TooMany));
            }
            presentation_contexts.push(ContextResult::decode(item)?);
            Ok(())
        })?;
        Ok(AssociateAc {
            protocol_version: fixed.protocol_version,
            called_ae_title: fixed.called_ae_title,
            calling_ae_title: fixed.calling_ae_title,
            application_context: items.application_context(),
            presentation_contexts,
            user_information: items.user_information()?,
        })
    }

    /// Writes the PDU to the end of `output`.
    pub fn encode(&self, output: &mut BytesMut) {
        write::pdu(output, PduType::AssociateAc, |output| {
            FixedFields {
                protocol_version: self.protocol_version,
                called_ae_title: self.called_ae_title,
                calling_ae_title: self.calling_ae_title,
            }
            .encode(output);
            associate::encode_application_context(output, self.application_context.as_ref());
            for context in &self.presentation_contexts {
                context.encode(output);
            }
            associate::encode_user_information(output, &self.user_information);
        });
    }
}
