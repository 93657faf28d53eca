//! The user's keys, sorted by the level they belong to, and what of a peer's answers fits them.

use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::Level;

use super::{MODALITIES_IN_STUDY, MODALITY};

/// The user's keys, by the level they belong to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::retrieve) struct Keys {
    pub(in crate::retrieve) study: DataSet,
    pub(in crate::retrieve) series: DataSet,
    pub(in crate::retrieve) image: DataSet,
}

impl Keys {
    /// Sorts keys. A key of no known level is taken for one of the study.
    pub(super) fn sort(keys: &DataSet) -> Keys {
        let mut sorted = Keys { study: DataSet::new(), series: DataSet::new(), image: DataSet::new() };
        for tag in keys.tags() {
            match level_of(tag) {
                Level::Image => sorted.image.copy(tag, keys),
                Level::Series => sorted.series.copy(tag, keys),
                _ => sorted.study.copy(tag, keys),
            }
        }
        // What of the series is of this modality is in studies that have it: fewer studies to look into.
        if let Some(modality) = keys.text(MODALITY)
            && !keys.contains(MODALITIES_IN_STUDY)
            && !modality.contains(['*', '?', '\\'])
        {
            sorted.study.set_text(MODALITIES_IN_STUDY, &modality);
        }
        sorted
    }

    /// Whether a key of series or image level has a value, so that it narrows what is fetched.
    pub(super) fn narrows(keys: &DataSet) -> bool {
        keys.tags().any(|tag| keys.text(tag).is_some_and(|text| text != "*"))
    }
}

/// The level of an attribute in the Study Root model: PS3.4 C.6.1.1.4, C.6.1.1.5 and common optional keys.
fn level_of(tag: Tag) -> Level {
    match (tag.0, tag.1) {
        (0x0008, 0x0016 | 0x0018 | 0x0008 | 0x0012 | 0x0013 | 0x0022 | 0x0023 | 0x002A | 0x0032 | 0x0033)
        | (0x0020, 0x0012 | 0x0013)
        | (0x0028, _)
        | (0x0040, 0xA043 | 0xA491 | 0xA493 | 0xA032) => Level::Image,
        (0x0008, 0x0060 | 0x0021 | 0x0031 | 0x103E | 0x1070 | 0x1050 | 0x1010)
        | (0x0018, 0x0015 | 0x1030)
        | (0x0020, 0x000E | 0x0011 | 0x0060 | 0x1209)
        | (0x0040, 0x0244 | 0x0245 | 0x0275) => Level::Series,
        _ => Level::Study,
    }
}

/// Whether an answer fits keys that a peer may have ignored: single values and lists of UIDs are compared, the rest
/// is the peer's to match.
pub(super) fn fits(answer: &DataSet, keys: &DataSet) -> bool {
    keys.tags().all(|tag| {
        let wanted = keys.texts(tag);
        let is_plain =
            !wanted.is_empty() && wanted.iter().all(|value| !value.contains(['*', '?']) && !value.is_empty());
        let is_code = tag == MODALITY || keys.vr(tag) == Some(dicomet_proto::dataset::VR::UI);
        match answer.text(tag) {
            Some(value) if is_plain && is_code => wanted.contains(&value),
            _ => true,
        }
    })
}
