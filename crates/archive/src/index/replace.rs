//! The statements by which an instance takes the place of another of the same SOP Instance UID.
//!
//! It gets the row number of that one; and so do its series, study and patient, where they are the same and had no other
//! instance. For a search that goes on meanwhile holds row numbers: it is to find what was there all the time, and once.

use rusqlite::{Connection, params};

use super::record::Record;
use super::remove::{Removed, remove};
use super::restate::restate;
use super::write::{Conflicts, Present, RowNumbers, insert_as};
use crate::blob::BlobNumber;

/// Puts an instance whose file lies in `blob` in the place of one that is there; answers what is there no more.
pub(crate) fn replace(
    index: &Connection,
    record: &Record,
    blob: BlobNumber,
    present: &Present,
) -> rusqlite::Result<(Option<Removed>, Conflicts)> {
    let numbers = kept(index, record, present.id)?;
    let removed = remove(index, &[present.id])?.pop();
    let conflicts = insert_as(index, record, blob, numbers)?;
    restate(index, record, present.id, numbers)?;
    index.prepare_cached("INSERT INTO moved_blob (blob) VALUES (?1)")?.execute([blob.0 as i64])?;
    // With other values the same rows may match no more.
    index.prepare_cached("UPDATE row_reuse SET times = times + 1")?.execute([])?;
    Ok((removed, conflicts))
}

/// The row numbers of what stays the same.
fn kept(index: &Connection, record: &Record, instance: i64) -> rusqlite::Result<RowNumbers> {
    let lone_study = if record.patient_id.is_empty() { record.study.as_str() } else { "" };
    index
        .prepare_cached(
            "SELECT patient.id, study.id, series.id,
                 patient.patient_id = ?2 AND patient.issuer_of_patient_id = ?3 AND patient.lone_study = ?4,
                 study.study_instance_uid = ?5,
                 series.series_instance_uid = ?6
             FROM instance
                 JOIN series ON series.id = instance.series
                 JOIN study ON study.id = series.study
                 JOIN patient ON patient.id = study.patient
             WHERE instance.id = ?1",
        )?
        .query_row(
            params![
                instance,
                record.patient_id,
                record.issuer_of_patient_id,
                lone_study,
                record.study.as_str(),
                record.series.as_str()
            ],
            |row| {
                let same_patient = row.get(3)?;
                let same_study = same_patient && row.get(4)?;
                let same_series = same_study && row.get(5)?;
                let number = |same: bool, column| if same { row.get(column).map(Some) } else { Ok(None) };
                Ok(RowNumbers {
                    patient: number(same_patient, 0)?,
                    study: number(same_study, 1)?,
                    series: number(same_series, 2)?,
                    instance: Some(instance),
                })
            },
        )
}
