//! Identifiers of requests, read and checked: PS3.4 C.4.1.1.3 (find), C.4.2.1.4 and C.4.3.1.3 (retrieve).

use super::{
    ExtendedMatching, Level, MatchingKey, Model, Pattern, QUERY_RETRIEVE_LEVEL, Query, SPECIFIC_CHARACTER_SET,
};
use crate::charset::TextKind;
use crate::dataset::{DataSet, Tag, VR};
use crate::message::{Refusal, Status};

const SCHEDULED_PROCEDURE_STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);

/// Whether a level needs the unique keys of the levels above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hierarchy {
    /// PS3.4 C.4.1.2.1, hierarchical search: it does.
    #[default]
    Required,
    /// PS3.4 C.4.1.2.2, relational queries were negotiated: it does not.
    Relational,
}

impl Query {
    /// Reads the identifier of a C-FIND-RQ; hierarchical search.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with. A900: no level or one the model does not have, or the unique key of a level
    /// above is not there as a single value. C000: a value that its VR cannot have as a key.
    pub fn from_identifier(model: Model, identifier: &DataSet) -> Result<Query, Refusal> {
        Query::from_find_identifier(model, identifier, Hierarchy::Required, ExtendedMatching::default())
    }

    /// Reads the identifier of a C-FIND-RQ, hierarchical or relational, its keys matched as negotiated.
    ///
    /// # Errors
    /// As [`Query::from_identifier`].
    pub fn from_find_identifier(
        model: Model,
        identifier: &DataSet,
        hierarchy: Hierarchy,
        extended: ExtendedMatching,
    ) -> Result<Query, Refusal> {
        let query = Query::of_model(model, identifier)?.matched(extended);
        if hierarchy == Hierarchy::Required {
            query.check_levels_above()?;
        }
        query.matching_keys()?;
        Ok(query)
    }

    /// Reads the identifier of a C-GET-RQ or C-MOVE-RQ, of which only unique keys count.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with. A900: as for C-FIND, or the unique key of the level itself is missing, which
    /// would mean the whole archive; or a unique key has wildcards. The keys of the levels above may be missing: UIDs
    /// need none.
    pub fn from_retrieve_identifier(model: Model, identifier: &DataSet) -> Result<Query, Refusal> {
        let mut query = Query::of_model(model, identifier)?;
        let unique_key = query.level.unique_key();
        let values = query.keys.texts(unique_key);
        let is_single = query.level != Level::Patient || values.len() == 1;
        if values.is_empty() || !is_single || values.iter().any(|value| is_not_single(value)) {
            return Err(mismatch("the unique key of the level is missing").offending(unique_key));
        }
        let given = std::mem::take(&mut query.keys);
        for level in model.levels().iter().filter(|level| **level <= query.level) {
            let unique_key = level.unique_key();
            if given.texts(unique_key).iter().any(|value| Pattern::has_wildcard(value)) {
                return Err(mismatch("a unique key has wildcards").offending(unique_key));
            }
            if given.text(unique_key).is_some() {
                query.keys.copy(unique_key, &given);
            }
        }
        Ok(query)
    }

    fn of_model(model: Model, identifier: &DataSet) -> Result<Query, Refusal> {
        let level = match model {
            Model::Worklist => {
                check_one_step(identifier)?;
                Level::Study
            }
            _ => level_of(model, identifier)?,
        };
        let mut keys = identifier.clone();
        keys.remove(QUERY_RETRIEVE_LEVEL);
        Ok(Query { keys, ..Query::new(model, level) })
    }

    fn check_levels_above(&self) -> Result<(), Refusal> {
        for level in self.model.levels().iter().take_while(|level| **level < self.level) {
            let values = self.keys.texts(level.unique_key());
            if values.len() != 1 || is_not_single(&values[0]) {
                return Err(mismatch(&format!("the unique key of level {level} is no single value"))
                    .offending(level.unique_key()));
            }
        }
        Ok(())
    }

    /// What the keys ask for, those of universal matching among them.
    ///
    /// # Errors
    /// C000 with the offending element: a date or time that is none, a pattern too long, a sequence of more than one
    /// item or too deep.
    pub fn matching_keys(&self) -> Result<Vec<MatchingKey>, Refusal> {
        MatchingKey::of_data_set(&self.keys, &self.extended)
    }
}

fn level_of(model: Model, identifier: &DataSet) -> Result<Level, Refusal> {
    let refused = |comment: &str| Err(mismatch(comment).offending(QUERY_RETRIEVE_LEVEL));
    match identifier.text(QUERY_RETRIEVE_LEVEL).map(|text| text.parse::<Level>()) {
        None => refused("the query/retrieve level is missing"),
        Some(Err(_)) => refused("the query/retrieve level is unknown"),
        Some(Ok(level)) if !model.levels().contains(&level) => {
            refused(&format!("the information model has no level {level}"))
        }
        Some(Ok(level)) => Ok(level),
    }
}

/// PS3.4 Table K.6-1: the sequence of a request has a single item.
fn check_one_step(identifier: &DataSet) -> Result<(), Refusal> {
    match identifier.items(SCHEDULED_PROCEDURE_STEP_SEQUENCE) {
        Some(items) if items.len() > 1 => {
            Err(mismatch("more than one item in the scheduled procedure step sequence")
                .offending(SCHEDULED_PROCEDURE_STEP_SEQUENCE))
        }
        _ => Ok(()),
    }
}

fn mismatch(comment: &str) -> Refusal {
    Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment)
}

fn is_not_single(value: &str) -> bool {
    value.is_empty() || Pattern::has_wildcard(value)
}

/// The texts of a data set and its items, with what splits them; a list of its own instead of a call within a
/// call, however deep the items lie.
pub(super) fn collect_texts(keys: &DataSet, texts: &mut Vec<(String, TextKind)>) {
    let mut waiting = vec![keys.clone()];
    while let Some(data_set) = waiting.pop() {
        for tag in data_set.tags().filter(|tag| *tag != SPECIFIC_CHARACTER_SET).collect::<Vec<Tag>>() {
            let kind = match data_set.vr(tag) {
                Some(VR::SQ) => {
                    waiting.extend(data_set.items(tag).unwrap_or_default());
                    continue;
                }
                Some(VR::PN) => TextKind::PersonName,
                Some(VR::LT | VR::ST | VR::UT) => TextKind::Text,
                Some(VR::LO | VR::SH | VR::UC) => TextKind::Values,
                _ => continue,
            };
            texts.extend(data_set.text(tag).map(|text| (text, kind)));
        }
    }
}
