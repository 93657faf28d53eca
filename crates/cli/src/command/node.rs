//! `dicomet node`: the table of nodes in the configuration. It is edited as text, so that comments and order stay.

use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dicomet_net::Node;
use dicomet_proto::AeTitle;
use dicomet_server::config::{Config, ConfigError, NodeEntry, Text};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::echo::echo;
use crate::config::{self, FILE_NAME, Loaded};
use crate::exit::{CommandError, Exit};
use crate::node_args::{CallArgs, NodeArgs as Called};
use crate::output;

/// Keep the table of nodes: who may do what with the archive, and peers by name
///
/// Examples:
///
///   dicomet node add viewer VIEWER@192.0.2.7:11112 --allow echo,find,get,move
///
///   dicomet node add ct-1 CT1 --from 192.0.2.0/24 --allow echo,store,worklist
///
///   dicomet node check
///
///   dicomet find viewer 'PatientName=Bowen*'
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    #[command(subcommand)]
    command: NodeCommand,

    /// The configuration; else ./dicomet.toml, else that in ~/.config/dicomet, else that in /etc/dicomet
    #[arg(long, global = true, env = "DICOMET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum NodeCommand {
    /// Show the nodes and what they may do
    List,
    /// Put a node into the configuration, which is made when it is not there
    ///
    /// A running `dicomet serve` takes it with SIGHUP.
    Add(AddArgs),
    /// Take a node out of the configuration
    Remove {
        /// The name of the node
        name: String,
    },
    /// Forget what was learnt of a node by getting from it; of all nodes when none is named
    Forget {
        /// AET@host:port, or a name from the configuration
        #[arg(value_name = "NODE")]
        node: Option<String>,

        /// Where it is kept; else dicomet/nodes.json in the user's state folder (~/.local/state)
        #[arg(long, env = "DICOMET_KNOWN", value_name = "FILE")]
        known: Option<PathBuf>,
    },
    /// Try C-ECHO with the nodes that listen, and say in words what is wrong
    ///
    /// They are called as the archive calls them for a C-MOVE: by the AE title of `[serve]`, unless --aet says another.
    Check {
        /// Names of nodes; all when there is none
        #[arg(value_name = "NAME")]
        names: Vec<String>,

        #[command(flatten)]
        call: CallArgs,
    },
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// What to call the node
    name: String,

    /// Its AE title, with host and port if it listens: AET or AET@host:port
    #[arg(value_name = "AET[@host:port]")]
    node: String,

    /// From where it may call: address, network such as 192.0.2.0/24, name of a host, or any; by default its host
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    from: Vec<String>,

    /// The called AE titles it may use; by default those that anybody may
    #[arg(long, value_name = "AET", value_delimiter = ',')]
    called: Vec<String>,

    /// What it may do: echo, store, find, get, move, worklist, all, none
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_value = "echo")]
    allow: Vec<String>,

    /// The nodes it may move to, by name; by default all that listen
    #[arg(long = "destination", value_name = "NAME", value_delimiter = ',')]
    destinations: Vec<String>,

    /// How many associations at a time a C-MOVE may have with it, 1 to 16; by default 1
    #[arg(long, value_name = "N")]
    associations: Option<u16>,
}

pub async fn run(args: NodeArgs) -> Result<ExitCode, CommandError> {
    let named = args.config.as_deref();
    match args.command {
        NodeCommand::List => list(&existing(named)?),
        NodeCommand::Add(node) => {
            let file = config::locate(named).unwrap_or_else(|| PathBuf::from(FILE_NAME));
            edit(&file, |document| add(document, &node))?;
            output::line(format!("{}: {} is in the table of nodes", file.display(), node.name))?;
            Ok(Exit::Done.into())
        }
        NodeCommand::Remove { name } => {
            let file = existing(named)?.file;
            edit(&file, |document| remove(document, &name))?;
            output::line(format!("{}: {name} is no longer in the table of nodes", file.display()))?;
            Ok(Exit::Done.into())
        }
        NodeCommand::Forget { node, known } => {
            let node = node.map(|node| config::resolve(&node, named)).transpose()?;
            let forgotten = match config::known(known.as_deref()) {
                Some(known) => known.forget(node.as_ref()).map_err(CommandError::new)?,
                None => 0,
            };
            output::line(format!("{} forgotten", output::count(forgotten as u64, "node", "nodes")))?;
            Ok(Exit::Done.into())
        }
        NodeCommand::Check { names, call } => check(&existing(named)?, &names, call).await,
    }
}

fn existing(named: Option<&Path>) -> Result<Loaded, CommandError> {
    config::load(named)?.ok_or_else(|| {
        CommandError::usage("there is no configuration")
            .hint("dicomet node add makes one; --config names one that is elsewhere")
    })
}

fn list(loaded: &Loaded) -> Result<ExitCode, CommandError> {
    let header = ["Name", "AE Title", "Listens", "Calls from", "Called", "May", "Moves to"];
    let rows = loaded.config.nodes.iter().map(|entry| row(entry).map(|cell| output::visible(&cell)));
    output::line(output::plain_table(header, rows))?;
    Ok(Exit::Done.into())
}

fn row(entry: &NodeEntry) -> [String; 7] {
    fn joined(words: impl IntoIterator<Item = String>) -> String {
        words.into_iter().collect::<Vec<_>>().join(" ")
    }
    let operations = entry.operations();
    let may_not = "nothing".to_owned();
    let moves = operations.contains(dicomet_server::nodes::Operation::Move);
    [
        entry.name.get_ref().clone(),
        entry.aet.0.to_string(),
        entry.node().map_or_else(String::new, |node| listens(&node, entry.associations())),
        joined(entry.origins().iter().map(ToString::to_string)),
        joined(entry.called.iter().flatten().map(|title| title.0.to_string())),
        match operations.is_empty() {
            true => may_not,
            false => joined(operations.iter().map(|operation| operation.name().to_owned())),
        },
        match &entry.destinations {
            Some(names) => joined(names.iter().cloned()),
            None if moves => "all that listen".to_owned(),
            None => String::new(),
        },
    ]
}

/// Where a node listens, and over how many associations it is moved to if over several.
fn listens(node: &Node, associations: u16) -> String {
    let address = match node.host.contains(':') {
        true => format!("[{}]:{}", node.host, node.port),
        false => format!("{}:{}", node.host, node.port),
    };
    match associations {
        1 => address,
        several => format!("{address}, {several} associations"),
    }
}

/// Changes the file; it is replaced at once, and only by one that can be used.
fn edit(
    file: &Path,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::new(format!("{}: {error}", file.display()));
    // The file itself, where a link points to it.
    let file_itself = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let text = match Config::read_text(&file_itself) {
        Ok(text) => text,
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            String::new()
        }
        Err(error) => return Err(CommandError::usage(error)),
    };
    let mut document: DocumentMut = text.parse().map_err(|error| failed(&error))?;
    change(&mut document)?;
    let text = document.to_string();
    Config::parse(&text, &file.display().to_string()).map_err(|error| {
        CommandError::usage(error.to_string().trim_end()).hint("the file was not changed")
    })?;
    write(&file_itself, &text).map_err(|error| failed(&error))
}

/// Writes beside the file and puts it in its place, with owner, group and rights of the file before: a service that
/// reads it by its group could otherwise not start any more.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new().prefix(".dicomet-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    let permissions = match std::fs::metadata(file) {
        Ok(before) => {
            keep_owner(new.as_file(), &before)?;
            before.permissions()
        }
        // Nothing in it is secret, and the service runs as somebody else.
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    new.as_file().set_permissions(permissions)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// Only where they differ: who is not root may not give files away, and has no need to with his own.
fn keep_owner(new: &File, before: &Metadata) -> std::io::Result<()> {
    let made = new.metadata()?;
    if (made.uid(), made.gid()) == (before.uid(), before.gid()) {
        return Ok(());
    }
    fchown(new, Some(before.uid()), Some(before.gid())).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot be replaced by a file of the same owner: {error}"))
    })
}

fn tables(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, CommandError> {
    let item = document.entry("node").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut().ok_or_else(|| CommandError::usage("'node' is no list of tables [[node]]"))
}

fn add(document: &mut DocumentMut, args: &AddArgs) -> Result<(), CommandError> {
    let mut table = Table::new();
    table["name"] = value(&args.name);
    match args.node.contains('@') {
        true => {
            let node: Node = args.node.parse().map_err(CommandError::usage)?;
            table["aet"] = value(node.ae_title.as_str());
            table["host"] = value(node.host);
            table["port"] = value(i64::from(node.port));
        }
        false => {
            let title = AeTitle::new(&args.node).map_err(CommandError::usage)?;
            table["aet"] = value(title.as_str());
        }
    }
    let mut list = |key: &str, texts: &[String]| {
        table[key] = value(Value::Array(texts.iter().map(String::as_str).collect::<Array>()));
    };
    if !args.from.is_empty() {
        list("from", &args.from);
    }
    if !args.called.is_empty() {
        list("called", &args.called);
    }
    let nothing = args.allow.iter().all(|word| word == "none");
    list("allow", if nothing { &[] } else { &args.allow });
    if !args.destinations.is_empty() {
        list("destinations", &args.destinations);
    }
    if let Some(associations) = args.associations {
        table["associations"] = value(i64::from(associations));
    }
    tables(document)?.push(table);
    Ok(())
}

fn remove(document: &mut DocumentMut, name: &str) -> Result<(), CommandError> {
    let tables = tables(document)?;
    let is_it = |table: &Table| table.get("name").and_then(Item::as_str) == Some(name);
    let place = tables.iter().position(is_it);
    let place = place.ok_or_else(|| {
        CommandError::usage(format!("there is no node '{name}'"))
            .hint("dicomet node list shows what there is")
    })?;
    tables.remove(place);
    Ok(())
}

/// Calls as the archive does, unless something else is said.
fn as_the_archive(call: CallArgs, loaded: &Loaded) -> CallArgs {
    let of_serve = loaded.config.serve.aet.as_ref().map(|Text(aet)| aet.clone());
    CallArgs { aet: call.aet.or(of_serve), ..call }
}

/// A line for each node; the reasons go to stderr, as errors do.
async fn check(loaded: &Loaded, names: &[String], call: CallArgs) -> Result<ExitCode, CommandError> {
    let call = as_the_archive(call, loaded);
    let mut nodes: Vec<&NodeEntry> = loaded.config.nodes.iter().collect();
    if !names.is_empty() {
        let find = |name: &String| {
            loaded
                .config
                .node(name)
                .ok_or_else(|| CommandError::usage(format!("{} has no node '{name}'", loaded.file.display())))
        };
        nodes = names.iter().map(find).collect::<Result<_, _>>()?;
    }
    // All at once: one that does not answer holds up nobody.
    let asked: Vec<_> = nodes
        .into_iter()
        .map(|entry| {
            let node = entry.node();
            let args = node.clone().map(|node| Called::new(node, call.clone()));
            (entry, node, args.map(|args| tokio::spawn(async move { echo(&args?).await })))
        })
        .collect();
    let (mut good, mut bad) = (0, 0);
    for (entry, node, answer) in asked {
        let name = output::visible(entry.name.get_ref());
        let (Some(node), Some(answer)) = (node, answer) else {
            output::line(format!("{name}: calls us, and is not called: there is no host to try"))?;
            continue;
        };
        match answer.await.unwrap_or_else(|fault| Err(CommandError::new(fault))) {
            Ok(words) => {
                good += 1;
                output::line(format!("{name}: {node}{words}"))?;
            }
            Err(error) => {
                bad += 1;
                output::line(format!("{name}: {}", error.text()))?;
            }
        }
    }
    Ok(match (good, bad) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::Partial,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, node: &str, allow: &str) -> AddArgs {
        AddArgs {
            name: name.to_owned(),
            node: node.to_owned(),
            from: Vec::new(),
            called: Vec::new(),
            allow: vec![allow.to_owned()],
            destinations: Vec::new(),
            associations: None,
        }
    }

    #[test]
    fn a_check_calls_as_the_archive_does_unless_it_is_told_otherwise() {
        let config = Config::parse("[serve]\naet = \"ARCHIVE\"\n", FILE_NAME).unwrap();
        let loaded = Loaded { file: FILE_NAME.into(), config };
        let call = |aet: Option<&str>| CallArgs {
            aet: aet.map(|aet| AeTitle::new(aet).unwrap()),
            connect_timeout: 1,
            association_timeout: 1,
            timeout: 1,
        };
        let called_by = |call| {
            let node = "PEER@192.0.2.1:104".parse().unwrap();
            Called::new(node, call).unwrap().aet().to_string()
        };
        assert_eq!(called_by(as_the_archive(call(None), &loaded)), "ARCHIVE");
        assert_eq!(called_by(as_the_archive(call(Some("OTHER")), &loaded)), "OTHER");
        assert_eq!(called_by(call(None)), "DICOMET");
    }

    #[test]
    fn what_is_added_and_removed_leaves_the_rest_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let before = "# ours\n[serve]\naet = \"X\" # short\n\n# the scanner\n[[node]]\nname = \"ct\"\n\
                      aet = \"CT\"\nfrom = [\"any\"]\n";
        std::fs::write(&file, before).unwrap();
        let viewer = AddArgs { associations: Some(4), ..args("viewer", "VIEWER@192.0.2.7:11112", "all") };
        edit(&file, |document| add(document, &viewer)).unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.nodes.len(), 2);
        assert_eq!(row(&config.nodes[1])[2], "192.0.2.7:11112, 4 associations");
        assert!(std::fs::read_to_string(&file).unwrap().starts_with(before));
        edit(&file, |document| remove(document, "viewer")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }

    #[test]
    fn the_file_keeps_its_group_and_rights() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        // Only root may give a file to a group that he is not in; for others the group is their own.
        let _ = chown(&file, None, Some(4711));
        let before = std::fs::metadata(&file).unwrap();
        edit(&file, |document| add(document, &args("a", "A@192.0.2.7:104", "echo"))).unwrap();
        let after = std::fs::metadata(&file).unwrap();
        assert_ne!(after.ino(), before.ino());
        assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
    }

    #[test]
    fn a_table_that_cannot_be_used_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        edit(&file, |document| add(document, &args("a", "A@192.0.2.7:104", "echo"))).unwrap();
        let before = std::fs::read_to_string(&file).unwrap();
        for (bad, words) in [
            (args("a", "B@192.0.2.8:104", "echo"), "another node of this name"),
            (args("b", "B", "echo"), "from where it may call"),
            (args("b", "B@192.0.2.8:104", "stor"), "stor"),
            (AddArgs { associations: Some(17), ..args("b", "B@192.0.2.8:104", "echo") }, "1 to 16"),
            (
                AddArgs { associations: Some(2), from: vec!["any".to_owned()], ..args("b", "B", "echo") },
                "no host",
            ),
        ] {
            let error = edit(&file, |document| add(document, &bad)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        }
    }
}
