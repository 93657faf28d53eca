//! What was asked for, and nothing else.

use super::*;

#[tokio::test]
async fn an_instance_of_another_study_is_not_taken() {
    let foreign = Held::ct("1.2.9", 1, 1);
    let peer = Peer::new(Habits { sends_besides: Some(foreign), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut refused = Vec::new();
    let retrieve = Retrieve::new(node, query(&["StudyInstanceUID=1.2.2"]), folder.path());
    let report = retrieve
        .run(|event| {
            if let Event::Refused { reason, .. } = event {
                refused.push(reason.clone());
            }
        })
        .await
        .unwrap();
    assert!(report.complete);
    assert_eq!(files(folder.path()), 1);
    assert!(refused[0].contains("0x0124"), "{refused:?}");
}

#[tokio::test]
async fn an_instance_that_came_late_to_the_study_is_kept_and_not_counted() {
    let late = Held::ct("1.2.2", 1, 99);
    let peer = Peer::new(Habits { sends_besides: Some(late.clone()), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.2"], folder.path()).await;
    assert_eq!((report.expected, report.retrieved, report.unnamed, report.complete), (1, 1, 1, true));
    assert!(file(folder.path(), &late).exists());
}

#[tokio::test]
async fn without_image_level_everything_comes_and_nothing_is_called_complete() {
    let peer = Peer::new(Habits { no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["PatientID=PAT004"], folder.path()).await;
    assert_eq!(files(folder.path()), 6);
    assert!(!report.complete);
    assert!(report.notes[0].contains("neither names nor counts"), "{:?}", report.notes);
}

#[tokio::test]
async fn keys_below_the_study_narrow_what_is_fetched() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    for (keys, expected) in [
        (&["StudyInstanceUID=1.2.1", "Modality=MR"][..], 2),
        (&["StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1"], 3),
        (&["StudyInstanceUID=1.2.1", "SOPInstanceUID=1.2.1.1.2"], 1),
        (&["Modality=CT"], 4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = get(&node, keys, folder.path()).await;
        assert_eq!(
            (report.expected, report.retrieved, report.complete),
            (expected, expected, true),
            "{keys:?}"
        );
        assert_eq!(files(folder.path()) as u64, expected);
    }
}
