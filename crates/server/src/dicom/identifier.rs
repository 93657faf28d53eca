//! The identifier of a query or retrieve request, checked against its information model: PS3.4 C.4.1.1.3,
//! C.4.3.1.3, C.6.

use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, DataSetError, Tag, dictionary::uids};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Model, Query};

const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);

/// Reads the identifier of a C-FIND-RQ. Without relational queries each level above needs its unique key.
///
/// # Errors
/// The [`Refusal`] to answer with: A900, or C000 for what cannot be read.
pub(super) fn find_query(
    sop_class: &Uid,
    identifier: Result<DataSet, DataSetError>,
    relational: bool,
) -> Result<Query, Refusal> {
    let query = query(sop_class, identifier)?;
    if relational {
        return Ok(query);
    }
    let levels = levels(query.model);
    for level in levels.iter().take_while(|level| **level != query.level) {
        let key = unique_key(*level);
        if !is_single_value(&query.keys, key) {
            return Err(mismatch("a level above lacks its unique key").offending(key));
        }
    }
    Ok(query)
}

/// Reads the identifier of a C-GET-RQ or C-MOVE-RQ, of which only unique keys count (PS3.4 C.4.3.1.3.1). That of its
/// level must be there, or it would mean the whole archive. Those above may be missing, since a UID needs none.
///
/// # Errors
/// As [`find_query`].
pub(super) fn retrieve_query(
    sop_class: &Uid,
    identifier: Result<DataSet, DataSetError>,
) -> Result<Query, Refusal> {
    let Query { model, level, keys: given } = query(sop_class, identifier)?;
    let key = unique_key(level);
    if !given.text(key).is_some_and(|value| !value.contains(['*', '?'])) {
        return Err(mismatch("the unique key of the level is missing").offending(key));
    }
    let mut keys = DataSet::new();
    for key in [PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID] {
        if given.text(key).is_some() {
            keys.copy(key, &given);
        }
    }
    Ok(Query { model, level, keys })
}

fn query(sop_class: &Uid, identifier: Result<DataSet, DataSetError>) -> Result<Query, Refusal> {
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

fn unique_key(level: Level) -> Tag {
    match level {
        Level::Patient => PATIENT_ID,
        Level::Study => STUDY_INSTANCE_UID,
        Level::Series => SERIES_INSTANCE_UID,
        Level::Image => SOP_INSTANCE_UID,
    }
}

fn is_single_value(keys: &DataSet, key: Tag) -> bool {
    keys.text(key).is_some_and(|value| !value.contains(['*', '?', '\\']))
}

fn mismatch(comment: &str) -> Refusal {
    Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(Tag, &str)]) -> Result<DataSet, DataSetError> {
        let mut keys = DataSet::new();
        for (tag, value) in pairs {
            keys.set_text(*tag, value);
        }
        Ok(keys)
    }

    fn code(outcome: Result<Query, Refusal>) -> u16 {
        outcome.map_or_else(|refusal| refusal.status.code(), |_| 0)
    }

    #[test]
    fn a_level_that_is_missing_unknown_or_not_of_the_model_is_a900() {
        let find = |level: &[(Tag, &str)]| code(find_query(&uids::STUDY_ROOT_FIND, keys(level), false));
        assert_eq!(find(&[]), 0xA900);
        assert_eq!(find(&[(QUERY_RETRIEVE_LEVEL, "WORLD")]), 0xA900);
        assert_eq!(find(&[(QUERY_RETRIEVE_LEVEL, "PATIENT")]), 0xA900);
        assert_eq!(find(&[(QUERY_RETRIEVE_LEVEL, "STUDY")]), 0);
    }

    #[test]
    fn a_level_above_needs_its_unique_key_unless_relational() {
        let series = || keys(&[(QUERY_RETRIEVE_LEVEL, "SERIES")]);
        let refusal = find_query(&uids::STUDY_ROOT_FIND, series(), false).unwrap_err();
        assert_eq!(refusal.status.code(), 0xA900);
        assert_eq!(refusal.offending_elements, [STUDY_INSTANCE_UID]);
        assert_eq!(code(find_query(&uids::STUDY_ROOT_FIND, series(), true)), 0);
        let within = keys(&[(QUERY_RETRIEVE_LEVEL, "SERIES"), (STUDY_INSTANCE_UID, "1.2")]);
        assert_eq!(code(find_query(&uids::STUDY_ROOT_FIND, within, false)), 0);
    }

    #[test]
    fn a_retrieve_without_its_unique_key_is_never_the_whole_archive() {
        let get = |pairs: &[(Tag, &str)]| code(retrieve_query(&uids::STUDY_ROOT_GET, keys(pairs)));
        assert_eq!(get(&[(QUERY_RETRIEVE_LEVEL, "STUDY")]), 0xA900);
        assert_eq!(get(&[(QUERY_RETRIEVE_LEVEL, "STUDY"), (STUDY_INSTANCE_UID, "*")]), 0xA900);
        assert_eq!(get(&[(QUERY_RETRIEVE_LEVEL, "STUDY"), (STUDY_INSTANCE_UID, "1.2\\1.3")]), 0);
        assert_eq!(get(&[(QUERY_RETRIEVE_LEVEL, "IMAGE"), (SOP_INSTANCE_UID, "1.2.3")]), 0);
    }

    #[test]
    fn an_identifier_that_cannot_be_read_is_c000() {
        let broken = Err(DataSetError::Malformed("cut".to_owned()));
        assert_eq!(code(find_query(&uids::STUDY_ROOT_FIND, broken, false)), 0xC000);
    }
}
