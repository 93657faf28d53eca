//! Storage commitment: what the archive answers for, and that a report which is due is not forgotten.

use std::fs;
use std::path::PathBuf;

use dicomet_archive::commitments::{CommitmentId, Requestor};
use dicomet_archive::{Archive, Error, Settings, Stop};
use dicomet_proto::commitment::{Reference, Request};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::{AeTitle, Uid};

use crate::samples::*;

fn requestor(calling: &str) -> Requestor {
    Requestor { calling: AeTitle::new(calling).unwrap(), called: AeTitle::new("ARCHIVE").unwrap() }
}

fn reference(instance: &str) -> Reference {
    Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance: Uid::new(instance).unwrap() }
}

fn request(transaction: &str, instances: &[&str]) -> Request {
    let references = instances.iter().map(|instance| reference(instance)).collect();
    Request { transaction: Uid::new(transaction).unwrap(), references }
}

/// What is committed, and what is not for which reason.
fn reported(archive: &Archive, id: CommitmentId) -> (Vec<String>, Vec<(String, u16)>) {
    let title = AeTitle::new("ARCHIVE").unwrap();
    let report = archive.commitment_report(id, &title, &Stop::default()).unwrap().unwrap();
    let committed = report.committed.iter().map(|one| one.sop_instance.to_string()).collect();
    let failed = report.failed.iter().map(|(one, reason)| (one.sop_instance.to_string(), reason.code()));
    (committed, failed.collect())
}

#[test]
fn it_answers_for_what_is_there_byte_for_byte_and_of_its_class() {
    let (folder, archive) = archive();
    for number in [1, 2, 3, 4, 6] {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    let mut blobs: Vec<PathBuf> = fs::read_dir(folder.path().join("data/blobs/000000/000"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    blobs.sort();
    fs::remove_file(&blobs[2]).unwrap();
    let cut = fs::read(&blobs[3]).unwrap();
    fs::write(&blobs[3], &cut[..cut.len() - 2]).unwrap();
    let mut altered = fs::read(&blobs[4]).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&blobs[4], altered).unwrap();
    let asked = (1..=6).map(|number| format!("2.999.1.1.{number}")).collect::<Vec<_>>();
    let mut asked = request("2.999.77", &asked.iter().map(String::as_str).collect::<Vec<_>>());
    asked.references[1].sop_class = uids::MR_IMAGE_STORAGE;
    let id = archive.commitments().add(&requestor("CT"), &asked).unwrap();
    let (committed, failed) = reported(&archive, id);
    assert_eq!(committed, ["2.999.1.1.1"]);
    let expected = [(2, 0x0119), (3, 0x0110), (4, 0x0110), (5, 0x0112), (6, 0x0110)];
    assert_eq!(failed, expected.map(|(number, reason)| (format!("2.999.1.1.{number}"), reason)));
}

#[test]
fn a_report_that_nobody_waits_for_any_more_is_broken_off_and_can_be_made_later() {
    let (_folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let id = archive.commitments().add(&requestor("CT"), &request("2.999.77", &["2.999.1.1.1"])).unwrap();
    let stop = Stop::default();
    drop(stop.at_end());
    let broken_off = archive.commitment_report(id, &AeTitle::new("ARCHIVE").unwrap(), &stop);
    assert!(matches!(broken_off, Err(Error::Stopped)), "{broken_off:?}");
    assert_eq!(reported(&archive, id).0, ["2.999.1.1.1"]);
}

#[test]
fn a_report_that_is_due_is_due_until_it_is_settled_whoever_opens_the_archive() {
    let (folder, archive) = archive();
    let first = archive.commitments().add(&requestor("CT"), &request("2.999.71", &["2.999.1"])).unwrap();
    let second = archive.commitments().add(&requestor("MR"), &request("2.999.72", &["2.999.2"])).unwrap();
    assert_eq!(archive.commitments().tried(second).unwrap(), 1);
    archive.commitments().settle(first).unwrap();
    drop(archive);
    let archive = Archive::open(&folder.path().join("data"), Settings::default()).unwrap();
    let due = archive.commitments().due().unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].id, &due[0].requestor, due[0].tries), (second, &requestor("MR"), 1));
    assert_eq!(reported(&archive, second).1, [("2.999.2".to_owned(), 0x0112)]);
    let title = AeTitle::new("ARCHIVE").unwrap();
    assert_eq!(archive.commitment_report(first, &title, &Stop::default()).unwrap(), None);
}

#[test]
fn a_transaction_uid_that_is_used_again_fails_as_a_whole_also_when_the_first_is_settled() {
    let (_folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let asked = request("2.999.77", &["2.999.1.1.1"]);
    let first = archive.commitments().add(&requestor("CT"), &asked).unwrap();
    archive.commitments().settle(first).unwrap();
    let again = archive.commitments().add(&requestor("CT"), &asked).unwrap();
    assert_eq!(reported(&archive, again), (vec![], vec![("2.999.1.1.1".to_owned(), 0x0131)]));
    // Another requestor's transactions are its own.
    let other = archive.commitments().add(&requestor("MR"), &asked).unwrap();
    assert_eq!(reported(&archive, other).0, ["2.999.1.1.1"]);
}

#[test]
fn more_reports_due_than_allowed_are_a_resource_limitation_until_one_is_settled() {
    let (_folder, archive) = archive_with(Settings { commitments_due: 2, ..Settings::default() });
    let commitments = archive.commitments();
    let add = |transaction| commitments.add(&requestor("CT"), &request(transaction, &["2.999.1"]));
    let first = add("2.999.71").unwrap();
    add("2.999.72").unwrap();
    match add("2.999.73") {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.status, Status::RESOURCE_LIMITATION),
        other => panic!("{other:?}"),
    }
    commitments.settle(first).unwrap();
    add("2.999.73").unwrap();
}
