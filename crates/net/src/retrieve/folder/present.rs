//! What is in the folder already. It is looked at, not remembered: a file counts when it holds the instance and all of
//! it, as its structure says, and is no shorter than the journal knows it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use dicomet_proto::Uid;

use super::Folder;
use crate::retrieve::head;
use crate::retrieve::inventory::Study;

/// How deep an output folder is looked through.
const MAX_DEPTH: usize = 16;

impl Folder {
    /// Notes in the journal what is expected of a study, and answers which of its instances are here, whole.
    pub fn expect(&self, study: &Study) -> Vec<Uid> {
        let lengths = self.journal.expect(study);
        let mut here = Vec::new();
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
                self.listed().get(instance).cloned()
            };
            if path.is_some_and(|path| is_whole(&path, instance, lengths.get(instance).copied())) {
                here.push(instance.clone());
            }
        }
        here
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
            None => self.listed().is_empty(),
        }
    }

    /// Where an instance is, by a layout of UIDs alone.
    fn path_by_uids(&self, study: &Uid, series: &Uid, instance: &Uid) -> PathBuf {
        self.root.join(self.components(study, series, instance, &|_| None).join("/"))
    }

    /// The instances that were in the folder when it was first asked for, where their names do not tell.
    fn listed(&self) -> &HashMap<Uid, PathBuf> {
        self.listed.get_or_init(|| list(&self.root))
    }
}

/// Whether a file holds this instance, and all that it held when it got its name.
pub(super) fn is_whole(path: &Path, instance: &Uid, length: Option<u64>) -> bool {
    let is_shorter = |length| fs::metadata(path).map_or(true, |metadata| metadata.len() < length);
    head::is_whole(path, instance) && !length.is_some_and(is_shorter)
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
