//! The table of nodes: who may call from where and do what, and where instances may be moved to. A peer names an AE
//! title and nothing more; that it comes from where the table says makes it the node, and addresses of move
//! destinations come from here, never from a peer.
//!
//! The modules, in the order to read them:
//!
//! - this one: the table, and admission by it;
//! - [`origin`]: where a node may call from;
//! - [`permissions`]: what an association may do, asked by every service.

pub mod origin;
pub mod permissions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dicomet_net::Node;
use dicomet_proto::AeTitle;
use dicomet_proto::pdu::RejectReason;

pub use origin::Origin;
pub use permissions::{Operation, Operations, Permissions};

/// A node of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// What people call it; the commands take it in place of an address.
    pub name: String,
    /// Its AE title, as it calls and as it is called.
    pub ae_title: AeTitle,
    /// Where it listens, if it does: then it can be a move destination.
    pub address: Option<(String, u16)>,
    /// From where it may call; from nowhere when empty.
    pub from: Vec<Origin>,
    /// The called AE titles it may use; when empty, those that anybody may.
    pub called: Vec<AeTitle>,
    /// What it may do; with nothing it may not call.
    pub allow: Operations,
    /// The AE titles it may move to; `None` is every destination of the table.
    pub destinations: Option<Vec<AeTitle>>,
    /// The most associations at a time that a C-MOVE may have with it.
    pub associations: u16,
}

/// A node of the table as a move destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// How to reach it.
    pub node: Node,
    /// The most associations at a time that a C-MOVE may have with it.
    pub associations: u16,
}

impl KnownNode {
    /// A node that may do everything, calling from its own address: what `AET@host:port` alone makes.
    pub fn with_all_rights(node: &Node) -> KnownNode {
        KnownNode {
            name: node.ae_title.to_string(),
            ae_title: node.ae_title.clone(),
            address: Some((node.host.clone(), node.port)),
            from: vec![Origin::of_host(&node.host)],
            called: Vec::new(),
            allow: Operations::ALL,
            destinations: None,
            associations: 1,
        }
    }

    /// How to reach it, if it listens.
    pub fn node(&self) -> Option<Node> {
        let (host, port) = self.address.clone()?;
        Some(Node { ae_title: self.ae_title.clone(), host, port })
    }
}

/// What becomes of a caller that is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strangers {
    /// It may do everything. For loopback, and where the operator has said so.
    #[default]
    Admitted,
    /// It is rejected.
    Rejected,
}

/// The nodes that the archive knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    nodes: Vec<KnownNode>,
    destinations: Arc<BTreeMap<AeTitle, Destination>>,
    strangers: Strangers,
}

/// Two nodes have the same AE title and different addresses, which a C-MOVE could not tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AE title {} has two addresses: {first} and {second}", .first.ae_title)]
pub struct AmbiguousNode {
    first: Node,
    second: Node,
}

/// Why a caller is not let in: what the peer is told, and what the log says beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAdmitted {
    /// For the A-ASSOCIATE-RJ.
    pub reason: RejectReason,
    /// For the administrator; nothing of this goes to the peer.
    pub why: &'static str,
}

impl Nodes {
    /// A table. Two nodes may share an AE title, calling from different places, but not as move destinations.
    ///
    /// # Errors
    /// [`AmbiguousNode`].
    pub fn new(nodes: Vec<KnownNode>, strangers: Strangers) -> Result<Nodes, AmbiguousNode> {
        let mut destinations: BTreeMap<AeTitle, Destination> = BTreeMap::new();
        for known in &nodes {
            let Some(node) = known.node() else { continue };
            let associations = known.associations;
            match destinations.get_mut(&node.ae_title) {
                Some(first) if first.node != node => {
                    return Err(AmbiguousNode { first: first.node.clone(), second: node });
                }
                Some(same) => same.associations = same.associations.max(associations),
                None => _ = destinations.insert(node.ae_title.clone(), Destination { node, associations }),
            }
        }
        Ok(Nodes { nodes, destinations: Arc::new(destinations), strangers })
    }

    /// The nodes, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &KnownNode> {
        self.nodes.iter()
    }

    /// Where an AE title listens, if the table says so.
    pub fn address_of(&self, ae_title: &AeTitle) -> Option<&Node> {
        self.destinations.get(ae_title).map(|destination| &destination.node)
    }

    /// What a caller may do, or why it is not let in. The first node that fits AE title, origin and called AE title
    /// counts. `archive` is our own AE title. Names of hosts are looked up, which may take a moment.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn admit(
        &self,
        calling: &AeTitle,
        called: Option<&AeTitle>,
        peer: Option<SocketAddr>,
    ) -> Result<Permissions, NotAdmitted> {
        let mut known = false;
        let mut from_there = false;
        for node in self.nodes.iter().filter(|node| node.ae_title == *calling) {
            known = true;
            if !origin::comes_from(peer, &node.from).await {
                continue;
            }
            from_there = true;
            if !node.called.is_empty() && !called.is_some_and(|called| node.called.contains(called)) {
                continue;
            }
            if node.allow.is_empty() {
                return Err(NotAdmitted::calling("the node may not call: `allow` is empty"));
            }
            return Ok(self.permissions(node));
        }
        match self.strangers {
            // A name of the table, from elsewhere, gets no more by that than a stranger.
            Strangers::Admitted if !from_there => Ok(self.permissions_of_strangers()),
            _ if from_there => Err(NotAdmitted {
                reason: RejectReason::CalledAeTitleNotRecognized,
                why: "the node may not call this AE title",
            }),
            _ if known => Err(NotAdmitted::calling("the node may not call from this address")),
            _ => Err(NotAdmitted::calling("no node of the table has this AE title")),
        }
    }

    fn permissions(&self, node: &KnownNode) -> Permissions {
        Permissions::new(
            Some(node.name.clone()),
            node.allow,
            self.destinations.clone(),
            node.destinations.clone(),
        )
    }

    fn permissions_of_strangers(&self) -> Permissions {
        Permissions::new(None, Operations::ALL, self.destinations.clone(), None)
    }
}

impl NotAdmitted {
    fn calling(why: &'static str) -> NotAdmitted {
        NotAdmitted { reason: RejectReason::CallingAeTitleNotRecognized, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> AeTitle {
        AeTitle::new(text).unwrap()
    }

    fn node(text: &str) -> KnownNode {
        KnownNode::with_all_rights(&text.parse().unwrap())
    }

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 40_000))
    }

    async fn admit(
        nodes: &Nodes,
        calling: &str,
        called: &str,
        from: &str,
    ) -> Result<Permissions, NotAdmitted> {
        nodes.admit(&title(calling), Some(&title(called)), peer(from)).await
    }

    #[test]
    fn two_addresses_of_an_ae_title_are_told() {
        let nodes = vec![node("A@10.0.0.1:104"), node("A@10.0.0.2:104")];
        let error = Nodes::new(nodes, Strangers::Rejected).unwrap_err();
        let words = "the AE title A has two addresses: A@10.0.0.1:104 and A@10.0.0.2:104";
        assert_eq!(error.to_string(), words);
        Nodes::new(vec![node("A@10.0.0.1:104"), node("A@10.0.0.1:104")], Strangers::Rejected).unwrap();
    }

    #[tokio::test]
    async fn a_move_destination_may_have_what_the_more_generous_of_its_entries_says() {
        let four = KnownNode { associations: 4, ..node("A@10.0.0.1:104") };
        let nodes = vec![node("A@10.0.0.1:104"), four, node("B@10.0.0.2:104")];
        let nodes = Nodes::new(nodes, Strangers::Rejected).unwrap();
        let permissions = admit(&nodes, "B", "PACS", "10.0.0.2").await.unwrap();
        let associations = |to| permissions.move_destination(&title(to)).unwrap().associations;
        assert_eq!((associations("A"), associations("B")), (4, 1));
    }

    #[tokio::test]
    async fn a_node_is_let_in_by_ae_title_address_and_called_ae_title() {
        let node = KnownNode { called: vec![title("PACS")], ..node("CT@10.0.0.1:104") };
        let nodes = Nodes::new(vec![node], Strangers::Rejected).unwrap();
        let reason = |result: Result<Permissions, NotAdmitted>| result.map(drop).map_err(|no| no.reason);
        let calling = Err(RejectReason::CallingAeTitleNotRecognized);
        let called = Err(RejectReason::CalledAeTitleNotRecognized);
        assert_eq!(reason(admit(&nodes, "CT", "PACS", "10.0.0.1").await), Ok(()));
        assert_eq!(reason(admit(&nodes, "CT", "PACS", "::ffff:10.0.0.1").await), Ok(()));
        assert_eq!(reason(admit(&nodes, "CT", "PACS", "10.0.0.2").await), calling);
        assert_eq!(reason(admit(&nodes, "MR", "PACS", "10.0.0.1").await), calling);
        assert_eq!(reason(admit(&nodes, "CT", "OTHER", "10.0.0.1").await), called);
    }

    #[tokio::test]
    async fn nodes_that_share_an_ae_title_are_told_apart_by_address() {
        let reads = KnownNode { allow: Operations::from_iter([Operation::Find]), ..node("X@10.0.0.1:104") };
        let writes = KnownNode {
            allow: Operations::from_iter([Operation::Store]),
            from: vec!["10.0.1.0/24".parse().unwrap()],
            address: None,
            ..reads.clone()
        };
        let nodes = Nodes::new(vec![reads, writes], Strangers::Rejected).unwrap();
        let reader = admit(&nodes, "X", "PACS", "10.0.0.1").await.unwrap();
        let writer = admit(&nodes, "X", "PACS", "10.0.1.77").await.unwrap();
        assert!(reader.may(Operation::Find) && !reader.may(Operation::Store));
        assert!(writer.may(Operation::Store) && !writer.may(Operation::Find));
    }

    #[tokio::test]
    async fn who_may_do_nothing_may_not_call() {
        let node = KnownNode { allow: Operations::NONE, ..node("CT@10.0.0.1:104") };
        for strangers in [Strangers::Rejected, Strangers::Admitted] {
            let nodes = Nodes::new(vec![node.clone()], strangers).unwrap();
            let refused = admit(&nodes, "CT", "PACS", "10.0.0.1").await.unwrap_err();
            assert_eq!(refused.reason, RejectReason::CallingAeTitleNotRecognized);
        }
    }

    #[tokio::test]
    async fn strangers_may_do_everything_where_they_are_let_in() {
        let nodes = Nodes::new(vec![node("CT@10.0.0.1:104")], Strangers::Admitted).unwrap();
        let stranger = admit(&nodes, "WHO", "PACS", "10.9.9.9").await.unwrap();
        assert!(Operation::ALL.into_iter().all(|operation| stranger.may(operation)));
        assert!(stranger.move_destination(&title("CT")).is_ok());
    }
}
