//! The schema, brought up to date when an archive is opened: numbered files, forward only, each in one
//! transaction with the number it leads to (`PRAGMA user_version`).

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::{Error, Settings};

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_index.sql"),
    include_str!("migrations/0002_names.sql"),
    include_str!("migrations/0003_row_reuse.sql"),
    include_str!("migrations/0004_blobs.sql"),
    include_str!("migrations/0005_selective_keys.sql"),
];

/// The latest schema that this program knows.
pub(crate) const LATEST: i64 = MIGRATIONS.len() as i64;

/// Statements that a connection keeps prepared.
const STATEMENT_CACHE: usize = 64;

/// Opens the index for its one writer, creating it or bringing it up to date.
pub(crate) fn open_for_writing(path: &Path, settings: &Settings) -> Result<Connection, Error> {
    open_with_migrations(path, settings, MIGRATIONS)
}

/// Opens a database for writing, creating it or bringing it up to date by migrations of its own.
pub(crate) fn open_with_migrations(
    path: &Path,
    settings: &Settings,
    migrations: &[&str],
) -> Result<Connection, Error> {
    let mut connection = connect(path, settings)?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// Opens the index for a change beside a running archive, which is not to find another schema all at once.
pub(crate) fn open_beside(path: &Path, settings: &Settings) -> Result<Connection, Error> {
    let connection = connect(path, settings)?;
    match user_version(&connection)? {
        LATEST => Ok(connection),
        found if found > LATEST => Err(Error::NewerSchema { found, known: LATEST }),
        found => {
            Err(Error::Index(format!("it has schema {found} until the archive is opened by this program")))
        }
    }
}

/// Makes durable what is in the write-ahead log of a database, if it has one.
pub(crate) fn sync_log(path: &Path) -> std::io::Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::File::open(log) {
        Ok(log) => log.sync_all(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn connect(path: &Path, settings: &Settings) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(settings.patience)?;
    // Durable at each commit, unless who commits knows better: see the commits of the index.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What undoes one instance of a batch would otherwise be written to a file for each.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", cache_size(settings.writer_cache_bytes))?;
    // In pages of 4 KiB. A checkpoint writes each changed page once, so later is cheaper; 16 MiB are read back
    // quickly after a crash.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

/// Opens the index for a reader.
pub(crate) fn open_for_reading(path: &Path, settings: &Settings) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(settings.patience)?;
    connection.pragma_update(None, "cache_size", cache_size(settings.reader_cache_bytes))?;
    super::fuzzy::register(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

/// SQLite takes a negative number as KiB.
fn cache_size(bytes: u32) -> i64 {
    -i64::from(bytes / 1024)
}

/// Brings a database up to date. One that is takes no lock: who is at a long change keeps nobody from opening it.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let known = migrations.len() as i64;
    loop {
        let found = user_version(connection)?;
        match found.cmp(&known) {
            Ordering::Less => migrate_once(connection, migrations)?,
            Ordering::Equal => return Ok(()),
            Ordering::Greater => return Err(Error::NewerSchema { found, known }),
        }
    }
}

fn migrate_once(connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again within the transaction: another process may have been at the same.
    let found = user_version(&transaction)?;
    if found >= migrations.len() as i64 {
        return Ok(());
    }
    // `found` is not negative in any database of ours; of another's, the first statement fails.
    let migration = usize::try_from(found).ok().and_then(|index| migrations.get(index));
    transaction.execute_batch(migration.copied().unwrap_or("not a schema of ours"))?;
    transaction.pragma_update(None, "user_version", found + 1)?;
    Ok(transaction.commit()?)
}

fn user_version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(index: &Connection) -> Vec<String> {
        let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = index.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_index_of_any_earlier_schema_becomes_that_of_today_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let newest = open_for_writing(&folder.path().join("newest.sqlite"), &settings).unwrap();
        for earlier in 1..MIGRATIONS.len() {
            let path = folder.path().join(format!("{earlier}.sqlite"));
            let index = open_with_migrations(&path, &settings, &MIGRATIONS[..earlier]).unwrap();
            index.execute_batch("INSERT INTO patient VALUES (7, 'P', '', '', '', '', '', '')").unwrap();
            drop(index);
            let index = open_for_writing(&path, &settings).unwrap();
            assert_eq!(statements(&index), statements(&newest), "from {earlier}");
            let row: i64 = index.query_row("SELECT id FROM patient", [], |row| row.get(0)).unwrap();
            assert_eq!(row, 7);
        }
    }
}
