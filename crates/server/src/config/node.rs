//! An entry `[[node]]` of the configuration.

use dicomet_net::Node;
use dicomet_proto::AeTitle;
use serde::Deserialize;
use toml::Spanned;

use super::Text;
use crate::nodes::{KnownNode, Operation, Operations, Origin};

/// A node, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// What people call it; no '@'.
    pub name: Spanned<String>,
    /// Its AE title.
    pub aet: Text<AeTitle>,
    /// Where it listens, by name or address; goes with `port`.
    pub host: Option<String>,
    /// Where it listens; goes with `host`.
    pub port: Option<u16>,
    /// From where it may call; by default from `host`.
    pub from: Option<Vec<Text<Origin>>>,
    /// The called AE titles it may use; by default those that anybody may.
    pub called: Option<Vec<Text<AeTitle>>>,
    /// What it may do; by default `echo`.
    pub allow: Option<Vec<Allowed>>,
    /// The nodes it may move to, by name; by default all that have host and port.
    pub destinations: Option<Vec<String>>,
    /// The most associations at a time that a C-MOVE may have with it; by default 1.
    pub associations: Option<u16>,
}

/// The most associations that a node can be given for a C-MOVE: what more of them gain, a line does not hold.
const MAX_ASSOCIATIONS: u16 = 16;

/// A word of `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allowed {
    /// Everything.
    All,
    /// C-ECHO.
    Echo,
    /// C-STORE.
    Store,
    /// C-FIND.
    Find,
    /// C-GET.
    Get,
    /// C-MOVE.
    Move,
    /// Worklist C-FIND.
    Worklist,
}

impl NodeEntry {
    /// How to reach it, if it listens.
    pub fn node(&self) -> Option<Node> {
        let (host, port) = (self.host.clone()?, self.port?);
        Some(Node { ae_title: self.aet.0.clone(), host, port })
    }

    /// What it may do.
    pub fn operations(&self) -> Operations {
        let Some(words) = &self.allow else {
            return Operations::from_iter([Operation::Echo]);
        };
        words.iter().flat_map(|word| word.operations().iter()).collect()
    }

    /// From where it may call.
    pub fn origins(&self) -> Vec<Origin> {
        match (&self.from, &self.host) {
            (Some(from), _) => from.iter().map(|origin| origin.0.clone()).collect(),
            (None, Some(host)) => vec![Origin::of_host(host)],
            (None, None) => Vec::new(),
        }
    }

    /// The most associations at a time that a C-MOVE may have with it.
    pub fn associations(&self) -> u16 {
        self.associations.unwrap_or(1)
    }

    pub(super) fn known(&self, destinations: Option<Vec<AeTitle>>) -> KnownNode {
        KnownNode {
            name: self.name.get_ref().clone(),
            ae_title: self.aet.0.clone(),
            address: self.node().map(|node| (node.host, node.port)),
            from: self.origins(),
            called: self.called.iter().flatten().map(|title| title.0.clone()).collect(),
            allow: self.operations(),
            destinations,
            associations: self.associations(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let name = self.name.get_ref();
        if name.trim().is_empty() || name.contains(['@', '\n']) {
            return Err("a name is not empty and has no '@'".to_owned());
        }
        match (&self.host, self.port) {
            (Some(_), None) => return Err("there is a host and no port".to_owned()),
            (None, Some(_)) => return Err("there is a port and no host".to_owned()),
            (Some(_), Some(0)) => return Err("the port is a number from 1 to 65535".to_owned()),
            (Some(host), _) if host.parse::<Origin>().is_err() || host.contains('/') => {
                return Err(format!("'{host}' is no name of a host and no address"));
            }
            _ => {}
        }
        if self.host.is_none() && self.from.is_none() && !self.operations().is_empty() {
            return Err(
                "nothing says from where it may call: give host and port, or from = [\"192.0.2.0/24\"], \
                 or from = [\"any\"]"
                    .to_owned(),
            );
        }
        match self.associations {
            Some(associations) if !(1..=MAX_ASSOCIATIONS).contains(&associations) => {
                return Err(format!("associations is a number from 1 to {MAX_ASSOCIATIONS}"));
            }
            Some(_) if self.host.is_none() => {
                return Err("it has associations, and no host and port to have them with".to_owned());
            }
            _ => {}
        }
        if self.destinations.is_some() && !self.operations().contains(Operation::Move) {
            return Err("it has destinations, and `allow` has no \"move\"".to_owned());
        }
        Ok(())
    }
}

impl Allowed {
    fn operations(self) -> Operations {
        let one = |operation| Operations::from_iter([operation]);
        match self {
            Allowed::All => Operations::ALL,
            Allowed::Echo => one(Operation::Echo),
            Allowed::Store => one(Operation::Store),
            Allowed::Find => one(Operation::Find),
            Allowed::Get => one(Operation::Get),
            Allowed::Move => one(Operation::Move),
            Allowed::Worklist => one(Operation::Worklist),
        }
    }
}
