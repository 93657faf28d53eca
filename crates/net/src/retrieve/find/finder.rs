//! The queries of one retrieve, on one association: STUDY level with the user's keys, then SERIES level for each
//! study and IMAGE level for each series. Keys below STUDY level narrow what is fetched. A peer that answers less
//! leaves the inventory with less, and the inventory says so.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Model, Query};

use super::keys::{Keys, fits};
use super::{
    MODALITIES_IN_STUDY, MODALITY, PATIENT_ID, SPECIFIC_CHARACTER_SET, ask, finish, matches, open_with,
};
use crate::retrieve::inventory::{Instance, Inventory, Series, Study};
use crate::retrieve::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use crate::retrieve::{Caller, RetrieveError, plan, relational};
use crate::{Association, Error, Node};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const NUMBER_OF_STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);
const NUMBER_OF_SERIES_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1209);

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

/// A series that SERIES level told, and how many instances it has, where that was told too.
#[derive(Debug, Clone)]
pub(in crate::retrieve) struct Listed {
    pub(in crate::retrieve) uid: Uid,
    pub(in crate::retrieve) counted: Option<u64>,
}

/// The queries of one retrieve, on one association.
pub(in crate::retrieve) struct Finder {
    pub(in crate::retrieve) association: Association,
    /// The model the peer accepted.
    pub(in crate::retrieve) model: Model,
    pub(in crate::retrieve) keys: Keys,
    /// See [`relational::level`].
    located_at: Option<Level>,
    /// Whether relational queries were asked for.
    is_relational: bool,
    /// Whether an earlier run has learnt that the peer answers no IMAGE level: one try is then enough.
    pub(in crate::retrieve) knows_no_image_level: bool,
    /// How often IMAGE level was refused, and never answered.
    images_refused: u32,
    images_answered: bool,
    /// The shortest time in which the peer answered anything here.
    pub(in crate::retrieve) round_trip: Option<Duration>,
    /// Whether to ask for the SOP class of each instance even where SOP Classes in Study say enough. Orthanc 1.10
    /// reads every file for it, some 5 ms each.
    pub(in crate::retrieve) asks_classes: bool,
}

impl Finder {
    /// Opens the association. A peer that does not know the model is asked for the other one.
    pub(in crate::retrieve) async fn open(
        node: &Node,
        caller: &Caller,
        query: &Query,
    ) -> Result<Finder, RetrieveError> {
        let other = match query.model {
            Model::PatientRoot => Model::StudyRoot,
            _ => Model::PatientRoot,
        };
        let located_at = relational::level(&query.keys);
        let begin = Instant::now();
        let association = open_with(node, caller, &[query.model, other], located_at.is_some()).await?;
        // One for TCP, one for the association.
        let round_trip = Some(begin.elapsed() / 2);
        let [is_accepted, is_other_accepted] = [query.model, other].map(|model| {
            let class = Query::new(model, Level::Study).find_sop_class();
            association.negotiated().contexts.iter().any(|context| context.abstract_syntax == class)
        });
        let model = match (is_accepted, is_other_accepted) {
            (true, _) => query.model,
            (false, true) => other,
            (false, false) => {
                let what = dictionary::uid_name(&query.find_sop_class()).unwrap_or("C-FIND").to_owned();
                association.abort().await;
                return Err(Error::NoPresentationContext { what }.into());
            }
        };
        let keys = Keys::sort(&query.keys);
        let is_relational = located_at.is_some();
        Ok(Finder {
            association,
            model,
            keys,
            located_at,
            is_relational,
            round_trip,
            knows_no_image_level: false,
            images_refused: 0,
            images_answered: false,
            asks_classes: false,
        })
    }

    /// Goes on with another query of the same model, on the same association. Answers whether that can be: one that
    /// needs relational queries wants an association that was opened for them.
    pub(in crate::retrieve) fn turn_to(&mut self, query: &Query) -> bool {
        let located_at = relational::level(&query.keys);
        let fits = located_at.is_none() || self.is_relational;
        if fits {
            (self.keys, self.located_at) = (Keys::sort(&query.keys), located_at);
        }
        fits
    }

    /// STUDY level: the studies that match, their series not yet looked at.
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
        let answers = matches(&mut self.association, &query, usize::MAX).await?;
        let narrows = Keys::narrows(&self.keys.series) || Keys::narrows(&self.keys.image);
        let mut inventory = Inventory::default();
        let mut known = HashSet::new();
        for answer in answers.iter().filter(|answer| fits(answer, &self.keys.study)) {
            let Some(uid) = answer.uid(STUDY_INSTANCE_UID) else {
                inventory.nameless += 1;
                continue;
            };
            if !known.insert(uid.clone()) {
                continue;
            }
            inventory.studies.push(Study {
                uid,
                patient_id: answer.text(PATIENT_ID),
                sop_classes: answer.uids(SOP_CLASSES_IN_STUDY),
                modalities: answer.texts(MODALITIES_IN_STUDY),
                counted: count(answer, NUMBER_OF_STUDY_RELATED_INSTANCES),
                is_whole: !narrows,
                is_named: false,
                series: Vec::new(),
            });
        }
        if self.located_at.is_some() && located.is_none() {
            inventory.walked = inventory.studies.len() as u64;
        }
        Ok(inventory)
    }

    /// SERIES and IMAGE level: fills in what is in a study. A peer that refuses leaves the study unnamed.
    pub(in crate::retrieve) async fn look_into(&mut self, study: &mut Study) -> Result<(), RetrieveError> {
        for listed in self.list_series(study).await? {
            let series = self.name(study, listed).await?;
            study.series.push(series);
        }
        self.end_study(study);
        Ok(())
    }

    /// SERIES level: the series of a study, which is named as far as they will be. None where the peer refuses.
    pub(in crate::retrieve) async fn list_series(
        &mut self,
        study: &mut Study,
    ) -> Result<Vec<Listed>, RetrieveError> {
        let mut keys = self.keys.series.clone();
        let answers = match self
            .below(study, Level::Series, &mut keys, &[MODALITY, NUMBER_OF_SERIES_RELATED_INSTANCES])
            .await
        {
            Ok(answers) => answers,
            Err(error) => return refused(error).map(|()| Vec::new()),
        };
        study.is_named = true;
        study.series.clear();
        let mut series: Vec<Listed> = Vec::new();
        for answer in answers {
            if !fits(&answer, &self.keys.series) {
                continue;
            }
            let Some(uid) = answer.uid(SERIES_INSTANCE_UID) else { continue };
            if series.iter().any(|known| known.uid == uid) {
                continue;
            }
            if let Some(modality) = answer.text(MODALITY)
                && !study.modalities.contains(&modality)
            {
                study.modalities.push(modality);
            }
            series.push(Listed { uid, counted: count(&answer, NUMBER_OF_SERIES_RELATED_INSTANCES) });
        }
        // A study that C-FIND names has series; none means that the level is not answered.
        study.is_named &= !(study.is_whole && series.is_empty());
        Ok(series)
    }

    /// IMAGE level: the instances of a series. Where they are not all named, the study is not.
    pub(in crate::retrieve) async fn name(
        &mut self,
        study: &mut Study,
        Listed { uid, counted }: Listed,
    ) -> Result<Series, RetrieveError> {
        let is_whole = !Keys::narrows(&self.keys.image);
        if self.has_no_image_level() {
            study.is_named = false;
            return Ok(Series { uid, is_whole, instances: Vec::new() });
        }
        match self.images(study, &uid).await {
            Ok(instances) => {
                self.images_answered = true;
                // An answer without instances, or one cut at a peer's limit, names nothing for certain.
                let lacks = is_whole && counted.is_some_and(|counted| (instances.len() as u64) < counted);
                let is_empty = is_whole && instances.is_empty();
                study.is_named &= !(lacks || is_empty);
                Ok(Series { uid, is_whole, instances })
            }
            Err(error) => {
                self.images_refused += u32::from(!self.images_answered);
                study.is_named = false;
                refused(error).map(|()| Series { uid, is_whole, instances: Vec::new() })
            }
        }
    }

    /// All series of a study are named: those without an instance that fits are none of ours.
    pub(in crate::retrieve) fn end_study(&self, study: &mut Study) {
        if Keys::narrows(&self.keys.image) {
            study.series.retain(|series| !series.instances.is_empty());
        }
    }

    /// Whether the peer answers no IMAGE level, as far as it was tried.
    pub(in crate::retrieve) fn has_no_image_level(&self) -> bool {
        const TRIES: u32 = 3;
        self.images_refused >= if self.knows_no_image_level { 1 } else { TRIES }
    }

    async fn images(&mut self, study: &Study, series: &Uid) -> Result<Vec<Instance>, RetrieveError> {
        let mut keys = self.keys.image.clone();
        keys.set_uid(SERIES_INSTANCE_UID, series);
        let asked: &[Tag] = match self.asks_classes || !plan::fit_together(&study.sop_classes) {
            true => &[SOP_CLASS_UID, SOP_INSTANCE_UID],
            false => &[SOP_INSTANCE_UID],
        };
        let answers = self.below(study, Level::Image, &mut keys, asked).await?;
        let only_class = match study.sop_classes.as_slice() {
            [class] => Some(class),
            _ => None,
        };
        let fitting = answers.iter().filter(|answer| fits(answer, &self.keys.image));
        Ok(fitting
            .filter_map(|answer| {
                let uid = answer.uid(SOP_INSTANCE_UID)?;
                let sop_class = answer.uid(SOP_CLASS_UID).or_else(|| only_class.cloned());
                Some(Instance { uid, sop_class })
            })
            .collect())
    }

    async fn below(
        &mut self,
        study: &Study,
        level: Level,
        keys: &mut DataSet,
        asked: &[Tag],
    ) -> Result<Vec<DataSet>, RetrieveError> {
        let mut query = Query::new(self.model, level);
        query.keys = std::mem::take(keys);
        query.keys.set_uid(STUDY_INSTANCE_UID, &study.uid);
        if let (Model::PatientRoot, Some(patient_id)) = (self.model, &study.patient_id) {
            query.keys.set_text(PATIENT_ID, patient_id);
        }
        ask(&mut query, &[SERIES_INSTANCE_UID]);
        ask(&mut query, asked);
        let begin = Instant::now();
        let answers = matches(&mut self.association, &query, usize::MAX).await;
        self.round_trip = self.round_trip.min(Some(begin.elapsed()));
        answers
    }

    /// Releases the association.
    pub(in crate::retrieve) async fn close(self) {
        let _ = finish(self.association, Ok(())).await;
    }

    /// Aborts the association.
    pub(in crate::retrieve) async fn abort(self) {
        self.association.abort().await;
    }
}

/// A failure status at SERIES or IMAGE level is a peer that gives less; anything else ends the retrieve.
fn refused(error: RetrieveError) -> Result<(), RetrieveError> {
    match error {
        RetrieveError::Find { level, status, .. } => {
            tracing::warn!("the peer answers no C-FIND at {level:?} level: {status}");
            Ok(())
        }
        other => Err(other),
    }
}

fn count(answer: &DataSet, tag: Tag) -> Option<u64> {
    answer.integer(tag).and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0)
}
