//! Finding: C-FIND with the keys of a query, and the inventory of what is in the studies that match.

mod finder;
mod keys;

use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::StatusKind;
use dicomet_proto::query::{Model, Query};

use super::inventory::Study;
use super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::{Caller, RetrieveError, relational};
use crate::service::c_find::scu::Find;
use crate::{Association, Error, Node, connect};

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
