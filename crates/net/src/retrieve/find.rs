//! Finding: the studies that match, and the inventory of what is in them.
//!
//! The inventory names every SOP Instance UID with its SOP class: STUDY level with the user's keys, then SERIES
//! level for each study and IMAGE level for each series. Keys below STUDY level narrow what is fetched. A peer that
//! answers less leaves the inventory with less, and the inventory says so.

use std::collections::HashSet;

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::{self, uids};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::StatusKind;
use dicomet_proto::query::{Level, Model, Query};

use super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::{Caller, RetrieveError, plan, relational};
use crate::service::c_find::scu::Find;
use crate::{Association, Error, Node, connect};

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
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

/// What C-FIND told about all that is to be fetched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    /// The studies.
    pub studies: Vec<Study>,
    /// Studies that match but have no usable Study Instance UID, so that nobody can ask for them.
    pub nameless: u64,
    /// Studies that had to be looked into only because a series or an instance was named without its study.
    pub walked: u64,
}

/// A study in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Study Instance UID.
    pub uid: Uid,
    /// Patient ID, which Patient Root requests need.
    pub patient_id: Option<String>,
    /// SOP Classes in Study (0008,0062).
    pub sop_classes: Vec<Uid>,
    /// The modalities: of its series, or Modalities in Study (0008,0061).
    pub modalities: Vec<String>,
    /// Number of Study Related Instances (0020,1208).
    pub counted: Option<u64>,
    /// Whether all of it is wanted: no key narrows it.
    pub is_whole: bool,
    /// Whether IMAGE level answers named the instances of every series.
    pub is_named: bool,
    /// The series.
    pub series: Vec<Series>,
}

impl Study {
    /// The study without its series: what a request needs of it.
    pub(super) fn head(&self) -> Study {
        Study {
            uid: self.uid.clone(),
            patient_id: self.patient_id.clone(),
            sop_classes: Vec::new(),
            modalities: Vec::new(),
            counted: self.counted,
            is_whole: self.is_whole,
            is_named: self.is_named,
            series: Vec::new(),
        }
    }
}

/// A series in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Series Instance UID.
    pub uid: Uid,
    /// Whether all of it is wanted.
    pub is_whole: bool,
    /// The instances.
    pub instances: Vec<Instance>,
}

/// An instance in the inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// SOP Instance UID.
    pub uid: Uid,
    /// SOP Class UID, where the peer told it.
    pub sop_class: Option<Uid>,
}

/// Opens an association for C-FIND in a query's model, does one query and returns all matches, at most `limit`.
///
/// The keys are sent as they are, with Specific Character Set asked for.
///
/// # Errors
/// [`RetrieveError::Association`], or [`RetrieveError::Find`] when the peer ends with a failure status.
pub async fn find(
    node: &Node,
    query: &Query,
    caller: &Caller,
    limit: Option<usize>,
) -> Result<Vec<DataSet>, RetrieveError> {
    let mut association = open(node, caller, &[query.model]).await?;
    let mut query = query.clone();
    ask(&mut query, &[SPECIFIC_CHARACTER_SET]);
    let matches = matches(&mut association, &query, limit.unwrap_or(usize::MAX)).await;
    finish(association, matches).await
}

/// Opens an association with the C-FIND contexts of some models.
///
/// # Errors
/// [`Error`].
pub async fn open(node: &Node, caller: &Caller, models: &[Model]) -> Result<Association, Error> {
    open_with(node, caller, models, false).await
}

/// As [`open`], asking for relational queries or not.
async fn open_with(
    node: &Node,
    caller: &Caller,
    models: &[Model],
    relational: bool,
) -> Result<Association, Error> {
    let syntaxes = vec![uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let classes = || models.iter().map(|model| model.find_sop_class());
    let contexts = classes().map(|class| (class, syntaxes.clone())).collect();
    let proposal = Proposal {
        calling_ae_title: caller.ae_title.clone(),
        called_ae_title: node.ae_title.clone(),
        contexts,
        role_selections: Vec::new(),
        async_operations_window: None,
        extended_negotiations: classes().filter(|_| relational).map(relational::asked).collect(),
        user_identity: None,
    };
    connect::connect(node, proposal, &caller.timeouts).await
}

/// Releases, whatever came; what came counts more than how the release went.
async fn finish<T>(association: Association, outcome: Result<T, RetrieveError>) -> Result<T, RetrieveError> {
    match &outcome {
        Err(RetrieveError::Association(_)) => association.abort().await,
        _ => {
            if let Err(error) = association.release().await {
                tracing::debug!("after C-FIND: {error}");
            }
        }
    }
    outcome
}

pub(super) async fn matches(
    association: &mut Association,
    query: &Query,
    limit: usize,
) -> Result<Vec<DataSet>, RetrieveError> {
    let mut find = Find::start(association, query).await?;
    let mut matches = Vec::new();
    while let Some(identifier) = find.next().await? {
        if matches.len() < limit {
            matches.push(identifier);
        }
        if matches.len() == limit {
            find.cancel().await?;
            break;
        }
    }
    let end = find.finish().await?;
    match end.status.kind() {
        StatusKind::Success | StatusKind::Warning | StatusKind::Pending => Ok(matches),
        StatusKind::Cancel if matches.len() == limit => Ok(matches),
        _ => Err(RetrieveError::Find { level: query.level, status: end.status, comment: end.error_comment }),
    }
}

/// Adds keys that ask for a value, where the query does not have them.
fn ask(query: &mut Query, tags: &[Tag]) {
    for tag in tags {
        if !query.keys.contains(*tag) {
            query.keys.set_empty(*tag);
        }
    }
}

/// The user's keys, by the level they belong to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keys {
    pub(super) study: DataSet,
    pub(super) series: DataSet,
    pub(super) image: DataSet,
}

impl Keys {
    /// Sorts keys. A key of no known level is taken for one of the study.
    pub(super) fn sort(keys: &DataSet) -> Keys {
        let mut sorted = Keys { study: DataSet::new(), series: DataSet::new(), image: DataSet::new() };
        for tag in keys.tags() {
            match level_of(tag) {
                Level::Image => sorted.image.copy(tag, keys),
                Level::Series => sorted.series.copy(tag, keys),
                _ => sorted.study.copy(tag, keys),
            }
        }
        // What of the series is of this modality is in studies that have it: fewer studies to look into.
        if let Some(modality) = keys.text(MODALITY)
            && !keys.contains(MODALITIES_IN_STUDY)
            && !modality.contains(['*', '?', '\\'])
        {
            sorted.study.set_text(MODALITIES_IN_STUDY, &modality);
        }
        sorted
    }

    /// Whether a key of series or image level has a value, so that it narrows what is fetched.
    fn narrows(keys: &DataSet) -> bool {
        keys.tags().any(|tag| keys.text(tag).is_some_and(|text| text != "*"))
    }
}

/// The level of an attribute in the Study Root model: PS3.4 C.6.1.1.4, C.6.1.1.5 and common optional keys.
fn level_of(tag: Tag) -> Level {
    match (tag.0, tag.1) {
        (0x0008, 0x0016 | 0x0018 | 0x0008 | 0x0012 | 0x0013 | 0x0022 | 0x0023 | 0x002A | 0x0032 | 0x0033)
        | (0x0020, 0x0012 | 0x0013)
        | (0x0028, _)
        | (0x0040, 0xA043 | 0xA491 | 0xA493 | 0xA032) => Level::Image,
        (0x0008, 0x0060 | 0x0021 | 0x0031 | 0x103E | 0x1070 | 0x1050 | 0x1010)
        | (0x0018, 0x0015 | 0x1030)
        | (0x0020, 0x000E | 0x0011 | 0x0060 | 0x1209)
        | (0x0040, 0x0244 | 0x0245 | 0x0275) => Level::Series,
        _ => Level::Study,
    }
}

/// Whether an answer fits keys that a peer may have ignored: single values and lists of UIDs are compared, the rest
/// is the peer's to match.
fn fits(answer: &DataSet, keys: &DataSet) -> bool {
    keys.tags().all(|tag| {
        let wanted = keys.texts(tag);
        let is_plain =
            !wanted.is_empty() && wanted.iter().all(|value| !value.contains(['*', '?']) && !value.is_empty());
        let is_code = tag == MODALITY || keys.vr(tag) == Some(dicomet_proto::dataset::VR::UI);
        match answer.text(tag) {
            Some(value) if is_plain && is_code => wanted.contains(&value),
            _ => true,
        }
    })
}

/// The queries of one retrieve, on one association.
pub(super) struct Finder {
    pub(super) association: Association,
    /// The model the peer accepted.
    pub(super) model: Model,
    pub(super) keys: Keys,
    /// See [`relational::level`].
    located_at: Option<Level>,
    /// Whether to ask for the SOP class of each instance even where SOP Classes in Study say enough. Orthanc 1.10
    /// reads every file for it, some 5 ms each.
    pub(super) asks_classes: bool,
}

impl Finder {
    /// Opens the association. A peer that does not know the model is asked for the other one.
    pub(super) async fn open(node: &Node, caller: &Caller, query: &Query) -> Result<Finder, RetrieveError> {
        let other = match query.model {
            Model::PatientRoot => Model::StudyRoot,
            _ => Model::PatientRoot,
        };
        let located_at = relational::level(&query.keys);
        let association = open_with(node, caller, &[query.model, other], located_at.is_some()).await?;
        let accepts = |model: Model| {
            let class = Query::new(model, Level::Study).find_sop_class();
            association.negotiated().contexts.iter().any(|context| context.abstract_syntax == class)
        };
        let model = match (accepts(query.model), accepts(other)) {
            (true, _) => query.model,
            (false, true) => other,
            (false, false) => {
                let what = dictionary::uid_name(&query.find_sop_class()).unwrap_or("C-FIND").to_owned();
                association.abort().await;
                return Err(Error::NoPresentationContext { what }.into());
            }
        };
        Ok(Finder { association, model, keys: Keys::sort(&query.keys), located_at, asks_classes: false })
    }

    /// STUDY level: the studies that match, their series not yet looked at.
    pub(super) async fn studies(&mut self) -> Result<Inventory, RetrieveError> {
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
    pub(super) async fn look_into(&mut self, study: &mut Study) -> Result<(), RetrieveError> {
        let mut keys = self.keys.series.clone();
        let answers = match self
            .below(study, Level::Series, &mut keys, &[MODALITY, NUMBER_OF_SERIES_RELATED_INSTANCES])
            .await
        {
            Ok(answers) => answers,
            Err(error) => return refused(error),
        };
        study.is_named = true;
        study.series.clear();
        for answer in answers {
            if !fits(&answer, &self.keys.series) {
                continue;
            }
            let Some(uid) = answer.uid(SERIES_INSTANCE_UID) else { continue };
            if study.series.iter().any(|known| known.uid == uid) {
                continue;
            }
            if let Some(modality) = answer.text(MODALITY)
                && !study.modalities.contains(&modality)
            {
                study.modalities.push(modality);
            }
            let is_whole = !Keys::narrows(&self.keys.image);
            let counted = count(&answer, NUMBER_OF_SERIES_RELATED_INSTANCES);
            match self.images(study, &uid).await {
                Ok(instances) => {
                    // An answer without instances, or one cut at a peer's limit, names nothing for certain.
                    let lacks = is_whole && counted.is_some_and(|counted| (instances.len() as u64) < counted);
                    let is_empty = is_whole && instances.is_empty();
                    study.is_named &= !(lacks || is_empty);
                    study.series.push(Series { uid, is_whole, instances });
                }
                Err(error) => {
                    study.is_named = false;
                    study.series.push(Series { uid, is_whole, instances: Vec::new() });
                    refused(error)?;
                }
            }
        }
        // A study that C-FIND names has series; none means that the level is not answered.
        study.is_named &= !(study.is_whole && study.series.is_empty());
        if Keys::narrows(&self.keys.image) {
            study.series.retain(|series| !series.instances.is_empty());
        }
        Ok(())
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
        matches(&mut self.association, &query, usize::MAX).await
    }

    /// Releases the association.
    pub(super) async fn close(self) {
        let _ = finish(self.association, Ok(())).await;
    }

    /// Aborts the association.
    pub(super) async fn abort(self) {
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

/// The identifier of a C-GET.
pub(super) fn identifier(model: Model, request: &super::plan::Request, study: &Study) -> DataSet {
    let mut query = Query::new(model, request.level);
    query.keys.set_uid(STUDY_INSTANCE_UID, &study.uid);
    if let (Model::PatientRoot, Some(patient_id)) = (model, &study.patient_id) {
        query.keys.set_text(PATIENT_ID, patient_id);
    }
    if let Some(series) = &request.series {
        query.keys.set_uid(SERIES_INSTANCE_UID, series);
    }
    if !request.instances.is_empty() {
        query.keys.set_uids(SOP_INSTANCE_UID, &request.instances);
    }
    query.identifier()
}
