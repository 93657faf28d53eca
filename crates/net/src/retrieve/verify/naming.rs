//! A study whose instances become known while they come: it is in the ledger before C-FIND has named them, and what has
//! come by then is taken for what it is named as. One study at a time.

use super::super::inventory::{Series, Study};
use super::entry::State;
use super::{Ledger, MissingSeries, share_classes};

impl Ledger {
    /// Adds a study of which nothing is named yet, and answers its place. [`Ledger::name`] follows for each of its series,
    /// and [`Ledger::end_naming`], before another study is added.
    pub fn begin(&mut self, study: Study) -> usize {
        let place = self.add(Study { series: Vec::new(), is_named: false, ..study });
        self.being_named = Some(place);
        place
    }

    /// The place of the study that is being named.
    pub fn being_named(&self) -> Option<usize> {
        self.being_named
    }

    /// Adds a series to the study that was begun. Answers what of it is missing, if something is.
    pub fn name(&mut self, series: Series) -> Option<MissingSeries> {
        let place = self.being_named?;
        let study = &mut self.inventory.studies[place];
        study.series.push(series);
        share_classes(study.series.last_mut()?);
        let new = self.entries.enter_last_series(&self.inventory);
        let series = self.inventory.studies[place].series.last()?;
        let mut missing = Vec::new();
        for entry in self.entries.range_mut(new) {
            let uid = &series.instances[entry.instance as usize].uid;
            if self.unnamed[place].name(uid) {
                entry.state = State::Retrieved;
            } else {
                missing.push(uid.clone());
            }
        }
        let is_whole = series.is_whole && missing.len() == series.instances.len();
        let missing = MissingSeries { uid: series.uid.clone(), is_whole, is_open: false, instances: missing };
        (!missing.instances.is_empty()).then_some(missing)
    }

    /// All series of the study that was begun are named; `is_named` is when their instances are, all of them. Answers
    /// the place of the study.
    pub fn end_naming(&mut self, is_named: bool) -> Option<usize> {
        let place = self.being_named.take()?;
        self.inventory.studies[place].is_named = is_named;
        Some(place)
    }
}
