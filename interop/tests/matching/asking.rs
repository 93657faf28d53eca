//! What to ask, of which files, and how answers are counted: for the test and for the list of differences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicomet_interop::asker::Answers;
use dicomet_interop::files::dicom_files;
use dicomet_interop::pynetdicom::pydicom_test_files;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::{Model, Query};
use tempfile::TempDir;

use crate::reference;

/// Answers by the unique key of the level: patients without an ID have the same.
pub(crate) type Counts = BTreeMap<String, usize>;

/// How many queries to make.
pub(crate) fn wanted() -> usize {
    std::env::var("DICOMET_MATCHING_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

/// The files in a folder of their own, one for each SOP Instance UID, and their paths in it.
pub(crate) fn distinct_instances() -> (TempDir, Vec<PathBuf>) {
    // Beside the test files lie those in all character sets.
    let mut sources = dicom_files(pydicom_test_files().parent().unwrap());
    for folder in std::env::var("DICOMET_MATCHING_FILES").iter().flat_map(|list| list.split(':')) {
        sources.extend(dicom_files(Path::new(folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut paths = Vec::new();
    for source in sources {
        let Some(header) = reference::header(&source) else { continue };
        let Some(uid) = header.uid(reference::SOP_INSTANCE_UID) else { continue };
        if seen.insert(uid) {
            let path = folder.path().join(format!("{:05}.dcm", paths.len()));
            std::fs::copy(&source, &path).unwrap();
            paths.push(path);
        }
    }
    (folder, paths)
}

pub(crate) fn encoded(query: &Query) -> Vec<u8> {
    query.identifier().encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap()
}

pub(crate) fn counts(answers: Answers, query: &Query) -> (Counts, u16) {
    let mut counts = Counts::new();
    for bytes in &answers.identifiers {
        let identifier = DataSet::parse(bytes, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        *counts.entry(identifier.text(query.level.unique_key()).unwrap_or_default()).or_default() += 1;
    }
    (counts, answers.status)
}

pub(crate) fn shown(query: &Query) -> String {
    let model = if query.model == Model::PatientRoot { "patient root" } else { "study root" };
    let keys: Vec<String> = query
        .keys
        .tags()
        .map(|tag| {
            let name = dicomet_proto::dataset::dictionary::keyword_of(tag).unwrap_or("?");
            format!("{name}={}", query.keys.text(tag).unwrap_or_default())
        })
        .collect();
    format!("{model}, {}: {}", query.level, keys.join(", "))
}
