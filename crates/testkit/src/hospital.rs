//! A hospital of any size: instances with plausible headers made from their number, fast enough to fill an archive
//! with millions, and the questions to ask of it.
//!
//! The data set is written byte by byte in Explicit VR Little Endian: some 45 elements and 64 bytes of pixels, about
//! 1.3 KB. The same number in a hospital of the same size is always the same instance. No name is a real person's:
//! family names are put together from syllables.

pub use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use crate::instance::part10_head;
use crate::instance::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;

/// Studies, each of the same number of instances, spread over ten years. Every other study is of a patient who was
/// there before.
#[derive(Debug, Clone, Copy)]
pub struct Hospital {
    /// How many studies.
    pub studies: u64,
    /// How many instances in each, 20 to a series.
    pub instances: u64,
}

/// An instance and what is said of it before it is sent.
#[derive(Debug, Clone)]
pub struct Made {
    /// (0008,0016)
    pub sop_class_uid: &'static str,
    /// (0008,0018)
    pub sop_instance_uid: String,
    /// In Explicit VR Little Endian.
    pub data_set: Vec<u8>,
}

impl Made {
    /// The Part 10 file.
    pub fn part10(&self) -> Vec<u8> {
        let mut file = part10_head(self.sop_class_uid, &self.sop_instance_uid, EXPLICIT_VR_LITTLE_ENDIAN);
        file.extend_from_slice(&self.data_set);
        file
    }
}

/// One key to ask for at STUDY level.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it is, for a table.
    pub name: &'static str,
    /// The key.
    pub tag: Tag,
    /// Its VR.
    pub vr: &'static str,
    /// Its value.
    pub value: String,
    /// Whether about as many studies match in a large hospital as in a small one.
    pub is_selective: bool,
}

impl Question {
    /// What is asked to be returned besides, with the VRs; in the order of the tags.
    pub const RETURNED: &[(Tag, &str)] = &[
        (tags::STUDY_DATE, "DA"),
        (tags::STUDY_TIME, "TM"),
        (tags::ACCESSION_NUMBER, "SH"),
        (tags::STUDY_DESCRIPTION, "LO"),
        (tags::PATIENT_NAME, "PN"),
        (tags::PATIENT_ID, "LO"),
        (tags::STUDY_INSTANCE_UID, "UI"),
    ];

    /// The identifier of a C-FIND-RQ at STUDY level, in Explicit VR Little Endian.
    pub fn identifier(&self) -> Vec<u8> {
        let mut keys: Vec<(Tag, &str, &str)> =
            Question::RETURNED.iter().map(|(tag, vr)| (*tag, *vr, "")).collect();
        keys.retain(|(tag, ..)| *tag != self.tag);
        keys.push((self.tag, self.vr, &self.value));
        keys.push((tags::SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192"));
        keys.push((tags::QUERY_RETRIEVE_LEVEL, "CS", "STUDY"));
        keys.sort_by_key(|(tag, ..)| *tag);
        let mut to = Encoder(Vec::new());
        for (tag, vr, value) in keys {
            to.text(tag, vr, value);
        }
        to.0
    }
}

const DAYS: u64 = 3650;
const SERIES_LENGTH: u64 = 20;

/// Two letters each, so that four make a family name of eight.
const SYLLABLES: [&str; 32] = [
    "ba", "be", "bo", "da", "de", "do", "fa", "fe", "fo", "ga", "ge", "go", "ka", "ke", "ko", "la", "le",
    "lo", "ma", "me", "mo", "na", "ne", "no", "ra", "re", "ro", "sa", "se", "so", "ta", "te",
];
const GIVEN_NAMES: [&str; 16] = [
    "Anna", "Jörg", "María", "Liam", "Zoë", "Ahmed", "Yuki", "Noël", "Ivan", "Chloé", "Omar", "Ines", "Paul",
    "Łucja", "Tomáš", "Ruth",
];
const PHYSICIANS: [&str; 8] = [
    "House^Greta",
    "Quinn^Michaela",
    "Kildare^Jens",
    "Rieux^Bernard",
    "Tulp^Nico",
    "Watson^Jane",
    "Bones^Leo",
    "Foreman^Era",
];
/// Modality, SOP class, body part, what was done, studies of 5,000 that are of it.
const KINDS: [(&str, &str, &str, &str, u64); 7] = [
    ("CT", uids::CT_IMAGE_STORAGE, "CHEST", "CT chest with contrast", 1750),
    ("CR", uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, "HAND", "Hand, two views", 1250),
    ("MR", uids::MR_IMAGE_STORAGE, "HEAD", "MRI head, T1 and T2", 1000),
    ("US", uids::ULTRASOUND_IMAGE_STORAGE, "ABDOMEN", "Ultrasound of the abdomen", 899),
    ("NM", uids::NUCLEAR_MEDICINE_IMAGE_STORAGE, "THYROID", "Thyroid scintigraphy", 50),
    (
        COMMON_RARITY,
        uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
        "WHOLEBODY",
        "PET of the whole body",
        50,
    ),
    (RARITY, uids::OPHTHALMIC_PHOTOGRAPHY8_BIT_IMAGE_STORAGE, "EYE", "Fundus photography", 1),
];
/// One study of a hundred is of it.
const COMMON_RARITY: &str = "PT";
/// One of five thousand.
const RARITY: &str = "OP";

impl Hospital {
    /// How many instances there are: their numbers go from 0 to below this.
    pub fn len(&self) -> u64 {
        self.studies * self.instances
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The instance of this number; those of a study follow one another.
    pub fn instance(&self, number: u64) -> Made {
        let (study, instance) = (number / self.instances, number % self.instances);
        let (series, slice) = (instance / SERIES_LENGTH + 1, instance % SERIES_LENGTH + 1);
        let (modality, sop_class_uid, body_part, description) = self.kind(study);
        let patient = self.patient(study);
        let (study_uid, date, time) = (self.study_uid(study), self.date(study), time(study));
        let series_uid = format!("{study_uid}.{series}");
        let sop_instance_uid = format!("{series_uid}.{slice}");

        let mut to = Encoder(Vec::with_capacity(1536));
        to.text(tags::SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192");
        to.text(tags::IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
        to.text(tags::INSTANCE_CREATION_DATE, "DA", &date);
        to.text(tags::SOP_CLASS_UID, "UI", sop_class_uid);
        to.text(tags::SOP_INSTANCE_UID, "UI", &sop_instance_uid);
        to.text(tags::STUDY_DATE, "DA", &date);
        to.text(tags::SERIES_DATE, "DA", &date);
        to.text(tags::CONTENT_DATE, "DA", &date);
        to.text(tags::STUDY_TIME, "TM", &time);
        to.text(tags::SERIES_TIME, "TM", &time);
        to.text(tags::CONTENT_TIME, "TM", &format!("{time}.{slice:03}"));
        to.text(tags::ACCESSION_NUMBER, "SH", &accession_number(study));
        to.text(tags::MODALITY, "CS", modality);
        to.text(tags::MANUFACTURER, "LO", "Testkit Medical Systems");
        to.text(tags::INSTITUTION_NAME, "LO", "Hospital of Numbers");
        to.text(tags::REFERRING_PHYSICIAN_NAME, "PN", pick(&PHYSICIANS, mix(study ^ 0x5eed)));
        to.text(tags::STATION_NAME, "SH", &format!("{modality}{}", study % 4 + 1));
        to.text(tags::STUDY_DESCRIPTION, "LO", description);
        to.text(tags::SERIES_DESCRIPTION, "LO", &format!("{body_part} {series}"));
        to.text(tags::MANUFACTURER_MODEL_NAME, "LO", "Numerator 3000");
        to.text(tags::PATIENT_NAME, "PN", &name(patient));
        to.text(tags::PATIENT_ID, "LO", &patient_id(patient));
        to.text(tags::PATIENT_BIRTH_DATE, "DA", &birth_date(patient));
        to.text(tags::PATIENT_SEX, "CS", if patient.is_multiple_of(2) { "F" } else { "M" });
        to.text(tags::PATIENT_AGE, "AS", &format!("{:03}Y", mix(patient) % 90));
        to.text(tags::BODY_PART_EXAMINED, "CS", body_part);
        to.text(tags::SLICE_THICKNESS, "DS", "1.25");
        to.text(tags::KVP, "DS", "120");
        to.text(tags::DEVICE_SERIAL_NUMBER, "LO", &format!("SN{:06}", study % 4));
        to.text(tags::SOFTWARE_VERSIONS, "LO", "3.1.4");
        to.text(tags::PROTOCOL_NAME, "LO", description);
        to.text(tags::EXPOSURE, "IS", "150");
        to.text(tags::PATIENT_POSITION, "CS", "HFS");
        to.text(tags::STUDY_INSTANCE_UID, "UI", &study_uid);
        to.text(tags::SERIES_INSTANCE_UID, "UI", &series_uid);
        to.text(tags::STUDY_ID, "SH", &format!("S{study}"));
        to.text(tags::SERIES_NUMBER, "IS", &series.to_string());
        to.text(tags::INSTANCE_NUMBER, "IS", &slice.to_string());
        to.text(tags::IMAGE_POSITION_PATIENT, "DS", &format!("-125\\-125\\{}.5", slice * 2));
        to.text(tags::IMAGE_ORIENTATION_PATIENT, "DS", "1\\0\\0\\0\\1\\0");
        to.text(tags::FRAME_OF_REFERENCE_UID, "UI", &format!("{series_uid}.0"));
        to.number(tags::SAMPLES_PER_PIXEL, 1);
        to.text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2");
        to.number(tags::ROWS, 8);
        to.number(tags::COLUMNS, 8);
        to.text(tags::PIXEL_SPACING, "DS", "0.488281\\0.488281");
        to.number(tags::BITS_ALLOCATED, 8);
        to.number(tags::BITS_STORED, 8);
        to.number(tags::HIGH_BIT, 7);
        to.number(tags::PIXEL_REPRESENTATION, 0);
        to.pixels(number);
        Made { sop_class_uid, sop_instance_uid, data_set: to.0 }
    }

    /// Each asks for one thing. The selective ones have from one to some two hundred answers, with twenty thousand
    /// studies as with a million.
    pub fn questions(&self) -> Vec<Question> {
        let study = self.studies / 2;
        let is_large = self.studies > 100_000;
        let family = family_name(self.patient(study));
        let date = self.date(study);
        let month = format!("{0}01-{0}28", &date[..6]);
        // Twenty to seventy of either size: a syllable more is 32 times fewer.
        let (prefix, infix) =
            if is_large { (&family[..6], &family[2..8]) } else { (&family[..4], &family[2..6]) };
        let question = |name, tag, vr, value: &str| Question {
            name,
            tag,
            vr,
            value: value.to_owned(),
            is_selective: true,
        };
        let many =
            |name, tag, vr, value: &str| Question { is_selective: false, ..question(name, tag, vr, value) };
        let (rare, common) = if is_large { (RARITY, COMMON_RARITY) } else { (COMMON_RARITY, "MR") };
        vec![
            question("accession number", tags::ACCESSION_NUMBER, "SH", &accession_number(study)),
            question("patient id", tags::PATIENT_ID, "LO", &patient_id(self.patient(study))),
            question("study UID", tags::STUDY_INSTANCE_UID, "UI", &self.study_uid(study)),
            question("name prefix", tags::PATIENT_NAME, "PN", &format!("{prefix}*")),
            question("name infix", tags::PATIENT_NAME, "PN", &format!("*{infix}*")),
            if is_large {
                question("a day of dates", tags::STUDY_DATE, "DA", &format!("{date}-{date}"))
            } else {
                question("a month of dates", tags::STUDY_DATE, "DA", &month)
            },
            question("a rare modality", tags::MODALITIES_IN_STUDY, "CS", rare),
            many("a month of dates, all", tags::STUDY_DATE, "DA", &month),
            many("a common modality", tags::MODALITIES_IN_STUDY, "CS", common),
            many("all", tags::STUDY_INSTANCE_UID, "UI", ""),
        ]
    }

    fn kind(&self, study: u64) -> (&'static str, &'static str, &'static str, &'static str) {
        let mut draw = mix(study ^ 0x0d1e) % 5000;
        for (modality, sop_class, body_part, description, share) in KINDS {
            if draw < share {
                return (modality, sop_class, body_part, description);
            }
            draw -= share;
        }
        unreachable!("the shares are 5,000 together")
    }

    /// Even studies are of a new patient, odd ones of one who was there before.
    fn patient(&self, study: u64) -> u64 {
        if study.is_multiple_of(2) { study / 2 } else { mix(study) % (study / 2 + 1) }
    }

    fn study_uid(&self, study: u64) -> String {
        format!("2.999.7.{}.{study}", self.studies)
    }

    fn date(&self, study: u64) -> String {
        date(2015, study * DAYS / self.studies.max(1))
    }
}

/// Months have 30 days, the last three of them the 28th, so that a division finds a date that exists.
fn date(first_year: u64, day: u64) -> String {
    format!("{}{:02}{:02}", first_year + day / 360, day / 30 % 12 + 1, (day % 30 + 1).min(28))
}

fn time(study: u64) -> String {
    let second = 7 * 3600 + mix(study ^ 0x71e) % (12 * 3600);
    format!("{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn accession_number(study: u64) -> String {
    format!("A{study:09}")
}

fn patient_id(patient: u64) -> String {
    format!("P{:08}", patient)
}

fn birth_date(patient: u64) -> String {
    date(1930, mix(patient ^ 0xb1) % (85 * 360))
}

fn family_name(patient: u64) -> String {
    let draw = mix(patient ^ 0xfa);
    [0, 8, 16, 24].map(|shift| SYLLABLES[(draw >> shift) as usize % SYLLABLES.len()]).concat()
}

fn name(patient: u64) -> String {
    let family = family_name(patient);
    let given = pick(&GIVEN_NAMES, mix(patient ^ 0x91));
    format!("{}{}^{given}", family[..1].to_uppercase(), &family[1..])
}

fn pick<'a>(from: &[&'a str], draw: u64) -> &'a str {
    from[draw as usize % from.len()]
}

/// Numbers in a row become numbers without order (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Explicit VR Little Endian (PS3.5 7.1.2), elements in the order in which they are given.
struct Encoder(Vec<u8>);

impl Encoder {
    fn tag(&mut self, tag: Tag) {
        self.0.extend_from_slice(&tag.group().to_le_bytes());
        self.0.extend_from_slice(&tag.element().to_le_bytes());
    }

    fn text(&mut self, tag: Tag, vr: &str, value: &str) {
        let padded = value.len().next_multiple_of(2);
        self.tag(tag);
        self.0.extend_from_slice(vr.as_bytes());
        self.0.extend_from_slice(&u16::try_from(padded).expect("a short value").to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        if padded > value.len() {
            self.0.push(if vr == "UI" { 0 } else { b' ' });
        }
    }

    fn number(&mut self, tag: Tag, value: u16) {
        self.tag(tag);
        self.0.extend_from_slice(b"US\x02\x00");
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn pixels(&mut self, number: u64) {
        self.tag(tags::PIXEL_DATA);
        self.0.extend_from_slice(b"OB\0\0\x40\0\0\0");
        for word in 0..8 {
            self.0.extend_from_slice(&mix(number * 8 + word).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;
    use dicom_object::InMemDicomObject;
    use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

    use super::*;

    const HOSPITAL: Hospital = Hospital { studies: 200, instances: 30 };

    fn read(number: u64) -> InMemDicomObject {
        let made = HOSPITAL.instance(number);
        InMemDicomObject::read_dataset_with_ts(&made.data_set[..], &EXPLICIT_VR_LITTLE_ENDIAN.erased())
            .unwrap()
    }

    #[test]
    fn an_instance_is_read_back_by_dicom_object() {
        let (object, made) = (read(3025), HOSPITAL.instance(3025));
        assert_eq!(object.element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap(), made.sop_instance_uid);
        assert_eq!(object.element(tags::SERIES_NUMBER).unwrap().to_str().unwrap(), "2");
        assert_eq!(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().len(), 64);
    }

    #[test]
    fn tags_are_in_their_order() {
        let object = read(0);
        let listed: Vec<_> = object.iter().map(|element| element.header().tag).collect();
        assert!(listed.is_sorted());
        assert_eq!(HOSPITAL.instance(0).data_set, {
            let mut again = Vec::new();
            object.write_dataset_with_ts(&mut again, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
            again
        });
    }

    #[test]
    fn the_selective_questions_have_answers() {
        let middle = read(HOSPITAL.studies / 2 * HOSPITAL.instances);
        for question in HOSPITAL.questions() {
            let key = question.value.trim_matches('*').split('-').next().unwrap().to_lowercase();
            if let Ok(element) = middle.element(question.tag) {
                let value = element.to_str().unwrap().to_lowercase();
                let is_range = question.value.contains('-');
                assert!(value.contains(&key) || is_range && value >= key, "{}: {value}", question.name);
            }
        }
    }
}
