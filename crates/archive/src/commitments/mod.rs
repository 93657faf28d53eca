//! Storage commitment: what somebody asked this archive to answer for, until the report is delivered (PS3.4 Annex J).
//!
//! It lies in a database of its own beside the index, like the worklist and for the same reason: what is asked for
//! cannot be rebuilt from blobs. A request is durable before it is answered with success, so a report that is due
//! survives the end of the process at any moment.
//!
//! What is kept is the request, not the report: `judge` looks at the instances when the report is made.

mod judge;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dicomet_proto::AeTitle;
use dicomet_proto::commitment::{Report, Request};
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::message::{Refusal, Status};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::index::schema::open_with_migrations;
use crate::{Archive, Error, Settings, Stop};

const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_commitments.sql")];

/// Bytes of the requests whose reports are due: of two million references.
const MAX_DUE_BYTES: i64 = 256 << 20;

/// Transactions that are remembered after they were settled, so that a Transaction UID is not used again.
const REMEMBERED: i64 = 100_000;

/// The requests for storage commitment of an archive. A clone is another handle of the same ones; all calls block.
#[derive(Debug, Clone)]
pub struct Commitments {
    database: Arc<Mutex<Connection>>,
    path: PathBuf,
    most_due: u32,
}

/// The number of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitmentId(i64);

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requestor {
    /// Its AE title.
    pub calling: AeTitle,
    /// The AE title that it called us by.
    pub called: AeTitle,
}

/// A request whose report is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub id: CommitmentId,
    /// Who asked.
    pub requestor: Requestor,
    /// How often the report could not be delivered.
    pub tries: u32,
}

impl Commitments {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Commitments, Error> {
        let database = open_with_migrations(path, settings, MIGRATIONS);
        let database = database.map_err(|error| error.beside_index(path))?;
        Ok(Commitments {
            database: Arc::new(Mutex::new(database)),
            path: path.to_owned(),
            most_due: settings.commitments_due,
        })
    }

    /// Lends the database. An error says that it is of this one.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut database).map_err(|error| error.beside_index(&self.path))
    }

    /// Takes a request on; when this returns, it is durable.
    ///
    /// A Transaction UID that the same requestor has used before is taken on too: its report says so (0131).
    ///
    /// # Errors
    /// [`Error::Refused`] with 0213 when too many reports are due, [`Error::NoRoom`], [`Error::Busy`], or a fault of the
    /// database.
    pub fn add(&self, requestor: &Requestor, request: &Request) -> Result<CommitmentId, Error> {
        self.with(|database| add(database, self.most_due, requestor, request))
    }

    /// The requests whose reports are due, in the order in which they came.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn due(&self) -> Result<Vec<Due>, Error> {
        self.with(|database| {
            let mut statement = database.prepare_cached(
                "SELECT id, calling_ae_title, called_ae_title, tries
                 FROM commitment
                 WHERE request IS NOT NULL
                 ORDER BY id",
            )?;
            let mut rows = statement.query([])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let requestor = Requestor { calling: ae_title(row, 1)?, called: ae_title(row, 2)? };
                due.push(Due { id: CommitmentId(row.get(0)?), requestor, tries: row.get(3)? });
            }
            Ok(due)
        })
    }

    /// Notes that a report could not be delivered; answers how often that was so.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn tried(&self, id: CommitmentId) -> Result<u32, Error> {
        self.with(|database| {
            let mut statement = database
                .prepare_cached("UPDATE commitment SET tries = tries + 1 WHERE id = ?1 RETURNING tries")?;
            Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.unwrap_or(0))
        })
    }

    /// Settles a request: its report was delivered, or given up.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn settle(&self, id: CommitmentId) -> Result<(), Error> {
        self.with(|database| {
            let mut statement =
                database.prepare_cached("UPDATE commitment SET request = NULL WHERE id = ?1")?;
            statement.execute([id.0])?;
            Ok(())
        })
    }

    /// A request that is not settled, and whether its Transaction UID was in use.
    fn load(&self, id: CommitmentId) -> Result<Option<(Request, bool)>, Error> {
        self.with(|database| {
            let mut statement = database.prepare_cached(
                "SELECT request, is_duplicate FROM commitment WHERE id = ?1 AND request IS NOT NULL",
            )?;
            let row =
                statement.query_row([id.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))).optional()?;
            let Some((encoded, is_duplicate)) = row else { return Ok(None) };
            let unreadable = |what: String| Error::Index(format!("a request for storage commitment: {what}"));
            let set = DataSet::parse(&encoded, &EXPLICIT_VR_LITTLE_ENDIAN)
                .map_err(|error| unreadable(error.to_string()))?;
            let request = Request::from_data_set(&set).map_err(|refusal| unreadable(refusal.to_string()))?;
            Ok(Some((request, is_duplicate)))
        })
    }
}

fn add(
    database: &mut Connection,
    most_due: u32,
    requestor: &Requestor,
    request: &Request,
) -> Result<CommitmentId, Error> {
    let encoded = request.to_data_set().encode(&EXPLICIT_VR_LITTLE_ENDIAN);
    let encoded = encoded.map_err(|error| Error::Index(error.to_string()))?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (due, bytes): (i64, i64) = transaction
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(request)), 0)
             FROM commitment
             WHERE request IS NOT NULL",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if due >= i64::from(most_due) || bytes.saturating_add_unsigned(encoded.len() as u64) > MAX_DUE_BYTES {
        let refusal = Refusal::new(Status::RESOURCE_LIMITATION, "too many reports are due; ask again later");
        return Err(Error::Refused(refusal));
    }
    let (calling, used) = (requestor.calling.as_str(), request.transaction.as_str());
    let is_duplicate: bool = transaction
        .prepare_cached(
            "SELECT EXISTS (
                SELECT 1 FROM commitment WHERE transaction_uid = ?1 AND calling_ae_title = ?2
             )",
        )?
        .query_row([used, calling], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT INTO commitment
                (calling_ae_title, called_ae_title, transaction_uid, is_duplicate, request)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![calling, requestor.called.as_str(), used, is_duplicate, encoded])?;
    let id = transaction.last_insert_rowid();
    transaction
        .prepare_cached("DELETE FROM commitment WHERE id <= ?1 AND request IS NULL")?
        .execute([id - REMEMBERED])?;
    transaction.commit()?;
    Ok(CommitmentId(id))
}

impl Archive {
    /// What others asked this archive to answer for.
    pub fn commitments(&self) -> &Commitments {
        &self.shared.commitments
    }

    /// The report on a request, by how the instances are now; `None` when it is settled. Reads them, those apart that were
    /// read within a day; blocks for as long as that takes, or until it is stopped. What was read by then is not read again.
    ///
    /// # Errors
    /// [`Error::Stopped`], or a fault of the database or the index: then the report is to be made later.
    pub fn commitment_report(
        &self,
        id: CommitmentId,
        retrieve_ae_title: &AeTitle,
        stop: &Stop,
    ) -> Result<Option<Report>, Error> {
        let Some((Request { transaction, references }, is_duplicate)) = self.commitments().load(id)? else {
            return Ok(None);
        };
        let (mut committed, mut failed) = (Vec::new(), Vec::new());
        for reference in references {
            stop.check()?;
            let outcome = match is_duplicate {
                true => Err(Status::DUPLICATE_TRANSACTION_UID),
                false => self.judge(&reference, stop)?,
            };
            match outcome {
                Ok(()) => committed.push(reference),
                Err(reason) => failed.push((reference, reason)),
            }
        }
        let retrieve_ae_title = Some(retrieve_ae_title.clone());
        Ok(Some(Report { transaction, retrieve_ae_title, committed, failed }))
    }
}

fn ae_title(row: &Row<'_>, column: usize) -> Result<AeTitle, Error> {
    let text: String = row.get(column)?;
    // Only AE titles were written.
    AeTitle::new(&text).map_err(|_| Error::Index("an AE title in the database is none".to_owned()))
}
