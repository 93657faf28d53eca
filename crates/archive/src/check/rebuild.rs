//! The index built anew from the blobs, in the order in which they came.
//!
//! It is built beside the old one and takes its place only when it is whole: a rebuild that is cut off leaves
//! everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use super::doomed::doomed_among;
use super::quarantine::set_aside;
use super::verify::side_by_side;
use super::{Event, Finding};
use crate::blob::{BlobNumber, Blobs, sync_folder};
use crate::folder::Layout;
use crate::index::remove::{doom, remove};
use crate::index::schema::open_for_writing;
use crate::index::write;
use crate::reread::reread;
use crate::{Error, Settings};

/// Files read side by side, and put into the index in one transaction.
const PAGE: usize = 256;

/// Where it is built.
pub(super) fn path(layout: &Layout) -> PathBuf {
    layout.root.join("rebuilt.sqlite")
}

/// Builds the index from the blobs and puts it in the place of the old one, which is set aside. Files that are
/// no whole instances are left without a row, for the check that follows to name. What the old one has doomed stays so.
pub(super) fn rebuild(layout: &Layout, tell: &mut dyn FnMut(Event<'_>)) -> Result<u64, Error> {
    let looking = |error| Error::io("looking through the blobs", error);
    let new = path(layout);
    discard(&new)?;
    let mut files = layout.blobs.list().map_err(looking)?.blobs;
    let doomed = doomed_among(layout, &files)?;
    doomed.iter().for_each(|blob| files.remove(blob));
    let blobs: Vec<BlobNumber> = files.iter().collect();
    let mut index = open_for_writing(&new, &Settings::default())?;
    let (mut instances, mut bytes) = (0, 0);
    for (number, page) in blobs.chunks(PAGE).enumerate() {
        let records = side_by_side(page, |blob| reread(&layout.blobs.path(*blob)));
        let transaction = index.transaction()?;
        for (&blob, record) in page.iter().zip(records) {
            let Ok(record) = record else { continue };
            // The later of two is the one that took the other's place; it was answered last.
            if let Some(earlier) = write::present(&transaction, &record)? {
                remove(&transaction, &[earlier.id])?;
                instances -= 1;
            }
            write::insert(&transaction, &record, blob)?;
            instances += 1;
            bytes += record.file.data_set_offset + record.file.data_set_length;
        }
        // Whether the earlier of two can go is for a person to say.
        transaction.execute("DELETE FROM doomed_blob", [])?;
        transaction.commit()?;
        let done = (number * PAGE + page.len()) as u64;
        tell(Event::Progress { instances: done, of: blobs.len() as u64, bytes });
    }
    let transaction = index.transaction()?;
    for blob in doomed.iter() {
        doom(&transaction, blob)?;
    }
    transaction.commit()?;
    // A crash may have left files that nobody had synced yet.
    sync_all(&layout.blobs).map_err(|error| Error::io("syncing the instances", error))?;
    // All into the one file that is renamed.
    index.pragma_update(None, "journal_mode", "DELETE")?;
    index.close().map_err(|(_, error)| error)?;
    put_in_place(layout, &new)?;
    Ok(instances)
}

/// Syncs the file system that the blobs are on.
fn sync_all(blobs: &Blobs) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(blobs.root())?)?)
}

fn put_in_place(layout: &Layout, new: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("putting the index in its place", error);
    fs::File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
    for old in files_of(&layout.index).into_iter().filter(|file| file.exists()) {
        set_aside(layout, &old).map_err(failed)?;
    }
    fs::rename(new, &layout.index).map_err(failed)?;
    sync_folder(&layout.root).map_err(failed)
}

/// Removes what an earlier rebuild has left.
fn discard(new: &Path) -> Result<(), Error> {
    for file in files_of(new).into_iter().filter(|file| file.exists()) {
        fs::remove_file(file).map_err(|error| Error::io("removing an unfinished index", error))?;
    }
    Ok(())
}

/// A database and what SQLite keeps beside it; the database last, so that it is never alone in being old.
fn files_of(database: &Path) -> [PathBuf; 4] {
    ["-journal", "-wal", "-shm", ""].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Whether a finding says that the index has to be built anew.
pub(super) fn is_needed(finding: &Finding) -> bool {
    finding.damage == super::Damage::Index
}
