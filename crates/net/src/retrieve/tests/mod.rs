//! The engine against a scripted peer on a socket of this machine.

#![allow(clippy::unwrap_used)]

mod again;
mod bulk;
mod by_move;
mod capped;
mod failing;
mod folder;
mod learning;
mod narrowed;
mod peer;
mod peer_moves;
mod untrue;

use std::time::Duration;

use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::Model;

use super::*;
use peer::{Habits, Held, Peer};

fn query(keys: &[&str]) -> Query {
    keys.iter().fold(Query::new(Model::StudyRoot, Level::Study), |query, key| query.key(key).unwrap())
}

/// Gets into a folder, by a request for all of it or for less.
async fn get(node: &Node, keys: &[&str], folder: &std::path::Path) -> Report {
    get_with(node, keys, folder, Options::default()).await
}

/// As [`get`], with options.
async fn get_with(node: &Node, keys: &[&str], folder: &std::path::Path, options: Options) -> Report {
    Retrieve::new(node.clone(), query(keys), folder).options(options).run(|_| {}).await.unwrap()
}

fn file(folder: &std::path::Path, held: &Held) -> PathBuf {
    folder.join(format!("{}/{}/{}.dcm", held.study, held.series, held.instance))
}

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let visible = entries.filter(|path| !path.ends_with(".dicomet"));
    visible.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn every_instance_arrives_byte_for_byte_and_a_second_run_asks_for_nothing() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert!(report.complete, "{report:?}");
    assert_eq!((report.studies, report.expected, report.retrieved, report.present), (2, 6, 6, 0));
    assert_eq!(report.associations, 1);
    for held in &peer.held {
        let bytes = std::fs::read(file(folder.path(), held)).unwrap();
        let data_set = held.data_set(&uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(&bytes[..132], [&[0; 128][..], b"DICM"].concat());
        assert!(bytes.ends_with(&data_set));
    }
    assert_eq!(files(folder.path()), 6, "nothing else is left in the folder");

    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert!(report.complete);
    assert_eq!((report.retrieved, report.present, report.associations), (0, 6, 0));
}
#[tokio::test]
async fn several_associations_share_the_work() {
    let habits = Habits { tells_classes: true, waits_for_associations: 3, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: Some(3), ..Options::default() };
    let report = get_with(&node, &["PatientID=PAT004"], folder.path(), options).await;
    assert_eq!((report.retrieved, report.complete, report.associations), (6, true, 3));
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn a_peer_that_rejects_further_associations_gives_all_on_the_first() {
    let habits = Habits { most_associations: Some(1), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: Some(4), ..Options::default() };
    let report = get_with(&node, &["PatientID=PAT004"], folder.path(), options).await;
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn what_is_known_comes_while_the_rest_is_still_being_found() {
    // The peer tells what is in the second study when it has sent something of the first.
    let second = Uid::from_static("1.2.2");
    let habits = Habits { tells_after_sending: Some(second), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.studies, report.expected, report.retrieved, report.complete), (2, 6, 6, true));
    assert_eq!(report.associations, 1, "the second study suits the contexts of the first");
}

#[tokio::test]
async fn a_study_comes_while_its_instances_are_being_named() {
    // The peer names the instances of the second series when it has sent something of the first.
    let second = Uid::from_static("1.2.1.2");
    let habits = Habits { names_after_sending: Some(second), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert_eq!((report.expected, report.retrieved, report.unnamed, report.complete), (5, 5, 0, true));
    assert_eq!(*peer.asked.lock().unwrap(), [("STUDY".to_owned(), 0)], "once, for all of it");
    assert_eq!(peer.sent.lock().unwrap().len(), 5);
    let stock = super::folder::check(folder.path(), |_| {}).unwrap();
    assert_eq!((stock.expected, stock.here), (5, 5), "what was expected is noted");
}

#[tokio::test]
async fn what_does_not_come_of_a_study_that_was_being_named_is_asked_for_again_and_told() {
    let habits = Habits {
        cannot_send: Some(Uid::from_static("1.2.1.1.2")),
        names_after_sending: Some(Uid::from_static("1.2.1.2")),
        tells_classes: true,
        ..Habits::default()
    };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert_eq!((report.expected, report.retrieved, report.failed, report.complete), (5, 4, 1, false));
    assert_eq!(report.failures[0].sop_instance.as_str(), "1.2.1.1.2");
    assert_eq!(peer.sent.lock().unwrap().len(), 4, "what came is not asked for again");
    assert_eq!(peer.asked.lock().unwrap()[0].0, "STUDY");
}

#[tokio::test]
async fn a_study_of_which_something_is_here_is_named_before_it_is_asked_for() {
    let habits = Habits { sends_after_naming: 5, tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    assert!(get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await.complete);
    std::fs::remove_file(file(folder.path(), &peer.held[1])).unwrap();
    peer.asked.lock().unwrap().clear();
    peer.sent.lock().unwrap().clear();
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert_eq!((report.present, report.retrieved, report.complete), (4, 1, true));
    assert_eq!(*peer.asked.lock().unwrap(), [("IMAGE".to_owned(), 1)]);
}

#[tokio::test]
async fn a_study_that_cannot_be_looked_into_leaves_those_after_it_named() {
    let habits =
        Habits { aborts_find_in: Some(Uid::from_static("1.2.2")), tells_classes: true, ..Habits::default() };
    let peer = Peer::with(habits, |held| held.extend(Held::studies(3..=9, 1)));
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((files(folder.path()), report.complete), (13, false), "{report:?}");
    let unnamed: Vec<&String> = report.notes.iter().filter(|note| note.contains("neither names")).collect();
    assert!(unnamed.len() == 1 && unnamed[0].contains("1.2.2"), "{:?}", report.notes);
}

#[tokio::test]
async fn a_study_that_cannot_be_looked_into_is_asked_for_all_the_same_and_not_called_complete() {
    let second = Uid::from_static("1.2.2");
    let habits = Habits { aborts_find_in: Some(second), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((files(folder.path()), report.complete), (6, false), "{report:?}");
}

#[tokio::test]
async fn a_peer_with_one_association_in_all_gives_everything_when_all_is_found() {
    let habits = Habits { most_associations: Some(1), tells_classes: true, ..Habits::default() };
    // More than are looked into ahead, so that the finding waits for the getting.
    let peer = Peer::with(habits, |held| held.extend(Held::studies(10..=59, 1)));
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.studies, report.retrieved, report.complete), (52, 56, true), "{report:?}");
}

#[tokio::test]
async fn associations_that_are_never_answered_hold_nothing_up() {
    // One of the two may be that for C-FIND, if the peer has not quite ended it.
    let habits = Habits { answers_associations: Some(2), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: Some(4), ..Options::default() };
    let report = get_with(&node, &["PatientID=PAT004"], folder.path(), options).await;
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
    assert!(report.associations <= 2, "{report:?}");
}

#[tokio::test]
async fn what_is_told_says_how_many_associations_there_are_and_why() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let retrieve = Retrieve::new(node, query(&["PatientID=PAT004"]), folder.path());
    let tell = |event: &Event| {
        if let Event::SideBySide { associations, reason } = event {
            told.push((*associations, reason.clone()));
        }
    };
    assert!(retrieve.run(tell).await.unwrap().complete);
    assert_eq!(told[0], (1, associations::Reason::First));
}

#[tokio::test]
async fn cancelling_keeps_what_has_arrived() {
    let peer = Peer::new(Habits { waits_for_cancel_after: Some(3), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).stop_by(stopped);
    let mut arrived = 0;
    let report = retrieve
        .run(|event| {
            arrived += usize::from(matches!(event, Event::Arrived(_)));
            if arrived == 3 {
                stop.send_replace(Stop::Cancel);
            }
        })
        .await
        .unwrap();
    assert!(report.cancelled && !report.complete);
    assert_eq!((report.retrieved, report.missing, files(folder.path())), (3, 2, 3));
    assert_eq!(report.failures[0].reason, "cancelled before it came");
}

#[tokio::test]
async fn aborting_does_not_wait_for_a_peer_that_has_fallen_silent() {
    let peer = Peer::new(Habits { hangs_after: Some(2), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).stop_by(stopped);
    let mut arrived = 0;
    let run = retrieve.run(|event| {
        arrived += usize::from(matches!(event, Event::Arrived(_)));
        if arrived == 2 {
            arrived += 1;
            let stop = stop.clone();
            stop.send_replace(Stop::Cancel);
            tokio::spawn(async move { stop.send_replace(Stop::Abort) });
        }
    });
    let report = tokio::time::timeout(std::time::Duration::from_secs(20), run).await.unwrap().unwrap();
    assert!(report.cancelled && !report.complete);
    assert_eq!((report.retrieved, files(folder.path())), (2, 2));
}

#[tokio::test]
async fn a_layout_by_other_attributes_is_filled_in_and_resumed() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { layout: "{PatientID}/{Modality}.dcm".parse().unwrap(), ..Options::default() };
    for present in [0, 6] {
        let retrieve = Retrieve::new(node.clone(), query(&["PatientID=PAT004"]), folder.path());
        let report = retrieve.options(options.clone()).run(|_| {}).await.unwrap();
        assert_eq!((report.present, report.complete), (present, true), "{report:?}");
    }
    for name in ["CT.dcm", "CT_2.dcm", "CT_3.dcm", "CT_4.dcm", "MR.dcm", "MR_2.dcm"] {
        assert!(folder.path().join("PAT004").join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_before_the_peer_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let node: Node = "PEER@127.0.0.1:1".parse().unwrap();
    let error = Retrieve::new(node, query(&["PatientID=*"]), file.join("out")).run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Folder(FolderError::Unwritable { .. })), "{error}");
}
