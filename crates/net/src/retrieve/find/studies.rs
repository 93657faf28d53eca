//! STUDY level: which studies match. A peer that does not answer with all is asked again by narrower ranges of their dates.

use std::collections::HashSet;

use chrono::NaiveDate;
use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Query};

use super::answers::{Cut, MAX_ANSWERS, answers};
use super::finder::{Finder, MAX_LISTED, count};
use super::keys::{Keys, fits};
use super::ranges::Range;
use super::{MODALITIES_IN_STUDY, PATIENT_ID, SPECIFIC_CHARACTER_SET, ask};
use crate::retrieve::RetrieveError;
use crate::retrieve::inventory::{Inventory, Study};
use crate::retrieve::layout::STUDY_INSTANCE_UID;

const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const NUMBER_OF_STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);

/// Ranges that one query is asked by, at the most.
const MAX_RANGES: usize = 4096;

/// What is always asked for besides the user's keys.
const STUDY_KEYS: [Tag; 8] = [
    SPECIFIC_CHARACTER_SET,
    MODALITIES_IN_STUDY,
    SOP_CLASSES_IN_STUDY,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
    Tag(0x0020, 0x1206), // Number of Study Related Series
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    Tag(0x0008, 0x0020), // Study Date
];

/// What came for one range.
struct Came {
    answers: usize,
    /// Of them, those that name no study.
    nameless: u64,
    dates: Vec<NaiveDate>,
    /// Whether there may be more.
    cut: Option<Cut>,
}

impl Finder {
    /// The studies that match, their series not yet looked at.
    pub(in crate::retrieve) async fn studies(&mut self) -> Result<Inventory, RetrieveError> {
        let mut query = Query::new(self.model, Level::Study);
        query.keys = self.keys.study.clone();
        let located = match self.located_at {
            Some(level) => self.locate(level).await?,
            None => None,
        };
        match &located {
            Some(studies) if studies.is_empty() => return Ok(Inventory::default()),
            Some(studies) => {
                query.keys.set_uids(STUDY_INSTANCE_UID, &studies.iter().cloned().collect::<Vec<_>>());
            }
            None => {}
        }
        ask(&mut query, &STUDY_KEYS);
        let mut inventory = Inventory::default();
        self.by_ranges(query, &mut inventory).await?;
        if self.located_at.is_some() && located.is_none() {
            inventory.walked = inventory.studies.len() as u64;
        }
        Ok(inventory)
    }

    /// Asks for all, and, where the peer does not answer with all, for each half of that, and so on.
    async fn by_ranges(&mut self, query: Query, inventory: &mut Inventory) -> Result<(), RetrieveError> {
        let mut known = HashSet::new();
        let whole = Range::of(&query.keys);
        let mut ranges = vec![(whole, query)];
        let mut asked = 0;
        while let Some((range, query)) = ranges.pop() {
            let mut came = self.one_range(&query, asked == 0, &mut known, inventory).await?;
            asked += 1;
            let is_bearable = known.len() < MAX_ANSWERS && asked + ranges.len() < MAX_RANGES;
            let halves = range.filter(|_| came.cut.is_some() && is_bearable);
            let Some(halves) = halves.and_then(|range| range.halves(&mut came.dates)) else {
                inventory.nameless += came.nameless;
                // As many as its most may be all there are, and the peer says that they are.
                let cut = came.cut.filter(Cut::is_sure).map(|cut| cut.to_string());
                inventory.cut = inventory.cut.take().or(cut);
                continue;
            };
            if let Some(cut) = came.cut.filter(Cut::is_sure) {
                tracing::debug!("asking again by ranges of dates: {cut}");
                inventory.by_dates |= whole.is_some_and(|whole| whole.is_all());
                if came.dates.len() < came.answers {
                    inventory.cut.get_or_insert_with(|| format!("{cut}, and some studies have no date"));
                }
            }
            ranges.extend(halves.map(|half| {
                let mut query = query.clone();
                half.ask(&mut query.keys);
                (Some(half), query)
            }));
        }
        Ok(())
    }

    async fn one_range(
        &mut self,
        query: &Query,
        is_first: bool,
        known: &mut HashSet<Uid>,
        inventory: &mut Inventory,
    ) -> Result<Came, RetrieveError> {
        let mut came = Came { answers: 0, nameless: 0, dates: Vec::new(), cut: None };
        let take = |answer: &DataSet| {
            came.answers += 1;
            came.dates.extend(Range::date_of(answer));
            came.nameless += u64::from(!self.keys.enter(answer, known, inventory));
        };
        came.cut = match answers(&mut self.association, query, MAX_ANSWERS, take).await {
            Ok(None) if is_first && self.most_answers == Some(came.answers) => {
                Some(Cut::AtItsMost { answers: came.answers })
            }
            Ok(cut) => cut,
            // What came by other ranges is not lost with this one.
            Err(RetrieveError::Find { status, comment, .. }) if !is_first => {
                Some(Cut::ByPeer { answers: 0, status, comment })
            }
            Err(error) => return Err(error),
        };
        if came.cut.as_ref().is_some_and(Cut::is_limit) {
            self.most_answers = Some(came.answers);
        }
        Ok(came)
    }
}

impl Keys {
    /// Enters the study of an answer into the inventory, if it fits and is not there. Answers whether it has a name.
    fn enter(&self, answer: &DataSet, known: &mut HashSet<Uid>, inventory: &mut Inventory) -> bool {
        if !fits(answer, &self.study) {
            return true;
        }
        let Some(uid) = answer.uid(STUDY_INSTANCE_UID) else { return false };
        if !known.insert(uid.clone()) {
            return true;
        }
        // LO: 64 characters (PS3.5 6.2), in whatever encoding.
        const MAX_PATIENT_ID: usize = 64 * 4;
        let narrows = Keys::narrows(&self.series) || Keys::narrows(&self.image);
        let mut study = Study {
            uid,
            patient_id: answer.text(PATIENT_ID).filter(|text| text.len() <= MAX_PATIENT_ID),
            sop_classes: answer.uids(SOP_CLASSES_IN_STUDY),
            modalities: answer.texts(MODALITIES_IN_STUDY),
            counted: count(answer, NUMBER_OF_STUDY_RELATED_INSTANCES),
            is_whole: !narrows,
            is_named: false,
            series: Vec::new(),
        };
        study.sop_classes.truncate(MAX_LISTED);
        study.modalities.truncate(MAX_LISTED);
        inventory.studies.push(study);
        true
    }
}
