//! The statements that give a series, study and patient the values of their first instance anew, when another has taken its
//! place: what nobody says any more is not found and not answered. First is what has the lowest row number, which
//! stays with the place.

use rusqlite::{Connection, params};

use super::attributes::names;
use super::record::Record;
use super::remove::recount_lists;
use super::stated;
use super::write::{RowNumbers, add_name};

/// Restates each level whose first instance this is, and that had it before as well: `numbers` are those of its rows.
pub(super) fn restate(
    index: &Connection,
    record: &Record,
    instance: i64,
    numbers: RowNumbers,
) -> rusqlite::Result<()> {
    let is_first = |earlier: &str, number: i64| -> rusqlite::Result<bool> {
        let sql = format!("SELECT NOT EXISTS ({earlier})");
        index.prepare_cached(&sql)?.query_row([number, instance], |row| row.get(0))
    };
    if let Some(series) = numbers.series
        && is_first("SELECT 1 FROM instance WHERE series = ?1 AND id < ?2", series)?
    {
        restate_series(index, record, series)?;
    }
    if let Some(study) = numbers.study {
        recount_lists(index, study)?;
        let earlier = "SELECT 1
             FROM series JOIN instance ON instance.series = series.id AND instance.id < ?2
             WHERE series.study = ?1";
        if is_first(earlier, study)? {
            restate_study(index, record, study)?;
        }
    }
    if let Some(patient) = numbers.patient {
        let earlier = "SELECT 1
             FROM study
                 JOIN series ON series.study = study.id
                 JOIN instance ON instance.series = series.id AND instance.id < ?2
             WHERE study.patient = ?1";
        if is_first(earlier, patient)? {
            restate_patient(index, record, patient)?;
        }
    }
    Ok(())
}

/// What the other instances differ from stays: it is theirs.
fn restate_series(index: &Connection, record: &Record, series: i64) -> rusqlite::Result<()> {
    stated::update(index, "series", series, &stated::of_series(record))?;
    index
        .prepare_cached("UPDATE series_header SET header = ?2 WHERE series = ?1")?
        .execute(params![series, record.headers.series])?;
    Ok(())
}

fn restate_study(index: &Connection, record: &Record, study: i64) -> rusqlite::Result<()> {
    stated::update(index, "study", study, &stated::of_study(record))?;
    index
        .prepare_cached("UPDATE study_header SET header = ?2 WHERE study = ?1")?
        .execute(params![study, record.headers.study])?;
    restate_name(index, names::OF_STUDY_PATIENT, study, &record.patient_name)?;
    restate_name(index, names::OF_REFERRING_PHYSICIAN, study, &record.referring_physician_name)
}

fn restate_patient(index: &Connection, record: &Record, patient: i64) -> rusqlite::Result<()> {
    stated::update(index, "patient", patient, &stated::of_patient(record))?;
    index
        .prepare_cached("UPDATE patient_header SET header = ?2 WHERE patient = ?1")?
        .execute(params![patient, record.headers.patient])?;
    restate_name(index, names::OF_PATIENT, patient, &record.patient_name)
}

fn restate_name(index: &Connection, attribute: i64, owner: i64, name: &str) -> rusqlite::Result<()> {
    index
        .prepare_cached("DELETE FROM person_name WHERE attribute = ?1 AND owner = ?2")?
        .execute([attribute, owner])?;
    add_name(index, attribute, owner, name)
}
