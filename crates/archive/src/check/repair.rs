//! Brings rows and blobs together again. Nothing is deleted but empty files that were made ahead: what cannot stay is moved
//! to `quarantine/` and noted.
//!
//! In this order, so that it can be cut off anywhere and run again: the index is built anew if it is broken;
//! damaged files are set aside, then their rows taken out, but where the head alone is damaged it is written anew; files
//! without a row are indexed again.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::quarantine::{note, set_aside};
use super::{Check, Damage, Depth, Event, Extent, Finding, Named, head, rebuild, verify};
use crate::blob::numbers::SPREAD;
use crate::blob::{BlobNumber, sync};
use crate::folder::{Folder, Layout};
use crate::index::record::Record;
use crate::index::remove::remove;
use crate::index::schema::open_for_writing;
use crate::index::settle::next_blob;
use crate::index::write;
use crate::reread::{Unreadable, reread};
use crate::{Absent, Error, Settings};

/// What a repair has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// The index was built anew, with so many instances.
    pub rebuilt: Option<u64>,
    /// Files without a row that are indexed again.
    pub indexed: u64,
    /// Files of which all but the data set was damaged: that is written anew.
    pub mended: u64,
    /// Instances whose files are missing or damaged: they are in the index no more, or could not be put into it. They are
    /// lost unless they come again from elsewhere.
    pub lost: u64,
    /// Empty files, made ahead for instances, that were removed.
    pub cleared: u64,
    /// Files moved to the quarantine.
    pub set_aside: u64,
    /// What could not be repaired.
    pub left: u64,
}

/// Repairs the archive in a folder; tells of everything that was wrong.
///
/// # Errors
/// [`Error::InUse`] while another process has the archive open, [`Error::NoArchive`], [`Error::NewerSchema`], or
/// a fault of the system; it can be run again then.
pub fn repair(folder: &Path, depth: Depth, tell: &mut dyn FnMut(Event<'_>)) -> Result<Repair, Error> {
    // Locked, and what was being received is discarded: nobody was told that it is stored.
    let folder = Folder::open(folder, Absent::Refuse)?;
    let layout = &folder.layout;
    let _no_removal = layout.lock_removal()?;
    let mut done = Repair::default();
    let (mut findings, mut made_ahead) = find(layout, depth, tell)?;
    if findings.iter().any(rebuild::is_needed) {
        done.rebuilt = Some(rebuild::rebuild(layout, tell)?);
        // All was read a moment ago, and the digests are of what was read.
        (findings, made_ahead) = find(layout, Depth::Sizes, tell)?;
    }
    for blob in made_ahead {
        layout.blobs.remove(blob).map_err(|error| Error::io("removing what was made ahead", error))?;
        done.cleared += 1;
    }
    if !findings.is_empty() {
        let index = open_for_writing(&layout.index, &Settings::default())?;
        let last_row = last_row(&index)?;
        let mut repairer = Repairer { layout, index, last_row, done };
        for finding in &findings {
            repairer.repair(finding)?;
        }
        done = repairer.done;
    }
    Ok(done)
}

/// What is wrong, and which files were made ahead.
fn find(
    layout: &Layout,
    depth: Depth,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(Vec<Finding>, Vec<BlobNumber>), Error> {
    let mut findings = Vec::new();
    let mut keep = |event: Event<'_>| {
        if let Event::Found(finding) = &event {
            findings.push((*finding).clone());
        }
        tell(event);
    };
    let (_, made_ahead) = Check::new(layout.clone(), depth, &mut keep).reading_what_has_no_row().run()?;
    Ok((findings, made_ahead))
}

struct Repairer<'a> {
    layout: &'a Layout,
    index: Connection,
    /// The highest blob of the last rows, before anything was repaired.
    last_row: Option<BlobNumber>,
    done: Repair,
}

fn last_row(index: &Connection) -> Result<Option<BlobNumber>, Error> {
    let highest: Option<i64> = index.query_row(
        "SELECT MAX(blob)
         FROM (SELECT blob FROM instance ORDER BY id DESC LIMIT ?1)",
        [SPREAD as i64],
        |row| row.get(0),
    )?;
    Ok(highest.map(|blob| BlobNumber(blob as u64)))
}

impl Repairer<'_> {
    fn repair(&mut self, finding: &Finding) -> Result<(), Error> {
        match (finding.damage, finding.row, finding.blob) {
            (_, Some(row), _) if finding.extent == Extent::Head => self.write_head_anew(finding, row),
            (Damage::Cut | Damage::Altered, Some(row), Some(blob)) => match self.another(finding, blob) {
                Some(record) => self.give_to_another(finding, row, blob, &record),
                None => self.take_out(finding, row),
            },
            (Damage::Missing, Some(row), Some(_)) => self.take_out(finding, row),
            (Damage::Cut | Damage::Altered, None, Some(blob)) => self.give_up(finding, blob),
            (Damage::Orphan, _, Some(blob)) => self.index_again(finding, blob),
            (Damage::Stray, ..) => self.set_aside(finding, "set aside").map(drop),
            _ => {
                self.done.left += 1;
                Ok(())
            }
        }
    }

    fn write_head_anew(&mut self, finding: &Finding, row: i64) -> Result<(), Error> {
        let failed = |error| Error::io("writing file meta information anew", error);
        let page = verify::page(&self.index, row - 1, 1)?;
        let row = page.first().filter(|found| found.id == row);
        let written = row.map_or(Ok(None), |row| head::write_anew(self.layout, row)).map_err(failed)?;
        let Some(kept) = written else {
            self.done.left += 1;
            return Ok(());
        };
        self.done.mended += 1;
        self.note(
            finding,
            &format!("its file meta information written anew; what it was is {}", kept.display()),
        )
    }

    /// The file goes first: without its row it would look like an orphan, and be believed.
    fn take_out(&mut self, finding: &Finding, row: i64) -> Result<(), Error> {
        if finding.damage == Damage::Missing {
            self.note(finding, "taken out of the index")?;
        } else {
            self.set_aside(finding, "taken out of the index, the file set aside")?;
        }
        self.remove(row)
    }

    /// What a file is of that is whole, if of another instance than its row says: the index is older, and the number was used
    /// again.
    fn another(&self, finding: &Finding, blob: BlobNumber) -> Option<Record> {
        let found = reread(&self.layout.blobs.path(blob)).ok()?;
        let is_another = |named: &Named| named.sop_instance != found.sop_instance;
        finding.instance.as_ref().is_none_or(is_another).then_some(found)
    }

    fn give_to_another(
        &mut self,
        finding: &Finding,
        row: i64,
        blob: BlobNumber,
        record: &Record,
    ) -> Result<(), Error> {
        self.note(finding, "taken out of the index; the file is that of another instance, which is indexed")?;
        self.remove(row)?;
        self.index_as(finding, blob, record)
    }

    fn remove(&mut self, row: i64) -> Result<(), Error> {
        let transaction = self.index.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for removed in remove(&transaction, &[row])? {
            transaction.execute("DELETE FROM doomed_blob WHERE blob = ?1", [removed.blob.0 as i64])?;
        }
        transaction.commit()?;
        self.done.lost += 1;
        Ok(())
    }

    /// Whether somebody was told that it is stored nobody knows without its row, so it is a loss; but for what a crash
    /// cut off.
    fn give_up(&mut self, finding: &Finding, blob: BlobNumber) -> Result<(), Error> {
        if finding.damage == Damage::Cut && self.is_of_a_crash(blob) {
            return self
                .set_aside(finding, "set aside: it was cut off before anybody was told that it is stored");
        }
        self.set_aside(finding, "set aside: no whole instance, and in no index")?;
        self.done.lost += 1;
        Ok(())
    }

    /// Whether a file lies where a crash leaves what is not whole: the next start would take it away.
    fn is_of_a_crash(&self, blob: BlobNumber) -> bool {
        self.done.rebuilt.is_none() && self.last_row.is_none_or(|last| blob.0 + SPREAD > last.0)
    }

    fn index_again(&mut self, finding: &Finding, blob: BlobNumber) -> Result<(), Error> {
        let record = match reread(&self.layout.blobs.path(blob)) {
            Ok(record) => record,
            Err(Unreadable::Io(_)) => {
                self.done.left += 1;
                return Ok(());
            }
            // Read a moment ago, it was whole.
            Err(_) => return self.give_up(finding, blob),
        };
        self.index_as(finding, blob, &record)
    }

    fn index_as(&mut self, finding: &Finding, blob: BlobNumber, record: &Record) -> Result<(), Error> {
        match write::present(&self.index, record)? {
            None => self.take_in(blob, record),
            Some(present) if present.same_bytes => {
                self.set_aside(finding, "set aside: a second copy of an instance that is stored")
            }
            Some(_) => self.set_aside(finding, "set aside: the instance is stored with other bytes"),
        }
    }

    /// Numbers rise with the rows, so it gets a new one. Cut off between the two, it is settled when the archive
    /// is next opened.
    fn take_in(&mut self, blob: BlobNumber, record: &Record) -> Result<(), Error> {
        let renaming = |error| Error::io("renaming an instance", error);
        let blobs = &self.layout.blobs;
        let transaction = self.index.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let new = next_blob(&transaction, blobs.highest().map_err(renaming)?)?;
        blobs.make_folder(new).map_err(|fault| renaming(fault.into()))?;
        let place = blobs.take_in(&blobs.path(blob), new).map_err(renaming)?;
        sync(&place).map_err(renaming)?;
        write::insert(&transaction, record, new)?;
        transaction.commit()?;
        self.done.indexed += 1;
        Ok(())
    }

    fn set_aside(&mut self, finding: &Finding, done: &str) -> Result<(), Error> {
        let failed = |error| Error::io("setting a file aside", error);
        let target = set_aside(self.layout, &self.layout.root.join(&finding.file)).map_err(failed)?;
        self.done.set_aside += 1;
        self.note(finding, &format!("{done}; now {}", target.display()))
    }

    fn note(&self, finding: &Finding, done: &str) -> Result<(), Error> {
        note(self.layout, finding, done).map_err(|error| Error::io("noting what was done", error))
    }
}
