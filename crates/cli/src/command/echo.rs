//! `dicomet echo`.

use std::process::ExitCode;
use std::time::Instant;

use dicomet_net::connect;
use dicomet_net::service::c_echo;
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;

use crate::exit::{CommandError, Exit};
use crate::node_args::NodeArgs;
use crate::output;

/// Ask a peer whether it is there, with C-ECHO
///
/// Prints how long the association and the echo took. When it fails, it says what to try.
///
/// Example: dicomet echo ORTHANC@127.0.0.1:4242
#[derive(Debug, clap::Args)]
pub struct EchoArgs {
    #[command(flatten)]
    node: NodeArgs,
}

pub async fn run(args: EchoArgs) -> Result<ExitCode, CommandError> {
    output::line(format!("{}{}", args.node.node, echo(&args.node).await?))?;
    Ok(Exit::Done.into())
}

/// Asks a peer whether it is there; gives the end of a sentence that begins with the peer.
pub(super) async fn echo(node: &NodeArgs) -> Result<String, CommandError> {
    let caller = node.caller();
    let syntaxes = vec![uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let proposal = Proposal::new(
        caller.ae_title.clone(),
        node.node.ae_title.clone(),
        vec![(uids::VERIFICATION, syntaxes)],
    );
    let explain = |error| node.explain(&error);
    let begin = Instant::now();
    let mut association = connect::connect(&node.node, proposal, &caller.timeouts).await.map_err(explain)?;
    let associated = begin.elapsed();
    let begin = Instant::now();
    let status = c_echo::echo(&mut association).await.map_err(explain)?;
    let echoed = begin.elapsed();
    let peer = association.negotiated().peer_implementation_version_name.clone().unwrap_or_default();
    association.release().await.map_err(explain)?;
    if status != Status::SUCCESS {
        return Err(CommandError::new(format!("{}: the peer answered {status}", node.node)));
    }
    let peer = if peer.is_empty() { peer } else { format!(" ({})", output::visible(&peer)) };
    Ok(format!(
        "{peer}: echo in {:.1} ms, association in {:.1} ms",
        echoed.as_secs_f64() * 1000.0,
        associated.as_secs_f64() * 1000.0
    ))
}
