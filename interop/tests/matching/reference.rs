//! The plain look: every instance's header in memory, and every key held against it.
//!
//! A patient, study or series has the values of its first instance. Which was first is nobody's business here: where
//! the instances below an entity disagree about a key, it may match or not. Keys are matched one by one, each against
//! the instances of the entity that the key's attribute belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dicomet_proto::dataset::scan::walk;
use dicomet_proto::dataset::{DataSet, FileMeta, Tag};
use dicomet_proto::query::{Level, Query};

use crate::Counts;

pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);

/// The attributes that are asked for, by level. What the archive holds in columns, and some that it does not.
pub(crate) const KEYS: &[(Level, &[Tag])] = &[
    (
        Level::Patient,
        &[Tag(0x0010, 0x0010), PATIENT_ID, Tag(0x0010, 0x0030), Tag(0x0010, 0x0040), Tag(0x0010, 0x2160)],
    ),
    (
        Level::Study,
        &[
            STUDY_INSTANCE_UID,
            Tag(0x0008, 0x0020),
            Tag(0x0008, 0x0030),
            Tag(0x0008, 0x0050),
            Tag(0x0008, 0x0090),
            Tag(0x0008, 0x1030),
            Tag(0x0020, 0x0010),
            MODALITIES_IN_STUDY,
            SOP_CLASSES_IN_STUDY,
            Tag(0x0010, 0x1010),
        ],
    ),
    (
        Level::Series,
        &[
            SERIES_INSTANCE_UID,
            MODALITY,
            Tag(0x0020, 0x0011),
            Tag(0x0008, 0x103E),
            Tag(0x0008, 0x0021),
            Tag(0x0008, 0x0031),
            Tag(0x0018, 0x0015),
            Tag(0x0008, 0x0070),
            Tag(0x0008, 0x1010),
        ],
    ),
    (
        Level::Image,
        &[
            SOP_INSTANCE_UID,
            SOP_CLASS_UID,
            Tag(0x0020, 0x0013),
            Tag(0x0008, 0x0008),
            Tag(0x0008, 0x0023),
            Tag(0x0018, 0x0050),
            Tag(0x0028, 0x0010),
            Tag(0x0028, 0x0004),
        ],
    ),
];

/// The level of one of [`KEYS`].
pub(crate) fn level_of(tag: Tag) -> Level {
    KEYS.iter().find(|(_, tags)| tags.contains(&tag)).map_or(Level::Image, |(level, _)| *level)
}

/// What there is.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) instances: Vec<Instance>,
}

/// An instance, and what it is part of.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) header: DataSet,
    /// Patient, study, series, instance: each the whole way down to it.
    path: [String; 4],
}

/// The header of a DICOM file, which is as far as an archive reads.
pub(crate) fn header(path: &Path) -> Option<DataSet> {
    let mut file = File::open(path).ok()?;
    let (meta, start) = FileMeta::read(&mut file).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    DataSet::parse(&bytes, &meta.transfer_syntax)
        .or_else(|_| walk(&bytes[..], &meta.transfer_syntax).map(|header| header.data_set))
        .ok()
}

impl Reference {
    pub(crate) fn of_files(paths: &[PathBuf]) -> Reference {
        let mut instances: Vec<Instance> =
            paths.iter().filter_map(|path| header(path)).map(Instance::new).collect();
        let mut modalities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut sop_classes = modalities.clone();
        for instance in &instances {
            let study = &instance.path[1];
            modalities.entry(study.clone()).or_default().extend(instance.header.text(MODALITY));
            sop_classes.entry(study.clone()).or_default().extend(instance.header.text(SOP_CLASS_UID));
        }
        let joined = |list: &BTreeSet<String>| list.iter().cloned().collect::<Vec<_>>().join("\\");
        for instance in &mut instances {
            let study = &instance.path[1];
            instance.header.set_text(MODALITIES_IN_STUDY, &joined(&modalities[study]));
            instance.header.set_text(SOP_CLASSES_IN_STUDY, &joined(&sop_classes[study]));
        }
        Reference { instances }
    }

    pub(crate) fn studies(&self) -> usize {
        self.instances.iter().map(|instance| &instance.path[1]).collect::<BTreeSet<_>>().len()
    }

    /// What a query is to be answered with.
    pub(crate) fn matches(&self, query: &Query) -> Expected {
        let keys: Vec<(Verdicts, usize)> = query.keys.tags().map(|tag| self.verdicts(tag, query)).collect();
        let mut expected = Expected::default();
        let mut seen = BTreeSet::new();
        for instance in &self.instances {
            if !seen.insert(instance.part_of(query.level)) {
                continue;
            }
            let of_keys = keys.iter().map(|(verdicts, part)| verdicts[instance.path[*part].as_str()]);
            let (certainly, possibly) =
                of_keys.fold((true, true), |(all, any), of_key| (all && of_key.0, any && of_key.1));
            if possibly {
                // An entity whose instances write their identifier differently is shown with the first one's.
                let name = instance.header.text(query.level.unique_key()).unwrap_or_default();
                let (least, most) = expected.0.entry(name).or_default();
                *least += usize::from(certainly);
                *most += 1;
            }
        }
        expected
    }

    /// Whether a key matches all instances of each entity that its attribute belongs to, and whether any; and where
    /// in the path such entities are.
    fn verdicts(&self, tag: Tag, query: &Query) -> (Verdicts<'_>, usize) {
        let mut alone = Query::new(query.model, query.level);
        alone.keys.copy(tag, &query.keys);
        // Below PATIENT level, a study has its own copy of what is said of the patient.
        let part = part_of(level_of(tag).max(query.level.min(Level::Study)));
        let mut verdicts = Verdicts::new();
        for instance in &self.instances {
            let matches = alone.matches(&instance.header);
            let verdict = verdicts.entry(instance.path[part].as_str()).or_insert((true, false));
            *verdict = (verdict.0 && matches, verdict.1 || matches);
        }
        (verdicts, part)
    }
}

/// By entity: whether a key matches all of its instances, and whether any.
type Verdicts<'a> = BTreeMap<&'a str, (bool, bool)>;

fn part_of(level: Level) -> usize {
    match level {
        Level::Patient => 0,
        Level::Study => 1,
        Level::Series => 2,
        Level::Image => 3,
    }
}

impl Instance {
    fn new(mut header: DataSet) -> Instance {
        // One of no patient is in a study and a series named as its class (CONFORMANCE.md).
        for uid in [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID] {
            if !header.contains(uid) {
                header.set_text(uid, &header.text(SOP_CLASS_UID).unwrap_or_default());
            }
        }
        let text = |tag: Tag| header.text(tag).unwrap_or_default();
        let (id, study) = (text(PATIENT_ID), text(STUDY_INSTANCE_UID));
        // Who has no ID is nobody else.
        let patient = match id.as_str() {
            "" => format!("of {study}"),
            id => format!("{id} {}", text(ISSUER_OF_PATIENT_ID)),
        };
        let study = format!("{patient} {study}");
        let series = format!("{study} {}", text(SERIES_INSTANCE_UID));
        let instance = text(SOP_INSTANCE_UID);
        Instance { header, path: [patient, study, series, instance] }
    }

    fn part_of(&self, level: Level) -> &str {
        &self.path[part_of(level)]
    }
}

/// By the unique key of the level: how many matches there are at least and at most.
#[derive(Debug, Default)]
pub(crate) struct Expected(BTreeMap<String, (usize, usize)>);

impl Expected {
    pub(crate) fn undecided(&self) -> usize {
        self.0.values().map(|(least, most)| most - least).sum()
    }

    pub(crate) fn agrees_with(&self, answers: &Counts) -> bool {
        let got = |name: &String| answers.get(name).copied().unwrap_or_default();
        self.0.iter().all(|(name, (least, most))| (*least..=*most).contains(&got(name)))
            && answers.keys().all(|name| self.0.contains_key(name))
    }

    pub(crate) fn difference(&self, answers: &Counts) -> String {
        let least: usize = self.0.values().map(|(least, _)| least).sum();
        let missing =
            self.0.iter().find(|(name, (least, _))| answers.get(*name).copied().unwrap_or(0) < *least);
        let surplus =
            answers.iter().find(|(name, count)| self.0.get(*name).is_none_or(|(_, most)| *count > most));
        let total: usize = answers.values().sum();
        let named = |name: Option<&String>| name.map_or("none".to_owned(), |name| format!("'{name}'"));
        format!(
            "{total} answers instead of {least}; missing {}, surplus {}",
            named(missing.map(|(name, _)| name)),
            named(surplus.map(|(name, _)| name))
        )
    }
}
