//! Nothing that is here, whole, comes again: neither in the same run nor in the next.

use std::time::SystemTime;

use super::*;

/// When each file was put in its place.
fn times(folder: &std::path::Path, peer: &Peer) -> Vec<SystemTime> {
    let time = |held: &Held| std::fs::metadata(file(folder, held)).unwrap().modified().unwrap();
    peer.held.iter().map(time).collect()
}

/// What the peer has sent since this was asked last.
fn sent(peer: &Peer) -> usize {
    std::mem::take(&mut *peer.sent.lock().unwrap()).len()
}

#[tokio::test]
async fn a_study_of_which_the_peer_counts_more_than_it_has_comes_once() {
    let peer = Peer::new(Habits { counts: Some(2), tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.expected, report.retrieved, report.missing, report.complete), (10, 6, 4, false));
    assert!(report.notes[0].contains("2 more than it names or sends"), "{:?}", report.notes);
    assert_eq!(sent(&peer), 6);
    let before = times(folder.path(), &peer);

    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.present, report.retrieved, report.missing), (6, 0, 4));
    assert_eq!((sent(&peer), times(folder.path(), &peer)), (0, before));

    std::fs::remove_file(file(folder.path(), &peer.held[1])).unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.present, report.retrieved, sent(&peer)), (5, 1, 1));
}

#[tokio::test]
async fn of_a_peer_without_image_level_only_series_come_again_that_lack_something() {
    for layout in ["{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm", "{SOPInstanceUID}.dcm"] {
        let peer = Peer::new(Habits { no_image_level: true, counts: Some(0), ..Habits::default() });
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let options = Options { layout: layout.parse().unwrap(), ..Options::default() };
        let run = async || get_with(&node, &["PatientID=PAT004"], folder.path(), options.clone()).await;
        let report = run().await;
        assert_eq!((report.expected, report.retrieved, report.complete, sent(&peer)), (6, 6, false, 6));

        let report = run().await;
        assert_eq!((report.expected, report.present, report.retrieved), (6, 6, 0), "{layout}");
        assert_eq!((sent(&peer), files(folder.path())), (0, 6));
        assert!(report.notes[0].contains("5 are here"), "{:?}", report.notes);
    }

    // One of the MR series is gone: the CT series does not come again.
    let peer = Peer::new(Habits { no_image_level: true, counts: Some(0), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    sent(&peer);
    let other = std::fs::metadata(file(folder.path(), &peer.held[3])).unwrap().modified().unwrap();
    std::fs::remove_file(file(folder.path(), &peer.held[4])).unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.present, report.retrieved), (5, 1), "{report:?}");
    assert_eq!(sent(&peer), 2, "the two of the series");
    let again = std::fs::metadata(file(folder.path(), &peer.held[3])).unwrap().modified().unwrap();
    assert_eq!(again, other, "what is here is not written again");
}

#[tokio::test]
async fn of_a_peer_without_image_level_only_the_series_that_are_wanted_come() {
    let peer = Peer::new(Habits { no_image_level: true, counts: Some(0), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.1", "Modality=MR"], folder.path()).await;
    assert_eq!((report.complete, sent(&peer), files(folder.path())), (false, 2, 2), "{report:?}");
}

#[tokio::test]
async fn a_peer_that_neither_names_nor_counts_sends_all_once_a_run() {
    let peer = Peer::new(Habits { no_image_level: true, tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((files(folder.path()), report.complete, sent(&peer)), (6, false, 6));
    let before = times(folder.path(), &peer);
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((sent(&peer), times(folder.path(), &peer)), (6, before), "looked at, not written again");
}
