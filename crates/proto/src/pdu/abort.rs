//! A-ABORT, PS3.8 9.3.8.

use bytes::{BufMut, BytesMut};

use super::{DecodeError, Item, PduType, four_bytes, write};

/// A-ABORT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// Byte 9.
    pub source: AbortSource,
}

/// Source, byte 9 of PS3.8 Table 9-26, with the reason that only a provider gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortSource {
    /// 0: the user of the service.
    ServiceUser,
    /// 2: the provider, with byte 10.
    ServiceProvider(AbortReason),
    /// A value of no meaning there.
    Other(u8),
}

/// Reason/Diag., byte 10 of PS3.8 Table 9-26.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortReason {
    /// 0.
    NotSpecified,
    /// 1.
    UnrecognizedPdu,
    /// 2.
    UnexpectedPdu,
    /// 4.
    UnrecognizedPduParameter,
    /// 5.
    UnexpectedPduParameter,
    /// 6.
    InvalidPduParameterValue,
    /// A value of no meaning there.
    Other(u8),
}

impl Abort {
    /// Reads the bytes after the PDU header. Values of no meaning are kept as numbers.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not four.
    pub fn decode(content: &[u8]) -> Result<Abort, DecodeError> {
        let [_, _, source, reason] = four_bytes(Item::Abort, content)?;
        let source = match source {
            0 => AbortSource::ServiceUser,
            2 => AbortSource::ServiceProvider(AbortReason::from_byte(reason)),
            other => AbortSource::Other(other),
        };
        Ok(Abort { source })
    }

    /// Writes the PDU to the end of `output`.
    pub fn encode(self, output: &mut BytesMut) {
        let (source, reason) = match self.source {
            // Byte 10 is not significant then, and is sent as 0.
            AbortSource::ServiceUser => (0, 0),
            AbortSource::ServiceProvider(reason) => (2, reason.to_byte()),
            AbortSource::Other(source) => (source, 0),
        };
        write::pdu(output, PduType::Abort, |output| output.put_slice(&[0, 0, source, reason]));
    }
}

impl AbortReason {
    /// The reason of byte 10.
    pub const fn from_byte(reason: u8) -> AbortReason {
        match reason {
            0 => AbortReason::NotSpecified,
            1 => AbortReason::UnrecognizedPdu,
            2 => AbortReason::UnexpectedPdu,
            4 => AbortReason::UnrecognizedPduParameter,
            5 => AbortReason::UnexpectedPduParameter,
            6 => AbortReason::InvalidPduParameterValue,
            other => AbortReason::Other(other),
        }
    }

    /// The number in byte 10.
    pub const fn to_byte(self) -> u8 {
        match self {
            AbortReason::NotSpecified => 0,
            AbortReason::UnrecognizedPdu => 1,
            AbortReason::UnexpectedPdu => 2,
            AbortReason::UnrecognizedPduParameter => 4,
            AbortReason::UnexpectedPduParameter => 5,
            AbortReason::InvalidPduParameterValue => 6,
            AbortReason::Other(reason) => reason,
        }
    }
}

impl std::fmt::Display for Abort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = match self.source {
            AbortSource::ServiceUser => return f.write_str("by its application"),
            AbortSource::Other(source) => return write!(f, "source {source}"),
            AbortSource::ServiceProvider(reason) => reason,
        };
        match reason {
            AbortReason::NotSpecified => f.write_str("by its upper layer, no reason given"),
            AbortReason::UnrecognizedPdu => f.write_str("by its upper layer: unrecognized PDU"),
            AbortReason::UnexpectedPdu => f.write_str("by its upper layer: unexpected PDU"),
            AbortReason::UnrecognizedPduParameter => {
                f.write_str("by its upper layer: unrecognized PDU parameter")
            }
            AbortReason::UnexpectedPduParameter => {
                f.write_str("by its upper layer: unexpected PDU parameter")
            }
            AbortReason::InvalidPduParameterValue => {
                f.write_str("by its upper layer: invalid PDU parameter value")
            }
            AbortReason::Other(reason) => write!(f, "by its upper layer, reason {reason}"),
        }
    }
}
