//! What can go wrong with an association: the peer broke the rules, the peer said no, or we could not.
//! A failure status in a response is none of these: it is an answer.

use std::time::Duration;

use dicomet_proto::pdu::{Abort, AssociateRj, RejectResult};

/// Why an association or an operation on it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection to the peer.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// `host:port`.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The peer refused the association (A-ASSOCIATE-RJ).
    #[error("the association was rejected: {0}")]
    Rejected(AssociateRj),
    /// The peer aborted (A-ABORT).
    #[error("the peer aborted the association: {0}")]
    Aborted(Abort),
    /// The peer broke a rule, and we aborted.
    #[error("the peer broke the protocol: it {what}")]
    PeerMisbehaved {
        /// What it did, as the end of a sentence that begins with "it", without any value of the peer's.
        what: String,
    },
    /// The connection ended in the middle.
    #[error("the peer closed the connection without releasing the association")]
    ConnectionClosed,
    /// The peer released the association while an operation was going on.
    #[error("the peer released the association in the middle of an operation")]
    ReleasedByPeer,
    /// Nothing came, or nothing could be sent, for too long.
    #[error("the peer did not {action} within {} s", .after.as_secs())]
    TimedOut {
        /// What we waited for: "answer the association request", "send a response", "take our data".
        action: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The peer accepted no presentation context for what we want.
    #[error("the peer accepted no presentation context for {what}")]
    NoPresentationContext {
        /// The SOP class, by name.
        what: String,
    },
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Transport(std::io::Error),
    /// What was to be sent could not be read.
    #[error("cannot read what is to be sent: {0}")]
    Source(std::io::Error),
    /// The owner asked for something that the association's state does not allow.
    #[error(transparent)]
    NotInThisState(#[from] dicomet_proto::association::NotInThisState),
}

impl Error {
    /// A fault of our own, which the log tells of.
    pub(crate) fn fault() -> Error {
        Error::Transport(std::io::Error::other("a fault in dicomet ended it"))
    }

    /// Whether the peer rejected the association for the moment only (PS3.8 9.3.4).
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Error::Rejected(rejection) if rejection.result == RejectResult::Transient)
    }
}
