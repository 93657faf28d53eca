//! What an association may do. Made once, at admission, from the table as it then was, and kept to its end: a table
//! that is read again concerns new associations alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use dicomet_proto::AeTitle;
use dicomet_proto::message::{Refusal, Status};

use super::Destination;

/// A thing that a node may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// C-ECHO.
    Echo,
    /// C-STORE.
    Store,
    /// C-FIND of patients, studies, series and instances.
    Find,
    /// C-GET.
    Get,
    /// C-MOVE.
    Move,
    /// C-FIND of the worklist.
    Worklist,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 6] = [
        Operation::Echo,
        Operation::Store,
        Operation::Find,
        Operation::Get,
        Operation::Move,
        Operation::Worklist,
    ];

    /// As it stands in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Echo => "echo",
            Operation::Store => "store",
            Operation::Find => "find",
            Operation::Get => "get",
            Operation::Move => "move",
            Operation::Worklist => "worklist",
        }
    }
}

/// A set of [`Operation`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operations(u8);

impl Operations {
    /// Nothing.
    pub const NONE: Operations = Operations(0);
    /// Everything.
    pub const ALL: Operations = Operations((1 << Operation::ALL.len()) - 1);

    /// Whether it is among them.
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u8) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.contains(*operation))
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Operations {
        Operations(operations.into_iter().fold(0, |set, operation| set | 1 << operation as u8))
    }
}

/// What an association may do.
#[derive(Debug, Clone)]
pub struct Permissions {
    node: Option<String>,
    allow: Operations,
    known: Arc<BTreeMap<AeTitle, Destination>>,
    destinations: Option<Vec<AeTitle>>,
}

impl Permissions {
    pub(super) fn new(
        node: Option<String>,
        allow: Operations,
        known: Arc<BTreeMap<AeTitle, Destination>>,
        destinations: Option<Vec<AeTitle>>,
    ) -> Permissions {
        Permissions { node, allow, known, destinations }
    }

    /// The name of the node; `None` is a stranger.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// All that it may do.
    pub fn operations(&self) -> Operations {
        self.allow
    }

    /// Whether it may.
    pub fn may(&self, operation: Operation) -> bool {
        self.allow.contains(operation)
    }

    /// Says no to what it may not do, in the way of the service: C-FIND has no status for it (PS3.4 C.4.1.1.4).
    ///
    /// # Errors
    /// The [`Refusal`] for the response.
    pub fn check(&self, operation: Operation) -> Result<(), Refusal> {
        if self.may(operation) {
            return Ok(());
        }
        let status = match operation {
            Operation::Find | Operation::Worklist => Status::UNABLE_TO_PROCESS,
            _ => Status::NOT_AUTHORIZED,
        };
        Err(Refusal::new(status, "the archive does not allow this to the calling AE title"))
    }

    /// A move destination.
    ///
    /// # Errors
    /// The [`Refusal`] for the response: it is not in the table, or has no address there, or is not for this node.
    pub fn move_destination(&self, ae_title: &AeTitle) -> Result<&Destination, Refusal> {
        let destination = self.known.get(ae_title).ok_or_else(|| {
            Refusal::new(
                Status::MOVE_DESTINATION_UNKNOWN,
                "not in the table of nodes, or without host and port there",
            )
        })?;
        match &self.destinations {
            Some(allowed) if !allowed.contains(ae_title) => Err(Refusal::new(
                Status::NOT_AUTHORIZED,
                "the archive does not allow moves to this destination",
            )),
            _ => Ok(destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let set = Operations::from_iter([Operation::Get, Operation::Echo]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Operation::Echo, Operation::Get]);
        assert_eq!(Operations::ALL, Operations::from_iter(Operation::ALL));
        assert!(Operations::NONE.is_empty());
    }

    #[test]
    fn each_service_says_no_in_its_own_way() {
        let permissions = Permissions::new(None, Operations::NONE, Arc::default(), None);
        let status = |operation| permissions.check(operation).unwrap_err().status.code();
        assert_eq!(status(Operation::Store), 0x0124);
        assert_eq!(status(Operation::Move), 0x0124);
        assert_eq!(status(Operation::Find), 0xC000);
        assert_eq!(status(Operation::Worklist), 0xC000);
    }

    #[test]
    fn a_move_goes_to_the_destinations_of_the_node_alone() {
        let title = |text| AeTitle::new(text).unwrap();
        let known =
            ["A@10.0.0.1:104", "B@10.0.0.2:104"].map(|node| node.parse::<dicomet_net::Node>().unwrap());
        let destination = |node: dicomet_net::Node| Destination { node, associations: 1 };
        let known = known.into_iter().map(|node| (node.ae_title.clone(), destination(node)));
        let known = Arc::new(known.collect());
        let permissions = Permissions::new(None, Operations::ALL, known, Some(vec![title("A")]));
        assert_eq!(permissions.move_destination(&title("A")).unwrap().node.port, 104);
        let status = |to| permissions.move_destination(&title(to)).unwrap_err().status.code();
        assert_eq!(status("B"), 0x0124);
        assert_eq!(status("C"), 0xA801);
    }
}
