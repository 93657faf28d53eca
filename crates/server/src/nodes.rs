//! The nodes that the archive knows. So far they are move destinations and nothing else: a peer names an AE title,
//! and the address comes from here, never from the peer.

use std::collections::BTreeMap;

use dicomet_net::Node;
use dicomet_proto::AeTitle;

/// The nodes, by AE title.
#[derive(Debug, Clone, Default)]
pub struct Nodes(BTreeMap<AeTitle, Node>);

/// Two nodes have the same AE title, which a C-MOVE could not tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AE title {} has two addresses: {first} and {second}", .first.ae_title)]
pub struct AmbiguousNode {
    first: Node,
    second: Node,
}

impl Nodes {
    /// The nodes of a list; one that stands there twice counts once.
    ///
    /// # Errors
    /// [`AmbiguousNode`].
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Result<Nodes, AmbiguousNode> {
        let mut by_title = BTreeMap::new();
        for node in nodes {
            match by_title.insert(node.ae_title.clone(), node.clone()) {
                Some(first) if first != node => return Err(AmbiguousNode { first, second: node }),
                _ => {}
            }
        }
        Ok(Nodes(by_title))
    }

    /// The move destination of this AE title.
    pub fn move_destination(&self, ae_title: &AeTitle) -> Option<&Node> {
        self.0.get(ae_title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        text.parse().unwrap()
    }

    #[test]
    fn a_destination_is_found_by_its_ae_title() {
        let nodes = Nodes::new([node("A@one:104"), node("B@two:104"), node("A@one:104")]).unwrap();
        assert_eq!(nodes.move_destination(&AeTitle::new("B").unwrap()), Some(&node("B@two:104")));
        assert_eq!(nodes.move_destination(&AeTitle::new("C").unwrap()), None);
    }

    #[test]
    fn two_addresses_of_an_ae_title_are_told() {
        let error = Nodes::new([node("A@one:104"), node("A@two:104")]).unwrap_err();
        assert_eq!(error.to_string(), "the AE title A has two addresses: A@one:104 and A@two:104");
    }
}
