//! The keys of a query as a person writes them.

use clap::{Args, ValueEnum};
use dicomet_proto::query::{KeyError, Level, Model, Query};

use crate::exit::CommandError;

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// What to match, or with no value what to ask for
    ///
    /// Keyword, gggg,eeee, ggggeeee, or a path such as ScheduledProcedureStepSequence[0].Modality, split at the
    /// first '='. Values may have the wildcards * and ?, lists are joined by \, ranges of dates are written
    /// 20240101-20240131.
    #[allow(rustdoc::broken_intra_doc_links, reason = "the brackets belong to the help text")]
    #[arg(value_name = "KEY[=VALUE]")]
    pub keys: Vec<String>,

    /// The information model to ask in
    #[arg(long, value_enum, default_value_t = ModelArg::Study)]
    pub model: ModelArg,
}

/// The information models of PS3.4 C.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelArg {
    /// Study Root
    Study,
    /// Patient Root
    Patient,
}

/// Query/Retrieve levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// PATIENT, in the Patient Root model
    Patient,
    /// STUDY
    Study,
    /// SERIES
    Series,
    /// IMAGE
    Image,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Level {
        match level {
            LevelArg::Patient => Level::Patient,
            LevelArg::Study => Level::Study,
            LevelArg::Series => Level::Series,
            LevelArg::Image => Level::Image,
        }
    }
}

impl QueryArgs {
    /// The keys as a query.
    pub fn query(&self, level: Level) -> Result<Query, CommandError> {
        let model = match self.model {
            ModelArg::Study => Model::StudyRoot,
            ModelArg::Patient => Model::PatientRoot,
        };
        add_keys(Query::new(model, level), &self.keys)
    }

    /// Whether some key has a value.
    fn has_values(&self) -> bool {
        self.keys.iter().any(|key| key.split_once('=').is_some_and(|(_, value)| !value.is_empty()))
    }
}

/// The studies that are to be sent, by `get` to us, by `move` to somebody else.
#[derive(Debug, Args)]
pub struct WantedArgs {
    #[command(flatten)]
    keys: QueryArgs,

    /// Everything that the peer has, so that no key needs a value
    #[arg(long)]
    all: bool,
}

impl WantedArgs {
    /// The query for studies.
    pub fn query(&self) -> Result<Query, CommandError> {
        self.keys.query(Level::Study)
    }

    /// The query for studies, unless by an oversight it asks for everything.
    pub fn named(&self) -> Result<Query, CommandError> {
        if !self.all && !self.keys.has_values() {
            return Err(CommandError::usage("no key has a value, so everything on the peer would match")
                .hint("name what you want, such as PatientID=PAT004, or say --all"));
        }
        self.query()
    }
}

/// A query with keys as they were written.
pub fn add_keys(query: Query, keys: &[String]) -> Result<Query, CommandError> {
    keys.iter().try_fold(query, |query, key| query.key(key).map_err(|error| explain(&error)))
}

fn explain(error: &KeyError) -> CommandError {
    let usage = CommandError::usage(error);
    match error {
        KeyError::UnknownKeyword(_) => {
            usage.hint("write keywords as in PS3.6, such as PatientName, or a tag, such as 0010,0010")
        }
        KeyError::NotOfADataSet(_) => usage.hint(
            "AvailableTransferSyntaxUID is what a peer may be asked for a transfer syntax by, SOPClassesInStudy for SOP classes",
        ),
        KeyError::Repeated(_) => usage.hint(
            "write each key once; several values of one key are joined by \\, and a key with a value is asked for too",
        ),
        KeyError::MalformedPath(_) => usage.hint("items are counted from [0]"),
        KeyError::Value { .. } => usage.hint(
            "dates are YYYYMMDD, times HHMMSS, ranges FROM-TO, UIDs digits and dots (PS3.5 6.2); what has * ? or \\ in it belongs \
             in quotes",
        ),
    }
}
