//! Opening an association as requestor.

use dicomet_proto::association::negotiation::Proposal;

use crate::association::{Timeouts, Transport};
use crate::{Association, Error, Node};

/// Connects to a node over TCP (TCP_NODELAY, TCP_QUICKACK) and proposes an association.
///
/// The AE title of `node` stands in the proposal already.
///
/// # Errors
/// [`Error::Connect`], [`Error::Rejected`] and what else can go wrong.
pub async fn connect(node: &Node, proposal: Proposal, timeouts: &Timeouts) -> Result<Association, Error> {
    let _ = (node, proposal, timeouts);
    todo!()
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
    let _ = (transport, proposal, timeouts);
    todo!()
}
