//! The arguments that every command with a peer has, and what to try when the peer cannot be used.

use std::time::Duration;

use clap::Args;
use dicomet_net::association::Timeouts;
use dicomet_net::retrieve::folder::FolderError;
use dicomet_net::retrieve::{Caller, RetrieveError};
use dicomet_net::{Error, Node};
use dicomet_proto::AeTitle;
use dicomet_proto::pdu::RejectReason;

use crate::exit::CommandError;

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The peer: AET@host:port, such as ORTHANC@127.0.0.1:4242
    pub node: Node,

    /// Our own AE title, by which the peer knows us
    #[arg(long, env = "DICOMET_AET", default_value = "DICOMET", value_name = "AET")]
    pub aet: AeTitle,

    /// Seconds to wait for the TCP connection
    #[arg(long, default_value_t = 10, value_name = "SECONDS", help_heading = "Timeouts")]
    pub connect_timeout: u64,

    /// Seconds to wait for the answer to an association request, and to a release
    #[arg(long, default_value_t = 30, value_name = "SECONDS", help_heading = "Timeouts")]
    pub association_timeout: u64,

    /// Seconds without any sign of life after which an operation is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS", help_heading = "Timeouts")]
    pub timeout: u64,
}

impl NodeArgs {
    /// Who calls, and how patient we are.
    pub fn caller(&self) -> Caller {
        let timeouts = Timeouts {
            connect: Duration::from_secs(self.connect_timeout),
            association: Duration::from_secs(self.association_timeout),
            progress: Duration::from_secs(self.timeout),
            ..Timeouts::default()
        };
        Caller { ae_title: self.aet.clone(), timeouts }
    }

    /// An error of the network in words, with what to try next.
    pub fn explain(&self, error: &Error) -> CommandError {
        let failed = CommandError::new(format!("{}: {error}", self.node));
        match error {
            Error::Connect { .. } => failed.hint("check host and port, and whether a firewall is in between"),
            Error::Rejected(rejection) => match rejection.reason {
                RejectReason::CallingAeTitleNotRecognized => failed.hint(self.unknown_caller()),
                RejectReason::CalledAeTitleNotRecognized => failed.hint(format!(
                    "the peer does not answer to the AE title {}: check the part before the '@'",
                    self.node.ae_title
                )),
                RejectReason::TemporaryCongestion | RejectReason::LocalLimitExceeded => {
                    failed.hint("the peer has too many associations: try again later")
                }
                _ => failed.hint(format!("it may be the AE titles: {}", self.unknown_caller())),
            },
            Error::Aborted(_) | Error::ConnectionClosed => failed.hint(format!(
                "some peers end an association like this when they do not know the caller: {}; \
                 --log dicomet_net=debug shows how far it went",
                self.unknown_caller()
            )),
            Error::NoPresentationContext { .. } => failed.hint(
                "the peer does not offer this service, or not to this AE title; --model patient may be an other way in",
            ),
            Error::TimedOut { .. } => failed.hint("a slow peer may need a higher --timeout or --association-timeout"),
            _ => failed.hint("--log dicomet_net=debug shows how far it went"),
        }
    }

    /// As [`NodeArgs::explain`], for what else a retrieve can end with.
    pub fn explain_retrieve(&self, error: &RetrieveError) -> CommandError {
        match error {
            RetrieveError::Association(error) => self.explain(error),
            RetrieveError::Find { .. } => CommandError::new(format!("{}: {error}", self.node)).hint(
                "ask with fewer keys, or those of another level; dicomet find shows what the peer answers",
            ),
            RetrieveError::Folder(FolderError::Unwritable { .. }) => {
                CommandError::new(error).hint("choose another folder with --output")
            }
            RetrieveError::Folder(FolderError::InUse { .. }) => {
                CommandError::new(error).hint("wait for it to end, or choose another folder with --output")
            }
        }
    }

    fn unknown_caller(&self) -> String {
        format!(
            "the peer does not know our AE title {}: ask its administrator to add it, or use --aet",
            self.aet
        )
    }
}
