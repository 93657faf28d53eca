//! `dicomet demo`: the main job from end to end, against an archive of its own that lives as long as the command.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use dicomet_archive::Archive;
use dicomet_net::Node;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::{self, Arrival, Caller, Event, Report, Retrieve};
use dicomet_proto::dataset::dictionary::uid_name;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Model, Query};
use dicomet_proto::{AeTitle, Uid};
use dicomet_server::{Server, Settings};
use include_dir::{Dir, include_dir};
use tokio::sync::oneshot;

use super::import::import;
use crate::archive_args::open_archive;
use crate::exit::{CommandError, Exit};
use crate::output::{self, bytes, visible};

/// The sample studies; where they come from is in their README.
static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../testdata/samples");

/// What the demo looks for.
const KEY: &str = "PatientName=Bowen*";

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);

/// Show the main job with nothing to set up
///
/// Starts an archive in a temporary folder on a free port of this machine, fills it with sample studies, finds
/// `PatientName=Bowen*`, brings every match home by C-GET, verifies, and prints what happened. Nothing is left but
/// the files in --output; a second run finds them there and fetches nothing.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// The folder that the studies are brought into
    #[arg(long, value_name = "DIR", default_value = "retrieved")]
    output: PathBuf,
}

pub async fn run(args: DemoArgs) -> Result<ExitCode, CommandError> {
    output::line(format_args!("dicomet demo: find, plan, get and verify, against an archive of its own\n"))?;
    let folder = tempfile::tempdir()
        .map_err(|error| CommandError::new(format!("cannot make a temporary folder: {error}")))?;
    let archive = fill(folder.path()).await?;
    let server = DemoServer::start(archive).await?;
    output::line(format_args!("  The archive listens as {}, for as long as this takes.\n", server.node))?;
    let report = main_job(&server.node, &args.output).await;
    server.stop().await;
    let report = report?;
    print_next(&args.output)?;
    Ok(if report.complete { Exit::Done } else { Exit::Partial }.into())
}

/// Makes an archive in a folder and brings the samples into it.
async fn fill(folder: &Path) -> Result<Archive, CommandError> {
    let files = folder.join("samples");
    std::fs::create_dir(&files)
        .and_then(|()| SAMPLES.extract(&files))
        .map_err(|error| CommandError::new(format!("cannot unpack the sample studies: {error}")))?;
    let archive = open_archive(folder.join("archive"), dicomet_archive::Settings::default()).await?;
    let importing = {
        let archive = archive.clone();
        tokio::task::spawn_blocking(move || {
            let mut refused = Vec::new();
            let paths = samples_below(&files);
            let summary = import(&archive, paths, |outcome| {
                if let Err((path, reason)) = outcome {
                    refused.push(format!("{}: {reason}", path.display()));
                }
            });
            (summary, refused)
        })
    };
    let (summary, refused) = importing
        .await
        .map_err(|error| CommandError::new(format!("the samples were not stored: {error}")))?;
    if let Some(first) = refused.first() {
        return Err(CommandError::new(format!("a sample was not stored: {first}")));
    }
    output::line(format_args!("1. An archive, filled with the bundled sample studies"))?;
    output::line(format_args!(
        "  {} instances, {}, of these patients:",
        summary.stored,
        bytes(summary.bytes)
    ))?;
    for name in patients(&archive).map_err(CommandError::new)? {
        output::line(format_args!("    {}", visible(&name)))?;
    }
    Ok(archive)
}

/// The names of the patients in an archive.
fn patients(archive: &Archive) -> Result<Vec<String>, dicomet_archive::Error> {
    let mut query = Query::new(Model::PatientRoot, Level::Patient);
    query.keys.set_empty(PATIENT_NAME);
    let names = archive.find(&query)?.map(|patient| Ok(patient?.text(PATIENT_NAME)));
    let names: Result<Vec<Option<String>>, dicomet_archive::Error> = names.collect();
    let mut names: Vec<String> = names?.into_iter().flatten().collect();
    names.sort();
    Ok(names)
}

/// The DICOM files of the samples; licences and scripts lie beside them.
fn samples_below(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut waiting: Vec<&Dir<'_>> = vec![&SAMPLES];
    while let Some(dir) = waiting.pop() {
        waiting.extend(dir.dirs());
        let samples = dir.files().filter(|file| file.path().extension().is_some_and(|end| end == "dcm"));
        paths.extend(samples.map(|file| folder.join(file.path())));
    }
    paths
}

/// The archive on the network, until it is stopped.
struct DemoServer {
    node: Node,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

impl DemoServer {
    async fn start(archive: Archive) -> Result<DemoServer, CommandError> {
        let ae_title = AeTitle::new("DEMO").map_err(CommandError::new)?;
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Timeouts::default())
            .await
            .map_err(|error| CommandError::new(format!("cannot listen on this machine: {error}")))?;
        let address = listener.local_address();
        let node = Node { ae_title: ae_title.clone(), host: address.ip().to_string(), port: address.port() };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            // Ends when told so, and when the demo is gone.
            let shutdown = async { drop(stopped.await) };
            Server::new(archive, Settings::new(ae_title)).serve(listener, shutdown).await;
        });
        Ok(DemoServer { node, stop, serving })
    }

    async fn stop(self) {
        drop(self.stop);
        // A panic in there has been reported where it happened.
        let _ = self.serving.await;
    }
}

/// Find, plan, get, verify, and tell of each.
async fn main_job(node: &Node, output: &Path) -> Result<Report, CommandError> {
    let explain = |error: retrieve::RetrieveError| CommandError::new(error);
    output::line(format_args!("2. Find, with C-FIND"))?;
    output::line(format_args!("  $ dicomet find {node} '{KEY}'"))?;
    let mut query = Query::new(Model::StudyRoot, Level::Study).key(KEY).map_err(CommandError::new)?;
    let wanted = query.clone();
    for tag in [PATIENT_ID, STUDY_DATE, MODALITIES_IN_STUDY, STUDY_DESCRIPTION, STUDY_RELATED_INSTANCES] {
        query.keys.set_empty(tag);
    }
    let matches = retrieve::find(node, &query, &Caller::default(), None).await.map_err(explain)?;
    output::line(format_args!("{}\n", indented(&matches_table(&matches))))?;

    output::line(format_args!("3. Get, with C-GET, into {}", output.display()))?;
    output::line(format_args!("  $ dicomet get {node} '{KEY}' --output {}", output.display()))?;
    let mut arrivals = Vec::new();
    let retrieving = Retrieve::new(node.clone(), wanted, output);
    let report = retrieving
        .run(|event| {
            if let Event::Arrived(arrival) = event {
                arrivals.push(arrival.as_ref().clone());
            }
        })
        .await
        .map_err(explain)?;
    print_arrivals(&arrivals, &report)?;

    output::line(format_args!(
        "4. Verify: each SOP Instance UID that C-FIND named, against what is in the folder"
    ))?;
    print_report(&report)?;
    Ok(report)
}

fn matches_table(matches: &[DataSet]) -> Table {
    let mut table =
        new_table(["Patient's Name", "Patient ID", "Study Date", "Modalities", "Description", "Instances"]);
    for study in matches {
        let text = |tag| visible(&study.text(tag).unwrap_or_default());
        table.add_row([
            text(PATIENT_NAME),
            text(PATIENT_ID),
            text(STUDY_DATE),
            text(MODALITIES_IN_STUDY).replace('\\', " "),
            text(STUDY_DESCRIPTION),
            text(STUDY_RELATED_INSTANCES),
        ]);
    }
    table
}

/// Each instance that came, by study.
fn print_arrivals(arrivals: &[Arrival], report: &Report) -> Result<(), CommandError> {
    if arrivals.is_empty() {
        output::line(format_args!(
            "  Nothing to get: all {} instances are there from an earlier run.\n",
            report.present
        ))?;
        return Ok(());
    }
    let mut arrivals: Vec<&Arrival> = arrivals.iter().collect();
    arrivals.sort_by(|a, b| a.path.cmp(&b.path));
    for study in arrivals.chunk_by(|a, b| a.study == b.study) {
        output::line(format_args!("  Study {}: {} instances", study[0].study, study.len()))?;
        output::line(format_args!("{}\n", indented(&instances_table(study))))?;
    }
    if let Some(first) = arrivals.first() {
        output::line(format_args!(
            "  Each is a file of its own, byte for byte as it was stored, such as\n  {}\n",
            first.path.display()
        ))?;
    }
    Ok(())
}

fn instances_table(arrivals: &[&Arrival]) -> Table {
    let mut table = new_table(["SOP Class", "Transfer Syntax", "Size", "SOP Instance UID"]);
    if let Some(sizes) = table.column_mut(2) {
        sizes.set_cell_alignment(CellAlignment::Right);
    }
    for arrival in arrivals {
        table.add_row([
            name_of(&arrival.sop_class),
            name_of(&arrival.transfer_syntax),
            bytes(arrival.bytes),
            arrival.sop_instance.to_string(),
        ]);
    }
    table
}

/// The name of a UID in short: without what is the same for all, or stands behind a comma or bracket.
fn name_of(uid: &Uid) -> String {
    let name = uid_name(uid).unwrap_or(uid.as_str());
    let short = [" Storage", ",", "("].iter().fold(name, |name, end| name.split(end).next().unwrap_or(name));
    short.trim().to_owned()
}

fn print_report(report: &Report) -> Result<(), CommandError> {
    output::line(format_args!(
        "  expected   {:>4}  in {} studies, as C-FIND named them",
        report.expected, report.studies
    ))?;
    output::line(format_args!(
        "  retrieved  {:>4}  now: {} in {:.2} s",
        report.retrieved,
        bytes(report.bytes),
        report.seconds.as_secs_f64()
    ))?;
    output::line(format_args!("  present    {:>4}  from an earlier run", report.present))?;
    output::line(format_args!("  failed     {:>4}", report.failed))?;
    output::line(format_args!("  missing    {:>4}", report.missing))?;
    for failure in &report.failures {
        output::line(format_args!("  missing {}: {}", failure.sop_instance, visible(&failure.reason)))?;
    }
    output::line(format_args!("  {}\n", if report.complete { "Complete." } else { "NOT complete." }))
}

fn print_next(output: &Path) -> Result<(), CommandError> {
    let output = output.display();
    output::line(format_args!("What to type next"))?;
    for (command, what) in [
        ("dicomet demo".to_owned(), "again: everything is there, nothing is fetched"),
        (format!("dicomet import {output} --data my-archive"), "put the files into an archive that stays"),
        ("dicomet serve --data my-archive".to_owned(), "and serve it: DICOMET@127.0.0.1:11112"),
        ("dicomet echo AET@host:port".to_owned(), "is your own PACS there?"),
        ("dicomet find AET@host:port 'PatientName=Smith*'".to_owned(), "what does it have?"),
        ("dicomet get AET@host:port PatientID=4711 --output DIR".to_owned(), "bring it home, completely"),
    ] {
        output::line(format_args!("  {command:<56}{what}"))?;
    }
    Ok(())
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn indented(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("   {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}
