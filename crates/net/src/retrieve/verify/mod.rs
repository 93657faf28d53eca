//! The ledger of a retrieve: every instance that C-FIND named, and what became of it. Pure.
//!
//! Nothing is complete because a peer said so: an instance counts when it stands in the folder, and a study
//! counts when all its instances do and the peer's own counts do not speak of more.
//!
//! - this file: what is noted as it happens;
//! - `missing`: what is lacking still, for the plan;
//! - `account`: the counts, the reasons and the notes of the report.

mod account;
mod entry;
mod missing;

use std::collections::{BTreeSet, HashMap};

use dicomet_proto::Uid;

use super::inventory::{Inventory, Study};
use entry::{Entry, State};

pub use missing::{MissingInstances, MissingSeries, MissingStudy};

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

    fn count(&self, of: impl Fn(&State) -> bool) -> u64 {
        self.entries.values().filter(|entry| of(&entry.state)).count() as u64
    }

    fn unnamed_count(&self) -> u64 {
        self.unnamed.iter().map(|uids| uids.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests;
