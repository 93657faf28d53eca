//! The one writer of the index: takes instances whose files are durable in their places from all threads, and puts
//! many into the index at once.
//!
//! A transaction that only adds is not synced: what it adds can be found again from the files, and is when the archive
//! is next opened ([`settle`]). But the files of no more than [`MAX_UNSYNCED`] instances have to be looked at then. What
//! takes something out of the index, as a replacement does, cannot be found again: it is synced before anybody is told of
//! success. What fails alone is answered alone, the others of its batch go on.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dicomet_proto::Uid;
use rusqlite::{Connection, ErrorCode};

use super::quota::Quota;
use super::record::Record;
use super::remove::remove;
use super::settle;
use super::write::{self, Conflicts};
use crate::blob::write::PlacedBlob;
use crate::blob::{BlobNumber, Blobs};
use crate::error::{is_write_failure, status};
use crate::{Duplicates, Error, Settings};

/// Instances that may wait for the writer; who comes next waits with its file already on disk.
const QUEUE_LENGTH: usize = 1024;

/// Instances whose rows a power failure may take along at most.
pub(super) const MAX_UNSYNCED: usize = 1024;

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

/// A received instance on its way into the archive.
struct Job {
    record: Record,
    blob: PlacedBlob,
    answer: SyncSender<Result<Stored, Error>>,
}

/// The way to the writer's thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    degraded: Arc<AtomicBool>,
}

impl Writer {
    /// Takes away what an earlier run has doomed, and starts the thread.
    pub(crate) fn start(index: Connection, blobs: Blobs, settings: &Settings) -> Result<Writer, Error> {
        let degraded = Arc::new(AtomicBool::new(false));
        let doomed = settle::bury_doomed(&index, &blobs)?;
        let quota = settings.quota.map(|limit| Quota::new(limit, &index)).transpose()?;
        let mut thread = Thread {
            index,
            blobs,
            duplicates: settings.duplicates,
            quota,
            degraded: Arc::clone(&degraded),
            doomed,
            sync: Sync::Each,
            unsynced: 0,
        };
        let (queue, jobs) = sync_channel(QUEUE_LENGTH);
        let largest = settings.largest_commit.max(1);
        let handle = std::thread::Builder::new()
            .name("archive-writer".to_owned())
            .spawn(move || thread.run(&jobs, largest))
            .map_err(|error| Error::io("starting the writer's thread", error))?;
        Ok(Writer { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(handle)), degraded })
    }

    /// Hands an instance to the writer and waits until it is durable or refused.
    pub(crate) fn store(&self, record: Record, blob: PlacedBlob) -> Result<Stored, Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)?;
        let (answer, outcome) = sync_channel(1);
        queue.send(Job { record, blob, answer }).map_err(|_| Error::Closed)?;
        drop(queue);
        outcome.recv().map_err(|_| Error::Closed)?
    }

    /// Whether a sync has failed: then nothing more is taken (a second sync that succeeds proves nothing).
    pub(crate) fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    pub(crate) fn degrade(&self) {
        self.degraded.store(true, Ordering::Relaxed);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It ends when the queue is empty; if it panicked, those who waited were told that it is closed.
            let _ = thread.join();
        }
    }
}

struct Thread {
    index: Connection,
    blobs: Blobs,
    duplicates: Duplicates,
    quota: Option<Quota>,
    degraded: Arc<AtomicBool>,
    /// Blobs taken away whose rows in `doomed_blob` can go with the next commit.
    doomed: Vec<BlobNumber>,
    /// What the connection is set to.
    sync: Sync,
    /// Instances committed since a commit was synced.
    unsynced: usize,
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
}

/// An instance within a batch.
enum Step {
    /// It has a row now.
    Inserted(Stored),
    /// It is there already.
    Known(Stored),
    /// It takes something out of the index, which this batch must not.
    NeedsSync,
}

/// How a job of a batch ended, if the batch ends well.
struct Ended {
    answer: SyncSender<Result<Stored, Error>>,
    /// The file, when it stays.
    blob: Option<PlacedBlob>,
    outcome: Result<Stored, Error>,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>, largest: usize) {
        while let Ok(first) = jobs.recv() {
            let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(largest - 1)).collect();
            let is_due = self.unsynced + batch.len() > MAX_UNSYNCED;
            let deferred = self.commit(batch, if is_due { Sync::Each } else { Sync::Later });
            if !deferred.is_empty() {
                self.commit(deferred, Sync::Each);
            }
        }
    }

    /// Answers the jobs, except those that need another way of syncing, which it gives back.
    fn commit(&mut self, jobs: Vec<Job>, sync: Sync) -> Vec<Job> {
        let mut batch = Batch { sync, doomed: Vec::new(), added: 0 };
        let mut all_ended = Vec::with_capacity(jobs.len());
        let mut deferred = Vec::new();
        let begun = self.begin(sync);
        for job in jobs {
            let step = match &begun {
                Ok(()) => self.store(&job.record, job.blob.number(), &mut batch),
                Err(_) => Err(Error::Closed),
            };
            let (blob, outcome) = match step {
                Ok(Step::NeedsSync) => {
                    deferred.push(job);
                    continue;
                }
                Ok(Step::Inserted(stored)) => (Some(job.blob), Ok(stored)),
                Ok(Step::Known(stored)) => (None, Ok(stored)),
                Err(error) => (None, Err(error)),
            };
            all_ended.push(Ended { answer: job.answer, blob, outcome });
        }
        let committed = begun.and_then(|()| self.end());
        if committed.is_ok() {
            let inserted = all_ended.iter().filter(|ended| ended.blob.is_some()).count();
            self.unsynced = if sync == Sync::Each { 0 } else { self.unsynced + inserted };
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
        let stays = failure.is_none() || self.degraded.load(Ordering::Relaxed);
        for Ended { answer, blob, outcome } in all_ended {
            if let Some(blob) = blob
                && stays
            {
                blob.keep();
            }
            let told = match (&failure, outcome) {
                (Some(_), Ok(_) | Err(Error::Closed)) => Err(again(&mut failure)),
                (_, outcome) => outcome,
            };
            // Who no longer listens will ask again.
            let _ = answer.send(told);
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
    fn store(&mut self, record: &Record, blob: BlobNumber, batch: &mut Batch) -> Result<Step, Error> {
        // SQLite undoes a whole transaction by itself when the disk is full; outside of one, the statements
        // below would each be durable alone.
        if self.index.is_autocommit() {
            return Err(Error::Closed);
        }
        self.index.prepare_cached("SAVEPOINT instance")?.execute([])?;
        match self.try_store(record, blob, batch) {
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

    fn try_store(&mut self, record: &Record, blob: BlobNumber, batch: &mut Batch) -> Result<Step, Error> {
        let stored = |outcome, conflicts| Stored {
            sop_instance: record.sop_instance.clone(),
            study: record.study.clone(),
            series: record.series.clone(),
            data_set_length: record.file.data_set_length,
            odd_lengths: record.odd_lengths,
            trailing_zeros: record.trailing_zeros,
            outcome,
            conflicts,
        };
        let mut outcome = Outcome::New;
        let mut doomed = None;
        if let Some(present) = write::present(&self.index, record)? {
            if present.same_bytes {
                return Ok(Step::Known(stored(Outcome::AlreadyThere, Conflicts::default())));
            }
            if self.duplicates == Duplicates::Refuse {
                return Err(Error::refused(
                    status::DUPLICATE_WITH_OTHER_BYTES,
                    "the instance is stored already, with other bytes",
                ));
            }
            if batch.sync == Sync::Later {
                return Ok(Step::NeedsSync);
            }
            doomed = remove(&self.index, &[present.id])?.pop();
            outcome = Outcome::Replaced;
        }
        let bytes = record.file.data_set_offset + record.file.data_set_length;
        let added = bytes as i64 - doomed.as_ref().map_or(0, |doomed| doomed.bytes as i64);
        if let Some(quota) = &mut self.quota
            && added > 0
        {
            quota.admit(&self.index, batch.added, added as u64)?;
        }
        let conflicts = write::insert(&self.index, record, blob)?;
        batch.doomed.extend(doomed.map(|doomed| doomed.blob));
        batch.added += added;
        Ok(Step::Inserted(stored(outcome, conflicts)))
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

/// The failure of a batch, once as it is and then in words: errors of the system cannot be cloned.
fn again(failure: &mut Option<Error>) -> Error {
    let next = match failure {
        Some(Error::NoRoom { doing, source }) => Error::NoRoom { doing, source: source.kind().into() },
        Some(Error::Io { doing, source }) => Error::Io { doing, source: source.kind().into() },
        Some(Error::Index(text)) => Error::Index(text.clone()),
        _ => Error::Closed,
    };
    failure.replace(next).unwrap_or(Error::Closed)
}
