//! The folder of an archive: where things are, its marker, its locks, and what is cleared away when it is opened.
//!
//! Two locks, both advisory (`flock`) and gone with the process that holds them. The marker's is held by who
//! stores: there is one writer of instances. The other is held by who removes: `delete` beside a running
//! archive, never beside another `delete` or a repair, which holds both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::blob::{Blobs, sync_folder};
use crate::{Absent, Error};

const MARKER: &str = "dicomet-archive";

/// The file of the index.
pub(crate) const INDEX: &str = "index.sqlite";

const MARKER_TEXT: &str =
    "This folder is an archive of dicomet. Its files are not to be changed by hand.\nformat 1\n";

/// How often a lock is tried, and how long between: who only looks whether there is one holds it for an instant.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Where the things of an archive are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) incoming: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) worklist: PathBuf,
    pub(crate) commitments: PathBuf,
    /// What a repair sets aside.
    pub(crate) quarantine: PathBuf,
}

/// An archive's folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) layout: Layout,
    _lock: Lock,
}

/// A lock, held as long as its file is open.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Layout {
    fn of(root: PathBuf) -> Layout {
        Layout {
            blobs: Blobs::new(root.join("blobs")),
            incoming: root.join("incoming"),
            index: root.join(INDEX),
            worklist: worklist_of(&root),
            commitments: root.join("commitment.sqlite"),
            quarantine: root.join("quarantine"),
            root,
        }
    }

    /// The archive in a folder, which is neither opened nor changed.
    pub(crate) fn existing(folder: &Path) -> Result<Layout, Error> {
        if !has_marker(folder).map_err(failed)? {
            return Err(Error::NoArchive(folder.to_owned()));
        }
        Ok(Layout::of(std::path::absolute(folder).map_err(failed)?))
    }

    /// Whether a process has the archive open.
    pub(crate) fn is_in_use(&self) -> Result<bool, Error> {
        let marker = File::open(self.root.join(MARKER)).map_err(failed)?;
        match flock(&marker, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(failed(error.into())),
            Ok(()) => Ok(false),
        }
    }

    /// Takes the lock of those who remove.
    pub(crate) fn lock_removal(&self) -> Result<Lock, Error> {
        let path = self.root.join("removal.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Lock::take(file.map_err(|error| unwritable(&self.root, error))?, &self.root)
    }
}

impl Lock {
    fn take(file: File, root: &Path) -> Result<Lock, Error> {
        for _ in 0..TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(BETWEEN_TRIES),
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(Error::InUse(root.to_owned()))
    }
}

impl Folder {
    /// Opens or creates an archive's folder and discards what was being received when it was last closed.
    ///
    /// A folder that has files but no marker is refused: a file system that is not mounted must not be taken
    /// for a new archive in its mount point, nor somebody's files for ours.
    pub(crate) fn open(folder: &Path, absent: Absent) -> Result<Folder, Error> {
        let unwritable = |error| unwritable(folder, error);
        let is_new = !has_marker(folder).map_err(unwritable)?;
        if is_new && absent == Absent::Refuse {
            return Err(Error::NoArchive(folder.to_owned()));
        }
        make_folders(folder).map_err(unwritable)?;
        let root = fs::canonicalize(folder).map_err(failed)?;
        if is_new && fs::read_dir(&root).map_err(failed)?.next().is_some() {
            return Err(Error::NotAnArchive(root));
        }
        let path = root.join(MARKER);
        let mut marker = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unwritable)?;
        let lock = Lock::take(marker.try_clone().map_err(failed)?, &root)?;
        let layout = Layout::of(root);
        for made in [&layout.incoming, layout.blobs.root()] {
            fs::create_dir_all(made).map_err(unwritable)?;
        }
        if is_new {
            marker.write_all(MARKER_TEXT.as_bytes()).and_then(|()| marker.sync_all()).map_err(unwritable)?;
        }
        discard(&layout.incoming).map_err(unwritable)?;
        sync_folder(&layout.root).map_err(failed)?;
        Ok(Folder { layout, _lock: lock })
    }

    /// The worklist's database in a folder, for which the lock is not needed: whoever serves the archive and
    /// whoever puts items into its worklist are often two processes. Where there is no archive, none is made: nobody
    /// would serve it.
    pub(crate) fn worklist_in(folder: &Path) -> Result<PathBuf, Error> {
        if !has_marker(folder).map_err(|error| unwritable(folder, error))? {
            return Err(Error::NoArchive(folder.to_owned()));
        }
        Ok(worklist_of(folder))
    }
}

/// Whether a folder has the marker. That it may not be looked at is an error: there may well be an archive.
fn has_marker(folder: &Path) -> io::Result<bool> {
    folder.join(MARKER).try_exists()
}

/// Makes a folder and those above it, and syncs what holds each of them: a name that is lost there takes all with it.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
    fs::create_dir_all(&folder)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

fn worklist_of(folder: &Path) -> PathBuf {
    folder.join("worklist.sqlite")
}

fn failed(error: io::Error) -> Error {
    Error::io("opening the archive's folder", error)
}

/// A folder that may not be written is named as such, whatever was tried first.
fn unwritable(folder: &Path, source: io::Error) -> Error {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::NotWritable { folder: folder.to_owned(), source }
        }
        _ => failed(source),
    }
}

/// The files in `incoming/` that were being received when nobody received them to the end.
pub(crate) fn leftovers(incoming: &Path) -> io::Result<Vec<PathBuf>> {
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(incoming)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            leftovers.push(path);
        }
    }
    leftovers.sort();
    Ok(leftovers)
}

/// Removes what was being received: nobody was told that it is stored.
fn discard(incoming: &Path) -> io::Result<()> {
    leftovers(incoming)?.into_iter().try_for_each(fs::remove_file)
}
