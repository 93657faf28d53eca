//! `dicomet check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dicomet_archive::check::{self, Depth, Event, Finding, Repair, Summary};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::check_output;
use crate::archive_args::explain;
use crate::exit::{CommandError, Exit};
use crate::output;

/// Look whether every instance of an archive is there and as it was
///
/// Holds the index against the files, both ways, and names what is wrong: an instance whose file is missing, cut,
/// altered (data set or file meta information) or unreadable; a file that the index does not know (orphan; cut or
/// altered when it does not fit the length and digest that it carries); what is none of an archive's files, such as a
/// link (stray); what was left when something was cut off (leftover); a broken index. Changes nothing. It may run
/// while the archive is served.
///
/// --repair makes index and files agree again, and needs the archive for itself. The index is built anew from the
/// files when it is lost or broken; orphans are indexed again; file meta information that alone is damaged is written
/// anew. Nothing is deleted but empty files that were made ahead: instances whose files are missing or damaged are
/// taken out of the index, so that they can be stored again, and what cannot stay is moved to DIR/quarantine with a
/// line in findings.jsonl there. They count as lost, and so does a damaged file that the index does not know, unless
/// it lies where a crash leaves what is cut.
///
/// With --output: what the output folder of `dicomet get` lacks of all that was ever expected in it, by its journal and
/// without asking any peer. `dicomet get` with the same keys brings it.
///
/// Exit status: 0 nothing is wrong, or all was repaired without loss; 1 it could not be checked; 2 wrong usage; 3
/// something is wrong, or was lost.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The folder of the archive
    #[arg(long, value_name = "DIR", required_unless_present = "output")]
    data: Option<PathBuf>,

    /// An output folder of `dicomet get`, instead of an archive
    #[arg(long, short, value_name = "DIR", conflicts_with_all = ["data", "quick", "repair"])]
    output: Option<PathBuf>,

    /// Compare sizes alone, and read no file that the index knows
    #[arg(long)]
    quick: bool,

    /// Make index and files agree again
    #[arg(long)]
    repair: bool,

    /// How the report is written: text, or a JSON object a line for each finding and one for all
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Text,
    Json,
}

pub async fn run(args: CheckArgs) -> Result<ExitCode, CommandError> {
    let checking = tokio::task::spawn_blocking(move || match (&args.output, &args.data) {
        (Some(output), _) => check_output::check(output, args.format),
        (None, Some(data)) => check(data, &args),
        (None, None) => Err(CommandError::usage("neither --data nor --output is given")),
    });
    checking
        .await
        .map_err(|error| CommandError::new(format!("the check ended by a fault of ours: {error}")))?
}

fn check(data: &Path, args: &CheckArgs) -> Result<ExitCode, CommandError> {
    let began = Instant::now();
    let depth = if args.quick { Depth::Sizes } else { Depth::Bytes };
    let bar = bar();
    let mut written = Ok(());
    let mut tell = |event: Event<'_>| match event {
        Event::Progress { instances, of, bytes } => {
            bar.set_length(of);
            bar.set_position(instances);
            bar.set_message(output::bytes(bytes));
        }
        Event::Found(finding) => {
            let line = match args.format {
                ReportFormat::Text => text(finding),
                ReportFormat::Json => as_json(finding).to_string(),
            };
            let outcome = bar.suspend(|| output::line(line));
            if written.is_ok() {
                written = outcome;
            }
        }
    };
    let failed = |error| explain(data, &error);
    let (line, report, is_well) = if args.repair {
        let done = check::repair(data, depth, &mut tell).map_err(failed)?;
        (repaired(&done), json!({ "repair": repair_json(&done) }), done.lost == 0 && done.left == 0)
    } else {
        let summary = check::check(data, depth, &mut tell).map_err(failed)?;
        (summed(&summary), summary_json(&summary), summary.findings == 0)
    };
    bar.finish_and_clear();
    written?;
    match args.format {
        ReportFormat::Text => output::line(line)?,
        ReportFormat::Json => {
            let mut report = report;
            report["depth"] = json!(if args.quick { "sizes" } else { "bytes" });
            report["seconds"] = json!((began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0);
            report["sound"] = json!(is_well);
            output::line(report)?;
        }
    }
    Ok(if is_well { Exit::Done } else { Exit::Partial }.into())
}

fn bar() -> ProgressBar {
    let template = "{bar:30} {pos} of {len} instances, {msg}, {elapsed}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn text(finding: &Finding) -> String {
    let instance = finding.instance.as_ref().map(|named| format!("{}  ", named.sop_instance));
    let file = output::visible(&finding.file.to_string_lossy());
    format!("{:10}  {}{file}  {}", finding.damage, instance.unwrap_or_default(), finding.detail)
}

fn as_json(finding: &Finding) -> Value {
    let instance = finding.instance.as_ref();
    json!({
        "damage": finding.damage.as_str(),
        "study_instance_uid": instance.map(|named| named.study.as_str()),
        "series_instance_uid": instance.map(|named| named.series.as_str()),
        "sop_instance_uid": instance.map(|named| named.sop_instance.as_str()),
        "file": finding.file.to_string_lossy(),
        "detail": finding.detail,
    })
}

fn summed(summary: &Summary) -> String {
    let outcome = match summary.findings {
        0 => "nothing is wrong".to_owned(),
        findings => format!("{} wrong", output::count(findings, "thing is", "things are")),
    };
    let instances = output::count(summary.instances, "instance", "instances");
    let files = output::count(summary.files, "file", "files");
    format!("{instances}, {}, {files}: {outcome}", output::bytes(summary.bytes))
}

fn summary_json(summary: &Summary) -> Value {
    json!({
        "instances": summary.instances,
        "bytes": summary.bytes,
        "files": summary.files,
        "findings": summary.findings,
    })
}

fn repaired(done: &Repair) -> String {
    let mut parts = Vec::new();
    if let Some(instances) = done.rebuilt {
        parts.push(format!("index built anew with {}", output::count(instances, "instance", "instances")));
    }
    for (number, one, more) in [
        (done.indexed, "file indexed again", "files indexed again"),
        (
            done.mended,
            "file given its file meta information anew",
            "files given their file meta information anew",
        ),
        (done.lost, "instance lost", "instances lost"),
        (done.cleared, "empty file that was made ahead removed", "empty files that were made ahead removed"),
        (done.set_aside, "file moved to quarantine", "files moved to quarantine"),
        (done.left, "thing not repaired", "things not repaired"),
    ] {
        if number > 0 {
            parts.push(output::count(number, one, more));
        }
    }
    if parts.is_empty() { "nothing to repair".to_owned() } else { parts.join(", ") }
}

fn repair_json(done: &Repair) -> Value {
    json!({
        "rebuilt": done.rebuilt,
        "indexed": done.indexed,
        "mended": done.mended,
        "lost": done.lost,
        "cleared": done.cleared,
        "set_aside": done.set_aside,
        "left": done.left,
    })
}
