//! The plan of a retrieve: which presentation contexts to propose, and what to ask for in them. Pure.
//!
//! A C-GET needs a presentation context for every SOP class in the study, and, since an acceptor picks one
//! transfer syntax a context, one for every transfer syntax the instances may be stored in: otherwise the peer
//! must convert, or fails them (dcmqrscp cannot decompress). An association holds 128 contexts, so a study of
//! many classes takes several rounds. Studies whose classes fit together share a round.
//!
//! ```text
//! ledger: what is missing -> rounds (contexts + studies or parts of them) -> requests (study, series, images)
//! ```

use std::collections::{BTreeSet, HashMap, HashSet};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{self, uids};
use dicomet_proto::query::Level;

use super::likely::{self, syntaxes_of};
use super::verify::{Ledger, MissingInstances, MissingSeries, MissingStudy};

/// Presentation contexts for storage classes in one association: 128 but the one of C-GET itself.
pub const STORAGE_CONTEXTS: usize = 127;

/// How many transfer syntaxes each class of an association is to have at least, if there are so many: all that are
/// met in archives. With fewer, an instance comes converted, or not at all (Orthanc 1.10 inflates what is stored
/// deflated when that context is missing).
const MIN_SYNTAXES: usize = likely::COMMON_SYNTAXES;

/// The most UIDs in one IMAGE level request: 64 characters each stay far below the 65,534 bytes that a UI element
/// holds in Explicit VR, and a peer's SQL gets no endless list.
const MAX_UIDS: usize = 256;

/// One association's worth of work: what to propose and which parts of the inventory to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// SOP class and transfer syntax of each storage context, at most [`STORAGE_CONTEXTS`].
    pub contexts: Vec<(Uid, Uid)>,
    /// What to ask for.
    pub parts: Vec<Part>,
}

/// A study, or what of it has certain SOP classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Place in the inventory.
    pub study: usize,
    /// Only instances of these classes; `None` is all that is missing.
    pub classes: Option<BTreeSet<Uid>>,
}

/// How finely to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granularity {
    /// At the coarsest level that asks for just what is missing.
    Coarse,
    /// By series: one study that fails as a whole does not hide what could be had.
    Series,
    /// One instance at a time: one instance that fails does not take others with it.
    Single,
}

impl Granularity {
    /// The next finer one.
    pub fn finer(self) -> Option<Granularity> {
        match self {
            Granularity::Coarse => Some(Granularity::Series),
            Granularity::Series => Some(Granularity::Single),
            Granularity::Single => None,
        }
    }
}

/// One C-GET-RQ.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Study, Series or Image.
    pub level: Level,
    /// Place of the study in the inventory.
    pub study: usize,
    /// The series, for Series and Image.
    pub series: Option<Uid>,
    /// The instances, for Image.
    pub instances: Vec<Uid>,
}

/// What was proposed before, by class: a class whose instances are still missing gets what it did not have yet.
#[derive(Debug, Default)]
pub struct Offered(HashMap<Uid, HashSet<Uid>>);

impl Offered {
    /// Remembers the contexts of a round.
    pub fn add(&mut self, contexts: &[(Uid, Uid)]) {
        for (class, syntax) in contexts {
            self.0.entry(class.clone()).or_default().insert(syntax.clone());
        }
    }

    /// Whether the class was offered in any syntax.
    fn has(&self, class: &Uid) -> bool {
        self.0.contains_key(class)
    }

    /// The syntaxes of a class, those that were not offered yet first.
    fn order(&self, class: &Uid, narrowed: Option<&[Uid]>) -> Vec<Uid> {
        let mut syntaxes = syntaxes_of(class, narrowed);
        if let Some(offered) = self.0.get(class) {
            syntaxes.sort_by_key(|syntax| offered.contains(syntax));
        }
        syntaxes
    }

    /// Whether the class has syntaxes that were not offered yet.
    fn is_exhausted(&self, class: &Uid, narrowed: Option<&[Uid]>) -> bool {
        let offered = self.0.get(class);
        syntaxes_of(class, narrowed)
            .iter()
            .all(|syntax| offered.is_some_and(|offered| offered.contains(syntax)))
    }
}

/// The rounds that cover all that is missing, for one pass.
///
/// `narrowed` holds the transfer syntaxes that the user wants and no others.
pub fn rounds(missing: &[MissingStudy], offered: &Offered, narrowed: Option<&[Uid]>) -> Vec<Round> {
    let mut drafts = Vec::new();
    let mut shared = Draft::default();
    for study in missing {
        let classes = candidates(study, offered);
        if cost(&classes, narrowed) > STORAGE_CONTEXTS {
            drafts.extend(split(study, &classes, narrowed));
            continue;
        }
        if shared.cost_with(&classes, narrowed) > STORAGE_CONTEXTS {
            drafts.push(std::mem::take(&mut shared));
        }
        shared.add(Part { study: study.study, classes: None }, &classes);
    }
    drafts.push(shared);
    drafts
        .into_iter()
        .filter(|draft| !draft.parts.is_empty())
        .map(|draft| draft.finish(offered, narrowed))
        .collect()
}

/// Whether another pass could bring more in further transfer syntaxes: some class that instances are missing of has
/// one that it was not offered with.
pub fn has_more_syntaxes(missing: &[MissingStudy], offered: &Offered, narrowed: Option<&[Uid]>) -> bool {
    missing.iter().any(|study| {
        let mut known = study.classes.keys().chain(study.guesses_told());
        known.any(|class| !offered.is_exhausted(class, narrowed))
    })
}

/// Whether another pass could bring more in further SOP classes: those of what is missing are not all known, and
/// some that it may be of were not offered at all.
pub fn has_more_classes(missing: &[MissingStudy], offered: &Offered) -> bool {
    missing.iter().any(|study| {
        // A count that is wrong is no reason to try every class there is.
        study.is_guessed()
            && (study.unknown > 0 || study.sop_classes.is_empty())
            && candidates(study, offered).iter().any(|class| !offered.has(class))
    })
}

/// The classes to prepare for, those with the most instances first. Where the classes are not all known: SOP Classes
/// in Study, or else what the modalities make likely, or, that having been offered, every storage class there is.
fn candidates(study: &MissingStudy, offered: &Offered) -> Vec<Uid> {
    let mut classes: Vec<(&Uid, usize)> =
        study.classes.iter().map(|(class, count)| (class, *count)).collect();
    classes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut classes: Vec<Uid> = classes.into_iter().map(|(class, _)| class.clone()).collect();
    if study.is_guessed() {
        let told: Vec<Uid> = study.guesses_told().cloned().collect();
        let likely = if told.is_empty() { likely::classes_of(&study.modalities) } else { told };
        let is_news = likely.iter().any(|class| !offered.has(class));
        let further = if is_news { likely.as_slice() } else { dictionary::storage_sop_classes() };
        for class in further {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
    }
    classes
}

/// Whether one association has room for all these classes (and there are any), so that it need not be known which
/// instance has which.
pub(super) fn fit_together(classes: &[Uid]) -> bool {
    !classes.is_empty() && cost(classes, None) <= STORAGE_CONTEXTS
}

/// The requests of a round, by what is missing now.
///
/// With several workers no request is for more than a fair share of all that the round has to bring: studies are cut
/// into series, and series into lists of instances.
pub fn requests(ledger: &Ledger, round: &Round, granularity: Granularity, workers: usize) -> Vec<Request> {
    let parts: Vec<(usize, MissingInstances)> = round
        .parts
        .iter()
        .map(|part| (part.study, ledger.missing_in(part.study, part.classes.as_ref())))
        .collect();
    let share = match granularity {
        Granularity::Single => 1,
        _ => fair_share(parts.iter().map(|(_, missing)| missing.count()).sum(), workers),
    };
    parts.into_iter().flat_map(|(study, missing)| requests_of(study, missing, granularity, share)).collect()
}

/// How many instances one request is for at the most. Each worker gets several requests, so that none ends long
/// before the others; but none is so small that the round trips count, unless a worker would have nothing.
fn fair_share(instances: usize, workers: usize) -> usize {
    const REQUESTS_PER_WORKER: usize = 4;
    const SMALL: usize = 8;
    if workers <= 1 {
        return usize::MAX;
    }
    let small = SMALL.min(instances.div_ceil(workers));
    instances.div_ceil(REQUESTS_PER_WORKER * workers).max(small).max(1)
}

fn requests_of(
    study: usize,
    missing: MissingInstances,
    granularity: Granularity,
    share: usize,
) -> Vec<Request> {
    let whole = missing.series.iter().all(|series| series.is_whole) && missing.is_whole;
    let study_level = Request { level: Level::Study, study, series: None, instances: Vec::new() };
    if missing.is_open && (granularity == Granularity::Coarse || missing.series.is_empty()) {
        return vec![study_level];
    }
    let is_fair = missing.count() <= share;
    if granularity == Granularity::Coarse && whole && is_fair && !missing.series.is_empty() {
        return vec![study_level];
    }
    missing
        .series
        .into_iter()
        .flat_map(|series| requests_of_series(study, series, granularity, share))
        .collect()
}

fn requests_of_series(
    study: usize,
    series: MissingSeries,
    granularity: Granularity,
    share: usize,
) -> Vec<Request> {
    let request = |level, instances| Request { level, study, series: Some(series.uid.clone()), instances };
    if series.is_whole && granularity < Granularity::Single && series.instances.len() <= share {
        return vec![request(Level::Series, Vec::new())];
    }
    // Lists of the same length, rather than full ones and a rest.
    let lists = series.instances.len().div_ceil(share.min(MAX_UIDS)).max(1);
    let length = series.instances.len().div_ceil(lists).max(1);
    series.instances.chunks(length).map(|uids| request(Level::Image, uids.to_vec())).collect()
}

/// A round in the making: parts, and their classes with the number of instances of each.
#[derive(Debug, Default)]
struct Draft {
    parts: Vec<Part>,
    classes: Vec<Uid>,
}

impl Draft {
    fn add(&mut self, part: Part, classes: &[Uid]) {
        self.parts.push(part);
        for class in classes {
            if !self.classes.contains(class) {
                self.classes.push(class.clone());
            }
        }
    }

    fn cost_with(&self, classes: &[Uid], narrowed: Option<&[Uid]>) -> usize {
        let new: Vec<Uid> = classes.iter().filter(|class| !self.classes.contains(class)).cloned().collect();
        cost(&self.classes, narrowed) + cost(&new, narrowed)
    }

    /// Deals the contexts out: every class its likeliest syntax, then every class its second, as far as they go.
    fn finish(self, offered: &Offered, narrowed: Option<&[Uid]>) -> Round {
        let orders: Vec<Vec<Uid>> = self.classes.iter().map(|class| offered.order(class, narrowed)).collect();
        let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
        let mut contexts = Vec::new();
        for rank in 0..longest {
            for (class, order) in self.classes.iter().zip(&orders) {
                if let Some(syntax) = order.get(rank).filter(|_| contexts.len() < STORAGE_CONTEXTS) {
                    contexts.push((class.clone(), syntax.clone()));
                }
            }
        }
        Round { contexts, parts: self.parts }
    }
}

/// The contexts that the classes need at least.
fn cost(classes: &[Uid], narrowed: Option<&[Uid]>) -> usize {
    classes.iter().map(|class| syntaxes_of(class, narrowed).len().min(MIN_SYNTAXES)).sum()
}

/// A study of more classes than one association holds: one draft for as many classes as fit. Instances whose class
/// is not known are asked for in each.
fn split(study: &MissingStudy, classes: &[Uid], narrowed: Option<&[Uid]>) -> Vec<Draft> {
    let mut groups: Vec<Vec<Uid>> = vec![Vec::new()];
    let mut room = STORAGE_CONTEXTS;
    for class in classes {
        let needs = cost(std::slice::from_ref(class), narrowed);
        if needs > room {
            groups.push(Vec::new());
            room = STORAGE_CONTEXTS;
        }
        room -= needs.min(room);
        if let Some(group) = groups.last_mut() {
            group.push(class.clone());
        }
    }
    let all_known = study.unknown == 0 && !study.is_open;
    groups
        .into_iter()
        .map(|group| {
            let classes = all_known.then(|| group.iter().cloned().collect());
            Draft { parts: vec![Part { study: study.study, classes }], classes: group }
        })
        .collect()
}

/// The SOP class of C-GET in a model.
pub fn get_sop_class(model: dicomet_proto::query::Model) -> Uid {
    match model {
        dicomet_proto::query::Model::PatientRoot => uids::PATIENT_ROOT_GET,
        _ => uids::STUDY_ROOT_GET,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::find::{Instance, Inventory, Series, Study};
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    /// A study with one series a class, each of so many instances.
    fn study(uid: &str, classes: &[(&str, usize)]) -> Study {
        let series = |(place, (class, count)): (usize, &(&str, usize))| Series {
            uid: Uid::new(format!("{uid}.{place}")).unwrap(),
            is_whole: true,
            instances: (1..=*count)
                .map(|number| Instance {
                    uid: Uid::new(format!("{uid}.{place}.{number}")).unwrap(),
                    sop_class: (!class.is_empty()).then(|| Uid::new(*class).unwrap()),
                })
                .collect(),
        };
        Study {
            uid: Uid::new(uid).unwrap(),
            patient_id: None,
            sop_classes: Vec::new(),
            modalities: Vec::new(),
            counted: None,
            is_whole: true,
            is_named: true,
            series: classes.iter().enumerate().map(series).collect(),
        }
    }

    fn ledger(studies: Vec<Study>) -> Ledger {
        Ledger::new(Inventory { studies, ..Inventory::default() })
    }

    fn plan(ledger: &Ledger) -> Vec<Round> {
        rounds(&ledger.missing(), &Offered::default(), None)
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
        ledger.present(&Uid::from_static("1.2.0.1"));
        assert_eq!(levels(&ledger, Granularity::Coarse, 1), [(Level::Image, 2), (Level::Series, 0)]);
        for uid in ["1.2.0.2", "1.2.0.3"] {
            ledger.retrieved(&Uid::from_static("1.2"), &Uid::from_static(uid), 1);
        }
        assert_eq!(levels(&ledger, Granularity::Coarse, 1), [(Level::Series, 0)]);
    }

    #[test]
    fn many_missing_instances_are_asked_for_in_lists_of_bounded_length() {
        let mut ledger = ledger(vec![study("1.2", &[(CT, 600)])]);
        ledger.present(&Uid::from_static("1.2.0.1"));
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

    #[test]
    fn a_narrowed_proposal_has_these_syntaxes_and_no_others() {
        let ledger = ledger(vec![study("1.2", &[(CT, 1)])]);
        let narrowed = [uids::IMPLICIT_VR_LITTLE_ENDIAN];
        let rounds = rounds(&ledger.missing(), &Offered::default(), Some(&narrowed));
        assert_eq!(rounds[0].contexts, [(Uid::from_static(CT), uids::IMPLICIT_VR_LITTLE_ENDIAN)]);
    }
}
