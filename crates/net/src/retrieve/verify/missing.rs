//! What is lacking still: named instances that are not here, and those that a peer counts beyond the ones it named.

use std::collections::{BTreeSet, HashMap};

use dicomet_proto::Uid;

use super::Ledger;
use super::entries::told;
use super::entry::Entry;
use crate::retrieve::inventory::{Series, Study};

/// What a study still lacks, for the planning of contexts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MissingStudy {
    /// Place in the inventory.
    pub study: usize,
    /// The classes of the missing instances, as far as known, with how many there are of each.
    pub classes: HashMap<Uid, usize>,
    /// Missing instances whose class is not known.
    pub unknown: usize,
    /// The peer did not name the instances, or counts more than it named, and asking for what was not named makes sense.
    pub is_open: bool,
    /// SOP Classes in Study (0008,0062).
    pub sop_classes: Vec<Uid>,
    /// The modalities of its series.
    pub modalities: Vec<String>,
}

impl MissingStudy {
    /// Whether the classes of what is missing are not all known.
    pub(in crate::retrieve) fn is_guessed(&self) -> bool {
        self.unknown > 0 || self.is_open
    }

    /// SOP Classes in Study, where they are needed to guess.
    pub(in crate::retrieve) fn guesses_told(&self) -> impl Iterator<Item = &Uid> {
        self.sop_classes.iter().filter(|_| self.is_guessed())
    }
}

/// What a study still lacks, for the making of requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MissingInstances {
    /// All the study's instances are missing and all are wanted, so the study can be asked for.
    pub is_whole: bool,
    /// Nothing of it is here, and not all of it was named: the study is to be asked for whole.
    pub is_open: bool,
    /// Its series are still being named.
    pub is_being_named: bool,
    /// How many instances the study has, where the peer counts them.
    pub counted: Option<u64>,
    /// By series.
    pub series: Vec<MissingSeries>,
}

impl MissingInstances {
    /// How many there are, as far as named.
    pub(in crate::retrieve) fn count(&self) -> usize {
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
    /// It has, or may have, instances that were not named: it is to be asked for whole.
    pub is_open: bool,
    /// The missing instances.
    pub instances: Vec<Uid>,
}

impl Ledger {
    /// How many instances are to come still.
    pub fn lacking(&self) -> u64 {
        let named = self.entries.all().iter().filter(|entry| entry.is_missing()).count() as u64;
        named + (0..self.inventory.studies.len()).map(|place| self.shortfall(place)).sum::<u64>()
    }

    /// How many instances of a study the peer counts beyond those it named. A study whose instances were neither
    /// named nor counted has as many as came, and one more that nobody can tell.
    pub(super) fn gap(&self, place: usize) -> u64 {
        let study = &self.inventory.studies[place];
        let named: u64 = study.series.iter().map(|series| series.instances.len() as u64).sum();
        match counted(study) {
            Some(counted) => counted.saturating_sub(named),
            _ if study.is_named => 0,
            _ => self.unnamed[place].count() + 1,
        }
    }

    /// What of the gap is filled by instances that are here unnamed.
    pub(super) fn filled(&self, place: usize) -> u64 {
        self.gap(place).min(self.unnamed[place].count())
    }

    /// What of that came in this run.
    pub(super) fn filled_now(&self, place: usize) -> u64 {
        self.filled(place).min(self.unnamed[place].retrieved())
    }

    pub(super) fn shortfall(&self, place: usize) -> u64 {
        self.gap(place) - self.filled(place)
    }

    /// How many instances of a study, or of one of its series, are here.
    pub(super) fn here_of(&self, place: usize, series: Option<&Uid>) -> u64 {
        let all_series = &self.inventory.studies[place].series;
        let is_of =
            |entry: &&Entry| series.is_none_or(|series| all_series[entry.series as usize].uid == *series);
        let entries = self.entries.of_study(place).iter().filter(|entry| entry.is_here());
        let unnamed = match series {
            Some(series) => self.unnamed[place].of_series(series),
            None => self.unnamed[place].count(),
        };
        entries.filter(is_of).count() as u64 + unnamed
    }

    /// What is to be asked for whole, since not all of it was named. Where something is here, or only a part is wanted,
    /// that is not the study, as far as its series are known.
    fn open(&self, place: usize) -> Open<'_> {
        let study = &self.inventory.studies[place];
        if self.shortfall(place) == 0 || self.answered.contains(&(place, None)) {
            return Open::Nothing;
        }
        let is_nothing_here = self.here_of(place, None) == 0;
        if study.series.is_empty() || (is_nothing_here && study.is_whole) {
            return Open::Study;
        }
        if study.is_named {
            // All that there is of each series is named: the count is wrong.
            return Open::Nothing;
        }
        let lacks = |series: &&Series| {
            let here = self.here_of(place, Some(&series.uid));
            series.is_whole
                && series.counted.is_none_or(|counted| here < counted)
                && !self.answered.contains(&(place, Some(series.uid.clone())))
        };
        let series: Vec<&Uid> = study.series.iter().filter(lacks).map(|series| &series.uid).collect();
        if series.is_empty() { Open::Nothing } else { Open::Series(series) }
    }

    /// The studies that lack something, with what is needed to plan contexts for them.
    pub fn missing(&self) -> Vec<MissingStudy> {
        (0..self.inventory.studies.len()).filter_map(|place| self.missing_of(place)).collect()
    }

    /// What is needed to plan contexts for a study, when it lacks something.
    pub fn missing_of(&self, place: usize) -> Option<MissingStudy> {
        let study = &self.inventory.studies[place];
        let mut missing = MissingStudy {
            study: place,
            is_open: self.open(place) != Open::Nothing,
            sop_classes: study.sop_classes.clone(),
            modalities: study.modalities.clone(),
            ..MissingStudy::default()
        };
        for entry in self.entries.of_study(place).iter().filter(|entry| entry.is_missing()) {
            match &told(&self.inventory, entry).sop_class {
                Some(class) => *missing.classes.entry(class.clone()).or_default() += 1,
                None => missing.unknown += 1,
            }
        }
        let lacks = missing.is_open || missing.unknown > 0 || !missing.classes.is_empty();
        lacks.then_some(missing)
    }

    /// What a study lacks now, of certain classes or of all.
    pub fn missing_in(&self, place: usize, classes: Option<&BTreeSet<Uid>>) -> MissingInstances {
        let study = &self.inventory.studies[place];
        let wanted = |class: &Option<Uid>| match (classes, class) {
            (Some(classes), Some(class)) => classes.contains(class),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let open = if classes.is_none() { self.open(place) } else { Open::Nothing };
        let is_open = open == Open::Study;
        let mut missing = MissingInstances {
            is_whole: study.is_whole,
            is_open,
            is_being_named: self.being_named == Some(place) && classes.is_none(),
            counted: study.counted,
            series: Vec::new(),
        };
        let mut open = match open {
            Open::Series(series) => series,
            Open::Nothing | Open::Study => Vec::new(),
        };
        for of_series in self.entries.of_study(place).chunk_by(|one, next| one.series == next.series) {
            let series = &study.series[of_series[0].series as usize];
            let instances: Vec<Uid> = of_series
                .iter()
                .filter(|entry| entry.is_missing())
                .map(|entry| told(&self.inventory, entry))
                .filter(|instance| wanted(&instance.sop_class))
                .map(|instance| instance.uid.clone())
                .collect();
            let is_whole = series.is_whole && instances.len() == of_series.len();
            missing.is_whole &= is_whole;
            if !instances.is_empty() {
                let is_open = open.extract_if(.., |open| **open == series.uid).next().is_some();
                missing.is_whole &= !is_open;
                missing.series.push(MissingSeries { uid: series.uid.clone(), is_whole, is_open, instances });
            }
        }
        // What is here of the study would come again with it.
        missing.is_whole &= open.is_empty();
        let unnamed = open.into_iter().cloned();
        missing.series.extend(unnamed.map(|uid| MissingSeries {
            uid,
            is_whole: true,
            is_open: true,
            instances: Vec::new(),
        }));
        missing
    }
}

/// See [`Ledger::open`].
#[derive(Debug, PartialEq)]
enum Open<'a> {
    Nothing,
    Study,
    Series(Vec<&'a Uid>),
}

/// How many instances the peer counts in a study that is wanted whole: in all, or, where they are not named, by series.
fn counted(study: &Study) -> Option<u64> {
    let by_series = || {
        let counts = study
            .series
            .iter()
            .map(|series| series.counted.map(|counted| counted.max(series.instances.len() as u64)));
        counts.sum::<Option<u64>>().filter(|_| !study.is_named && !study.series.is_empty())
    };
    study.counted.max(by_series()).filter(|_| study.is_whole)
}
