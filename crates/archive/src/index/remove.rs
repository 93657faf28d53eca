//! The statements that take instances out of the index, and with the last instance of a series, study or patient
//! that as well. The blobs are noted as doomed in the same transaction, and go once it is durable.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::attributes::names;
use super::write::join_lists;
use crate::blob::BlobNumber;

/// An instance that is in the index no more.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) blob: BlobNumber,
}

/// Takes instances out. Costs a look at each, and one at what is left of each of their studies.
pub(crate) fn remove(index: &Connection, instances: &[i64]) -> rusqlite::Result<Vec<Removed>> {
    let mut removed = Vec::with_capacity(instances.len());
    let mut series: BTreeMap<i64, i64> = BTreeMap::new();
    for &instance in instances {
        let (blob, of) = index
            .prepare_cached("SELECT blob, series FROM instance WHERE id = ?1")?
            .query_row([instance], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        doom(index, BlobNumber(blob as u64))?;
        execute(index, "DELETE FROM moved_blob WHERE blob = ?1", blob)?;
        execute(index, "DELETE FROM instance_header WHERE instance = ?1", instance)?;
        execute(index, "DELETE FROM instance WHERE id = ?1", instance)?;
        *series.entry(of).or_default() += 1;
        removed.push(Removed { blob: BlobNumber(blob as u64) });
    }
    let mut studies: BTreeMap<i64, i64> = BTreeMap::new();
    for (series, instances) in series {
        let study = lessen_series(index, series, instances)?;
        *studies.entry(study).or_default() += instances;
    }
    for (study, instances) in studies {
        lessen_study(index, study, instances)?;
    }
    Ok(removed)
}

/// Notes that a blob is to be taken away.
pub(crate) fn doom(index: &Connection, blob: BlobNumber) -> rusqlite::Result<()> {
    execute(index, "INSERT INTO doomed_blob (blob) VALUES (?1)", blob.0 as i64)?;
    execute(index, "UPDATE highest_doomed SET blob = MAX(blob, ?1)", blob.0 as i64)
}

fn execute(index: &Connection, sql: &str, id: i64) -> rusqlite::Result<()> {
    index.prepare_cached(sql)?.execute([id]).map(drop)
}

/// Counts a series' instances down; without any it goes. Answers its study.
fn lessen_series(index: &Connection, series: i64, by: i64) -> rusqlite::Result<i64> {
    let (study, left): (i64, i64) = index
        .prepare_cached(
            "UPDATE series SET instances = instances - ?2 WHERE id = ?1 RETURNING study, instances",
        )?
        .query_row([series, by], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if left == 0 {
        execute(index, "DELETE FROM series_header WHERE series = ?1", series)?;
        execute(index, "DELETE FROM series WHERE id = ?1", series)?;
        execute(index, "UPDATE study SET series = series - 1 WHERE id = ?1", study)?;
    }
    Ok(study)
}

/// Counts a study's instances down; without any it goes, and its patient when that was the last study.
fn lessen_study(index: &Connection, study: i64, by: i64) -> rusqlite::Result<()> {
    let (patient, left): (i64, i64) = index
        .prepare_cached(
            "UPDATE study SET instances = instances - ?2 WHERE id = ?1 RETURNING patient, instances",
        )?
        .query_row([study, by], |row| Ok((row.get(0)?, row.get(1)?)))?;
    recount_lists(index, study)?;
    if left > 0 {
        return Ok(());
    }
    execute(index, "DELETE FROM study_header WHERE study = ?1", study)?;
    index.prepare_cached("DELETE FROM person_name WHERE attribute IN (?2, ?3) AND owner = ?1")?.execute([
        study,
        names::OF_STUDY_PATIENT,
        names::OF_REFERRING_PHYSICIAN,
    ])?;
    execute(index, "DELETE FROM study WHERE id = ?1", study)?;
    let has_studies: bool = index
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM study WHERE patient = ?1)")?
        .query_row([patient], |row| row.get(0))?;
    if !has_studies {
        execute(index, "DELETE FROM patient_header WHERE patient = ?1", patient)?;
        index
            .prepare_cached("DELETE FROM person_name WHERE attribute = ?2 AND owner = ?1")?
            .execute([patient, names::OF_PATIENT])?;
        execute(index, "DELETE FROM patient WHERE id = ?1", patient)?;
    }
    Ok(())
}

/// Finds the modalities and SOP classes of a study anew from what is left in it.
pub(super) fn recount_lists(index: &Connection, study: i64) -> rusqlite::Result<()> {
    execute(index, "DELETE FROM study_modality WHERE study = ?1", study)?;
    execute(index, "DELETE FROM study_sop_class WHERE study = ?1", study)?;
    index
        .prepare_cached(
            "INSERT INTO study_modality (study, modality)
             SELECT DISTINCT study, modality FROM series WHERE study = ?1 AND modality <> ''",
        )?
        .execute([study])?;
    index
        .prepare_cached(
            "INSERT INTO study_sop_class (study, sop_class)
             SELECT DISTINCT series.study, instance.sop_class_uid
             FROM series JOIN instance ON instance.series = series.id
             WHERE series.study = ?1",
        )?
        .execute(params![study])?;
    join_lists(index, study)
}
