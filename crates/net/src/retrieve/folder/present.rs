//! What is in the folder already. It is looked at, not remembered: a file counts when it holds the instance and is as
//! long as the journal knows it, or, where the journal knows nothing, when it is whole as its structure says.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;

use super::Folder;
use crate::retrieve::head;
use crate::retrieve::inventory::Study;
use crate::retrieve::journal::{Here, Noted};
use crate::retrieve::verify::Present;

/// How deep an output folder is looked through.
const MAX_DEPTH: usize = 16;

impl Folder {
    /// Notes in the journal what is expected of a study, and answers which of its instances are here, whole.
    pub fn expect(&self, study: &Study) -> Present {
        let Noted { here, series } = self.journal.expect(study);
        let mut present = Present::default();
        // Instances of a series follow one another: whether their folder is there is asked once.
        let mut last_folder = (PathBuf::new(), false);
        for (series, instance) in study
            .series
            .iter()
            .flat_map(|series| series.instances.iter().map(move |instance| (&series.uid, &instance.uid)))
        {
            let path = if self.layout.is_by_uids() {
                let path = self.path_by_uids(&study.uid, series, instance);
                let folder = path.parent().unwrap_or(&self.root);
                if last_folder.0 != folder {
                    last_folder = (folder.to_owned(), folder.is_dir());
                }
                last_folder.1.then_some(path)
            } else {
                self.listed(instance)
            };
            if path.is_some_and(|path| is_whole(&path, instance, here.get(instance).copied())) {
                present.named.push(instance.clone());
            }
        }
        if !study.is_named {
            present.unnamed = self.unnamed(study, here, &series);
        }
        present
    }

    /// What came in earlier runs and was not named now, with its series where the path tells it.
    fn unnamed(&self, study: &Study, here: Here, series: &[Uid]) -> Vec<(Option<Uid>, Uid)> {
        let named: HashSet<&Uid> =
            study.series.iter().flat_map(|series| &series.instances).map(|one| &one.uid).collect();
        let others = here.into_iter().filter(|(instance, _)| !named.contains(instance));
        let find = |instance: &Uid| {
            if !self.layout.is_by_uids() {
                return Some((None, self.listed(instance)?));
            }
            let path_in = |series: &Uid| self.path_by_uids(&study.uid, series, instance);
            let series = series.iter().find(|series| path_in(series).is_file())?;
            Some((Some(series.clone()), path_in(series)))
        };
        let here = others.filter_map(|(instance, length)| {
            let (series, path) = find(&instance)?;
            is_whole(&path, &instance, Some(length)).then_some((series, instance))
        });
        here.collect()
    }

    /// Notes in the journal what is expected of a study, as far as it is known, without looking for it.
    pub fn note_expected(&self, study: &Study) {
        self.journal.expect(study);
    }

    /// Whether nothing of a study can be here, as the folders tell where its series have their own, or else as nothing is
    /// here at all.
    pub fn has_nothing_of(&self, study: &Study) -> bool {
        match self.layout.series_folder(&study.uid, &study.uid) {
            Some(folder) => folder.parent().is_some_and(|folder| !self.root.join(folder).exists()),
            None => self.listing(|listed| listed.is_empty()),
        }
    }

    /// Where an instance is, by a layout of UIDs alone.
    pub(super) fn path_by_uids(&self, study: &Uid, series: &Uid, instance: &Uid) -> PathBuf {
        self.root.join(self.components(study, series, instance, &|_| None).join("/"))
    }

    /// Where an instance is, where its name does not tell. The folder is looked through once; what comes later is added.
    pub(super) fn listed(&self, instance: &Uid) -> Option<PathBuf> {
        self.listing(|listed| listed.get(instance).cloned())
    }

    fn listing<T>(&self, look: impl FnOnce(&HashMap<Uid, PathBuf>) -> T) -> T {
        let mut listed = self.listed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        look(listed.get_or_insert_with(|| list(&self.root)))
    }

    /// Adds what has come to what was found by looking through the folder.
    pub(super) fn note_listed(&self, instance: &Uid, path: &Path) {
        let mut listed = self.listed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(listed) = listed.as_mut() {
            listed.insert(instance.clone(), path.to_owned());
        }
    }
}

/// Whether a file holds this instance, and all that it held when it got its name. One that is just as long is as it
/// came, and came with its end.
pub(super) fn is_whole(path: &Path, instance: &Uid, noted: Option<u64>) -> bool {
    let length = || fs::metadata(path).map_or(0, |metadata| metadata.len());
    match noted.map(|noted| length().cmp(&noted)) {
        Some(Ordering::Less) => false,
        Some(Ordering::Equal) => head::sop_instance_uid(path).as_ref() == Some(instance),
        Some(Ordering::Greater) | None => head::is_whole(path, instance),
    }
}

/// The DICOM files below an output folder by their SOP Instance UID.
pub(super) fn list(root: &Path) -> HashMap<Uid, PathBuf> {
    let mut files = HashMap::new();
    collect(root, MAX_DEPTH, &mut files);
    files
}

/// Symbolic links are not followed.
fn collect(folder: &Path, depth: usize, files: &mut HashMap<Uid, PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth > 0 && entry.file_name() != super::OURS {
            collect(&path, depth - 1, files);
        } else if kind.is_file()
            && let Some(uid) = head::sop_instance_uid(&path)
        {
            files.insert(uid, path);
        }
    }
}
