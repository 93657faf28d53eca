//! The worklist: what is put in is found by what PS3.4 K asks for, and the columns never say otherwise than the
//! plain matcher.

use dicomet_archive::{Archive, Error, Settings, Worklist, worklist::WorklistItem};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::{ExtendedMatching, Level, Model, Query};
use tempfile::TempDir;

use crate::samples::tags;

const STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);
const STATION: Tag = Tag(0x0040, 0x0001);
const START_DATE: Tag = Tag(0x0040, 0x0002);
const START_TIME: Tag = Tag(0x0040, 0x0003);
const PHYSICIAN: Tag = Tag(0x0040, 0x0006);
const STEP_DESCRIPTION: Tag = Tag(0x0040, 0x0007);
const PROTOCOL_CODES: Tag = Tag(0x0040, 0x0008);
const STEP_ID: Tag = Tag(0x0040, 0x0009);
const REQUESTED_PROCEDURE_ID: Tag = Tag(0x0040, 0x1001);
const REQUESTED_PROCEDURE_DESCRIPTION: Tag = Tag(0x0032, 0x1060);
const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
const CODE_MEANING: Tag = Tag(0x0008, 0x0104);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

fn worklist() -> (TempDir, Worklist) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Archive::open(&data, Settings::default()).unwrap());
    let worklist = Worklist::open(&data).unwrap();
    (folder, worklist)
}

fn data_set(elements: &[(Tag, &str)]) -> DataSet {
    let mut data_set = DataSet::new();
    for (tag, text) in elements {
        data_set.set_text(*tag, text);
    }
    data_set
}

fn code(value: &str, meaning: &str) -> DataSet {
    data_set(&[(CODE_VALUE, value), (CODE_MEANING, meaning)])
}

/// Number, patient, modality, station, date, time; the rest follows from the number.
fn item(
    number: usize,
    patient: (&str, &str),
    modality: &str,
    station: &str,
    date: &str,
    time: &str,
) -> DataSet {
    let mut step = data_set(&[
        (STATION, station),
        (START_DATE, date),
        (START_TIME, time),
        (tags::MODALITY, modality),
        (STEP_DESCRIPTION, "Thorax"),
        (STEP_ID, &format!("S{number}")),
    ]);
    if number.is_multiple_of(2) {
        step.set_text(PHYSICIAN, "Kühn^Eva");
    }
    step.set_items(PROTOCOL_CODES, vec![code("C1", "Chest"), code("C2", "Contrast")]);
    let mut item = data_set(&[
        (SPECIFIC_CHARACTER_SET, "ISO_IR 100"),
        (tags::PATIENT_ID, patient.0),
        (tags::PATIENT_NAME, patient.1),
        (tags::STUDY_INSTANCE_UID, &format!("2.999.{number}")),
        (REQUESTED_PROCEDURE_ID, &format!("R{number}")),
        (REQUESTED_PROCEDURE_DESCRIPTION, "CT thorax"),
    ]);
    if number != 3 {
        item.set_text(tags::ACCESSION_NUMBER, &format!("ACC{number}"));
    }
    item.set_items(STEP_SEQUENCE, vec![step]);
    item
}

/// A step of the worklist.
pub(crate) fn sample() -> DataSet {
    samples().remove(0)
}

fn samples() -> Vec<DataSet> {
    vec![
        item(1, ("PAT1", "Bowen^William^^Dr"), "CT", "CT1", "20240131", "1030"),
        item(2, ("PAT2", "Müller^Jörg"), "CT", r"CT1\CT2", "20240131", "143000"),
        item(3, ("PAT3", "Bower^Ann=山田^あん"), "MR", "MR1", "20240201", "08"),
        item(4, ("PAT1", "Bowen^William^^Dr"), "MR", "MR1", "20240215", "120000.5"),
        item(5, ("P?T5", "Bowen"), "CR", "CR1", "2024.03.01", "00:00:00"),
    ]
}

fn add(worklist: &Worklist, data_sets: &[DataSet]) {
    let items: Vec<_> =
        data_sets.iter().flat_map(|data_set| WorklistItem::of_data_set(data_set).unwrap()).collect();
    worklist.add(&items).unwrap();
}

fn filled() -> (TempDir, Worklist) {
    let (folder, worklist) = worklist();
    add(&worklist, &samples());
    (folder, worklist)
}

fn query(keys: &[&str]) -> Query {
    keys.iter().fold(Query::new(Model::Worklist, Level::Study), |query, key| query.key(key).unwrap())
}

fn keyword(key: &str) -> &str {
    key.split_once('=').map_or(key, |(keyword, _)| keyword)
}

fn answers(worklist: &Worklist, keys: &[&str]) -> Vec<DataSet> {
    worklist.find(&query(keys)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn step_of(answer: &DataSet) -> DataSet {
    let mut items = answer.items(STEP_SEQUENCE).unwrap();
    assert_eq!(items.len(), 1, "a response has one step");
    items.remove(0)
}

#[test]
fn every_query_finds_what_the_plain_matcher_finds() {
    let (_folder, worklist) = filled();
    let step = |key: &str| format!("ScheduledProcedureStepSequence.{key}");
    let ask = [
        "PatientID=PAT1",
        "PatientID=PAT?",
        "PatientID=P?T5",
        "PatientID=PAT*",
        "PatientID=pat1",
        r"PatientID=PAT1\PAT3",
        "PatientName=bowe*",
        "PatientName=Muller*",
        "PatientName=Bowen",
        "PatientName=*jorg*",
        "PatientName=Bowe?^*",
        "PatientName=山田*",
        "PatientName==山田*",
        "PatientName=*=*山*",
        "PatientName=bower*=x*",
        "PatientName",
        "AccessionNumber=ACC2",
        "AccessionNumber=*",
        "AccessionNumber=?*",
        "AccessionNumber=",
        "AccessionNumber=NONE",
        "RequestedProcedureID=R3",
        "StudyInstanceUID=2.999.3",
        r"StudyInstanceUID=2.999.1\2.999.5",
        "RequestedProcedureDescription=CT*",
        "PatientBirthDate=19700101",
    ]
    .map(str::to_owned);
    let ask_step = [
        "Modality=CT",
        r"Modality=CT\MR",
        "Modality=C?",
        "Modality=OT",
        "Modality",
        "ScheduledStationAETitle=CT1",
        "ScheduledStationAETitle=CT2",
        "ScheduledStationAETitle=CT*",
        "ScheduledStationAETitle=XX",
        "ScheduledProcedureStepStartDate=20240131",
        "ScheduledProcedureStepStartDate=20240131-20240201",
        "ScheduledProcedureStepStartDate=-20240131",
        "ScheduledProcedureStepStartDate=20240201-",
        "ScheduledProcedureStepStartDate=20240301",
        "ScheduledProcedureStepStartDate=20250101-",
        "ScheduledProcedureStepStartTime=1030",
        "ScheduledProcedureStepStartTime=08-1030",
        "ScheduledProcedureStepStartTime=-0000",
        "ScheduledProcedureStepStartTime=12-",
        "ScheduledPerformingPhysicianName=kuhn*",
        "ScheduledPerformingPhysicianName=*eva",
        "ScheduledProcedureStepID=S4",
        "ScheduledProcedureStepDescription=Th*",
        "ScheduledProtocolCodeSequence.CodeValue=C2",
        "ScheduledProtocolCodeSequence.CodeValue=C3",
    ]
    .map(step);
    let one: Vec<&String> = ask.iter().chain(&ask_step).collect();
    let mut count = 0;
    for first in &one {
        for second in &one {
            // A key is there once; what the answers are told apart by is asked for where it is not.
            let mut keys: Vec<&str> = Vec::new();
            for key in [first.as_str(), second.as_str(), "RequestedProcedureID"] {
                if keys.iter().all(|other| keyword(other) != keyword(key)) {
                    keys.push(key);
                }
            }
            let keys = &keys[..];
            let query = query(keys);
            let mut expected: Vec<String> = samples()
                .iter()
                .filter(|item| query.matches(item))
                .map(|item| item.text(REQUESTED_PROCEDURE_ID).unwrap())
                .collect();
            expected.sort();
            let mut found: Vec<String> = answers(&worklist, keys)
                .iter()
                .map(|answer| answer.text(REQUESTED_PROCEDURE_ID).unwrap())
                .collect();
            found.sort();
            assert_eq!(found, expected, "{keys:?}");
            count += 1;
        }
    }
    assert!(count > 2000);
}

#[test]
fn a_range_of_dates_and_one_of_times_are_one_range_of_moments() {
    let (_folder, worklist) = filled();
    let keys = [
        "RequestedProcedureID",
        "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131-20240201",
        "ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime=1200-1000",
    ];
    let found: Vec<_> =
        answers(&worklist, &keys).iter().map(|answer| answer.text(REQUESTED_PROCEDURE_ID).unwrap()).collect();
    assert_eq!(found, ["R2", "R3"], "PS3.4 Table K.6-1: from the first at 12 until the second at 10");
}

#[test]
fn names_that_sound_alike_are_found_where_that_was_negotiated() {
    let (_folder, worklist) = filled();
    let fuzzy = ExtendedMatching { fuzzy_names: true, ..ExtendedMatching::default() };
    for (name, expected) in [("Wiliam Bowin", 2), ("Bowin", 3), ("=山田*", 1), ("Nobody", 0)] {
        let query = query(&[&format!("PatientName={name}")]);
        assert_eq!(worklist.find(&query.clone().matched(fuzzy)).unwrap().count(), expected, "{name}");
    }
}

#[test]
fn items_that_were_put_in_before_names_were_noted_are_found_by_name() {
    let (folder, worklist) = filled();
    drop(worklist);
    let data = folder.path().join("data");
    rusqlite::Connection::open(data.join("worklist.sqlite"))
        .unwrap()
        .execute_batch("DELETE FROM worklist_name; UPDATE worklist_item SET has_names = 0")
        .unwrap();
    let worklist = Worklist::open(&data).unwrap();
    assert_eq!(answers(&worklist, &["PatientName=bowen*"]).len(), 3);
}

#[test]
fn an_answer_has_what_was_asked_and_nothing_else() {
    let (_folder, worklist) = filled();
    let keys = [
        "PatientName",
        "PatientID=PAT2",
        "PatientBirthDate",
        "ReferencedStudySequence",
        "ScheduledProcedureStepSequence.Modality=CT",
        "ScheduledProcedureStepSequence.ScheduledStationName",
        "ScheduledProcedureStepSequence.ScheduledProtocolCodeSequence.CodeMeaning",
    ];
    let answers = answers(&worklist, &keys);
    assert_eq!(answers.len(), 1);
    let answer = &answers[0];
    assert_eq!(answer.text(tags::PATIENT_NAME).as_deref(), Some("Müller^Jörg"));
    // What the item lacks is there, and empty.
    assert!(answer.contains(Tag(0x0010, 0x0030)) && answer.text(Tag(0x0010, 0x0030)).is_none());
    assert_eq!(answer.items(Tag(0x0008, 0x1110)), Some(Vec::new()));
    assert_eq!(answer.text(SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 100"));
    assert!(!answer.contains(tags::STUDY_INSTANCE_UID));
    let step = step_of(answer);
    assert_eq!(step.tags().collect::<Vec<_>>(), [tags::MODALITY, PROTOCOL_CODES, Tag(0x0040, 0x0010)]);
    let codes = step.items(PROTOCOL_CODES).unwrap();
    assert_eq!(codes.len(), 2);
    assert_eq!(codes[0].tags().collect::<Vec<_>>(), [CODE_MEANING]);
}

#[test]
fn of_a_sequence_the_matching_items_are_returned() {
    let (_folder, worklist) = filled();
    let key = "ScheduledProcedureStepSequence.ScheduledProtocolCodeSequence.CodeValue=C2";
    let answers = answers(&worklist, &[key]);
    assert_eq!(answers.len(), 5);
    let codes = step_of(&answers[0]).items(PROTOCOL_CODES).unwrap();
    assert_eq!(codes, [data_set(&[(CODE_VALUE, "C2")])]);
}

#[test]
fn a_sequence_without_keys_is_returned_whole() {
    let (_folder, worklist) = filled();
    let answers = answers(&worklist, &["ScheduledProcedureStepSequence", "PatientID=PAT3"]);
    let step = step_of(&answers[0]);
    assert_eq!(step.text(STEP_ID).as_deref(), Some("S3"));
    assert_eq!(step.items(PROTOCOL_CODES).unwrap().len(), 2);
}

#[test]
fn answers_come_by_the_start_of_their_steps() {
    let (_folder, worklist) = worklist();
    let mut items = samples();
    items.reverse();
    add(&worklist, &items);
    let ids: Vec<_> = answers(&worklist, &["RequestedProcedureID"])
        .iter()
        .map(|answer| answer.text(REQUESTED_PROCEDURE_ID).unwrap())
        .collect();
    assert_eq!(ids, ["R1", "R2", "R3", "R4", "R5"]);
}

#[test]
fn the_same_step_again_takes_the_place_of_the_first() {
    let (_folder, worklist) = filled();
    let moved = item(1, ("PAT1", "Bowen^William^^Dr"), "CT", "CT9", "20240201", "09");
    let items = WorklistItem::of_data_set(&moved).unwrap();
    let added = worklist.add(&items).unwrap();
    assert_eq!((added.new, added.replaced), (0, 1));
    assert_eq!(answers(&worklist, &["RequestedProcedureID"]).len(), 5);
    let station = "ScheduledProcedureStepSequence.ScheduledStationAETitle";
    assert_eq!(answers(&worklist, &[&format!("{station}=CT9")]).len(), 1);
    assert_eq!(answers(&worklist, &[&format!("{station}=CT1")]).len(), 1);
}

#[test]
fn what_is_replaced_while_a_search_goes_on_is_found_and_once() {
    let (_folder, worklist) = filled();
    let matches = worklist.find(&query(&["RequestedProcedureID"])).unwrap();
    add(&worklist, &samples());
    let ids: Vec<_> = matches.map(|answer| answer.unwrap().text(REQUESTED_PROCEDURE_ID).unwrap()).collect();
    assert_eq!(ids, ["R1", "R2", "R3", "R4", "R5"]);
}

#[test]
fn items_are_removed_by_what_finds_them_and_stay_removed() {
    let (folder, worklist) = filled();
    assert_eq!(worklist.remove(&query(&["PatientID=PAT1"])).unwrap(), 2);
    assert_eq!(worklist.remove(&query(&["PatientID=PAT1"])).unwrap(), 0);
    drop(worklist);
    let worklist = Worklist::open(&folder.path().join("data")).unwrap();
    assert_eq!(answers(&worklist, &["PatientID"]).len(), 3);
    assert_eq!(worklist.remove(&query(&["PatientID"])).unwrap(), 3);
}

#[test]
fn more_items_than_a_page_are_all_found_and_removed() {
    let (_folder, worklist) = worklist();
    let items: Vec<_> =
        (1..=300).map(|number| item(number, ("PAT1", "Bowen"), "CT", "CT1", "20240131", "1030")).collect();
    add(&worklist, &items);
    assert_eq!(answers(&worklist, &["PatientID=PAT1"]).len(), 300);
    assert_eq!(worklist.remove(&query(&["ScheduledProcedureStepSequence.Modality=CT"])).unwrap(), 300);
}

#[test]
fn items_are_put_in_while_the_archive_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), Settings::default()).unwrap();
    let other = Worklist::open(folder.path()).unwrap();
    add(&other, &samples());
    assert_eq!(answers(archive.worklist(), &["PatientName=Bowe*"]).len(), 4);
    other.remove(&query(&["PatientID=PAT3"])).unwrap();
    assert_eq!(answers(archive.worklist(), &["PatientName=Bowe*"]).len(), 3);
}

#[test]
fn where_there_is_no_archive_there_is_no_worklist_and_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for folder in [folder.path(), &nowhere] {
        assert!(matches!(Worklist::open(folder), Err(Error::NoArchive(_))));
    }
    assert!(!nowhere.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_looked_into_is_not_said_to_have_no_archive() {
    let folder = tempfile::tempdir().unwrap();
    // What root cannot look into either: a link to itself.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    assert!(matches!(Worklist::open(&link), Err(Error::Io { .. })));
}

#[test]
fn what_is_no_worklist_query_is_refused() {
    let (_folder, worklist) = filled();
    let refused = |query: &Query| match worklist.find(query) {
        Err(Error::Refused(refusal)) => refusal.status.code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&query(&[])), 0xA900);
    assert_eq!(refused(&Query::new(Model::StudyRoot, Level::Study).key("PatientID").unwrap()), 0xA900);
    let mut broken = query(&[]);
    broken.keys.set_text(tags::STUDY_DATE, "yesterday");
    assert_eq!(refused(&broken), 0xC000);
    assert_eq!(worklist.find(&query(&["PatientID"])).unwrap().status(), Status::PENDING);
}
