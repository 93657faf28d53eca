//! Instances of a study that C-FIND did not name: all of them, where a peer answers no IMAGE level.

use std::collections::BTreeMap;

use dicomet_proto::Uid;

/// What of a study was in the folder before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Present {
    /// Instances that C-FIND named.
    pub named: Vec<Uid>,
    /// Instances that it did not name, with their series where that is known.
    pub unnamed: Vec<(Option<Uid>, Uid)>,
}

impl Present {
    /// How many.
    pub fn count(&self) -> u64 {
        (self.named.len() + self.unnamed.len()) as u64
    }
}

/// Those of a study that are here.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    /// By SOP Instance UID, with their series where that is known.
    here: BTreeMap<Uid, Option<Uid>>,
    retrieved: u64,
}

impl Unnamed {
    pub(super) fn add_present(&mut self, series: Option<Uid>, instance: Uid) {
        self.here.insert(instance, series);
    }

    pub(super) fn add_retrieved(&mut self, series: Uid, instance: Uid) {
        let before = self.here.insert(instance, Some(series));
        self.retrieved += u64::from(before.is_none());
    }

    /// An instance that came in this run is named now, and no more one of these; whether it was.
    pub(super) fn name(&mut self, instance: &Uid) -> bool {
        let was_here = self.here.remove(instance).is_some();
        self.retrieved -= u64::from(was_here).min(self.retrieved);
        was_here
    }

    pub(super) fn has(&self, instance: &Uid) -> bool {
        self.here.contains_key(instance)
    }

    /// How many are here.
    pub(super) fn count(&self) -> u64 {
        self.here.len() as u64
    }

    /// How many of them came in this run.
    pub(super) fn retrieved(&self) -> u64 {
        self.retrieved
    }

    /// How many are known to be of a series.
    pub(super) fn of_series(&self, series: &Uid) -> u64 {
        self.here.values().filter(|of| of.as_ref() == Some(series)).count() as u64
    }
}
