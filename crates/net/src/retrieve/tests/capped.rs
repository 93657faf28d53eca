//! Peers that end a query at a number of answers.

use super::*;

/// Sixty studies of one instance, on sixty days but for a few.
fn sixty(habits: Habits) -> Arc<Peer> {
    Peer::with(Habits { tells_classes: true, ..habits }, |held| *held = Held::studies(1..=60, 1))
}

/// As B001 is used, as a failure in the middle, and as Orthanc does at its LimitFindResults.
const ENDS: [u16; 3] = [0xB001, 0xA700, 0xFE00];

fn status(code: u16) -> Status {
    Status::new(code)
}

#[tokio::test]
async fn what_a_peer_does_not_answer_at_once_is_found_by_ranges_of_dates() {
    for code in ENDS {
        let peer = sixty(Habits { ends_find_after: Some((7, status(code))), ..Habits::default() });
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
        assert_eq!((report.studies, report.retrieved, report.complete), (60, 60, true), "{code:04X}");
        assert!(report.notes[0].contains("by ranges of StudyDate"), "{:?}", report.notes);
        let asked = peer.operations.lock().unwrap().iter().filter(|level| *level == "STUDY").count();
        assert!(asked < 40, "{asked} queries for sixty studies, seven at a time");

        let folder = tempfile::tempdir().unwrap();
        let keys = ["PatientID=PAT004", "StudyDate=20200101-20201231"];
        let report = get(&node, &keys, folder.path()).await;
        assert_eq!(
            (report.studies, report.complete, report.notes.len()),
            (60, true, 0),
            "{:?}",
            report.notes
        );
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_more_narrowly_is_not_called_all() {
    for code in ENDS {
        let peer = sixty(Habits { ends_find_after: Some((7, status(code))), ..Habits::default() });
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        // A list of days is no range.
        let days: Vec<String> = (1..=28).map(|day| format!("202001{day:02}")).collect();
        let keys = format!(
            "StudyInstanceUID={}",
            (1..=60).map(|n| format!("1.2.{n}")).collect::<Vec<_>>().join("\\")
        );
        let report = get(&node, &[&keys, &format!("StudyDate={}", days.join("\\"))], folder.path()).await;
        assert_eq!((report.retrieved, report.complete), (7, false), "{code:04X}: {report:?}");
        assert!(report.notes[0].contains("more studies may match"), "{:?}", report.notes);
    }
}

#[tokio::test]
async fn a_query_that_fails_with_nothing_is_an_error() {
    let peer = sixty(Habits { ends_find_after: Some((0, status(0xA700))), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let error =
        Retrieve::new(node, query(&["PatientID=PAT004"]), folder.path()).run(|_| {}).await.unwrap_err();
    assert!(matches!(error, RetrieveError::Find { .. }), "{error}");
}
