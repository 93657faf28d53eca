//! What a crash leaves half done, brought to its end when the archive is opened: blobs that are doomed go, and
//! instances that had been renamed into place when the index had not yet committed are put into it. Nobody was
//! told that those are stored; but they are whole, and now wholly there.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::record::Record;
use super::remove::remove;
use super::write;
use crate::blob::{BlobNumber, Blobs, sync_folder};
use crate::reread::reread;
use crate::{Duplicates, Error};

/// How far below the highest number instances without a row are looked for; more than one commit has. If there
/// are others, the index is older than the blobs, and `check` names them.
const MAX_INTERRUPTED: u64 = 1024;

/// The number after all that were ever used and may still be meant by somebody. Numbers rise with the rows, so
/// the last row has the highest.
pub(crate) fn next_blob(
    index: &Connection,
    highest_on_disk: Option<BlobNumber>,
) -> Result<BlobNumber, Error> {
    let doomed: Option<i64> = index.query_row("SELECT MAX(blob) FROM doomed_blob", [], |row| row.get(0))?;
    let doomed = doomed.map(|blob| BlobNumber(blob as u64));
    let highest = highest_on_disk.max(last_row(index)?).max(doomed);
    Ok(BlobNumber(highest.map_or(0, |highest| highest.0 + 1)))
}

fn last_row(index: &Connection) -> Result<Option<BlobNumber>, Error> {
    let last = index
        .query_row("SELECT blob FROM instance ORDER BY id DESC LIMIT 1", [], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(last.map(|blob| BlobNumber(blob as u64)))
}

/// Takes away what an earlier run had doomed and not taken away; answers what is gone.
pub(crate) fn bury_doomed(index: &Connection, blobs: &Blobs) -> Result<Vec<BlobNumber>, Error> {
    let doomed: Vec<BlobNumber> = index
        .prepare("SELECT blob FROM doomed_blob")?
        .query_map([], |row| Ok(BlobNumber(row.get::<_, i64>(0)? as u64)))?
        .collect::<Result<_, _>>()?;
    Ok(bury(blobs, doomed))
}

/// Takes away blobs that no instance needs, which is durable; answers those that are gone.
pub(crate) fn bury(blobs: &Blobs, mut doomed: Vec<BlobNumber>) -> Vec<BlobNumber> {
    doomed.retain(|&blob| match blobs.remove(blob) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(blob = blob.0, %error, "a file that no instance needs could not be removed; it will be tried again");
            false
        }
    });
    doomed
}

/// Puts instances into the index that came into place when the last run was cut off. One that cannot be stays
/// where it is, for `check` to name.
pub(crate) fn adopt_interrupted(
    index: &mut Connection,
    blobs: &Blobs,
    highest: Option<BlobNumber>,
    duplicates: Duplicates,
) -> Result<(), Error> {
    let Some(highest) = highest else { return Ok(()) };
    let first =
        last_row(index)?.map_or(0, |last| last.0 + 1).max((highest.0 + 1).saturating_sub(MAX_INTERRUPTED));
    let mut records = Vec::new();
    for blob in (first..=highest.0).map(BlobNumber) {
        let doomed = "SELECT EXISTS (SELECT 1 FROM doomed_blob WHERE blob = ?1)";
        let path = blobs.path(blob);
        if !path.exists() || index.query_row(doomed, [blob.0 as i64], |row| row.get::<_, bool>(0))? {
            continue;
        }
        match reread(&path) {
            Ok(record) => records.push((blob, record)),
            Err(error) => tracing::warn!(blob = blob.0, %error, "a file is in no index and no instance"),
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    match adopt(index, blobs, &records, duplicates) {
        Ok(adopted) => {
            tracing::info!(adopted, "instances that were being stored when the archive stopped are kept")
        }
        // The disk may be full. What is in the index can be read all the same.
        Err(error) => {
            tracing::error!(%error, "instances that were being stored when the archive stopped are not indexed")
        }
    }
    Ok(())
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
        adopted += usize::from(adopt_one(&transaction, *blob, record, duplicates)?);
        let path = blobs.path(*blob);
        let folder = path.parent().unwrap_or(blobs.root());
        sync_folder(folder).map_err(|error| Error::io("syncing a folder", error))?;
    }
    transaction.commit()?;
    Ok(adopted)
}

/// As its store would have ended; whether it is in the index now.
fn adopt_one(
    index: &Transaction<'_>,
    blob: BlobNumber,
    record: &Record,
    duplicates: Duplicates,
) -> Result<bool, Error> {
    match write::present(index, record)? {
        None => {}
        Some(present) if !present.same_bytes && duplicates == Duplicates::Replace => {
            remove(index, &[present.id])?;
        }
        Some(_) => {
            tracing::warn!(blob = blob.0, "a file is in no index, and its instance is stored already");
            return Ok(false);
        }
    }
    write::insert(index, record, blob)?;
    Ok(true)
}
