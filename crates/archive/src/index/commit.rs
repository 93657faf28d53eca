//! One transaction of the index: many instances whose files are durable in their places, put into it at once.
//!
//! A transaction that only adds is not synced: what it adds can be found again from the files, and is when the archive
//! is next opened ([`settle`]). But the files of no more than [`MAX_UNSYNCED`] instances have to be looked at then. What
//! takes something out of the index, as a replacement does, cannot be found again: it is synced before anybody is told of
//! success. What fails alone is answered alone, the others of its batch go on.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode};

use super::quota::Quota;
use super::replace::replace;
use super::settle;
use super::write;
use super::writer::{Answer, Job, Outcome, Stored};
use crate::blob::placed::PlacedBlob;
use crate::blob::{BlobNumber, Blobs};
use crate::error::{is_write_failure, status};
use crate::{Duplicates, Error, Settings};

/// Instances whose rows a power failure may take along at most.
pub(super) const MAX_UNSYNCED: usize = 1024;

/// Rows that are added or taken out between two checkpoints: some 20 MiB of write-ahead log, and 100 where each instance is
/// a study of its own, which are read back quickly after a crash. A checkpoint writes each changed page once, so a later one
/// is cheaper.
const ROWS_A_CHECKPOINT: usize = 1024;

/// The one connection that changes the index while the archive is open.
#[derive(Debug)]
pub(super) struct Committer {
    index: Connection,
    blobs: Blobs,
    duplicates: Duplicates,
    quota: Option<Quota>,
    degraded: Arc<AtomicBool>,
    /// The highest blob of before the archive was opened, as long as what a crash has left is not in the index.
    unsettled: Option<BlobNumber>,
    /// The same for others: whether there is none.
    is_settled: Arc<AtomicBool>,
    /// Blobs taken away whose rows in `doomed_blob` can go with the next commit.
    doomed: Vec<BlobNumber>,
    /// What the connection is set to.
    sync: Sync,
    /// Instances committed since a commit was synced.
    unsynced: usize,
    /// Rows changed since the last checkpoint.
    unchecked: usize,
}

/// When the write-ahead log is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// At each commit: it and all before it are durable then.
    Each,
    /// Not at a commit; what comes after a power failure is a state of before, whole in itself.
    Later,
}

/// What a batch has done so far and must undo, or tell.
struct Batch {
    sync: Sync,
    doomed: Vec<BlobNumber>,
    /// Bytes that it adds to the archive.
    added: i64,
    /// Whether it changes anything: SQLite syncs nothing for a commit of nothing.
    changes: bool,
}

/// An instance within a batch.
enum Step {
    /// It has a row now.
    Inserted(Stored),
    /// It takes something out of the index, which this batch must not.
    NeedsSync,
}

/// How a job of a batch ended, if the batch ends well.
struct Ended {
    answer: Arc<Answer>,
    /// The file, when it stays.
    blob: Option<PlacedBlob>,
    outcome: Result<Stored, Error>,
}

impl Committer {
    /// What a crash has left is still to be settled.
    pub(super) fn start(
        index: Connection,
        blobs: Blobs,
        settings: &Settings,
        highest: Option<BlobNumber>,
        degraded: Arc<AtomicBool>,
        is_settled: Arc<AtomicBool>,
    ) -> Result<Committer, Error> {
        // SQLite would tell nobody of a checkpoint of its own that failed.
        index.pragma_update(None, "wal_autocheckpoint", 0)?;
        let doomed = settle::bury_doomed(&index, &blobs)?;
        let quota = settings.quota.map(|limit| Quota::new(limit, &index)).transpose()?;
        is_settled.store(highest.is_none(), Ordering::Relaxed);
        Ok(Committer {
            index,
            blobs,
            duplicates: settings.duplicates,
            quota,
            degraded,
            unsettled: highest,
            is_settled,
            doomed,
            sync: Sync::Each,
            unsynced: 0,
            unchecked: 0,
        })
    }

    /// Puts a batch into the index and answers all of it.
    pub(super) fn take_in(&mut self, batch: Vec<Job>) {
        let is_due = self.unsynced + batch.len() > MAX_UNSYNCED;
        let deferred = self.commit_if_ready(batch, if is_due { Sync::Each } else { Sync::Later });
        if !deferred.is_empty() {
            self.commit_if_ready(deferred, Sync::Each);
        }
        if self.unchecked >= ROWS_A_CHECKPOINT {
            self.checkpoint();
        }
    }

    /// Settles what a crash has left, unless that was done. Until it is, what is in the index can be read all the same; but
    /// nothing is stored, lest it be lost sight of, nor after a sync that failed.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.degraded.load(Ordering::Relaxed) {
            return Err(Error::Degraded);
        }
        if self.unsettled.is_none() {
            return Ok(());
        }
        let Committer { index, blobs, unsettled, degraded, .. } = self;
        settle::adopt_interrupted(index, blobs, *unsettled, self.duplicates, degraded)?;
        self.doomed = settle::bury_doomed(&self.index, &self.blobs)?;
        if let Some(quota) = &mut self.quota {
            quota.count_anew(&self.index)?;
        }
        self.unsettled = None;
        self.is_settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// After a panic: nothing of a transaction that was begun counts.
    pub(super) fn abandon(&self) {
        self.degraded.store(true, Ordering::Relaxed);
        self.roll_back();
    }

    /// Writes what is in the log into the index itself. A sync that fails here is like any other.
    fn checkpoint(&mut self) {
        self.unchecked = 0;
        let outcome = self.index.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = outcome {
            let error = Error::from(error);
            tracing::error!(%error, "the log of the index cannot be written into it");
            if !matches!(error, Error::NoRoom { .. }) {
                self.degraded.store(true, Ordering::Relaxed);
            }
        }
    }

    /// As [`Committer::commit`], unless nothing may be stored: then it answers all of them with that.
    fn commit_if_ready(&mut self, jobs: Vec<Job>, sync: Sync) -> Vec<Job> {
        let Err(error) = self.settle() else { return self.commit(jobs, sync) };
        let mut failure = Some(error);
        for job in jobs {
            // The file goes first: who is told asks again.
            drop(job.blob);
            job.answer.give(Err(again(&mut failure)));
        }
        Vec::new()
    }

    /// Answers the jobs, except those that need another way of syncing, which it gives back.
    fn commit(&mut self, jobs: Vec<Job>, sync: Sync) -> Vec<Job> {
        let mut batch = Batch { sync, doomed: Vec::new(), added: 0, changes: !self.doomed.is_empty() };
        let mut all_ended = Vec::with_capacity(jobs.len());
        let mut deferred = Vec::new();
        let begun = self.begin(sync);
        for job in jobs {
            let step = match &begun {
                Ok(()) => self.store(&job, &mut batch),
                Err(_) => Err(Error::Closed),
            };
            let (blob, outcome) = match step {
                Ok(Step::NeedsSync) => {
                    deferred.push(job);
                    continue;
                }
                Ok(Step::Inserted(stored)) => (Some(job.blob), Ok(stored)),
                Err(error) => (None, Err(error)),
            };
            all_ended.push(Ended { answer: job.answer, blob, outcome });
        }
        // Whatever happens from here on: a file whose row may be there stays.
        let blobs = all_ended.iter_mut().filter_map(|ended| ended.blob.as_mut());
        blobs.for_each(|blob| blob.set_staying(true));
        let committed = begun.and_then(|()| self.end());
        if committed.is_ok() {
            let inserted = all_ended.iter().filter(|ended| ended.blob.is_some()).count();
            let is_synced = sync == Sync::Each && batch.changes;
            self.unsynced = if is_synced { 0 } else { self.unsynced + inserted };
            self.unchecked += inserted + batch.doomed.len();
            if let Some(quota) = &mut self.quota {
                quota.committed(batch.added);
            }
            self.doomed.extend(settle::bury(&self.blobs, batch.doomed));
        } else {
            self.roll_back();
        }
        self.tell(all_ended, committed.err());
        deferred
    }

    /// Answers, once it is known what became of the transaction.
    fn tell(&self, all_ended: Vec<Ended>, mut failure: Option<Error>) {
        // When it is not known whether anything of the batch is in the index, the files stay.
        let goes = failure.is_some() && !self.degraded.load(Ordering::Relaxed);
        for Ended { answer, blob, outcome } in all_ended {
            if let Some(mut blob) = blob {
                blob.set_staying(!goes);
            }
            let told = match (&failure, outcome) {
                (Some(_), Ok(_) | Err(Error::Closed)) => Err(again(&mut failure)),
                (_, outcome) => outcome,
            };
            answer.give(told);
        }
    }

    fn begin(&mut self, sync: Sync) -> Result<(), Error> {
        if self.sync != sync {
            let level = match sync {
                Sync::Each => "FULL",
                Sync::Later => "NORMAL",
            };
            self.index.pragma_update(None, "synchronous", level)?;
            self.sync = sync;
        }
        self.index.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut forget = self.index.prepare_cached("DELETE FROM doomed_blob WHERE blob = ?1")?;
        for blob in &self.doomed {
            forget.execute([blob.0 as i64])?;
        }
        Ok(())
    }

    /// One instance of a batch; undone by itself when it fails.
    fn store(&mut self, job: &Job, batch: &mut Batch) -> Result<Step, Error> {
        // SQLite undoes a whole transaction by itself when the disk is full; outside of one, the statements
        // below would each be durable alone.
        if self.index.is_autocommit() {
            return Err(Error::Closed);
        }
        self.index.prepare_cached("SAVEPOINT instance")?.execute([])?;
        match self.try_store(job, batch) {
            Ok(step) => {
                self.index.prepare_cached("RELEASE instance")?.execute([])?;
                Ok(step)
            }
            Err(error) => {
                if !self.index.is_autocommit() {
                    self.index.execute_batch("ROLLBACK TO instance; RELEASE instance")?;
                }
                Err(error)
            }
        }
    }

    fn try_store(&mut self, job: &Job, batch: &mut Batch) -> Result<Step, Error> {
        let Job { record, blob, .. } = job;
        let present = write::present(&self.index, record)?;
        if let Some(present) = &present {
            if !present.same_bytes && self.duplicates == Duplicates::Refuse {
                return Err(other_bytes());
            }
            if batch.sync == Sync::Later {
                return Ok(Step::NeedsSync);
            }
        }
        let bytes = record.file.data_set_offset + record.file.data_set_length;
        let added = bytes as i64 - present.as_ref().map_or(0, |present| present.bytes as i64);
        if let Some(quota) = &mut self.quota
            && added > 0
        {
            quota.admit(&self.index, batch.added, added as u64)?;
        }
        let (outcome, conflicts) = match &present {
            None => (Outcome::New, write::insert(&self.index, record, blob.number())?),
            Some(present) => {
                let (removed, conflicts) = replace(&self.index, record, blob.number(), present)?;
                batch.doomed.extend(removed.map(|removed| removed.blob));
                (Outcome::Replaced, conflicts)
            }
        };
        batch.added += added;
        batch.changes = true;
        Ok(Step::Inserted(Stored::new(record, outcome, conflicts)))
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.index.is_autocommit() {
            return Err(Error::NoRoom { doing: "writing the index", source: ErrorKind::StorageFull.into() });
        }
        match self.index.prepare_cached("COMMIT")?.execute([]) {
            Ok(_) => {
                self.doomed.clear();
                Ok(())
            }
            Err(error) => {
                // What could not be written is known not to be committed. Of anything else that is not known:
                // it may yet be found at the next start.
                let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
                if !is_full && !is_write_failure(&error) {
                    self.degraded.store(true, Ordering::Relaxed);
                }
                Err(error.into())
            }
        }
    }

    fn roll_back(&self) {
        if !self.index.is_autocommit()
            && let Err(error) = self.index.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rolling back the index failed");
            self.degraded.store(true, Ordering::Relaxed);
        }
    }
}

/// The refusal of an instance that is stored with other bytes.
pub(crate) fn other_bytes() -> Error {
    Error::refused(status::DUPLICATE_WITH_OTHER_BYTES, "the instance is stored already, with other bytes")
}

/// The failure of a batch, once as it is and then in words: errors of the system cannot be cloned.
fn again(failure: &mut Option<Error>) -> Error {
    let next = match failure {
        Some(Error::NoRoom { doing, source }) => Error::NoRoom { doing, source: source.kind().into() },
        Some(Error::Io { doing, source }) => Error::Io { doing, source: source.kind().into() },
        Some(Error::Index(text)) => Error::Index(text.clone()),
        Some(Error::Busy { database }) => Error::Busy { database: database.clone() },
        Some(Error::Degraded) => Error::Degraded,
        _ => Error::Closed,
    };
    failure.replace(next).unwrap_or(Error::Closed)
}
