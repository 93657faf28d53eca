use dicomet_proto::dataset::Tag;
use dicomet_proto::query::{Level, Model};

use super::*;

const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);

fn read(text: impl AsRef<[u8]>) -> Result<List, ListError> {
    List::read(text.as_ref(), Query::new(Model::StudyRoot, Level::Study), None)
}

fn lines(list: &List) -> Vec<Line> {
    list.lines().unwrap().map(|line| line.unwrap().unwrap()).collect()
}

fn bad_lines(text: impl AsRef<[u8]>) -> Vec<(u64, String)> {
    match read(text).unwrap_err() {
        ListError::BadLines { bad, .. } => bad.into_iter().map(|line| (line.number, line.reason)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn csv_is_read_whatever_separates_it_and_with_a_byte_order_mark() {
    for text in [
        "PatientID,StudyDate,AccessionNumber\nPAT1,20240101-20240131,\n\nPAT2,,\"A,1\"\n",
        "\u{feff}PatientID;StudyDate;AccessionNumber\r\nPAT1;20240101-20240131;\r\n\r\nPAT2;;A,1\r\n",
        "PatientID\tStudyDate\tAccessionNumber\nPAT1\t20240101-20240131\t\n\nPAT2\t\tA,1",
    ] {
        let list = read(text).unwrap();
        let lines = lines(&list);
        assert_eq!((list.len(), lines.len()), (2, 2), "{text}");
        assert_eq!((lines[0].number, lines[1].number), (2, 4), "empty lines count");
        assert_eq!(lines[0].query.keys.text(STUDY_DATE).as_deref(), Some("20240101-20240131"));
        assert!(!lines[0].query.keys.contains(ACCESSION_NUMBER), "an empty field is no key");
        assert_eq!(lines[1].query.keys.text(ACCESSION_NUMBER).as_deref(), Some("A,1"));
        assert_eq!(lines[1].query.keys.text(PATIENT_ID).as_deref(), Some("PAT2"));
    }
}

#[test]
fn json_lines_are_objects_of_keyword_and_value() {
    let text =
        "\n{\"StudyInstanceUID\": [\"1.2\", \"1.3\"], \"Modality\": null}\n{\"AccessionNumber\": 4711}\n";
    let lines = lines(&read(text).unwrap());
    assert_eq!(lines[0].query.keys.text(STUDY_INSTANCE_UID).as_deref(), Some("1.2\\1.3"));
    assert!(!lines[0].query.keys.contains(MODALITY));
    assert_eq!((lines[0].number, lines[1].number), (2, 3));
    assert_eq!(lines[1].query.keys.text(ACCESSION_NUMBER).as_deref(), Some("4711"));
}

#[test]
fn keys_that_hold_for_all_lines_are_added_to_each() {
    let base = Query::new(Model::StudyRoot, Level::Study).key("Modality=CT").unwrap();
    let list = List::read(&b"1.2.3\n1.2.4\n"[..], base, Some("StudyInstanceUID")).unwrap();
    let lines = lines(&list);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.query.keys.text(MODALITY).as_deref() == Some("CT")));
    assert_eq!(lines[1].query.keys.text(STUDY_INSTANCE_UID).as_deref(), Some("1.2.4"));
    assert_eq!(lines[1].keys["StudyInstanceUID"], "1.2.4");
}

#[test]
fn all_bad_lines_are_told_with_their_numbers_and_what_is_wrong() {
    let bad = bad_lines("PatientID,StudyDate\nPAT1,2024-01-31\nPAT2\n,\nPAT3,20240131\n");
    assert_eq!(bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(bad[0].1.contains("StudyDate"), "{}", bad[0].1);
    assert_eq!(bad[1].1, "it has 1 fields, and the header has 2");
    assert!(bad[2].1.contains("no key has a value"));

    let bad = bad_lines(
        "{\"PatientID\":\"1\"}\n{\"PatientID\":{}}\n[1]\n{\"Patient\":\"1\"}\n{\"PatientID\":true}\n",
    );
    assert_eq!(bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 5]);

    let bad = bad_lines(b"PatientID\nA\nM\xfcller\n");
    assert_eq!(bad, [(3, "it is not UTF-8".to_owned())]);
}

#[test]
fn of_many_bad_lines_the_first_are_told_and_the_others_counted() {
    let text = "StudyDate\n".to_owned() + &"yesterday\n".repeat(30);
    match read(text).unwrap_err() {
        ListError::BadLines { bad, more } => assert_eq!((bad.len(), more), (MAX_BAD_LINES, 10)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_has_no_header_is_not_guessed() {
    let error = read("1.2.3\n1.2.4\n").unwrap_err();
    assert!(matches!(error, ListError::NoHeader { is_single: true, is_uid: true, .. }), "{error}");
    let error = read("A4711\n").unwrap_err();
    assert!(matches!(error, ListError::NoHeader { is_single: true, is_uid: false, .. }), "{error}");
    let error = read("PAT1,20240101\n").unwrap_err();
    assert!(matches!(error, ListError::NoHeader { is_single: false, .. }), "{error}");
    let error = read("PatientID,Remarks\nPAT1,urgent\n").unwrap_err();
    assert_eq!(error.to_string(), "column 2 of the list, 'Remarks', is no keyword of the DICOM dictionary");
    assert!(matches!(read("").unwrap_err(), ListError::Empty));
    assert!(matches!(read("PatientID\n").unwrap_err(), ListError::Empty));
}

#[test]
fn a_header_is_no_value_of_its_own_key() {
    let base = Query::new(Model::StudyRoot, Level::Study);
    let error = List::read(&b"AccessionNumber\nA1\n"[..], base, Some("AccessionNumber")).unwrap_err();
    assert!(matches!(error, ListError::HeaderIsNoValue(_)), "{error}");
}

#[test]
fn what_would_be_lost_in_reading_is_told_and_not_asked_for_in_part() {
    let bad = bad_lines("AccessionNumber\nA1\rA2\nA3\r\n\"A4\nA5\"\n\"A6\"\n");
    assert_eq!(bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 4, 5], "{bad:?}");
    assert!(bad[0].1.contains("carriage return") && bad[1].1.contains("quotation mark"), "{bad:?}");

    let bad = bad_lines(
        "{\"PatientID\": \"1\"}\n{\"PatientID\": \"1\", \"PatientID\": \"2\"}\n{\"PatientID\": 1.20}\n\
         {\"PatientID\": 12345678901234567890123}\n{\"PatientID\": 12345678901234567890}\n",
    );
    assert_eq!(bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4], "{bad:?}");
    assert!(bad[0].1.contains("twice") && bad[1].1.contains("as a text"), "{bad:?}");

    for (text, says) in [
        (
            "PatientID,StudyDate,PatientID\n1,20240131,2\n",
            "column 3 of the list, 'PatientID', stands there twice",
        ),
        ("\"PatientID\n1\n", "quotation mark"),
        ("AccessionNumber\rA1\rA2\r", "carriage return"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
