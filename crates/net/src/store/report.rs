//! What a store tells: events while it runs, and the report at its end.

use std::path::PathBuf;
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::message::Status;
use serde::Serialize;

use crate::retrieve::associations::Reason;
use crate::retrieve::report::milliseconds;

/// The end of a store, in numbers. Serialises to the one line of `store --format json`.
///
/// Every file that should hold an instance is counted once: `files = sent + already + failed + unknown + unsent`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Files that hold an instance, or should.
    pub files: u64,
    /// Instances that the peer confirmed, with a warning or without.
    pub sent: u64,
    /// Instances of which the peer said that it has them (0111), without taking them again.
    pub already: u64,
    /// Files of which the peer did not take the instance, and those that cannot be sent.
    pub failed: u64,
    /// Files of which all was sent and no answer came that holds: it is not known whether the peer has the instance.
    pub unknown: u64,
    /// Files that were not sent, because the user ended it before.
    pub unsent: u64,
    /// Files that are no instances: DICOMDIRs, and what is not DICOM.
    pub skipped: u64,
    /// Instances that the peer confirmed with a warning; counted in `sent` too.
    pub warnings: u64,
    /// Bytes of the data sets that the peer confirmed.
    pub bytes: u64,
    /// How long it took.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: Duration,
    /// Whether the peer has the instance of every file.
    pub complete: bool,
    /// Associations that were opened.
    pub associations: u64,
    /// Each file whose instance the peer did not take, with the reason.
    #[serde(skip)]
    pub failures: Vec<Remark>,
    /// Each file of which it is not known whether the peer has the instance, with the reason.
    #[serde(skip)]
    pub unknowns: Vec<Remark>,
    /// What else a person should know of files.
    #[serde(skip)]
    pub notes: Vec<Remark>,
    /// Whether it was ended by the user.
    #[serde(skip)]
    pub cancelled: bool,
}

/// A file, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where it is.
    pub path: PathBuf,
    /// What is to be said.
    pub reason: String,
}

/// What happens while a store runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// So many files with an instance were found so far.
    Found {
        /// Files.
        files: u64,
    },
    /// All files were looked at, and the associations are planned.
    Planned {
        /// Files that hold an instance.
        files: u64,
        /// Bytes of their data sets.
        bytes: u64,
        /// Presentation contexts that they need.
        contexts: usize,
        /// Associations that these need, one after the other.
        rounds: usize,
    },
    /// An association stands.
    Associated {
        /// Contexts accepted.
        accepted: usize,
        /// Contexts proposed.
        proposed: usize,
        /// Operations that may be under way at a time; 0 is no limit.
        window: u16,
    },
    /// There are to be so many associations side by side.
    SideBySide {
        /// Associations.
        associations: usize,
        /// Why so many.
        reason: Reason,
    },
    /// Further associations would be of use, but the peer loses instances that are stored side by side.
    OneAlone,
    /// Bytes of a data set were read to be sent.
    Bytes(u64),
    /// The peer confirmed an instance.
    Sent(Box<Sent>),
    /// A file's instance was not stored.
    Failed(Remark),
    /// It is not known whether a file's instance was stored.
    Unknown(Remark),
    /// A file is no instance.
    Skipped(Remark),
    /// An association ended before its work was done.
    Lost {
        /// Why.
        reason: String,
    },
}

/// An instance that the peer confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The file.
    pub path: PathBuf,
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The transfer syntax it was sent in.
    pub transfer_syntax: Uid,
    /// Success, a warning, or 0111: it was there.
    pub status: Status,
    /// The peer's Error Comment.
    pub comment: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_line() {
        let report = Report {
            files: 5,
            sent: 4,
            failed: 1,
            bytes: 2_000,
            seconds: Duration::from_millis(1500),
            ..Report::default()
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"files":5,"sent":4,"already":0,"failed":1,"unknown":0,"unsent":0,"skipped":0,"warnings":0,"#,
                r#""bytes":2000,"seconds":1.5,"complete":false,"associations":0}"#
            )
        );
    }
}
