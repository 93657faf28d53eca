//! `dicomet get` from DCMTK's dcmqrscp, from Orthanc, and from our own archive: complete, and byte for byte
//! what the peer holds.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicomet_interop::dcmtk::{Dcmqrscp, getscu, storescu};
use dicomet_interop::dicomet::{Report, Serve, command, dicomet, find, get, get_with, import, text};
use dicomet_interop::files::{Part10, assert_identical, dicom_files, files, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::{Qrscp, script};
use dicomet_testkit::instance::Instance;
use dicomet_testkit::instance::transfer_syntax::*;
use dicomet_testkit::sop_classes::storage_sop_class;
use dicomet_testkit::study::{Plan, Written};
use tempfile::tempdir;

/// 24 MR-sized slices in three series of one study.
fn slices() -> Plan {
    Plan { series: 3, instances: 8, size_bytes: 132 * 1024, ..Plan::default() }
}

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

#[test]
fn a_study_comes_from_dcmqrscp_complete_and_as_getscu_gets_it() {
    let (originals, ours, theirs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());

    let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert!(report.is_complete());
    assert_eq!((report.count("expected"), report.count("retrieved"), report.count("missing")), (24, 24, 0));

    getscu(Dcmqrscp::AE_TITLE, qrscp.port(), "2.999.1.1", theirs.path()).expect_success();
    let ours = instances(ours.path());
    assert_identical(&ours, &instances(theirs.path()));
    assert_identical(&ours, &instances(originals.path()));
}

#[test]
fn a_study_comes_from_orthanc_complete_and_as_getscu_gets_it() {
    let (originals, ours, theirs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert!(report.is_complete());
    assert_eq!((report.count("expected"), report.count("retrieved"), report.count("missing")), (24, 24, 0));

    getscu(Orthanc::AE_TITLE, orthanc.port(), "2.999.1.1", theirs.path()).expect_success();
    let ours = instances(ours.path());
    assert_identical(&ours, &instances(theirs.path()));
    assert_identical(&ours, &instances(originals.path()));
}

#[test]
fn everything_is_got_with_what_a_wildcard_leaves_out() {
    let (originals, by_wildcard, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let mut expected = Vec::new();
    for number in 0..2 {
        let study = format!("2.999.7.{number}");
        let mut instance = Instance::new(&storage_sop_class(0), &format!("{study}.1.1"))
            .in_series(&study, &format!("{study}.1"));
        if number > 0 {
            instance = instance.patient("PAT1", "Doe^Jane", "");
        }
        std::fs::write(originals.path().join(format!("{number}.dcm")), instance.part10()).unwrap();
        expected.push(format!("{study}.1.1"));
    }
    let orthanc = Orthanc::with_files(originals.path());

    // Orthanc 1.10 takes * for "has this attribute".
    let (_, report) = get(&orthanc.node(), &["PatientID=*"], by_wildcard.path());
    assert_eq!((report.count("expected"), report.is_complete()), (1, true));

    let nothing = dicomet(["get", &orthanc.node(), "--output", ours.path().to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stderr.contains("--all"), "{}", nothing.stderr);
    assert!(files(ours.path()).is_empty());

    let (ended, report) = get_with(&orthanc.node(), &[], ours.path(), &["--all"]);
    ended.expect_success();
    assert_eq!((report.count("expected"), report.is_complete()), (2, true));
    assert_eq!(instances(ours.path()).into_keys().collect::<Vec<_>>(), expected);

    let mut both = command(["get", &orthanc.node(), "--all", "--from", "list.csv", "--output"]);
    assert_eq!(run(both.arg(ours.path())).status.code(), Some(2));
}

#[test]
fn a_study_comes_from_pynetdicoms_qrscp_complete_and_identical() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let qrscp = Qrscp::start();
    storescu(Qrscp::AE_TITLE, qrscp.port(), &[originals.path().to_owned()]).expect_success();

    let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("expected"), report.count("retrieved"), report.count("missing")), (24, 24, 0));

    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

/// Instances of one SOP class in several transfer syntaxes: one presentation context could carry only one of
/// them. The compressed pixels are placeholders that nobody could decompress.
fn mixed_transfer_syntaxes(syntaxes: &[&str]) -> Plan {
    let transfer_syntaxes = syntaxes.iter().map(|uid| (*uid).to_owned()).collect();
    Plan { instances: 12, transfer_syntaxes, ..Plan::default() }
}

#[test]
fn compressed_and_native_objects_of_one_class_come_from_dcmqrscp_as_they_are() {
    for (option, syntax) in [
        ("+xy", JPEG_BASELINE),
        ("+xs", JPEG_LOSSLESS_SV1),
        ("+xv", JPEG_2000_LOSSLESS),
        ("+xr", RLE_LOSSLESS),
    ] {
        let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
        mixed_transfer_syntaxes(&[EXPLICIT_VR_LITTLE_ENDIAN, syntax]).write_to(originals.path()).unwrap();
        let qrscp = Dcmqrscp::preferring(option, originals.path());

        // 3.6.7 sends all instances of a class in the first context that was accepted for it, or not at all: what
        // it could not send beside the native ones, it is asked for with its syntax alone.
        let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
        ended.expect_success();
        assert_eq!((report.count("retrieved"), report.count("associations")), (12, 2), "{option}");
        assert_identical(&instances(ours.path()), &instances(originals.path()));
    }
}

#[test]
fn objects_of_one_class_in_several_transfer_syntaxes_come_from_orthanc_as_they_are() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    let syntaxes =
        [EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE, JPEG_LOSSLESS_SV1, JPEG_2000_LOSSLESS, RLE_LOSSLESS];
    mixed_transfer_syntaxes(&syntaxes).write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!(report.count("associations"), 1, "the first pass brings everything");
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn objects_of_one_class_in_several_transfer_syntaxes_come_from_our_archive_as_they_are() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let syntaxes = [
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        JPEG_BASELINE,
        JPEG_2000_LOSSLESS,
    ];
    mixed_transfer_syntaxes(&syntaxes).write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());

    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

/// One study with 200 SOP classes, 40 of them private.
fn many_sop_classes() -> Plan {
    Plan { instances: 200, sop_classes: 200, ..Plan::default() }
}

#[test]
fn a_study_of_200_sop_classes_comes_from_our_archive_complete() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    many_sop_classes().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());

    let (ended, report) = get(&archive.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("expected"), report.count("retrieved")), (200, 200));
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

/// The peer gives this many at least, and the report names each other one.
#[track_caller]
fn assert_as_complete_as_the_peer(node: &str, written: &[Written], at_least: usize) {
    let ours = tempdir().unwrap();
    let (ended, report) = get(node, &[STUDY], ours.path());
    let ours = instances(ours.path());
    let ended = ended.expect_code(if ours.len() == written.len() { 0 } else { 3 });
    assert_eq!(report.count("expected"), 200);
    assert_eq!(report.count("retrieved"), ours.len() as u64);
    assert!(ours.len() >= at_least, "only {} of 200 came: {}", ours.len(), ended.stderr);
    for one in written.iter().filter(|one| !ours.contains_key(&one.sop_instance_uid)) {
        let missing = format!("missing {}: ", one.sop_instance_uid);
        assert!(ended.stderr.contains(&missing), "{} is missing without a word", one.sop_instance_uid);
    }
}

/// Orthanc 1.10.1 accepts no context for three classes: CT Defined and Performed Procedure Protocol, XA Defined
/// Procedure Protocol.
#[test]
fn of_200_sop_classes_orthanc_gives_197_and_the_others_are_named() {
    let originals = tempdir().unwrap();
    let written = many_sop_classes().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    assert_as_complete_as_the_peer(&orthanc.node(), &written, 197);
}

/// dcmqrscp accepts the storage classes that DCMTK 3.6.7 knows, and no private ones.
#[test]
fn of_200_sop_classes_dcmqrscp_gives_141_and_the_others_are_named() {
    let originals = tempdir().unwrap();
    let written = many_sop_classes().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    assert_as_complete_as_the_peer(&qrscp.node(), &written, 141);
}

#[test]
fn a_second_run_asks_only_for_what_is_missing() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    get(&orthanc.node(), &[STUDY], ours.path()).0.expect_success();
    for file in
        files(ours.path()).iter().filter(|file| file.extension().is_some_and(|it| it == "dcm")).take(5)
    {
        std::fs::remove_file(file).unwrap();
    }

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("expected"), report.count("present"), report.count("retrieved")), (24, 19, 5));
    assert_identical(&instances(ours.path()), &instances(originals.path()));

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("present"), report.count("retrieved")), (24, 0));
}

#[test]
fn several_studies_of_a_wildcard_name_come_and_no_other() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    let written = Plan { studies: 12, ..Plan::default() }.write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());

    // Studies 0 and 6 are Bowen's; 5 and 11 are Bower's.
    let (ended, report) = get(&orthanc.node(), &["PatientName=Bowen*"], ours.path());
    ended.expect_success();
    assert_eq!((report.count("studies"), report.count("retrieved")), (2, 6));
    let came: Vec<_> = instances(ours.path()).into_keys().collect();
    let bowen = |uid: &str| uid == "2.999.1.1" || uid == "2.999.1.7";
    let asked = written.into_iter().filter(|one| bowen(&one.study_instance_uid));
    let mut asked: Vec<_> = asked.map(|one| one.sop_instance_uid).collect();
    asked.sort();
    assert_eq!(came, asked);
}

/// Everything comes over so many associations, as it was.
#[track_caller]
fn assert_comes_over(node: &str, originals: &Path, associations: &str) -> Report {
    let ours = tempdir().unwrap();
    let (ended, report) = get_with(node, &[STUDY], ours.path(), &["--associations", associations]);
    ended.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals));
    report
}

#[test]
fn several_associations_bring_the_same_study() {
    for plan in [slices(), Plan { instances: 40, ..Plan::default() }] {
        let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
        plan.write_to(originals.path()).unwrap();
        import(data.path(), originals.path());
        let (archive, orthanc) = (Serve::start(data.path()), Orthanc::with_files(originals.path()));
        for node in [archive.node(), orthanc.node()] {
            let report = assert_comes_over(&node, originals.path(), "4");
            // One that comes when all has been dealt out is not opened any more.
            assert!((2..=4).contains(&report.count("associations")), "{}", report.count("associations"));
        }
    }
}

#[test]
fn a_peer_that_rejects_further_associations_gives_the_study_over_those_it_has() {
    let originals = tempdir().unwrap();
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_at_most(2, originals.path());
    assert_comes_over(&qrscp.node(), originals.path(), "8");
}

#[test]
fn an_instance_or_series_comes_by_its_uid_alone() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    let written = Plan { studies: 3, series: 2, ..Plan::default() }.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let (archive, orthanc) = (Serve::start(data.path()), Orthanc::with_files(originals.path()));
    let instance = format!("SOPInstanceUID={}", written[7].sop_instance_uid);
    for (key, expected) in [(instance.as_str(), 1), ("SeriesInstanceUID=2.999.1.2.1", 3)] {
        // Our archive answers relational queries; for Orthanc every study has to be looked into.
        for (node, walks) in [(archive.node(), false), (orthanc.node(), true)] {
            let ours = tempdir().unwrap();
            let (ended, report) = get(&node, &[key], ours.path());
            let ended = ended.expect_success();
            assert_eq!((report.count("studies"), report.count("retrieved")), (1, expected), "{key}");
            assert_eq!(ended.stderr.contains("StudyInstanceUID beside it"), walks, "{}", ended.stderr);
        }
    }
}

/// Every study of the samples in `testdata/`: CT, MR, CR, DX, US, SR, multi-frame, compressed, in all character
/// sets. All values are those of the files; where getscu gets an instance in the same transfer syntax, it gets the
/// same bytes. Returns what came.
#[track_caller]
fn assert_samples_come(samples: &Path, node: &str, title: &str, port: u16) -> BTreeMap<String, Part10> {
    let ours = tempdir().unwrap();
    let mut compared = 0;
    for study in find(node, &["StudyInstanceUID"]) {
        let uid = text(&study, "0020000D");
        let (ended, report) = get(node, &[&format!("StudyInstanceUID={uid}")], ours.path());
        ended.expect_success();
        assert!(report.is_complete(), "{uid}");
        let theirs = tempdir().unwrap();
        getscu(title, port, &uid, theirs.path());
        let came = instances(ours.path());
        for (uid, theirs) in &instances(theirs.path()) {
            if came[uid].transfer_syntax_uid == theirs.transfer_syntax_uid {
                assert!(came[uid] == *theirs, "{uid} differs");
                compared += 1;
            }
        }
    }
    assert!(compared >= 20, "only {compared} could be compared with getscu's");
    run(script("same_values.py").arg(samples).arg(ours.path())).expect_success();
    instances(ours.path())
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/samples")
}

/// dcmqrscp accepts no two compressed transfer syntaxes at once.
#[test]
fn all_native_samples_come_from_dcmqrscp_as_it_holds_them() {
    let native = tempdir().unwrap();
    let syntaxes = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN];
    for (number, file) in dicom_files(&samples()).into_iter().enumerate() {
        let is_native = |one: &Part10| syntaxes.contains(&one.transfer_syntax_uid.as_str());
        if instances(&file).values().all(is_native) {
            std::fs::copy(&file, native.path().join(format!("{number}.dcm"))).unwrap();
        }
    }
    let qrscp = Dcmqrscp::with_files(native.path());
    assert_samples_come(native.path(), &qrscp.node(), Dcmqrscp::AE_TITLE, qrscp.port());
}

#[test]
fn all_samples_come_from_orthanc_as_it_holds_them() {
    let orthanc = Orthanc::with_files(&samples());
    assert_samples_come(&samples(), &orthanc.node(), Orthanc::AE_TITLE, orthanc.port());
}

#[test]
fn all_samples_come_from_our_archive_as_they_were_imported() {
    let data = tempdir().unwrap();
    import(data.path(), &samples());
    let archive = Serve::start(data.path());
    let ours = assert_samples_come(&samples(), &archive.node(), "DICOMET", archive.port());
    assert_identical(&ours, &instances(&samples()));
}
