//! The identifier of a query or retrieve request, made a query by its information model: PS3.4 C.4.1.1.3, C.6. The
//! rules are `dicomet_proto`'s; here they meet the SOP class of the presentation context.

use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{ExtendedMatching, Hierarchy, Model, Query};

/// Reads the identifier of a C-FIND-RQ.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub(super) fn find_query(
    sop_class: &Uid,
    identifier: Result<DataSet, DataSetError>,
    hierarchy: Hierarchy,
    extended: ExtendedMatching,
) -> Result<Query, Refusal> {
    Query::from_find_identifier(model(sop_class)?, &readable(identifier)?, hierarchy, extended)
}

/// Reads the identifier of a C-FIND-RQ of the modality worklist, PS3.4 K.4.1.1.3.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub(super) fn worklist_query(
    identifier: Result<DataSet, DataSetError>,
    extended: ExtendedMatching,
) -> Result<Query, Refusal> {
    // The model has one level, above which there is nothing to be asked for.
    Query::from_find_identifier(Model::Worklist, &readable(identifier)?, Hierarchy::Relational, extended)
}

/// Reads the identifier of a C-GET-RQ or C-MOVE-RQ.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub(super) fn retrieve_query(
    sop_class: &Uid,
    identifier: Result<DataSet, DataSetError>,
) -> Result<Query, Refusal> {
    Query::from_retrieve_identifier(model(sop_class)?, &readable(identifier)?)
}

fn model(sop_class: &Uid) -> Result<Model, Refusal> {
    let served = Model::of_sop_class(sop_class).map(|(model, _)| model);
    served
        .filter(|model| *model != Model::Worklist)
        .ok_or_else(|| Refusal::new(Status::SOP_CLASS_NOT_SUPPORTED, "not an information model served here"))
}

/// An identifier that could be read.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub(super) fn readable(identifier: Result<DataSet, DataSetError>) -> Result<DataSet, Refusal> {
    identifier.map_err(|error| {
        // What the error says may quote the identifier: for debugging alone.
        tracing::debug!(%error, "identifier cannot be read");
        Refusal::new(Status::UNABLE_TO_PROCESS, "the identifier cannot be read")
    })
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::dictionary::uids;

    use super::*;

    #[test]
    fn an_identifier_that_cannot_be_read_is_c000() {
        let broken = Err(DataSetError::Malformed("cut".to_owned()));
        let refusal =
            find_query(&uids::STUDY_ROOT_FIND, broken, Hierarchy::Required, ExtendedMatching::default())
                .unwrap_err();
        assert_eq!(refusal.status.code(), 0xC000);
    }

    #[test]
    fn a_worklist_has_nothing_to_retrieve() {
        let refusal = retrieve_query(&uids::MODALITY_WORKLIST_FIND, Ok(DataSet::new())).unwrap_err();
        assert_eq!(refusal.status, Status::SOP_CLASS_NOT_SUPPORTED);
    }
}
