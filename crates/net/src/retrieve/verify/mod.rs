//! The ledger of a retrieve: every instance that C-FIND named, and what became of it. Pure.
//!
//! Nothing is complete because a peer said so: an instance counts when it stands in the folder, and a study
//! counts when all its instances do and the peer's own counts do not speak of more.
//!
//! - this file: what is noted as it happens;
//! - `entry`, `entries`: an instance, and all of them in the order of the inventory;
//! - `unnamed`: instances that came though C-FIND did not name them;
//! - `missing`: what is lacking still, for the plan;
//! - `naming`: a study whose instances become known while they come;
//! - `account`, `by_study`: the counts, the reasons and the notes of the report, and the counts of one study.

mod account;
mod by_study;
mod entries;
mod entry;
mod missing;
mod naming;
mod unnamed;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;

use super::inventory::{Inventory, Series, Study};
use entries::{Entries, told};
use entry::{Entry, State};

pub use by_study::StudyOutcome;
pub use missing::{MissingInstances, MissingSeries, MissingStudy};
pub use unnamed::Present;
use unnamed::Unnamed;

/// Where an expected instance belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
}

/// Every instance that C-FIND named, and what became of it.
#[derive(Debug, Default)]
pub struct Ledger {
    inventory: Inventory,
    entries: Entries,
    /// Places of the studies.
    studies: HashMap<Uid, usize>,
    /// Per study: instances that C-FIND did not name but that are here and belong to it.
    unnamed: Vec<Unnamed>,
    /// Studies, by place, and series of them that were asked for whole, and of which the peer then said that it had sent
    /// all.
    answered: HashSet<(usize, Option<Uid>)>,
    /// The study whose series are still being named: the last one.
    being_named: Option<usize>,
    /// How often an instance that is here came again with other bytes, and the first of them.
    other_bytes: (u64, Option<Uid>),
    bytes: u64,
}

impl Ledger {
    /// Begins with all missing.
    pub fn new(inventory: Inventory) -> Ledger {
        let mut inventory = inventory;
        let studies = std::mem::take(&mut inventory.studies);
        let mut ledger = Ledger { inventory, ..Ledger::default() };
        for study in studies {
            ledger.add(study);
        }
        ledger
    }

    /// Adds a study, all of it missing, and answers its place.
    pub fn add(&mut self, mut study: Study) -> usize {
        let place = self.inventory.studies.len();
        study.series.iter_mut().for_each(share_classes);
        self.studies.entry(study.uid.clone()).or_insert(place);
        self.inventory.studies.push(study);
        self.entries.enter_last(&self.inventory);
        self.unnamed.push(Unnamed::default());
        place
    }

    /// What C-FIND told.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The instances C-FIND named, in its order: study, series and instance of each.
    pub fn expected(&self) -> impl Iterator<Item = (&Uid, &Uid, &Uid)> {
        self.entries.all().iter().map(|entry| self.names(entry))
    }

    /// Where an instance belongs; `None` when C-FIND did not name it.
    pub fn place(&self, instance: &Uid) -> Option<Place> {
        let entry = self.entry(instance)?;
        let (study, series, _) = self.names(entry);
        Some(Place { study: study.clone(), series: series.clone() })
    }

    /// Whether an instance that C-FIND did not name belongs to what was asked for: to a study that is wanted
    /// whole, or to a series that is.
    pub fn belongs(&self, study: &Uid, series: &Uid) -> bool {
        let Some(place) = self.studies.get(study) else { return false };
        let study = &self.inventory.studies[*place];
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

    /// Notes what of a study was in the folder before.
    pub fn present(&mut self, place: usize, present: &Present) {
        for instance in &present.named {
            if let Some(entry) = self.entries.get_of_study_mut(&self.inventory, place, instance) {
                entry.state = State::Present;
            }
        }
        for (series, instance) in &present.unnamed {
            self.unnamed[place].add_present(series.clone(), instance.clone());
        }
    }

    /// Whether an instance is here, named by C-FIND or not.
    pub fn is_here(&self, study: &Uid, instance: &Uid) -> bool {
        match self.entry(instance) {
            Some(entry) => entry.is_here(),
            None => self.studies.get(study).is_some_and(|place| self.unnamed[*place].has(instance)),
        }
    }

    /// Notes that an instance which is here came again with other bytes, and was not taken.
    pub fn came_with_other_bytes(&mut self, instance: &Uid) {
        self.other_bytes.0 += 1;
        self.other_bytes.1.get_or_insert_with(|| instance.clone());
    }

    /// Notes an instance that has arrived and stands under its name.
    pub fn retrieved(&mut self, study: &Uid, series: &Uid, instance: &Uid, bytes: u64) {
        self.bytes += bytes;
        if let Some(entry) = self.entry_mut(instance) {
            entry.state = State::Retrieved;
        } else if let Some(place) = self.studies.get(study) {
            self.unnamed[*place].add_retrieved(series.clone(), instance.clone());
        }
    }

    /// Notes that the peer says it has sent all of a study or series for which it was asked whole. That it has sent all
    /// when nothing of it is here means nothing.
    pub fn answered(&mut self, study: usize, series: Option<&Uid>) {
        if self.here_of(study, series) > 0 {
            self.answered.insert((study, series.cloned()));
        }
    }

    /// Notes why an instance is not here; the last reason counts.
    pub fn failed(&mut self, instance: &Uid, reason: impl Into<Arc<str>>) {
        if let Some(entry) = self.entry_mut(instance)
            && entry.is_missing()
        {
            entry.state = State::Failed(reason.into());
        }
    }

    /// Notes that we did not take an instance that the peer sent, and why.
    pub fn refused(&mut self, instance: &Uid, reason: impl Into<Arc<str>>) {
        self.failed(instance, reason);
        if let Some(entry) = self.entry_mut(instance) {
            entry.is_refused = true;
        }
    }

    /// Notes that the peer could not send this very instance, and why. Where it is our own refusal that it reports,
    /// our reason stays.
    pub fn failed_at_peer(&mut self, instance: &Uid, reason: impl Into<Arc<str>>) {
        let Some(entry) = self.entry_mut(instance) else { return };
        if std::mem::take(&mut entry.is_refused) {
            return;
        }
        entry.failed_at_peer = true;
        self.failed(instance, reason);
    }

    /// What is missing and the peer could not send: the studies, by place, with the SOP classes as far as known; and
    /// how many instances it could ever not send.
    pub fn failures_at_peer(&self) -> (BTreeSet<(usize, Option<Uid>)>, usize) {
        let failed = || self.entries.all().iter().filter(|entry| entry.failed_at_peer);
        let missing = failed().filter(|entry| entry.is_missing());
        let place = |entry: &Entry| (entry.study as usize, told(&self.inventory, entry).sop_class.clone());
        (missing.map(place).collect(), failed().count())
    }

    /// Notes a reason for those of a request that are not here and have none yet.
    pub fn failed_unless_known(
        &mut self,
        study: usize,
        series: Option<&Uid>,
        instances: &[Uid],
        reason: &str,
    ) {
        let Ledger { inventory, entries, .. } = self;
        let reason: Arc<str> = reason.into();
        let all_series = &inventory.studies[study].series;
        let note = |entry: &mut Entry| {
            let in_series = series.is_none_or(|series| all_series[entry.series as usize].uid == *series);
            if entry.study as usize == study && in_series && entry.state == State::Missing {
                entry.state = State::Failed(Arc::clone(&reason));
            }
        };
        if instances.is_empty() {
            entries.of_study_mut(study).iter_mut().for_each(note);
        } else {
            instances.iter().for_each(|instance| {
                entries.get_mut(inventory, instance).into_iter().for_each(note);
            });
        }
    }

    /// The SOP class of an instance, where C-FIND told it.
    pub fn sop_class(&self, instance: &Uid) -> Option<&Uid> {
        told(&self.inventory, self.entry(instance)?).sop_class.as_ref()
    }

    fn entry(&self, instance: &Uid) -> Option<&Entry> {
        self.entries.get(&self.inventory, instance)
    }

    fn entry_mut(&mut self, instance: &Uid) -> Option<&mut Entry> {
        self.entries.get_mut(&self.inventory, instance)
    }

    /// Study, series and instance of an entry.
    fn names(&self, entry: &Entry) -> (&Uid, &Uid, &Uid) {
        let study = &self.inventory.studies[entry.study as usize];
        (&study.uid, &study.series[entry.series as usize].uid, &told(&self.inventory, entry).uid)
    }

    /// How many instances have arrived, expected or not.
    pub fn arrived(&self) -> u64 {
        self.count(|state| *state == State::Retrieved) + self.unnamed_count()
    }

    fn count(&self, of: impl Fn(&State) -> bool) -> u64 {
        self.entries.of_each_study().filter(|entry| of(&entry.state)).count() as u64
    }

    /// How many instances came that C-FIND did not name.
    fn unnamed_count(&self) -> u64 {
        self.unnamed.iter().map(Unnamed::retrieved).sum()
    }
}

/// Has the instances of a standard SOP class share its UID: it came with each of them.
fn share_classes(series: &mut Series) {
    let standard = dictionary::storage_sop_classes();
    for instance in &mut series.instances {
        if let Some(class) = &mut instance.sop_class
            && let Some(known) = standard.iter().find(|known| *known == class)
        {
            *class = known.clone();
        }
    }
}

#[cfg(test)]
mod tests;
