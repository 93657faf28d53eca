#![allow(clippy::unwrap_used)]

use super::super::inventory::{Instance, Series};
use super::super::report::Report;
use super::*;

const STUDY: Uid = Uid::from_static("1.2");
const SERIES: Uid = Uid::from_static("1.2.0");

fn uid(number: u64) -> Uid {
    Uid::new(format!("1.2.3.{number}")).unwrap()
}

fn ledger(named: u64, counted: Option<u64>, is_named: bool) -> Ledger {
    let study = study(STUDY, &[(1..=named).map(uid).collect()]);
    let study = Study { counted, is_named, ..study };
    Ledger::new(Inventory { studies: vec![study], ..Inventory::default() })
}

/// A study with these instances in each series.
fn study(study: Uid, series: &[Vec<Uid>]) -> Study {
    let series = series.iter().enumerate().map(|(place, uids)| {
        let instances = uids.iter().map(|uid| Instance { uid: uid.clone(), sop_class: None });
        Series::named(Uid::new(format!("{study}.{place}")).unwrap(), instances.collect())
    });
    let series = series.collect();
    Study::named(study, series)
}

/// Expected, retrieved, present, failed, missing.
fn counts(report: &Report) -> [u64; 5] {
    let counts = [report.expected, report.retrieved, report.present, report.failed, report.missing];
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "every instance is counted once");
    counts
}

#[test]
fn complete_is_when_every_named_instance_is_here() {
    let mut ledger = ledger(3, Some(3), true);
    assert_eq!(counts(&ledger.report("")), [3, 0, 0, 0, 3]);
    ledger.present(0, &Present { named: vec![uid(1)], ..Present::default() });
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 100);
    ledger.failed(&uid(3), "no space");
    let report = ledger.report("");
    assert_eq!(counts(&report), [3, 1, 1, 1, 0]);
    assert!(!report.complete);
    assert_eq!(report.failures[0].reason, "no space");
    ledger.retrieved(&STUDY, &SERIES, &uid(3), 50);
    let report = ledger.report("");
    assert!(report.complete && report.failures.is_empty());
    assert_eq!(report.bytes, 150);
    assert!(ledger.missing().is_empty());
}

#[test]
fn a_count_beyond_the_names_is_filled_by_what_comes_unnamed() {
    let mut ledger = ledger(2, Some(3), false);
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    assert_eq!(counts(&ledger.report("")), [3, 2, 0, 0, 1]);
    assert!(ledger.missing()[0].is_open);
    ledger.retrieved(&STUDY, &SERIES, &uid(99), 1);
    let report = ledger.report("");
    assert_eq!(counts(&report), [3, 3, 0, 0, 0]);
    assert!(ledger.missing().is_empty());
    assert!(!report.complete, "a count proves nothing");
    assert!(report.notes[0].contains("does not name them"), "{:?}", report.notes);
}

#[test]
fn a_study_that_is_neither_named_nor_counted_is_never_complete() {
    let mut ledger = ledger(0, None, false);
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    let report = ledger.report("");
    assert_eq!(counts(&report), [2, 1, 0, 0, 1]);
    assert!(!report.complete);
}

#[test]
fn what_was_not_named_is_kept_apart() {
    let mut ledger = ledger(1, Some(1), true);
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    let report = ledger.report("");
    assert_eq!(counts(&report), [1, 1, 0, 0, 0]);
    assert_eq!(report.unnamed, 1);
    assert!(report.complete);
}

#[test]
fn what_came_before_it_was_named_is_taken_for_what_it_is_named_as() {
    let named = ledger(3, Some(3), true).inventory().studies[0].clone();
    let mut ledger = Ledger::default();
    let place = ledger.begin(named.clone());
    assert_eq!(counts(&ledger.report("")), [3, 0, 0, 0, 3], "as many as the peer counts");
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    ledger.retrieved(&STUDY, &SERIES, &uid(99), 1);
    let missing = ledger.name(named.series[0].clone()).unwrap();
    assert_eq!((missing.is_whole, missing.instances), (false, vec![uid(2), uid(3)]));
    assert_eq!(ledger.end_naming(true), Some(place));
    assert_eq!(counts(&ledger.report("")), [3, 1, 0, 0, 2]);
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    ledger.retrieved(&STUDY, &SERIES, &uid(3), 1);
    let report = ledger.report("");
    assert_eq!((report.complete, report.unnamed), (true, 1));
}

#[test]
fn a_reason_never_takes_an_instance_away() {
    let mut ledger = ledger(1, None, true);
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    ledger.failed(&uid(1), "the peer says it failed");
    ledger.failed_unless_known(0, None, &[], "the peer ended with a failure");
    assert!(ledger.report("").complete);
}

#[test]
fn a_study_without_a_usable_uid_is_counted_and_told() {
    let mut ledger = ledger(1, Some(1), true);
    ledger.inventory.nameless = 2;
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    let report = ledger.report("");
    assert_eq!((report.studies, counts(&report)), (3, [3, 1, 0, 2, 0]));
    assert!(!report.complete && report.notes[0].starts_with("2 studies that match"), "{:?}", report.notes);
    assert_eq!(ledger.lacking(), 0, "there is nothing to ask for");
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains("no usable Study Instance UID"), "{json}");
}

#[test]
fn our_own_reason_stays_when_the_peer_reports_what_we_refused() {
    let mut ledger = ledger(1, Some(1), true);
    ledger.refused(&uid(1), "not taken: no space");
    ledger.failed_at_peer(&uid(1), "the peer could not send it");
    assert_eq!(ledger.report("").failures[0].reason, "not taken: no space");
    assert!(ledger.failures_at_peer().0.is_empty());
    ledger.failed_at_peer(&uid(1), "the peer could not send it");
    assert_eq!(ledger.report("").failures[0].reason, "the peer could not send it");
    assert_eq!(ledger.failures_at_peer().0, [(0, None)].into());
}

#[test]
fn nothing_found_is_not_complete() {
    assert!(!Ledger::new(Inventory::default()).report("").complete);
}

#[test]
fn a_reason_for_a_request_is_for_what_it_asked_for_and_for_no_other() {
    let mut ledger = Ledger::default();
    for (place, name) in ["1.3", "1.4"].into_iter().enumerate() {
        let at = 10 * (place as u64 + 1);
        let series = [vec![uid(at), uid(at + 1)], vec![uid(at + 2)]];
        assert_eq!(ledger.add(study(Uid::from_static(name), &series)), place);
    }
    ledger.failed_unless_known(1, Some(&Uid::from_static("1.4.0")), &[], "by series");
    ledger.failed_unless_known(1, None, &[], "by study");
    ledger.failed_unless_known(0, None, &[uid(12), uid(20)], "by instance");
    let reasons: Vec<(u64, String)> = ledger
        .report("")
        .failures
        .into_iter()
        .map(|failure| {
            (failure.sop_instance.as_str().rsplit('.').next().unwrap().parse().unwrap(), failure.reason)
        })
        .collect();
    let expected = [(10, ""), (11, ""), (12, "by instance")].into_iter().chain([
        (20, "by series"),
        (21, "by series"),
        (22, "by study"),
    ]);
    assert_eq!(reasons, expected.map(|(number, reason)| (number, reason.to_owned())).collect::<Vec<_>>());
}

#[test]
fn an_instance_that_is_named_twice_is_one() {
    let mut ledger = Ledger::default();
    ledger.add(study(STUDY, &[vec![uid(1), uid(2), uid(1)], vec![uid(2)]]));
    ledger.add(study(Uid::from_static("1.3"), &[vec![uid(1)]]));
    assert_eq!(counts(&ledger.report("")), [3, 0, 0, 1, 2], "in another study it is not here by that");
    assert_eq!(ledger.missing_in(0, None).count(), 2);
    assert!(ledger.missing_in(0, None).is_whole, "all of it is missing, named twice or not");
    assert_eq!(ledger.missing_in(1, None).count(), 0);
    assert_eq!(ledger.place(&uid(1)).unwrap().study, STUDY, "where it was named first");
}

#[test]
fn a_study_is_asked_for_whole_only_while_nothing_of_it_is_here() {
    let mut ledger = ledger(2, Some(3), true);
    assert!(ledger.missing_in(0, None).is_open && ledger.missing_of(0).unwrap().is_open);
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    let missing = ledger.missing_in(0, None);
    assert_eq!((missing.is_open, missing.count(), ledger.lacking()), (false, 1, 2));
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    assert_eq!(ledger.missing_of(0), None, "there is nothing to ask for");
    assert_eq!(ledger.lacking(), 1, "and something is lacking all the same");
}

#[test]
fn a_series_without_names_is_asked_for_until_it_has_as_many_as_are_counted_or_the_peer_says_that_is_all() {
    let [first, second] = ["1.2.0", "1.2.1"].map(Uid::from_static);
    let series =
        |uid: &Uid, counted| Series { counted: Some(counted), ..Series::named(uid.clone(), Vec::new()) };
    let study = Study {
        is_named: false,
        counted: None,
        series: vec![series(&first, 2), series(&second, 2)],
        ..study(STUDY, &[])
    };
    let mut ledger = Ledger::new(Inventory { studies: vec![study], ..Inventory::default() });
    assert_eq!((ledger.missing_in(0, None).is_open, ledger.lacking()), (true, 4));
    let unnamed =
        [1, 2, 3].map(|number| (Some(if number < 3 { &first } else { &second }.clone()), uid(number)));
    ledger.present(0, &Present { unnamed: unnamed.to_vec(), ..Present::default() });
    let open = |ledger: &Ledger| -> Vec<Uid> {
        let missing = ledger.missing_in(0, None);
        assert!(!missing.is_open && !missing.is_whole);
        missing.series.into_iter().filter(|series| series.is_open).map(|series| series.uid).collect()
    };
    assert_eq!(open(&ledger), std::slice::from_ref(&second));
    assert_eq!((ledger.report("").present, ledger.lacking()), (3, 1));
    ledger.answered(0, Some(&second));
    assert_eq!(ledger.missing_of(0), None);
    assert!(!ledger.report("").complete && ledger.lacking() == 1);
}

#[test]
fn a_peer_that_says_it_has_sent_all_of_nothing_is_not_believed() {
    let mut ledger = ledger(0, Some(3), false);
    ledger.answered(0, None);
    assert!(ledger.missing_in(0, None).is_open);
}

#[test]
fn an_instance_that_two_studies_are_named_with_is_not_here_because_the_other_ones_is() {
    const OTHER: Uid = Uid::from_static("1.3");
    let studies = vec![study(STUDY, &[vec![uid(1), uid(2)]]), study(OTHER, &[vec![uid(2), uid(2), uid(3)]])];
    let mut ledger = Ledger::new(Inventory { studies, ..Inventory::default() });
    ledger.retrieved(&STUDY, &SERIES, &uid(1), 1);
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    ledger.retrieved(&OTHER, &Uid::from_static("1.3.0"), &uid(3), 1);
    assert!(ledger.missing().is_empty(), "it cannot be asked for twice");
    let report = ledger.report("");
    assert_eq!(counts(&report), [4, 3, 0, 1, 0]);
    assert!(!report.complete && report.failures[0].study == OTHER, "{:?}", report.failures);
    assert!(report.failures[0].reason.contains("study 1.2 too"), "{:?}", report.failures);
    assert!(ledger.outcome(0, "").complete);
    let outcome = ledger.outcome(1, "");
    assert_eq!((outcome.expected, outcome.retrieved, outcome.failed, outcome.complete), (2, 1, 1, false));

    // Found in the folder of the one, it is not here as the other's.
    let studies = vec![study(STUDY, &[vec![uid(2)]]), study(OTHER, &[vec![uid(2)]])];
    let mut ledger = Ledger::new(Inventory { studies, ..Inventory::default() });
    ledger.present(1, &Present { named: vec![uid(2)], ..Present::default() });
    assert_eq!(counts(&ledger.report("")), [2, 0, 1, 0, 1]);
    ledger.retrieved(&STUDY, &SERIES, &uid(2), 1);
    assert!(ledger.report("").complete);
}
