//! The one writer of the index: takes received instances from all threads and makes many durable at once.
//!
//! For each batch, in this order: the files, synced by those who received them, are renamed into place; their
//! folders are synced; the index commits, synced; only then is anybody told of success. What fails alone is
//! answered alone, the others of its batch go on.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
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
use crate::blob::write::TemporaryBlob;
use crate::blob::{BlobNumber, Blobs, sync_folder};
use crate::error::{is_write_failure, status};
use crate::{Duplicates, Error, Settings};

/// Instances that may wait for the writer; who comes next waits with its file already on disk.
const QUEUE_LENGTH: usize = 1024;

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
    file: TemporaryBlob,
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
    /// Settles what an earlier run has left half done, and starts the thread. `highest` is the number of the
    /// last blob on disk.
    pub(crate) fn start(
        mut index: Connection,
        blobs: Blobs,
        highest: Option<BlobNumber>,
        settings: &Settings,
    ) -> Result<Writer, Error> {
        let degraded = Arc::new(AtomicBool::new(false));
        // Before anything is buried: no number is used again while it is noted as doomed.
        let next_blob = settle::next_blob(&index, highest)?;
        settle::adopt_interrupted(&mut index, &blobs, highest, settings.duplicates)?;
        let doomed = settle::bury_doomed(&index, &blobs)?;
        let quota = settings.quota.map(|limit| Quota::new(limit, &index)).transpose()?;
        let mut thread = Thread {
            index,
            blobs,
            next_blob,
            duplicates: settings.duplicates,
            quota,
            degraded: Arc::clone(&degraded),
            doomed,
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
    pub(crate) fn store(&self, record: Record, file: TemporaryBlob) -> Result<Stored, Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)?;
        let (answer, outcome) = sync_channel(1);
        queue.send(Job { record, file, answer }).map_err(|_| Error::Closed)?;
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
    next_blob: BlobNumber,
    duplicates: Duplicates,
    quota: Option<Quota>,
    degraded: Arc<AtomicBool>,
    /// Blobs taken away whose rows in `doomed_blob` can go with the next commit.
    doomed: Vec<BlobNumber>,
}

/// What a batch has done so far and must undo, or sync, or tell.
#[derive(Default)]
struct Batch {
    folders: BTreeSet<PathBuf>,
    taken: Vec<BlobNumber>,
    doomed: Vec<BlobNumber>,
    /// Bytes that it adds to the archive.
    added: i64,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>, largest: usize) {
        while let Ok(first) = jobs.recv() {
            let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(largest - 1)).collect();
            self.commit(batch);
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut batch = Batch::default();
        let mut answers = Vec::with_capacity(jobs.len());
        let begun = self.begin();
        for mut job in jobs {
            let outcome = match &begun {
                Ok(()) => self.store(&job.record, &mut job.file, &mut batch),
                Err(_) => Err(Error::Closed),
            };
            answers.push((job.answer, outcome));
        }
        let ended = begun.and_then(|()| self.end(&batch));
        if ended.is_ok() {
            if let Some(quota) = &mut self.quota {
                quota.committed(batch.added);
            }
            self.doomed.extend(settle::bury(&self.blobs, batch.doomed));
        } else {
            // Nothing of the batch is in the index. When it is not known whether it is, the files stay.
            self.roll_back();
            if !self.degraded.load(Ordering::Relaxed) {
                self.remove_blobs(&batch.taken);
            }
        }
        let mut failure = ended.err();
        for (answer, outcome) in answers {
            let told = match (&failure, outcome) {
                (Some(_), Ok(_) | Err(Error::Closed)) => Err(again(&mut failure)),
                (_, outcome) => outcome,
            };
            // Who no longer listens will ask again.
            let _ = answer.send(told);
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.index.execute_batch("BEGIN IMMEDIATE")?;
        let mut forget = self.index.prepare_cached("DELETE FROM doomed_blob WHERE blob = ?1")?;
        for blob in &self.doomed {
            forget.execute([blob.0 as i64])?;
        }
        Ok(())
    }

    /// One instance of a batch; undone by itself when it fails.
    fn store(
        &mut self,
        record: &Record,
        file: &mut TemporaryBlob,
        batch: &mut Batch,
    ) -> Result<Stored, Error> {
        // SQLite undoes a whole transaction by itself when the disk is full; outside of one, the statements
        // below would each be durable alone.
        if self.index.is_autocommit() {
            return Err(Error::Closed);
        }
        self.index.prepare_cached("SAVEPOINT instance")?.execute([])?;
        let before = batch.taken.len();
        match self.try_store(record, file, batch) {
            Ok(stored) => {
                self.index.prepare_cached("RELEASE instance")?.execute([])?;
                Ok(stored)
            }
            Err(error) => {
                if !self.index.is_autocommit() {
                    self.index.execute_batch("ROLLBACK TO instance; RELEASE instance")?;
                    let undone = batch.taken.split_off(before);
                    self.remove_blobs(&undone);
                }
                Err(error)
            }
        }
    }

    fn try_store(
        &mut self,
        record: &Record,
        file: &mut TemporaryBlob,
        batch: &mut Batch,
    ) -> Result<Stored, Error> {
        let stored = |outcome, conflicts| Stored {
            sop_instance: record.sop_instance.clone(),
            study: record.study.clone(),
            series: record.series.clone(),
            data_set_length: record.file.data_set_length,
            outcome,
            conflicts,
        };
        let mut outcome = Outcome::New;
        let mut doomed = None;
        if let Some(present) = write::present(&self.index, record)? {
            if present.same_bytes {
                return Ok(stored(Outcome::AlreadyThere, Conflicts::default()));
            }
            if self.duplicates == Duplicates::Refuse {
                return Err(Error::refused(
                    status::DUPLICATE_WITH_OTHER_BYTES,
                    "the instance is stored already, with other bytes",
                ));
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
        let blob = self.next_blob;
        self.next_blob = BlobNumber(blob.0 + 1);
        let folder = self
            .blobs
            .take_in(file.path(), blob)
            .map_err(|error| Error::io("renaming an instance", error))?;
        file.taken();
        batch.taken.push(blob);
        let conflicts = write::insert(&self.index, record, blob)?;
        batch.folders.insert(folder);
        batch.doomed.extend(doomed.map(|doomed| doomed.blob));
        batch.added += added;
        Ok(stored(outcome, conflicts))
    }

    fn end(&mut self, batch: &Batch) -> Result<(), Error> {
        if self.index.is_autocommit() {
            return Err(Error::NoRoom { doing: "writing the index", source: ErrorKind::StorageFull.into() });
        }
        for folder in &batch.folders {
            self.sync(folder)?;
        }
        match self.index.execute_batch("COMMIT") {
            Ok(()) => {
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

    fn sync(&self, folder: &Path) -> Result<(), Error> {
        sync_folder(folder).map_err(|error| {
            let error = Error::io("syncing a folder", error);
            if !matches!(error, Error::NoRoom { .. }) {
                self.degraded.store(true, Ordering::Relaxed);
            }
            error
        })
    }

    fn roll_back(&self) {
        if !self.index.is_autocommit()
            && let Err(error) = self.index.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rolling back the index failed");
            self.degraded.store(true, Ordering::Relaxed);
        }
    }

    fn remove_blobs(&self, blobs: &[BlobNumber]) {
        for &blob in blobs {
            if let Err(error) = self.blobs.remove(blob) {
                tracing::warn!(blob = blob.0, %error, "a file that no instance needs could not be removed");
            }
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
