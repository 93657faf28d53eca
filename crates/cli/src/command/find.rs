//! `dicomet find`.

use std::io::{self, Write};
use std::process::ExitCode;

use dicomet_net::Association;
use dicomet_net::retrieve::find::{self, MAX_ANSWERS};
use dicomet_net::service::c_find::scu::{Find, FindEnd};
use dicomet_proto::dataset::Tag;
use dicomet_proto::message::StatusKind;
use dicomet_proto::query::{Level, Model, Query};

use crate::exit::{CommandError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{self, Format, Path, Writer};
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

    /// End the query, with C-CANCEL, after so many answers. Without it, 1,000,000 are taken, and more are a failure in part
    /// (exit status 3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Answers that are taken before the runtime looks what else there is.
const ANSWERS_PER_TURN: u64 = 64;

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
    let mut query = args.query.query(args.level.into())?;
    // A key may have set another.
    let level = query.level;
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
            (Model::PatientRoot, Level::Study) => {
                "below PATIENT level the Patient Root model needs one PatientID"
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
        let out = io::BufWriter::new(io::stdout().lock());
        match self.answers(&mut association, query, out, MAX_ANSWERS as u64).await {
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

    /// Writes the answers as they come, `most` of them where no limit is set.
    async fn answers(
        self,
        association: &mut Association,
        query: &Query,
        out: impl Write,
        most: u64,
    ) -> Result<Exit, CommandError> {
        let explain = |error| self.node.explain(&error);
        let mut writer = Writer::new(out, self.format, self.columns.clone())
            .map_err(|error| CommandError::unwritten(&error))?;
        let mut find = Find::start(association, query).await.map_err(explain)?;
        let mut count = 0;
        // One for all answers: made anew for each, it would miss a Ctrl-C between two that come fast.
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let stop = loop {
            if Some(count) == self.limit {
                break Stop::Wanted;
            }
            let next = tokio::select! {
                biased;
                _ = &mut interrupt => break Stop::Interrupted,
                next = find.next() => next,
            };
            let answer = match next {
                Ok(Some(answer)) => answer,
                Ok(None) => break Stop::No,
                Err(error) => break Stop::Lost(error),
            };
            if self.limit.is_none() && count == most {
                break Stop::TooMany;
            }
            writer.write(&answer).map_err(|error| CommandError::unwritten(&error))?;
            count += 1;
            // Where the next answer is always there already, nothing else would have its turn, signals among it.
            if count % ANSWERS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        };
        // What was answered is written, however the peer takes the end.
        writer.finish().map_err(|error| CommandError::unwritten(&error))?;
        match stop {
            Stop::No => self.conclude(find.finish().await.map_err(explain)?, count, false),
            Stop::Wanted => self.conclude(cancelled(find).await.map_err(explain)?, count, true),
            Stop::TooMany => Err(self.too_many(most, cancelled(find).await.err())),
            Stop::Lost(error) if count == 0 => Err(explain(error)),
            Stop::Lost(error) => Err(self.cut_off(count, &format!("{error}, after {}", answers(count)))),
            Stop::Interrupted => {
                let after = tokio::select! {
                    biased;
                    // The second time, nobody wants to wait for the peer.
                    _ = tokio::signal::ctrl_c() => None,
                    end = cancelled(find) => end.err(),
                };
                Err(self
                    .cut_off(count, &format!("interrupted after {}{}", answers(count), in_brackets(after))))
            }
        }
    }

    /// What a query has come to that the peer has ended, or we did because that was wanted.
    fn conclude(&self, end: FindEnd, count: u64, is_enough: bool) -> Result<Exit, CommandError> {
        if end.unsupported_keys {
            output::tell("note: the peer did not support some of the keys; the answers may not match them");
        }
        match end.status.kind() {
            StatusKind::Warning if !find::is_limit(end.status) => {}
            StatusKind::Success => {}
            StatusKind::Cancel | StatusKind::Pending | StatusKind::Warning if is_enough => {}
            _ => {
                let comment = end.error_comment.map(|comment| format!(": {}", output::visible(&comment)));
                let status = format!("{}{}", end.status, comment.unwrap_or_default());
                return Err(match count {
                    0 => {
                        let message = format!("{}: the peer ended the query with {status}", self.node.node);
                        CommandError::new(message).hint(self.hint)
                    }
                    _ => {
                        let after = answers(count);
                        self.cut_off(count, &format!("the peer ended the query after {after} with {status}"))
                    }
                });
            }
        }
        if count == 0 && self.format == Format::Table {
            output::tell("nothing matches");
        }
        Ok(Exit::Done)
    }

    /// So many answers are written, and nobody knows how many more there are.
    fn cut_off(&self, count: u64, how: &str) -> CommandError {
        let mut failure = CommandError::new(format!("{}: {how}: there may be more", self.node.node))
            .hint("ask for less at a time, such as by StudyDate=20240101-20240131");
        if count > 0 {
            failure.exit = Exit::Partial;
        }
        failure
    }

    /// There is no end to the answers, or none that anybody can wait for; the peer may have ended at our C-CANCEL or not.
    fn too_many(&self, most: u64, after: Option<dicomet_net::Error>) -> CommandError {
        let message = format!(
            "{}: more than {most} answers: the query was ended{}",
            self.node.node,
            in_brackets(after)
        );
        let mut failure = CommandError::new(message)
            .hint("ask for less at a time, such as by StudyDate=20240101-20240131, or for more with --limit");
        failure.exit = Exit::Partial;
        failure
    }
}

/// Ends a query that goes on.
async fn cancelled(mut find: Find<'_>) -> Result<FindEnd, dicomet_net::Error> {
    find.cancel().await?;
    find.finish().await
}

/// What a peer made of our C-CANCEL, where that was not to end the query.
fn in_brackets(error: Option<dicomet_net::Error>) -> String {
    error.map(|error| format!(" ({error})")).unwrap_or_default()
}

fn answers(count: u64) -> String {
    output::count(count, "answer", "answers")
}

/// Why no more answers are taken.
#[derive(Debug)]
enum Stop {
    /// The peer has ended the query.
    No,
    /// By `--limit`.
    Wanted,
    /// By Ctrl-C.
    Interrupted,
    /// More came than are taken without being asked for.
    TooMany,
    /// The association, or the peer's manners, did not last to the end.
    Lost(dicomet_net::Error),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use dicomet_net::association::{Data, Timeouts};
    use dicomet_net::listen::Listener;
    use dicomet_net::service::{self, Request};
    use dicomet_proto::association::negotiation::{Context, Willing, first_proposed};
    use dicomet_proto::dataset::DataSet;
    use dicomet_proto::message::{CFindRsp, Command, DataSetType, Status};
    use dicomet_proto::query::Model;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        find: FindArgs,
    }

    const PATIENT_ID: Tag = Tag(0x0010, 0x0020);

    /// A peer that was asked.
    struct Asked {
        association: Association,
        context: Context,
        response: CFindRsp,
        identifier: Vec<u8>,
    }

    impl Asked {
        async fn by(listener: Listener) -> Asked {
            let requested = listener.accept().await.request().await.unwrap();
            let mut association = requested.accept(&Willing(first_proposed)).await.unwrap();
            let request = service::next_request(&mut association).await.unwrap();
            let Some(Request::Find(context, rq, _)) = request else { panic!("{request:?}") };
            let response = CFindRsp {
                message_id: rq.message_id,
                affected_sop_class_uid: None,
                status: Status::PENDING,
                identifier: DataSetType::Present,
                error_comment: None,
                offending_elements: Vec::new(),
            };
            let mut found = DataSet::new();
            found.set_text(PATIENT_ID, "PAT004");
            let identifier = found.encode(&context.transfer_syntax).unwrap();
            Asked { association, context, response, identifier }
        }

        async fn answer(&mut self) -> Result<(), dicomet_net::Error> {
            let pending = Command::CFindRsp(self.response.clone());
            self.association.send(self.context.id, &pending, Data::Bytes(&self.identifier)).await
        }
    }

    /// A peer that answers without end, or until it is told to cancel.
    async fn endless(listener: Listener, heeds_cancel: bool) {
        let mut asked = Asked::by(listener).await;
        let id = asked.response.message_id;
        while !(heeds_cancel && asked.association.cancel_requested(id).unwrap()) {
            // Who has gone asks no more.
            if asked.answer().await.is_err() {
                return;
            }
        }
        let Asked { mut association, context, mut response, .. } = asked;
        (response.status, response.identifier) = (Status::CANCEL, DataSetType::Null);
        association.send(context.id, &Command::CFindRsp(response), Data::None).await.unwrap();
        association.flush().await.unwrap();
        let _ = service::next_request(&mut association).await;
    }

    /// A peer that answers twice and is gone.
    async fn gone(listener: Listener) {
        let mut asked = Asked::by(listener).await;
        for _ in 0..2 {
            asked.answer().await.unwrap();
        }
        asked.association.flush().await.unwrap();
        asked.association.abort().await;
    }

    #[tokio::test]
    async fn when_the_peer_is_gone_its_answers_are_written_whole_and_told_to_be_some() {
        for (format, end) in [("json", "]\n"), ("table", " PAT004    \n"), ("csv", "PAT004\n")] {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
            let node = format!("PEER@{}", listener.local_address());
            tokio::spawn(gone(listener));
            let (outcome, out) = asked(&["find", &node, "--format", format], vec![PATIENT_ID.into()]).await;
            let error = outcome.unwrap_err();
            assert_eq!(error.exit, Exit::Partial);
            assert!(error.to_string().contains("after 2 answers: there may be more"), "{error}");
            assert!(out.ends_with(end) && out.matches("PAT004").count() == 2, "{out:?}");
        }
    }

    async fn found(heeds_cancel: bool, options: &[&str]) -> (Result<Exit, CommandError>, usize) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
        let node = format!("PEER@{}", listener.local_address());
        tokio::spawn(endless(listener, heeds_cancel));
        // Only a peer that does not heed it is waited for to the end.
        let timeout = if heeds_cancel { "60" } else { "1" };
        let words = ["find", &node, "--format", "jsonl", "--timeout", timeout];
        let words: Vec<&str> = words.iter().chain(options).copied().collect();
        let (outcome, out) = asked(&words, Vec::new()).await;
        (outcome, out.lines().count())
    }

    /// What a query comes to, of which 500 answers are taken, and what is written.
    async fn asked(words: &[&str], columns: Vec<Path>) -> (Result<Exit, CommandError>, String) {
        let args = Cli::try_parse_from(words).unwrap().find;
        let query = Query::new(Model::StudyRoot, Level::Study);
        let mut association = find::open(&args.node.node, &args.node.caller(), &[query.model]).await.unwrap();
        let asking = Asking { node: &args.node, format: args.format, limit: args.limit, columns, hint: "" };
        let mut out = Vec::new();
        let asked = asking.answers(&mut association, &query, &mut out, 500);
        let outcome = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn answers_without_end_are_ended_and_told_whether_the_peer_heeds_c_cancel_or_not() {
        for heeds_cancel in [true, false] {
            let (outcome, written) = found(heeds_cancel, &[]).await;
            let error = outcome.unwrap_err();
            assert_eq!((error.exit, written), (Exit::Partial, 500));
            let text = error.to_string();
            assert!(text.contains("more than 500 answers") && text.contains("--limit"), "{text}");
            assert_eq!(text.contains("C-CANCEL"), !heeds_cancel, "{text}");
        }
    }

    #[tokio::test]
    async fn who_wants_more_says_so_with_a_limit() {
        let (outcome, written) = found(true, &["--limit", "700"]).await;
        assert_eq!((outcome, written), (Ok(Exit::Done), 700));
    }
}
