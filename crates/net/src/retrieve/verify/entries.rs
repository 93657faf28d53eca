//! The entries of a ledger, in the order of the inventory, and the way to them by SOP Instance UID.
//!
//! The index holds numbers alone; whose they are stands in the inventory. So each UID is held once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use dicomet_proto::Uid;
use hashbrown::HashTable;

use super::super::inventory::{Instance, Inventory};
use super::entry::{Entry, State};

#[derive(Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// By study.
    ranges: Vec<Range<usize>>,
    /// Those that another study was named with before, by study: one file cannot be both, and only the first is asked for.
    elsewhere: HashMap<(u32, Uid), Entry>,
}

impl Entries {
    /// Enters the instances of the inventory's last study, all missing. A UID that a peer names twice in a study is one
    /// instance, where it was named first.
    pub(super) fn enter_last(&mut self, inventory: &Inventory) {
        let Some((place, study)) = inventory.studies.iter().enumerate().next_back() else { return };
        self.ranges.push(self.all.len()..self.all.len());
        for series_place in 0..study.series.len() {
            self.enter_series(inventory, place, series_place);
        }
    }

    /// The same for the last series of the last study, which was entered without it. Answers which entries are new.
    pub(super) fn enter_last_series(&mut self, inventory: &Inventory) -> Range<usize> {
        let begin = self.all.len();
        if let Some((place, study)) = inventory.studies.iter().enumerate().next_back()
            && let Some(series_place) = study.series.len().checked_sub(1)
        {
            self.enter_series(inventory, place, series_place);
        }
        begin..self.all.len()
    }

    fn enter_series(&mut self, inventory: &Inventory, place: usize, series_place: usize) {
        let instances = &inventory.studies[place].series[series_place].instances;
        for (instance_place, instance) in instances.iter().enumerate() {
            let entry = Entry {
                study: number(place),
                series: number(series_place),
                instance: number(instance_place),
                state: State::Missing,
                failed_at_peer: false,
                is_refused: false,
            };
            self.enter(inventory, &instance.uid, entry);
        }
        if let Some(range) = self.ranges.last_mut() {
            range.end = self.all.len();
        }
    }

    fn enter(&mut self, inventory: &Inventory, uid: &Uid, entry: Entry) {
        let Entries { all, index, hasher, elsewhere, .. } = self;
        let uid_of = |number: u32| &told(inventory, &all[number as usize]).uid;
        let free = index.entry(
            hasher.hash_one(uid),
            |other| uid_of(*other) == uid,
            |other| hasher.hash_one(uid_of(*other)),
        );
        match free {
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(number(all.len()));
                all.push(entry);
            }
            hashbrown::hash_table::Entry::Occupied(first) => {
                let study_of = |entry: &Entry| &inventory.studies[entry.study as usize].uid;
                let first = study_of(&all[*first.get() as usize]);
                if first != study_of(&entry) {
                    let reason = format!(
                        "the peer names it in study {first} too, as which it is asked for; a get of this study alone, \
                         into another folder, brings it"
                    );
                    let entry = Entry { state: State::Failed(reason.into()), ..entry };
                    elsewhere.entry((entry.study, uid.clone())).or_insert(entry);
                }
            }
        }
    }

    fn find(&self, inventory: &Inventory, uid: &Uid) -> Option<usize> {
        let is_it = |number: &u32| told(inventory, &self.all[*number as usize]).uid == *uid;
        Some(*self.index.find(self.hasher.hash_one(uid), is_it)? as usize)
    }

    pub(super) fn get(&self, inventory: &Inventory, uid: &Uid) -> Option<&Entry> {
        Some(&self.all[self.find(inventory, uid)?])
    }

    pub(super) fn get_mut(&mut self, inventory: &Inventory, uid: &Uid) -> Option<&mut Entry> {
        let place = self.find(inventory, uid)?;
        Some(&mut self.all[place])
    }

    /// The instance as one of this study, where the peer names it in several.
    pub(super) fn get_of_study_mut(
        &mut self,
        inventory: &Inventory,
        study: usize,
        uid: &Uid,
    ) -> Option<&mut Entry> {
        match self.elsewhere.contains_key(&(number(study), uid.clone())) {
            true => self.elsewhere.get_mut(&(number(study), uid.clone())),
            false => self.get_mut(inventory, uid),
        }
    }

    /// All, also those that were named with another study before, in no order.
    pub(super) fn of_each_study(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter().chain(self.elsewhere.values())
    }

    /// The entries that can be asked for, each UID once.
    pub(super) fn all(&self) -> &[Entry] {
        &self.all
    }

    pub(super) fn range_mut(&mut self, range: Range<usize>) -> &mut [Entry] {
        &mut self.all[range]
    }

    pub(super) fn of_study(&self, place: usize) -> &[Entry] {
        self.ranges.get(place).map_or(&[], |range| &self.all[range.clone()])
    }

    /// What of a study was named with another one before.
    pub(super) fn elsewhere(&self, place: usize) -> impl Iterator<Item = &Entry> {
        self.elsewhere.values().filter(move |entry| entry.study == number(place))
    }

    pub(super) fn of_study_mut(&mut self, place: usize) -> &mut [Entry] {
        match self.ranges.get(place) {
            Some(range) => &mut self.all[range.clone()],
            None => &mut [],
        }
    }
}

/// What C-FIND told of an entry's instance.
pub(super) fn told<'a>(inventory: &'a Inventory, entry: &Entry) -> &'a Instance {
    &inventory.studies[entry.study as usize].series[entry.series as usize].instances[entry.instance as usize]
}

/// A place as it is kept: no inventory that fits into memory has 2^32 of anything.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
