//! What a crash leaves half done, brought to its end when the archive is opened: blobs that are doomed go, and
//! blobs in their places whose rows are missing are put into the index.
//!
//! Such a row had not been committed, and nobody was told that the instance is stored; or the commit had not reached the
//! disk when the power failed, and somebody was. So each is taken in as its store would have ended, if its seal
//! proves that it is whole. One that was cut had been told to nobody, and goes.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::commit::MAX_UNSYNCED;
use super::record::Record;
use super::remove::doom;
use super::replace::replace;
use super::write::{self, Present};
use crate::blob::numbers::SPREAD;
use crate::blob::{BlobNumber, Blobs, sync};
use crate::reread::{Unreadable, reread};
use crate::{Duplicates, Error};

/// Files without a row that are looked at: more than a crash leaves, which is what had not been synced and what was in
/// use. If there are more, the index is older than the blobs.
const MAX_INTERRUPTED: usize = 4 * SPREAD as usize;
const _: () = assert!(MAX_INTERRUPTED >= MAX_UNSYNCED + SPREAD as usize);

/// Instances put into the index in one transaction.
const PAGE: usize = 256;

/// The number after all that were ever used and may still be meant by somebody.
pub(crate) fn next_blob(
    index: &Connection,
    highest_on_disk: Option<BlobNumber>,
) -> Result<BlobNumber, Error> {
    // None is below all numbers.
    let doomed: i64 = index.query_row("SELECT blob FROM highest_doomed", [], |row| row.get(0))?;
    let doomed = u64::try_from(doomed).ok().map(BlobNumber);
    let highest = highest_on_disk.max(last_rows(index)?.last().copied()).max(doomed);
    Ok(BlobNumber(highest.map_or(0, |highest| highest.0 + 1)))
}

/// The blobs of the last rows: among them are the highest that has a row, and all that have one and are less than
/// [`SPREAD`] below it, but for those that replaced others. For a row that comes later is at most so much lower.
fn last_rows(index: &Connection) -> Result<BTreeSet<BlobNumber>, Error> {
    let mut last = index.prepare(
        "SELECT blob FROM (SELECT blob FROM instance ORDER BY id DESC LIMIT ?1)
         UNION ALL SELECT * FROM (SELECT blob FROM moved_blob ORDER BY blob DESC LIMIT 1)",
    )?;
    let blobs = last.query_map([3 * SPREAD as i64], |row| Ok(BlobNumber(row.get::<_, i64>(0)? as u64)))?;
    Ok(blobs.collect::<Result<_, _>>()?)
}

/// Takes away what an earlier run had doomed and not taken away; answers what is gone.
pub(crate) fn bury_doomed(index: &Connection, blobs: &Blobs) -> Result<Vec<BlobNumber>, Error> {
    let doomed: Vec<BlobNumber> = index
        .prepare("SELECT blob FROM doomed_blob")?
        .query_map([], |row| Ok(BlobNumber(row.get::<_, i64>(0)? as u64)))?
        .collect::<Result<_, _>>()?;
    Ok(bury(blobs, doomed))
}

/// Takes away blobs that no instance needs, durably; answers those that are gone. Whose note is forgotten before that
/// could come back with the power, and be taken for an instance.
pub(crate) fn bury(blobs: &Blobs, mut doomed: Vec<BlobNumber>) -> Vec<BlobNumber> {
    let warn = |blob: BlobNumber, error| {
        tracing::warn!(blob = blob.0, %error, "a file that no instance needs could not be removed; it will be tried again");
    };
    doomed.retain(|&blob| blobs.remove(blob).map_err(|error| warn(blob, error)).is_ok());
    let mut synced = None;
    doomed.retain(|&blob| {
        if synced == Some(blob.folder()) {
            return true;
        }
        let outcome = blobs.sync_folder_of(blob).map_err(|error| warn(blob, error));
        synced = outcome.is_ok().then(|| blob.folder());
        outcome.is_ok()
    });
    doomed
}

/// Puts instances into the index that lie in their places and have no row. A file that is no instance stays where it
/// is, for `check` to name.
///
/// # Errors
/// [`Error::IndexBehind`], when there are too many. Else when the disk is full, or does not do as it is told: what was done
/// counts, and the rest can be tried again.
pub(crate) fn adopt_interrupted(
    index: &mut Connection,
    blobs: &Blobs,
    highest: Option<BlobNumber>,
    duplicates: Duplicates,
    degraded: &AtomicBool,
) -> Result<(), Error> {
    let without_row = without_row(index, blobs, highest)?;
    let mut adopted = 0;
    for page in without_row.chunks(PAGE) {
        let mut records = Vec::with_capacity(page.len());
        for &blob in page {
            records.extend(read(blobs, blob)?.map(|record| (blob, record)));
        }
        for (blob, _) in &records {
            make_durable(blobs, *blob, degraded)?;
        }
        adopted += adopt(index, blobs, &records, duplicates)?;
    }
    if adopted > 0 {
        tracing::info!(adopted, "instances that were being stored when the archive stopped are kept");
    }
    Ok(())
}

/// The files behind the last rows, or between them, that have none, neither there nor elsewhere, and are not doomed.
fn without_row(
    index: &Connection,
    blobs: &Blobs,
    highest: Option<BlobNumber>,
) -> Result<Vec<BlobNumber>, Error> {
    let Some(highest) = highest else { return Ok(Vec::new()) };
    let rows = last_rows(index)?;
    let first = BlobNumber(rows.last().map_or(0, |last| last.0.saturating_sub(SPREAD)));
    let mut is_known = index.prepare(
        "SELECT EXISTS (SELECT 1 FROM doomed_blob WHERE blob = ?1)
             OR EXISTS (SELECT 1 FROM moved_blob WHERE blob = ?1)",
    )?;
    let mut without_row = Vec::new();
    for folder in blobs.folders_down(highest, first) {
        let in_folder = folder.map_err(|error| Error::io("looking through the blobs", error))?;
        for blob in in_folder.into_iter().rev().filter(|blob| *blob >= first && !rows.contains(blob)) {
            if !is_known.query_row([blob.0 as i64], |row| row.get::<_, bool>(0))? {
                without_row.push(blob);
            }
        }
        if without_row.len() > MAX_INTERRUPTED {
            return Err(Error::IndexBehind);
        }
    }
    without_row.reverse();
    Ok(without_row)
}

/// Syncs a file without a row. After a sync that failed nothing is to be stored: a second that succeeds says nothing about the
/// bytes of the first.
fn make_durable(blobs: &Blobs, blob: BlobNumber, degraded: &AtomicBool) -> Result<(), Error> {
    sync(&blobs.path(blob)).map_err(|error| {
        let error = Error::io("syncing an instance", error);
        if !matches!(error, Error::NoRoom { .. }) {
            degraded.store(true, Ordering::Relaxed);
        }
        error
    })
}

/// Reads a file without a row. One that was cut goes: it had not been synced, and so nobody was told of it; and so does
/// one that was made ahead.
fn read(blobs: &Blobs, blob: BlobNumber) -> Result<Option<Record>, Error> {
    let path = blobs.path(blob);
    match reread(&path) {
        Ok(record) => return Ok(Some(record)),
        // Removed by the last try.
        Err(Unreadable::Io(error)) if error.kind() == ErrorKind::NotFound => {}
        Err(Unreadable::Io(error)) => match Error::io("reading what was being stored", error) {
            // Of handles, for one: it heals.
            no_room @ Error::NoRoom { .. } => return Err(no_room),
            error => tracing::error!(blob = blob.0, %error, "a file that is in no index cannot be read"),
        },
        Err(Unreadable::Cut) => {
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
                tracing::info!(
                    blob = blob.0,
                    "what was being stored when the power failed is not whole, and goes"
                );
            }
            if let Err(error) = blobs.remove(blob) {
                tracing::warn!(blob = blob.0, %error, "a file that is not whole could not be removed");
            }
        }
        Err(error) => tracing::warn!(blob = blob.0, %error, "a file is in no index and no instance"),
    }
    Ok(None)
}

fn adopt(
    index: &mut Connection,
    blobs: &Blobs,
    records: &[(BlobNumber, Record)],
    duplicates: Duplicates,
) -> Result<usize, Error> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut adopted = 0;
    for (blob, record) in records {
        adopted += usize::from(adopt_one(&transaction, blobs, *blob, record, duplicates)?);
    }
    transaction.commit()?;
    Ok(adopted)
}

/// As its store would have ended; whether it is in the index now.
fn adopt_one(
    index: &Transaction<'_>,
    blobs: &Blobs,
    blob: BlobNumber,
    record: &Record,
    duplicates: Duplicates,
) -> Result<bool, Error> {
    match write::present(index, record)? {
        None => {}
        // What came later has the higher number.
        Some(present) if !present.same_bytes && duplicates == Duplicates::Replace && present.blob < blob => {
            replace(index, record, blob, &present)?;
            return Ok(true);
        }
        // A second copy, or what was to be refused; the first is whole.
        Some(present) if is_whole(index, blobs, record, &present)? => {
            doom(index, blob)?;
            return Ok(false);
        }
        Some(_) => {
            tracing::warn!(blob = blob.0, "a file is in no index, and its instance is stored already");
            return Ok(false);
        }
    }
    write::insert(index, record, blob)?;
    Ok(true)
}

/// Whether the file of an instance that has a row can be read, and is what it was.
fn is_whole(index: &Connection, blobs: &Blobs, record: &Record, present: &Present) -> Result<bool, Error> {
    let sql = "SELECT data_set_digest FROM instance WHERE id = ?1";
    let digest: [u8; 32] = index.query_row(sql, [present.id], |row| row.get(0))?;
    let first = reread(&blobs.path(present.blob));
    Ok(first
        .is_ok_and(|first| first.sop_instance == record.sop_instance && first.file.data_set_digest == digest))
}
