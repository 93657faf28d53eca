//! What an index that is to be built anew still says of blobs that are doomed: the files do not say it, and an instance that
//! was removed or replaced would be there again.
//!
//! Whoever is doomed goes when the archive is next opened. So a broken index is believed only where SQLite finds nothing
//! wrong with what it says of this, and where no row of an instance says otherwise.

use rusqlite::Connection;

use super::{is_damage, open_read_only};
use crate::Error;
use crate::blob::BlobNumber;
use crate::blob::list::BlobSet;
use crate::folder::Layout;

/// Those of the files that the index has noted as doomed; none where it cannot be read for that.
pub(super) fn doomed_among(layout: &Layout, files: &BlobSet) -> Result<BlobSet, Error> {
    if !layout.index.exists() {
        return Ok(BlobSet::default());
    }
    let index = open_read_only(&layout.index)?;
    let mut doomed = where_it_is_readable(noted(&index, files))?.unwrap_or_default();
    // A row that says otherwise may stand before the place where the rows are broken.
    where_it_is_readable(spare_what_has_a_row(&index, &mut doomed))?;
    Ok(doomed)
}

/// What was read, unless it is broken.
fn where_it_is_readable<T>(read: rusqlite::Result<T>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn noted(index: &Connection, files: &BlobSet) -> rusqlite::Result<BlobSet> {
    let mut doomed = BlobSet::default();
    let verdict: String = index.query_row("PRAGMA integrity_check(doomed_blob)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(doomed);
    }
    let mut statement = index.prepare("SELECT blob FROM doomed_blob")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let blob = BlobNumber(row.get::<_, i64>(0)? as u64);
        if files.contains(blob) {
            doomed.insert(blob);
        }
    }
    Ok(doomed)
}

fn spare_what_has_a_row(index: &Connection, doomed: &mut BlobSet) -> rusqlite::Result<()> {
    let mut statement = index.prepare("SELECT blob FROM instance NOT INDEXED")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        doomed.remove(BlobNumber(row.get::<_, i64>(0)? as u64));
    }
    Ok(())
}
