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
    // It has answered: a peer that then closes without a word is there all the same.
    if let Err(error) = association.release().await {
        tracing::debug!(%error, "releasing");
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;
    use dicomet_testkit::peer::{Field, Peer, command_set, listen, p_data_command, pdu_type};

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        echo: EchoArgs,
    }

    #[tokio::test]
    async fn a_peer_that_answers_and_then_closes_without_a_word_is_there() {
        let (listener, port) = listen().await;
        let peer = async {
            let mut peer = Peer::accept(&listener).await;
            peer.accept_association().await;
            let (context_id, _, _) = peer.expect_command().await;
            let response = command_set(&[
                (0x0002, Field::Uid("1.2.840.10008.1.1")),
                (0x0100, Field::Number(0x8030)),
                (0x0120, Field::Number(1)),
                (0x0800, Field::Number(0x0101)),
                (0x0900, Field::Number(0)),
            ]);
            peer.send(&p_data_command(context_id, true, &response)).await;
            peer.expect(pdu_type::RELEASE_RQ).await;
            peer.close().await;
        };
        let node = format!("PEER@127.0.0.1:{port}");
        let Arguments { echo: EchoArgs { node } } = Arguments::parse_from(["echo", &node]);
        let (answer, ()) = tokio::join!(echo(&node), peer);
        assert!(answer.unwrap().contains("echo in"));
    }
}
