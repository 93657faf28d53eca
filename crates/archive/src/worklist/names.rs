//! The names of a worklist's items, by which a search is narrowed before any item is read: that of the patient and that
//! of the physician who is to perform the step.

use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::dataset::{DataSet, Tag, VR};
use dicomet_proto::query::{Matching, NameKey, Pattern, normalise_person_name};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, TransactionBehavior, params};

use super::tags;
use crate::index::condition::comparison;
use crate::index::fuzzy::FUZZY_NAME;

const OF_PATIENT: i64 = 1;
const OF_PERFORMING_PHYSICIAN: i64 = 2;

/// The number of an attribute at the top level whose names are indexed.
pub(super) fn number(tag: Tag) -> Option<i64> {
    (tag == tags::PATIENT_NAME).then_some(OF_PATIENT)
}

/// The same of the scheduled procedure step.
pub(super) fn number_of_step(tag: Tag) -> Option<i64> {
    (tag == tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME).then_some(OF_PERFORMING_PHYSICIAN)
}

/// Notes the names of an item, which is in its row already.
pub(super) fn insert(index: &Connection, row: i64, item: &DataSet) -> Result<()> {
    let mut statement = index.prepare_cached(
        "INSERT OR IGNORE INTO worklist_name (attribute, name, item)
         VALUES (?1, ?2, ?3)",
    )?;
    let step = item.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap_or_default();
    let physicians = step.iter().flat_map(|step| step.texts(tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME));
    let patients = item.texts(tags::PATIENT_NAME).into_iter().map(|name| (OF_PATIENT, name));
    for (attribute, name) in patients.chain(physicians.map(|name| (OF_PERFORMING_PHYSICIAN, name))) {
        for group in normalise_person_name(&name).groups().into_iter().filter(|group| !group.is_empty()) {
            statement.execute(params![attribute, group, row])?;
        }
    }
    Ok(())
}

/// Notes the names of items that were put in before names were noted.
pub(super) fn complete(index: &mut Connection) -> Result<()> {
    let without = "SELECT id, item FROM worklist_item WHERE has_names = 0";
    if !index.prepare(without)?.exists([])? {
        return Ok(());
    }
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let items: Vec<(i64, Vec<u8>)> = transaction
        .prepare(without)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    for (row, encoded) in items {
        if let Ok(item) = DataSet::parse(&encoded, &EXPLICIT_VR_LITTLE_ENDIAN) {
            insert(&transaction, row, &item)?;
        }
        transaction.execute("UPDATE worklist_item SET has_names = 1 WHERE id = ?1", [row])?;
    }
    transaction.commit()
}

/// What the names can say of a key; nothing when an item without any name may match. The groups of a name are not told
/// apart here: the key itself has the last word.
pub(super) fn condition(attribute: i64, matching: &Matching, parameters: &mut Vec<Value>) -> Option<String> {
    match matching {
        Matching::PersonName(NameKey::AnyGroup(patterns)) => one_of(attribute, patterns, None, parameters),
        Matching::FuzzyName(key) => match key.exact() {
            NameKey::AnyGroup(patterns) => one_of(attribute, patterns, Some(key.text()), parameters),
            groups @ NameKey::Groups(_) => {
                condition(attribute, &Matching::PersonName(groups.clone()), parameters)
            }
        },
        Matching::PersonName(NameKey::Groups(groups)) => {
            let all: Vec<String> =
                groups.iter().filter_map(|patterns| one_of(attribute, patterns, None, parameters)).collect();
            (!all.is_empty()).then(|| all.join(" AND "))
        }
        // What has several values is left to the key.
        _ => None,
    }
}

/// That one of an item's names fits one of the patterns, or sounds like a key.
fn one_of(
    attribute: i64,
    patterns: &[Pattern],
    sounds_like: Option<&str>,
    parameters: &mut Vec<Value>,
) -> Option<String> {
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches("")) {
        return None;
    }
    let mut any: Vec<String> = patterns
        .iter()
        .map(|pattern| comparison("name", VR::LO, &Matching::Wildcard(pattern.clone()), parameters))
        .collect();
    if let Some(key) = sounds_like {
        parameters.push(Value::Text(key.to_owned()));
        any.push(format!("{FUZZY_NAME}(name, ?)"));
    }
    let any = any.join(" OR ");
    Some(format!("id IN (SELECT item FROM worklist_name WHERE attribute = {attribute} AND ({any}))"))
}

#[cfg(test)]
pub(super) mod tests {
    use dicomet_proto::query::{ExtendedMatching, Level, Model, Query};

    use crate::worklist::WorklistItem;

    pub(in crate::worklist) fn item(number: usize, name: &str) -> WorklistItem {
        let keys = [
            format!("PatientName={name}"),
            format!("PatientID=P{number}"),
            format!("StudyInstanceUID=2.999.{number}"),
            "RequestedProcedureID=R".to_owned(),
            "RequestedProcedureDescription=CT".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledStationAETitle=CT1".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime=1030".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledPerformingPhysicianName=Kühn^Eva".to_owned(),
            "ScheduledProcedureStepSequence.Modality=CT".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepDescription=Thorax".to_owned(),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepID=S".to_owned(),
        ];
        WorklistItem::of_data_set(&query(&keys).keys).unwrap().remove(0)
    }

    pub(in crate::worklist) fn query(keys: &[String]) -> Query {
        let query = Query::new(Model::Worklist, Level::Study);
        keys.iter().fold(query, |query, key| query.key(key).unwrap())
    }

    #[test]
    fn only_items_whose_names_may_match_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let archive = crate::Archive::open(folder.path(), crate::Settings::default()).unwrap();
        let worklist = archive.worklist();
        let others = (1..=100).map(|number| item(number, &format!("Other^{number}=他")));
        worklist.add(&others.chain([item(0, "Bowen^William")]).collect::<Vec<_>>()).unwrap();
        let read = |key: &str, extended| {
            worklist.find(&query(&[key.to_owned()]).matched(extended)).unwrap().rows.len()
        };
        let plain = ExtendedMatching::default();
        assert_eq!(read("PatientName=bowen*", plain), 1);
        assert_eq!(read("PatientName=*will*", plain), 1);
        assert_eq!(read("PatientName=*=他", plain), 100);
        assert_eq!(read("ScheduledProcedureStepSequence.ScheduledPerformingPhysicianName=x*", plain), 0);
        assert_eq!(read("PatientName=Bowin", ExtendedMatching { fuzzy_names: true, ..plain }), 1);
        assert_eq!(read("PatientName", plain), 101);
    }
}
