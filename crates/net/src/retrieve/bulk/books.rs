//! The books of a bulk retrieve: which lines are in work and what became of their studies. What is settled goes into the
//! state and the report, and out of memory.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::list::Line;
use super::report::{BulkEvent, Outcome, Record, ReportFile, Summary};
use super::state::{Digest, State, StudyProof};
use crate::retrieve::inventory::Study;
use crate::retrieve::verify::StudyOutcome;

/// See the module.
pub(super) struct Books {
    pub(super) summary: Summary,
    state: State,
    report: ReportFile,
    in_work: HashMap<u64, InWork>,
    /// Lines of this run, so that one that stands there twice is done once.
    seen: HashSet<Digest>,
    events: mpsc::UnboundedSender<BulkEvent>,
    /// The books could not be kept: nothing more can be done then.
    error: Option<io::Error>,
}

/// A line whose studies are not all settled.
struct InWork {
    digest: Digest,
    keys: Map<String, Value>,
    studies_left: usize,
    /// None when something of it is not here, or not provable.
    proofs: Option<Vec<StudyProof>>,
    is_complete: bool,
    /// Whether there was a record about it.
    is_recorded: bool,
}

/// What came of a study: bytes, and how long it took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    pub(super) bytes: u64,
    pub(super) seconds: Duration,
}

impl Books {
    pub(super) fn new(state: State, report: ReportFile, events: mpsc::UnboundedSender<BulkEvent>) -> Books {
        Books {
            summary: Summary::default(),
            state,
            report,
            in_work: HashMap::new(),
            seen: HashSet::new(),
            events,
            error: None,
        }
    }

    /// Whether a line is to be worked off. One that is not is settled by that: it stood here before, or an earlier run
    /// completed it, unless it is to be asked for `again`.
    pub(super) fn takes(&mut self, line: &Line, digest: Digest, again: bool) -> bool {
        if !self.seen.insert(digest) {
            self.settle_whole(line, Outcome::Repeated, None);
        } else if !again && self.state.is_complete(&digest) {
            self.settle_whole(line, Outcome::Before, None);
        } else {
            return true;
        }
        false
    }

    /// A line for which there is nothing, or that could not be worked off.
    pub(super) fn close(&mut self, line: &Line, digest: &Digest, outcome: Outcome, reason: Option<String>) {
        if outcome == Outcome::Failed {
            self.summary.incomplete += 1;
        }
        self.note(digest, None);
        self.settle_whole(line, outcome, reason);
    }

    fn settle_whole(&mut self, line: &Line, outcome: Outcome, reason: Option<String>) {
        self.write(Record::of_line(line.number, line.keys.clone(), outcome, reason));
        self.settled();
    }

    /// A line with studies, which are settled one by one; `reason` is why there are more that nobody can ask for.
    pub(super) fn open(&mut self, line: Line, digest: Digest, studies: usize, reason: Option<String>) {
        let (number, is_complete) = (line.number, reason.is_none());
        if let Some(reason) = reason {
            self.write(Record::of_line(line.number, line.keys.clone(), Outcome::Failed, Some(reason)));
        }
        let proofs = is_complete.then(Vec::new);
        let is_recorded = !is_complete;
        let line =
            InWork { digest, keys: line.keys, studies_left: studies, proofs, is_complete, is_recorded };
        self.in_work.insert(number, line);
        self.settle_when_done(number);
    }

    /// A study of a line that keys below study level leave nothing of.
    pub(super) fn drop_study(&mut self, number: u64) {
        if let Some(line) = self.in_work.get_mut(&number) {
            line.studies_left -= 1;
        }
        self.settle_when_done(number);
    }

    /// What became of a study of a line.
    pub(super) fn settle(&mut self, number: u64, study: &Study, outcome: StudyOutcome, came: Came) {
        let Some(line) = self.in_work.get_mut(&number) else { return };
        line.studies_left -= 1;
        line.is_recorded = true;
        line.is_complete &= outcome.complete;
        let proof = if outcome.complete { self.state.prove(study) } else { None };
        match (&mut line.proofs, proof) {
            (Some(proofs), Some(proof)) => proofs.push(proof),
            (proofs, _) => *proofs = None,
        }
        let record = Record::of_study(
            number,
            line.keys.clone(),
            study.uid.to_string(),
            outcome,
            (came.bytes, came.seconds),
        );
        self.write(record);
        self.settle_when_done(number);
    }

    fn settle_when_done(&mut self, number: u64) {
        if self.in_work.get(&number).is_none_or(|line| line.studies_left > 0) {
            return;
        }
        let Some(line) = self.in_work.remove(&number) else { return };
        if !line.is_recorded {
            self.write(Record::of_line(number, line.keys, Outcome::Nothing, None));
        }
        self.summary.incomplete += u64::from(!line.is_complete);
        self.note(&line.digest, line.proofs.filter(|proofs| !proofs.is_empty()));
        self.settled();
    }

    fn note(&mut self, digest: &Digest, proofs: Option<Vec<StudyProof>>) {
        let noted = self.state.note(digest, proofs);
        self.keep(noted);
    }

    fn write(&mut self, record: Record) {
        self.summary.add(&record);
        let written = self.report.write(&record);
        self.keep(written);
        self.tell(BulkEvent::Recorded(Box::new(record)));
    }

    fn settled(&mut self) {
        self.summary.lines += 1;
        self.tell(BulkEvent::Settled { lines: self.summary.lines });
    }

    fn keep(&mut self, kept: io::Result<()>) {
        if let Err(error) = kept {
            self.error.get_or_insert(error);
        }
    }

    /// Why the books cannot be kept, if so.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    pub(super) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    pub(super) fn tell(&self, event: BulkEvent) {
        // Nobody listens any more: the retrieve goes on all the same.
        let _ = self.events.send(event);
    }
}
