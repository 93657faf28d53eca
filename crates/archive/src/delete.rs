//! Removing instances: first what it would be, then the index, then the blobs.
//!
//! Study by study, each in one transaction in which its blobs are noted as doomed: after a crash at any point a
//! study's instances are all there or all gone, and files that nobody needs any more go when the archive is next
//! opened. It may be done while the archive runs, and where the disk is full: there it has what is set apart for that
//! ([`reserve`](crate::reserve)).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Matching, Query};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::blob::BlobNumber;
use crate::find::matching_rows;
use crate::folder::{Folder, Layout};
use crate::index::attributes::{Kind, attribute};
use crate::index::condition::{Selection, select};
use crate::index::remove::remove;
use crate::index::schema::{open_beside, open_for_reading, open_for_writing};
use crate::index::settle::bury;
use crate::reserve::{Reserve, Share};
use crate::{Absent, Archive, Error, Settings};

/// The instances that a query matches, as they were when it was asked.
#[derive(Debug)]
pub struct Removal {
    layout: Layout,
    /// By study.
    pub studies: Vec<RemovedStudy>,
}

/// What goes of one study.
#[derive(Debug)]
pub struct RemovedStudy {
    /// Study Instance UID.
    pub study: Uid,
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Study Date (0008,0020).
    pub study_date: String,
    /// Bytes of the files that go.
    pub bytes: u64,
    /// Instances of the study that stay.
    pub instances_left: u64,
    /// Rows, with their blobs: a row number alone may have become another's.
    rows: Vec<(i64, BlobNumber)>,
}

impl RemovedStudy {
    /// Instances that go.
    pub fn instances(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Takes its instances out of the index, durably; answers their blobs. Those of before are gone from disk.
    fn remove(&self, index: &mut Connection, gone: &[BlobNumber]) -> Result<Vec<BlobNumber>, Error> {
        let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
        RemovedStudy::forget(&transaction, gone)?;
        let mut rows = Vec::with_capacity(self.rows.len());
        for &(row, blob) in &self.rows {
            let now: Option<i64> = transaction
                .prepare_cached("SELECT blob FROM instance WHERE id = ?1")?
                .query_row([row], |row| row.get(0))
                .optional()?;
            if now == Some(blob.0 as i64) {
                rows.push(row);
            }
        }
        let removed = remove(&transaction, &rows)?;
        transaction.commit()?;
        Ok(removed.into_iter().map(|removed| removed.blob).collect())
    }

    fn forget(index: &Connection, gone: &[BlobNumber]) -> Result<(), Error> {
        let mut forget = index.prepare_cached("DELETE FROM doomed_blob WHERE blob = ?1")?;
        for blob in gone {
            forget.execute([blob.0 as i64])?;
        }
        Ok(())
    }
}

impl Removal {
    /// Finds what a query matches at its level, and all below that. Changes nothing but what a crash has left half done.
    ///
    /// # Errors
    /// [`Error::Refused`] when no key has a value, or one cannot be matched at this level: less precise than it
    /// was meant, it would remove too much. [`Error::NoArchive`], [`Error::IndexLost`], or a fault of the
    /// system.
    pub fn plan(folder: &Path, query: &Query) -> Result<Removal, Error> {
        let layout = Layout::existing(folder)?;
        settle(&layout)?;
        let selection = precise(query).map_err(Error::Refused)?;
        if !layout.index.exists() {
            return Err(Error::IndexLost(layout.root));
        }
        Reserve::of(&layout.root)
            .with_room(Share::ToOpen, || Removal::find(&layout, query.level, &selection))
            .map(|studies| Removal { layout, studies })
    }

    fn find(layout: &Layout, level: Level, selection: &Selection) -> Result<Vec<RemovedStudy>, Error> {
        let index = open_for_reading(&layout.index, &Settings::default())?;
        let mut studies = Studies::default();
        for row in matching_rows(&index, &layout.blobs, selection)? {
            studies.add(&index, level, row)?;
        }
        Ok(studies.found)
    }

    /// Removes what was found, and tells of each study as it is gone. What has gone meanwhile is passed over.
    ///
    /// # Errors
    /// [`Error::InUse`] while others remove or repair, or a fault of the system; the studies that were told of
    /// are gone, the others are as they were.
    pub fn carry_out(&self, mut tell: impl FnMut(&RemovedStudy)) -> Result<(), Error> {
        let _removing = self.layout.lock_removal()?;
        let running = match Folder::open(&self.layout.root, Absent::Refuse) {
            Ok(folder) => Some(folder),
            Err(Error::InUse(_)) => None,
            Err(error) => return Err(error),
        };
        let open = if running.is_some() { open_for_writing } else { open_beside };
        let reserve = Reserve::of(&self.layout.root);
        let mut index =
            reserve.with_room(Share::ToOpen, || open(&self.layout.index, &Settings::default()))?;
        let mut gone = Vec::new();
        for study in &self.studies {
            let doomed = reserve.with_room(Share::All, || study.remove(&mut index, &gone))?;
            tell(study);
            gone = bury(&self.layout.blobs, doomed);
        }
        reserve.with_room(Share::All, || {
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            RemovedStudy::forget(&transaction, &gone)?;
            Ok(transaction.commit()?)
        })?;
        reserve.fill();
        Ok(())
    }

    /// Instances that go.
    pub fn instances(&self) -> u64 {
        self.studies.iter().map(RemovedStudy::instances).sum()
    }

    /// Bytes of the files that go.
    pub fn bytes(&self) -> u64 {
        self.studies.iter().map(|study| study.bytes).sum()
    }
}

/// Has an archive that nobody has open bring to its end what a crash has left: what is not in the index could not be
/// removed, and would be there again when it is next opened.
fn settle(layout: &Layout) -> Result<(), Error> {
    if layout.is_in_use()? || !layout.index.exists() {
        return Ok(());
    }
    let settings = Settings { absent: Absent::Refuse, ..Settings::default() };
    match Archive::open(&layout.root, settings) {
        Ok(_) | Err(Error::InUse(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes a query apart, and makes sure that all its keys count.
fn precise(query: &Query) -> Result<Selection, Refusal> {
    let selection = select(query)?;
    let mut decides = false;
    for key in query.matching_keys()? {
        let is_compared = attribute(key.tag(), query.level)
            .is_some_and(|attribute| attribute.level <= query.level && attribute.kind != Kind::Count)
            || selection.filters.iter().any(|filter| filter.attribute == key.attribute);
        match key.matching {
            Matching::Universal => {}
            Matching::Unsupported => return Err(cannot_match(key.tag())),
            _ if !is_compared => return Err(cannot_match(key.tag())),
            _ => decides = true,
        }
    }
    match decides {
        true => Ok(selection),
        false => Err(Refusal::new(Status::UNABLE_TO_PROCESS, "no key says what to remove")),
    }
}

fn cannot_match(tag: Tag) -> Refusal {
    Refusal::new(Status::UNABLE_TO_PROCESS, &format!("{tag} cannot be matched at this level")).offending(tag)
}

/// Instances gathered by study.
#[derive(Default)]
struct Studies {
    found: Vec<RemovedStudy>,
    /// Where each is, by its row.
    places: HashMap<i64, usize>,
}

impl Studies {
    /// Adds the instances of a row of a level.
    fn add(&mut self, index: &Connection, level: Level, row: i64) -> Result<(), Error> {
        let column = match level {
            Level::Patient => "study.patient",
            Level::Study => "series.study",
            Level::Series => "instance.series",
            Level::Image => "instance.id",
        };
        let mut statement = index.prepare_cached(&format!(
            "SELECT study.id, instance.id, instance.blob, instance.data_set_offset + instance.data_set_length
             FROM study
                 JOIN series ON series.study = study.id
                 JOIN instance ON instance.series = series.id
             WHERE {column} = ?1"
        ))?;
        let mut rows = statement.query([row])?;
        while let Some(row) = rows.next()? {
            let study = self.study(index, row.get(0)?)?;
            study.rows.push((row.get(1)?, BlobNumber(row.get::<_, i64>(2)? as u64)));
            study.bytes += row.get::<_, i64>(3)? as u64;
            study.instances_left = study.instances_left.saturating_sub(1);
        }
        Ok(())
    }

    fn study(&mut self, index: &Connection, id: i64) -> Result<&mut RemovedStudy, Error> {
        let place = match self.places.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.found.push(read_study(index, id)?);
                *new.insert(self.found.len() - 1)
            }
        };
        Ok(&mut self.found[place])
    }
}

fn read_study(index: &Connection, id: i64) -> Result<RemovedStudy, Error> {
    let (uid, study) = index
        .prepare_cached(
            "SELECT study_instance_uid, patient_id, study_date, instances FROM study WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let uid: String = row.get(0)?;
            let (patient_id, study_date) = (row.get(1)?, row.get(2)?);
            Ok((uid, (patient_id, study_date, row.get::<_, i64>(3)? as u64)))
        })?;
    let (patient_id, study_date, instances_left) = study;
    let study = Uid::new(uid).map_err(|_| Error::Index("a UID in the index is none".to_owned()))?;
    Ok(RemovedStudy { study, patient_id, study_date, bytes: 0, instances_left, rows: Vec::new() })
}
