//! What a retrieve tells: events while it runs, and the report at its end.

use std::path::PathBuf;
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::message::{Counters, Status};
use serde::{Serialize, Serializer};

use super::associations::Reason;

/// The end of a retrieve, in numbers. Serialises to the one line of `get --format json`.
///
/// Every expected instance is counted once: `expected = retrieved + present + failed + missing`.
///
/// A study that matches but has no usable Study Instance UID cannot be asked for, nor can its instances be counted.
/// It counts among the `studies`, and as one instance that is `expected` and `failed`, so that the numbers say that
/// something is not here; `notes` says why.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Studies that C-FIND found.
    pub studies: u64,
    /// Instances that C-FIND named or counted, never what happened to arrive.
    pub expected: u64,
    /// Expected instances that came in this run.
    pub retrieved: u64,
    /// Expected instances that were in the folder already, whole.
    pub present: u64,
    /// Expected instances that did not come, for a reason that is known.
    pub failed: u64,
    /// Expected instances that did not come, and nobody said why.
    pub missing: u64,
    /// Bytes of the data sets that came.
    pub bytes: u64,
    /// How long it took.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: Duration,
    /// Whether every instance that C-FIND named is in the folder.
    pub complete: bool,
    /// How they came.
    pub method: Method,
    /// Associations that were opened to get.
    pub associations: u64,
    /// Instances that came, belong to the studies, and were not named by C-FIND: they are kept.
    #[serde(skip)]
    pub unnamed: u64,
    /// Each expected instance that is not here, with the reason.
    #[serde(skip)]
    pub failures: Vec<Failure>,
    /// What the numbers do not say, such as studies that cannot be asked for, or an inventory that proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it was ended by the user.
    #[serde(skip)]
    pub cancelled: bool,
}

pub(crate) fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// How instances come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// C-GET.
    #[default]
    Get,
    /// C-MOVE.
    Move,
}

/// An expected instance that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Why.
    pub reason: String,
}

/// What happens while a retrieve runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What earlier runs have learnt of the node, and is used now.
    Known(Vec<String>),
    /// C-FIND named another study; so many instances are known so far.
    Found {
        /// Studies whose instances are known.
        studies: u64,
        /// Their instances.
        instances: u64,
    },
    /// So much of the inventory stands, and the folder was looked through for it.
    Planned {
        /// Studies found.
        studies: u64,
        /// Instances expected.
        expected: u64,
        /// Of them, in the folder already.
        present: u64,
        /// Whether that is all there is; else more are being found, while these are got.
        is_all: bool,
    },
    /// So many instances are expected of a study, as far as is known; told again when it is known better.
    Study {
        /// Study Instance UID.
        study: Uid,
        /// Instances that are named, or counted.
        expected: u64,
        /// Of them, in the folder already.
        present: u64,
    },
    /// An association stands.
    Associated {
        /// Storage contexts accepted.
        accepted: usize,
        /// Storage contexts proposed.
        proposed: usize,
        /// Operations the peer may have under way at a time; 0 is no limit.
        window: u16,
    },
    /// There are to be so many associations side by side.
    SideBySide {
        /// How many.
        associations: usize,
        /// Why so many.
        reason: Reason,
    },
    /// Bytes of a data set came.
    Bytes(u64),
    /// An instance stands under its name.
    Arrived(Box<Arrival>),
    /// An instance that the peer sent was not taken.
    Refused {
        /// SOP Instance UID.
        sop_instance: Uid,
        /// Why.
        reason: String,
    },
    /// The peer's own counters.
    Counters(Counters),
    /// The peer's final response to a request.
    Ended {
        /// Its status.
        status: Status,
        /// Its Error Comment.
        comment: Option<String>,
    },
    /// An association ended before its work was done.
    Lost {
        /// Why.
        reason: String,
    },
    /// What is missing is asked for again.
    AskingAgain {
        /// How many instances are missing.
        missing: u64,
    },
}

/// An instance that stands under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Study Instance UID.
    pub study: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// The transfer syntax it came and is stored in.
    pub transfer_syntax: Uid,
    /// The AE title that sent it.
    pub ae_title: dicomet_proto::AeTitle,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its data set.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_line_with_the_fields_of_the_design() {
        let report = Report {
            studies: 1,
            expected: 500,
            retrieved: 500,
            bytes: 262_000,
            seconds: Duration::from_micros(1_234_567),
            complete: true,
            associations: 2,
            ..Report::default()
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"studies":1,"expected":500,"retrieved":500,"present":0,"failed":0,"missing":0,"bytes":262000,"#,
                r#""seconds":1.235,"complete":true,"method":"get","associations":2}"#
            )
        );
    }
}
