//! Studies made up from a number: patients, studies, series and instances that are always the same for the same
//! [`Plan`], written to a folder one file an instance. No value is a real person's.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use crate::instance::{Instance, Pixels, transfer_syntax};
use crate::sop_classes::storage_sop_class;

/// What is to be generated. [`Plan::default`] is one study of one series of three small CT slices.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Another seed gives other UIDs and other patients.
    pub seed: u64,
    /// How many studies, each of a patient of its own.
    pub studies: usize,
    /// How many series in a study.
    pub series: usize,
    /// How many instances in a series.
    pub instances: usize,
    /// How large a file is, about: the pixels are made square. 3 KB, 132 KB and 525 KB stand for structured
    /// reports, MR and CT slices.
    pub size_bytes: u64,
    /// How many SOP classes are in a study; 1 means the one of each series' modality. More than there are
    /// instances does not show.
    pub sop_classes: usize,
    /// The transfer syntaxes, which the instances of a series take in turn. In compressed ones the pixels are
    /// placeholders.
    pub transfer_syntaxes: Vec<String>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            seed: 1,
            studies: 1,
            series: 1,
            instances: 3,
            size_bytes: 3 * 1024,
            sop_classes: 1,
            transfer_syntaxes: vec![transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()],
        }
    }
}

/// An instance that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// (0010,0020)
    pub patient_id: String,
    /// (0020,000D)
    pub study_instance_uid: String,
    /// (0020,000E)
    pub series_instance_uid: String,
    /// (0008,0018)
    pub sop_instance_uid: String,
    /// (0008,0016)
    pub sop_class_uid: String,
    /// (0002,0010)
    pub transfer_syntax_uid: String,
}

/// A patient's name, as bytes in a character set.
struct Name {
    character_set: &'static str,
    bytes: &'static [u8],
}

/// Names for patients in turn; the bytes of the Japanese one are those of PS3.5 H.3.1, example 1.
const NAMES: [Name; 6] = [
    Name { character_set: "", bytes: b"Bowen^William^^Dr" },
    Name { character_set: "ISO_IR 100", bytes: b"M\xFCller^J\xF6rg" },
    Name {
        character_set: "\\ISO 2022 IR 87",
        bytes: b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B",
    },
    Name { character_set: "ISO_IR 192", bytes: "Łukasiewicz^Żaneta".as_bytes() },
    Name { character_set: "ISO_IR 144", bytes: b"\xBB\xEE\xDA\xE1^\xB8\xD2\xD0\xDD" },
    Name { character_set: "", bytes: b"Bower^Anna" },
];

/// Modalities for series in turn, with the SOP class of each.
const MODALITIES: [(&str, &str); 5] = [
    ("CT", uids::CT_IMAGE_STORAGE),
    ("MR", uids::MR_IMAGE_STORAGE),
    ("CR", uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE),
    ("US", uids::ULTRASOUND_IMAGE_STORAGE),
    ("OT", uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
];

/// Squares of it are the largest native pixels whose length fits four bytes.
const LARGEST_SIDE: u16 = 46_340;

impl Plan {
    /// Writes every instance under `folder` as `study/series/instance.dcm`, numbered from 0.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, folder: &Path) -> io::Result<Vec<Written>> {
        let mut written = Vec::new();
        for study in 0..self.studies {
            for series in 0..self.series {
                let folder = folder.join(format!("{study:04}/{series:04}"));
                std::fs::create_dir_all(&folder)?;
                for instance in 0..self.instances {
                    let path = folder.join(format!("{instance:06}.dcm"));
                    let built = self.instance(study, series, instance);
                    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
                    built.write_part10(&mut file)?;
                    file.into_inner().map_err(io::IntoInnerError::into_error)?;
                    written.push(Written {
                        path,
                        patient_id: built.text(tags::PATIENT_ID),
                        study_instance_uid: built.text(tags::STUDY_INSTANCE_UID),
                        series_instance_uid: built.text(tags::SERIES_INSTANCE_UID),
                        sop_instance_uid: built.text(tags::SOP_INSTANCE_UID),
                        sop_class_uid: built.text(tags::SOP_CLASS_UID),
                        transfer_syntax_uid: self.syntax(instance).to_owned(),
                    });
                }
            }
        }
        Ok(written)
    }

    /// One instance, by its place in the plan.
    pub fn instance(&self, study: usize, series: usize, instance: usize) -> Instance {
        let study_uid = format!("2.999.{}.{}", self.seed, study + 1);
        let series_uid = format!("{study_uid}.{}", series + 1);
        let (modality, modality_class) = MODALITIES[series % MODALITIES.len()];
        let sop_class = match self.sop_classes {
            0 | 1 => modality_class.to_owned(),
            many => storage_sop_class((series * self.instances + instance) % many),
        };
        let side = self.side();
        let native = u64::from(side) * u64::from(side) * 2;
        let syntax = self.syntax(instance);
        let pixels = match is_encapsulated(syntax) {
            false => Pixels::Native(native),
            true => Pixels::Encapsulated(vec![placeholder(native / 2), placeholder(native / 2)]),
        };
        self.with_patient(Instance::new(&sop_class, &format!("{series_uid}.{}", instance + 1)), study)
            .in_series(&study_uid, &series_uid)
            .with(tags::STUDY_ID, &format!("{}", study + 1))
            .with(tags::STUDY_DATE, &format!("2024{:02}{:02}", study / 28 % 12 + 1, study % 28 + 1))
            .with(tags::STUDY_TIME, "101500")
            .with(tags::ACCESSION_NUMBER, &format!("A{:03}{:05}", self.seed % 1000, study))
            .with(tags::STUDY_DESCRIPTION, "Generated study")
            .with(tags::REFERRING_PHYSICIAN_NAME, "")
            .with(tags::MODALITY, modality)
            .with(tags::SERIES_NUMBER, &format!("{}", series + 1))
            .with(tags::SERIES_DESCRIPTION, "Generated series")
            .with(tags::INSTANCE_NUMBER, &format!("{}", instance + 1))
            .with(tags::SAMPLES_PER_PIXEL, "1")
            .with(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
            .with(tags::ROWS, &side.to_string())
            .with(tags::COLUMNS, &side.to_string())
            .with(tags::BITS_ALLOCATED, "16")
            .with(tags::BITS_STORED, "12")
            .with(tags::HIGH_BIT, "11")
            .with(tags::PIXEL_REPRESENTATION, "0")
            .transfer_syntax(syntax)
            .pixels(pixels)
    }

    fn with_patient(&self, instance: Instance, study: usize) -> Instance {
        let name = &NAMES[study % NAMES.len()];
        let instance = match name.character_set {
            "" => instance,
            term => instance.with(tags::SPECIFIC_CHARACTER_SET, term),
        };
        instance
            .with_bytes(tags::PATIENT_NAME, VR::PN, name.bytes)
            .with(tags::PATIENT_ID, &format!("PAT{:03}", study + 4))
            .with(tags::PATIENT_BIRTH_DATE, "19500101")
            .with(tags::PATIENT_SEX, "O")
    }

    /// Rows, and columns: as many as fill the size with two bytes a pixel, the header taken as 1 KiB.
    fn side(&self) -> u16 {
        let pixels = self.size_bytes.saturating_sub(1024) / 2;
        u16::try_from(pixels.isqrt()).unwrap_or(u16::MAX).clamp(1, LARGEST_SIDE)
    }

    fn syntax(&self, instance: usize) -> &str {
        &self.transfer_syntaxes[instance % self.transfer_syntaxes.len()]
    }
}

/// Every transfer syntax but the four that are native or deflated.
fn is_encapsulated(syntax: &str) -> bool {
    use transfer_syntax::*;
    ![
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    ]
    .contains(&syntax)
}

fn placeholder(length: u64) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).expect("below 256")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_study_of_200_sop_classes_has_200_and_private_ones_among_them() {
        let plan = Plan { instances: 200, sop_classes: 200, size_bytes: 0, ..Plan::default() };
        let classes: BTreeSet<_> =
            (0..200).map(|number| plan.instance(0, 0, number).text(tags::SOP_CLASS_UID)).collect();
        assert_eq!(classes.len(), 200);
        assert_eq!(classes.iter().filter(|uid| uid.starts_with("1.2.3.4.5.")).count(), 40);
    }

    #[test]
    fn files_have_about_the_size_that_was_asked_for() {
        for size_bytes in [3 * 1024, 132 * 1024, 525 * 1024] {
            let plan = Plan { size_bytes, ..Plan::default() };
            let length = plan.instance(0, 0, 0).part10().len() as u64;
            assert!(length.abs_diff(size_bytes) < 3000, "{length} for {size_bytes}");
        }
    }

    #[test]
    fn what_is_written_is_listed_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let syntaxes = [transfer_syntax::IMPLICIT_VR_LITTLE_ENDIAN, transfer_syntax::RLE_LOSSLESS];
        let transfer_syntaxes = syntaxes.map(str::to_owned).to_vec();
        let plan = Plan { studies: 6, series: 2, transfer_syntaxes, ..Plan::default() };
        let written = plan.write_to(folder.path()).unwrap();
        assert_eq!(written.len(), 36);
        let uids: BTreeSet<_> = written.iter().map(|one| &one.sop_instance_uid).collect();
        assert_eq!(uids.len(), 36);
        for one in &written {
            let object = dicom_object::open_file(&one.path).unwrap();
            assert_eq!(object.meta().transfer_syntax(), one.transfer_syntax_uid);
            assert_eq!(object.element(tags::PATIENT_ID).unwrap().to_str().unwrap(), one.patient_id);
        }
    }
}
