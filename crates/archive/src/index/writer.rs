//! The way into the index: instances whose files are durable in their places, from all threads.
//!
//! Nobody waits for another thread to do its work: who comes first commits for all that wait by then
//! ([`commit`](super::commit)), so that many share a transaction when many come, and one alone is handed to nobody.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dicomet_proto::Uid;
use rusqlite::Connection;

use super::commit::Committer;
use super::record::Record;
use super::write::Conflicts;
use crate::blob::placed::PlacedBlob;
use crate::blob::{BlobNumber, Blobs};
use crate::{Error, Settings};

/// Who reads does not try to settle what a crash has left more often than this: each try reads what is not indexed.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What became of a received instance; it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// Bytes of the data set.
    pub data_set_length: u64,
    /// Values of odd length in it, against PS3.5 7.1; kept as they are.
    pub odd_lengths: u64,
    /// Zeros after its last element; kept as well.
    pub trailing_zeros: u64,
    /// Whether it was written.
    pub outcome: Outcome,
    /// What does not agree with what was there before.
    pub conflicts: Conflicts,
}

impl Stored {
    pub(crate) fn new(record: &Record, outcome: Outcome, conflicts: Conflicts) -> Stored {
        Stored {
            sop_instance: record.sop_instance.clone(),
            study: record.study.clone(),
            series: record.series.clone(),
            data_set_length: record.file.data_set_length,
            odd_lengths: record.odd_lengths,
            trailing_zeros: record.trailing_zeros,
            outcome,
            conflicts,
        }
    }
}

/// Whether an instance was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    New,
    /// It was there, byte for byte; nothing was written.
    AlreadyThere,
    /// It took the place of one with other bytes.
    Replaced,
}

/// A received instance on its way into the index.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: Record,
    pub(super) blob: PlacedBlob,
    pub(super) answer: Arc<Answer>,
}

/// Where the outcome of a job is put.
#[derive(Debug, Default)]
pub(super) struct Answer(Mutex<Option<Result<Stored, Error>>>);

impl Answer {
    pub(super) fn give(&self, outcome: Result<Stored, Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn take(&self) -> Option<Result<Stored, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The queue of those who want to be in the index, and the one connection that puts them there.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Mutex<VecDeque<Job>>,
    committer: Mutex<Committer>,
    degraded: Arc<AtomicBool>,
    /// Whether all that a crash has left is in the index.
    is_settled: Arc<AtomicBool>,
    /// When that was last tried.
    settling: Mutex<Option<Instant>>,
    largest: usize,
}

impl Writer {
    /// Takes away what was doomed before; what a crash has left is to be settled. `highest` is the highest blob on disk.
    pub(crate) fn start(
        index: Connection,
        blobs: Blobs,
        settings: &Settings,
        highest: Option<BlobNumber>,
    ) -> Result<Writer, Error> {
        let (degraded, is_settled) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let committer = Committer::start(
            index,
            blobs,
            settings,
            highest,
            Arc::clone(&degraded),
            Arc::clone(&is_settled),
        )?;
        Ok(Writer {
            queue: Mutex::default(),
            committer: Mutex::new(committer),
            degraded,
            is_settled,
            settling: Mutex::default(),
            largest: settings.largest_commit.max(1),
        })
    }

    /// Puts an instance into the index; it is durable then, or refused.
    pub(crate) fn store(&self, record: Record, blob: PlacedBlob) -> Result<Stored, Error> {
        let answer = Arc::new(Answer::default());
        self.queue().push_back(Job { record, blob, answer: Arc::clone(&answer) });
        let mut committer = self.committer();
        loop {
            if let Some(outcome) = answer.take() {
                return outcome;
            }
            let batch: Vec<Job> = {
                let mut queue = self.queue();
                let length = queue.len().min(self.largest);
                queue.drain(..length).collect()
            };
            // Who took ours along did not come to its end.
            if batch.is_empty() {
                return Err(Error::Closed);
            }
            committer.take_in(batch);
        }
    }

    /// Settles what a crash has left, unless that was done.
    ///
    /// # Errors
    /// [`Error::IndexBehind`], [`Error::Degraded`], or what else is in its way; it can be tried again.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.committer().settle()
    }

    /// Tries that again if it is time to; whether it is done. For who is about to read.
    pub(crate) fn settle_if_due(&self) -> bool {
        if self.is_settled.load(Ordering::Relaxed) {
            return true;
        }
        let mut tried = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.is_none_or(|tried| tried.elapsed() >= BETWEEN_TRIES) {
            let outcome = self.settle();
            *tried = Some(Instant::now());
            if let Err(error) = outcome {
                tracing::warn!(%error, "instances that were being stored when the archive stopped are not indexed yet");
            }
        }
        self.is_settled.load(Ordering::Relaxed)
    }

    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(|poisoned| {
            // Whoever held it panicked: what it has left behind is not to be built upon.
            let committer = poisoned.into_inner();
            committer.abandon();
            committer
        })
    }

    /// Whether a sync has failed: then nothing more is taken (a second sync that succeeds proves nothing).
    pub(crate) fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    pub(crate) fn degrade(&self) {
        self.degraded.store(true, Ordering::Relaxed);
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
