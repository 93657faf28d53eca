//! Which attributes have columns, and to which level of the hierarchy every attribute belongs: PS3.4 C.6.1.1
//! and C.6.2.1, with the modules of PS3.3 for what is not named there.

use dicomet_proto::dataset::{Tag, VR};
use dicomet_proto::query::Level;

/// Tags that the index knows by name.
#[allow(missing_docs, reason = "the names are those of PS3.6")]
pub(crate) mod tags {
    use dicomet_proto::dataset::Tag;

    pub(crate) const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
    pub(crate) const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
    pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
    pub(crate) const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
    pub(crate) const SERIES_DATE: Tag = Tag(0x0008, 0x0021);
    pub(crate) const STUDY_TIME: Tag = Tag(0x0008, 0x0030);
    pub(crate) const SERIES_TIME: Tag = Tag(0x0008, 0x0031);
    pub(crate) const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
    pub(crate) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
    pub(crate) const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
    pub(crate) const INSTANCE_AVAILABILITY: Tag = Tag(0x0008, 0x0056);
    pub(crate) const MODALITY: Tag = Tag(0x0008, 0x0060);
    pub(crate) const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
    pub(crate) const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
    pub(crate) const ANATOMIC_REGIONS_IN_STUDY: Tag = Tag(0x0008, 0x0063);
    pub(crate) const INSTITUTION_NAME: Tag = Tag(0x0008, 0x0080);
    pub(crate) const REFERRING_PHYSICIAN_NAME: Tag = Tag(0x0008, 0x0090);
    pub(crate) const STATION_NAME: Tag = Tag(0x0008, 0x1010);
    pub(crate) const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
    pub(crate) const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103E);
    pub(crate) const ANATOMIC_REGION: Tag = Tag(0x0008, 0x2218);
    pub(crate) const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
    pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
    pub(crate) const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);
    pub(crate) const PATIENT_BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
    pub(crate) const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
    pub(crate) const BODY_PART_EXAMINED: Tag = Tag(0x0018, 0x0015);
    pub(crate) const PROTOCOL_NAME: Tag = Tag(0x0018, 0x1030);
    pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
    pub(crate) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
    pub(crate) const STUDY_ID: Tag = Tag(0x0020, 0x0010);
    pub(crate) const SERIES_NUMBER: Tag = Tag(0x0020, 0x0011);
    pub(crate) const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
    pub(crate) const PATIENT_RELATED_STUDIES: Tag = Tag(0x0020, 0x1200);
    pub(crate) const PATIENT_RELATED_SERIES: Tag = Tag(0x0020, 0x1202);
    pub(crate) const PATIENT_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1204);
    pub(crate) const STUDY_RELATED_SERIES: Tag = Tag(0x0020, 0x1206);
    pub(crate) const STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);
    pub(crate) const SERIES_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1209);
}

/// Whose name a row of `person_name` holds; the numbers are in the database.
pub(crate) mod names {
    pub(crate) const OF_PATIENT: i64 = 1;
    pub(crate) const OF_STUDY_PATIENT: i64 = 2;
    pub(crate) const OF_REFERRING_PHYSICIAN: i64 = 3;
}

/// How an attribute with a column is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By comparing this column, which holds the search form.
    Column(&'static str),
    /// By the rows of `person_name` with this number, whose owner is this column.
    Name(i64, &'static str),
    /// By the rows of a table `(study, value)`: table and value column.
    OfStudy(&'static str, &'static str),
    /// It is counted: the value is a number.
    Count,
}

/// An attribute with a column.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) tag: Tag,
    pub(crate) vr: VR,
    pub(crate) level: Level,
    /// The expression that gives the value as received.
    pub(crate) value: &'static str,
    pub(crate) kind: Kind,
}

const fn column(tag: Tag, vr: VR, level: Level, value: &'static str) -> Attribute {
    Attribute { tag, vr, level, value, kind: Kind::Column(value) }
}

const fn searched(tag: Tag, vr: VR, level: Level, value: &'static str, search: &'static str) -> Attribute {
    Attribute { tag, vr, level, value, kind: Kind::Column(search) }
}

const fn count(tag: Tag, level: Level, value: &'static str) -> Attribute {
    Attribute { tag, vr: VR::IS, level, value, kind: Kind::Count }
}

/// The attributes of a query at PATIENT level.
#[rustfmt::skip]
const OF_PATIENTS: &[Attribute] = &[
    Attribute { tag: tags::PATIENT_NAME, vr: VR::PN, level: Level::Patient, value: "patient.patient_name",
        kind: Kind::Name(names::OF_PATIENT, "patient.id") },
    column(tags::PATIENT_ID, VR::LO, Level::Patient, "patient.patient_id"),
    column(tags::ISSUER_OF_PATIENT_ID, VR::LO, Level::Patient, "patient.issuer_of_patient_id"),
    searched(tags::PATIENT_BIRTH_DATE, VR::DA, Level::Patient, "patient.patient_birth_date", "patient.patient_birth_date_search"),
    column(tags::PATIENT_SEX, VR::CS, Level::Patient, "patient.patient_sex"),
    count(tags::PATIENT_RELATED_STUDIES, Level::Patient, "(SELECT COUNT(*) FROM study WHERE patient = patient.id)"),
    count(tags::PATIENT_RELATED_SERIES, Level::Patient, "(SELECT COALESCE(SUM(s.series), 0) FROM study AS s WHERE s.patient = patient.id)"),
    count(tags::PATIENT_RELATED_INSTANCES, Level::Patient, "(SELECT COALESCE(SUM(s.instances), 0) FROM study AS s WHERE s.patient = patient.id)"),
];

/// The attributes of queries below: a study has its own copy of the patient's.
#[rustfmt::skip]
const OF_STUDIES: &[Attribute] = &[
    Attribute { tag: tags::PATIENT_NAME, vr: VR::PN, level: Level::Patient, value: "study.patient_name",
        kind: Kind::Name(names::OF_STUDY_PATIENT, "study.id") },
    column(tags::PATIENT_ID, VR::LO, Level::Patient, "study.patient_id"),
    column(tags::ISSUER_OF_PATIENT_ID, VR::LO, Level::Patient, "study.issuer_of_patient_id"),
    searched(tags::PATIENT_BIRTH_DATE, VR::DA, Level::Patient, "study.patient_birth_date", "study.patient_birth_date_search"),
    column(tags::PATIENT_SEX, VR::CS, Level::Patient, "study.patient_sex"),
    count(tags::PATIENT_RELATED_STUDIES, Level::Patient, "(SELECT COUNT(*) FROM study AS s WHERE s.patient = study.patient)"),
    count(tags::PATIENT_RELATED_SERIES, Level::Patient, "(SELECT COALESCE(SUM(s.series), 0) FROM study AS s WHERE s.patient = study.patient)"),
    count(tags::PATIENT_RELATED_INSTANCES, Level::Patient, "(SELECT COALESCE(SUM(s.instances), 0) FROM study AS s WHERE s.patient = study.patient)"),
    column(tags::STUDY_INSTANCE_UID, VR::UI, Level::Study, "study.study_instance_uid"),
    searched(tags::STUDY_DATE, VR::DA, Level::Study, "study.study_date", "study.study_date_search"),
    searched(tags::STUDY_TIME, VR::TM, Level::Study, "study.study_time", "study.study_time_search"),
    column(tags::ACCESSION_NUMBER, VR::SH, Level::Study, "study.accession_number"),
    column(tags::STUDY_ID, VR::SH, Level::Study, "study.study_id"),
    column(tags::STUDY_DESCRIPTION, VR::LO, Level::Study, "study.study_description"),
    Attribute { tag: tags::REFERRING_PHYSICIAN_NAME, vr: VR::PN, level: Level::Study, value: "study.referring_physician_name",
        kind: Kind::Name(names::OF_REFERRING_PHYSICIAN, "study.id") },
    Attribute { tag: tags::MODALITIES_IN_STUDY, vr: VR::CS, level: Level::Study, value: "study.modalities",
        kind: Kind::OfStudy("study_modality", "modality") },
    Attribute { tag: tags::SOP_CLASSES_IN_STUDY, vr: VR::UI, level: Level::Study, value: "study.sop_classes",
        kind: Kind::OfStudy("study_sop_class", "sop_class") },
    count(tags::STUDY_RELATED_SERIES, Level::Study, "study.series"),
    count(tags::STUDY_RELATED_INSTANCES, Level::Study, "study.instances"),
    column(tags::SERIES_INSTANCE_UID, VR::UI, Level::Series, "series.series_instance_uid"),
    column(tags::MODALITY, VR::CS, Level::Series, "series.modality"),
    searched(tags::SERIES_NUMBER, VR::IS, Level::Series, "series.series_number", "series.series_number_search"),
    column(tags::SERIES_DESCRIPTION, VR::LO, Level::Series, "series.series_description"),
    searched(tags::SERIES_DATE, VR::DA, Level::Series, "series.series_date", "series.series_date_search"),
    searched(tags::SERIES_TIME, VR::TM, Level::Series, "series.series_time", "series.series_time_search"),
    column(tags::BODY_PART_EXAMINED, VR::CS, Level::Series, "series.body_part_examined"),
    column(tags::PROTOCOL_NAME, VR::LO, Level::Series, "series.protocol_name"),
    column(tags::STATION_NAME, VR::SH, Level::Series, "series.station_name"),
    column(tags::INSTITUTION_NAME, VR::LO, Level::Series, "series.institution_name"),
    count(tags::SERIES_RELATED_INSTANCES, Level::Series, "series.instances"),
    column(tags::SOP_INSTANCE_UID, VR::UI, Level::Image, "instance.sop_instance_uid"),
    column(tags::SOP_CLASS_UID, VR::UI, Level::Image, "instance.sop_class_uid"),
    searched(tags::INSTANCE_NUMBER, VR::IS, Level::Image, "instance.instance_number", "instance.instance_number_search"),
];

/// Columns that an index of their own begins with: those of the keys that select few of however many.
pub(crate) const INDEXED: &[&str] = &[
    "patient.patient_id",
    "patient.patient_birth_date_search",
    "study.patient_id",
    "study.patient_birth_date_search",
    "study.study_instance_uid",
    "study.study_date_search",
    "study.accession_number",
    "study.study_id",
    "series.series_instance_uid",
    "instance.sop_instance_uid",
];

/// The attribute with a column, as a query at this level sees it.
pub(crate) fn attribute(tag: Tag, level: Level) -> Option<&'static Attribute> {
    let known = if level == Level::Patient { OF_PATIENTS } else { OF_STUDIES };
    known.iter().find(|attribute| attribute.tag == tag)
}

/// Whether the value that an instance has of an attribute goes into a column: all of it, since there nothing can say that
/// it is in the file.
pub(crate) fn has_column_for_value(tag: Tag) -> bool {
    let has_column = |attribute: &Attribute| matches!(attribute.kind, Kind::Column(_) | Kind::Name(..));
    attribute(tag, Level::Image).is_some_and(has_column)
}

/// The level to which an attribute belongs.
///
/// What is in none of the modules of patient, study and series can differ from instance to instance.
pub(crate) fn level_of(tag: Tag) -> Level {
    if let Some(attribute) = OF_STUDIES.iter().find(|attribute| attribute.tag == tag) {
        return attribute.level;
    }
    match tag {
        // Patient Study module, PS3.3 C.7.2.2: what of a patient changes from study to study.
        Tag(0x0010, 0x1010 | 0x1020 | 0x1021 | 0x1022 | 0x1023 | 0x1024 | 0x1030 | 0x2000 | 0x2110) => {
            Level::Study
        }
        Tag(0x0010, 0x2180 | 0x21A0 | 0x21B0 | 0x21C0 | 0x21D0 | 0x2203) => Level::Study,
        // Patient module and clinical trial subject, PS3.3 C.7.1.1, C.7.1.3.
        Tag(0x0010, _) => Level::Patient,
        Tag(0x0012, 0x0010..=0x0042 | 0x0062..=0x0064 | 0x0081..=0x0082) => Level::Patient,
        Tag(0x0008, 0x1120) => Level::Patient,
        // General Study and clinical trial study, PS3.3 C.7.2.1, C.7.2.3.
        Tag(
            0x0008,
            0x0051 | 0x0063 | 0x0096 | 0x009C | 0x009D | 0x1032 | 0x1048 | 0x1049 | 0x1060 | 0x1062 | 0x1080,
        ) => Level::Study,
        Tag(0x0008, 0x1084 | 0x1110) => Level::Study,
        Tag(0x0012, 0x0050..=0x0053 | 0x0083..=0x0085) => Level::Study,
        Tag(0x0032, _) | Tag(0x0038, _) => Level::Study,
        // Other Study Numbers, a key of STUDY by PS3.4 Table C.6-5.
        Tag(0x0020, 0x1070) | Tag(0x0040, 0x1012 | 0x2016 | 0x2017) => Level::Study,
        // General Series, General Equipment, Frame of Reference, clinical trial series: PS3.3 C.7.3.1, C.7.5.1, C.7.4.1.
        Tag(
            0x0008,
            0x0064 | 0x0068 | 0x0070 | 0x0081 | 0x1040 | 0x1050 | 0x1052 | 0x1070 | 0x1072 | 0x103F,
        ) => Level::Series,
        Tag(0x0008, 0x1090 | 0x1111 | 0x1250) => Level::Series,
        Tag(0x0012, 0x0060 | 0x0071 | 0x0072) => Level::Series,
        Tag(0x0018, 0x1000 | 0x1002 | 0x1008 | 0x1020 | 0x1050 | 0x1200 | 0x1201 | 0x5100) => Level::Series,
        Tag(0x0020, 0x0052 | 0x0060 | 0x1040) | Tag(0x0028, 0x0108 | 0x0109) => Level::Series,
        Tag(0x0040, 0x0244 | 0x0245 | 0x0250 | 0x0251 | 0x0253 | 0x0254 | 0x0260 | 0x0275 | 0x0280) => {
            Level::Series
        }
        _ => Level::Image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attribute_is_listed_twice() {
        for known in [OF_PATIENTS, OF_STUDIES] {
            for (position, attribute) in known.iter().enumerate() {
                assert!(
                    known[position + 1..].iter().all(|other| other.tag != attribute.tag),
                    "{:?}",
                    attribute.tag
                );
            }
        }
    }
}
