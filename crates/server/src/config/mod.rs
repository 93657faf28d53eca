//! The configuration file, TOML: the settings of `dicomet serve` and the table of nodes. Here it is read and checked;
//! who wins over it (environment, command line) is decided by the command.
//!
//! ```toml
//! [serve]
//! listen = "0.0.0.0:11112"
//! aet = "ARCHIVE"
//!
//! [[node]]
//! name = "viewer"
//! aet = "VIEWER"
//! host = "192.0.2.7"
//! port = 11112
//! from = ["192.0.2.0/24"]
//! allow = ["echo", "find", "get", "move"]
//! destinations = ["viewer"]
//! associations = 4
//! ```
//!
//! What is not known is an error, not passed over: a slip in a key would otherwise open or close a door unseen.
//! Errors name line, column and key.

mod node;
mod serve;
mod text;

use std::path::Path;

use dicomet_net::Node;
use serde::Deserialize;

pub use node::NodeEntry;
pub use serve::{Called, Duplicate, LogFormat, ServeEntry, Stored};
pub use text::{LogFilter, Size, Text};

use crate::nodes::{KnownNode, Nodes, Strangers};

/// A configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What `dicomet serve` goes by.
    #[serde(default)]
    pub serve: ServeEntry,
    /// The table of nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<NodeEntry>,
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no text in UTF-8, which TOML is written in.
    #[error("{file}, line {line}: no UTF-8 behind '{before}'")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Where the first byte stands that is none.
        line: usize,
        /// What the line has before it.
        before: String,
    },
    /// It is no TOML, or has a key or a value that it should not have. Several lines: place, line, reason.
    #[error("{file}: {source}")]
    Malformed {
        /// The file.
        file: String,
        /// Line, column and reason.
        source: Box<toml::de::Error>,
    },
    /// What it says does not go together.
    #[error("{file}, line {line}: node '{node}': {reason}")]
    Node {
        /// The file.
        file: String,
        /// Where the node's name stands.
        line: usize,
        /// The node's name.
        node: String,
        /// What is wrong.
        reason: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(file: &Path) -> Result<Config, ConfigError> {
        Config::parse(&Config::read_text(file)?, &file.display().to_string())
    }

    /// Reads the text of a file, which is not checked.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], [`ConfigError::NotUtf8`].
    pub fn read_text(file: &Path) -> Result<String, ConfigError> {
        let name = file.display().to_string();
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ConfigError::Unreadable { file: name, source }),
        };
        String::from_utf8(bytes).map_err(|error| {
            let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let before = good.rsplit('\n').next().unwrap_or_default();
            let line = good.matches('\n').count() + 1;
            ConfigError::NotUtf8 { file: name, line, before: before.trim_start().to_owned() }
        })
    }

    /// Reads and checks a text; `file` is its name in errors.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text)
            .map_err(|source| ConfigError::Malformed { file: file.to_owned(), source: Box::new(source) })?;
        config.check().map_err(|(entry, reason)| ConfigError::Node {
            file: file.to_owned(),
            line: 1 + text[..entry.name.span().start].matches('\n').count(),
            node: entry.name.get_ref().clone(),
            reason,
        })?;
        Ok(config)
    }

    /// The node of this name; the AE title does as well where one node alone has it.
    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        let by_name = self.nodes.iter().find(|entry| entry.name.get_ref() == name);
        by_name.or_else(|| {
            let mut by_title = self.nodes.iter().filter(|entry| entry.aet.0.as_str() == name);
            by_title.next().filter(|_| by_title.next().is_none())
        })
    }

    /// The table, with further nodes of the command line.
    ///
    /// # Errors
    /// When an AE title has two addresses.
    pub fn table(&self, more: &[Node], strangers: Strangers) -> Result<Nodes, crate::nodes::AmbiguousNode> {
        let own = self.nodes.iter().map(|entry| self.known(entry));
        let more = more.iter().map(KnownNode::with_all_rights);
        Nodes::new(own.chain(more).collect(), strangers)
    }

    fn known(&self, entry: &NodeEntry) -> KnownNode {
        let destination = |name: &String| self.node(name).map(|node| node.aet.0.clone());
        let destinations = entry.destinations.as_ref();
        let destinations = destinations.map(|names| names.iter().filter_map(destination).collect());
        entry.known(destinations)
    }

    /// What no entry can know by itself.
    fn check(&self) -> Result<(), (&NodeEntry, String)> {
        for (index, entry) in self.nodes.iter().enumerate() {
            entry.check().map_err(|reason| (entry, reason))?;
            let before = &self.nodes[..index];
            if before.iter().any(|other| other.name.get_ref() == entry.name.get_ref()) {
                return Err((entry, "there is another node of this name above".to_owned()));
            }
            let (Some(node), title) = (entry.node(), &entry.aet.0) else { continue };
            let other = before.iter().filter_map(NodeEntry::node).find(|other| other.ae_title == *title);
            if let Some(other) = other.filter(|other| *other != node) {
                let reason =
                    format!("its AE title has two addresses, {other} and {node}; a C-MOVE cannot tell");
                return Err((entry, reason));
            }
        }
        for entry in &self.nodes {
            for name in entry.destinations.iter().flatten() {
                match self.node(name) {
                    None => return Err((entry, format!("destination '{name}' is no node of this file"))),
                    Some(node) if node.node().is_none() => {
                        return Err((entry, format!("destination '{name}' has no host and port")));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
