//! `dicomet delete`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use dicomet_archive::{Error, Removal, RemovedStudy};
use dicomet_proto::dataset::Tag;
use dicomet_proto::query::{Level, Model, Query};
use serde_json::{Value, json};

use crate::archive_args::explain;
use crate::exit::{CommandError, Exit};
use crate::output;
use crate::query_args::{LevelArg, add_keys};

/// Remove instances from an archive: show what would go, and with --yes remove it
///
/// The keys say what goes, as in a query. Without --level, SOPInstanceUID means instances, SeriesInstanceUID whole
/// series, and everything else whole studies. A key that cannot be matched at its level is refused: nothing goes that
/// was not meant.
///
/// It may run while the archive is served, and where the disk is full. Each study goes wholly or not at all, whatever
/// happens meanwhile.
///
/// Exit status: 0 done, or shown; 1 failed, or nothing matches; 2 wrong usage; 3 cut off after some studies.
///
/// Examples:
///
///   dicomet delete StudyInstanceUID=1.2.3 --data ./archive
///
///   dicomet delete PatientID=TEST StudyDate=-20191231 --data ./archive --yes
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// What goes
    #[arg(required = true, value_name = "KEY=VALUE")]
    keys: Vec<String>,

    /// The folder of the archive
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// What goes as a whole when it matches
    #[arg(long, value_enum)]
    level: Option<LevelArg>,

    /// Remove it, for ever
    #[arg(long)]
    yes: bool,

    /// How the report is written: text, or a JSON object a line for each study and one for all
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

pub async fn run(args: DeleteArgs) -> Result<ExitCode, CommandError> {
    let deleting = tokio::task::spawn_blocking(move || delete(&args));
    deleting.await.map_err(|error| CommandError::new(format!("it ended by a fault of ours: {error}")))?
}

fn delete(args: &DeleteArgs) -> Result<ExitCode, CommandError> {
    let removal = Removal::plan(&args.data, &query(args)?).map_err(|error| match &error {
        Error::Refused(refusal) => {
            CommandError::usage(refusal.comment()).hint("give keys that say what goes")
        }
        _ => explain(&args.data, &error),
    })?;
    let mut removed = 0;
    if args.yes {
        let mut written = Ok(());
        let outcome = removal.carry_out(|study| {
            removed += 1;
            let outcome = output::line(shown(args, study));
            if written.is_ok() {
                written = outcome;
            }
        });
        if let Err(error) = outcome {
            let mut failure = match &error {
                Error::NoRoom { .. } => out_of_room(&args.data, &error),
                _ => explain(&args.data, &error),
            };
            failure.exit = if removed > 0 { Exit::Partial } else { Exit::Failed };
            return Err(failure);
        }
        written?;
    } else {
        removal.studies.iter().try_for_each(|study| output::line(shown(args, study)))?;
    }
    match args.format {
        ReportFormat::Text => output::line(summed(&removal, args.yes))?,
        ReportFormat::Json => output::line(report(&removal, args.yes))?,
    }
    if removal.studies.is_empty() {
        return Ok(Exit::Failed.into());
    }
    if !args.yes {
        output::tell("nothing is removed yet; --yes does it");
    }
    Ok(Exit::Done.into())
}

/// A study goes as a whole, which takes room itself: more than was set apart.
fn out_of_room(data: &Path, error: &Error) -> CommandError {
    CommandError::new(format!("cannot remove from the archive in {}: {error}", data.display())).hint(
        "remove less at a time, such as one series (SeriesInstanceUID=...), or make a few MiB of room by hand",
    )
}

/// The keys as a query, at the level that they name.
fn query(args: &DeleteArgs) -> Result<Query, CommandError> {
    let query = add_keys(Query::new(Model::PatientRoot, Level::Study), &args.keys)?;
    let names = |tag: Tag| query.keys.text(tag).is_some_and(|text| !text.is_empty());
    let level = match args.level {
        Some(level) => level.into(),
        None if names(Level::Image.unique_key()) => Level::Image,
        None if names(Level::Series.unique_key()) => Level::Series,
        None => query.level,
    };
    Ok(Query { level, ..query })
}

fn shown(args: &DeleteArgs, study: &RemovedStudy) -> String {
    match args.format {
        ReportFormat::Text => {
            let part = match study.instances_left {
                0 => "all of it".to_owned(),
                left => format!("{} of it left", output::count(left, "instance", "instances")),
            };
            format!(
                "{}  patient {}  {}  {}, {}, {part}",
                study.study,
                output::visible(&study.patient_id),
                output::visible(&study.study_date),
                output::count(study.instances(), "instance", "instances"),
                output::bytes(study.bytes)
            )
        }
        ReportFormat::Json => json!({
            "study_instance_uid": study.study.as_str(),
            "patient_id": study.patient_id,
            "study_date": study.study_date,
            "instances": study.instances(),
            "bytes": study.bytes,
            "instances_left": study.instances_left,
        })
        .to_string(),
    }
}

fn summed(removal: &Removal, is_done: bool) -> String {
    if removal.studies.is_empty() {
        return "nothing matches".to_owned();
    }
    let studies = output::count(removal.studies.len() as u64, "study", "studies");
    let instances = output::count(removal.instances(), "instance", "instances");
    let bytes = output::bytes(removal.bytes());
    format!("{} {instances} of {studies}, {bytes}", if is_done { "removed:" } else { "would be removed:" })
}

fn report(removal: &Removal, is_done: bool) -> Value {
    json!({
        "studies": removal.studies.len(),
        "instances": removal.instances(),
        "bytes": removal.bytes(),
        "removed": is_done,
    })
}
