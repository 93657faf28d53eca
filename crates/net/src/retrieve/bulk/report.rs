//! What a bulk retrieve tells: a record for each study and for each line without one, a summary at the end, and events
//! while it runs.
//!
//! Of the patient a record has the keys of the line as they stand in the list, and nothing that a peer answered but
//! UIDs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::retrieve::report::{Event, milliseconds};
use crate::retrieve::verify::StudyOutcome;

/// What became of a study, or of a line without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every instance is here.
    Complete,
    /// Some are.
    Partial,
    /// None is.
    Failed,
    /// Nothing on the peer matches the line.
    Nothing,
    /// An earlier run completed the line, and its files are here; the peer was not asked.
    Before,
    /// The line stands in the list a second time.
    Repeated,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The line of the list, from 1.
    pub line: u64,
    /// Its keys, as they stand there.
    pub keys: Map<String, Value>,
    /// Study Instance UID; none for a line as a whole.
    pub study: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Instances that C-FIND named or counted.
    pub expected: u64,
    /// Those that came in this run.
    pub retrieved: u64,
    /// Those that were here before.
    pub present: u64,
    /// Those that did not come, for a reason that is known.
    pub failed: u64,
    /// Those that did not come, and nobody said why.
    pub missing: u64,
    /// Bytes of the data sets that came.
    pub bytes: u64,
    /// From when it was its turn until its last instance came.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: Duration,
    /// Why something is not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Why instances are not here, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// In words.
    pub reason: String,
    /// SOP Instance UIDs; none where it holds for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sop_instances: Vec<String>,
}

impl Record {
    /// Of a line as a whole.
    pub(super) fn of_line(
        line: u64,
        keys: Map<String, Value>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Record {
        let reasons = reason.map(|reason| Reason { reason, sop_instances: Vec::new() });
        Record {
            line,
            keys,
            study: None,
            outcome,
            expected: 0,
            retrieved: 0,
            present: 0,
            failed: 0,
            missing: 0,
            bytes: 0,
            seconds: Duration::ZERO,
            reasons: reasons.into_iter().collect(),
        }
    }

    /// Of a study.
    pub(super) fn of_study(
        line: u64,
        keys: Map<String, Value>,
        study: String,
        outcome: StudyOutcome,
        (bytes, seconds): (u64, Duration),
    ) -> Record {
        let here = outcome.retrieved + outcome.present;
        Record {
            line,
            keys,
            study: Some(study),
            outcome: match (outcome.complete, here) {
                (true, _) => Outcome::Complete,
                (false, 0) => Outcome::Failed,
                (false, _) => Outcome::Partial,
            },
            expected: outcome.expected,
            retrieved: outcome.retrieved,
            present: outcome.present,
            failed: outcome.failed,
            missing: outcome.missing,
            bytes,
            seconds,
            reasons: outcome
                .reasons
                .into_iter()
                .map(|(reason, uids)| Reason {
                    reason,
                    sop_instances: uids.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        }
    }
}

/// The end of a bulk retrieve, in numbers. Serialises to the one line of `get --from --format json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    /// Lines of the list that were worked off or passed over.
    pub lines: u64,
    /// Lines in the list that it did not come to.
    pub left: u64,
    /// Lines that an earlier run completed.
    pub before: u64,
    /// Lines for which the peer has nothing.
    pub nothing: u64,
    /// Lines that could not be worked off, or of which something is not here.
    pub incomplete: u64,
    /// Studies that were looked into.
    pub studies: u64,
    /// Their instances.
    pub expected: u64,
    /// Those that came in this run.
    pub retrieved: u64,
    /// Those that were here before.
    pub present: u64,
    /// Those that did not come, for a reason that is known.
    pub failed: u64,
    /// Those that did not come, and nobody said why.
    pub missing: u64,
    /// Bytes of the data sets that came.
    pub bytes: u64,
    /// How long it took.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: Duration,
    /// Whether all that the list asks for is here: every line was done, found something, and is complete.
    pub complete: bool,
    /// Associations that were opened to get.
    pub associations: u64,
    /// Why it ended before all lines were done, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

impl Summary {
    /// Whether anything that the list asks for is here.
    pub fn is_anything_here(&self) -> bool {
        self.before + self.retrieved + self.present > 0
    }

    pub(super) fn add(&mut self, record: &Record) {
        match record.study {
            Some(_) => self.studies += 1,
            None if record.outcome == Outcome::Before => self.before += 1,
            None if record.outcome == Outcome::Nothing => self.nothing += 1,
            None => {}
        }
        self.expected += record.expected;
        self.retrieved += record.retrieved;
        self.present += record.present;
        self.failed += record.failed;
        self.missing += record.missing;
        self.bytes += record.bytes;
    }
}

/// What happens while a bulk retrieve runs.
#[derive(Debug, Clone, PartialEq)]
pub enum BulkEvent {
    /// The list has so many lines.
    Begun {
        /// How many.
        lines: u64,
    },
    /// A line of the report was written.
    Recorded(Box<Record>),
    /// A line of the list is settled.
    Settled {
        /// How many are, with this one.
        lines: u64,
    },
    /// So much is got next.
    Getting {
        /// Studies.
        studies: u64,
        /// Instances that are not here yet.
        instances: u64,
    },
    /// What the retrieve tells.
    Retrieve(Event),
    /// It is outside the hours.
    Waiting {
        /// When they begin, by the local time.
        until: Option<NaiveDateTime>,
    },
    /// The peer cannot be reached; it is tried again.
    Away {
        /// What happened.
        reason: String,
        /// When.
        again_in: Duration,
    },
    /// The peer can be reached again.
    Back,
}

/// The report of this run; an earlier one is replaced.
#[derive(Debug)]
pub(super) struct ReportFile(File);

impl ReportFile {
    pub(super) fn create(path: &Path) -> io::Result<ReportFile> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::create(path).map(ReportFile)
    }

    /// One write, so that a cut leaves whole lines but for the last.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
