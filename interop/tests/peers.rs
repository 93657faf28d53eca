//! The peers among themselves, without dicomet: what they were filled with, DCMTK's getscu gets from them. When
//! this fails, look here before looking at dicomet.

#![allow(clippy::unwrap_used)]

use dicomet_interop::dcmtk::{Dcmqrscp, Storescp, getscu, storescu};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::{Qrscp, application, pydicom_test_files};
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

#[test]
fn dcmqrscp_gives_getscu_what_was_registered() {
    let (originals, theirs) = (tempdir().unwrap(), tempdir().unwrap());
    Plan::default().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    getscu(Dcmqrscp::AE_TITLE, qrscp.port(), "2.999.1.1", theirs.path()).expect_success();
    assert_identical(&instances(theirs.path()), &instances(originals.path()));
}

#[test]
fn orthanc_gives_getscu_what_was_uploaded() {
    let (originals, theirs) = (tempdir().unwrap(), tempdir().unwrap());
    Plan::default().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    getscu(Orthanc::AE_TITLE, orthanc.port(), "2.999.1.1", theirs.path()).expect_success();
    assert_identical(&instances(theirs.path()), &instances(originals.path()));
}

#[test]
fn storescp_keeps_what_storescu_sends() {
    let originals = tempdir().unwrap();
    Plan { instances: 4, sop_classes: 4, ..Plan::default() }.write_to(originals.path()).unwrap();
    let storescp = Storescp::start();
    let port = storescp.node().rsplit(':').next().unwrap().parse().unwrap();
    storescu("STORESCP", port, &[originals.path().to_owned()]).expect_success();
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn pynetdicom_is_installed_with_pydicoms_test_files() {
    run(application("echoscu").arg("--help")).expect_success();
    assert!(pydicom_test_files().join("CT_small.dcm").is_file());
}

#[test]
fn qrscp_of_pynetdicom_gives_getscu_what_storescu_sent() {
    let (originals, theirs) = (tempdir().unwrap(), tempdir().unwrap());
    Plan::default().write_to(originals.path()).unwrap();
    let qrscp = Qrscp::start();
    storescu(Qrscp::AE_TITLE, qrscp.port(), &[originals.path().to_owned()]).expect_success();
    getscu(Qrscp::AE_TITLE, qrscp.port(), "2.999.1.1", theirs.path()).expect_success();
    let (theirs, originals) = (instances(theirs.path()), instances(originals.path()));
    assert!(theirs.keys().eq(originals.keys()));
}
