//! What a retrieve identifier stands for, instance by instance, and how each is opened (PS3.4 C.4.2, C.4.3).

use std::collections::HashMap;
use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{storage_sop_classes, transfer_syntaxes};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::Query;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use crate::blob::read::Blob;
use crate::blob::{BlobNumber, Blobs};
use crate::index::condition::select_for_retrieve;
use crate::{Archive, Error};

/// The most instances of one retrieve, which its plan holds in memory: some 130 MB. A hospital's largest studies have
/// some ten thousand, its largest patients some hundred thousand.
const MAX_PLANNED: usize = 500_000;

/// A stored instance: what is needed to negotiate its transfer and to open it.
///
/// What instances have in common is held once, so that a plan of 70,000 needs some 18 MB.
#[derive(Debug, Clone)]
pub struct Instance {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Study Instance UID.
    pub study: Arc<Uid>,
    /// Series Instance UID.
    pub series: Arc<Uid>,
    /// The transfer syntax that it is stored in.
    pub transfer_syntax: Uid,
    location: Location,
}

impl Instance {
    /// Bytes of its data set.
    pub fn data_set_length(&self) -> u64 {
        self.location.data_set_length
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Location {
    pub(crate) blob: BlobNumber,
    data_set_offset: u64,
    data_set_length: u64,
    data_set_digest: [u8; 32],
}

impl Archive {
    /// The instances that a retrieve identifier asks for, those of a series together, in the order in which
    /// they came. Only unique keys count, down to the level; those above it narrow it when they are there.
    ///
    /// # Errors
    /// [`Error::Refused`] with A900 when the unique key of the level is missing, and with A701 for more than
    /// half a million.
    pub fn plan(&self, query: &Query) -> Result<Vec<Instance>, Error> {
        self.plan_of_at_most(MAX_PLANNED, query)
    }

    /// As [`Archive::plan`], with a limit of one's own.
    ///
    /// # Errors
    /// Those of [`Archive::plan`].
    pub fn plan_of_at_most(&self, most: usize, query: &Query) -> Result<Vec<Instance>, Error> {
        let condition = select_for_retrieve(query).map_err(Error::Refused)?;
        let sql = format!(
            "SELECT instance.sop_instance_uid, instance.sop_class_uid, instance.transfer_syntax_uid,
                 study.study_instance_uid, series.series_instance_uid,
                 instance.blob, instance.data_set_offset, instance.data_set_length, instance.data_set_digest
             FROM instance
                 JOIN series ON series.id = instance.series
                 JOIN study ON study.id = series.study
             WHERE {}
             ORDER BY study.id, series.id, instance.id",
            condition.sql()
        );
        // Else what is in the index is given; the log has it.
        self.shared.writer.settle_if_due();
        self.shared.readers.with(|index| {
            let mut statement = index.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(condition.parameters()))?;
            let mut shared = SharedUids::default();
            let mut instances = Vec::new();
            while let Some(row) = rows.next()? {
                if instances.len() == most {
                    return Err(Error::Refused(too_many()));
                }
                instances.push(Instance {
                    sop_instance: uid(row, 0)?,
                    sop_class: Uid::clone(&*shared.uid(row, 1)?),
                    transfer_syntax: Uid::clone(&*shared.uid(row, 2)?),
                    study: shared.uid(row, 3)?,
                    series: shared.uid(row, 4)?,
                    location: location(row, 5)?,
                });
            }
            Ok(instances)
        })
    }

    /// Opens the data set of an instance. One that was replaced since it was planned is opened as it is now.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file is missing, not as long as it was, or (up to 1 MiB) has another digest; a longer one
    /// ends with an error when it is read. The digest is looked at once a day.
    pub fn open_instance(&self, instance: &Instance) -> Result<Blob, Error> {
        let opened = self.open_at(instance.location);
        if !matches!(opened, Err(Error::Damaged(_))) {
            return opened;
        }
        let now = self.shared.readers.with(|index| {
            let mut statement = index.prepare_cached(
                "SELECT blob, data_set_offset, data_set_length, data_set_digest
                 FROM instance
                 WHERE sop_instance_uid = ?1 AND transfer_syntax_uid = ?2",
            )?;
            let uids = [instance.sop_instance.as_str(), instance.transfer_syntax.as_str()];
            Ok(statement.query_row(uids, |row| location(row, 0)).optional()?)
        })?;
        match now {
            Some(now) if now.blob != instance.location.blob => self.open_at(now),
            _ => opened,
        }
    }

    pub(crate) fn open_at(&self, location: Location) -> Result<Blob, Error> {
        let path = self.shared.folder.layout.blobs.path(location.blob);
        let proof = self.shared.proofs.wanted(location.blob, location.data_set_digest);
        Blob::open(&path, location.data_set_offset, location.data_set_length, proof)
    }
}

impl Location {
    /// Opens a data set of which only a part is wanted, so that it cannot be proved.
    pub(crate) fn open(self, blobs: &Blobs) -> Result<Blob, Error> {
        Blob::open(&blobs.path(self.blob), self.data_set_offset, self.data_set_length, None)
    }
}

fn too_many() -> Refusal {
    Refusal::new(Status::UNABLE_TO_COUNT_MATCHES, "more instances than one retrieve may have; ask by study")
}

pub(crate) fn location(row: &Row<'_>, first: usize) -> rusqlite::Result<Location> {
    let number = |column| row.get::<_, i64>(column).map(|number| number as u64);
    Ok(Location {
        blob: BlobNumber(number(first)?),
        data_set_offset: number(first + 1)?,
        data_set_length: number(first + 2)?,
        data_set_digest: row.get(first + 3)?,
    })
}

fn uid(row: &Row<'_>, column: usize) -> Result<Uid, Error> {
    let text: String = row.get(column)?;
    // Only UIDs were written.
    Uid::new(text).map_err(|_| Error::Index("a UID in the index is none".to_owned()))
}

/// UIDs that many instances have, each held once.
#[derive(Default)]
struct SharedUids(HashMap<String, Arc<Uid>>);

impl SharedUids {
    fn uid(&mut self, row: &Row<'_>, column: usize) -> Result<Arc<Uid>, Error> {
        let text = row.get_ref(column)?.as_str().unwrap_or_default();
        if let Some(known) = self.0.get(text) {
            return Ok(Arc::clone(known));
        }
        // Those of the standard are constants, whose clones share their text.
        let new = uid(row, column)?;
        let mut constants = storage_sop_classes().iter().chain(transfer_syntaxes());
        let new = Arc::new(constants.find(|constant| **constant == new).cloned().unwrap_or(new));
        self.0.insert(text.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}
