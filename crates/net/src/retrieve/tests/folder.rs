//! What goes wrong with the output folder: a full disk, something in the way, another process; and what the journal
//! knows afterwards without any peer.

use super::super::folder::{CheckError, Stock, check, room};
use super::*;

fn lacks(folder: &std::path::Path) -> (Stock, Vec<Uid>) {
    let mut lacks = Vec::new();
    let stock = check(folder, |lack| lacks.push(lack.sop_instance.clone())).unwrap();
    (stock, lacks)
}

fn parts(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder.join(".dicomet/parts")).unwrap().count()
}

#[tokio::test]
async fn a_disk_that_is_full_ends_the_run_and_the_next_one_with_room_brings_the_rest() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let whole = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], whole.path()).await;
    let length = std::fs::metadata(file(whole.path(), &peer.held[0])).unwrap().len() as usize;
    for bytes in 0..4 * length {
        if bytes % 97 != 0 && bytes % length > 2 {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        room::limit(folder.path(), Some(bytes));
        let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
        assert!(!report.complete && report.failures.len() as u64 == report.failed + report.missing);
        assert!(report.failures[0].reason.contains("cannot write"), "{report:?}");
        assert!(report.notes.last().unwrap().contains("ended early"), "{report:?}");
        assert_eq!(files(folder.path()) as u64, report.retrieved, "nothing else has its name");
        assert_eq!(parts(folder.path()), 0, "what was begun takes no room");
        let came = report.retrieved;

        room::limit(folder.path(), None);
        peer.sent.lock().unwrap().clear();
        let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
        assert!(report.complete && report.present == came, "{report:?}");
        assert_eq!(peer.sent.lock().unwrap().len() as u64, 6 - came, "nothing whole is sent twice");
        for held in &peer.held {
            let [ours, theirs] =
                [folder.path(), whole.path()].map(|at| std::fs::read(file(at, held)).unwrap());
            assert_eq!(ours, theirs);
        }
    }
}

#[tokio::test]
async fn of_a_hundred_studies_three_have_no_room_and_the_next_run_brings_just_those() {
    let habits = Habits { tells_classes: true, ..Habits::default() };
    let peer = Peer::with(habits, |held| *held = Held::studies(1..=100, 1));
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = ["1.2.7", "1.2.50", "1.2.100"].map(|study| folder.path().join(study));
    in_the_way.iter().for_each(|path| std::fs::write(path, b"").unwrap());
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.studies, report.retrieved, report.failed, report.complete), (100, 97, 3, false));
    let failed: Vec<&str> = report.failures.iter().map(|failure| failure.study.as_str()).collect();
    assert_eq!(failed, ["1.2.100", "1.2.50", "1.2.7"]);
    assert!(report.failures.iter().all(|failure| failure.reason.contains("cannot write")), "{report:?}");

    in_the_way.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    peer.sent.lock().unwrap().clear();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (3, 97, true));
    assert_eq!(peer.sent.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn the_journal_says_without_a_peer_what_is_expected_missing_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(check(folder.path(), |_| {}), Err(CheckError::NoJournal { .. })));
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    let whole = Stock { studies: 2, expected: 6, here: 6, ..Stock::default() };
    assert_eq!(lacks(folder.path()), (whole.clone(), vec![]));
    assert!(whole.is_complete());

    std::fs::remove_file(file(folder.path(), &peer.held[1])).unwrap();
    let cut = file(folder.path(), &peer.held[2]);
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let (stock, named) = lacks(folder.path());
    assert_eq!(stock, Stock { here: 4, missing: 1, cut: 1, incomplete_studies: 1, ..whole.clone() });
    assert_eq!(named, [peer.held[1].instance.clone(), peer.held[2].instance.clone()]);

    get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!(lacks(folder.path()).0, whole);
}

#[tokio::test]
async fn the_journal_knows_what_was_expected_where_nothing_came() {
    let habits = Habits { tells_classes: true, closes_after: Some(0), ..Habits::default() };
    let peer = Peer::new(habits);
    peer.habits.closings_left.store(usize::MAX, std::sync::atomic::Ordering::Relaxed);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let error = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).run(|_| {}).await;
    assert!(error.is_err());
    let (stock, named) = lacks(folder.path());
    assert_eq!((stock.expected, stock.missing, named.len()), (5, 5, 5));
}

#[tokio::test]
async fn a_layout_by_other_attributes_is_checked_all_the_same() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { layout: "{PatientID}/{Modality}.dcm".parse().unwrap(), ..Options::default() };
    get_with(&node, &["PatientID=PAT004"], folder.path(), options).await;
    std::fs::remove_file(folder.path().join("PAT004/MR_2.dcm")).unwrap();
    let (stock, _) = lacks(folder.path());
    assert_eq!((stock.expected, stock.here, stock.missing, stock.incomplete_studies), (6, 5, 1, 1));
}

#[tokio::test]
async fn what_nobody_named_is_never_called_complete() {
    let peer = Peer::new(Habits { no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    let (stock, _) = lacks(folder.path());
    assert!(!stock.is_complete());
    assert_eq!((stock.studies, stock.expected, stock.here), (1, 5, 5));
}

#[test]
fn a_folder_is_free_again_when_its_retrieve_has_ended_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let first = Folder::open(folder.path(), Layout::default()).unwrap();
        let second = Folder::open(folder.path(), Layout::default());
        assert!(matches!(second, Err(FolderError::InUse { .. })));
        drop(first);
    }
}
