//! A-ASSOCIATE-RJ, PS3.8 9.3.4.

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
