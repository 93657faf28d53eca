//! The seven protocol data units of PS3.8 9.3, one a file, and the user information of PS3.7 Annex D.
//!
//! ```text
//! byte 1    PDU type        byte 2  reserved, never tested
//! byte 3-6  PDU length, big endian: the bytes that follow
//! ```
//!
//! Every `decode` takes the bytes after these six, every `encode` writes them too. Whatever has a length is
//! bounded by what contains it; reserved bytes are not looked at; items stand in any order. A name (abstract
//! syntax, transfer syntax, application context) that is no UID does not spoil the PDU: it becomes `None`, or
//! is left out of its list, and can be answered for itself.

pub mod abort;
mod associate;
pub mod associate_ac;
pub mod associate_rj;
pub mod associate_rq;
pub mod data_tf;
mod error;
pub mod presentation_context;
mod read;
pub mod release_rp;
pub mod release_rq;
pub mod user_information;
mod write;

use bytes::{Bytes, BytesMut};

pub use abort::{Abort, AbortReason, AbortSource};
pub use associate_ac::AssociateAc;
pub use associate_rj::{AssociateRj, RejectReason, RejectResult};
pub use associate_rq::AssociateRq;
pub use data_tf::{DataTf, FragmentKind, Position, PresentationDataValue};
pub use error::{DecodeError, Item, Rule};
pub use presentation_context::{ContextId, ContextResult, ContextResultReason, ProposedContext};
pub use release_rp::ReleaseRp;
pub use release_rq::ReleaseRq;
pub use user_information::{
    AsyncOperationsWindow, CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection,
    UserIdentityRequest, UserInformation,
};

/// The bytes of a PDU header.
pub const HEADER_LENGTH: usize = 6;

/// PDU types, byte 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PduType {
    /// A-ASSOCIATE-RQ.
    AssociateRq = 0x01,
    /// A-ASSOCIATE-AC.
    AssociateAc = 0x02,
    /// A-ASSOCIATE-RJ.
    AssociateRj = 0x03,
    /// P-DATA-TF.
    DataTf = 0x04,
    /// A-RELEASE-RQ.
    ReleaseRq = 0x05,
    /// A-RELEASE-RP.
    ReleaseRp = 0x06,
    /// A-ABORT.
    Abort = 0x07,
}

impl PduType {
    /// The type of a number from the wire.
    pub const fn new(pdu_type: u8) -> Option<PduType> {
        Some(match pdu_type {
            0x01 => PduType::AssociateRq,
            0x02 => PduType::AssociateAc,
            0x03 => PduType::AssociateRj,
            0x04 => PduType::DataTf,
            0x05 => PduType::ReleaseRq,
            0x06 => PduType::ReleaseRp,
            0x07 => PduType::Abort,
            _ => return None,
        })
    }
}

/// The six bytes that every PDU begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// PDU type; `None` when it is not one of the seven.
    pub pdu_type: Option<PduType>,
    /// PDU length: the bytes that follow the header, as declared.
    pub length: u32,
}

impl Header {
    /// Looks at the front of `bytes`; `None` when there are fewer than six.
    pub fn peek(bytes: &[u8]) -> Option<Header> {
        let [pdu_type, _reserved, length @ ..] = bytes.first_chunk::<HEADER_LENGTH>()?;
        Some(Header { pdu_type: PduType::new(*pdu_type), length: u32::from_be_bytes(*length) })
    }
}

/// Any of the seven PDUs, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pdu {
    /// A-ASSOCIATE-RQ.
    AssociateRq(AssociateRq),
    /// A-ASSOCIATE-AC.
    AssociateAc(AssociateAc),
    /// A-ASSOCIATE-RJ.
    AssociateRj(AssociateRj),
    /// P-DATA-TF.
    DataTf(Vec<PresentationDataValue>),
    /// A-RELEASE-RQ.
    ReleaseRq,
    /// A-RELEASE-RP.
    ReleaseRp,
    /// A-ABORT.
    Abort(Abort),
}

impl Pdu {
    /// Reads the content of a PDU of a type that its header gave.
    ///
    /// # Errors
    /// [`DecodeError`] names the item and the rule.
    pub fn decode(pdu_type: PduType, content: Bytes) -> Result<Pdu, DecodeError> {
        Ok(match pdu_type {
            PduType::AssociateRq => Pdu::AssociateRq(AssociateRq::decode(&content)?),
            PduType::AssociateAc => Pdu::AssociateAc(AssociateAc::decode(&content)?),
            PduType::AssociateRj => Pdu::AssociateRj(AssociateRj::decode(&content)?),
            PduType::DataTf => Pdu::DataTf(DataTf::decode(content)?.collect()),
            PduType::ReleaseRq => {
                ReleaseRq::decode(&content)?;
                Pdu::ReleaseRq
            }
            PduType::ReleaseRp => {
                ReleaseRp::decode(&content)?;
                Pdu::ReleaseRp
            }
            PduType::Abort => Pdu::Abort(Abort::decode(&content)?),
        })
    }

    /// Writes the PDU, header and all, to the end of `output`.
    pub fn encode(&self, output: &mut BytesMut) {
        match self {
            Pdu::AssociateRq(associate_rq) => associate_rq.encode(output),
            Pdu::AssociateAc(associate_ac) => associate_ac.encode(output),
            Pdu::AssociateRj(associate_rj) => associate_rj.encode(output),
            Pdu::DataTf(values) => data_tf::encode(values, output),
            Pdu::ReleaseRq => ReleaseRq.encode(output),
            Pdu::ReleaseRp => ReleaseRp.encode(output),
            Pdu::Abort(abort) => abort.encode(output),
        }
    }
}

/// The content of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT: four bytes.
fn four_bytes(item: Item, content: &[u8]) -> Result<[u8; 4], DecodeError> {
    content.try_into().map_err(|_| DecodeError {
        item,
        rule: if content.len() < 4 { Rule::TooShort } else { Rule::TooLong },
    })
}

#[cfg(test)]
mod tests;
