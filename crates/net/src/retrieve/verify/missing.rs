//! What is lacking still: named instances that are not here, and those that a peer counts beyond the ones it named.

use std::collections::{BTreeSet, HashMap};

use dicomet_proto::Uid;

use super::Ledger;
use super::entries::told;

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
    /// See [`MissingStudy::is_open`].
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
        match study.counted {
            Some(counted) if study.is_whole => counted.saturating_sub(named),
            _ if study.is_named => 0,
            _ => self.unnamed[place].len() as u64 + 1,
        }
    }

    /// What of the gap was filled by instances that came unnamed.
    pub(super) fn filled(&self, place: usize) -> u64 {
        self.gap(place).min(self.unnamed[place].len() as u64)
    }

    pub(super) fn shortfall(&self, place: usize) -> u64 {
        self.gap(place) - self.filled(place)
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
            is_open: self.shortfall(place) > 0,
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
        let mut missing = MissingInstances {
            is_whole: study.is_whole,
            is_open: self.shortfall(place) > 0 && classes.is_none(),
            is_being_named: self.being_named == Some(place) && classes.is_none(),
            counted: study.counted,
            series: Vec::new(),
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
                missing.series.push(MissingSeries { uid: series.uid.clone(), is_whole, instances });
            }
        }
        missing
    }
}
