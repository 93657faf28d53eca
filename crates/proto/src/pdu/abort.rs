//! A-ABORT, PS3.8 9.3.8.

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
