//! Opening an association as requestor.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dicomet_proto::association::Association as Core;
use dicomet_proto::association::negotiation::Proposal;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::association::{Goal, Item, Patience, Pump, TcpTransport, Timeouts, Transport, now};
use crate::{Association, Error, Node};

/// Connects to a node over TCP (TCP_NODELAY, TCP_QUICKACK) and proposes an association.
///
/// The AE title of `node` stands in the proposal already.
///
/// # Errors
/// [`Error::Connect`], [`Error::Rejected`] and what else can go wrong.
pub async fn connect(node: &Node, proposal: Proposal, timeouts: &Timeouts) -> Result<Association, Error> {
    let stream = connect_tcp(node, timeouts.connect).await.map_err(|source| {
        let host = if node.host.contains(':') { format!("[{}]", node.host) } else { node.host.clone() };
        Error::Connect { address: format!("{host}:{}", node.port), source }
    })?;
    let peer_address = stream.peer_addr().ok();
    propose(Box::new(TcpTransport::new(stream)), peer_address, proposal, timeouts).await
}

/// Proposes an association over a transport that is open already.
///
/// # Errors
/// As [`connect`].
pub async fn request(
    transport: Box<dyn Transport>,
    proposal: Proposal,
    timeouts: &Timeouts,
) -> Result<Association, Error> {
    propose(transport, None, proposal, timeouts).await
}

async fn propose(
    transport: Box<dyn Transport>,
    peer_address: Option<SocketAddr>,
    proposal: Proposal,
    timeouts: &Timeouts,
) -> Result<Association, Error> {
    let limits = timeouts.limits();
    let artim = limits.artim;
    let mut pump = Pump::new(transport, Core::requestor(proposal, limits, now()), artim);
    let patience = Patience::total(timeouts.association, "answer the association request");
    loop {
        pump.drive(Goal::Arrived, patience).await?;
        if let Some(Item::Established(negotiated)) = pump.inbox.pop() {
            return Ok(Association::new(pump, negotiated, peer_address, timeouts.clone()));
        }
    }
}

/// Tries the addresses of the host one after the other. The last failure is the one that is told.
async fn connect_tcp(node: &Node, limit: Duration) -> io::Result<TcpStream> {
    let host = (node.host.as_str(), node.port);
    let addresses = timeout(limit, tokio::net::lookup_host(host))
        .await
        .map_err(|_| {
            in_words(io::ErrorKind::TimedOut, "the name of the host could not be looked up in time")
        })?
        .map_err(|_| in_words(io::ErrorKind::NotFound, "host not found"))?;
    let mut failure = in_words(io::ErrorKind::NotFound, "host not found");
    for address in addresses {
        failure = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => explained(error),
            Err(_) => {
                in_words(io::ErrorKind::TimedOut, &format!("no answer within {} s", limit.as_secs_f32()))
            }
        };
    }
    Err(failure)
}

fn in_words(kind: io::ErrorKind, words: &str) -> io::Error {
    io::Error::new(kind, words)
}

/// What the system says, as a person would.
fn explained(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            in_words(error.kind(), "connection refused: nothing listens on that port")
        }
        io::ErrorKind::TimedOut => in_words(error.kind(), "no answer"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            in_words(error.kind(), "there is no way to that host")
        }
        _ => error,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::AeTitle;

    use super::*;

    #[tokio::test]
    async fn a_refused_connection_is_told_with_its_address_and_in_words() {
        // A port that was ours a moment ago, and on which nobody listens now.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let node = Node { ae_title: AeTitle::new("PACS").unwrap(), host: "127.0.0.1".to_owned(), port };
        let error = connect_tcp(&node, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = Error::Connect { address: format!("127.0.0.1:{port}"), source: error }.to_string();
        assert!(error.contains("connection refused: nothing listens"), "{error}");
    }
}
