//! One item of a worklist: one scheduled procedure step and what it belongs to, checked against PS3.4 Table
//! K.6-1. What that table wants in every answer (return key type 1) an item must have.

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::dataset::{DataSet, Tag, VR, dictionary};
use dicomet_proto::query::range;
use dicomet_proto::uid::InvalidUid;

use super::tags;
use crate::index::normalise::{search_form, trim};

/// The longest item, in bytes. A full one has some 2 KiB.
const MAX_LENGTH: usize = 64 * 1024;

/// What must have a value at the top level: return key type 1.
const REQUIRED: [Tag; 4] =
    [tags::PATIENT_NAME, tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::REQUESTED_PROCEDURE_ID];

/// What must have a value in the scheduled procedure step.
const REQUIRED_OF_STEP: [Tag; 5] = [
    tags::SCHEDULED_STATION_AE_TITLE,
    tags::SCHEDULED_PROCEDURE_STEP_START_DATE,
    tags::SCHEDULED_PROCEDURE_STEP_START_TIME,
    tags::MODALITY,
    tags::SCHEDULED_PROCEDURE_STEP_ID,
];

/// Attributes of which there is one value; with more of them, nobody could say which one is meant.
const SINGLE: [Tag; 4] =
    [tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::REQUESTED_PROCEDURE_ID, tags::ACCESSION_NUMBER];

/// The same of the scheduled procedure step.
const SINGLE_OF_STEP: [Tag; 4] = [
    tags::SCHEDULED_PROCEDURE_STEP_START_DATE,
    tags::SCHEDULED_PROCEDURE_STEP_START_TIME,
    tags::MODALITY,
    tags::SCHEDULED_PROCEDURE_STEP_ID,
];

/// An item that is fit to be put into a worklist.
#[derive(Debug, Clone, PartialEq)]
pub struct WorklistItem {
    data_set: DataSet,
    step: DataSet,
    encoded: Vec<u8>,
}

/// Why an item is not put into a worklist. The words name attributes, no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidItem {
    /// There is no Scheduled Procedure Step Sequence, or no item in it.
    #[error("ScheduledProcedureStepSequence (0040,0100) is missing or has no item")]
    NoStep,
    /// What every item must have (PS3.4 Table K.6-1, return key type 1 and 1C) has no value.
    #[error("without a value, and PS3.4 Table K.6-1 requires one: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// An attribute has several values and may have one.
    #[error("{0} has more than one value")]
    SeveralValues(String),
    /// A value is not one of its VR.
    #[error("{attribute}: {reason}")]
    Invalid {
        /// Which one.
        attribute: String,
        /// What it must look like.
        reason: String,
    },
    /// It is longer than an item may be.
    #[error("the item has {0} bytes; at most {MAX_LENGTH} are taken")]
    TooLong(usize),
}

impl WorklistItem {
    /// The items that a data set stands for: one for each scheduled procedure step in it, for an answer has but
    /// one (PS3.4 K.6.1.1).
    ///
    /// # Errors
    /// [`InvalidItem`].
    pub fn of_data_set(data_set: &DataSet) -> Result<Vec<WorklistItem>, InvalidItem> {
        let steps = data_set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap_or_default();
        if steps.is_empty() {
            return Err(InvalidItem::NoStep);
        }
        let mut common = data_set.clone();
        for tag in data_set.tags().filter(|tag| !is_kept(*tag)) {
            common.remove(tag);
        }
        steps.into_iter().map(|step| WorklistItem::of_step(&common, step)).collect()
    }

    fn of_step(common: &DataSet, step: DataSet) -> Result<WorklistItem, InvalidItem> {
        let mut data_set = common.clone();
        data_set.set_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step.clone()]);
        check_values(&data_set, &step)?;
        // The transfer syntax is one that can be written.
        let encoded = data_set.encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap_or_default();
        if encoded.len() > MAX_LENGTH {
            return Err(InvalidItem::TooLong(encoded.len()));
        }
        Ok(WorklistItem { data_set, step, encoded })
    }

    /// The item as a data set.
    pub fn data_set(&self) -> &DataSet {
        &self.data_set
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// A value in the form of the columns.
    pub(super) fn column(&self, tag: Tag) -> String {
        search_form(dictionary::vr_of(tag), &self.data_set.text(tag).unwrap_or_default())
    }

    /// A value of the scheduled procedure step in the form of the columns.
    pub(super) fn column_of_step(&self, tag: Tag) -> String {
        search_form(dictionary::vr_of(tag), &self.step.text(tag).unwrap_or_default())
    }

    /// The stations that the step is scheduled for.
    pub(super) fn stations(&self) -> Vec<String> {
        let titles = self.step.texts(tags::SCHEDULED_STATION_AE_TITLE);
        titles.iter().map(|title| trim(title).to_owned()).collect()
    }
}

/// File meta information, group lengths and what only a query has are no part of an item.
fn is_kept(tag: Tag) -> bool {
    tag.0 > 0x0002 && tag.1 != 0 && tag != tags::QUERY_RETRIEVE_LEVEL
}

fn check_values(data_set: &DataSet, step: &DataSet) -> Result<(), InvalidItem> {
    let mut missing: Vec<String> = Vec::new();
    missing.extend(REQUIRED.iter().filter(|tag| !has_value(data_set, **tag)).map(|tag| name(*tag)));
    missing
        .extend(REQUIRED_OF_STEP.iter().filter(|tag| !has_value(step, **tag)).map(|tag| name_in_step(*tag)));
    // Type 1C: the text or the code, or both.
    if !has_value(data_set, tags::REQUESTED_PROCEDURE_DESCRIPTION)
        && !has_value(data_set, tags::REQUESTED_PROCEDURE_CODE_SEQUENCE)
    {
        missing.push("RequestedProcedureDescription or RequestedProcedureCodeSequence".to_owned());
    }
    if !has_value(step, tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION)
        && !has_value(step, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE)
    {
        let [description, code] =
            [tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE];
        missing.push(format!("{} or {}", name_in_step(description), name(code)));
    }
    if !missing.is_empty() {
        return Err(InvalidItem::Missing(missing));
    }
    let several = |data_set: &DataSet, tag: Tag| data_set.texts(tag).len() > 1;
    if let Some(tag) = SINGLE.into_iter().find(|tag| several(data_set, *tag)) {
        return Err(InvalidItem::SeveralValues(name(tag)));
    }
    if let Some(tag) = SINGLE_OF_STEP.into_iter().find(|tag| several(step, *tag)) {
        return Err(InvalidItem::SeveralValues(name_in_step(tag)));
    }
    check_uid(data_set)?;
    check_moment(step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "a date is YYYYMMDD")?;
    check_moment(step, tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, "a time is HHMMSS or a part of it")
}

fn check_uid(data_set: &DataSet) -> Result<(), InvalidItem> {
    let text = data_set.text(tags::STUDY_INSTANCE_UID).unwrap_or_default();
    Uid::new(text).map(|_| ()).map_err(|rule: InvalidUid| InvalidItem::Invalid {
        attribute: name(tags::STUDY_INSTANCE_UID),
        reason: rule.to_string(),
    })
}

fn check_moment(step: &DataSet, tag: Tag, vr: VR, rule: &str) -> Result<(), InvalidItem> {
    let text = step.text(tag).unwrap_or_default();
    match range::normalise(vr, &text) {
        Some(_) => Ok(()),
        None => Err(InvalidItem::Invalid { attribute: name_in_step(tag), reason: rule.to_owned() }),
    }
}

/// Whether an element has a value other than padding, or a sequence an item.
fn has_value(data_set: &DataSet, tag: Tag) -> bool {
    match data_set.items(tag) {
        Some(items) => !items.is_empty(),
        None => data_set.text(tag).is_some_and(|text| !trim(&text).is_empty()),
    }
}

fn name(tag: Tag) -> String {
    dictionary::keyword_of(tag).map_or_else(|| tag.to_string(), str::to_owned)
}

fn name_in_step(tag: Tag) -> String {
    format!("ScheduledProcedureStepSequence.{}", name(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> DataSet {
        let mut step = DataSet::new();
        step.set_text(tags::SCHEDULED_STATION_AE_TITLE, "CT1");
        step.set_text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, "20240131");
        step.set_text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, "1030");
        step.set_text(tags::MODALITY, "CT");
        step.set_text(tags::SCHEDULED_PROCEDURE_STEP_ID, "S1");
        step.set_text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, "Thorax");
        let mut item = DataSet::new();
        item.set_text(tags::PATIENT_NAME, "Bowen^William^^Dr");
        item.set_text(tags::PATIENT_ID, "PAT004");
        item.set_text(tags::STUDY_INSTANCE_UID, "2.999.1");
        item.set_text(tags::REQUESTED_PROCEDURE_ID, "R1");
        item.set_text(tags::REQUESTED_PROCEDURE_DESCRIPTION, "CT thorax");
        item.set_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
        item
    }

    fn with_step(change: impl FnOnce(&mut DataSet)) -> DataSet {
        let mut item = whole();
        let mut step = item.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().remove(0);
        change(&mut step);
        item.set_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
        item
    }

    fn error(item: &DataSet) -> String {
        WorklistItem::of_data_set(item).unwrap_err().to_string()
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let mut item = with_step(|step| {
            step.remove(tags::MODALITY);
            step.remove(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION);
        });
        item.set_text(tags::PATIENT_ID, "  ");
        let error = error(&item);
        for name in [
            "PatientID",
            "ScheduledProcedureStepSequence.Modality",
            "ScheduledProcedureStepDescription or ScheduledProtocolCodeSequence",
        ] {
            assert!(error.contains(name), "{error}");
        }
        assert!(!error.contains("PatientName"), "{error}");
    }

    #[test]
    fn an_item_without_a_step_is_none() {
        let mut item = whole();
        item.set_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, Vec::new());
        assert_eq!(WorklistItem::of_data_set(&item), Err(InvalidItem::NoStep));
    }

    #[test]
    fn values_that_could_not_be_found_again_are_refused() {
        let date = tags::SCHEDULED_PROCEDURE_STEP_START_DATE;
        assert!(error(&with_step(|step| step.set_text(date, "20240101-"))).contains("a date is YYYYMMDD"));
        let modality = with_step(|step| step.set_text(tags::MODALITY, r"CT\MR"));
        assert!(error(&modality).contains("Modality has more than one value"));
        let mut item = whole();
        item.set_text(tags::STUDY_INSTANCE_UID, "1.2.x");
        assert!(error(&item).starts_with("StudyInstanceUID: "));
        item = whole();
        item.set_text(Tag(0x0010, 0x4000), &"x".repeat(70_000));
        assert!(error(&item).contains("at most 65536"));
    }

    #[test]
    fn each_step_is_an_item_of_its_own() {
        let mut item = whole();
        let first = item.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().remove(0);
        let mut second = first.clone();
        second.set_text(tags::SCHEDULED_PROCEDURE_STEP_ID, "S2");
        second.set_text(tags::SCHEDULED_STATION_AE_TITLE, r"CT1\CT2 ");
        item.set_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![first, second]);
        item.set_text(tags::QUERY_RETRIEVE_LEVEL, "STUDY");
        let items = WorklistItem::of_data_set(&item).unwrap();
        let steps: Vec<_> =
            items.iter().map(|item| item.column_of_step(tags::SCHEDULED_PROCEDURE_STEP_ID)).collect();
        assert_eq!(steps, ["S1", "S2"]);
        assert_eq!(items[1].stations(), ["CT1", "CT2"]);
        assert_eq!(items[0].column_of_step(tags::SCHEDULED_PROCEDURE_STEP_START_TIME), "103000.000000");
        assert!(!items[0].data_set().contains(tags::QUERY_RETRIEVE_LEVEL));
    }
}
