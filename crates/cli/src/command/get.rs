//! `dicomet get`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use dicomet_net::retrieve::{
    Layout, MAX_ASSOCIATIONS, Method, Options, RateLimit, Report, Retrieve, RetrieveError, Stop, folder,
};
use dicomet_net::service::c_store::WINDOW;
use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_server::config::Size;
use tokio::sync::watch;

use super::get_from::{Bulky, FromArgs};
use crate::config;
use crate::exit::{CommandError, Exit};
use crate::interrupts::interrupts;
use crate::node_args::NodeArgs;
use crate::output::{self, ReportFormat};
use crate::progress::{Progress, ProgressArg};
use crate::query_args::WantedArgs;

/// Bring studies home, completely: find, plan, get, verify
///
/// Asks the peer which studies match and what is in them (C-FIND), proposes just the SOP classes and transfer
/// syntaxes that this needs, gets the instances (C-GET), and holds what landed against what was found. What is
/// missing is asked for again, by series and then one by one. Every data set is stored byte for byte as it was sent.
///
/// Keys below the study level narrow what is fetched: Modality=CT gets the CT series of the studies that match,
/// SOPInstanceUID=1.2.3 one instance.
///
/// Run again, it asks only for what is missing. Ctrl-C ends it cleanly (C-CANCEL) and keeps what has arrived.
///
/// A list of queries, thousands of studies and a day long, is got with --from FILE; its options stand below.
///
/// Exit status: 0 every instance is here; 1 nothing could be done; 2 wrong usage; 3 done in part: the report says
/// what is missing and why.
///
/// Examples:
///
///   dicomet get ORTHANC@127.0.0.1:4242 'PatientName=Bowen*' --output retrieved
///
///   dicomet get ORTHANC@127.0.0.1:4242 StudyInstanceUID=1.2.3 Modality=CT -o ct --associations 4
///
///   dicomet get ORTHANC@127.0.0.1:4242 AccessionNumber=A17 -o out --layout '{PatientID}/{StudyDate}/{SOPInstanceUID}.dcm'
///
///   dicomet get ORTHANC@127.0.0.1:4242 --from accessions.csv -o study --rate-limit 50M --between 20:00-06:00
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    wanted: WantedArgs,

    #[command(flatten)]
    list: FromArgs,

    /// The folder for the instances; made when it is not there
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// Associations side by side, 32 at most; without it, as many as turn out to be worth it
    ///
    /// It begins with one, and tries more while the whole gets faster by them, which it does over distance where the
    /// peer grants no window of operations. -v tells how many there are and why. What there is to get is dealt out
    /// fairly, one big study too. Where the peer rejects some of them, the others do the work.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_ASSOCIATIONS as i64))]
    associations: Option<u16>,

    /// Where what is learnt of nodes is kept, "none" to keep and use nothing; else dicomet/nodes.json in the user's
    /// state folder (~/.local/state)
    ///
    /// It holds how many associations a node serves and how many are worth it, which services it lacks, and which
    /// transfer syntaxes and SOP classes it never accepts, and is used by the next run; after a week it is found out
    /// anew. `dicomet node forget` removes it.
    #[arg(long, env = "DICOMET_KNOWN", value_name = "FILE")]
    known: Option<PathBuf>,

    /// How instances come
    #[arg(long, value_enum, default_value_t = MethodArg::Auto)]
    method: MethodArg,

    /// Where to listen for what the peer sends by C-MOVE; it must know our AE title with this address and port
    #[arg(long, value_name = "ADDR:PORT", required_if_eq("method", "move"))]
    receive: Option<SocketAddr>,

    /// Where an instance goes below DIR; {Keyword} stands for a value
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
    )]
    layout: Layout,

    /// Propose only this transfer syntax, by UID or name; may be given several times
    #[arg(long = "transfer-syntax", value_name = "UID", value_parser = transfer_syntax)]
    transfer_syntaxes: Vec<Uid>,

    /// Operations the peer may have under way at a time on one association; 0 is no limit, 1 is not negotiated
    #[arg(long, value_name = "N", default_value_t = WINDOW)]
    window: u16,

    /// The most bytes a second, over all associations together: 50M, 2.5MB, 800KiB
    ///
    /// Counted are the data sets. The peer is held back by reading later, so it sees a slow line; nothing is buffered
    /// but what the systems have on the way, some MB at most.
    #[arg(long, value_name = "SIZE", value_parser = rate_limit)]
    rate_limit: Option<RateLimit>,

    /// How the report is written: text, or one line of JSON
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// How progress is shown on stderr
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    progress: ProgressArg,

    /// Show each instance with its file, transfer syntax and the AE title it came from; and how many associations there
    /// are, and why
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    /// C-GET, and by C-MOVE what does not come so, when there is a --receive
    Auto,
    /// C-GET
    Get,
    /// C-MOVE to --receive
    Move,
}

/// A transfer syntax by its UID, or by its name without regard to case and anything but letters and digits.
fn transfer_syntax(text: &str) -> Result<Uid, String> {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let known = dictionary::transfer_syntaxes();
    if let Ok(uid) = Uid::new(text) {
        return Ok(uid);
    }
    let by_name = |uid: &&Uid| dictionary::uid_name(uid).is_some_and(|name| plain(name) == plain(text));
    known
        .iter()
        .find(by_name)
        .cloned()
        .ok_or_else(|| "neither a UID nor the name of a transfer syntax".to_owned())
}

/// A size, for each second.
fn rate_limit(text: &str) -> Result<RateLimit, String> {
    let Size(bytes) =
        text.strip_suffix("/s").unwrap_or(text).parse::<Size>().map_err(|error| error.to_string())?;
    NonZeroU64::new(bytes).map(RateLimit::new).ok_or_else(|| "it has to be more than nothing".to_owned())
}

pub async fn run(args: GetArgs) -> Result<ExitCode, CommandError> {
    let query = if args.list.from.is_some() { args.wanted.query()? } else { args.wanted.named()? };
    let options = Options {
        caller: args.node.caller(),
        associations: args.associations.map(usize::from),
        known: config::known(args.known.as_deref()),
        window: args.window,
        layout: args.layout.clone(),
        method: match args.method {
            MethodArg::Auto => None,
            MethodArg::Get => Some(Method::Get),
            MethodArg::Move => Some(Method::Move),
        },
        receive: args.receive,
        transfer_syntaxes: (!args.transfer_syntaxes.is_empty()).then(|| args.transfer_syntaxes.clone()),
        rate_limit: args.rate_limit.clone(),
    };
    let (stop, stopped) = watch::channel(Stop::No);
    let interrupts = tokio::spawn(interrupts(
        stop,
        [
            "cancelling; what has arrived is kept (Ctrl-C again aborts)",
            "aborting; what has arrived whole is kept",
        ],
    ));
    let mut progress = Progress::new(args.progress, args.verbose);
    if let Some(from) = &args.list.from {
        let bulky =
            Bulky { node: &args.node, output: &args.output, base: query, options, format: args.format };
        return args.list.run(from, bulky, stopped, progress).await;
    }
    let retrieve =
        Retrieve::new(args.node.node.clone(), query, &args.output).options(options).stop_by(stopped);
    let outcome = retrieve.run(|event| progress.event(event)).await;
    progress.finish();
    interrupts.abort();
    let report = outcome.map_err(|error| {
        if matches!(error, RetrieveError::Association(_)) && folder::has_journal(&args.output) {
            let output = args.output.display();
            output::tell(format_args!(
                "note: dicomet check --output {output} says without the peer what is missing there"
            ));
        }
        args.node.explain_retrieve(&error)
    })?;
    tell(&args, &report)
}

fn tell(args: &GetArgs, report: &Report) -> Result<ExitCode, CommandError> {
    let is_nothing = report.studies == 0 && !report.cancelled;
    match args.format {
        ReportFormat::Json => {
            details(report).iter().for_each(output::tell);
            let line = serde_json::to_string(report).map_err(CommandError::new)?;
            output::line(line)?;
        }
        ReportFormat::Text if is_nothing => {}
        ReportFormat::Text => {
            details(report).iter().try_for_each(output::line)?;
            output::line(summary(report))?;
        }
    }
    if is_nothing {
        return Err(CommandError::new(format!("nothing on {} matches", args.node.node)).hint(
            "dicomet find with the same keys shows what the peer answers; names often need a * at the end",
        ));
    }
    let nothing_is_here = report.retrieved + report.present + report.unnamed == 0;
    let exit = match report.complete {
        true => Exit::Done,
        false if nothing_is_here => Exit::Failed,
        false => Exit::Partial,
    };
    Ok(exit.into())
}

/// What is missing and why, and what else a person should know.
fn details(report: &Report) -> Vec<String> {
    let failures = report
        .failures
        .iter()
        .map(|failure| format!("missing {}: {}", failure.sop_instance, output::visible(&failure.reason)));
    let mut lines: Vec<String> = failures.collect();
    lines.extend(report.notes.iter().map(|note| format!("note: {}", output::visible(note))));
    if report.unnamed > 0 {
        lines.push(format!(
            "note: {} instances came that C-FIND had not named; they are kept",
            report.unnamed
        ));
    }
    lines
}

/// The report in one line for a person.
fn summary(report: &Report) -> String {
    let seconds = report.seconds.as_secs_f64();
    let rate = (report.bytes as f64 / seconds.max(0.001)) as u64;
    let mut parts = vec![
        format!(
            "{}, {}: {} retrieved",
            output::count(report.studies, "study", "studies"),
            output::count(report.expected, "instance", "instances"),
            report.retrieved
        ),
        format!("{} here before", report.present),
    ];
    if report.failed > 0 {
        parts.push(format!("{} failed", report.failed));
    }
    if report.missing > 0 {
        parts.push(format!("{} missing", report.missing));
    }
    let end = match (report.complete, report.cancelled) {
        (true, _) => "complete",
        (false, true) => "cancelled, not complete",
        (false, false) => "not complete",
    };
    format!(
        "{}; {} in {seconds:.2} s, {}/s; {end}",
        parts.join(", "),
        output::bytes(report.bytes),
        output::bytes(rate)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_summary_says_complete_only_when_it_is() {
        let report = Report {
            studies: 1,
            expected: 5,
            retrieved: 3,
            present: 1,
            failed: 1,
            bytes: 4_000_000,
            seconds: Duration::from_secs(2),
            ..Report::default()
        };
        assert_eq!(
            summary(&report),
            "1 study, 5 instances: 3 retrieved, 1 here before, 1 failed; 4.0 MB in 2.00 s, 2.0 MB/s; not complete"
        );
        let report = Report { failed: 0, retrieved: 4, complete: true, ..report };
        assert!(summary(&report).ends_with("; complete"));
    }

    #[test]
    fn a_transfer_syntax_is_named_by_uid_or_by_words() {
        for text in ["1.2.840.10008.1.2.1", "Explicit VR Little Endian", "explicitVRlittleendian"] {
            assert_eq!(transfer_syntax(text).unwrap().as_str(), "1.2.840.10008.1.2.1", "{text}");
        }
        assert!(transfer_syntax("jpeg").is_err());
    }
}
