//! `dicomet find`.

use std::io;
use std::process::ExitCode;

use dicomet_net::Association;
use dicomet_net::retrieve::find;
use dicomet_net::service::c_find::scu::Find;
use dicomet_proto::dataset::Tag;
use dicomet_proto::message::StatusKind;
use dicomet_proto::query::{Level, Model, Query};

use crate::exit::{CommandError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{Format, Path, Writer};
use crate::query_args::{LevelArg, QueryArgs};

/// Find patients, studies, series or instances on a peer, with C-FIND
///
/// The usual attributes of the level are asked for besides the keys. Results go to stdout.
///
/// Examples:
///
///   dicomet find ORTHANC@127.0.0.1:4242 'PatientName=Bowen*'
///
///   dicomet find ORTHANC@127.0.0.1:4242 StudyDate=20240101-20240131 ModalitiesInStudy=CT --format csv
///
///   dicomet find ORTHANC@127.0.0.1:4242 --level series StudyInstanceUID=1.2.3 BodyPartExamined
#[derive(Debug, clap::Args)]
pub struct FindArgs {
    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    query: QueryArgs,

    /// The level of the answers
    #[arg(long, value_enum, default_value_t = LevelArg::Study)]
    level: LevelArg,

    /// End the query, with C-CANCEL, after so many answers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// What is asked for at each level besides the user's keys, in the order of the columns.
fn usual(level: Level) -> &'static [Tag] {
    const PATIENT: [Tag; 5] = [
        Tag(0x0010, 0x0010), // Patient's Name
        Tag(0x0010, 0x0020), // Patient ID
        Tag(0x0010, 0x0030), // Patient's Birth Date
        Tag(0x0010, 0x0040), // Patient's Sex
        Tag(0x0020, 0x1200), // Number of Patient Related Studies
    ];
    const STUDY: [Tag; 9] = [
        Tag(0x0010, 0x0010), // Patient's Name
        Tag(0x0010, 0x0020), // Patient ID
        Tag(0x0008, 0x0020), // Study Date
        Tag(0x0008, 0x0050), // Accession Number
        Tag(0x0008, 0x0061), // Modalities in Study
        Tag(0x0008, 0x1030), // Study Description
        Tag(0x0020, 0x1206), // Number of Study Related Series
        Tag(0x0020, 0x1208), // Number of Study Related Instances
        Tag(0x0020, 0x000D), // Study Instance UID
    ];
    const SERIES: [Tag; 6] = [
        Tag(0x0008, 0x0060), // Modality
        Tag(0x0020, 0x0011), // Series Number
        Tag(0x0008, 0x103E), // Series Description
        Tag(0x0020, 0x1209), // Number of Series Related Instances
        Tag(0x0020, 0x000D), // Study Instance UID
        Tag(0x0020, 0x000E), // Series Instance UID
    ];
    const IMAGE: [Tag; 4] = [
        Tag(0x0020, 0x0013), // Instance Number
        Tag(0x0008, 0x0016), // SOP Class UID
        Tag(0x0020, 0x000E), // Series Instance UID
        Tag(0x0008, 0x0018), // SOP Instance UID
    ];
    match level {
        Level::Patient => &PATIENT,
        Level::Study => &STUDY,
        Level::Series => &SERIES,
        Level::Image => &IMAGE,
    }
}

pub async fn run(args: FindArgs) -> Result<ExitCode, CommandError> {
    let level = args.level.into();
    let mut query = args.query.query(level)?;
    let mut columns = usual(level).to_vec();
    columns.extend(query.keys.tags().filter(|tag| !usual(level).contains(tag)));
    for tag in usual(level).iter().chain([&SPECIFIC_CHARACTER_SET]) {
        if !query.keys.contains(*tag) {
            query.keys.set_empty(*tag);
        }
    }
    let asking = Asking {
        node: &args.node,
        format: args.format,
        limit: args.limit,
        columns: columns.into_iter().map(Path::from).collect(),
        hint: match (query.model, level) {
            (Model::StudyRoot, Level::Patient) => {
                "PATIENT level is of the Patient Root model: add --model patient"
            }
            _ => "SERIES and IMAGE level need the UIDs of the levels above; other keys may not be supported",
        },
    };
    asking.run(&query).await
}

/// A C-FIND whose answers go to stdout.
pub(super) struct Asking<'a> {
    pub(super) node: &'a NodeArgs,
    pub(super) format: Format,
    pub(super) limit: Option<u64>,
    /// Of a table or of CSV.
    pub(super) columns: Vec<Path>,
    /// What to try when the peer refuses the query.
    pub(super) hint: &'static str,
}

impl Asking<'_> {
    /// Opens an association in the query's model, asks, and writes the answers.
    pub(super) async fn run(self, query: &Query) -> Result<ExitCode, CommandError> {
        let node = self.node;
        let mut association = find::open(&node.node, &node.caller(), &[query.model])
            .await
            .map_err(|error| node.explain(&error))?;
        match self.answers(&mut association, query).await {
            Ok(exit) => {
                if let Err(error) = association.release().await {
                    tracing::debug!("releasing after C-FIND: {error}");
                }
                Ok(exit.into())
            }
            Err(error) => {
                association.abort().await;
                Err(error)
            }
        }
    }

    /// Writes the answers as they come.
    async fn answers(self, association: &mut Association, query: &Query) -> Result<Exit, CommandError> {
        let explain = |error| self.node.explain(&error);
        let limit = self.limit.unwrap_or(u64::MAX);
        let mut writer = Writer::new(io::BufWriter::new(io::stdout().lock()), self.format, self.columns)
            .map_err(|error| CommandError::unwritten(&error))?;
        let mut find = Find::start(association, query).await.map_err(explain)?;
        let mut count = 0;
        let ended_by_us = loop {
            if count == limit {
                break true;
            }
            let next = tokio::select! {
                next = find.next() => next.map_err(explain)?,
                _ = tokio::signal::ctrl_c() => break true,
            };
            let Some(answer) = next else { break false };
            writer.write(&answer).map_err(|error| CommandError::unwritten(&error))?;
            count += 1;
        };
        if ended_by_us {
            find.cancel().await.map_err(explain)?;
        }
        let end = find.finish().await.map_err(explain)?;
        writer.finish().map_err(|error| CommandError::unwritten(&error))?;
        if end.unsupported_keys {
            eprintln!("note: the peer did not support some of the keys; the answers may not match them");
        }
        match end.status.kind() {
            StatusKind::Warning if !find::is_limit(end.status) => {}
            StatusKind::Success => {}
            StatusKind::Cancel | StatusKind::Pending | StatusKind::Warning if ended_by_us => {}
            _ if count > 0 => {
                let comment =
                    end.error_comment.map(|comment| format!(": {}", crate::output::visible(&comment)));
                let message = format!(
                    "{}: the peer ended the query after {count} answers with {}{}: there may be more",
                    self.node.node,
                    end.status,
                    comment.unwrap_or_default()
                );
                let mut failure = CommandError::new(message)
                    .hint("ask for less at a time, such as by StudyDate=20240101-20240131");
                failure.exit = Exit::Partial;
                return Err(failure);
            }
            _ => {
                let comment =
                    end.error_comment.map(|comment| format!(": {}", crate::output::visible(&comment)));
                let message = format!(
                    "{}: the peer ended the query with {}{}",
                    self.node.node,
                    end.status,
                    comment.unwrap_or_default()
                );
                return Err(CommandError::new(message).hint(self.hint));
            }
        }
        if count == 0 && self.format == Format::Table {
            eprintln!("nothing matches");
        }
        Ok(Exit::Done)
    }
}
