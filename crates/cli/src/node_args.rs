//! The arguments that every command with a peer has, and what to try when the peer cannot be used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches};
use dicomet_net::association::Timeouts;
use dicomet_net::retrieve::folder::FolderError;
use dicomet_net::retrieve::{Caller, RetrieveError};
use dicomet_net::{Error, Node};
use dicomet_proto::AeTitle;
use dicomet_proto::pdu::RejectReason;

use crate::config;
use crate::exit::CommandError;
use crate::output;

/// Our AE title where nothing says another.
pub const DEFAULT_AET: &str = "DICOMET";

/// A peer, and how to call it.
#[derive(Debug)]
pub struct NodeArgs {
    /// The peer.
    pub node: Node,
    aet: AeTitle,
    call: CallArgs,
}

/// As they stand on the command line; the peer may be a name there.
#[derive(Debug, Args)]
struct NamedArgs {
    /// The peer: AET@host:port, such as ORTHANC@127.0.0.1:4242, or a name from the configuration
    #[arg(value_name = "NODE")]
    node: String,

    /// The configuration that has the name of the peer; else ./dicomet.toml, else that in ~/.config/dicomet, else that in
    /// /etc/dicomet
    #[arg(long, env = "DICOMET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    call: CallArgs,
}

/// Who calls, and how patient we are.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// Our own AE title, by which the peer knows us [default: DICOMET]
    #[arg(long, env = "DICOMET_AET", value_name = "AET")]
    pub aet: Option<AeTitle>,

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

/// A name is looked up as soon as the command line is read: after that, a peer is a peer.
impl FromArgMatches for NodeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<NodeArgs, clap::Error> {
        let NamedArgs { node, config, call } = NamedArgs::from_arg_matches(matches)?;
        match config::resolve(&node, config.as_deref()) {
            Ok(node) => NodeArgs::new(node, call)
                .map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, error.text())),
            Err(error) => Err(clap::Error::raw(ErrorKind::ValueValidation, error.text())),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = NodeArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for NodeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        NamedArgs::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        NamedArgs::augment_args_for_update(command)
    }

    fn group_id() -> Option<clap::Id> {
        NamedArgs::group_id()
    }
}

impl NodeArgs {
    /// A peer that does not stand on the command line.
    pub fn new(node: Node, call: CallArgs) -> Result<NodeArgs, CommandError> {
        let aet = match &call.aet {
            Some(aet) => aet.clone(),
            None => AeTitle::new(DEFAULT_AET).map_err(CommandError::usage)?,
        };
        Ok(NodeArgs { node, aet, call })
    }

    /// Our own AE title.
    pub fn aet(&self) -> &AeTitle {
        &self.aet
    }

    /// Who calls, and how patient we are.
    pub fn caller(&self) -> Caller {
        let timeouts = Timeouts {
            connect: Duration::from_secs(self.call.connect_timeout),
            association: Duration::from_secs(self.call.association_timeout),
            progress: Duration::from_secs(self.call.timeout),
            ..Timeouts::default()
        };
        Caller { ae_title: self.aet.clone(), timeouts }
    }

    /// An error of the network in words, with what to try next.
    pub fn explain(&self, error: &Error) -> CommandError {
        let failed = CommandError::new(format!("{}: {error}", self.node));
        match error {
            Error::Connect { source, .. } => failed.hint(match source.kind() {
                io::ErrorKind::NotFound => "check the name of the host: it cannot be looked up here",
                io::ErrorKind::ConnectionRefused => {
                    "the host is there, and nothing listens on this port: check the port, and whether the peer runs"
                }
                _ => "check host and port, and whether a firewall is in between",
            }),
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
            Error::NoPresentationContext { what } => failed.hint(match what.contains("Query/Retrieve") {
                true => {
                    "the peer does not offer this service, or not to this AE title; --model patient may be another way in, \
                     and, for a get, C-MOVE with --receive ADDR:PORT"
                }
                false => "the peer does not offer this service, or not to this AE title",
            }),
            Error::TimedOut { action: "answer the association request", .. } => failed.hint(
                "something listens there and does not answer as a DICOM node does: check the port, and whether the peer \
                 wants TLS; one that is slow needs a higher --association-timeout",
            ),
            Error::TimedOut { .. } => failed.hint("a slow peer may need a higher --timeout or --association-timeout"),
            _ => failed.hint("--log dicomet_net=debug shows how far it went"),
        }
    }

    /// As [`NodeArgs::explain`], for what else a retrieve can end with.
    pub fn explain_retrieve(&self, error: &RetrieveError) -> CommandError {
        match error {
            RetrieveError::Association(error) => self.explain(error),
            // It has the peer's comment in it.
            RetrieveError::Find { .. } => CommandError::new(format!(
                "{}: {}",
                self.node,
                output::visible(&error.to_string())
            ))
            .hint("ask with fewer keys, or those of another level; dicomet find shows what the peer answers"),
            RetrieveError::Folder(FolderError::Unwritable { .. }) => {
                CommandError::new(error).hint("choose another folder with --output")
            }
            RetrieveError::Folder(FolderError::InUse { .. }) => {
                CommandError::new(error).hint("wait for it to end, or choose another folder with --output")
            }
            _ => CommandError::new(format!("{}: {error}", self.node)),
        }
    }

    fn unknown_caller(&self) -> String {
        format!(
            "the peer does not know our AE title {}: ask its administrator to add it, or use --aet",
            self.aet
        )
    }
}
