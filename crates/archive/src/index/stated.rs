//! What the first instance of a patient, study or series says of it: columns of its row, which are written when the row is
//! added, and anew when another instance takes the place of the first.

use std::borrow::Cow;

use dicomet_proto::dataset::VR;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::normalise::search_form;
use super::record::Record;

/// A column and its value.
type Stated<'r> = (&'static str, Cow<'r, str>);

pub(super) fn of_patient(record: &Record) -> [Stated<'_>; 4] {
    [
        ("patient_name", text(&record.patient_name)),
        ("patient_birth_date", text(&record.patient_birth_date)),
        ("patient_birth_date_search", search(VR::DA, &record.patient_birth_date)),
        ("patient_sex", text(&record.patient_sex)),
    ]
}

pub(super) fn of_study(record: &Record) -> [Stated<'_>; 12] {
    let [name, birth_date, birth_date_search, sex] = of_patient(record);
    [
        name,
        birth_date,
        birth_date_search,
        sex,
        ("study_date", text(&record.study_date)),
        ("study_date_search", search(VR::DA, &record.study_date)),
        ("study_time", text(&record.study_time)),
        ("study_time_search", search(VR::TM, &record.study_time)),
        ("accession_number", text(&record.accession_number)),
        ("study_id", text(&record.study_id)),
        ("study_description", text(&record.study_description)),
        ("referring_physician_name", text(&record.referring_physician_name)),
    ]
}

pub(super) fn of_series(record: &Record) -> [Stated<'_>; 12] {
    [
        ("modality", text(&record.modality)),
        ("series_number", text(&record.series_number)),
        ("series_number_search", search(VR::IS, &record.series_number)),
        ("series_description", text(&record.series_description)),
        ("series_date", text(&record.series_date)),
        ("series_date_search", search(VR::DA, &record.series_date)),
        ("series_time", text(&record.series_time)),
        ("series_time_search", search(VR::TM, &record.series_time)),
        ("body_part_examined", text(&record.body_part_examined)),
        ("protocol_name", text(&record.protocol_name)),
        ("station_name", text(&record.station_name)),
        ("institution_name", text(&record.institution_name)),
    ]
}

fn text(value: &str) -> Cow<'_, str> {
    Cow::Borrowed(value)
}

fn search(vr: VR, value: &str) -> Cow<'static, str> {
    Cow::Owned(search_form(vr, value))
}

/// Adds a row, of which these columns alone say whose it is; answers its number.
pub(super) fn insert(
    index: &Connection,
    table: &str,
    identity: &[(&str, &dyn ToSql)],
    stated: &[Stated<'_>],
) -> rusqlite::Result<i64> {
    let names = identity.iter().map(|column| column.0).chain(stated.iter().map(|column| column.0));
    let names: Vec<&str> = names.collect();
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
    let values =
        identity.iter().map(|column| column.1).chain(stated.iter().map(|column| &column.1 as &dyn ToSql));
    index.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(index.last_insert_rowid())
}

/// States a row anew.
pub(super) fn update(
    index: &Connection,
    table: &str,
    row: i64,
    stated: &[Stated<'_>],
) -> rusqlite::Result<()> {
    let set: Vec<String> = stated.iter().map(|column| format!("{} = ?", column.0)).collect();
    let sql = format!("UPDATE {table} SET {} WHERE id = ?", set.join(", "));
    let values = stated.iter().map(|column| &column.1 as &dyn ToSql).chain([&row as &dyn ToSql]);
    index.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(())
}
