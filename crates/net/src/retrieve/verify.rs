//! The ledger of a retrieve: every instance that C-FIND named, and what became of it. Pure.
//!
//! Nothing is complete because a peer said so: an instance counts when it stands in the folder, and a study
//! counts when all its instances do and the peer's own counts do not speak of more.

mod by_study;

use std::collections::{BTreeSet, HashMap};

use dicomet_proto::Uid;

use super::inventory::{Inventory, Study};
use super::report::{Failure, Report};

pub use by_study::StudyOutcome;

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Not here; nobody said why.
    Missing,
    /// Not here; the reason.
    Failed(String),
    /// Here from an earlier run.
    Present,
    /// Here by this run.
    Retrieved,
}

#[derive(Debug, Clone)]
struct Entry {
    study: usize,
    series: usize,
    /// Place in the series.
    instance: usize,
    state: State,
    /// Whether the peer failed this very instance, at least once.
    failed_at_peer: bool,
    /// Whether we did not take it, which the peer will report as a failure.
    is_refused: bool,
}

impl Entry {
    fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing | State::Failed(_))
    }
}

/// Where an expected instance belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// Whether it is here already.
    pub is_here: bool,
}

/// What a study still lacks, for the planning of contexts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MissingStudy {
    /// Place in the inventory.
    pub study: usize,
    /// The classes of the missing instances, as far as known, with how many there are of each.
    pub classes: HashMap<Uid, usize>,
    /// Missing instances whose class is not known.
    pub unknown: usize,
    /// The peer did not name the instances, or counts more than it named.
    pub is_open: bool,
    /// SOP Classes in Study (0008,0062).
    pub sop_classes: Vec<Uid>,
    /// The modalities of its series.
    pub modalities: Vec<String>,
}

impl MissingStudy {
    /// Whether the classes of what is missing are not all known.
    pub(super) fn is_guessed(&self) -> bool {
        self.unknown > 0 || self.is_open
    }

    /// SOP Classes in Study, where they are needed to guess.
    pub(super) fn guesses_told(&self) -> impl Iterator<Item = &Uid> {
        self.sop_classes.iter().filter(|_| self.is_guessed())
    }
}

/// What a study still lacks, for the making of requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MissingInstances {
    /// All the study's instances are missing and all are wanted, so the study can be asked for.
    pub is_whole: bool,
    /// See [`MissingStudy::is_open`].
    pub is_open: bool,
    /// By series.
    pub series: Vec<MissingSeries>,
}

impl MissingInstances {
    /// How many there are, as far as named.
    pub(super) fn count(&self) -> usize {
        self.series.iter().map(|series| series.instances.len()).sum()
    }
}

/// What a series still lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingSeries {
    /// Series Instance UID.
    pub uid: Uid,
    /// All its instances are missing and all are wanted.
    pub is_whole: bool,
    /// The missing instances.
    pub instances: Vec<Uid>,
}

/// Every instance that C-FIND named, and what became of it.
#[derive(Debug, Default)]
pub struct Ledger {
    inventory: Inventory,
    entries: HashMap<Uid, Entry>,
    /// Per study: instances that C-FIND did not name but that came and belong to it.
    unnamed: Vec<BTreeSet<Uid>>,
    bytes: u64,
}

impl Ledger {
    /// Begins with all missing.
    pub fn new(inventory: Inventory) -> Ledger {
        let mut entries = HashMap::new();
        for (study_place, study) in inventory.studies.iter().enumerate() {
            for (series_place, series) in study.series.iter().enumerate() {
                for (instance_place, instance) in series.instances.iter().enumerate() {
                    // A UID that a peer names twice is one instance.
                    entries.entry(instance.uid.clone()).or_insert(Entry {
                        study: study_place,
                        series: series_place,
                        instance: instance_place,
                        state: State::Missing,
                        failed_at_peer: false,
                        is_refused: false,
                    });
                }
            }
        }
        let unnamed = vec![BTreeSet::new(); inventory.studies.len()];
        Ledger { inventory, entries, unnamed, bytes: 0 }
    }

    /// What C-FIND told.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The instances C-FIND named, with their places.
    pub fn expected(&self) -> impl Iterator<Item = (&Uid, &Uid, &Uid)> {
        self.entries.iter().map(|(uid, entry)| {
            let study = &self.inventory.studies[entry.study];
            (&study.uid, &study.series[entry.series].uid, uid)
        })
    }

    /// Where an instance belongs; `None` when C-FIND did not name it.
    pub fn place(&self, instance: &Uid) -> Option<Place> {
        let entry = self.entries.get(instance)?;
        let study = &self.inventory.studies[entry.study];
        Some(Place {
            study: study.uid.clone(),
            series: study.series[entry.series].uid.clone(),
            is_here: entry.state == State::Present || entry.state == State::Retrieved,
        })
    }

    /// Whether an instance that C-FIND did not name belongs to what was asked for: to a study that is wanted
    /// whole, or to a series that is.
    pub fn belongs(&self, study: &Uid, series: &Uid) -> bool {
        let Some(study) = self.inventory.studies.iter().find(|wanted| wanted.uid == *study) else {
            return false;
        };
        let of_series = study.series.iter().find(|wanted| wanted.uid == *series);
        match of_series {
            Some(series) => series.is_whole,
            None => study.is_whole,
        }
    }

    /// Takes SOP classes that were asked for later.
    pub fn learn_classes(&mut self, place: usize, told: &Study) {
        let classes: HashMap<&Uid, &Uid> = told
            .series
            .iter()
            .flat_map(|series| &series.instances)
            .filter_map(|instance| Some((&instance.uid, instance.sop_class.as_ref()?)))
            .collect();
        let study = &mut self.inventory.studies[place];
        for instance in study.series.iter_mut().flat_map(|series| &mut series.instances) {
            if instance.sop_class.is_none() {
                instance.sop_class = classes.get(&instance.uid).map(|class| (*class).clone());
            }
        }
    }

    /// Notes an instance that was in the folder before.
    pub fn present(&mut self, instance: &Uid) {
        if let Some(entry) = self.entries.get_mut(instance) {
            entry.state = State::Present;
        }
    }

    /// Notes an instance that has arrived and stands under its name.
    pub fn retrieved(&mut self, study: &Uid, instance: &Uid, bytes: u64) {
        self.bytes += bytes;
        if let Some(entry) = self.entries.get_mut(instance) {
            entry.state = State::Retrieved;
        } else if let Some(place) = self.inventory.studies.iter().position(|known| known.uid == *study) {
            self.unnamed[place].insert(instance.clone());
        }
    }

    /// Notes why an instance is not here; the last reason counts.
    pub fn failed(&mut self, instance: &Uid, reason: impl Into<String>) {
        if let Some(entry) = self.entries.get_mut(instance)
            && entry.is_missing()
        {
            entry.state = State::Failed(reason.into());
        }
    }

    /// Notes that we did not take an instance that the peer sent, and why.
    pub fn refused(&mut self, instance: &Uid, reason: impl Into<String>) {
        self.failed(instance, reason);
        if let Some(entry) = self.entries.get_mut(instance) {
            entry.is_refused = true;
        }
    }

    /// Notes that the peer could not send this very instance, and why. Where it is our own refusal that it reports,
    /// our reason stays.
    pub fn failed_at_peer(&mut self, instance: &Uid, reason: impl Into<String>) {
        let Some(entry) = self.entries.get_mut(instance) else { return };
        if std::mem::take(&mut entry.is_refused) {
            return;
        }
        entry.failed_at_peer = true;
        self.failed(instance, reason);
    }

    /// What is missing and the peer could not send: the studies, by place, with the SOP classes as far as known; and
    /// how many instances it could ever not send.
    pub fn failures_at_peer(&self) -> (BTreeSet<(usize, Option<Uid>)>, usize) {
        let failed = || self.entries.values().filter(|entry| entry.failed_at_peer);
        let missing = failed().filter(|entry| entry.is_missing());
        (missing.map(|entry| (entry.study, self.class_of(entry).cloned())).collect(), failed().count())
    }

    /// Notes a reason for those of a request that are not here and have none yet.
    pub fn failed_unless_known(
        &mut self,
        study: usize,
        series: Option<&Uid>,
        instances: &[Uid],
        reason: &str,
    ) {
        let studies = &self.inventory.studies;
        let mut note = |entry: &mut Entry| {
            let in_series =
                series.is_none_or(|series| studies[entry.study].series[entry.series].uid == *series);
            if entry.study == study && in_series && entry.state == State::Missing {
                entry.state = State::Failed(reason.to_owned());
            }
        };
        if instances.is_empty() {
            self.entries.values_mut().for_each(&mut note);
        } else {
            for instance in instances {
                if let Some(entry) = self.entries.get_mut(instance) {
                    note(entry);
                }
            }
        }
    }

    /// The SOP class of an instance, where C-FIND told it.
    pub fn sop_class(&self, instance: &Uid) -> Option<&Uid> {
        let entry = self.entries.get(instance)?;
        self.class_of(entry)
    }

    fn class_of(&self, entry: &Entry) -> Option<&Uid> {
        let series = &self.inventory.studies[entry.study].series[entry.series];
        series.instances[entry.instance].sop_class.as_ref()
    }

    /// How many instances have arrived, expected or not.
    pub fn arrived(&self) -> u64 {
        self.count(|state| *state == State::Retrieved) + self.unnamed_count()
    }

    /// How many instances are to come still.
    pub fn lacking(&self) -> u64 {
        let named = self.entries.values().filter(|entry| entry.is_missing()).count() as u64;
        named + (0..self.inventory.studies.len()).map(|place| self.shortfall(place)).sum::<u64>()
    }

    fn count(&self, of: impl Fn(&State) -> bool) -> u64 {
        self.entries.values().filter(|entry| of(&entry.state)).count() as u64
    }

    fn unnamed_count(&self) -> u64 {
        self.unnamed.iter().map(|uids| uids.len() as u64).sum()
    }

    fn is_missing(&self, instance: &Uid, study: usize) -> bool {
        self.entries.get(instance).is_some_and(|entry| entry.study == study && entry.is_missing())
    }

    /// How many instances of a study the peer counts beyond those it named. A study whose instances were neither
    /// named nor counted has as many as came, and one more that nobody can tell.
    fn gap(&self, place: usize) -> u64 {
        let study = &self.inventory.studies[place];
        let named: u64 = study.series.iter().map(|series| series.instances.len() as u64).sum();
        match study.counted {
            Some(counted) if study.is_whole => counted.saturating_sub(named),
            _ if study.is_named => 0,
            _ => self.unnamed[place].len() as u64 + 1,
        }
    }

    /// What of the gap was filled by instances that came unnamed.
    fn filled(&self, place: usize) -> u64 {
        self.gap(place).min(self.unnamed[place].len() as u64)
    }

    fn shortfall(&self, place: usize) -> u64 {
        self.gap(place) - self.filled(place)
    }

    /// The studies that lack something, with what is needed to plan contexts for them.
    pub fn missing(&self) -> Vec<MissingStudy> {
        let mut studies = Vec::new();
        for (place, study) in self.inventory.studies.iter().enumerate() {
            let mut missing = MissingStudy {
                study: place,
                is_open: self.shortfall(place) > 0,
                sop_classes: study.sop_classes.clone(),
                modalities: study.modalities.clone(),
                ..MissingStudy::default()
            };
            for instance in study.series.iter().flat_map(|series| &series.instances) {
                if self.is_missing(&instance.uid, place) {
                    match &instance.sop_class {
                        Some(class) => *missing.classes.entry(class.clone()).or_default() += 1,
                        None => missing.unknown += 1,
                    }
                }
            }
            if missing.is_open || missing.unknown > 0 || !missing.classes.is_empty() {
                studies.push(missing);
            }
        }
        studies
    }

    /// What a study lacks now, of certain classes or of all.
    pub fn missing_in(&self, place: usize, classes: Option<&BTreeSet<Uid>>) -> MissingInstances {
        let study = &self.inventory.studies[place];
        let wanted = |class: &Option<Uid>| match (classes, class) {
            (Some(classes), Some(class)) => classes.contains(class),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let mut missing = MissingInstances {
            is_whole: study.is_whole,
            is_open: self.shortfall(place) > 0 && classes.is_none(),
            series: Vec::new(),
        };
        for series in &study.series {
            let instances: Vec<Uid> = series
                .instances
                .iter()
                .filter(|instance| wanted(&instance.sop_class) && self.is_missing(&instance.uid, place))
                .map(|instance| instance.uid.clone())
                .collect();
            let is_whole = series.is_whole && instances.len() == series.instances.len();
            missing.is_whole &= is_whole;
            if !instances.is_empty() {
                missing.series.push(MissingSeries { uid: series.uid.clone(), is_whole, instances });
            }
        }
        missing
    }

    /// The report, but for what the ledger does not know: time, method, associations. `otherwise` is the reason for
    /// instances that were neither sent nor reported as failed.
    pub fn report(&self, otherwise: &str) -> Report {
        let places = || 0..self.inventory.studies.len();
        let gap: u64 = places().map(|place| self.gap(place)).sum();
        let filled: u64 = places().map(|place| self.filled(place)).sum();
        // See [`Report`]: at least one instance each, whatever they have.
        let nameless = self.inventory.nameless;
        let failed = self.count(|state| matches!(state, State::Failed(_))) + nameless;
        let missing = self.count(|state| *state == State::Missing) + gap - filled;
        let proved = self.inventory.studies.iter().all(|study| study.is_named);
        let mut failures: Vec<Failure> =
            self.entries.iter().filter_map(|(uid, entry)| self.failure(uid, entry, otherwise)).collect();
        failures.sort_by(|a, b| {
            (&a.study, &a.series, &a.sop_instance).cmp(&(&b.study, &b.series, &b.sop_instance))
        });
        Report {
            studies: self.inventory.studies.len() as u64 + nameless,
            expected: self.entries.len() as u64 + gap + nameless,
            retrieved: self.count(|state| *state == State::Retrieved) + filled,
            present: self.count(|state| *state == State::Present),
            failed,
            missing,
            bytes: self.bytes,
            complete: proved && !self.inventory.studies.is_empty() && failed + missing == 0,
            unnamed: self.unnamed_count() - filled,
            failures,
            notes: self.notes(),
            ..Report::default()
        }
    }

    fn failure(&self, uid: &Uid, entry: &Entry, otherwise: &str) -> Option<Failure> {
        let reason = match &entry.state {
            State::Failed(reason) => reason.clone(),
            State::Missing => otherwise.to_owned(),
            State::Present | State::Retrieved => return None,
        };
        let study = &self.inventory.studies[entry.study];
        Some(Failure {
            study: study.uid.clone(),
            series: study.series[entry.series].uid.clone(),
            sop_instance: uid.clone(),
            reason,
        })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.inventory.nameless > 0 {
            notes.push(match self.inventory.nameless {
                1 => "1 study that matches has no usable Study Instance UID, so that it cannot be asked for; it is \
                      counted as one failed instance"
                    .to_owned(),
                more => format!(
                    "{more} studies that match have no usable Study Instance UID, so that they cannot be asked for; \
                     each is counted as one failed instance"
                ),
            });
        }
        if self.inventory.walked > 1 {
            notes.push(format!(
                "{} studies were looked into to find what was asked for: StudyInstanceUID beside it spares that",
                self.inventory.walked
            ));
        }
        for (place, study) in self.inventory.studies.iter().enumerate() {
            let came = self.unnamed[place].len();
            match study.counted {
                Some(counted) if !study.is_named => notes.push(format!(
                    "study {}: the peer counts {counted} instances but does not name them; {came} came, and nothing \
                     proves that they are the right ones",
                    study.uid
                )),
                Some(counted) if self.shortfall(place) > 0 => notes.push(format!(
                    "study {}: the peer counts {counted} instances, {} more than it names or sends",
                    study.uid,
                    self.shortfall(place)
                )),
                None if !study.is_named => notes.push(format!(
                    "study {}: the peer neither names nor counts the instances; {came} came, and nothing proves that \
                     they are all",
                    study.uid
                )),
                _ => {}
            }
        }
        notes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::inventory::{Instance, Series};
    use super::*;

    const STUDY: Uid = Uid::from_static("1.2");

    fn uid(number: u64) -> Uid {
        Uid::new(format!("1.2.3.{number}")).unwrap()
    }

    fn ledger(named: u64, counted: Option<u64>, is_named: bool) -> Ledger {
        let instances = (1..=named).map(|number| Instance { uid: uid(number), sop_class: None }).collect();
        let series = Series { uid: Uid::from_static("1.2.3"), is_whole: true, instances };
        let study = Study {
            uid: STUDY,
            patient_id: None,
            sop_classes: Vec::new(),
            modalities: Vec::new(),
            counted,
            is_whole: true,
            is_named,
            series: vec![series],
        };
        Ledger::new(Inventory { studies: vec![study], ..Inventory::default() })
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
        ledger.present(&uid(1));
        ledger.retrieved(&STUDY, &uid(2), 100);
        ledger.failed(&uid(3), "no space");
        let report = ledger.report("");
        assert_eq!(counts(&report), [3, 1, 1, 1, 0]);
        assert!(!report.complete);
        assert_eq!(report.failures[0].reason, "no space");
        ledger.retrieved(&STUDY, &uid(3), 50);
        let report = ledger.report("");
        assert!(report.complete && report.failures.is_empty());
        assert_eq!(report.bytes, 150);
        assert!(ledger.missing().is_empty());
    }

    #[test]
    fn a_count_beyond_the_names_is_filled_by_what_comes_unnamed() {
        let mut ledger = ledger(2, Some(3), false);
        ledger.retrieved(&STUDY, &uid(1), 1);
        ledger.retrieved(&STUDY, &uid(2), 1);
        assert_eq!(counts(&ledger.report("")), [3, 2, 0, 0, 1]);
        assert!(ledger.missing()[0].is_open);
        ledger.retrieved(&STUDY, &uid(99), 1);
        let report = ledger.report("");
        assert_eq!(counts(&report), [3, 3, 0, 0, 0]);
        assert!(ledger.missing().is_empty());
        assert!(!report.complete, "a count proves nothing");
        assert!(report.notes[0].contains("does not name them"), "{:?}", report.notes);
    }

    #[test]
    fn a_study_that_is_neither_named_nor_counted_is_never_complete() {
        let mut ledger = ledger(0, None, false);
        ledger.retrieved(&STUDY, &uid(1), 1);
        let report = ledger.report("");
        assert_eq!(counts(&report), [2, 1, 0, 0, 1]);
        assert!(!report.complete);
    }

    #[test]
    fn what_was_not_named_is_kept_apart() {
        let mut ledger = ledger(1, Some(1), true);
        ledger.retrieved(&STUDY, &uid(1), 1);
        ledger.retrieved(&STUDY, &uid(2), 1);
        let report = ledger.report("");
        assert_eq!(counts(&report), [1, 1, 0, 0, 0]);
        assert_eq!(report.unnamed, 1);
        assert!(report.complete);
    }

    #[test]
    fn a_reason_never_takes_an_instance_away() {
        let mut ledger = ledger(1, None, true);
        ledger.retrieved(&STUDY, &uid(1), 1);
        ledger.failed(&uid(1), "the peer says it failed");
        ledger.failed_unless_known(0, None, &[], "the peer ended with a failure");
        assert!(ledger.report("").complete);
    }

    #[test]
    fn a_study_without_a_usable_uid_is_counted_and_told() {
        let mut ledger = ledger(1, Some(1), true);
        ledger.inventory.nameless = 2;
        ledger.retrieved(&STUDY, &uid(1), 1);
        let report = ledger.report("");
        assert_eq!((report.studies, counts(&report)), (3, [3, 1, 0, 2, 0]));
        assert!(
            !report.complete && report.notes[0].starts_with("2 studies that match"),
            "{:?}",
            report.notes
        );
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
}
