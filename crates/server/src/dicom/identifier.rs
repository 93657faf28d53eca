//! The identifier of a query or retrieve request, made a query by its information model: PS3.4 C.4.1.1.3, C.6. What
//! its keys may be is for the archive to say.

use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, DataSetError, Tag, dictionary::uids};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Model, Query};

const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Reads the identifier of a C-FIND-RQ or C-GET-RQ.
///
/// # Errors
/// The [`Refusal`] to answer with: A900 when the level does not fit, C000 for what cannot be read.
pub(super) fn query(sop_class: &Uid, identifier: Result<DataSet, DataSetError>) -> Result<Query, Refusal> {
    let mut keys = identifier.map_err(|error| {
        // What the error says may quote the identifier: for debugging alone.
        tracing::debug!(%error, "identifier cannot be read");
        Refusal::new(Status::UNABLE_TO_PROCESS, "the identifier cannot be read")
    })?;
    let model = model(sop_class).ok_or_else(|| {
        Refusal::new(Status::SOP_CLASS_NOT_SUPPORTED, "not an information model served here")
    })?;
    let level = match keys.text(QUERY_RETRIEVE_LEVEL).as_deref().map(str::trim) {
        Some("PATIENT") => Level::Patient,
        Some("STUDY") => Level::Study,
        Some("SERIES") => Level::Series,
        Some("IMAGE") => Level::Image,
        Some(_) => return Err(mismatch("unknown query/retrieve level").offending(QUERY_RETRIEVE_LEVEL)),
        None => return Err(mismatch("no query/retrieve level").offending(QUERY_RETRIEVE_LEVEL)),
    };
    if !levels(model).contains(&level) {
        return Err(mismatch("the model does not have this level").offending(QUERY_RETRIEVE_LEVEL));
    }
    keys.remove(QUERY_RETRIEVE_LEVEL);
    keys.remove(SPECIFIC_CHARACTER_SET);
    Ok(Query { model, level, keys })
}

fn model(sop_class: &Uid) -> Option<Model> {
    match sop_class.as_str() {
        "1.2.840.10008.5.1.4.1.2.3.1" | "1.2.840.10008.5.1.4.1.2.3.3" => Some(Model::PatientStudyOnly),
        _ if *sop_class == uids::STUDY_ROOT_FIND || *sop_class == uids::STUDY_ROOT_GET => {
            Some(Model::StudyRoot)
        }
        _ if *sop_class == uids::PATIENT_ROOT_FIND || *sop_class == uids::PATIENT_ROOT_GET => {
            Some(Model::PatientRoot)
        }
        _ => None,
    }
}

fn levels(model: Model) -> &'static [Level] {
    match model {
        Model::PatientRoot => &[Level::Patient, Level::Study, Level::Series, Level::Image],
        Model::StudyRoot => &[Level::Study, Level::Series, Level::Image],
        Model::PatientStudyOnly => &[Level::Patient, Level::Study],
        Model::Worklist => &[],
    }
}

fn mismatch(comment: &str) -> Refusal {
    Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(level: Option<&str>) -> u16 {
        let mut identifier = DataSet::new();
        if let Some(level) = level {
            identifier.set_text(QUERY_RETRIEVE_LEVEL, level);
        }
        query(&uids::STUDY_ROOT_FIND, Ok(identifier)).map_or_else(|refusal| refusal.status.code(), |_| 0)
    }

    #[test]
    fn a_level_that_is_missing_unknown_or_not_of_the_model_is_a900() {
        assert_eq!(code(None), 0xA900);
        assert_eq!(code(Some("WORLD")), 0xA900);
        assert_eq!(code(Some("PATIENT")), 0xA900);
        assert_eq!(code(Some("STUDY ")), 0);
    }

    #[test]
    fn level_and_character_set_are_no_keys() {
        let mut identifier = DataSet::new();
        identifier.set_text(QUERY_RETRIEVE_LEVEL, "PATIENT");
        identifier.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 100");
        identifier.set_text(Tag(0x0010, 0x0020), "4711");
        let query = query(&uids::PATIENT_ROOT_GET, Ok(identifier)).unwrap();
        assert_eq!((query.model, query.level), (Model::PatientRoot, Level::Patient));
        assert_eq!(query.keys.tags().collect::<Vec<_>>(), [Tag(0x0010, 0x0020)]);
    }

    #[test]
    fn an_identifier_that_cannot_be_read_is_c000() {
        let broken = Err(DataSetError::Malformed("cut".to_owned()));
        assert_eq!(query(&uids::STUDY_ROOT_FIND, broken).unwrap_err().status.code(), 0xC000);
    }
}
