//! What to look for: PS3.4 C.2 (query/retrieve) and K (worklist), as values.
//!
//! A [`Query`] is made of keys as a person writes them ([`Query::key`]) and turned into an identifier, or read
//! from a peer's identifier ([`Query::from_identifier`]) and taken apart into typed [`MatchingKey`]s. The
//! modules: [`level`] and [`model`] are the tables of the standard, `key` the grammar for people, [`matching`]
//! what each key asks by its VR, with `attribute` (whose a private one is), [`pattern`], [`range`] and [`person_name`] as its tools. What has to be
//! negotiated is in [`extended`], [`fuzzy`] and `date_time`.

mod attribute;
mod date_time;
pub mod extended;
pub mod fuzzy;
pub mod identifier;
mod key;
pub mod level;
pub mod matching;
pub mod model;
pub mod pattern;
pub mod person_name;
pub mod range;

pub use attribute::Attribute;
pub use extended::ExtendedMatching;
pub use fuzzy::FuzzyName;
pub use identifier::Hierarchy;
pub use level::Level;
pub use matching::{InvalidKey, Matching, MatchingKey};
pub use model::{Model, Operation};
pub use pattern::Pattern;
pub use person_name::{NameKey, NormalisedName, normalise_person_name};
pub use range::Range;

use crate::Uid;
use crate::charset::CharacterSets;
use crate::dataset::{DataSet, Tag};

pub(crate) const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
pub(crate) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);

/// A query: model, level and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The information model.
    pub model: Model,
    /// The level; `Study` has no meaning for a worklist.
    pub level: Level,
    /// The keys, as the data set that goes over the wire, (0008,0052) left out. (0008,0005), where there is
    /// one, says in which character sets to write, and is no key.
    pub keys: DataSet,
    /// What was negotiated about how the keys match.
    pub extended: ExtendedMatching,
}

/// What is wrong with a key that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither a keyword of PS3.6 nor a tag.
    #[error("'{0}' is neither a keyword of the DICOM dictionary nor a tag such as 0010,0010")]
    UnknownKeyword(String),
    /// An element of commands or of file meta information, a delimiter or a group length.
    #[error("'{0}' stands in no data set, so that nobody can be asked for it")]
    NotOfADataSet(String),
    /// A path whose brackets or dots do not fit.
    #[error("'{0}' is not a path such as ScheduledProcedureStepSequence[0].Modality")]
    MalformedPath(String),
    /// The key was there already, with or without a value: the later one would silently take the place of the other.
    #[error("'{0}' is given twice")]
    Repeated(String),
    /// The value cannot be one of the element's VR.
    #[error("'{value}' is no value for {keyword}: {reason}")]
    Value {
        /// The key.
        keyword: String,
        /// The value as written.
        value: String,
        /// What it must look like.
        reason: String,
    },
}

impl Query {
    /// A query without keys.
    pub fn new(model: Model, level: Level) -> Query {
        Query { model, level, keys: DataSet::new(), extended: ExtendedMatching::default() }
            .matched(ExtendedMatching::default())
    }

    /// Adds a key as a person writes it: `Keyword=value`, `gggg,eeee=value`, `Sequence[0].Keyword=value`, split
    /// at the first `=`; without `=` the value is asked for. Each key may be there once.
    ///
    /// `QueryRetrieveLevel=SERIES` sets the level.
    ///
    /// # Errors
    /// [`KeyError`] names the key and what is wrong with it.
    pub fn key(mut self, key: &str) -> Result<Query, KeyError> {
        let key = key::parse(key)?;
        match key.level()? {
            Some(level) => self.level = level,
            None => key.insert(&mut self.keys)?,
        }
        Ok(self)
    }

    /// The same query, its keys matched as negotiated. In a worklist a range of dates and one of times are one range of
    /// moments without negotiation, too (PS3.4 Table K.6-1).
    #[must_use]
    pub fn matched(mut self, extended: ExtendedMatching) -> Query {
        let date_time = extended.date_time || self.model == Model::Worklist;
        self.extended = ExtendedMatching { date_time, ..extended };
        self
    }

    /// The SOP class of C-FIND in this model.
    pub fn find_sop_class(&self) -> Uid {
        self.model.find_sop_class()
    }

    /// The SOP class of C-GET in this model; a worklist has none.
    pub fn get_sop_class(&self) -> Option<Uid> {
        self.model.get_sop_class()
    }

    /// The SOP class of C-MOVE in this model; a worklist has none.
    pub fn move_sop_class(&self) -> Option<Uid> {
        self.model.move_sop_class()
    }

    /// The identifier of a C-FIND-RQ: the keys, (0008,0052), and (0008,0005).
    ///
    /// (0008,0005) names the character sets of the values where these need one: those it named before if they
    /// fit, else ISO_IR 192. Otherwise it is empty, which asks the peer for its own.
    pub fn identifier(&self) -> DataSet {
        let mut identifier = self.keys.clone();
        self.set_level(&mut identifier);
        match self.character_sets().defined_terms() {
            [] => identifier.set_empty(SPECIFIC_CHARACTER_SET),
            terms => identifier.set_text(SPECIFIC_CHARACTER_SET, &terms.join("\\")),
        }
        identifier
    }

    /// The identifier of a C-GET-RQ or C-MOVE-RQ: (0008,0052) and the unique keys, which are all that may be in
    /// it (PS3.4 C.4.2.1.4 and C.4.3.1.3).
    pub fn retrieve_identifier(&self) -> DataSet {
        let mut identifier = DataSet::new();
        for level in Level::ALL {
            if self.keys.text(level.unique_key()).is_some() {
                identifier.copy(level.unique_key(), &self.keys);
            }
        }
        self.set_level(&mut identifier);
        if identifier.texts(Level::Patient.unique_key()).iter().any(|value| !value.is_ascii()) {
            identifier.set_text(SPECIFIC_CHARACTER_SET, &self.character_sets().defined_terms().join("\\"));
        }
        identifier
    }

    fn set_level(&self, identifier: &mut DataSet) {
        if self.model != Model::Worklist {
            identifier.set_text(QUERY_RETRIEVE_LEVEL, self.level.as_str());
        }
    }

    /// The smallest character sets that hold the keys.
    fn character_sets(&self) -> CharacterSets {
        let mut texts = Vec::new();
        identifier::collect_texts(&self.keys, &mut texts);
        self.keys.character_sets().fitting(texts.iter().map(|(text, kind)| (text.as_str(), *kind)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
