//! Removing: what a query matches and no more, in the index and on disk, beside a running archive too.

use std::fs;
use std::path::PathBuf;

use dicomet_archive::check::{Depth, Event, check};
use dicomet_archive::{Archive, Error, Removal, Settings};
use dicomet_proto::dataset::Tag;
use dicomet_proto::query::Level;

use crate::samples::*;

fn data(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data")
}

/// Two patients with a study each, of two series with two instances each.
fn fill(archive: &Archive) {
    for (patient, study) in [("P1", "2.999.1"), ("P2", "2.999.2")] {
        for series in 1..=2 {
            for number in 1..=2 {
                let series_uid = format!("{study}.{series}");
                let instance = slice(&format!("{series_uid}.{number}"))
                    .with(tags::PATIENT_ID, patient)
                    .with(tags::MANUFACTURER, &format!("maker {series}"))
                    .in_series(study, &series_uid);
                store(archive, &instance).unwrap();
            }
        }
    }
}

fn left(archive: &Archive) -> Vec<String> {
    found(archive, &query(Level::Image, &[(tags::SOP_INSTANCE_UID, "")]), tags::SOP_INSTANCE_UID)
}

fn delete(folder: &tempfile::TempDir, level: Level, keys: &[(Tag, &str)]) -> Result<(usize, u64), Error> {
    let removal = Removal::plan(&data(folder), &query(level, keys))?;
    let mut told = 0;
    removal.carry_out(|_| told += 1)?;
    assert_eq!(told, removal.studies.len());
    Ok((removal.studies.len(), removal.instances()))
}

fn assert_sound(folder: &tempfile::TempDir, instances: u64) {
    let summary = check(&data(folder), Depth::Bytes, &mut |event| {
        if let Event::Found(finding) = event {
            panic!("{finding:?}");
        }
    });
    let summary = summary.unwrap();
    assert_eq!((summary.instances, summary.files), (instances, instances));
}

#[test]
fn a_plan_says_what_would_go_and_removes_nothing() {
    let (folder, archive) = archive();
    fill(&archive);
    let removal =
        Removal::plan(&data(&folder), &query(Level::Series, &[(tags::SERIES_INSTANCE_UID, "2.999.1.2")]));
    let removal = removal.unwrap();
    assert_eq!((removal.studies.len(), removal.instances()), (1, 2));
    assert_eq!((removal.studies[0].study.as_str(), removal.studies[0].instances_left), ("2.999.1", 2));
    assert!(removal.bytes() > 2 * 512);
    assert_sound(&folder, 8);
}

#[test]
fn each_level_removes_what_it_names_beside_a_running_archive() {
    let (folder, archive) = archive();
    fill(&archive);
    assert_eq!(delete(&folder, Level::Image, &[(tags::SOP_INSTANCE_UID, "2.999.1.1.1")]).unwrap(), (1, 1));
    assert_sound(&folder, 7);
    assert_eq!(delete(&folder, Level::Series, &[(tags::SERIES_INSTANCE_UID, "2.999.1.2")]).unwrap(), (1, 2));
    assert_sound(&folder, 5);
    assert_eq!(left(&archive).len(), 5);
    let counts = query(Level::Study, &[(tags::STUDY_RELATED_INSTANCES, ""), (tags::PATIENT_ID, "P1")]);
    assert_eq!(found(&archive, &counts, tags::STUDY_RELATED_INSTANCES), ["1"]);
    assert_eq!(delete(&folder, Level::Study, &[(tags::PATIENT_ID, "P2")]).unwrap(), (1, 4));
    assert_eq!(left(&archive), ["2.999.1.1.2"]);
    assert_eq!(delete(&folder, Level::Study, &[(tags::PATIENT_ID, "P2")]).unwrap(), (0, 0));
    // The archive goes on storing, what was removed too.
    fill(&archive);
    assert_sound(&folder, 8);
    drop(archive);
    assert_eq!(left(&Archive::open(&data(&folder), Settings::default()).unwrap()).len(), 8);
}

#[test]
fn a_key_of_the_header_narrows_and_one_that_cannot_is_refused() {
    let (folder, archive) = archive();
    fill(&archive);
    drop(archive);
    let of_first = [(tags::PATIENT_ID, "P1"), (tags::MANUFACTURER, "maker 1")];
    assert_eq!(delete(&folder, Level::Image, &of_first).unwrap(), (1, 2));
    for keys in [
        &[][..],
        &[(tags::PATIENT_ID, "*")],
        &[(tags::PATIENT_ID, "")],
        // Below the level, counted, and of no instance.
        &[(tags::PATIENT_ID, "P1"), (tags::SOP_INSTANCE_UID, "2.999.1.2.1")],
        &[(tags::PATIENT_ID, "P1"), (tags::STUDY_RELATED_INSTANCES, "2")],
        &[(tags::PATIENT_ID, "P1"), (tags::INSTANCE_AVAILABILITY, "OFFLINE")],
    ] {
        let refused = delete(&folder, Level::Study, keys);
        assert!(matches!(refused, Err(Error::Refused(_))), "{keys:?} {refused:?}");
    }
    assert_sound(&folder, 6);
}

#[test]
fn files_that_a_crash_kept_from_going_go_at_the_next_start() {
    let (folder, archive) = archive();
    fill(&archive);
    drop(archive);
    let blobs = data(&folder).join("blobs/000000/000");
    let aside = folder.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for entry in fs::read_dir(&blobs).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), aside.join(entry.file_name())).unwrap();
    }
    let removal = Removal::plan(&data(&folder), &query(Level::Study, &[(tags::PATIENT_ID, "P2")])).unwrap();
    removal.carry_out(|_| ()).unwrap();
    // As a crash between index and blobs leaves it.
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    for number in 4..8 {
        let name = format!("{number:012x}.dcm");
        fs::copy(aside.join(&name), blobs.join(&name)).unwrap();
        index.execute("INSERT INTO doomed_blob (blob) VALUES (?1)", [number]).unwrap();
    }
    drop(index);
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(left(&archive).len(), 4);
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 4);
    // A number that was doomed is not given to another while somebody may still take it away.
    store(&archive, &slice("2.999.3.1.1")).unwrap();
    assert!(blobs.join("000000000008.dcm").exists());
    assert_sound(&folder, 5);
}

#[test]
fn a_study_of_two_thousand_instances_goes_whole() {
    let (folder, archive) = archive();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let archive = &archive;
            scope.spawn(move || {
                for number in 0..250 {
                    store(archive, &slice(&format!("2.999.1.1.{thread}.{number}"))).unwrap();
                }
            });
        }
    });
    assert_eq!(delete(&folder, Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]).unwrap(), (1, 2000));
    assert_sound(&folder, 0);
}
