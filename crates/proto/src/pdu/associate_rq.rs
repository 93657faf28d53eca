//! A-ASSOCIATE-RQ, PS3.8 9.3.2.

use bytes::BytesMut;

use super::associate::{self, FixedFields, Items};
use super::presentation_context::MAX_CONTEXTS;
use super::read::Reader;
use super::{DecodeError, Item, PduType, ProposedContext, Rule, UserInformation, write};
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
    /// Application context name; `None` when there is none, more than one, or one that is no UID.
    pub application_context: Option<Uid>,
    /// The presentation contexts, in the order they stand in: 1 to 128.
    pub presentation_contexts: Vec<ProposedContext>,
    /// The user information item.
    pub user_information: UserInformation,
}

impl AssociateRq {
    /// Reads the bytes after the PDU header.
    ///
    /// # Errors
    /// [`DecodeError`] when a length is wrong, when there is no user information or no presentation context, none with
    /// an abstract and a transfer syntax that are UIDs, and when there are more presentation contexts than there are IDs. Beside one
    /// that has both, a context without is negotiated as one that is not supported.
    pub fn decode(content: &[u8]) -> Result<AssociateRq, DecodeError> {
        let mut reader = Reader::new(Item::AssociateRq, content);
        let fixed = FixedFields::decode(&mut reader)?;
        let mut presentation_contexts = Vec::new();
        let mut lacking = Some(Item::PresentationContext);
        let items = Items::decode(&mut reader, ProposedContext::ITEM_TYPE, |item| {
            if presentation_contexts.len() == MAX_CONTEXTS {
                return Err(item.error(Rule::TooMany));
            }
            let context = ProposedContext::decode(item)?;
            lacking = lacking.and(context.lacking());
            presentation_contexts.push(context);
            Ok(())
        })?;
        if let Some(item) = lacking {
            return Err(DecodeError { item, rule: Rule::Missing });
        }
        Ok(AssociateRq {
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
        write::pdu(output, PduType::AssociateRq, |output| {
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
