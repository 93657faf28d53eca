//! The archive keeps what it has confirmed: over an orderly stop, over a kill, and the import puts in what a
//! network would.

#![allow(clippy::unwrap_used)]

use dicomet_interop::dcmtk::storescu;
use dicomet_interop::dicomet::{Serve, dicomet, get, import};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::pynetdicom::pydicom_test_files;
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

fn slices() -> Plan {
    Plan { instances: 12, ..Plan::default() }
}

#[test]
fn an_archive_that_was_stopped_has_everything_when_it_is_started_again() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let archive = Serve::start(data.path());
    storescu("DICOMET", archive.port(), &[originals.path().to_owned()]).expect_success();
    archive.terminate().expect_success();

    let archive = Serve::start(data.path());
    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn an_archive_that_was_killed_has_everything_it_had_confirmed() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let archive = Serve::start(data.path());
    // storescu ends with 0 only when each instance was confirmed.
    storescu("DICOMET", archive.port(), &[originals.path().to_owned()]).expect_success();
    archive.kill();

    let archive = Serve::start(data.path());
    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn the_same_instances_sent_twice_are_there_once() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    storescu("DICOMET", archive.port(), &[originals.path().to_owned()]).expect_success();

    let (ended, report) = get(&archive.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("expected"), report.count("retrieved")), (12, 12));
}

#[test]
fn an_instance_with_other_bytes_under_the_same_uid_is_refused_and_the_first_stays() {
    let (originals, others) = (tempdir().unwrap(), tempdir().unwrap());
    let (data, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    Plan { size_bytes: 5000, ..slices() }.write_to(others.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let ended = storescu("DICOMET", archive.port(), &[others.path().to_owned()]);
    assert_ne!(ended.code(), 0, "storescu was told a success that is none");

    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

/// Among them are broken files, a DICOMDIR, and instances that share a UID: those are told, the others taken.
#[test]
fn pydicoms_test_files_are_imported_and_every_study_comes_back() {
    let data = tempdir().unwrap();
    let files = pydicom_test_files();
    let imported = dicomet(["import", files.to_str().unwrap(), "--data", data.path().to_str().unwrap()]);
    assert!([0, 3].contains(&imported.code()), "{}", imported.stderr);
    let archive = Serve::start(data.path());
    let studies = dicomet_interop::dicomet::find(&archive.node(), &["StudyInstanceUID"]);
    assert!(studies.len() >= 20, "only {} studies", studies.len());
    for study in studies {
        let uid = dicomet_interop::dicomet::text(&study, "0020000D");
        let ours = tempdir().unwrap();
        let (ended, report) = get(&archive.node(), &[&format!("StudyInstanceUID={uid}")], ours.path());
        ended.expect_success();
        assert!(report.count("expected") > 0 && report.is_complete(), "{uid}");
        assert_eq!(instances(ours.path()).len() as u64, report.count("expected"));
    }
}
