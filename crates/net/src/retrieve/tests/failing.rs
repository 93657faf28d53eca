//! What is cut, lost, or cannot be sent: asked for again, and what does not come at all is told.

use std::sync::atomic::AtomicUsize;

use dicomet_proto::dataset::dictionary::uids;

use super::*;

#[tokio::test]
async fn what_is_cut_or_missing_in_the_folder_is_asked_for_again_and_nothing_else() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    peer.sent.lock().unwrap().clear();
    std::fs::remove_file(file(folder.path(), &peer.held[5])).unwrap();
    let cut = file(folder.path(), &peer.held[0]);
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();

    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (2, 4, true));
    let mut sent = peer.sent.lock().unwrap().clone();
    sent.sort();
    assert_eq!(sent, [peer.held[0].instance.clone(), peer.held[5].instance.clone()]);
    assert_eq!(std::fs::read(&cut).unwrap(), bytes);
}

#[tokio::test]
async fn a_file_that_lost_whole_elements_at_its_end_is_asked_for_again() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["PatientID=PAT004"], folder.path()).await;
    let held = &peer.held[0];
    let path = file(folder.path(), held);
    let bytes = std::fs::read(&path).unwrap();
    // The last element is Series Instance UID: 8 bytes of head and an even number of characters.
    let last = 8 + held.series.as_str().len().next_multiple_of(2);
    std::fs::write(&path, &bytes[..bytes.len() - last]).unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (1, 5, true));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn an_association_that_ends_early_is_taken_up_where_it_ended() {
    let habits = Habits { closes_after: Some(1), closings_left: AtomicUsize::new(2), ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut lost = 0;
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path());
    let report =
        retrieve.run(|event| lost += usize::from(matches!(event, Event::Lost { .. }))).await.unwrap();
    assert!(report.complete, "{report:?}");
    assert_eq!(lost, 2);
    let mut sent = peer.sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 5);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 5, "no instance comes twice");
}

#[tokio::test]
async fn a_peer_that_never_gets_far_is_given_up_and_what_came_is_kept() {
    let habits = Habits { closes_after: Some(0), closings_left: AtomicUsize::new(100), ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path());
    let error = retrieve.run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Association(Error::Aborted(_))), "{error}");
    assert_eq!(files(folder.path()), 0);
}

#[tokio::test]
async fn one_bad_instance_does_not_take_the_others_with_it() {
    let bad = Uid::from_static("1.2.1.1.2");
    let habits = Habits {
        all_or_nothing: Some(bad.clone()),
        cannot_send: Some(bad.clone()),
        tells_classes: true,
        ..Habits::default()
    };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.failed, report.missing, report.complete), (5, 1, 0, false));
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].sop_instance, bad);
    assert!(report.failures[0].reason.contains("0xB000"), "{}", report.failures[0].reason);
}

const JPEG_BASELINE: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");

#[tokio::test]
async fn what_a_peer_cannot_send_in_its_first_context_comes_when_its_own_syntax_is_offered_alone() {
    // The peer sends all instances of a class in the first context of that class, as dcmqrscp does.
    let peer = Peer::with(Habits { tells_classes: true, ..Habits::default() }, |held| {
        held[0].only_in = Some(JPEG_BASELINE);
        held[3].only_in = Some(Uid::from_static("1.2.840.10008.1.2.5"));
    });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
    let meta = std::fs::read(file(folder.path(), &peer.held[0])).unwrap();
    assert!(meta.windows(22).any(|bytes| bytes == JPEG_BASELINE.as_str().as_bytes()));
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "no instance comes twice");
}

#[tokio::test]
async fn what_comes_in_no_syntax_is_given_up_after_each_accepted_one() {
    let bad = Uid::from_static("1.2.1.1.2");
    let habits = Habits { cannot_send: Some(bad.clone()), tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        transfer_syntaxes: Some(vec![uids::EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE]),
        ..Options::default()
    };
    let report = get_with(&node, &["StudyInstanceUID=1.2.1"], folder.path(), options).await;
    assert_eq!((report.retrieved, report.failed, report.complete), (4, 1, false));
    // Together, each syntax alone, by series, one by one.
    assert_eq!(report.associations, 1 + 2 + 1 + 1);
}

#[tokio::test]
async fn what_a_peer_refuses_for_good_is_asked_for_a_few_times_and_not_in_each_syntax_one_by_one() {
    for names_no_failures in [true, false] {
        let habits = Habits { names_no_failures, tells_classes: true, ..Habits::default() };
        let peer = Peer::with(habits, |held| *held = Held::studies(1..=1, 30));
        let all = peer.held.iter().map(|held| held.instance.clone());
        peer.habits.cannot_send_now.lock().unwrap().extend(all);
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
        assert_eq!((report.retrieved, report.failed, report.complete), (0, 30, false), "{report:?}");
        let asked = peer.operations.lock().unwrap().iter().filter(|operation| *operation == "GET").count();
        // The study, four of its syntaxes, its series, each instance.
        assert_eq!(asked, 1 + 4 + 1 + 30);
    }
}

/// A second without a sign of life is silence.
pub(super) fn impatient() -> Options {
    let timeouts = Timeouts { progress: Duration::from_secs(1), ..Timeouts::default() };
    Options { caller: Caller { timeouts, ..Caller::default() }, ..Options::default() }
}

#[tokio::test]
async fn an_instance_at_which_the_peer_falls_silent_fails_alone() {
    let bad = Uid::from_static("1.2.1.1.2");
    for hangs_before_it_begins in [false, true] {
        let habits = Habits {
            hangs_at: Some(bad.clone()),
            hangs_before_it_begins,
            tells_classes: true,
            ..Habits::default()
        };
        let peer = Peer::new(habits);
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let report = get_with(&node, &["PatientID=PAT004"], folder.path(), impatient()).await;
        assert_eq!((report.retrieved, report.failed, report.missing), (5, 1, 0), "{report:?}");
        assert_eq!(report.failures[0].sop_instance, bad);
        assert!(report.failures[0].reason.starts_with("passed over: the peer did not"), "{report:?}");
        // Until it is known which one it is, and once more for those behind it.
        assert!(report.associations <= 3, "{}", report.associations);
    }
}

#[tokio::test]
async fn a_peer_that_is_silent_whatever_it_is_asked_for_is_given_up() {
    let peer = Peer::new(Habits { hangs_after: Some(0), tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let retrieve =
        Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).options(impatient());
    let error = retrieve.run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Association(Error::TimedOut { .. })), "{error}");
}
