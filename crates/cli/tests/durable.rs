//! What was synced when success was answered: the file of the instance as long as it is, its name, the names of the folders
//! above it, and the index where something was taken out of it. A library between the program and the system writes
//! down each sync.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dicomet_proto::message::Status;

use support::{Preloaded, Requestor, store};

/// An archive whose syncs are written down.
struct Watched(Preloaded);

impl Watched {
    fn new() -> Watched {
        Watched(Preloaded::new("sync_log.c", "SYNC_LOG"))
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.0.told()).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The files of instances.
    fn blobs(&self) -> BTreeSet<PathBuf> {
        let folder = self.0.data().join("blobs/000000/000");
        let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|file| fs::metadata(file).unwrap().len() > 0).collect()
    }
}

/// Whether a folder was synced when it had this entry.
fn is_name_durable(log: &[String], path: &Path) -> bool {
    let folder = format!("folder {} ", path.parent().unwrap().display());
    let entry = format!(" {}/", path.file_name().unwrap().to_str().unwrap());
    log.iter().any(|line| line.starts_with(&folder) && line.contains(&entry))
}

/// Where in the log a file was synced as long as it is now.
fn synced_whole(log: &[String], file: &Path) -> Option<usize> {
    let line = format!("file {} {}", fs::metadata(file).unwrap().len(), file.display());
    log.iter().rposition(|synced| *synced == line)
}

#[tokio::test]
async fn when_success_is_answered_file_and_names_are_synced() {
    let watched = Watched::new();
    let serve = watched.0.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    let mut before = BTreeSet::new();
    for (number, bytes) in
        [100, 3_000, 60_000, 132_000, 600_000, 2_000_000, 9_000_000].into_iter().enumerate()
    {
        assert_eq!(store(&mut requestor, number as u64, bytes).await, Status::SUCCESS);
        let (log, now) = (watched.log(), watched.blobs());
        let file = now.difference(&before).next().unwrap();
        assert!(synced_whole(&log, file).is_some(), "{bytes} bytes: {log:#?}");
        assert!(is_name_durable(&log, file), "{bytes} bytes: {log:#?}");
        before = now;
    }
    let log = watched.log();
    let above = ["blobs/000000/000", "blobs/000000", "blobs", "dicomet-archive", "index.sqlite", ""];
    for folder in above {
        let path = watched.0.data().join(folder);
        assert!(is_name_durable(&log, &path), "{}: {log:#?}", path.display());
    }
    assert!(is_name_durable(&log, watched.0.data().parent().unwrap()), "{log:#?}");
}

#[tokio::test]
async fn what_takes_the_place_of_another_is_synced_before_and_the_index_after() {
    let watched = Watched::new();
    let serve = watched.0.serve(&["--duplicate", "replace"]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 1, 3_000).await, Status::SUCCESS);
    let first = watched.blobs();
    assert_eq!(store(&mut requestor, 1, 3_100).await, Status::SUCCESS);
    let (log, second) = (watched.log(), watched.blobs());
    let file = second.difference(&first).next().unwrap();
    assert_eq!(second.len(), 1, "the first is gone");
    let index = synced_whole(&log, &watched.0.data().join("index.sqlite-wal"));
    let before = &log[..index.unwrap()];
    assert!(synced_whole(before, file).is_some() && is_name_durable(before, file), "{log:#?}");
}

#[tokio::test]
async fn what_is_deleted_is_out_of_the_index_durably_before_its_file_goes() {
    let watched = Watched::new();
    let serve = watched.0.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 1, 3_000).await, Status::SUCCESS);
    let file = watched.blobs().pop_first().unwrap();
    let before = watched.log().len();
    let deleted = watched
        .0
        .command()
        .args(["delete", "StudyInstanceUID=2.999.1", "--yes", "--data"])
        .arg(watched.0.data())
        .status();
    assert!(deleted.unwrap().success() && !file.exists());
    let log = &watched.log()[before..];
    let of = |start: String| log.iter().position(|line| line.starts_with(&start));
    let index = log.iter().position(|line| line.ends_with("/index.sqlite-wal"));
    let folder = of(format!("folder {} ", file.parent().unwrap().display()));
    assert!(index.is_some() && index < folder, "{log:#?}");
    assert!(!is_name_durable(log, &file), "{log:#?}");
}
