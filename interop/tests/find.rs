//! `dicomet find`: wildcards and names in any character set, against Orthanc and our own archive; ours as
//! DCMTK and pynetdicom see it stands in `others.rs`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dicomet_interop::asker::Asker;
use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::dicomet::{AE_TITLE, Serve, dicomet, find, import, text};
use dicomet_interop::orthanc::Orthanc;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_testkit::study::Plan;
use serde_json::Value;
use tempfile::tempdir;

const PATIENT_NAME: &str = "00100010";
const PATIENT_ID: &str = "00100020";
const MODALITIES_IN_STUDY: &str = "00080061";
const SOP_CLASSES_IN_STUDY: &str = "00080062";
const STUDY_INSTANCE_UID: &str = "0020000D";
const NUMBER_OF_STUDY_RELATED_SERIES: &str = "00201206";
const NUMBER_OF_STUDY_RELATED_INSTANCES: &str = "00201208";

/// Six studies: Bowen (ASCII), Müller (Latin-1), Yamada (Japanese), Łukasiewicz (UTF-8), a Cyrillic name, Bower.
fn six_patients() -> Plan {
    Plan { studies: 6, series: 2, instances: 1, ..Plan::default() }
}

fn texts(matches: &[Value], tag: &str) -> BTreeSet<String> {
    matches.iter().map(|one| text(one, tag)).collect()
}

#[track_caller]
fn assert_finds(node: &str, key: &str, patient_ids: &[&str]) -> Vec<Value> {
    // Patient's Name, Patient ID and Study Instance UID come without being asked for.
    let matches = find(node, &[key]);
    let expected: BTreeSet<_> = patient_ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(texts(&matches, PATIENT_ID), expected, "for {key} at {node}: {matches:?}");
    matches
}

/// What every archive answers alike.
#[track_caller]
fn assert_finds_wildcards(node: &str) {
    assert_finds(node, "PatientName=Bowen*", &["PAT004"]);
    assert_finds(node, "PatientName=Bowe?^*", &["PAT004", "PAT009"]);
    assert_finds(node, "PatientID=PAT00?", &["PAT004", "PAT005", "PAT006", "PAT007", "PAT008", "PAT009"]);
    assert_finds(node, "PatientID=PAT005", &["PAT005"]);
    assert_finds(node, "StudyDate=20240102-20240104", &["PAT005", "PAT006", "PAT007"]);
    assert_finds(node, "StudyDate=-20240102", &["PAT004", "PAT005"]);
    assert_finds(node, "StudyInstanceUID=2.999.1.1\\2.999.1.6", &["PAT004", "PAT009"]);
    assert_finds(node, "PatientName=Nobody*", &[]);
}

#[test]
fn wildcards_ranges_and_lists_find_the_same_at_orthanc_at_dcmqrscp_and_at_our_archive() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    six_patients().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    assert_finds_wildcards(&Serve::start(data.path()).node());
    assert_finds_wildcards(&Orthanc::with_files(originals.path()).node());
    assert_finds_wildcards(&Dcmqrscp::with_files(originals.path()).node());
}

#[track_caller]
fn assert_finds_names_beyond_ascii(node: &str) {
    let name = |matches: Vec<Value>| text(&matches[0], PATIENT_NAME);
    assert_eq!(name(assert_finds(node, "PatientName=Müll*", &["PAT005"])), "Müller^Jörg");
    assert_eq!(name(assert_finds(node, "PatientName=Łuka*", &["PAT007"])), "Łukasiewicz^Żaneta");
    assert_eq!(name(assert_finds(node, "PatientName=Люкс*", &["PAT008"])), "Люкс^Иван");
}

#[test]
fn names_beyond_ascii_are_found_at_orthanc_and_shown_as_they_are() {
    let originals = tempdir().unwrap();
    six_patients().write_to(originals.path()).unwrap();
    assert_finds_names_beyond_ascii(&Orthanc::with_files(originals.path()).node());
}

#[test]
fn names_beyond_ascii_are_found_in_our_archive_and_shown_as_they_are() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    six_patients().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    assert_finds_names_beyond_ascii(&archive.node());
}

#[test]
fn a_japanese_name_has_its_three_component_groups_wherever_it_is_found() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    six_patients().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let orthanc = Orthanc::with_files(originals.path());
    for node in [archive.node(), orthanc.node()] {
        let matches = assert_finds(&node, "PatientName=Yamada*", &["PAT006"]);
        assert_eq!(text(&matches[0], PATIENT_NAME), "Yamada^Tarou=山田^太郎=やまだ^たろう", "at {node}");
    }
    let matches = assert_finds(&archive.node(), "PatientName=*=山田*", &["PAT006"]);
    assert_eq!(text(&matches[0], PATIENT_NAME), "Yamada^Tarou=山田^太郎=やまだ^たろう");
}

#[test]
fn our_archive_and_orthanc_count_what_is_in_a_study() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    Plan { series: 2, instances: 3, ..Plan::default() }.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let orthanc = Orthanc::with_files(originals.path());
    let keys = [
        "PatientName=Bowen*",
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ];
    for node in [archive.node(), orthanc.node()] {
        let matches = find(&node, &keys);
        assert_eq!(matches.len(), 1, "at {node}");
        let values = |tag: &str| -> BTreeSet<String> {
            let values = matches[0][tag]["Value"].as_array().cloned().unwrap_or_default();
            values.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(values(MODALITIES_IN_STUDY), ["CT", "MR"].map(str::to_owned).into(), "at {node}");
        let classes = ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"];
        assert_eq!(values(SOP_CLASSES_IN_STUDY), classes.map(str::to_owned).into(), "at {node}");
        assert_eq!(text(&matches[0], NUMBER_OF_STUDY_RELATED_SERIES), "2", "at {node}");
        assert_eq!(text(&matches[0], NUMBER_OF_STUDY_RELATED_INSTANCES), "6", "at {node}");
    }
}

#[test]
fn every_level_is_found_at_our_archive_and_at_orthanc() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    Plan { studies: 2, series: 2, instances: 3, ..Plan::default() }.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let orthanc = Orthanc::with_files(originals.path());
    for node in [archive.node(), orthanc.node()] {
        let count = |keys: &[&str]| find(&node, keys).len();
        assert_eq!(count(&["--model", "patient", "--level", "patient", "PatientID"]), 2, "at {node}");
        assert_eq!(count(&["--level", "study", "StudyInstanceUID"]), 2, "at {node}");
        let study = "StudyInstanceUID=2.999.1.1";
        assert_eq!(count(&["--level", "series", study, "SeriesInstanceUID"]), 2, "at {node}");
        let series = "SeriesInstanceUID=2.999.1.1.2";
        assert_eq!(count(&["--level", "image", study, series, "SOPInstanceUID"]), 3, "at {node}");
    }
}

#[test]
fn a_limit_is_kept_whatever_the_peer_makes_of_the_cancel() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    Plan { studies: 40, instances: 1, ..Plan::default() }.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let orthanc = Orthanc::with_files(originals.path());
    for node in [archive.node(), orthanc.node()] {
        let matches = find(&node, &["StudyInstanceUID", "--limit", "7"]);
        assert_eq!(texts(&matches, STUDY_INSTANCE_UID).len(), 7, "at {node}");
    }
}

#[test]
fn a_cancel_is_answered_with_fe00_within_a_tenth_of_a_second_and_the_next_query_as_ever() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    Plan { studies: 40, instances: 1, ..Plan::default() }.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let (mut asker, _) = Asker::open(AE_TITLE, archive.port(), uids::STUDY_ROOT_FIND.as_str());
    let all = Query::new(Model::StudyRoot, Level::Study).key("StudyInstanceUID").unwrap();
    // Nothing matches by its header, which takes a look at every one.
    let nothing = all.clone().key("PatientAge=999Y").unwrap();
    let mut quickest = Duration::MAX;
    for query in [&all, &nothing].into_iter().cycle().take(10) {
        let identifier = query.identifier().encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let began = Instant::now();
        let answers = asker.ask_and_cancel(&identifier);
        quickest = quickest.min(began.elapsed());
        assert_eq!((answers.identifiers.len(), answers.status), (0, 0xFE00), "{:?}", query.keys);
    }
    // The quickest of ten: the machine may be busy with other things.
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    let identifier = all.identifier().encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let answers = asker.ask(&identifier);
    assert_eq!((answers.identifiers.len(), answers.status), (40, 0));
    asker.release();
}

#[test]
fn each_output_format_shows_the_match() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    six_patients().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    for format in ["table", "json", "jsonl", "csv"] {
        let arguments = ["find", &archive.node(), "PatientName=Müller*", "PatientID", "--format", format];
        let ended = dicomet(arguments).expect_success();
        for text in ["Müller", "PAT005"] {
            assert!(ended.stdout.contains(text), "{format} shows no {text}: {}", ended.stdout);
        }
    }
}

#[test]
fn the_columns_are_those_of_the_level_also_where_a_key_says_it() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    six_patients().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let csv = |level: [&str; 2]| {
        let arguments = ["find", &archive.node(), "--model", "patient", "--format", "csv"];
        dicomet(arguments.into_iter().chain(level.into_iter().filter(|word| !word.is_empty())))
            .expect_success()
            .stdout
    };
    let by_option = csv(["--level", "patient"]);
    assert!(by_option.starts_with("PatientName,PatientID,PatientBirthDate"), "{by_option}");
    assert_eq!(csv(["QueryRetrieveLevel=PATIENT", ""]), by_option);
}
