//! `dicomet get --from FILE`: a list of queries.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use dicomet_net::Node;
use dicomet_net::retrieve::bulk::hours::Hours;
use dicomet_net::retrieve::bulk::list::{BadLine, List, ListError};
use dicomet_net::retrieve::bulk::{Bulk, BulkError, BulkOptions, Outcome, Record, Summary};
use dicomet_net::retrieve::{Options, Stop};
use dicomet_proto::query::Query;
use tokio::sync::watch;

use crate::exit::{CommandError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{self, ReportFormat};
use crate::progress::Progress;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Lists")]
pub struct FromArgs {
    /// Get what each line of a list asks for; - is standard input
    ///
    /// CSV (separated by comma, semicolon or tab) with a header of DICOM keywords, or JSON lines of keyword and value;
    /// UTF-8. Every key that stands on the command line does: AccessionNumber, StudyInstanceUID, PatientID with
    /// StudyDate (20240131, or 20240101-20240131). An empty field asks for nothing. KEY=VALUE beside it holds for every
    /// line. All lines are checked before the first is asked for.
    ///
    /// What is done is noted in DIR/.dicomet, by the keys of the line and not by its place in the list. Run again, it
    /// passes over lines that are complete as long as their files are there, without asking the peer, and takes the
    /// others. A peer that goes away is waited for.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub from: Option<PathBuf>,

    /// The list has no header: each line is a value of this key, such as AccessionNumber
    #[arg(long, value_name = "KEYWORD", requires = "from")]
    from_key: Option<String>,

    /// Where the report goes, a JSON object for each study and for each line without one [default:
    /// DIR/.dicomet/report.jsonl]
    ///
    /// It has the line, its keys as they stand in the list, Study Instance UID, what became of it, how many instances
    /// and bytes came, how long that took, and why what is missing is missing. Of the patient it has nothing that is
    /// not in the list. Each run writes it anew.
    #[arg(long, value_name = "FILE", requires = "from")]
    report: Option<PathBuf>,

    /// Ask for lines anew that an earlier run completed
    #[arg(long, requires = "from")]
    again: bool,

    /// Be at work at these hours only, by the local time: 20:00-06:00, several joined by commas
    ///
    /// Outside of them no association is open. What is being got when they end is cancelled between two instances, and
    /// gone on with when they begin again.
    #[arg(long, value_name = "HOURS", requires = "from")]
    between: Option<Hours>,

    /// How long a peer may be away before the run ends: 90s, 30m, 12h
    #[arg(long, value_name = "TIME", requires = "from", default_value = "30m", value_parser = time)]
    retry_for: Duration,
}

/// `90s`, `30m` or `12h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number with s, m or h, such as 30m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().map(|number| Duration::from_secs(u64::from(number) * seconds)).map_err(|_| wrong())
}

/// What else of the command line a list needs.
pub struct Bulky<'a> {
    pub node: &'a NodeArgs,
    pub output: &'a PathBuf,
    pub base: Query,
    pub options: Options,
    pub format: ReportFormat,
}

impl FromArgs {
    /// Reads and checks the list.
    fn list(&self, from: &PathBuf, base: Query) -> Result<List, CommandError> {
        let is_stdin = from.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { from.display().to_string() };
        let source: Box<dyn Read> = match is_stdin {
            true => Box::new(io::stdin().lock()),
            false => Box::new(
                File::open(from)
                    .map_err(|error| CommandError::usage(format!("cannot read {name}: {error}")))?,
            ),
        };
        List::read(source, base, self.from_key.as_deref()).map_err(|error| explain(&name, &error))
    }

    /// Works off the list.
    pub async fn run(
        &self,
        from: &PathBuf,
        bulky: Bulky<'_>,
        stopped: watch::Receiver<Stop>,
        mut progress: Progress,
    ) -> Result<ExitCode, CommandError> {
        let list = self.list(from, bulky.base)?;
        let options = BulkOptions {
            retrieve: bulky.options,
            between: self.between.clone(),
            retry_for: self.retry_for,
            again: self.again,
            report: self.report.clone(),
            ..BulkOptions::default()
        };
        let node: Node = bulky.node.node.clone();
        let bulk = Bulk::new(node, list, bulky.output).options(options).stop_by(stopped);
        let outcome = bulk.run(|event| progress.list_event(event)).await;
        progress.finish();
        let summary = outcome.map_err(|error| match &error {
            BulkError::Retrieve(error) => bulky.node.explain_retrieve(error),
            BulkError::Folder(_) | BulkError::Books { .. } => {
                CommandError::new(&error).hint("choose another folder with --output, or file with --report")
            }
            _ => CommandError::new(&error),
        })?;
        let report = self.report.clone().unwrap_or_else(|| bulky.output.join(".dicomet/report.jsonl"));
        match bulky.format {
            ReportFormat::Json => output::line(serde_json::to_string(&summary).map_err(CommandError::new)?)?,
            ReportFormat::Text => {
                output::line(text(&summary))?;
                if !summary.complete {
                    output::tell(format_args!(
                        "{} says of each study what is missing and why",
                        report.display()
                    ));
                }
            }
        }
        let exit = match summary.complete {
            true => Exit::Done,
            false if summary.is_anything_here() => Exit::Partial,
            false => Exit::Failed,
        };
        Ok(exit.into())
    }
}

/// What is wrong with a list, and what to write.
fn explain(name: &str, error: &ListError) -> CommandError {
    let usage = CommandError::usage(format!("{name}: {error}"));
    match error {
        ListError::NoHeader { is_single: true, is_uid, .. } => {
            let (key, other) = match is_uid {
                true => ("StudyInstanceUID", "the UIDs are of another level"),
                false => ("AccessionNumber", "they are something else"),
            };
            usage
                .hint(format!("--from-key {key} takes each line for one; name another keyword where {other}"))
        }
        ListError::NoHeader { .. } | ListError::UnknownColumn { .. } => usage.hint(
            "the first line of CSV names each column by its DICOM keyword, such as PatientID,StudyDate; \
             take other columns out",
        ),
        ListError::HeaderIsNoValue(_) => usage.hint("leave --from-key out"),
        ListError::BadLines { bad, more } => {
            let line =
                |line: &BadLine| format!("\n  line {}: {}", line.number, output::visible(&line.reason));
            let lines: String = bad.iter().map(line).collect();
            let more = if *more > 0 { format!("\n  and {more} more") } else { String::new() };
            CommandError::usage(format!("{name}: {error}{lines}{more}"))
                .hint("nothing was asked for; mend these lines, or take them out")
        }
        ListError::RepeatedColumn { .. } => usage.hint(
            "several values of one key are joined by \\, in one column; or take one of the columns out",
        ),
        ListError::Unreadable(_) | ListError::Empty | ListError::Header(_) => usage,
    }
}

/// A line of the report for a person, where something is not here.
pub fn record_line(record: &Record) -> Option<String> {
    let of = match &record.study {
        Some(study) => format!("line {}, study {study}", record.line),
        None => format!("line {}", record.line),
    };
    let here = record.retrieved + record.present;
    let what = match record.outcome {
        Outcome::Complete | Outcome::Before | Outcome::Repeated => return None,
        Outcome::Nothing => return Some(format!("{of}: nothing on the peer matches")),
        Outcome::Partial => format!("{here} of {}", output::count(record.expected, "instance", "instances")),
        Outcome::Failed => "failed".to_owned(),
    };
    let why: Vec<String> = record.reasons.iter().map(|reason| output::visible(&reason.reason)).collect();
    Some(format!("{of}: {what}; {}", why.join("; ")))
}

/// The summary in one line for a person.
fn text(summary: &Summary) -> String {
    let seconds = summary.seconds.as_secs_f64();
    let rate = (summary.bytes as f64 / seconds.max(0.001)) as u64;
    let mut parts = vec![output::count(summary.lines, "line", "lines")];
    for (count, words) in [
        (summary.before, "done before"),
        (summary.nothing, "without a match"),
        (summary.incomplete, "not complete"),
        (summary.left, "left"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    let mut instances =
        vec![format!("{} retrieved", summary.retrieved), format!("{} here before", summary.present)];
    for (count, words) in [(summary.failed, "failed"), (summary.missing, "missing")] {
        if count > 0 {
            instances.push(format!("{count} {words}"));
        }
    }
    let end = match (&summary.ended, summary.complete) {
        (Some(reason), _) => format!("ended early: {}", output::visible(reason)),
        (None, true) => "complete".to_owned(),
        (None, false) => "not complete".to_owned(),
    };
    format!(
        "{}; {}, {}: {}; {} in {}, {}/s; {end}",
        parts.join(", "),
        output::count(summary.studies, "study", "studies"),
        output::count(summary.expected, "instance", "instances"),
        instances.join(", "),
        output::bytes(summary.bytes),
        crate::progress::duration(summary.seconds),
        output::bytes(rate),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("0s", 0)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "30", "m", "1.5h", "-1s", "1d", "5é"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_summary_tells_lines_studies_instances_and_how_it_ended() {
        let summary = Summary {
            lines: 100,
            before: 40,
            incomplete: 3,
            studies: 60,
            expected: 600,
            retrieved: 590,
            present: 7,
            failed: 3,
            bytes: 60_000_000,
            seconds: Duration::from_secs(6),
            ..Summary::default()
        };
        assert_eq!(
            text(&summary),
            "100 lines, 40 done before, 3 not complete; 60 studies, 600 instances: 590 retrieved, 7 here before, \
             3 failed; 60 MB in 6 s, 10 MB/s; not complete"
        );
        let ended = Summary { ended: Some("cancelled".to_owned()), left: 7, ..summary };
        assert!(text(&ended).contains("7 left") && text(&ended).ends_with("; ended early: cancelled"));
    }
}
