//! Where the configuration is looked for: what is named (`--config`, `DICOMET_CONFIG`), else `dicomet.toml` in the
//! current folder, else `dicomet/dicomet.toml` where the user's configuration lies (`XDG_CONFIG_HOME`), else that of the
//! machine, where the service has it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dicomet_net::Node;
use dicomet_net::retrieve::Known;
use dicomet_server::config::{Config, NodeEntry};

use crate::exit::CommandError;

/// The name of the file.
pub const FILE_NAME: &str = "dicomet.toml";

/// Where the service has it, so that the commands find it on the same machine.
const OF_THE_MACHINE: &str = "/etc/dicomet/dicomet.toml";

/// A configuration and the file that it is from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file.
    pub file: PathBuf,
    /// What it says.
    pub config: Config,
}

/// Reads the configuration, if there is one. What is named must be there.
pub fn load(named: Option<&Path>) -> Result<Option<Loaded>, CommandError> {
    match locate(named) {
        Some(file) => read(file).map(Some),
        None => Ok(None),
    }
}

/// Reads a configuration file.
pub fn read(file: PathBuf) -> Result<Loaded, CommandError> {
    match Config::read(&file) {
        Ok(config) => Ok(Loaded { file, config }),
        Err(error) => Err(CommandError::usage(error.to_string().trim_end())),
    }
}

/// The file that is named, or the first that is there.
pub fn locate(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| usual_places().into_iter().find(|file| file.is_file()))
}

/// A peer as a person gives it: `AET@host:port`, or the name of a node of the configuration.
pub fn resolve(text: &str, named: Option<&Path>) -> Result<Node, CommandError> {
    if text.contains('@') {
        return text.parse().map_err(CommandError::usage);
    }
    let Some(loaded) = load(named)? else {
        let places: Vec<String> = usual_places().iter().map(|file| file.display().to_string()).collect();
        let message =
            format!("'{text}' is not AET@host:port, and there is no configuration to look it up in");
        return Err(CommandError::usage(message)
            .hint(format!("looked for {}; --config names another file", places.join(", "))));
    };
    let file = loaded.file.display();
    match loaded.config.node(text).map(NodeEntry::node) {
        Some(Some(node)) => Ok(node),
        Some(None) => Err(CommandError::usage(format!("the node '{text}' of {file} has no host and port"))),
        None => Err(CommandError::usage(format!("'{text}' is not AET@host:port, and no node of {file}"))
            .hint(format!("dicomet node list --config {file} shows what there is"))),
    }
}

/// The file of what is learnt of nodes: the one that is named, or that in the user's state folder (`XDG_STATE_HOME`).
/// "none" is none.
pub fn known(named: Option<&Path>) -> Option<Known> {
    match named {
        Some(none) if none.as_os_str() == "none" => None,
        Some(file) => Some(Known::at(file)),
        None => Some(Known::at(user_folder("XDG_STATE_HOME", ".local/state")?.join("nodes.json"))),
    }
}

fn usual_places() -> Vec<PathBuf> {
    let user = user_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join(FILE_NAME));
    std::iter::once(PathBuf::from(FILE_NAME)).chain(user).chain([PathBuf::from(OF_THE_MACHINE)]).collect()
}

/// Our folder among those of the user: below what a variable names, or below HOME.
fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let not_empty = |value: &OsString| !value.is_empty();
    let home = || std::env::var_os("HOME").filter(not_empty).map(|home| PathBuf::from(home).join(below_home));
    let folder = std::env::var_os(variable).filter(not_empty).map(PathBuf::from).or_else(home)?;
    Some(folder.join("dicomet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "[[node]]\nname = \"pacs\"\naet = \"PACS\"\nhost = \"192.0.2.1\"\nport = 104\n\n\
                         [[node]]\nname = \"ct\"\naet = \"CT\"\nfrom = [\"192.0.2.0/24\"]\n";

    #[test]
    fn a_node_is_an_address_or_a_name_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, TABLE).unwrap();
        let node = |text| resolve(text, Some(&file));
        assert_eq!(node("pacs").unwrap().to_string(), "PACS@192.0.2.1:104");
        assert_eq!(node("X@host:11112").unwrap().to_string(), "X@host:11112");
        assert!(node("ct").unwrap_err().to_string().contains("has no host and port"));
        assert!(node("other").unwrap_err().to_string().contains("dicomet node list"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(Some(&folder.path().join("absent.toml"))).unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
    }
}
