//! How many bytes the archive may take, and how many it takes: counted once when it is opened, then kept by the
//! writer; counted again only where another process has changed the index, as `delete` does, and room is short.

use std::io;

use rusqlite::Connection;

use crate::Error;

/// A limit of bytes and what of it is used by committed instances.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    used: u64,
    /// The version of the database when it was counted: differs only after changes by others.
    version: i64,
}

impl Quota {
    pub(crate) fn new(limit: u64, index: &Connection) -> Result<Quota, Error> {
        // What others change in between is counted once more.
        let version = version(index)?;
        Ok(Quota { limit, used: count(index)?, version })
    }

    /// Counts anew, after a change that was not told of.
    pub(crate) fn count_anew(&mut self, index: &Connection) -> Result<(), Error> {
        *self = Quota::new(self.limit, index)?;
        Ok(())
    }

    /// Whether there is room for so many bytes more, `pending` being those of this transaction so far.
    pub(crate) fn admit(&mut self, index: &Connection, pending: i64, bytes: u64) -> Result<(), Error> {
        let fits = |used: u64| {
            used.saturating_add_signed(pending).checked_add(bytes).is_some_and(|sum| sum <= self.limit)
        };
        if fits(self.used) {
            return Ok(());
        }
        let version = version(index)?;
        if version != self.version {
            self.version = version;
            // What this transaction did is seen by its own count.
            self.used = count(index)?.saturating_add_signed(pending.saturating_neg());
            if self.used.saturating_add_signed(pending).saturating_add(bytes) <= self.limit {
                return Ok(());
            }
        }
        Err(Error::NoRoom { doing: "storing an instance", source: io::ErrorKind::QuotaExceeded.into() })
    }

    /// The transaction has committed.
    pub(crate) fn committed(&mut self, pending: i64) {
        self.used = self.used.saturating_add_signed(pending);
    }
}

fn count(index: &Connection) -> Result<u64, Error> {
    let sum: i64 = index.query_row(
        "SELECT COALESCE(SUM(data_set_offset + data_set_length), 0) FROM instance",
        [],
        |row| row.get(0),
    )?;
    Ok(sum as u64)
}

fn version(index: &Connection) -> Result<i64, Error> {
    Ok(index.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}
