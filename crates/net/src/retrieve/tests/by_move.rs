//! By C-MOVE what C-GET does: the same plan, the same patience, nothing twice.

use dicomet_testkit::peer::free_port;

use super::failing::impatient;
use super::*;

fn moving(habits: Habits) -> (Arc<Peer>, Options) {
    let port = free_port();
    let peer = Peer::new(Habits { moves_to: Some(port), tells_classes: true, ..habits });
    let receive = Some(format!("127.0.0.1:{port}").parse().unwrap());
    (peer, Options { method: Some(Method::Move), receive, ..impatient() })
}

async fn run(node: &Node, options: &Options, folder: &std::path::Path) -> Report {
    get_with(node, &["PatientID=PAT004"], folder, options.clone()).await
}

#[tokio::test]
async fn a_peer_that_sends_no_pending_is_there_while_instances_come() {
    let takes_its_time = Duration::from_millis(300);
    let (peer, options) = moving(Habits { takes_its_time, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = run(&node, &options, folder.path()).await;
    assert!(report.seconds > options.caller.timeouts.progress, "it takes longer than silence may");
    assert_eq!((report.retrieved, report.complete, report.associations), (6, true, 1), "{report:?}");
    assert_eq!(peer.sent.lock().unwrap().len(), 6, "nothing comes twice");
}

#[tokio::test]
async fn without_counters_what_was_asked_for_is_enough_to_go_on() {
    let (peer, options) = moving(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = run(&node, &options, folder.path()).await;
    assert!(report.complete && report.seconds < Duration::from_secs(2), "{report:?}");
    let report = run(&node, &options, folder.path()).await;
    assert_eq!((report.present, peer.sent.lock().unwrap().len()), (6, 6));
}

#[tokio::test]
async fn an_instance_at_which_the_peer_falls_silent_fails_alone() {
    let bad = Uid::from_static("1.2.1.1.2");
    for hangs_before_it_begins in [false, true] {
        let (peer, options) =
            moving(Habits { hangs_at: Some(bad.clone()), hangs_before_it_begins, ..Habits::default() });
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let report = run(&node, &options, folder.path()).await;
        assert_eq!((report.retrieved, report.failed, report.missing), (5, 1, 0), "{report:?}");
        assert_eq!(report.failures[0].sop_instance, bad);
        assert!(report.failures[0].reason.starts_with("passed over"), "{report:?}");
        assert_eq!(peer.sent.lock().unwrap().len(), 5, "nothing comes twice");
    }
}

#[tokio::test]
async fn an_association_that_is_cut_is_opened_again_and_nothing_comes_twice() {
    for after in [0, 1, 3] {
        let (peer, options) = moving(Habits { closes_after: Some(after), ..Habits::default() });
        peer.habits.closings_left.store(1, std::sync::atomic::Ordering::Relaxed);
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let report = run(&node, &options, folder.path()).await;
        assert_eq!((report.retrieved, report.complete), (6, true), "{after}: {report:?}");
        assert_eq!(peer.sent.lock().unwrap().len(), 6);
    }
}

#[tokio::test]
async fn a_run_that_is_cut_off_is_gone_on_with() {
    let (peer, options) = moving(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (cut, mut is_cut) = tokio::sync::mpsc::unbounded_channel();
    let retrieve = Retrieve::new(node.clone(), query(&["PatientID=PAT004"]), folder.path());
    let work = retrieve.options(options.clone()).run(|event| {
        if matches!(event, Event::Arrived(_)) {
            cut.send(()).unwrap();
        }
    });
    tokio::select! {
        biased;
        _ = is_cut.recv() => {}
        _ = work => panic!("it was to be cut"),
    }
    // The tasks that it left end at the next look of the runtime.
    while Folder::open(folder.path(), Layout::default()).is_err() {
        tokio::task::yield_now().await;
    }
    let here = files(folder.path()) as u64;
    let report = run(&node, &options, folder.path()).await;
    assert_eq!((report.present, report.retrieved, report.complete), (here, 6 - here, true), "{report:?}");
    assert_eq!(files(folder.path()), 6);
}

#[tokio::test]
async fn several_associations_are_opened_where_they_are_asked_for() {
    let (peer, options) = moving(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { associations: Some(3), ..options };
    let report = run(&node, &options, folder.path()).await;
    assert_eq!((report.retrieved, report.complete, report.associations), (6, true, 3), "{report:?}");
    assert_eq!(peer.sent.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn a_peer_of_which_c_get_brings_nothing_is_asked_by_c_move_before_each_instance_is() {
    let (peer, options) = moving(Habits { refuses_get: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { method: None, ..options };
    let report = run(&node, &options, folder.path()).await;
    assert_eq!((report.retrieved, report.complete, report.method), (6, true, Method::Move), "{report:?}");
    let gets = peer.operations.lock().unwrap().iter().filter(|asked| *asked == "GET").count();
    assert_eq!(gets, 2 + 3, "two studies, three series");
}
