//! Finding: C-FIND with the keys of a query, and the inventory of what is in the studies that match.

mod answers;
mod finder;
mod keys;
mod ranges;
mod studies;

use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::{Model, Query};

use super::inventory::Study;
use super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::{Caller, RetrieveError, relational};
use crate::{Association, Error, Node, connect};

pub(super) use answers::answers;
pub use answers::{Cut, MAX_ANSWERS, is_limit};
pub(super) use finder::Finder;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);

/// Opens an association for C-FIND in a query's model, does one query and returns all matches, at most `limit`.
///
/// The keys are sent as they are, with Specific Character Set asked for.
///
/// # Errors
/// [`RetrieveError::Association`], or [`RetrieveError::Find`] when the peer ends with a status that says that these are
/// not all.
pub async fn find(
    node: &Node,
    query: &Query,
    caller: &Caller,
    limit: Option<usize>,
) -> Result<Vec<DataSet>, RetrieveError> {
    let mut association = open(node, caller, &[query.model]).await?;
    let mut query = query.clone();
    ask(&mut query, &[SPECIFIC_CHARACTER_SET]);
    let found = all(&mut association, &query, limit).await;
    finish(association, found).await
}

async fn all(
    association: &mut Association,
    query: &Query,
    limit: Option<usize>,
) -> Result<Vec<DataSet>, RetrieveError> {
    let mut found = Vec::new();
    let most = limit.unwrap_or(MAX_ANSWERS);
    match answers(association, query, most, |answer| found.push(answer.clone())).await? {
        None => Ok(found),
        Some(Cut::ByUs { .. }) if limit.is_some() => Ok(found),
        Some(Cut::ByPeer { status, comment, .. }) => {
            Err(RetrieveError::Find { level: query.level, status, comment })
        }
        Some(cut) => {
            let comment = Some(cut.to_string());
            Err(RetrieveError::Find { level: query.level, status: Status::CANCEL, comment })
        }
    }
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
        extended_negotiations: classes().filter(|_| relational).map(relational::asked).collect(),
        ..Proposal::new(caller.ae_title.clone(), node.ae_title.clone(), contexts)
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

/// Adds keys that ask for a value, where the query does not have them.
fn ask(query: &mut Query, tags: &[Tag]) {
    for tag in tags {
        if !query.keys.contains(*tag) {
            query.keys.set_empty(*tag);
        }
    }
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
