//! Lists of queries, against a peer that holds a hundred studies of two instances.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::NaiveDateTime;
use dicomet_proto::query::Model;
use serde_json::Value;
use tokio::sync::oneshot;

use super::super::bulk::hours::Clock;
use super::super::bulk::list::List;
use super::super::bulk::{Bulk, BulkEvent, BulkOptions, Outcome, Summary};
use super::super::*;
use super::files;
use super::peer::{Habits, Held, Peer};

const STUDIES: usize = 100;

fn hundred_studies(habits: Habits) -> Arc<Peer> {
    Peer::with(Habits { tells_classes: true, ..habits }, |held| *held = Held::studies(1..=STUDIES, 2))
}

fn uid(study: usize) -> Uid {
    Uid::new(format!("1.2.{study}")).unwrap()
}

/// The second instances of some studies.
fn seconds_of(studies: &[usize]) -> Mutex<BTreeSet<Uid>> {
    Mutex::new(studies.iter().map(|study| Uid::new(format!("1.2.{study}.1.2")).unwrap()).collect())
}

fn list(studies: impl IntoIterator<Item = usize>) -> List {
    let lines: String = studies.into_iter().map(|study| format!("1.2.{study}\n")).collect();
    let base = Query::new(Model::StudyRoot, Level::Study);
    List::read(lines.as_bytes(), base, Some("StudyInstanceUID")).unwrap()
}

fn bulk(node: &Node, list: List, folder: &Path) -> Bulk {
    Bulk::new(node.clone(), list, folder)
}

async fn run(node: &Node, list: List, folder: &Path) -> Summary {
    bulk(node, list, folder).run(|_| {}).await.unwrap()
}

/// The lines of the report.
fn report(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(".dicomet/report.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn of_a_hundred_lines_three_fail_and_the_next_run_gets_the_three_and_asks_for_no_others() {
    let peer = hundred_studies(Habits { cannot_send_now: seconds_of(&[7, 50, 99]), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert!(!summary.complete && summary.ended.is_none(), "{summary:?}");
    assert_eq!((summary.lines, summary.incomplete, summary.studies), (100, 3, 100));
    assert_eq!((summary.expected, summary.retrieved, summary.failed), (200, 197, 3));
    let records = report(folder.path());
    let partial: Vec<&Value> = records.iter().filter(|record| record["outcome"] != "complete").collect();
    assert_eq!((records.len(), partial.len()), (100, 3));
    for (record, study) in partial.iter().zip([7, 50, 99]) {
        assert_eq!(
            (record["line"].as_u64(), record["study"].as_str()),
            (Some(study), Some(&*format!("1.2.{study}")))
        );
        assert_eq!(record["keys"]["StudyInstanceUID"], format!("1.2.{study}"));
        assert_eq!(record["reasons"][0]["sop_instances"][0], format!("1.2.{study}.1.2"));
        assert!(record["reasons"][0]["reason"].as_str().unwrap().contains("could not send it"), "{record}");
    }

    peer.habits.cannot_send_now.lock().unwrap().clear();
    peer.sent.lock().unwrap().clear();
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!((summary.lines, summary.before, summary.studies), (100, 97, 3));
    assert_eq!((summary.retrieved, summary.present), (3, 3));
    let sent: BTreeSet<Uid> = peer.sent.lock().unwrap().iter().cloned().collect();
    assert_eq!(sent, seconds_of(&[7, 50, 99]).into_inner().unwrap());
    assert_eq!(files(folder.path()), 200);
}

#[tokio::test]
async fn of_one_query_that_matches_a_hundred_studies_three_fail_and_the_next_run_gets_the_three() {
    let peer = hundred_studies(Habits { cannot_send_now: seconds_of(&[7, 50, 99]), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = super::get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.studies, report.retrieved, report.failed, report.complete), (100, 197, 3, false));
    let failed: BTreeSet<Uid> = report.failures.iter().map(|failure| failure.sop_instance.clone()).collect();
    assert_eq!(failed, seconds_of(&[7, 50, 99]).into_inner().unwrap());
    assert!(report.failures.iter().all(|failure| failure.reason.contains("could not send it")));

    peer.habits.cannot_send_now.lock().unwrap().clear();
    let report = super::get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (3, 197, true));
}

#[tokio::test]
async fn a_second_run_over_what_is_complete_does_not_call_the_peer_unless_it_is_told_to() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert!(summary.complete, "{summary:?}");
    let associations = *peer.associations.borrow();
    assert!(associations < 20, "a hundred studies share {associations} associations");

    // Another order, and a line more.
    let summary = run(&node, list((1..=STUDIES).rev()), folder.path()).await;
    assert_eq!((summary.before, summary.studies, summary.complete), (100, 0, true));
    assert_eq!(*peer.associations.borrow(), associations);

    let options = BulkOptions { again: true, ..BulkOptions::default() };
    let summary = bulk(&node, list(1..=STUDIES), folder.path()).options(options).run(|_| {}).await.unwrap();
    assert_eq!((summary.before, summary.present, summary.retrieved), (0, 200, 0));
    assert!(*peer.associations.borrow() > associations);

    std::fs::remove_file(folder.path().join("1.2.5/1.2.5.1/1.2.5.1.2.dcm")).unwrap();
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert_eq!((summary.before, summary.retrieved, summary.complete), (99, 1, true));
}

#[tokio::test]
async fn a_line_that_finds_nothing_is_told_and_one_that_is_there_twice_is_done_once() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&node, list([1, 500, 1, 2]), folder.path()).await;
    assert_eq!((summary.lines, summary.nothing, summary.studies, summary.complete), (4, 1, 2, false));
    let outcomes: Vec<Value> = report(folder.path()).iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes.len(), 4);
    for outcome in ["nothing", "repeated"] {
        assert!(outcomes.contains(&outcome.into()), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_study_that_two_lines_find_comes_once() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let text = "StudyInstanceUID,PatientID\n1.2.1,PAT004\n1.2.1,\n1.2.1\\1.2.2,\n";
    let list = List::read(text.as_bytes(), Query::new(Model::StudyRoot, Level::Study), None).unwrap();
    let summary = run(&node, list, folder.path()).await;
    assert_eq!((summary.lines, summary.complete), (3, true), "{summary:?}");
    assert_eq!((summary.retrieved, peer.sent.lock().unwrap().len()), (4, 4));
}

#[tokio::test]
async fn a_study_that_the_peer_dies_of_fails_alone() {
    let peer = hundred_studies(Habits { dies_of: Some(uid(3)), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&node, list(1..=8), folder.path()).await;
    assert_eq!((summary.lines, summary.incomplete, summary.ended.clone()), (8, 1, None), "{summary:?}");
    assert_eq!((summary.retrieved, files(folder.path())), (14, 14));
    let records = report(folder.path());
    let failed = records.iter().find(|record| record["outcome"] == "failed").unwrap();
    assert_eq!(failed["study"], "1.2.3");
    assert!(failed["reasons"][0]["reason"].as_str().unwrap().contains("abort"), "{failed}");
}

#[tokio::test]
async fn a_study_that_is_not_named_and_that_the_peer_dies_in_the_middle_of_fails_alone() {
    // What comes before it dies is the same each time, and no sign that there is any use in going on.
    let aborts_at = Some(Uid::from_static("1.2.3.1.2"));
    for layout in
        ["{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm", "{Modality}/{PatientID}.dcm"]
    {
        let peer = hundred_studies(Habits {
            aborts_at: aborts_at.clone(),
            no_image_level: true,
            ..Habits::default()
        });
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let retrieve = Options { layout: layout.parse().unwrap(), ..Options::default() };
        let options = BulkOptions { retrieve, ..BulkOptions::default() };
        let bulk = bulk(&node, list(1..=4), folder.path()).options(options);
        let summary =
            tokio::time::timeout(Duration::from_secs(120), bulk.run(|_| {})).await.unwrap().unwrap();
        assert_eq!((summary.lines, summary.complete, summary.ended.clone()), (4, false, None), "{summary:?}");
        assert_eq!(files(folder.path()), 7);
    }
}

#[tokio::test]
async fn in_one_run_a_study_that_two_lines_find_at_different_times_comes_once_in_any_layout() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let retrieve = Options { layout: "{PatientID}/{Modality}.dcm".parse().unwrap(), ..Options::default() };
    let options = BulkOptions { retrieve, ..BulkOptions::default() };
    // More studies than a batch holds, and the first ones again.
    let first: String = (1..=80).map(|study| format!("1.2.{study},\n")).collect();
    let again: String = (1..=3).map(|study| format!("1.2.{study},PAT004\n")).collect();
    let text = format!("StudyInstanceUID,PatientID\n{first}{again}");
    let list = List::read(text.as_bytes(), Query::new(Model::StudyRoot, Level::Study), None).unwrap();
    let summary = bulk(&node, list, folder.path()).options(options).run(|_| {}).await.unwrap();
    assert_eq!((summary.lines, summary.retrieved, summary.present), (83, 160, 6), "{summary:?}");
    assert_eq!((peer.sent.lock().unwrap().len(), files(folder.path())), (160, 160));
}

#[tokio::test]
async fn a_peer_that_goes_away_is_waited_for_and_nothing_fails() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut waits, mut was_back) = (0, false);
    let summary = bulk(&node, list(1..=STUDIES), folder.path())
        .run(|event| match event {
            BulkEvent::Settled { lines: 5 } => peer.habits.is_away.store(true, Ordering::SeqCst),
            BulkEvent::Away { .. } => {
                waits += 1;
                peer.habits.is_away.store(false, Ordering::SeqCst);
            }
            BulkEvent::Back => was_back = true,
            _ => {}
        })
        .await
        .unwrap();
    assert!(waits > 0 && was_back);
    assert_eq!((summary.retrieved, summary.incomplete, summary.complete), (200, 0, true), "{summary:?}");
    assert_eq!(peer.sent.lock().unwrap().iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_peer_that_stays_away_ends_the_run_and_the_next_one_goes_on() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = BulkOptions { retry_for: Duration::ZERO, ..BulkOptions::default() };
    let summary = bulk(&node, list(1..=STUDIES), folder.path())
        .options(options)
        .run(|event| {
            if *event == (BulkEvent::Settled { lines: 5 }) {
                peer.habits.is_away.store(true, Ordering::SeqCst);
            }
        })
        .await
        .unwrap();
    assert!(summary.ended.is_some() && summary.left > 0 && !summary.complete, "{summary:?}");
    peer.habits.is_away.store(false, Ordering::SeqCst);
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert!(summary.complete && summary.before >= 5, "{summary:?}");
    assert_eq!(files(folder.path()), 200);
}

#[tokio::test]
async fn a_peer_that_was_never_there_is_an_error_at_once() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    peer.habits.is_away.store(true, Ordering::SeqCst);
    let folder = tempfile::tempdir().unwrap();
    let error = bulk(&node, list(1..=3), folder.path()).run(|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("closed the connection"), "{error}");
}

#[tokio::test]
async fn a_peer_with_one_association_to_spare_is_found_from_and_got_from_by_turns() {
    let peer = hundred_studies(Habits { most_associations: Some(1), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&node, list(1..=40), folder.path()).await;
    assert_eq!((summary.retrieved, summary.complete), (80, true), "{summary:?}");
}

#[tokio::test]
async fn a_run_that_is_cut_off_anywhere_is_gone_on_with_and_nothing_comes_twice() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut here = BTreeSet::new();
    for cut_at in [1, 9, 40] {
        let (cut, mut is_cut) = oneshot::channel();
        let (mut cut, mut arrived) = (Some(cut), 0);
        let running = bulk(&node, list(1..=STUDIES), folder.path());
        let work = running.run(|event| {
            arrived += usize::from(matches!(event, BulkEvent::Retrieve(Event::Arrived(_))));
            if arrived == cut_at {
                cut.take().into_iter().for_each(|cut: oneshot::Sender<()>| cut.send(()).unwrap());
            }
        });
        tokio::select! {
            biased;
            _ = &mut is_cut => {}
            _ = work => panic!("it was to be cut"),
        }
        // The tasks that it left end at the next look of the runtime.
        while Folder::open(folder.path(), Layout::default()).is_err() {
            tokio::task::yield_now().await;
        }
        assert_sent_none_of(&peer, &here);
        let before = here.len();
        here = instances(&peer, folder.path());
        assert!(here.len() > before);
    }
    let summary = run(&node, list(1..=STUDIES), folder.path()).await;
    assert!(summary.complete && summary.before > 0, "{summary:?}");
    assert_eq!(files(folder.path()), 200);
    assert_sent_none_of(&peer, &here);
}

/// The instances that are in the folder.
fn instances(peer: &Peer, folder: &Path) -> BTreeSet<Uid> {
    let held = peer.held.iter().filter(|held| super::file(folder, held).exists());
    held.map(|held| held.instance.clone()).collect()
}

/// The peer has sent none of what was here, since this was asked last.
fn assert_sent_none_of(peer: &Peer, here: &BTreeSet<Uid>) {
    let sent = std::mem::take(&mut *peer.sent.lock().unwrap());
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|uid| !here.contains(uid)), "something that was whole came again");
}

/// A clock that a test sets; who sleeps by it wakes when it is set.
#[derive(Debug)]
struct SetClock(watch::Sender<NaiveDateTime>);

impl SetClock {
    fn at(time: &str) -> SetClock {
        SetClock(watch::Sender::new(moment(time)))
    }
}

fn moment(time: &str) -> NaiveDateTime {
    format!("2026-03-02T{time}").parse().unwrap()
}

impl Clock for SetClock {
    fn now(&self) -> NaiveDateTime {
        *self.0.borrow()
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut time = self.0.subscribe();
        Box::pin(async move { time.changed().await.unwrap_or(()) })
    }
}

#[tokio::test]
async fn outside_the_hours_nothing_is_asked_and_inside_it_goes_on_where_it_was() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::at("12:00:00"));
    let options = BulkOptions {
        between: Some("20:00-06:00".parse().unwrap()),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..BulkOptions::default()
    };
    let mut waits = Vec::new();
    let summary = bulk(&node, list(1..=STUDIES), folder.path())
        .options(options)
        .run(|event| match event {
            BulkEvent::Waiting { until } => {
                waits.push((until.unwrap().time().to_string(), peer.sent.lock().unwrap().len()));
                clock.0.send_replace(moment("20:00:00"));
            }
            BulkEvent::Settled { lines: 10 } => {
                clock.0.send_replace(moment("06:00:00"));
            }
            _ => {}
        })
        .await
        .unwrap();
    assert!(summary.complete, "{summary:?}");
    assert_eq!(waits.len(), 2);
    assert_eq!(waits[0], ("20:00:00".to_owned(), 0));
    assert!(waits[1].1 < 200, "it was halted in the middle: {waits:?}");
    assert_eq!(
        (summary.retrieved, summary.present),
        (200, 0),
        "what came before the halt is no less retrieved"
    );
    assert_eq!(files(folder.path()), 200);
}

#[tokio::test]
async fn a_peer_that_does_not_heed_a_cancel_is_aborted_when_the_hours_are_over() {
    let habits =
        Habits { ignores_cancel: true, takes_its_time: Duration::from_millis(20), ..Habits::default() };
    let peer = Peer::with(Habits { tells_classes: true, ..habits }, |held| {
        *held = (1..=1000).map(|number| Held::ct("1.2.1", 1, number)).collect();
    });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::at("21:00:00"));
    let options = BulkOptions {
        retrieve: Options { associations: Some(1), ..super::failing::impatient() },
        between: Some("20:00-06:00".parse().unwrap()),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..BulkOptions::default()
    };
    let (stop, stopped) = watch::channel(Stop::No);
    let mut has_waited = false;
    let running = bulk(&node, list([1]), folder.path()).options(options).stop_by(stopped);
    let summary = running
        .run(|event| match event {
            BulkEvent::Retrieve(Event::Arrived(_)) => _ = clock.0.send_replace(moment("06:00:00")),
            BulkEvent::Waiting { .. } => {
                has_waited = true;
                stop.send_replace(Stop::Cancel);
            }
            _ => {}
        })
        .await
        .unwrap();
    let came = files(folder.path());
    assert!(has_waited && (1..900).contains(&came), "{came} came, {summary:?}");
}

#[tokio::test]
async fn where_the_state_cannot_be_kept_what_came_is_told() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    // Every write to it fails as on a full disk.
    let options = BulkOptions { report: Some("/dev/full".into()), ..BulkOptions::default() };
    let summary = bulk(&node, list(1..=3), folder.path()).options(options).run(|_| {}).await.unwrap();
    assert!(summary.retrieved > 0 && !summary.complete, "{summary:?}");
    assert!(summary.ended.as_ref().unwrap().contains("cannot write"), "{summary:?}");
    let summary = run(&node, list(1..=3), folder.path()).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!(files(folder.path()), 6);
}

#[tokio::test]
async fn a_list_is_cancelled_between_two_instances_and_says_what_is_left() {
    let peer = hundred_studies(Habits::default());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let summary = bulk(&node, list(1..=STUDIES), folder.path())
        .stop_by(stopped)
        .run(|event| {
            if *event == (BulkEvent::Settled { lines: 3 }) {
                stop.send_replace(Stop::Cancel);
            }
        })
        .await
        .unwrap();
    assert_eq!(summary.ended.as_deref(), Some("cancelled"));
    assert!(summary.left > 0 && !summary.complete);
    assert_eq!(files(folder.path()) as u64, summary.retrieved);
}

#[tokio::test]
async fn keys_below_study_level_hold_for_each_line() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let base = Query::new(Model::StudyRoot, Level::Study).key("Modality=MR").unwrap();
    let list = List::read(&b"1.2.1\n1.2.2\n"[..], base, Some("StudyInstanceUID")).unwrap();
    let mut outcomes = Vec::new();
    let summary = bulk(&node, list, folder.path())
        .run(|event| {
            if let BulkEvent::Recorded(record) = event {
                outcomes.push((record.line, record.outcome, record.retrieved));
            }
        })
        .await
        .unwrap();
    outcomes.sort_by_key(|(line, ..)| *line);
    assert_eq!(outcomes, [(1, Outcome::Complete, 2), (2, Outcome::Nothing, 0)]);
    assert_eq!((summary.nothing, summary.incomplete, summary.complete), (1, 0, false));
}
