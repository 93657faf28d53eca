//! A-ASSOCIATE-RJ, PS3.8 9.3.4.

use bytes::{BufMut, BytesMut};

use super::{DecodeError, Item, PduType, four_bytes, write};

/// A-ASSOCIATE-RJ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociateRj {
    /// Byte 8.
    pub result: RejectResult,
    /// Bytes 9 and 10.
    pub reason: RejectReason,
}

/// Result, byte 8 of PS3.8 Table 9-21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectResult {
    /// 1.
    Permanent,
    /// 2.
    Transient,
    /// A value of no meaning there.
    Other(u8),
}

/// Source and Reason/Diag., bytes 9 and 10 of PS3.8 Table 9-21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// Source 1, reason 1.
    NoReason,
    /// Source 1, reason 2.
    ApplicationContextNotSupported,
    /// Source 1, reason 3.
    CallingAeTitleNotRecognized,
    /// Source 1, reason 7.
    CalledAeTitleNotRecognized,
    /// Source 2, reason 1.
    AcseNoReason,
    /// Source 2, reason 2.
    ProtocolVersionNotSupported,
    /// Source 3, reason 1.
    TemporaryCongestion,
    /// Source 3, reason 2.
    LocalLimitExceeded,
    /// A pair of no meaning there.
    Other {
        /// Byte 9.
        source: u8,
        /// Byte 10.
        reason: u8,
    },
}

impl AssociateRj {
    /// Reads the bytes after the PDU header. Values of no meaning are kept as numbers.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not four.
    pub fn decode(content: &[u8]) -> Result<AssociateRj, DecodeError> {
        let [_, result, source, reason] = four_bytes(Item::AssociateRj, content)?;
        let result = match result {
            1 => RejectResult::Permanent,
            2 => RejectResult::Transient,
            other => RejectResult::Other(other),
        };
        Ok(AssociateRj { result, reason: RejectReason::from_bytes(source, reason) })
    }

    /// Writes the PDU to the end of `output`.
    pub fn encode(self, output: &mut BytesMut) {
        let result = match self.result {
            RejectResult::Permanent => 1,
            RejectResult::Transient => 2,
            RejectResult::Other(result) => result,
        };
        let (source, reason) = self.reason.to_bytes();
        write::pdu(output, PduType::AssociateRj, |output| output.put_slice(&[0, result, source, reason]));
    }
}

impl RejectReason {
    /// The reason of bytes 9 and 10.
    pub const fn from_bytes(source: u8, reason: u8) -> RejectReason {
        match (source, reason) {
            (1, 1) => RejectReason::NoReason,
            (1, 2) => RejectReason::ApplicationContextNotSupported,
            (1, 3) => RejectReason::CallingAeTitleNotRecognized,
            (1, 7) => RejectReason::CalledAeTitleNotRecognized,
            (2, 1) => RejectReason::AcseNoReason,
            (2, 2) => RejectReason::ProtocolVersionNotSupported,
            (3, 1) => RejectReason::TemporaryCongestion,
            (3, 2) => RejectReason::LocalLimitExceeded,
            (source, reason) => RejectReason::Other { source, reason },
        }
    }

    /// Bytes 9 and 10.
    pub const fn to_bytes(self) -> (u8, u8) {
        match self {
            RejectReason::NoReason => (1, 1),
            RejectReason::ApplicationContextNotSupported => (1, 2),
            RejectReason::CallingAeTitleNotRecognized => (1, 3),
            RejectReason::CalledAeTitleNotRecognized => (1, 7),
            RejectReason::AcseNoReason => (2, 1),
            RejectReason::ProtocolVersionNotSupported => (2, 2),
            RejectReason::TemporaryCongestion => (3, 1),
            RejectReason::LocalLimitExceeded => (3, 2),
            RejectReason::Other { source, reason } => (source, reason),
        }
    }
}

impl std::fmt::Display for AssociateRj {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = match self.reason {
            RejectReason::NoReason => "no reason given",
            RejectReason::ApplicationContextNotSupported => "application context name not supported",
            RejectReason::CallingAeTitleNotRecognized => "calling AE title not recognized",
            RejectReason::CalledAeTitleNotRecognized => "called AE title not recognized",
            RejectReason::AcseNoReason => "no reason given by the peer's upper layer",
            RejectReason::ProtocolVersionNotSupported => "protocol version not supported",
            RejectReason::TemporaryCongestion => "temporary congestion",
            RejectReason::LocalLimitExceeded => "local limit exceeded",
            RejectReason::Other { source, reason } => {
                write!(f, "source {source}, reason {reason}")?;
                ""
            }
        };
        let result = match self.result {
            RejectResult::Permanent => "permanent",
            RejectResult::Transient => "transient",
            RejectResult::Other(result) => return write!(f, "{reason} (result {result})"),
        };
        write!(f, "{reason} ({result})")
    }
}
