//! The queries of one retrieve, on one association: STUDY level with the user's keys (`studies`), then SERIES level for
//! each study and IMAGE level for each series. Keys below STUDY level narrow what is fetched. A peer that answers less
//! leaves the inventory with less, and the inventory says so.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Model, Query};

use super::answers::{MAX_ANSWERS, answers};
use super::keys::{Keys, fits};
use super::{MODALITY, PATIENT_ID, ask, finish, open_with};
use crate::retrieve::inventory::{Instance, Series, Study};
use crate::retrieve::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use crate::retrieve::{Caller, RetrieveError, plan, relational};
use crate::{Association, Error, Node};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const NUMBER_OF_SERIES_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1209);

/// Instances that are taken for one query, over all its studies: what names more is not an archive.
const MAX_INSTANCES: usize = 10_000_000;

/// The most of each list that a study tells; there are not so many modalities or SOP classes.
pub(super) const MAX_LISTED: usize = 1000;

/// The queries of one retrieve, on one association.
pub(in crate::retrieve) struct Finder {
    pub(in crate::retrieve) association: Association,
    /// The model the peer accepted.
    pub(in crate::retrieve) model: Model,
    pub(in crate::retrieve) keys: Keys,
    /// See [`relational::level`].
    pub(super) located_at: Option<Level>,
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
    /// How many studies the peer has been seen to answer with at the most, in an earlier run or this one.
    pub(in crate::retrieve) most_answers: Option<usize>,
    /// How many instances may still be taken.
    instances_left: usize,
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
            most_answers: None,
            instances_left: MAX_INSTANCES,
        })
    }

    /// Goes on with another query of the same model, on the same association. Answers whether that can be: one that
    /// needs relational queries wants an association that was opened for them.
    pub(in crate::retrieve) fn turn_to(&mut self, query: &Query) -> bool {
        let located_at = relational::level(&query.keys);
        let fits = located_at.is_none() || self.is_relational;
        if fits {
            (self.keys, self.located_at) = (Keys::sort(&query.keys), located_at);
            self.instances_left = MAX_INSTANCES;
        }
        fits
    }

    /// SERIES and IMAGE level: fills in what is in a study. A peer that refuses leaves the study unnamed.
    pub(in crate::retrieve) async fn look_into(&mut self, study: &mut Study) -> Result<(), RetrieveError> {
        for series in self.list_series(study).await? {
            let series = self.name(study, series).await?;
            study.series.push(series);
        }
        self.end_study(study);
        Ok(())
    }

    /// SERIES level: the series of a study, their instances not yet named. The study is named as far as they will be. None
    /// where the peer refuses.
    pub(in crate::retrieve) async fn list_series(
        &mut self,
        study: &mut Study,
    ) -> Result<Vec<Series>, RetrieveError> {
        let (found, cut) = match self.series(study).await {
            Ok(found) => found,
            Err(error) => return refused(error).map(|()| Vec::new()),
        };
        study.series.clear();
        // A study that C-FIND names has series; none means that the level is not answered.
        study.is_named = !(cut || study.is_whole && found.is_empty());
        Ok(found)
    }

    /// IMAGE level: the instances of a series. Where they are not all named, the study is not.
    pub(in crate::retrieve) async fn name(
        &mut self,
        study: &mut Study,
        mut series: Series,
    ) -> Result<Series, RetrieveError> {
        if self.has_no_image_level() {
            study.is_named = false;
            return Ok(series);
        }
        match self.images(study, &series.uid).await {
            Ok((instances, cut)) => {
                self.images_answered = true;
                // An answer without instances, or one cut at a peer's limit, names nothing for certain.
                let lacks = series.counted.is_some_and(|counted| (instances.len() as u64) < counted);
                study.is_named &= !(cut || series.is_whole && (lacks || instances.is_empty()));
                series.instances = instances;
                Ok(series)
            }
            Err(error) => {
                self.images_refused += u32::from(!self.images_answered);
                study.is_named = false;
                refused(error).map(|()| series)
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

    /// The series of a study, their instances not yet named, and whether there may be more.
    async fn series(&mut self, study: &mut Study) -> Result<(Vec<Series>, bool), RetrieveError> {
        let mut keys = self.keys.series.clone();
        let (wanted, is_whole) = (self.keys.series.clone(), !Keys::narrows(&self.keys.image));
        let (mut found, mut modalities) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        let take = |answer: &DataSet| {
            let uid = answer.uid(SERIES_INSTANCE_UID).filter(|_| fits(answer, &wanted));
            let Some(uid) = uid.filter(|uid| known.insert(uid.clone())) else { return };
            if let Some(modality) = answer.text(MODALITY)
                && !modalities.contains(&modality)
                && modalities.len() < MAX_LISTED
            {
                modalities.push(modality);
            }
            let counted = count(answer, NUMBER_OF_SERIES_RELATED_INSTANCES);
            found.push(Series { uid, is_whole, counted, instances: Vec::new() });
        };
        let asked = [MODALITY, NUMBER_OF_SERIES_RELATED_INSTANCES];
        let cut = self.below(study, Level::Series, &mut keys, &asked, take).await?;
        modalities.retain(|modality| !study.modalities.contains(modality));
        study.modalities.extend(modalities);
        Ok((found, cut))
    }

    /// The instances of a series, and whether there may be more.
    async fn images(&mut self, study: &Study, series: &Uid) -> Result<(Vec<Instance>, bool), RetrieveError> {
        let mut keys = self.keys.image.clone();
        keys.set_uid(SERIES_INSTANCE_UID, series);
        let asked: &[Tag] = match self.asks_classes || !plan::fit_together(&study.sop_classes) {
            true => &[SOP_CLASS_UID, SOP_INSTANCE_UID],
            false => &[SOP_INSTANCE_UID],
        };
        let only_class = match study.sop_classes.as_slice() {
            [class] => Some(class),
            _ => None,
        };
        let wanted = self.keys.image.clone();
        let mut instances = Vec::new();
        let take = |answer: &DataSet| {
            let uid = answer.uid(SOP_INSTANCE_UID).filter(|_| fits(answer, &wanted));
            instances.extend(uid.map(|uid| {
                let sop_class = answer.uid(SOP_CLASS_UID).or_else(|| only_class.cloned());
                Instance { uid, sop_class }
            }));
        };
        let cut = self.below(study, Level::Image, &mut keys, asked, take).await?;
        self.instances_left = self.instances_left.saturating_sub(instances.len());
        Ok((instances, cut))
    }

    /// Asks below a study, and answers whether there may be more.
    async fn below(
        &mut self,
        study: &Study,
        level: Level,
        keys: &mut DataSet,
        asked: &[Tag],
        take: impl FnMut(&DataSet),
    ) -> Result<bool, RetrieveError> {
        let mut query = Query::new(self.model, level);
        query.keys = std::mem::take(keys);
        query.keys.set_uid(STUDY_INSTANCE_UID, &study.uid);
        if let (Model::PatientRoot, Some(patient_id)) = (self.model, &study.patient_id) {
            query.keys.set_text(PATIENT_ID, patient_id);
        }
        ask(&mut query, &[SERIES_INSTANCE_UID]);
        ask(&mut query, asked);
        let begin = Instant::now();
        let most = MAX_ANSWERS.min(self.instances_left);
        let cut = answers(&mut self.association, &query, most, take).await;
        self.round_trip = self.round_trip.min(Some(begin.elapsed()));
        let cut = cut?;
        if let Some(cut) = &cut {
            tracing::warn!("not all is known of a study: at {level:?} level {cut}");
        }
        Ok(cut.is_some())
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

pub(super) fn count(answer: &DataSet, tag: Tag) -> Option<u64> {
    answer.integer(tag).and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0)
}
