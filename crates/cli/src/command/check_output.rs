//! `dicomet check --output`: what the output folder of `dicomet get` lacks, by its journal.

use std::path::Path;
use std::process::ExitCode;

use dicomet_net::retrieve::folder::{self, Lack, Stock};
use serde_json::{Value, json};

use super::check::ReportFormat;
use crate::exit::{CommandError, Exit};
use crate::output;

pub(super) fn check(output: &Path, format: ReportFormat) -> Result<ExitCode, CommandError> {
    let mut written = Ok(());
    let stock = folder::check(output, |lack| {
        if written.is_ok() {
            written = output::line(match format {
                ReportFormat::Text => text(lack),
                ReportFormat::Json => as_json(lack).to_string(),
            });
        }
    })
    .map_err(|error| CommandError::new(error.to_string()))?;
    written?;
    output::line(match format {
        ReportFormat::Text => summed(&stock),
        ReportFormat::Json => {
            let mut line = json!(stock);
            line["complete"] = json!(stock.is_complete());
            line.to_string()
        }
    })?;
    Ok(if stock.is_complete() { Exit::Done } else { Exit::Partial }.into())
}

fn text(lack: &Lack) -> String {
    match &lack.cut {
        Some(file) => {
            format!("{:10}  {}  {}", "cut", lack.sop_instance, output::visible(&file.to_string_lossy()))
        }
        None => format!("{:10}  {}  of study {}", "missing", lack.sop_instance, lack.study),
    }
}

fn as_json(lack: &Lack) -> Value {
    json!({
        "damage": if lack.cut.is_some() { "cut" } else { "missing" },
        "study_instance_uid": lack.study.as_str(),
        "series_instance_uid": lack.series.as_str(),
        "sop_instance_uid": lack.sop_instance.as_str(),
        "file": lack.cut.as_ref().map(|file| file.to_string_lossy()),
    })
}

fn summed(stock: &Stock) -> String {
    let studies = output::count(stock.studies, "study", "studies");
    let outcome = match stock.incomplete_studies {
        0 => "nothing is missing".to_owned(),
        1 => "1 study is not complete".to_owned(),
        more => format!("{more} studies are not complete"),
    };
    format!("{} of {} instances of {studies}: {outcome}", stock.here, stock.expected)
}
