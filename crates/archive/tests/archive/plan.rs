//! Retrieve identifiers: which instances they stand for, and how those are read.

use std::fs;
use std::io::Read;

use dicomet_archive::{Archive, Error, Stop};
use dicomet_proto::dataset::Tag;
use dicomet_proto::query::{Level, Model, Query};

use dicomet_testkit::instance::Pixels;

use crate::samples::*;

fn filled() -> (tempfile::TempDir, Archive) {
    let (folder, archive) = archive();
    for (patient, study) in [("P1", 1), ("P1", 2), ("P2", 3)] {
        for series in 1..=2 {
            for number in 1..=2 {
                let study = format!("2.999.{study}");
                let instance = slice(&format!("{study}.{series}.{number}"))
                    .with(tags::PATIENT_ID, patient)
                    .in_series(&study, &format!("{study}.{series}"));
                store(&archive, &instance).unwrap();
            }
        }
    }
    (folder, archive)
}

fn planned(archive: &Archive, query: &Query) -> Vec<String> {
    let instances = archive.plan(query).unwrap();
    instances.iter().map(|instance| instance.sop_instance.to_string()).collect()
}

#[test]
fn each_level_stands_for_its_instances() {
    let (_folder, archive) = filled();
    let of_patient = query_in(Model::PatientRoot, Level::Patient, &[(tags::PATIENT_ID, "P1")]);
    assert_eq!(planned(&archive, &of_patient).len(), 8);
    let of_studies = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1\\2.999.3\\2.999.77")]);
    assert_eq!(planned(&archive, &of_studies).len(), 8);
    let of_series = query(
        Level::Series,
        &[(tags::STUDY_INSTANCE_UID, "2.999.1"), (tags::SERIES_INSTANCE_UID, "2.999.1.2")],
    );
    assert_eq!(planned(&archive, &of_series), ["2.999.1.2.1", "2.999.1.2.2"]);
    let of_images = query(
        Level::Image,
        &[
            (tags::STUDY_INSTANCE_UID, "2.999.1"),
            (tags::SERIES_INSTANCE_UID, "2.999.1.2"),
            (tags::SOP_INSTANCE_UID, "2.999.1.2.2\\2.999.1.1.1"),
        ],
    );
    assert_eq!(planned(&archive, &of_images), ["2.999.1.2.2"]);
}

#[test]
fn a_missing_unique_key_is_refused_never_everything() {
    let (_folder, archive) = filled();
    let refused = |query: &Query, tag: Tag| match archive.plan(query) {
        Err(Error::Refused(refusal)) => {
            assert_eq!((refusal.status.code(), &refusal.offending_elements[..]), (0xA900, &[tag][..]));
        }
        other => panic!("{other:?}"),
    };
    refused(&query(Level::Study, &[]), tags::STUDY_INSTANCE_UID);
    refused(&query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "")]), tags::STUDY_INSTANCE_UID);
    refused(&query(Level::Patient, &[(tags::PATIENT_ID, "P1")]), tags::QUERY_RETRIEVE_LEVEL);
    refused(&query(Level::Image, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]), tags::SOP_INSTANCE_UID);
    // A wildcard is no UID: it stands for nothing.
    assert_eq!(
        planned(&archive, &query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "*")])),
        Vec::<String>::new()
    );
}

#[test]
fn a_list_of_ten_thousand_uids_is_one_question() {
    let (_folder, archive) = filled();
    let list: Vec<String> = (0..10_000).map(|number| format!("2.999.{number}")).collect();
    let all = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, &list.join("\\"))]);
    assert_eq!(planned(&archive, &all).len(), 12);
}

#[test]
fn more_instances_than_a_plan_may_have_cannot_be_counted() {
    let (_folder, archive) = filled();
    let study = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]);
    assert_eq!(archive.plan_of_at_most(4, &study).unwrap().len(), 4);
    match archive.plan_of_at_most(3, &study) {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.status.code(), 0xA701),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_file_is_an_error_and_never_cut_short() {
    let (folder, archive) = filled();
    let instances = archive.plan(&query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")])).unwrap();
    let blob = folder.path().join("data/blobs/000000/000/000000000000.dcm");
    let whole = fs::read(&blob).unwrap();
    fs::write(&blob, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(archive.open_instance(&instances[0]), Err(Error::Damaged(_))));
    fs::remove_file(&blob).unwrap();
    assert!(matches!(archive.open_instance(&instances[0]), Err(Error::Damaged(_))));
    let mut bytes = Vec::new();
    let mut other = archive.open_instance(&instances[1]).unwrap();
    other.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, other.length());
    assert_eq!(bytes.len() as u64, instances[1].data_set_length());
}

#[test]
fn a_flipped_bit_is_found_when_a_small_instance_is_opened_and_before_the_end_of_a_large_one() {
    for (pixels, at_once) in [(3000, true), (3_000_000, false)] {
        let (folder, archive) = archive();
        let instance = slice("2.999.1.1.1").in_series("2.999.1", "2.999.1.1").pixels(Pixels::Native(pixels));
        store(&archive, &instance).unwrap();
        let study = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]);
        let planned = archive.plan(&study).unwrap();
        let flip = || {
            let blob = folder.path().join("data/blobs/000000/000/000000000000.dcm");
            let mut bytes = fs::read(&blob).unwrap();
            let at = bytes.len() - 1000;
            bytes[at] ^= 1;
            fs::write(&blob, bytes).unwrap();
        };
        flip();
        let opened = archive.open_instance(&planned[0]);
        if at_once {
            assert!(matches!(opened, Err(Error::Damaged(_))), "{opened:?}");
        } else {
            let mut cut = Vec::new();
            let error = opened.unwrap().read_to_end(&mut cut).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            assert!((cut.len() as u64) < planned[0].data_set_length());
            assert!(archive.open_instance(&planned[0]).unwrap().prove(&Stop::default()).is_err());
        }
        // What failed stays unproved; what is sound again is read to its end.
        flip();
        let mut sound = Vec::new();
        archive.open_instance(&planned[0]).unwrap().read_to_end(&mut sound).unwrap();
        assert_eq!(sound.len() as u64, planned[0].data_set_length());
        archive.open_instance(&planned[0]).unwrap().prove(&Stop::default()).unwrap();
    }
}
