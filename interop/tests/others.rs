//! Everybody's clients against `dicomet serve`: DCMTK's and pynetdicom's echoscu, storescu, findscu and getscu.
//! They get the right answers, and the same bytes that were stored.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use dicomet_interop::dcmtk::{getscu, storescu, tool};
use dicomet_interop::dicomet::{Serve, find, get, text};
use dicomet_interop::files::{Part10, assert_identical, dicom_files, instances};
use dicomet_interop::process::{Ended, run};
use dicomet_interop::pynetdicom::{application, script};
use dicomet_testkit::instance::transfer_syntax::*;
use dicomet_testkit::study::Plan;
use tempfile::{TempDir, tempdir};

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

/// An archive of its own, empty, and the folder it lives in.
fn empty_archive() -> (Serve, TempDir) {
    let data = tempdir().unwrap();
    (Serve::start(data.path()), data)
}

/// An archive into which storescu has put two studies of six slices each, and those.
fn filled_by_storescu() -> (Serve, TempDir, TempDir) {
    let (archive, data) = empty_archive();
    let originals = tempdir().unwrap();
    Plan { studies: 2, series: 2, size_bytes: 132 * 1024, ..Plan::default() }
        .write_to(originals.path())
        .unwrap();
    storescu("DICOMET", archive.port(), &[originals.path().to_owned()]).expect_success();
    (archive, data, originals)
}

/// A client with the archive's address before its arguments (pynetdicom) or behind them (DCMTK takes both).
fn against(mut client: Command, archive: &Serve, arguments: &[&str]) -> Ended {
    client.args(["-aec", "DICOMET", "127.0.0.1", &archive.port().to_string()]).args(arguments);
    run(&mut client)
}

/// The first study's instances.
fn first_study(folder: &Path) -> Vec<(String, Part10)> {
    instances(folder).into_iter().filter(|(uid, _)| uid.starts_with("2.999.1.1.")).collect()
}

#[test]
fn dcmtk_echoes() {
    let (archive, _data) = empty_archive();
    let mut echoscu = tool("echoscu");
    echoscu.args(["-aec", "DICOMET", "127.0.0.1", &archive.port().to_string()]);
    run(&mut echoscu).expect_success();
}

#[test]
fn pynetdicom_echoes() {
    let (archive, _data) = empty_archive();
    against(application("echoscu"), &archive, &[]).expect_success();
}

#[test]
fn what_dcmtk_stores_both_getscu_and_dicomet_get_back_byte_for_byte() {
    let (archive, _data, originals) = filled_by_storescu();
    let (theirs, ours) = (tempdir().unwrap(), tempdir().unwrap());
    getscu("DICOMET", archive.port(), "2.999.1.1", theirs.path()).expect_success();
    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();

    let originals = first_study(originals.path()).into_iter().collect();
    assert_identical(&instances(theirs.path()), &originals);
    assert_identical(&instances(ours.path()), &originals);
}

#[test]
fn what_pynetdicom_stores_it_gets_back_with_the_same_values() {
    let (archive, _data) = empty_archive();
    let (originals, theirs, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    Plan { series: 2, ..Plan::default() }.write_to(originals.path()).unwrap();
    let folder = originals.path().to_str().unwrap();
    against(application("storescu"), &archive, &[folder, "-r", "-cx"]).expect_success();
    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));

    let theirs_text = theirs.path().to_str().unwrap();
    let keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", STUDY, "-od", theirs_text];
    against(application("getscu"), &archive, &keys).expect_success();
    // It proposes Implicit VR Little Endian first, so the bytes may be others, but no value.
    run(script("same_values.py").arg(originals.path()).arg(theirs.path())).expect_success();
}

#[test]
fn compressed_objects_go_in_from_storescu_and_come_back_as_they_were() {
    // storescu proposes one compressed transfer syntax at a time.
    for (syntax, option) in [
        (JPEG_BASELINE, "-xy"),
        (JPEG_LOSSLESS_SV1, "-xs"),
        (JPEG_2000_LOSSLESS, "-xv"),
        (RLE_LOSSLESS, "-xr"),
    ] {
        let (archive, _data) = empty_archive();
        let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
        let plan = Plan { transfer_syntaxes: vec![syntax.to_owned()], ..Plan::default() };
        plan.write_to(originals.path()).unwrap();
        let port = archive.port().to_string();
        let mut storescu = tool("storescu");
        storescu.args([option, "-aec", "DICOMET", "+sd", "+r", "127.0.0.1", &port]).arg(originals.path());
        run(&mut storescu).expect_success();
        get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
        assert_identical(&instances(ours.path()), &instances(originals.path()));
    }
}

#[test]
fn dcmtk_finds_studies_series_and_images() {
    let (archive, _data, _originals) = filled_by_storescu();
    let found = |keys: &[&str]| {
        let folder = tempdir().unwrap();
        let mut findscu = tool("findscu");
        findscu.args(["-S", "-X", "-od"]).arg(folder.path()).args(["-aec", "DICOMET"]);
        findscu.args(["127.0.0.1", &archive.port().to_string()]);
        for key in keys {
            findscu.args(["-k", key]);
        }
        run(&mut findscu).expect_success();
        dicom_files(folder.path()).len()
    };
    assert_eq!(found(&["QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=Bowen*"]), 1);
    assert_eq!(found(&["QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=*"]), 2);
    assert_eq!(found(&["QueryRetrieveLevel=SERIES", STUDY, "SeriesInstanceUID"]), 2);
    let series = "SeriesInstanceUID=2.999.1.1.1";
    assert_eq!(found(&["QueryRetrieveLevel=IMAGE", STUDY, series, "SOPInstanceUID"]), 3);
}

#[test]
fn pynetdicom_finds_the_patient_by_a_wildcard() {
    let (archive, _data, _originals) = filled_by_storescu();
    let keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=Bowen*", "-k", "PatientID="];
    let ended = against(application("findscu"), &archive, &keys).expect_success();
    let output = ended.stdout + &ended.stderr;
    assert!(output.contains("PAT004") && !output.contains("PAT005"), "{output}");
}

#[test]
fn several_storescus_at_once_lose_nothing() {
    let (archive, _data) = empty_archive();
    let originals = tempdir().unwrap();
    Plan { studies: 6, instances: 10, ..Plan::default() }.write_to(originals.path()).unwrap();
    std::thread::scope(|scope| {
        for study in 0..6 {
            let folder = originals.path().join(format!("{study:04}"));
            let port = archive.port();
            scope.spawn(move || storescu("DICOMET", port, &[folder]).expect_success());
        }
    });
    let matches = find(&archive.node(), &["StudyInstanceUID", "NumberOfStudyRelatedInstances"]);
    let counts: Vec<_> = matches.iter().map(|one| text(one, "00201208")).collect();
    assert_eq!(counts, ["10"; 6]);
}
