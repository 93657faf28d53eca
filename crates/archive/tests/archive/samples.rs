//! Instances and queries for the tests, and the shortest ways to store and ask.

use std::fs;
use std::path::{Path, PathBuf};

use dicomet_archive::{Archive, Error, Incoming, Provenance, Settings, Stored};
use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Level, Model, Query};
use dicomet_testkit::instance::{Instance, Pixels};
use tempfile::TempDir;

#[rustfmt::skip]
pub(crate) mod tags {
    use dicomet_proto::dataset::Tag;

    pub(crate) const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
    pub(crate) const STUDY_TIME: Tag = Tag(0x0008, 0x0030);
    pub(crate) const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
    pub(crate) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
    pub(crate) const INSTANCE_AVAILABILITY: Tag = Tag(0x0008, 0x0056);
    pub(crate) const MODALITY: Tag = Tag(0x0008, 0x0060);
    pub(crate) const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
    pub(crate) const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
    pub(crate) const MANUFACTURER: Tag = Tag(0x0008, 0x0070);
    pub(crate) const REFERRING_PHYSICIAN_NAME: Tag = Tag(0x0008, 0x0090);
    pub(crate) const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103E);
    pub(crate) const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
    pub(crate) const PERFORMING_PHYSICIAN_NAME: Tag = Tag(0x0008, 0x1050);
    pub(crate) const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
    pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
    pub(crate) const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
    pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
    pub(crate) const PATIENT_AGE: Tag = Tag(0x0010, 0x1010);
    pub(crate) const PATIENT_COMMENTS: Tag = Tag(0x0010, 0x4000);
    pub(crate) const SLICE_THICKNESS: Tag = Tag(0x0018, 0x0050);
    pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
    pub(crate) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
    pub(crate) const SERIES_NUMBER: Tag = Tag(0x0020, 0x0011);
    pub(crate) const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
    pub(crate) const SLICE_LOCATION: Tag = Tag(0x0020, 0x1041);
    pub(crate) const PATIENT_RELATED_STUDIES: Tag = Tag(0x0020, 0x1200);
    pub(crate) const PATIENT_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1204);
    pub(crate) const STUDY_RELATED_SERIES: Tag = Tag(0x0020, 0x1206);
    pub(crate) const STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);
    pub(crate) const SERIES_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1209);
}

pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(crate) const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// An archive in a folder of its own.
pub(crate) fn archive() -> (TempDir, Archive) {
    archive_with(Settings::default())
}

pub(crate) fn archive_with(settings: Settings) -> (TempDir, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&folder.path().join("data"), settings).unwrap();
    (folder, archive)
}

/// A CT slice: patient P1, study `2.999.1`, series `2.999.1.1` unless set otherwise.
pub(crate) fn slice(sop_instance: &str) -> Instance {
    Instance::new(CT, sop_instance)
        .with(tags::PATIENT_ID, "P1")
        .with(tags::PATIENT_NAME, "Bowen^William^^Dr")
        .with(tags::MODALITY, "CT")
        .in_series("2.999.1", "2.999.1.1")
        .pixels(Pixels::Native(512))
}

pub(crate) fn provenance(instance: &Instance, transfer_syntax: &str) -> Provenance {
    Provenance {
        sop_class: Uid::new(instance.text(tags::SOP_CLASS_UID)).unwrap(),
        sop_instance: Uid::new(instance.text(tags::SOP_INSTANCE_UID)).unwrap(),
        transfer_syntax: Uid::new(transfer_syntax).unwrap(),
        calling_ae_title: None,
    }
}

pub(crate) fn begin(archive: &Archive, instance: &Instance) -> Incoming {
    archive.receive(provenance(instance, EXPLICIT)).unwrap()
}

pub(crate) fn store(archive: &Archive, instance: &Instance) -> Result<Stored, Error> {
    store_bytes(archive, provenance(instance, EXPLICIT), &instance.data_set())
}

pub(crate) fn store_bytes(
    archive: &Archive,
    provenance: Provenance,
    data_set: &[u8],
) -> Result<Stored, Error> {
    let mut incoming = archive.receive(provenance)?;
    for piece in data_set.chunks(1000) {
        incoming.write(piece)?;
    }
    incoming.commit()
}

/// A Study Root query: a value, or an empty text to ask for it.
pub(crate) fn query(level: Level, keys: &[(Tag, &str)]) -> Query {
    query_in(Model::StudyRoot, level, keys)
}

pub(crate) fn query_in(model: Model, level: Level, keys: &[(Tag, &str)]) -> Query {
    let mut query = Query::new(model, level);
    for (tag, value) in keys {
        match *value {
            "" => query.keys.set_empty(*tag),
            value => query.keys.set_text(*tag, value),
        }
    }
    query
}

pub(crate) fn answers(archive: &Archive, query: &Query) -> Vec<DataSet> {
    archive.find(query).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The values of one attribute in the answers, sorted.
pub(crate) fn found(archive: &Archive, query: &Query, tag: Tag) -> Vec<String> {
    let mut found: Vec<String> =
        answers(archive, query).iter().map(|answer| answer.text(tag).unwrap_or_default()).collect();
    found.sort();
    found
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// The files of instances, without those that wait for one.
pub(crate) fn blobs(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let mut files = files_below(&folder.path().join("data/blobs"));
    files.retain(|file| fs::metadata(file).unwrap().len() > 0);
    files
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
