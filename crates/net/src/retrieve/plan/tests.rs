//! Plans of made-up inventories.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use dicomet_proto::query::Level;

use super::super::associations::Share;
use super::super::inventory::{Instance, Inventory, Series, Study};
use super::super::likely::syntaxes_of;
use super::super::verify::{Ledger, Present};
use super::*;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A study with one series a class, each of so many instances.
fn study(uid: &str, classes: &[(&str, usize)]) -> Study {
    let series = |(place, (class, count)): (usize, &(&str, usize))| {
        let instances = (1..=*count).map(|number| Instance {
            uid: Uid::new(format!("{uid}.{place}.{number}")).unwrap(),
            sop_class: (!class.is_empty()).then(|| Uid::new(*class).unwrap()),
        });
        Series::named(Uid::new(format!("{uid}.{place}")).unwrap(), instances.collect())
    };
    Study::named(Uid::new(uid).unwrap(), classes.iter().enumerate().map(series).collect())
}

fn ledger(studies: Vec<Study>) -> Ledger {
    Ledger::new(Inventory { studies, ..Inventory::default() })
}

fn plan(ledger: &Ledger) -> Vec<Round> {
    rounds(&ledger.missing(), &Offered::default(), None)
}

/// The requests of a round for so many workers, in the order in which they are dealt.
fn requests(ledger: &Ledger, round: &Round, granularity: Granularity, workers: usize) -> Vec<Request> {
    let mut dealer = Dealer::of_round(ledger, round, granularity);
    let share = dealer.fair_share(workers);
    let requests = std::iter::from_fn(|| {
        let request = dealer.deal(Share::of(share))?;
        dealer.done(&request);
        Some(request)
    });
    requests.collect()
}

fn private_classes(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("1.2.3.{number}")).collect()
}

#[test]
fn one_class_gets_a_context_for_every_transfer_syntax() {
    let rounds = plan(&ledger(vec![study("1.2", &[(CT, 3)])]));
    assert_eq!(rounds.len(), 1);
    let syntaxes: HashSet<&Uid> = rounds[0].contexts.iter().map(|(_, syntax)| syntax).collect();
    assert_eq!(syntaxes.len(), rounds[0].contexts.len());
    assert_eq!(rounds[0].contexts[0].1, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert!(syntaxes.len() > likely::COMMON_SYNTAXES);
}

#[test]
fn two_hundred_classes_take_as_many_rounds_as_they_need_and_each_class_is_in_one() {
    let classes = private_classes(200);
    let series: Vec<(&str, usize)> = classes.iter().map(|class| (class.as_str(), 1)).collect();
    let ledger = ledger(vec![study("1.2", &series)]);
    let rounds = plan(&ledger);
    assert_eq!(rounds.len(), 200_usize.div_ceil(STORAGE_CONTEXTS / likely::COMMON_SYNTAXES));
    let mut seen = HashSet::new();
    for round in &rounds {
        assert!(round.contexts.len() <= STORAGE_CONTEXTS);
        let proposed: BTreeSet<Uid> = round.contexts.iter().map(|(class, _)| class.clone()).collect();
        assert_eq!(round.parts[0].classes.as_ref(), Some(&proposed));
        for class in proposed {
            assert!(seen.insert(class));
        }
        // Nothing is asked for that has no context in this round.
        let asked = requests(&ledger, round, Granularity::Coarse, 1);
        assert_eq!(asked.len(), round.parts[0].classes.as_ref().unwrap().len());
    }
    assert_eq!(seen.len(), 200);
}

#[test]
fn studies_whose_classes_fit_share_a_round() {
    let studies = (1..=50).map(|number| study(&format!("1.2.{number}"), &[(CT, 2)])).collect();
    let rounds = plan(&ledger(studies));
    assert_eq!(rounds.len(), 1);
    assert_eq!(rounds[0].parts.len(), 50);
}

#[test]
fn the_request_is_the_coarsest_that_asks_for_just_what_is_missing() {
    let mut ledger = ledger(vec![study("1.2", &[(CT, 3), (CT, 2)])]);
    let round = plan(&ledger).remove(0);
    let levels = |ledger: &Ledger, granularity, workers| -> Vec<(Level, usize)> {
        let requests = requests(ledger, &round, granularity, workers);
        requests.iter().map(|request| (request.level, request.instances.len())).collect()
    };
    assert_eq!(levels(&ledger, Granularity::Coarse, 1), [(Level::Study, 0)]);
    assert_eq!(levels(&ledger, Granularity::Series, 1), [(Level::Series, 0), (Level::Series, 0)]);
    assert_eq!(levels(&ledger, Granularity::Single, 1), [(Level::Image, 1); 5]);
    assert_eq!(levels(&ledger, Granularity::Coarse, 2), [(Level::Series, 0), (Level::Series, 0)]);
    ledger.present(0, &Present { named: vec![Uid::from_static("1.2.0.1")], ..Present::default() });
    assert_eq!(levels(&ledger, Granularity::Coarse, 1), [(Level::Image, 2), (Level::Series, 0)]);
    for uid in ["1.2.0.2", "1.2.0.3"] {
        ledger.retrieved(&Uid::from_static("1.2"), &Uid::from_static("1.2.0"), &Uid::from_static(uid), 1);
    }
    assert_eq!(levels(&ledger, Granularity::Coarse, 1), [(Level::Series, 0)]);
}

#[test]
fn many_missing_instances_are_asked_for_in_lists_of_bounded_length() {
    let mut ledger = ledger(vec![study("1.2", &[(CT, 600)])]);
    ledger.present(0, &Present { named: vec![Uid::from_static("1.2.0.1")], ..Present::default() });
    let round = plan(&ledger).remove(0);
    let lists = requests(&ledger, &round, Granularity::Coarse, 1);
    let lengths: Vec<usize> = lists.iter().map(|request| request.instances.len()).collect();
    assert_eq!(lengths, [200, 200, 199]);
}

#[test]
fn several_workers_get_fair_shares_of_instances_whatever_the_studies_and_series() {
    let shares = |studies: Vec<Study>, workers| -> Vec<usize> {
        let ledger = ledger(studies);
        let round = plan(&ledger).remove(0);
        let count = |request: &Request| match (&request.series, request.instances.len()) {
            (None, _) => ledger.missing_in(request.study, None).count(),
            (Some(uid), 0) => {
                let series = ledger.missing_in(request.study, None).series;
                series.iter().find(|series| series.uid == *uid).unwrap().instances.len()
            }
            (_, count) => count,
        };
        requests(&ledger, &round, Granularity::Coarse, workers).iter().map(count).collect()
    };
    let one_long_series = shares(vec![study("1.2", &[(CT, 1000)])], 4);
    assert_eq!(one_long_series.iter().sum::<usize>(), 1000);
    assert!(one_long_series.len() == 16 && one_long_series.iter().all(|count| (55..=63).contains(count)));
    // Three series of eight for four workers: each has something to do.
    assert_eq!(shares(vec![study("1.2", &[(CT, 8), (CT, 8), (CT, 8)])], 4), [4; 6]);
    // One big study among small ones does not keep one worker busy when the others are done.
    let mut studies: Vec<Study> =
        (1..=20).map(|number| study(&format!("1.2.{number}"), &[(CT, 5)])).collect();
    studies.push(study("1.3", &[(CT, 500)]));
    let shares_of_many = shares(studies, 4);
    assert_eq!(shares_of_many[..20], [5; 20], "small studies are asked for whole");
    assert!(shares_of_many.iter().all(|count| *count <= 38), "{shares_of_many:?}");
    // Two instances are no work for three.
    assert_eq!(shares(vec![study("1.2", &[(CT, 2)])], 3), [1, 1]);
}

#[test]
fn what_is_still_missing_gets_the_syntaxes_it_did_not_have() {
    let classes = private_classes(9);
    let series: Vec<(&str, usize)> = classes.iter().map(|class| (class.as_str(), 1)).collect();
    let ledger = ledger(vec![study("1.2", &series)]);
    let mut offered = Offered::default();
    let mut passes = 0;
    let mut seen = HashSet::new();
    while has_more_syntaxes(&ledger.missing(), &offered, None) {
        for round in rounds(&ledger.missing(), &offered, None) {
            offered.add(&round.contexts);
            seen.extend(round.contexts);
        }
        passes += 1;
        assert!(passes < 10);
    }
    let syntaxes = syntaxes_of(&Uid::new(classes[0].clone()).unwrap(), None).len();
    assert_eq!(seen.len(), 9 * syntaxes);
}

#[test]
fn classes_that_nobody_tells_are_guessed_by_modality_and_then_all_are_tried() {
    let mut unknown = study("1.2", &[("", 3)]);
    unknown.modalities = vec!["CT".to_owned()];
    let ledger = ledger(vec![unknown]);
    let mut offered = Offered::default();
    let first = rounds(&ledger.missing(), &offered, None);
    assert_eq!(first.len(), 1);
    assert!(first[0].contexts.iter().any(|(class, _)| class.as_str() == CT));
    offered.add(&first[0].contexts);
    assert!(has_more_classes(&ledger.missing(), &offered));
    let second = rounds(&ledger.missing(), &offered, None);
    let mut proposed: HashSet<Uid> = HashSet::new();
    for round in &second {
        assert!(round.contexts.len() <= STORAGE_CONTEXTS);
        assert_eq!(round.parts[0].classes, None, "the class of what is missing is not known");
        proposed.extend(round.contexts.iter().map(|(class, _)| class.clone()));
        offered.add(&round.contexts);
    }
    assert!(dictionary::storage_sop_classes().iter().all(|class| proposed.contains(class)));
    assert!(!has_more_classes(&ledger.missing(), &offered));
}

/// How many contexts a class has in a round.
fn contexts_of(round: &Round, class: &str) -> usize {
    round.contexts.iter().filter(|(of, _)| of.as_str() == class).count()
}

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

#[test]
fn syntaxes_that_are_left_out_make_room() {
    let classes = private_classes(100);
    let of = |range: std::ops::Range<usize>| -> Vec<(&str, usize)> {
        classes[range].iter().map(|class| (class.as_str(), 1)).collect()
    };
    let plain = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let mut offered = Offered::default();
    let all = syntaxes_of(&uid(&classes[0]), None);
    offered.leave_out(all.into_iter().filter(|syntax| !plain.contains(syntax)));

    let one = ledger(vec![study("1.2", &of(0..40))]);
    assert_eq!(plan(&one).len(), 5);
    let rounds_of_one = rounds(&one.missing(), &offered, None);
    assert_eq!((rounds_of_one.len(), rounds_of_one[0].contexts.len()), (1, 80));
    assert_eq!(rounds_of_one[0].parts[0].classes, None, "it is asked for whole");

    let big = ledger(vec![study("1.2", &of(0..100))]);
    assert_eq!((plan(&big).len(), rounds(&big.missing(), &offered, None).len()), (12, 2));

    let two = ledger(vec![study("1.2", &of(0..9)), study("1.3", &of(9..18))]);
    assert_eq!((plan(&two).len(), rounds(&two.missing(), &offered, None).len()), (2, 1));

    let further: Vec<Uid> = classes[18..40].iter().map(|class| uid(class)).collect();
    let beside = |offered: &Offered| rounds_beside(&two.missing(), offered, None, &further);
    assert!(beside(&Offered::default()).iter().all(|round| contexts_of(round, &classes[39]) == 0));
    assert_eq!(contexts_of(&beside(&offered)[0], &classes[39]), 2);
}

#[test]
fn classes_that_the_peer_refuses_have_one_context_each_and_make_room_for_others() {
    let classes = private_classes(30);
    let series: Vec<(&str, usize)> = classes.iter().map(|class| (class.as_str(), 1)).collect();
    let ledger = ledger(vec![study("1.2", &series)]);
    let mut offered = Offered::default();
    offered.probe(classes[8..].iter().map(|class| uid(class)));
    assert_eq!(plan(&ledger).len(), 4);
    let rounds = rounds(&ledger.missing(), &offered, None);
    assert_eq!((rounds.len(), rounds[0].parts.len()), (1, 1));
    for class in &classes[..8] {
        assert!(contexts_of(&rounds[0], class) >= likely::COMMON_SYNTAXES);
    }
    for class in &classes[8..] {
        assert_eq!(contexts_of(&rounds[0], class), 1);
        assert!(rounds[0].contexts.contains(&(uid(class), uids::EXPLICIT_VR_LITTLE_ENDIAN)), "the likeliest");
    }
}

#[test]
fn a_class_that_is_accepted_after_all_gets_its_other_syntaxes_in_the_next_pass() {
    let ledger = ledger(vec![study("1.2", &[(CT, 1)])]);
    let all = syntaxes_of(&uid(CT), None);
    let mut offered = Offered::default();
    offered.probe([uid(CT)].into_iter());
    let first = rounds(&ledger.missing(), &offered.anew(), None);
    assert_eq!(first[0].contexts, [(uid(CT), all[0].clone())]);
    offered.add(&first[0].contexts);
    assert!(!has_more_syntaxes(&ledger.missing(), &offered, None), "it is left out");
    offered.was_accepted(&first[0].contexts);
    assert!(has_more_syntaxes(&ledger.missing(), &offered, None));
    let second = rounds(&ledger.missing(), &offered, None);
    assert_eq!((second[0].contexts.len(), &second[0].contexts[0].1), (all.len(), &all[1]));
    assert!(!offered.leave_out_none(), "nothing is left out any more");
}

#[test]
fn a_class_that_is_not_accepted_is_offered_in_all_it_has_when_nothing_is_left_out_any_more() {
    let ledger = ledger(vec![study("1.2", &[(CT, 1)])]);
    let mut offered = Offered::default();
    offered.probe([uid(CT)].into_iter());
    offered.add(&rounds(&ledger.missing(), &offered, None)[0].contexts);
    assert!(offered.leave_out_none());
    assert!(has_more_syntaxes(&ledger.missing(), &offered, None));
    let second = rounds(&ledger.missing(), &offered, None);
    assert_eq!(contexts_of(&second[0], CT), syntaxes_of(&uid(CT), None).len());
}

#[test]
fn a_narrowed_proposal_has_these_syntaxes_and_no_others() {
    let ledger = ledger(vec![study("1.2", &[(CT, 1)])]);
    let narrowed = [uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let rounds = rounds(&ledger.missing(), &Offered::default(), Some(&narrowed));
    assert_eq!(rounds[0].contexts, [(Uid::from_static(CT), uids::IMPLICIT_VR_LITTLE_ENDIAN)]);
}

#[test]
fn each_study_gets_its_turn_and_the_last_one_is_shared() {
    let studies = vec![study("1.2", &[(CT, 100)]), study("1.3", &[(CT, 4)]), study("1.4", &[(CT, 4)])];
    let ledger = ledger(studies);
    let mut dealer = Dealer::of_round(&ledger, &plan(&ledger)[0], Granularity::Coarse);
    let (big, small) = (dealer.deal(Share::of(10)).unwrap(), dealer.deal(Share::of(10)).unwrap());
    assert_eq!((big.study, small.study), (0, 1), "the second association does not wait for the big study");
    dealer.done(&small);
    assert_eq!(dealer.deal(Share::of(10)).unwrap().study, 2);
    assert_eq!((dealer.left(), dealer.undealt()), (90, vec![0]));
    let shared: Vec<usize> =
        std::iter::from_fn(|| dealer.deal(Share::of(10))).map(|request| request.study).collect();
    assert_eq!(shared, [0; 9], "then all work on the big one");
    assert!(dealer.is_empty());
}

#[test]
fn a_request_that_was_not_begun_is_dealt_again() {
    let ledger = ledger(vec![study("1.2", &[(CT, 20)])]);
    let mut dealer = Dealer::of_round(&ledger, &plan(&ledger)[0], Granularity::Coarse);
    let requests: Vec<Request> = std::iter::from_fn(|| dealer.deal(Share::of(10))).collect();
    dealer.put_back(requests[0].clone());
    assert_eq!((dealer.is_empty(), dealer.left()), (false, 10));
    assert_eq!(dealer.deal(Share::of(5)).as_ref(), Some(&requests[0]));
    assert_eq!((dealer.deal(Share::of(5)), dealer.left()), (None, 0));
}

#[test]
fn a_study_that_comes_later_is_dealt_after_those_that_were_there() {
    let ledger = ledger(vec![study("1.2", &[(CT, 3)]), study("1.3", &[(CT, 3)])]);
    let mut dealer = Dealer::new(Granularity::Coarse);
    assert!(dealer.is_empty() && dealer.deal(Share::of(10)).is_none());
    for place in [1, 0] {
        dealer.add(place, ledger.missing_in(place, None));
    }
    assert_eq!(
        [dealer.deal(Share::of(10)).unwrap().study, dealer.deal(Share::of(10)).unwrap().study],
        [1, 0]
    );
}

#[test]
fn a_series_is_never_cut_where_lists_are_not_wanted() {
    let whole = Share { instances: 100, cuts_series: false };
    let dealt = |classes: &[(&str, usize)]| -> Vec<(Level, usize)> {
        let ledger = ledger(vec![study("1.2", classes)]);
        let mut dealer = Dealer::of_round(&ledger, &plan(&ledger)[0], Granularity::Coarse);
        let requests = std::iter::from_fn(|| dealer.deal(whole));
        requests.map(|request| (request.level, request.instances.len())).collect()
    };
    assert_eq!(dealt(&[(CT, 5000)]), [(Level::Study, 0)], "a study of one series is asked for whole");
    assert_eq!(dealt(&[(CT, 60), (CT, 40)]), [(Level::Study, 0)]);
    assert_eq!(dealt(&[(CT, 5000), (CT, 1)]), [(Level::Series, 0), (Level::Series, 0)]);
    let beyond = dealt(&[(CT, 65_536)]);
    assert!(
        beyond.iter().all(|(level, count)| (*level, *count <= 100) == (Level::Image, true)),
        "no counter holds so many"
    );
}

#[test]
fn a_study_that_is_being_named_is_dealt_whole_or_series_by_series() {
    let named = study("1.2", &[(CT, 100), (CT, 60)]);
    let head = Study { is_named: false, counted: Some(160), series: Vec::new(), ..named.clone() };
    let begun = || {
        let mut ledger = Ledger::default();
        ledger.begin(head.clone());
        let mut dealer = Dealer::new(Granularity::Coarse);
        dealer.add(0, ledger.missing_in(0, None));
        (ledger, dealer)
    };
    // Where that is too much at a time, there is nothing to deal until a series is known.
    let (mut ledger, mut dealer) = begun();
    assert_eq!(dealer.deal(Share::of(80)), None);
    assert!(!dealer.is_empty());
    let mut lengths = Vec::new();
    for series in &named.series {
        dealer.name(0, ledger.name(series.clone()).unwrap());
        let dealt = std::iter::from_fn(|| dealer.deal(Share::of(80)));
        lengths.extend(dealt.map(|request| (request.level, request.instances.len())));
    }
    assert_eq!(lengths, [(Level::Image, 50), (Level::Image, 50), (Level::Series, 0)]);
    assert_eq!(dealer.undealt(), [0], "more may come");
    dealer.named(0, false);
    assert!(dealer.is_empty());

    for share in [Share::ALL, Share::of(160), Share { instances: 10, cuts_series: false }] {
        let (mut ledger, mut dealer) = begun();
        let request = dealer.deal(share).unwrap();
        assert_eq!((request.level, request.study), (Level::Study, 0));
        dealer.name(0, ledger.name(named.series[0].clone()).unwrap());
        assert!(dealer.is_empty() && dealer.deal(share).is_none(), "it is being got already");
    }
}

#[test]
fn what_is_set_apart_comes_last_and_alone_or_not_at_all() {
    let ledger = ledger(vec![study("1.2", &[(CT, 4), (CT, 1)])]);
    let mut dealer = Dealer::of_round(&ledger, &plan(&ledger)[0], Granularity::Coarse);
    dealer.set_apart(|uid| uid.as_str() == "1.2.0.1", |uid| uid.as_str() == "1.2.0.2");
    let requests: Vec<Request> = std::iter::from_fn(|| dealer.deal(Share::ALL)).collect();
    let asked: Vec<Vec<&str>> =
        requests.iter().map(|request| request.instances.iter().map(Uid::as_str).collect()).collect();
    assert_eq!(asked, [vec!["1.2.0.3", "1.2.0.4"], vec![], vec!["1.2.0.2"]]);
    assert_eq!((requests[1].level, dealer.left()), (Level::Series, 0));
}

#[test]
fn no_request_is_for_more_sub_operations_than_its_counters_can_tell() {
    const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
    let all = [(CT, 40_000), (CT, 30_000), (MR, 66_000)];
    let mut ledger = ledger(vec![study("1.2", &all), study("1.3", &[(CT, 65_535)])]);
    for workers in [1, 3] {
        let requests = requests(&ledger, &plan(&ledger)[0], Granularity::Coarse, workers);
        let mut named = HashSet::new();
        let asked = requests.iter().map(|request| match (request.level, &request.series) {
            (Level::Study, _) => ledger.missing_in(request.study, None).count(),
            (Level::Series, Some(of)) => {
                let missing = ledger.missing_in(request.study, None);
                missing.series.iter().find(|series| series.uid == *of).unwrap().instances.len()
            }
            _ => {
                assert!(request.instances.iter().all(|uid| named.insert(uid.clone())), "asked for twice");
                request.instances.len()
            }
        });
        let asked: Vec<usize> = asked.collect();
        assert_eq!(asked.iter().sum::<usize>(), 201_535);
        assert!(asked.iter().all(|asked| *asked <= 65_535), "{:?}", asked.iter().max());
        if workers == 1 {
            assert_eq!(requests.iter().filter(|request| request.level == Level::Study).count(), 1);
            assert_eq!(requests.iter().filter(|request| request.level == Level::Series).count(), 2);
        }
    }
    // What came is counted in 64 bits.
    for (place, (_, count)) in all.iter().enumerate() {
        for number in 1..=*count {
            let uid = Uid::new(format!("1.2.{place}.{number}")).unwrap();
            ledger.retrieved(&Uid::from_static("1.2"), &Uid::from_static("1.2.0"), &uid, 1 << 20);
        }
    }
    let report = ledger.report("");
    assert_eq!((report.expected, report.retrieved, report.missing), (201_535, 136_000, 65_535));
    assert_eq!(report.bytes, 136_000 << 20);
}
