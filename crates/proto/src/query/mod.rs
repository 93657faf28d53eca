//! What to look for: PS3.4 C.2 (query/retrieve) and K (worklist), as values.

use crate::Uid;
use crate::dataset::DataSet;

/// Query/Retrieve Level (0008,0052).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `PATIENT`.
    Patient,
    /// `STUDY`.
    Study,
    /// `SERIES`.
    Series,
    /// `IMAGE`: composite object instances.
    Image,
}

/// The information models of PS3.4 C.6 and K.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    /// Patient Root.
    PatientRoot,
    /// Study Root.
    StudyRoot,
    /// Patient/Study Only (retired).
    PatientStudyOnly,
    /// Modality Worklist.
    Worklist,
}

/// A query: model, level and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The information model.
    pub model: Model,
    /// The level; `Study` has no meaning for a worklist.
    pub level: Level,
    /// The keys, as the data set that goes over the wire, (0008,0052) and (0008,0005) left out.
    pub keys: DataSet,
}

/// What is wrong with a key that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither a keyword of PS3.6 nor a tag.
    #[error("'{0}' is neither a keyword of the DICOM dictionary nor a tag such as 0010,0010")]
    UnknownKeyword(String),
    /// A path whose brackets or dots do not fit.
    #[error("'{0}' is not a path such as ScheduledProcedureStepSequence[0].Modality")]
    MalformedPath(String),
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
        Query { model, level, keys: DataSet::new() }
    }

    /// Adds a key as a person writes it: `Keyword=value`, `gggg,eeee=value`, `Sequence[0].Keyword=value`, split
    /// at the first `=`; without `=` the value is asked for.
    ///
    /// # Errors
    /// [`KeyError`] names the key and what is wrong with it.
    pub fn key(self, key: &str) -> Result<Query, KeyError> {
        let _ = key;
        todo!()
    }

    /// The SOP class of C-FIND in this model.
    pub fn find_sop_class(&self) -> Uid {
        todo!()
    }

    /// The identifier of a C-FIND-RQ or retrieve request: the keys, (0008,0052), and (0008,0005) where needed.
    pub fn identifier(&self) -> DataSet {
        todo!()
    }
}
