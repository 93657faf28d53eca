//! `dicomet store`.

mod commit;

use std::path::PathBuf;
use std::process::ExitCode;

use dicomet_net::retrieve::{MAX_ASSOCIATIONS, Stop};
use dicomet_net::service::c_store::WINDOW;
use dicomet_net::store::{Options, Report, Store};
use serde::Serialize;
use tokio::sync::watch;

use commit::{CommitArgs, Committed, SentFiles};

use crate::exit::{CommandError, Exit};
use crate::interrupts::interrupts;
use crate::node_args::NodeArgs;
use crate::output::{self, ReportFormat};
use crate::progress::{Progress, ProgressArg, remark_line};

/// Send files and folders to a peer (C-STORE)
///
/// Folders are walked; symbolic links in them are not followed. What is no DICOM file is passed over, and so is a
/// DICOMDIR. Presentation contexts are proposed for just the SOP classes and transfer syntaxes of the files, in as
/// many associations as that takes.
///
/// Every data set is sent byte for byte as it is in its file. Only where the peer does not take the uncompressed
/// encoding that a file is in, and takes the other, it is written in that one.
///
/// A file counts as sent when the peer has confirmed it. When the connection is cut, it is opened again and what was
/// under way is sent once more. Where all of a file was sent and no answer came that names it, it is not known whether
/// the peer has it. Ctrl-C waits for what is under way, and releases.
///
/// With --commit, the peer is asked to answer for what it has confirmed (storage commitment), and an instance counts as
/// done when it does. The report is taken on the association that asked and, with --receive, on one that the peer
/// opens.
///
/// Exit status: 0 the peer has every instance; 1 it has none; 2 wrong usage; 3 done in part, or not known: the report
/// says of which file, and why.
///
/// Examples:
///
///   dicomet store ORTHANC@127.0.0.1:4242 retrieved
///
///   dicomet store ORTHANC@pacs.example:104 ct mr/0001.dcm --associations 4 --aet WORKSTATION
///
///   dicomet store PACS@pacs.example:104 ct --commit --receive 0.0.0.0:11113 --aet WORKSTATION
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    #[command(flatten)]
    node: NodeArgs,

    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Associations side by side [default: as many as are worth it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_ASSOCIATIONS as i64))]
    associations: Option<u16>,

    /// The most instances under way at a time on one association, where the peer allows it; 0 is no limit, 1 is not
    /// negotiated
    ///
    /// How many of them there are is found from how fast the peer answers.
    #[arg(long, value_name = "N", default_value_t = WINDOW)]
    window: u16,

    /// How the report is written: text, or one line of JSON
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// How progress is shown on stderr
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    progress: ProgressArg,

    /// Show each instance with its transfer syntax and what the peer said; and how many associations there are, and why
    #[arg(long, short)]
    verbose: bool,

    #[command(flatten)]
    commit: CommitArgs,
}

pub async fn run(args: StoreArgs) -> Result<ExitCode, CommandError> {
    let options = Options {
        caller: args.node.caller(),
        associations: args.associations.map(usize::from),
        window: args.window,
    };
    let (stop, stopped) = watch::channel(Stop::No);
    let interrupts = tokio::spawn(interrupts(
        stop,
        ["ending when what is under way is answered (Ctrl-C again aborts)", "aborting"],
    ));
    let store =
        Store::new(args.node.node.clone(), args.paths.clone()).options(options).stop_by(stopped.clone());
    let mut progress = Progress::new(args.progress, args.verbose);
    let mut sent = SentFiles::default();
    let outcome = store
        .run(|event| {
            progress.store_event(event);
            if args.commit.commit {
                sent.note(event);
            }
        })
        .await;
    if args.commit.commit {
        progress.say(&format!("waiting for the storage commitment of {}", sent.count()));
    }
    progress.finish();
    let mut report = outcome.map_err(|error| args.node.explain(&error))?;
    let committed = match args.commit.commit {
        true => Some(committed(&args, sent, stopped).await),
        false => None,
    };
    interrupts.abort();
    if let Some(committed) = &committed {
        report.complete &= committed.files == report.files;
    }
    tell(&args, &report, committed.as_ref())
}

/// What the peer answers for. That it cannot be asked is a failure of what was sent, and told with it.
async fn committed(args: &StoreArgs, sent: SentFiles, stop: watch::Receiver<Stop>) -> Committed {
    let asked = sent.commit(&args.node, &args.commit, stop).await;
    asked.unwrap_or_else(|error| {
        let error = Some(format!("storage commitment cannot be asked for: {error}"));
        Committed { error, ..Committed::default() }
    })
}

/// The report as one line of JSON.
#[derive(Serialize)]
struct Whole<'r> {
    #[serde(flatten)]
    report: &'r Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<u64>,
}

fn tell(args: &StoreArgs, report: &Report, committed: Option<&Committed>) -> Result<ExitCode, CommandError> {
    let details = details(report, committed);
    let committed = committed.map(|committed| committed.files);
    match args.format {
        ReportFormat::Json => {
            details.iter().for_each(output::tell);
            let whole = Whole { report, committed };
            output::line(serde_json::to_string(&whole).map_err(CommandError::new)?)?;
        }
        ReportFormat::Text => {
            details.iter().try_for_each(output::line)?;
            output::line(summary(report, committed))?;
        }
    }
    if report.files == 0 && !report.cancelled {
        return Err(CommandError::new("there is no DICOM file in what was named")
            .hint("name files with file meta information (PS3.10), or folders that have some"));
    }
    Ok(exit(report, committed).into())
}

fn exit(report: &Report, committed: Option<u64>) -> Exit {
    match report.complete {
        true => Exit::Done,
        false if committed.unwrap_or(report.sent + report.already) + report.unknown == 0 => Exit::Failed,
        false => Exit::Partial,
    }
}

/// What failed and why, and what else a person should know.
fn details(report: &Report, committed: Option<&Committed>) -> Vec<String> {
    let failures = report.failures.iter().map(|failure| format!("failed {}", remark_line(failure)));
    let unknowns =
        report.unknowns.iter().map(|unknown| format!("not known whether stored {}", remark_line(unknown)));
    let advice = (report.unknown > 0).then(|| {
        "note: store again what is not known: what the peer has already, it can keep as it is".to_owned()
    });
    let notes = report.notes.iter().map(|note| format!("note: {}", remark_line(note)));
    let uncommitted = committed.into_iter().flat_map(|committed| &committed.failures);
    let uncommitted = uncommitted.map(|failure| format!("not committed {}", remark_line(failure)));
    let error = committed.and_then(|committed| committed.error.as_ref());
    let error = error.map(|error| format!("note: {}", output::visible(error)));
    failures.chain(unknowns).chain(advice).chain(notes).chain(uncommitted).chain(error).collect()
}

/// The report in one line for a person.
fn summary(report: &Report, committed: Option<u64>) -> String {
    let seconds = report.seconds.as_secs_f64();
    let rate = (report.bytes as f64 / seconds.max(0.001)) as u64;
    let mut text = format!("{}: {} sent", output::count(report.files, "instance", "instances"), report.sent);
    for (count, words) in [
        (report.warnings, "with a warning"),
        (report.already, "there before"),
        (report.failed, "failed"),
        (report.unknown, "not known whether stored"),
        (report.unsent, "not sent"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {words}"));
        }
    }
    if let Some(committed) = committed {
        text.push_str(&format!(", {committed} committed"));
    }
    if report.skipped > 0 {
        text.push_str(&format!("; {} passed over", output::count(report.skipped, "file", "files")));
    }
    let end = match (report.complete, report.cancelled) {
        (true, _) => "complete",
        (false, true) => "ended early, not complete",
        (false, false) => "not complete",
    };
    format!("{text}; {} in {seconds:.2} s, {}/s; {end}", output::bytes(report.bytes), output::bytes(rate))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dicomet_net::store::Remark;

    use super::*;

    #[test]
    fn the_summary_says_complete_only_when_it_is() {
        let report = Report {
            files: 5,
            sent: 3,
            warnings: 1,
            failed: 2,
            skipped: 1,
            bytes: 4_000_000,
            seconds: Duration::from_secs(2),
            ..Report::default()
        };
        assert_eq!(
            summary(&report, None),
            "5 instances: 3 sent, 1 with a warning, 2 failed; 1 file passed over; 4.0 MB in 2.00 s, 2.0 MB/s; \
             not complete"
        );
        assert_eq!(exit(&report, None), Exit::Partial);
        let report = Report { failed: 0, sent: 5, complete: true, ..report };
        assert!(summary(&report, None).ends_with("; complete"));
        assert!(summary(&report, Some(5)).contains(", 5 committed"));
    }

    #[test]
    fn what_may_be_stored_is_told_as_not_known_and_is_no_failure_of_all() {
        let path = PathBuf::from("a.dcm");
        let unknowns = vec![Remark { path, reason: "all of it was sent, and no answer came".to_owned() }];
        let report = Report { files: 1, unknown: 1, unknowns, ..Report::default() };
        assert!(summary(&report, None).starts_with("1 instance: 0 sent, 1 not known whether stored; "));
        let details = details(&report, None);
        assert_eq!(details[0], "not known whether stored a.dcm: all of it was sent, and no answer came");
        assert!(details[1].starts_with("note: store again"), "{details:?}");
        assert_eq!((exit(&report, None), exit(&report, Some(0))), (Exit::Partial, Exit::Partial));
        let failed = Report { unknown: 0, failed: 1, ..report };
        assert_eq!(exit(&failed, None), Exit::Failed);
    }
}
