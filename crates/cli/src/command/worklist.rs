//! `dicomet worklist`: ask a peer for its modality worklist, or keep one of our own.
//!
//! With a NODE it is C-FIND; with `add`, `list` or `remove` it works on an archive's folder, whether `dicomet serve`
//! runs on it or not. A NODE has an '@' in it and none of the three has.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use dicomet_archive::Worklist;
use dicomet_archive::worklist::file;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Model, Query};

use super::find::Asking;
use crate::archive_args::{DEFAULT_DATA, is_for_want_of_rights, to_set_aside, to_wait_for};
use crate::config;
use crate::exit::{CommandError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{self, Format, Path, Writer};
use crate::query_args::add_keys;

/// Either a question to a peer, or a command on a worklist of our own.
#[derive(Debug)]
pub enum WorklistArgs {
    Find(FindArgs),
    Keep(KeepCommand),
}

/// Ask a peer for its modality worklist, or keep one that `dicomet serve` answers from
///
/// With a NODE: Modality Worklist C-FIND. The usual attributes are asked for besides the keys.
///
/// Examples:
///
///   dicomet worklist RIS@192.0.2.1:104 ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131
///
///   dicomet worklist RIS@192.0.2.1:104 ScheduledProcedureStepSequence.Modality=CT 'PatientName=Bowen*'
///
///   dicomet worklist add item.wl items.json --data DIR
///
///   dicomet worklist remove ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=-20240130 --data DIR
#[derive(Debug, Args)]
pub struct FindArgs {
    #[command(flatten)]
    node: NodeArgs,

    /// What to match, or with no value what to ask for
    ///
    /// Keyword, gggg,eeee, ggggeeee, or a path such as ScheduledProcedureStepSequence.Modality, split at the first
    /// '='. Values may have the wildcards * and ?; ranges of dates are written 20240101-20240131.
    #[arg(value_name = "KEY[=VALUE]")]
    keys: Vec<String>,

    /// End the query, with C-CANCEL, after so many answers. Without it, 1,000,000 are taken, and more are a failure in part
    /// (exit status 3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Subcommand)]
pub enum KeepCommand {
    /// Put the items of files into the worklist of an archive
    ///
    /// DICOM files, such as DCMTK's dump2dcm makes them, or DICOM JSON: one item, an array, or one behind the other.
    /// A step that is there already, by Study Instance UID and Scheduled Procedure Step ID, is replaced. A file
    /// with an item that lacks what PS3.4 K.6 requires is named, and none of its items is put in.
    Add {
        /// Files with items
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Show the items of an archive's worklist
    List {
        /// What to match, or with no value what to show
        #[arg(value_name = "KEY[=VALUE]")]
        keys: Vec<String>,

        #[command(flatten)]
        data: DataArgs,

        /// How results are written; json and jsonl have whole items, as `add` takes them
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },

    /// Take items out of an archive's worklist
    Remove {
        /// What to match
        #[arg(required_unless_present = "all", value_name = "KEY=VALUE")]
        keys: Vec<String>,

        /// Take out all there are
        #[arg(long, conflicts_with = "keys")]
        all: bool,

        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Args)]
pub struct DataArgs {
    /// The folder of the archive; it may be served meanwhile [default: that of `serve` in the configuration, else
    /// dicomet-data]
    #[arg(long, env = "DICOMET_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// The configuration; else ./dicomet.toml, else that in ~/.config/dicomet, else that in /etc/dicomet
    #[arg(long, env = "DICOMET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Either the arguments of a C-FIND or a subcommand. Derived, the two would have to be optional each, and an
/// environment variable for one of the options would count as arguments of a C-FIND.
impl FromArgMatches for WorklistArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<WorklistArgs, clap::Error> {
        match matches.subcommand_name() {
            Some(_) => KeepCommand::from_arg_matches(matches).map(WorklistArgs::Keep),
            None => FindArgs::from_arg_matches(matches).map(WorklistArgs::Find),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = WorklistArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for WorklistArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        KeepCommand::augment_subcommands(FindArgs::augment_args(command))
            .subcommand_required(false)
            .arg_required_else_help(false)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        WorklistArgs::augment_args(command)
    }
}

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const SCHEDULED_PROCEDURE_STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);

/// What is asked for of a scheduled procedure step besides the user's keys, in the order of the columns.
const USUAL_OF_STEP: [Tag; 7] = [
    Tag(0x0040, 0x0002), // Scheduled Procedure Step Start Date
    Tag(0x0040, 0x0003), // Scheduled Procedure Step Start Time
    Tag(0x0008, 0x0060), // Modality
    Tag(0x0040, 0x0001), // Scheduled Station AE Title
    Tag(0x0040, 0x0007), // Scheduled Procedure Step Description
    Tag(0x0040, 0x0009), // Scheduled Procedure Step ID
    Tag(0x0040, 0x0006), // Scheduled Performing Physician's Name
];

/// The same of what the step belongs to.
const USUAL: [Tag; 8] = [
    Tag(0x0010, 0x0010), // Patient's Name
    Tag(0x0010, 0x0020), // Patient ID
    Tag(0x0010, 0x0030), // Patient's Birth Date
    Tag(0x0010, 0x0040), // Patient's Sex
    Tag(0x0008, 0x0050), // Accession Number
    Tag(0x0040, 0x1001), // Requested Procedure ID
    Tag(0x0032, 0x1060), // Requested Procedure Description
    Tag(0x0020, 0x000D), // Study Instance UID
];

pub async fn run(args: WorklistArgs) -> Result<ExitCode, CommandError> {
    match args {
        WorklistArgs::Find(args) => find(args).await,
        WorklistArgs::Keep(command) => {
            let kept = tokio::task::spawn_blocking(move || keep(command)).await;
            kept.map_err(|error| CommandError::new(format!("it ended by a fault of ours: {error}")))?
        }
    }
}

async fn find(args: FindArgs) -> Result<ExitCode, CommandError> {
    let mut query = query(&args.keys)?;
    let columns = columns(&query.keys);
    ask_for_the_usual(&mut query.keys);
    let asking = Asking {
        node: &args.node,
        format: args.format,
        limit: args.limit,
        columns,
        hint: "ask with fewer keys: not all need be supported",
    };
    asking.run(&query).await
}

fn keep(command: KeepCommand) -> Result<ExitCode, CommandError> {
    match command {
        KeepCommand::Add { files, data } => add(&data.open()?, files),
        KeepCommand::List { keys, data, format } => list(&data.open()?, &keys, format),
        KeepCommand::Remove { keys, all, data } => remove(&data.open()?, &keys, all),
    }
}

fn add(worklist: &Worklist, files: Vec<PathBuf>) -> Result<ExitCode, CommandError> {
    let (mut new, mut replaced, mut failed) = (0, 0, 0);
    for path in files {
        let outcome = match file::read(&path) {
            Ok(items) => worklist.add(&items).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(added) => {
                new += added.new;
                replaced += added.replaced;
            }
            Err(reason) => {
                failed += 1;
                output::tell(format_args!("not put in: {}: {reason}", path.display()));
            }
        }
    }
    output::line(format_args!(
        "{} put in, {replaced} replaced, {} not taken",
        output::count(new, "item", "items"),
        output::count(failed, "file", "files")
    ))?;
    Ok(match (failed, new + replaced) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Partial,
    }
    .into())
}

fn list(worklist: &Worklist, keys: &[String], format: Format) -> Result<ExitCode, CommandError> {
    let mut query = query(keys)?;
    let columns = columns(&query.keys);
    ask_for_the_usual(&mut query.keys);
    let mut writer = Writer::new(io::BufWriter::new(io::stdout().lock()), format, columns)
        .map_err(|error| CommandError::unwritten(&error))?;
    let matches = worklist.find(&query).map_err(|error| failed(&error))?;
    let mut count = 0;
    for item in matches.whole() {
        let item = item.map_err(|error| failed(&error))?;
        writer.write(&item).map_err(|error| CommandError::unwritten(&error))?;
        count += 1;
    }
    writer.finish().map_err(|error| CommandError::unwritten(&error))?;
    if count == 0 && format == Format::Table {
        output::tell("nothing matches");
    }
    Ok(Exit::Done.into())
}

fn remove(worklist: &Worklist, keys: &[String], all: bool) -> Result<ExitCode, CommandError> {
    let mut query = query(keys)?;
    let asks_nothing = query.matching_keys().is_ok_and(|keys| keys.iter().all(|key| key.is_universal()));
    if asks_nothing && !all {
        return Err(CommandError::usage("a key without a value would take out every item")
            .hint("give it a value, or say --all"));
    }
    ask_for_the_usual(&mut query.keys);
    let removed = worklist.remove(&query).map_err(|error| failed(&error))?;
    output::line(format_args!("{} taken out", output::count(removed, "item", "items")))?;
    Ok(Exit::Done.into())
}

fn query(keys: &[String]) -> Result<Query, CommandError> {
    add_keys(Query::new(Model::Worklist, Level::Study), keys)
}

/// The columns of a table or of CSV: the usual ones, then those of further keys.
fn columns(keys: &DataSet) -> Vec<Path> {
    let of_step = USUAL_OF_STEP.map(|tag| Path::within(SCHEDULED_PROCEDURE_STEP_SEQUENCE, tag));
    let mut columns: Vec<Path> = of_step.into_iter().chain(USUAL.map(Path::from)).collect();
    for path in Path::of_keys(keys) {
        if path != Path::from(SCHEDULED_PROCEDURE_STEP_SEQUENCE) && !columns.contains(&path) {
            columns.push(path);
        }
    }
    columns
}

/// Adds the usual keys where they are missing. A step that was asked for as a whole stays so.
fn ask_for_the_usual(keys: &mut DataSet) {
    let mut step = match keys.items(SCHEDULED_PROCEDURE_STEP_SEQUENCE) {
        Some(items) => items.into_iter().next(),
        None => Some(DataSet::new()),
    };
    if let Some(step) = &mut step {
        ask(step, &USUAL_OF_STEP);
        keys.set_items(SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step.clone()]);
    }
    ask(keys, &USUAL);
    ask(keys, &[SPECIFIC_CHARACTER_SET]);
}

fn ask(keys: &mut DataSet, tags: &[Tag]) {
    for tag in tags {
        if !keys.contains(*tag) {
            keys.set_empty(*tag);
        }
    }
}

impl DataArgs {
    /// As `dicomet serve` finds its folder, so that both work on the same.
    fn folder(&self) -> Result<PathBuf, CommandError> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let loaded = config::load(self.config.as_deref())?;
        let of_serve = loaded.and_then(|loaded| loaded.config.serve.data);
        Ok(of_serve.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA)))
    }

    fn open(&self) -> Result<Worklist, CommandError> {
        let folder = self.folder()?;
        Worklist::open(&folder).map_err(|error| {
            let failure =
                CommandError::new(format!("cannot open the worklist in {}: {error}", folder.display()));
            match error {
                dicomet_archive::Error::NoArchive(_) => failure.hint(
                    "give the folder of an archive with --data; dicomet serve or dicomet import makes one",
                ),
                error if is_for_want_of_rights(&error) => {
                    failure.hint("try it as the user whose folder it is, such as with sudo -u dicomet")
                }
                dicomet_archive::Error::BesideIndex { file, .. } => failure.hint(to_set_aside(&file)),
                dicomet_archive::Error::Busy { database } => failure.hint(to_wait_for(&database)),
                _ => failure,
            }
        })
    }
}

fn failed(error: &dicomet_archive::Error) -> CommandError {
    match error {
        dicomet_archive::Error::Refused(refusal) => CommandError::usage(refusal.comment()),
        dicomet_archive::Error::Busy { database } => {
            CommandError::new(format!("the worklist: {error}")).hint(to_wait_for(database))
        }
        error => CommandError::new(format!("the worklist: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        worklist: WorklistArgs,
    }

    fn parse(words: &[&str]) -> Result<WorklistArgs, clap::Error> {
        Cli::try_parse_from(["worklist"].iter().chain(words)).map(|cli| cli.worklist)
    }

    #[test]
    fn a_node_is_asked_and_everything_else_is_a_subcommand() {
        for words in [
            &["RIS@127.0.0.1:104"][..],
            &["RIS@127.0.0.1:104", "PatientName=Bowen*", "--format", "json"],
            &["--limit", "3", "RIS@127.0.0.1:104", "add"],
        ] {
            assert!(matches!(parse(words), Ok(WorklistArgs::Find(_))), "{words:?}");
        }
        assert!(matches!(
            parse(&["add", "a.wl", "b.json", "--data", "x"]),
            Ok(WorklistArgs::Keep(KeepCommand::Add { files, .. })) if files.len() == 2
        ));
        assert!(matches!(parse(&["list"]), Ok(WorklistArgs::Keep(KeepCommand::List { .. }))));
        assert!(parse(&["remove"]).is_err());
        assert!(parse(&["add"]).is_err());
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn the_folder_is_that_which_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dicomet.toml");
        std::fs::write(&file, "[serve]\ndata = \"/srv/archive\"\n").unwrap();
        let data =
            |data: Option<&str>| DataArgs { data: data.map(PathBuf::from), config: Some(file.clone()) };
        assert_eq!(data(None).folder().unwrap(), PathBuf::from("/srv/archive"));
        assert_eq!(data(Some("/other")).folder().unwrap(), PathBuf::from("/other"));
        std::fs::write(&file, "").unwrap();
        assert_eq!(data(None).folder().unwrap(), PathBuf::from(DEFAULT_DATA));
    }

    #[test]
    fn the_usual_is_asked_for_and_the_users_keys_stay() {
        let mut keys = query(&["ScheduledProcedureStepSequence.Modality=CT".to_owned()]).unwrap().keys;
        ask_for_the_usual(&mut keys);
        let step = keys.items(SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().remove(0);
        assert_eq!(step.text(Tag(0x0008, 0x0060)).as_deref(), Some("CT"));
        assert!(USUAL_OF_STEP.iter().all(|tag| step.contains(*tag)));
        assert!(USUAL.iter().all(|tag| keys.contains(*tag)));
    }

    #[test]
    fn a_step_asked_for_as_a_whole_stays_whole() {
        let mut keys = query(&["ScheduledProcedureStepSequence".to_owned()]).unwrap().keys;
        ask_for_the_usual(&mut keys);
        assert_eq!(keys.items(SCHEDULED_PROCEDURE_STEP_SEQUENCE), Some(Vec::new()));
    }
}
