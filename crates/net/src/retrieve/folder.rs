//! The output folder: each instance is written as it comes, under a temporary name until it is whole.
//!
//! ```text
//! DIR/.dicomet-part/7              while it comes
//! DIR/<study>/<series>/<sop>.dcm   when it is whole, by one rename
//! DIR/.dicomet/journal             how long each file was then
//! ```
//!
//! Writes are made inline: into the page cache they are as fast as anything else, and far from the price of a
//! thread hop each. No peer byte reaches a path but through [`Layout`].

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;

use super::head;
use super::journal::{self, Journal};
use super::layout::{self, Layout};

/// Where instances are while they come. Locked while a retrieve runs.
const PARTS: &str = ".dicomet-part";

/// A first piece up to this length is copied behind the file meta information, so that a small instance is one write.
const COPIED: usize = 64 * 1024;

/// How deep an output folder is looked through for what is there already.
const MAX_DEPTH: usize = 16;

/// Why an output folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or written to.
    #[error("cannot write to {path}: {source}")]
    Unwritable {
        /// The folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another retrieve is at work in it.
    #[error("another dicomet is retrieving into {path}")]
    InUse {
        /// The folder.
        path: String,
    },
}

/// The output folder of a retrieve.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    parts: PathBuf,
    layout: Layout,
    /// Folders that stand, so that each is made once.
    made: Mutex<HashSet<PathBuf>>,
    /// Paths given out in this run, with whose they are: only for layouts in which two instances can meet.
    taken: Mutex<HashMap<PathBuf, Uid>>,
    next_part: AtomicU64,
    journal: Journal,
    /// Holds the lock on `parts`, where the system has such locks.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder where it is not there, locks it, tries whether it can be written to, and removes what an
    /// earlier run left half written.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(root: &Path, layout: Layout) -> Result<Folder, FolderError> {
        let path = || root.display().to_string();
        let unwritable = |source| FolderError::Unwritable { path: path(), source };
        let parts = root.join(PARTS);
        fs::create_dir_all(&parts).map_err(unwritable)?;
        let lock = File::open(&parts).ok();
        if let Some(lock) = &lock
            && matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Err(FolderError::InUse { path: path() });
        }
        for stale in fs::read_dir(&parts).map_err(unwritable)?.flatten() {
            fs::remove_file(stale.path()).map_err(unwritable)?;
        }
        let probe = parts.join("probe");
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(unwritable)?;
        let journal = Journal::open(root).map_err(unwritable)?;
        Ok(Folder {
            root: root.to_owned(),
            journal,
            parts,
            layout,
            made: Mutex::default(),
            taken: Mutex::default(),
            next_part: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Which of the expected instances are here, whole: study, series and instance are given for each.
    pub fn present<'a>(&self, expected: impl Iterator<Item = (&'a Uid, &'a Uid, &'a Uid)>) -> Vec<Uid> {
        let expected: Vec<_> = expected.collect();
        let lengths = self.journal.lengths(expected.iter().map(|(_, _, instance)| *instance));
        let mut files = HashMap::new();
        if !self.layout.is_by_uids() {
            list(&self.root, MAX_DEPTH, &mut files);
        }
        let mut series_folder = (PathBuf::new(), false);
        let mut path = |(study, series, instance): (&Uid, &Uid, &Uid)| {
            if !self.layout.is_by_uids() {
                return files.get(instance).cloned();
            }
            let path = self.root.join(self.components(study, series, instance, &|_| None).join("/"));
            let parent = path.parent().unwrap_or(&self.root);
            // Instances of a series follow one another: whether their folder is there is asked once.
            if series_folder.0 != parent {
                series_folder = (parent.to_owned(), parent.is_dir());
            }
            series_folder.1.then_some(path)
        };
        let mut is_here = |place: &(&Uid, &Uid, &'a Uid)| {
            path(*place).is_some_and(|path| {
                head::is_whole(&path, place.2) && !is_shorter(&path, lengths.get(place.2).copied())
            })
        };
        expected.iter().filter(|place| is_here(place)).map(|(_, _, instance)| (*instance).clone()).collect()
    }

    /// Begins an instance: a file under a temporary name, with `meta` (preamble and file meta information) in front.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self, meta: Vec<u8>) -> io::Result<Part> {
        let path = self.parts.join(self.next_part.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Part { file: Some(file), path, meta })
    }

    /// Ends an instance: it gets its name, which replaces an older file of the same instance.
    ///
    /// # Errors
    /// What the system says; the part is then removed.
    pub fn finish(
        &self,
        mut part: Part,
        (study, series, instance): (&Uid, &Uid, &Uid),
        value: &dyn Fn(Tag) -> Option<String>,
    ) -> io::Result<PathBuf> {
        part.write(&[])?;
        let bytes =
            part.file.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        // Closing before the rename: a full disk may be told only here, on network file systems.
        part.file = None;
        let mut components = self.components(study, series, instance, value);
        let name = components.pop().unwrap_or_default();
        let folder = self.root.join(components.join("/"));
        let path = self.path_for(&folder, &name, instance);
        if let Err(error) = self.make(&folder).and_then(|()| fs::rename(&part.path, &path)) {
            // Somebody may have removed the folder that we made.
            self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&folder);
            return Err(error);
        }
        part.path.clear();
        self.journal.note(instance, bytes);
        Ok(path)
    }

    fn components(
        &self,
        study: &Uid,
        series: &Uid,
        instance: &Uid,
        value: &dyn Fn(Tag) -> Option<String>,
    ) -> Vec<String> {
        self.layout.components(|tag| match tag {
            layout::STUDY_INSTANCE_UID => Some(study.to_string()),
            layout::SERIES_INSTANCE_UID => Some(series.to_string()),
            layout::SOP_INSTANCE_UID => Some(instance.to_string()),
            other => value(other),
        })
    }

    fn make(&self, folder: &Path) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !made.contains(folder) {
            fs::create_dir_all(folder)?;
            made.insert(folder.to_owned());
        }
        Ok(())
    }

    /// The path of an instance. Where the layout lets two instances meet, the later one gets a number.
    fn path_for(&self, folder: &Path, name: &str, instance: &Uid) -> PathBuf {
        let path = folder.join(name);
        if self.layout.is_unique() {
            return path;
        }
        let mut taken = self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut candidate = path;
        let mut number = 2;
        loop {
            let owner = taken.get(&candidate).cloned().or_else(|| match candidate.exists() {
                true => Some(head::sop_instance_uid(&candidate).unwrap_or(Uid::from_static(""))),
                false => None,
            });
            if owner.is_none_or(|owner| owner == *instance) {
                taken.insert(candidate.clone(), instance.clone());
                return candidate;
            }
            candidate = folder.join(layout::numbered(name, number));
            number += 1;
        }
    }
}

impl Drop for Folder {
    /// Removes the folder for parts; it stays when something is in it.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.parts);
    }
}

/// Whether a file has lost bytes since it got its name.
fn is_shorter(path: &Path, length: Option<u64>) -> bool {
    length.is_some_and(|length| fs::metadata(path).map_or(true, |metadata| metadata.len() < length))
}

/// Collects the DICOM files below a folder by their SOP Instance UID. Symbolic links are not followed.
fn list(folder: &Path, depth: usize, files: &mut HashMap<Uid, PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth > 0 && entry.file_name() != PARTS && entry.file_name() != journal::FOLDER {
            list(&path, depth - 1, files);
        } else if kind.is_file()
            && let Some(uid) = head::sop_instance_uid(&path)
        {
            files.insert(uid, path);
        }
    }
}

/// An instance that is coming. Dropped before [`Folder::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Part {
    file: Option<File>,
    path: PathBuf,
    /// What is to stand in front of the next piece.
    meta: Vec<u8>,
}

impl Part {
    /// Appends a piece of the data set.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut meta = std::mem::take(&mut self.meta);
        if meta.is_empty() {
            return file.write_all(piece);
        }
        if piece.len() <= COPIED {
            meta.extend_from_slice(piece);
            return file.write_all(&meta);
        }
        let written = file.write_vectored(&[IoSlice::new(&meta), IoSlice::new(piece)])?;
        if written < meta.len() {
            file.write_all(&meta[written..])?;
            return file.write_all(piece);
        }
        file.write_all(&piece[written - meta.len()..])
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            self.file = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}
