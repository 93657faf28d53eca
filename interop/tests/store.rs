//! `dicomet store` to everybody's archives: what is in the files arrives byte for byte, whatever the mix, and what
//! does not arrive is told.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use dicomet_interop::dcmtk::{Dcmqrscp, Storescp, getscu};
use dicomet_interop::dicomet::{Report, Serve, command, get, store};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::{Ended, Process, run};
use dicomet_interop::proxy::{Proxy, Then};
use dicomet_interop::pynetdicom::pydicom_test_files;
use dicomet_testkit::instance::transfer_syntax::*;
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

/// Bytes of a peer's answers: the association, and some of twenty responses.
const SOME_ANSWERS: u64 = 1_500;

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

/// Four SOP classes, native and compressed, among them files that are no instances.
fn write_mixture(folder: &Path) -> usize {
    let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE, JPEG_2000_LOSSLESS];
    let transfer_syntaxes = syntaxes.map(str::to_owned).to_vec();
    let plan = Plan { series: 2, instances: 12, sop_classes: 3, transfer_syntaxes, ..Plan::default() };
    std::fs::write(folder.join("readme.txt"), "What somebody left here.").unwrap();
    plan.write_to(folder).unwrap().len()
}

#[track_caller]
fn assert_stored(outcome: (Ended, Report), files: usize) {
    let (ended, report) = outcome;
    ended.expect_success();
    assert!(report.is_complete());
    assert_eq!((report.count("files"), report.count("sent")), (files as u64, files as u64));
}

#[test]
fn storescp_gets_a_mixture_byte_for_byte() {
    let originals = tempdir().unwrap();
    let files = write_mixture(originals.path());
    let storescp = Storescp::start();
    let outcome = store(&storescp.node(), originals.path(), &[]);
    assert_eq!(outcome.1.count("skipped"), 1);
    assert_stored(outcome, files);
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn orthanc_gets_a_mixture_over_three_associations_and_gives_it_back_byte_for_byte() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    let files = write_mixture(originals.path());
    let orthanc = Orthanc::start();
    assert_stored(store(&orthanc.node(), originals.path(), &["--associations", "3"]), files);
    get(&orthanc.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn the_archive_of_dicomet_gets_three_hundred_sop_classes() {
    let (originals, data, theirs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let plan = Plan { instances: 300, sop_classes: 300, ..Plan::default() };
    plan.write_to(originals.path()).unwrap();
    let archive = Serve::start(data.path());
    let (ended, report) = store(&archive.node(), originals.path(), &[]);
    assert!(report.count("associations") > 1);
    assert_stored((ended, report), 300);
    get(&archive.node(), &[STUDY], theirs.path()).0.expect_success();
    assert_identical(&instances(theirs.path()), &instances(originals.path()));
}

/// It overwrites instances that are stored with it side by side, and calls that a success.
#[test]
fn dcmqrscp_gets_a_study_whole_on_one_association_whatever_is_asked_for() {
    let (originals, nothing, theirs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    Plan { instances: 60, ..Plan::default() }.write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(nothing.path());
    let (ended, report) = store(&qrscp.node(), originals.path(), &["--associations", "8"]);
    assert_eq!(report.count("associations"), 1);
    assert_stored((ended, report), 60);
    getscu(Dcmqrscp::AE_TITLE, qrscp.port(), "2.999.1.1", theirs.path()).expect_success();
    assert_identical(&instances(theirs.path()), &instances(originals.path()));
}

#[test]
fn the_same_again_is_a_success_and_other_bytes_under_the_same_uid_are_told_as_a_failure() {
    let (originals, others, data) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    Plan::default().write_to(originals.path()).unwrap();
    Plan { size_bytes: 5000, ..Plan::default() }.write_to(others.path()).unwrap();
    let archive = Serve::start(data.path());
    for _ in 0..2 {
        assert_stored(store(&archive.node(), originals.path(), &[]), 3);
    }
    let (ended, report) = store(&archive.node(), others.path(), &[]);
    let ended = ended.expect_code(1);
    assert_eq!(report.count("failed"), 3);
    assert!(ended.stderr.contains("the peer answered 0xC"), "{}", ended.stderr);
}

/// Among them are broken files, ones without meta information, and a DICOMDIR: no file may go without a word.
#[test]
fn of_pydicoms_test_files_each_is_sent_or_told() {
    let files = pydicom_test_files();
    let storescp = Storescp::start();
    let (ended, report) = store(&storescp.node(), &files, &[]);
    let ended = ended.expect_code(3);
    assert!(report.count("sent") > 50 && report.count("skipped") > 0, "{}", ended.stderr);
    assert_eq!(report.count("files"), report.count("sent") + report.count("failed"));
    let told = ended.stderr.lines().filter(|line| line.starts_with("failed ")).count();
    assert_eq!(told as u64, report.count("failed"), "{}", ended.stderr);
}

#[test]
fn a_connection_that_is_cut_for_good_leaves_a_report_of_what_was_not_sent() {
    let originals = tempdir().unwrap();
    Plan { instances: 20, size_bytes: 132 * 1024, ..Plan::default() }.write_to(originals.path()).unwrap();
    let orthanc = Orthanc::start();
    let proxy = Proxy::before(orthanc.port(), SOME_ANSWERS, Then::CloseThisAndAllLater);
    let (ended, report) = store(&format!("ORTHANC@127.0.0.1:{}", proxy.port()), originals.path(), &[]);
    let ended = ended.expect_code(3);
    let (sent, failed) = (report.count("sent"), report.count("failed"));
    // What was sent whole when the connection was cut may have been stored.
    assert!(sent > 0 && failed > 0 && sent + failed + report.count("unknown") == 20, "{}", ended.stderr);

    assert_stored(store(&orthanc.node(), originals.path(), &[]), 20);
}

#[test]
fn an_interrupted_store_ends_after_what_is_under_way() {
    let originals = tempdir().unwrap();
    // Each response takes 10 ms through the proxy.
    Plan { instances: 500, ..Plan::default() }.write_to(originals.path()).unwrap();
    let storescp = Storescp::start();
    let port = storescp.node().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::before(port, SOME_ANSWERS, Then::Trickle);
    let node = format!("STORESCP@127.0.0.1:{}", proxy.port());
    let mut command = command(["store", &node, "--progress", "never"]);
    let running = Process::start(command.arg(originals.path()));
    proxy.wait_until_reached();
    let ended = running.interrupt().expect_code(3);
    assert!(ended.stdout.contains("ended early, not complete"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("failed"), "{}", ended.stdout);
}

#[test]
fn nothing_to_send_is_a_failure_and_says_so() {
    let folder = tempdir().unwrap();
    let ended = run(command(["store", "PACS@127.0.0.1:1"]).arg(folder.path())).expect_code(1);
    assert!(ended.stderr.contains("there is no DICOM file"), "{}", ended.stderr);
}
