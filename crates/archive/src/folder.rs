//! The folder of an archive: its marker, its lock, and what is cleared away when it is opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::Error;
use crate::blob::{Blobs, sync_folder};

const MARKER: &str = "dicomet-archive";
const MARKER_TEXT: &str =
    "This folder is an archive of dicomet. Its files are not to be changed by hand.\nformat 1\n";

/// An archive's folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) blobs: Blobs,
    pub(crate) incoming: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) worklist: PathBuf,
    /// Holds the lock as long as it is open.
    _marker: File,
}

impl Folder {
    /// Opens or creates an archive's folder and discards what was being received when it was last closed.
    ///
    /// A folder that has files but no marker is refused: a file system that is not mounted must not be taken
    /// for a new archive in its mount point, nor somebody's files for ours.
    pub(crate) fn open(folder: &Path) -> Result<Folder, Error> {
        let failed = |error| Error::io("opening the archive's folder", error);
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        let path = folder.join(MARKER);
        let is_new = !path.exists();
        if is_new && fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(Error::NotAnArchive(folder));
        }
        let mut marker = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&marker, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(folder)),
            other => other.map_err(|error| failed(error.into()))?,
        }
        let incoming = folder.join("incoming");
        let blobs = folder.join("blobs");
        for made in [&incoming, &blobs] {
            fs::create_dir_all(made).map_err(failed)?;
        }
        if is_new {
            marker.write_all(MARKER_TEXT.as_bytes()).and_then(|()| marker.sync_all()).map_err(failed)?;
        }
        discard(&incoming).map_err(failed)?;
        sync_folder(&folder).map_err(failed)?;
        Ok(Folder {
            blobs: Blobs::new(blobs),
            incoming,
            index: folder.join("index.sqlite"),
            worklist: worklist_of(&folder),
            _marker: marker,
        })
    }

    /// The worklist's database in a folder, for which the lock is not needed: whoever serves the archive and
    /// whoever puts items into its worklist are often two processes. Makes the archive where there is none.
    pub(crate) fn worklist_in(folder: &Path) -> Result<PathBuf, Error> {
        if !folder.join(MARKER).exists() {
            return Folder::open(folder).map(|made| made.worklist);
        }
        Ok(worklist_of(folder))
    }
}

fn worklist_of(folder: &Path) -> PathBuf {
    folder.join("worklist.sqlite")
}

/// Removes what was being received: nobody was told that it is stored.
fn discard(incoming: &Path) -> io::Result<()> {
    for entry in fs::read_dir(incoming)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
