#![allow(clippy::unwrap_used)]

use super::*;

fn query(model: Model, keys: &[&str]) -> Query {
    keys.iter().fold(Query::new(model, Level::Study), |query, key| query.key(key).unwrap())
}

#[test]
fn unique_keys_alone_need_no_find() {
    let level = |model, keys: &[&str]| unique(&query(model, keys)).map(|query| query.level);
    let (study, series) = ("StudyInstanceUID=1.2", "SeriesInstanceUID=1.2.3");
    assert_eq!(level(Model::StudyRoot, &[study]), Some(Level::Study));
    assert_eq!(level(Model::StudyRoot, &["StudyInstanceUID=1.2\\1.3"]), Some(Level::Study));
    assert_eq!(level(Model::StudyRoot, &[study, series]), Some(Level::Series));
    assert_eq!(level(Model::StudyRoot, &[study, series, "SOPInstanceUID=1\\2"]), Some(Level::Image));
    assert_eq!(level(Model::PatientRoot, &["PatientID=4711"]), Some(Level::Patient));
    for keys in [
        &["PatientName=Bowen*"][..],
        &[series],
        &[study, "Modality=CT"],
        &["StudyInstanceUID=1.2\\1.3", series],
        &["PatientID=4711"],
    ] {
        assert_eq!(level(Model::StudyRoot, keys), None, "{keys:?}");
    }
    for keys in [&["PatientID=47*"][..], &[study]] {
        assert_eq!(level(Model::PatientRoot, keys), None, "{keys:?}");
    }
}

#[test]
fn a_success_with_failures_remaining_or_uncountable_instances_is_doubted() {
    let tally = |completed, failed, remaining| Tally { completed, failed, remaining, ..Tally::default() };
    for (tally, expected, doubt) in [
        (tally(5, 0, 0), Some(5), None),
        (tally(5, 0, 0), None, None),
        (tally(5, 3, 0), None, Some("3 failed")),
        (tally(5, 0, 5), None, Some("5 remaining")),
        (tally(5, 0, 0), Some(6), Some("sent 5 of 6")),
        (tally(4464, 0, 0), Some(70_000), Some("counters end at 65535")),
        (tally(65_535, 0, 0), None, Some("counters end at 65535")),
    ] {
        let said = tally.doubt(expected);
        let is_as_expected = match doubt {
            Some(words) => said.as_ref().is_some_and(|said| said.contains(words)),
            None => said.is_none(),
        };
        assert!(is_as_expected, "{tally:?} of {expected:?}: {said:?}");
    }
    let judged = |tally: Tally| {
        let mut report = MoveReport::default();
        report.add(&tally);
        report.judge();
        report.complete
    };
    assert!(judged(tally(5, 0, 0)));
    assert!(!judged(tally(5, 3, 0)) && !judged(tally(5, 0, 5)) && !judged(tally(0, 0, 0)));
}

#[test]
fn a_study_of_more_than_can_be_counted_is_asked_for_by_series_and_in_lists() {
    use crate::retrieve::inventory::{Instance, Series};
    let series = |number: u32, counted, named: u32| {
        let uid = |one| Uid::new(format!("1.2.{number}.{one}")).unwrap();
        let instances = (0..named).map(|one| Instance { uid: uid(one), sop_class: None });
        Series { counted, ..Series::named(Uid::new(format!("1.2.{number}")).unwrap(), instances.collect()) }
    };
    let study = |counted, series| Study { counted, ..Study::named(Uid::from_static("1.2"), series) };
    let levels = |study: &Study| -> Vec<(Level, usize, Option<u64>)> {
        let all = requests(study).into_iter();
        all.map(|(request, expected)| (request.level, request.instances.len(), expected)).collect()
    };
    let of = |counted| study(Some(counted), vec![series(1, Some(40_000), 0), series(2, None, 300)]);
    assert_eq!(levels(&of(40_300)), [(Level::Study, 0, Some(40_300))]);
    assert_eq!(
        levels(&of(70_000)),
        [(Level::Series, 0, Some(40_000)), (Level::Series, 0, Some(300))],
        "each can be counted"
    );
    let big = study(Some(66_000), vec![series(1, None, 66_000)]);
    let lists = levels(&big);
    assert!(lists.iter().all(|(level, length, _)| *level == Level::Image && *length <= MAX_UIDS));
    assert_eq!(lists.iter().map(|(_, length, _)| length).sum::<usize>(), 66_000);
}

#[test]
fn a_final_response_without_counters_is_read_by_what_came_before() {
    let pending = Counters { remaining: Some(2), completed: Some(5), failed: Some(1), warning: Some(0) };
    let none = Counters::default();
    let all = Tally { completed: 7, failed: 1, ..Tally::default() };
    assert_eq!(tally(&none, &pending, StatusKind::Success), Some(all));
    let stopped = Tally { completed: 5, failed: 1, remaining: 2, ..Tally::default() };
    assert_eq!(tally(&none, &pending, StatusKind::Warning), Some(stopped));
    assert_eq!(tally(&none, &none, StatusKind::Success), None, "what C-FIND counted is no substitute");
}

/// The end of one C-MOVE, without Pending responses, as the report has it.
fn ended(status: Status, counters: Counters, expected: Option<u64>) -> MoveReport {
    use dicomet_proto::message::{CMoveRsp, DataSetType, MessageId};
    let command = CMoveRsp {
        message_id: MessageId(1),
        affected_sop_class_uid: None,
        status,
        counters,
        identifier: DataSetType::Null,
        error_comment: None,
        offending_elements: Vec::new(),
    };
    let ask = Ask { study: Some(Uid::from_static("1.2")), identifier: DataSet::new(), expected };
    let (report, stop) = (MoveReport::default(), watch::channel(Stop::No).1);
    let mut work = Work { report, patience: PATIENCE, stop, tell: &mut |_: &MoveEvent| {} };
    work.end(&ask, &Counters::default(), Response { command, failed: Vec::new() });
    work.report.judge();
    work.report
}

#[test]
fn a_success_that_counts_nothing_is_not_known_whatever_was_found() {
    for expected in [None, Some(2)] {
        let report = ended(Status::SUCCESS, Counters::default(), expected);
        assert_eq!((report.completed, report.uncounted, report.complete), (0, 1, false), "{expected:?}");
        assert_eq!(report.notes, [format!("study 1.2: {UNCOUNTED}")]);
    }
    let counted = Counters { remaining: None, completed: Some(0), failed: Some(0), warning: Some(0) };
    let report = ended(Status::SUCCESS, counted, None);
    assert_eq!((report.uncounted, report.notes.len()), (0, 0), "it counted, and there was nothing");
    let report = ended(Status::WARNING, Counters::default(), Some(2));
    assert_eq!((report.completed, report.uncounted), (0, 1));
    let report = ended(Status::MOVE_DESTINATION_UNKNOWN, Counters::default(), Some(2));
    assert_eq!((report.completed, report.uncounted), (0, 0), "a failure did nothing");
}
