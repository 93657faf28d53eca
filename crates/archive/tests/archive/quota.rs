//! A quota: what does not fit is refused as out of resources, what is there stays, and room that is made counts.

use std::path::Path;

use dicomet_archive::{Absent, Archive, Duplicates, Error, Outcome, Removal, Settings};
use dicomet_proto::message::Status;
use dicomet_proto::query::Level;
use dicomet_testkit::instance::Pixels;

use crate::samples::*;

fn with_quota(bytes: u64) -> Settings {
    Settings { quota: Some(bytes), ..Settings::default() }
}

fn remove(folder: &Path, sop_instance: &str) {
    let key = query(Level::Image, &[(tags::SOP_INSTANCE_UID, sop_instance)]);
    Removal::plan(folder, &key).unwrap().carry_out(|_| ()).unwrap();
}

#[test]
fn beyond_the_quota_a_store_is_out_of_resources_and_heals_when_room_is_made() {
    let (folder, archive) = archive_with(with_quota(4096));
    let data = folder.path().join("data");
    let big = |uid: &str| slice(uid).pixels(Pixels::Native(1000));
    let mut stored = 0;
    let refusal = loop {
        match store(&archive, &big(&format!("2.999.1.1.{stored}"))) {
            Ok(_) => stored += 1,
            Err(error) => break error.refusal(),
        }
    };
    assert_eq!((stored, refusal.status), (2, Status::OUT_OF_RESOURCES));
    // The same again needs no room; less of another may still fit.
    assert_eq!(store(&archive, &big("2.999.1.1.0")).unwrap().outcome, Outcome::AlreadyThere);
    assert_eq!(store(&archive, &slice("2.999.1.1.8").pixels(Pixels::None)).unwrap().outcome, Outcome::New);
    let all = query(Level::Image, &[(tags::SOP_INSTANCE_UID, "")]);
    assert_eq!(answers(&archive, &all).len(), 3);

    remove(&data, "2.999.1.1.0");
    store(&archive, &big("2.999.1.1.9")).unwrap();
    assert!(store(&archive, &big("2.999.1.1.7")).is_err());
    drop(archive);
    // What is there counts after a restart as well.
    let archive = Archive::open(&data, with_quota(4096)).unwrap();
    assert!(store(&archive, &big("2.999.1.1.7")).is_err());
    drop(archive);
    let archive = Archive::open(&data, with_quota(8192)).unwrap();
    store(&archive, &big("2.999.1.1.7")).unwrap();
}

#[test]
fn a_replacement_needs_room_for_the_difference_alone() {
    let settings = Settings { duplicates: Duplicates::Replace, ..with_quota(3000) };
    let (_folder, archive) = archive_with(settings);
    store(&archive, &slice("2.999.1.1.1").pixels(Pixels::Native(1500))).unwrap();
    for number in 0..10 {
        let other = slice("2.999.1.1.1").pixels(Pixels::Native(1400 + 2 * number));
        assert_eq!(store(&archive, &other).unwrap().outcome, Outcome::Replaced);
    }
    let too_big = slice("2.999.1.1.1").pixels(Pixels::Native(3000));
    assert!(matches!(store(&archive, &too_big), Err(Error::NoRoom { .. })));
    let all = query(Level::Image, &[(tags::SOP_INSTANCE_UID, "")]);
    assert_eq!(answers(&archive, &all).len(), 1);
}

#[test]
fn a_replacement_that_is_refused_after_a_removal_by_another_makes_no_room() {
    let quota = 20_000;
    let settings = Settings { duplicates: Duplicates::Replace, ..with_quota(quota) };
    let (folder, archive) = archive_with(settings);
    let made = |number: u64, bytes| slice(&format!("2.999.1.1.{number}")).pixels(Pixels::Native(bytes));
    for number in 0..5 {
        store(&archive, &made(number, 3000)).unwrap();
    }
    for number in 0..3 {
        remove(&folder.path().join("data"), &format!("2.999.1.1.{number}"));
        assert!(matches!(store(&archive, &made(4, 30_000)), Err(Error::NoRoom { .. })));
        store(&archive, &made(10 + number, 3000)).unwrap();
    }
    let mut further = 20;
    while store(&archive, &made(further, 500)).is_ok() {
        further += 1;
    }
    let files = files_below(&folder.path().join("data/blobs"));
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= quota && bytes > quota - 1500, "{bytes}");
}

#[test]
fn an_archive_that_has_to_be_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { absent: Absent::Refuse, ..Settings::default() };
    for data in [folder.path().to_owned(), folder.path().join("x")] {
        assert!(matches!(Archive::open(&data, settings.clone()), Err(Error::NoArchive(_))));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    drop(Archive::open(folder.path(), Settings::default()).unwrap());
    Archive::open(folder.path(), settings).unwrap();
}
