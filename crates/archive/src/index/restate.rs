//! The statements that give a series, study and patient the values of their first instance anew, when another has taken its
//! place: what nobody says any more is not found and not answered. First is what has the lowest row number, which
//! stays with the place.

use dicomet_proto::dataset::VR;
use rusqlite::{Connection, params};

use super::attributes::names;
use super::normalise::search_form;
use super::record::Record;
use super::remove::recount_lists;
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
    index
        .prepare_cached(
            "UPDATE series
             SET modality = ?2, series_number = ?3, series_number_search = ?4, series_description = ?5,
                 series_date = ?6, series_date_search = ?7, series_time = ?8, series_time_search = ?9,
                 body_part_examined = ?10, protocol_name = ?11, station_name = ?12, institution_name = ?13
             WHERE id = ?1",
        )?
        .execute(params![
            series,
            record.modality,
            record.series_number,
            search_form(VR::IS, &record.series_number),
            record.series_description,
            record.series_date,
            search_form(VR::DA, &record.series_date),
            record.series_time,
            search_form(VR::TM, &record.series_time),
            record.body_part_examined,
            record.protocol_name,
            record.station_name,
            record.institution_name,
        ])?;
    index
        .prepare_cached("UPDATE series_header SET header = ?2 WHERE series = ?1")?
        .execute(params![series, record.headers.series])?;
    Ok(())
}

fn restate_study(index: &Connection, record: &Record, study: i64) -> rusqlite::Result<()> {
    index
        .prepare_cached(
            "UPDATE study
             SET patient_name = ?2, patient_birth_date = ?3, patient_birth_date_search = ?4, patient_sex = ?5,
                 study_date = ?6, study_date_search = ?7, study_time = ?8, study_time_search = ?9,
                 accession_number = ?10, study_id = ?11, study_description = ?12, referring_physician_name = ?13
             WHERE id = ?1",
        )?
        .execute(params![
            study,
            record.patient_name,
            record.patient_birth_date,
            search_form(VR::DA, &record.patient_birth_date),
            record.patient_sex,
            record.study_date,
            search_form(VR::DA, &record.study_date),
            record.study_time,
            search_form(VR::TM, &record.study_time),
            record.accession_number,
            record.study_id,
            record.study_description,
            record.referring_physician_name,
        ])?;
    index
        .prepare_cached("UPDATE study_header SET header = ?2 WHERE study = ?1")?
        .execute(params![study, record.headers.study])?;
    restate_name(index, names::OF_STUDY_PATIENT, study, &record.patient_name)?;
    restate_name(index, names::OF_REFERRING_PHYSICIAN, study, &record.referring_physician_name)
}

fn restate_patient(index: &Connection, record: &Record, patient: i64) -> rusqlite::Result<()> {
    index
        .prepare_cached(
            "UPDATE patient
             SET patient_name = ?2, patient_birth_date = ?3, patient_birth_date_search = ?4, patient_sex = ?5
             WHERE id = ?1",
        )?
        .execute(params![
            patient,
            record.patient_name,
            record.patient_birth_date,
            search_form(VR::DA, &record.patient_birth_date),
            record.patient_sex,
        ])?;
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
