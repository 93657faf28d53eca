//! A database that another process is writing to: what needs it is told so, and nothing is taken for broken.

use std::path::Path;
use std::time::Duration;

use dicomet_archive::commitments::Requestor;
use dicomet_archive::worklist::WorklistItem;
use dicomet_archive::{Archive, Error, Outcome, Settings};
use dicomet_proto::commitment::{Reference, Request};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::{AeTitle, Uid};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::samples::*;

const DATABASES: [&str; 3] = ["index.sqlite", "worklist.sqlite", "commitment.sqlite"];

/// Settings of somebody who does not wait.
fn impatient() -> Settings {
    Settings { patience: Duration::ZERO, ..Settings::default() }
}

/// Begins to write to a database, and does not come to an end.
fn begin_to_write(data: &Path, database: &str) -> Connection {
    let other = Connection::open(data.join(database)).unwrap();
    other.pragma_update(None, "journal_mode", "WAL").unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

fn archive_and_another_that_writes() -> (TempDir, Archive, Vec<Connection>) {
    let (folder, archive) = archive_with(impatient());
    let others = DATABASES.map(|database| begin_to_write(&folder.path().join("data"), database));
    (folder, archive, others.into())
}

fn busy<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Busy { database }) => database,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_is_refused_as_out_of_resources_and_a_success_once_the_other_has_ended() {
    let (_folder, archive, others) = archive_and_another_that_writes();
    let refusal = store(&archive, &slice("2.999.1.1.1")).unwrap_err().refusal();
    assert_eq!((refusal.status, refusal.comment()), (Status::OUT_OF_RESOURCES, "the archive is busy"));
    assert_eq!(busy(store(&archive, &slice("2.999.1.1.1"))), "index.sqlite");
    drop(others);
    assert_eq!(store(&archive, &slice("2.999.1.1.1")).unwrap().outcome, Outcome::New);
}

#[test]
fn worklist_and_storage_commitment_say_which_database_is_busy() {
    let (_folder, archive, _others) = archive_and_another_that_writes();
    let item = WorklistItem::of_data_set(&crate::worklist::sample()).unwrap();
    assert_eq!(busy(archive.worklist().add(&item)), "worklist.sqlite");
    let title = |text| AeTitle::new(text).unwrap();
    let requestor = Requestor { calling: title("CT"), called: title("ARCHIVE") };
    let reference =
        Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance: Uid::from_static("2.999.1.1.1") };
    let asked = Request { transaction: Uid::from_static("2.999.7"), references: vec![reference] };
    assert_eq!(busy(archive.commitments().add(&requestor, &asked)), "commitment.sqlite");
}

#[test]
fn an_archive_that_is_up_to_date_is_opened_and_searched_while_another_writes() {
    let (folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    let data = folder.path().join("data");
    let _others = DATABASES.map(|database| begin_to_write(&data, database));
    let archive = Archive::open(&data, impatient()).unwrap();
    let all = query(dicomet_proto::query::Level::Study, &[(tags::STUDY_INSTANCE_UID, "")]);
    assert_eq!(found(&archive, &all, tags::STUDY_INSTANCE_UID), ["2.999.1"]);
}

#[test]
fn an_archive_that_is_to_be_brought_up_to_date_and_is_busy_is_said_to_be_busy_and_not_broken() {
    for database in DATABASES {
        let folder = tempfile::tempdir().unwrap();
        drop(Archive::open(folder.path(), Settings::default()).unwrap());
        std::fs::remove_file(folder.path().join(database)).unwrap();
        let other = begin_to_write(folder.path(), database);
        assert_eq!(busy(Archive::open(folder.path(), impatient())), database);
        drop(other);
        Archive::open(folder.path(), impatient()).unwrap();
    }
}
