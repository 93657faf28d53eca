//! The statements that put an instance into the index, within the writer's transaction.
//!
//! Each costs a few look-ups by key, however large the archive is. A study belongs to one patient by the
//! Patient ID of its instances: the same Study Instance UID under two Patient IDs is two studies, both flagged,
//! whatever the order of arrival. Values of a level are those of its first instance; `restate` has them anew.

use dicomet_proto::dataset::VR;
use dicomet_proto::query::normalise_person_name;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::attributes::names;
use super::header::difference;
use super::normalise::search_form;
use super::record::Record;
use super::stated;
use crate::blob::BlobNumber;

/// An instance of the same SOP Instance UID that is already there.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) id: i64,
    pub(crate) blob: BlobNumber,
    /// Where the data set begins in its file.
    pub(crate) data_set_offset: u64,
    /// Bytes of its file.
    pub(crate) bytes: u64,
    pub(crate) same_bytes: bool,
}

/// The row numbers that new rows are to have; any where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowNumbers {
    pub(super) patient: Option<i64>,
    pub(super) study: Option<i64>,
    pub(super) series: Option<i64>,
    pub(super) instance: Option<i64>,
}

/// What does not agree with what was there before; both sides are kept and flagged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// The Study Instance UID is in use under another Patient ID.
    pub study_of_another_patient: bool,
    /// The study's instances have different patient names or birth dates.
    pub patient_differs_within_study: bool,
    /// The Series Instance UID is in use in another study.
    pub series_of_another_study: bool,
}

impl Conflicts {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self != Conflicts::default()
    }
}

/// Bits of `study.conflict` and `series.conflict`.
const UID_ELSEWHERE: i64 = 1;
const PATIENT_DIFFERS: i64 = 2;

/// Looks for an instance of the record's SOP Instance UID.
pub(crate) fn present(index: &Connection, record: &Record) -> rusqlite::Result<Option<Present>> {
    index
        .prepare_cached(
            "SELECT id, blob, data_set_offset, data_set_offset + data_set_length,
                 data_set_digest = ?2 AND transfer_syntax_uid = ?3 AND sop_class_uid = ?4
             FROM instance
             WHERE sop_instance_uid = ?1",
        )?
        .query_row(
            params![
                record.sop_instance.as_str(),
                record.file.data_set_digest,
                record.transfer_syntax.as_str(),
                record.sop_class.as_str()
            ],
            |row| {
                let number = |column| row.get::<_, i64>(column).map(|number| number as u64);
                Ok(Present {
                    id: row.get(0)?,
                    blob: BlobNumber(number(1)?),
                    data_set_offset: number(2)?,
                    bytes: number(3)?,
                    same_bytes: row.get(4)?,
                })
            },
        )
        .optional()
}

/// Adds an instance whose file lies in `blob`.
pub(crate) fn insert(index: &Connection, record: &Record, blob: BlobNumber) -> rusqlite::Result<Conflicts> {
    insert_as(index, record, blob, RowNumbers::default())
}

/// The same, where what has no row yet gets these row numbers, which are free then.
pub(super) fn insert_as(
    index: &Connection,
    record: &Record,
    blob: BlobNumber,
    numbers: RowNumbers,
) -> rusqlite::Result<Conflicts> {
    let mut conflicts = Conflicts::default();
    let patient = patient(index, record, numbers.patient)?;
    let study = study(index, record, patient, numbers.study, &mut conflicts)?;
    let series = series(index, record, study.id, numbers.series, &mut conflicts)?;
    let instance = instance(index, record, series.id, blob, numbers.instance)?;

    let difference = difference(&series.common, &record.headers.instance);
    if !difference.is_empty() {
        index
            .prepare_cached("INSERT INTO instance_header (instance, difference) VALUES (?1, ?2)")?
            .execute(params![instance, difference])?;
    }
    index
        .prepare_cached("UPDATE series SET instances = instances + 1 WHERE id = ?1")?
        .execute([series.id])?;
    index
        .prepare_cached("UPDATE study SET instances = instances + 1, series = series + ?2 WHERE id = ?1")?
        .execute(params![study.id, i64::from(series.is_new)])?;

    let known = |list: &str, value: &str| value.is_empty() || list.split('\\').any(|known| known == value);
    let new_modality = !known(&study.modalities, &record.modality);
    let new_sop_class = !known(&study.sop_classes, record.sop_class.as_str());
    if new_modality {
        index
            .prepare_cached("INSERT OR IGNORE INTO study_modality (study, modality) VALUES (?1, ?2)")?
            .execute(params![study.id, record.modality])?;
    }
    if new_sop_class {
        index
            .prepare_cached("INSERT OR IGNORE INTO study_sop_class (study, sop_class) VALUES (?1, ?2)")?
            .execute(params![study.id, record.sop_class.as_str()])?;
    }
    if new_modality || new_sop_class {
        join_lists(index, study.id)?;
    }
    Ok(conflicts)
}

fn patient(index: &Connection, record: &Record, number: Option<i64>) -> rusqlite::Result<i64> {
    let lone_study = if record.patient_id.is_empty() { record.study.as_str() } else { "" };
    let found = index
        .prepare_cached(
            "SELECT id FROM patient WHERE patient_id = ?1 AND issuer_of_patient_id = ?2 AND lone_study = ?3",
        )?
        .query_row(params![record.patient_id, record.issuer_of_patient_id, lone_study], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let identity: [(&str, &dyn ToSql); 4] = [
        ("id", &number),
        ("patient_id", &record.patient_id),
        ("issuer_of_patient_id", &record.issuer_of_patient_id),
        ("lone_study", &lone_study),
    ];
    let id = stated::insert(index, "patient", &identity, &stated::of_patient(record))?;
    index
        .prepare_cached("INSERT INTO patient_header (patient, header) VALUES (?1, ?2)")?
        .execute(params![id, record.headers.patient])?;
    add_name(index, names::OF_PATIENT, id, &record.patient_name)?;
    Ok(id)
}

struct Study {
    id: i64,
    modalities: String,
    sop_classes: String,
}

fn study(
    index: &Connection,
    record: &Record,
    patient: i64,
    number: Option<i64>,
    conflicts: &mut Conflicts,
) -> rusqlite::Result<Study> {
    let found = index
        .prepare_cached(
            "SELECT id, modalities, sop_classes, conflict, patient_name, patient_birth_date
             FROM study
             WHERE study_instance_uid = ?1 AND patient = ?2",
        )?
        .query_row(params![record.study.as_str(), patient], |row| {
            let study = Study { id: row.get(0)?, modalities: row.get(1)?, sop_classes: row.get(2)? };
            Ok((study, row.get::<_, i64>(3)?, row.get::<_, String>(4)?, row.get::<_, String>(5)?))
        })
        .optional()?;
    if let Some((study, flags, name, birth_date)) = found {
        let differs = normalise_person_name(&name) != normalise_person_name(&record.patient_name)
            || search_form(VR::DA, &birth_date) != search_form(VR::DA, &record.patient_birth_date);
        if differs && flags & PATIENT_DIFFERS == 0 {
            index
                .prepare_cached("UPDATE study SET conflict = conflict | ?2 WHERE id = ?1")?
                .execute([study.id, PATIENT_DIFFERS])?;
        }
        conflicts.patient_differs_within_study = differs;
        conflicts.study_of_another_patient = flags & UID_ELSEWHERE != 0;
        return Ok(study);
    }

    conflicts.study_of_another_patient = index
        .prepare_cached("UPDATE study SET conflict = conflict | ?2 WHERE study_instance_uid = ?1")?
        .execute(params![record.study.as_str(), UID_ELSEWHERE])?
        > 0;
    let conflict = if conflicts.study_of_another_patient { UID_ELSEWHERE } else { 0 };
    let identity: [(&str, &dyn ToSql); 6] = [
        ("id", &number),
        ("patient", &patient),
        ("study_instance_uid", &record.study.as_str()),
        ("conflict", &conflict),
        ("patient_id", &record.patient_id),
        ("issuer_of_patient_id", &record.issuer_of_patient_id),
    ];
    let id = stated::insert(index, "study", &identity, &stated::of_study(record))?;
    index
        .prepare_cached("INSERT INTO study_header (study, header) VALUES (?1, ?2)")?
        .execute(params![id, record.headers.study])?;
    add_name(index, names::OF_STUDY_PATIENT, id, &record.patient_name)?;
    add_name(index, names::OF_REFERRING_PHYSICIAN, id, &record.referring_physician_name)?;
    Ok(Study { id, modalities: String::new(), sop_classes: String::new() })
}

struct Series {
    id: i64,
    is_new: bool,
    common: Vec<u8>,
}

fn series(
    index: &Connection,
    record: &Record,
    study: i64,
    number: Option<i64>,
    conflicts: &mut Conflicts,
) -> rusqlite::Result<Series> {
    let found = index
        .prepare_cached(
            "SELECT series.id, series.conflict, series_header.common
             FROM series JOIN series_header ON series_header.series = series.id
             WHERE series.study = ?1 AND series.series_instance_uid = ?2",
        )?
        .query_row(params![study, record.series.as_str()], |row| {
            Ok((Series { id: row.get(0)?, is_new: false, common: row.get(2)? }, row.get::<_, i64>(1)?))
        })
        .optional()?;
    if let Some((series, flags)) = found {
        conflicts.series_of_another_study = flags & UID_ELSEWHERE != 0;
        return Ok(series);
    }

    conflicts.series_of_another_study = index
        .prepare_cached("UPDATE series SET conflict = conflict | ?2 WHERE series_instance_uid = ?1")?
        .execute(params![record.series.as_str(), UID_ELSEWHERE])?
        > 0;
    let conflict = if conflicts.series_of_another_study { UID_ELSEWHERE } else { 0 };
    let identity: [(&str, &dyn ToSql); 4] = [
        ("id", &number),
        ("study", &study),
        ("series_instance_uid", &record.series.as_str()),
        ("conflict", &conflict),
    ];
    let id = stated::insert(index, "series", &identity, &stated::of_series(record))?;
    index
        .prepare_cached("INSERT INTO series_header (series, header, common) VALUES (?1, ?2, ?3)")?
        .execute(params![id, record.headers.series, record.headers.instance])?;
    Ok(Series { id, is_new: true, common: record.headers.instance.clone() })
}

fn instance(
    index: &Connection,
    record: &Record,
    series: i64,
    blob: BlobNumber,
    number: Option<i64>,
) -> rusqlite::Result<i64> {
    index
        .prepare_cached(
            "INSERT INTO instance (id, series, sop_instance_uid, sop_class_uid, transfer_syntax_uid,
                 instance_number, instance_number_search, blob, data_set_offset, data_set_length,
                 data_set_digest, received_at, calling_ae_title)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            number,
            series,
            record.sop_instance.as_str(),
            record.sop_class.as_str(),
            record.transfer_syntax.as_str(),
            record.instance_number,
            search_form(VR::IS, &record.instance_number),
            blob.0 as i64,
            record.file.data_set_offset as i64,
            record.file.data_set_length as i64,
            record.file.data_set_digest,
            record.file.received_at,
            record.file.calling_ae_title.as_ref().map_or("", |title| title.as_str()),
        ])?;
    Ok(index.last_insert_rowid())
}

/// Notes each component group of each value of a person name.
pub(super) fn add_name(index: &Connection, attribute: i64, owner: i64, name: &str) -> rusqlite::Result<()> {
    let mut insert = index.prepare_cached(
        "INSERT OR IGNORE INTO person_name (attribute, name, owner, component_group) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for value in name.split('\\') {
        for (number, group) in (0_i64..).zip(normalise_person_name(value).groups()) {
            if !group.is_empty() {
                insert.execute(params![attribute, group, owner, number])?;
            }
        }
    }
    Ok(())
}

/// Joins the modalities and SOP classes of a study into its row, in the order of their text.
pub(super) fn join_lists(index: &Connection, study: i64) -> rusqlite::Result<()> {
    index
        .prepare_cached(
            r"UPDATE study
              SET modalities = COALESCE((SELECT GROUP_CONCAT(modality, '\')
                      FROM (SELECT modality FROM study_modality WHERE study = ?1 ORDER BY modality)), ''),
                  sop_classes = COALESCE((SELECT GROUP_CONCAT(sop_class, '\')
                      FROM (SELECT sop_class FROM study_sop_class WHERE study = ?1 ORDER BY sop_class)), '')
              WHERE id = ?1",
        )?
        .execute([study])?;
    Ok(())
}
