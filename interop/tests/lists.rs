//! A hundred studies of which three fail: ninety-seven come, the reasons are told, and the next run gets the three. By
//! a list of queries, and by one query that matches them all.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::dicomet::{dicomet, get, get_with};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_testkit::study::Plan;
use serde_json::Value;
use tempfile::tempdir;

const STUDIES: u64 = 100;

/// Places of the files that the peer loses for a while.
const LOST: [usize; 3] = [7, 50, 99];

fn hundred_studies(folder: &Path) {
    Plan { studies: STUDIES as usize, instances: 1, ..Plan::default() }.write_to(folder).unwrap();
}

fn list(folder: &Path) -> PathBuf {
    let uids: String = (1..=STUDIES).map(|study| format!("2.999.1.{study}\n")).collect();
    let path = folder.join("list.csv");
    std::fs::write(&path, format!("StudyInstanceUID\n{uids}")).unwrap();
    path
}

/// The three files are elsewhere.
fn lose(peer: &Dcmqrscp) {
    LOST.iter().for_each(|place| {
        std::fs::rename(peer.stored(*place), peer.stored(*place).with_extension("lost")).unwrap();
    });
}

fn find_again(peer: &Dcmqrscp) {
    LOST.iter().for_each(|place| {
        std::fs::rename(peer.stored(*place).with_extension("lost"), peer.stored(*place)).unwrap();
    });
}

fn failed_in(output: &Path) -> Vec<Value> {
    let report = std::fs::read_to_string(output.join(".dicomet/report.jsonl")).unwrap();
    let records = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["outcome"] != "complete" && record["outcome"] != "before").collect()
}

#[test]
fn an_orthanc_that_answers_ten_studies_at_a_time_gives_them_all_and_find_says_that_there_are_more() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    hundred_studies(originals.path());
    let orthanc = Orthanc::limited_with_files(10, originals.path());
    let ended = dicomet(["find", &orthanc.node(), "PatientID=*", "--format", "jsonl"]).expect_code(3);
    assert_eq!(ended.stdout.lines().count(), 10);
    assert!(
        ended.stderr.contains("there may be more") && ended.stderr.contains("StudyDate"),
        "{}",
        ended.stderr
    );

    let (ended, report) = get(&orthanc.node(), &["PatientID=*"], ours.path());
    let ended = ended.expect_success();
    assert_eq!((report.count("studies"), report.count("retrieved")), (STUDIES, STUDIES));
    assert!(ended.stderr.contains("by ranges of StudyDate"), "{}", ended.stderr);
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn three_lines_of_a_hundred_fail_and_the_next_run_gets_the_three() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    hundred_studies(originals.path());
    let peer = Dcmqrscp::with_files(originals.path());
    let list = list(ours.path());
    let output = ours.path().join("out");
    let from = ["--from", list.to_str().unwrap()];

    lose(&peer);
    let (ended, report) = get_with(&peer.node(), &[], &output, &from);
    ended.expect_code(3);
    assert_eq!((report.count("lines"), report.count("incomplete")), (STUDIES, 3));
    assert_eq!((report.count("retrieved"), report.count("failed")), (STUDIES - 3, 3));
    let failed = failed_in(&output);
    assert_eq!(failed.len(), 3);
    for record in failed {
        let reason = record["reasons"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("could not send it"), "{reason}");
        assert_eq!(record["keys"]["StudyInstanceUID"], record["study"]);
    }

    find_again(&peer);
    let (ended, report) = get_with(&peer.node(), &[], &output, &from);
    ended.expect_success();
    assert_eq!((report.count("before"), report.count("retrieved")), (STUDIES - 3, 3));
    assert!(report.is_complete() && failed_in(&output).is_empty());
    assert_identical(&instances(&output), &instances(originals.path()));
}

#[test]
fn three_studies_of_a_hundred_that_match_fail_and_the_next_run_gets_the_three() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    hundred_studies(originals.path());
    let peer = Dcmqrscp::with_files(originals.path());

    lose(&peer);
    let (ended, report) = get(&peer.node(), &["PatientID=*"], ours.path());
    let ended = ended.expect_code(3);
    assert_eq!(
        (report.count("studies"), report.count("retrieved"), report.count("failed")),
        (STUDIES, STUDIES - 3, 3)
    );
    let reasons = ended.stderr.lines().filter(|line| line.contains("could not send it"));
    assert_eq!(reasons.count(), 3, "{}", ended.stderr);

    find_again(&peer);
    let (ended, report) = get(&peer.node(), &["PatientID=*"], ours.path());
    ended.expect_success();
    assert_eq!((report.count("present"), report.count("retrieved")), (STUDIES - 3, 3));
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_list_of_patients_with_dates_is_got_from_orthanc_on_a_few_associations() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    Plan { studies: 30, ..Plan::default() }.write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    let patients: String = dicomet_interop::dicomet::find(&orthanc.node(), &["PatientID=*", "StudyDate"])
        .iter()
        .map(|study| {
            let text = |tag| dicomet_interop::dicomet::text(study, tag);
            format!("{{\"PatientID\":\"{}\",\"StudyDate\":\"{}-\"}}\n", text("00100020"), text("00080020"))
        })
        .collect();
    let list = ours.path().join("list.jsonl");
    std::fs::write(&list, patients).unwrap();
    let output = ours.path().join("out");
    let (ended, report) = get_with(&orthanc.node(), &[], &output, &["--from", list.to_str().unwrap()]);
    ended.expect_success();
    assert!(report.is_complete() && report.count("associations") < 15);
    assert_eq!((report.count("lines"), report.count("studies")), (30, 30));
    assert_identical(&instances(&output), &instances(originals.path()));
}
