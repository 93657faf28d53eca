//! The output folder: each instance is written as it comes, under a temporary name until it is whole.
//!
//! ```text
//! DIR/.dicomet/lock                locked while a retrieve runs
//! DIR/.dicomet/parts/7             while it comes
//! DIR/<study>/<series>/<sop>.dcm   when it is whole, by one rename
//! DIR/.dicomet/studies/<study>     the journal
//! ```
//!
//! Writes are made inline: into the page cache they are as fast as anything else, and far from the price of a
//! thread hop each. No peer byte reaches a path but through [`Layout`].

mod check;
mod part;
mod present;
#[cfg(test)]
pub(super) mod room;
mod same;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;

use super::head;
use super::journal::Journal;
use super::layout::{self, Layout};

pub use check::{CheckError, Lack, Stock, check, has_journal};
pub use part::Part;

/// The folder of what is ours and no instance.
pub(super) const OURS: &str = ".dicomet";

/// Paths that are remembered to spare a look, so that a run of any length holds no more.
const MAX_REMEMBERED: usize = 65_536;

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
    /// The instances in the folder, where their names do not tell; `None` until they are asked for.
    listed: Mutex<Option<HashMap<Uid, PathBuf>>>,
    journal: Journal,
    /// Holds the lock, where the system has such locks.
    _lock: File,
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
        let ours = root.join(OURS);
        let parts = ours.join("parts");
        fs::create_dir_all(&parts).map_err(unwritable)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(ours.join("lock"));
        let lock = lock.map_err(unwritable)?;
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(FolderError::InUse { path: path() });
        }
        for stale in fs::read_dir(&parts).map_err(unwritable)?.flatten() {
            fs::remove_file(stale.path()).map_err(unwritable)?;
        }
        let probe = parts.join("probe");
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(unwritable)?;
        let journal = Journal::open(&ours).map_err(unwritable)?;
        Ok(Folder {
            root: root.to_owned(),
            journal,
            parts,
            layout,
            made: Mutex::default(),
            taken: Mutex::default(),
            next_part: AtomicU64::new(0),
            listed: Mutex::default(),
            _lock: lock,
        })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Begins an instance: a file under a temporary name, with `meta` (preamble and file meta information) in front.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self, meta: Vec<u8>) -> io::Result<Part> {
        let path = self.parts.join(self.next_part.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Part::new(file, path, meta))
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
        let bytes = part.close()?;
        let mut components = self.components(study, series, instance, value);
        let name = components.pop().unwrap_or_default();
        let folder = self.root.join(components.join("/"));
        let path = self.path_for(&folder, &name, instance);
        // Noted first: who is killed in between has a file that is as long as the journal says, or the one before it.
        self.journal.note(study, instance, bytes);
        if let Err(error) = self.make(&folder).and_then(|()| fs::rename(&part.path, &path)) {
            // Somebody may have removed the folder that we made.
            self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&folder);
            return Err(error);
        }
        part.path.clear();
        self.note_listed(instance, &path);
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
            if made.len() >= MAX_REMEMBERED {
                made.clear();
            }
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
                if taken.len() >= MAX_REMEMBERED {
                    // What stands is found in the folder.
                    taken.retain(|path, _| !path.exists());
                }
                taken.insert(candidate.clone(), instance.clone());
                return candidate;
            }
            candidate = folder.join(layout::numbered(name, number));
            number += 1;
        }
    }
}
