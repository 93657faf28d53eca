//! What PS3.6 knows: keywords, names of UIDs, the storage SOP classes, the transfer syntaxes.

mod uid_tables;
mod value_multiplicity;

use std::sync::LazyLock;

use dicom_core::dictionary::{DataDictionary, TagRange, UidDictionary};
use dicom_dictionary_std::{StandardDataDictionary, StandardSopClassDictionary};

use self::uid_tables::{STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES};
use self::value_multiplicity::OF_SEVERAL_VALUES;
use super::encoding::Syntax;
use super::{Tag, VR};
use crate::Uid;

/// UIDs that this project names, from PS3.6 Annex A.
pub mod uids {
    use crate::Uid;

    /// DICOM Application Context Name, PS3.7 A.2.1.
    pub const APPLICATION_CONTEXT: Uid = Uid::from_static("1.2.840.10008.3.1.1.1");
    /// Verification SOP Class.
    pub const VERIFICATION: Uid = Uid::from_static("1.2.840.10008.1.1");
    /// Implicit VR Little Endian.
    pub const IMPLICIT_VR_LITTLE_ENDIAN: Uid = Uid::from_static("1.2.840.10008.1.2");
    /// Explicit VR Little Endian.
    pub const EXPLICIT_VR_LITTLE_ENDIAN: Uid = Uid::from_static("1.2.840.10008.1.2.1");
    /// Deflated Explicit VR Little Endian.
    pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Uid = Uid::from_static("1.2.840.10008.1.2.1.99");
    /// Explicit VR Big Endian (retired).
    pub const EXPLICIT_VR_BIG_ENDIAN: Uid = Uid::from_static("1.2.840.10008.1.2.2");
    /// Patient Root Query/Retrieve Information Model - FIND.
    pub const PATIENT_ROOT_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.1.1");
    /// Patient Root Query/Retrieve Information Model - MOVE.
    pub const PATIENT_ROOT_MOVE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.1.2");
    /// Patient Root Query/Retrieve Information Model - GET.
    pub const PATIENT_ROOT_GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.1.3");
    /// Study Root Query/Retrieve Information Model - FIND.
    pub const STUDY_ROOT_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.2.1");
    /// Study Root Query/Retrieve Information Model - MOVE.
    pub const STUDY_ROOT_MOVE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.2.2");
    /// Study Root Query/Retrieve Information Model - GET.
    pub const STUDY_ROOT_GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.2.3");
    /// Composite Instance Root Retrieve - MOVE.
    pub const COMPOSITE_INSTANCE_ROOT_MOVE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.4.2");
    /// Composite Instance Root Retrieve - GET.
    pub const COMPOSITE_INSTANCE_ROOT_GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.4.3");
    /// Composite Instance Retrieve Without Bulk Data - GET.
    pub const WITHOUT_BULK_DATA_GET: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.5.3");
    /// Modality Worklist Information Model - FIND.
    pub const MODALITY_WORKLIST_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.31");
    /// Storage Commitment Push Model SOP Class.
    pub const STORAGE_COMMITMENT_PUSH_MODEL: Uid = Uid::from_static("1.2.840.10008.1.20.1");
    /// Storage Commitment Push Model SOP Instance, the well-known one.
    pub const STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE: Uid = Uid::from_static("1.2.840.10008.1.20.1.1");
    /// CT Image Storage.
    pub const CT_IMAGE_STORAGE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.2");
    /// MR Image Storage.
    pub const MR_IMAGE_STORAGE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.4");
}

/// The name of a UID of PS3.6 Annex A, such as "CT Image Storage": of SOP classes and transfer syntaxes.
pub fn uid_name(uid: &Uid) -> Option<&'static str> {
    let transfer_syntax = TRANSFER_SYNTAXES.iter().find(|(known, _)| known == uid).map(|(_, name)| *name);
    transfer_syntax.or_else(|| {
        if *uid == uids::APPLICATION_CONTEXT {
            return Some("DICOM Application Context Name");
        }
        StandardSopClassDictionary.by_uid(uid.as_str()).map(|entry| entry.name)
    })
}

/// The storage SOP classes of PS3.6 Annex A, the common ones first.
pub fn storage_sop_classes() -> &'static [Uid] {
    STORAGE_SOP_CLASSES
}

/// The transfer syntaxes of PS3.6 Annex A in which instances are stored, the common ones first.
pub fn transfer_syntaxes() -> &'static [Uid] {
    static UIDS: LazyLock<Vec<Uid>> =
        LazyLock::new(|| TRANSFER_SYNTAXES.iter().map(|(uid, _)| uid.clone()).collect());
    &UIDS
}

/// Whether instances of a SOP class belong to no patient, and so to no study or series: those of the Non-Patient Object
/// Storage Service Class (PS3.4 GG.3).
pub fn is_of_no_patient(sop_class: &Uid) -> bool {
    matches!(
        sop_class.as_str(),
        "1.2.840.10008.5.1.4.38.1" // Hanging Protocol
            | "1.2.840.10008.5.1.4.39.1" // Color Palette
            | "1.2.840.10008.5.1.4.43.1" // Generic Implant Template
            | "1.2.840.10008.5.1.4.44.1" // Implant Assembly Template
            | "1.2.840.10008.5.1.4.45.1" // Implant Template Group
            | "1.2.840.10008.5.1.4.1.1.200.1" // CT Defined Procedure Protocol
            | "1.2.840.10008.5.1.4.1.1.200.3" // Protocol Approval
            | "1.2.840.10008.5.1.4.1.1.200.7" // XA Defined Procedure Protocol
            | "1.2.840.10008.5.1.4.1.1.201.1" // Inventory
    )
}

/// Whether data sets are deflated as a whole in a transfer syntax (PS3.5 A.5).
pub fn is_deflated(transfer_syntax: &Uid) -> bool {
    Syntax::of(transfer_syntax).is_some_and(|syntax| syntax.deflated)
}

/// The tag of a keyword such as `PatientName`, or of `gggg,eeee`, `(gggg,eeee)`, `ggggeeee`.
pub fn tag_of(keyword: &str) -> Option<Tag> {
    tag_of_digits(keyword).or_else(|| {
        let entry = StandardDataDictionary.by_name(keyword)?;
        // A keyword such as OverlayData names a whole range of groups, not an element.
        matches!(entry.tag, TagRange::Single(_)).then(|| entry.tag.inner())
    })
}

fn tag_of_digits(text: &str) -> Option<Tag> {
    let text = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
    let (group, element) = text.split_once(',').or_else(|| text.split_at_checked(4))?;
    let number = |digits: &str| {
        let four = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        four.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    Some(Tag(number(group)?, number(element)?))
}

/// The keyword of a tag, such as `PatientName`; none for a private element.
pub fn keyword_of(tag: Tag) -> Option<&'static str> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.alias)
}

/// The VR of a tag by PS3.6; UN for what it does not know. Where PS3.6 leaves a choice it is the one of
/// Implicit VR: US rather than SS, OW rather than OB.
pub fn vr_of(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr.relaxed())
}

/// Whether an attribute is one of several values for multiple value matching, by its VR and its Value Multiplicity in
/// PS3.6. Of a private or unknown one nobody knows the multiplicity: it is none.
pub fn has_several_values(tag: Tag) -> bool {
    OF_SEVERAL_VALUES.binary_search(&tag).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_way_to_write_a_tag_gives_the_same_tag() {
        for text in ["PatientName", "0010,0010", "(0010,0010)", "00100010"] {
            assert_eq!(tag_of(text), Some(Tag(0x0010, 0x0010)), "{text}");
        }
        assert_eq!(tag_of("7FE0,0010"), Some(Tag(0x7FE0, 0x0010)));
        assert_eq!(tag_of("7fe00010"), Some(Tag(0x7FE0, 0x0010)));
        for text in
            ["", "patientname", "0010", "0010,10", "0010;0010", "+010,0010", "ab\u{e9}d0010", "OverlayData"]
        {
            assert_eq!(tag_of(text), None, "{text}");
        }
    }

    #[test]
    fn vrs_are_those_of_the_standard_and_unknown_is_un() {
        assert_eq!(vr_of(Tag(0x0010, 0x0010)), VR::PN);
        assert_eq!(vr_of(Tag(0x0028, 0x0106)), VR::US);
        assert_eq!(vr_of(Tag(0x7FE0, 0x0010)), VR::OW);
        assert_eq!(vr_of(Tag(0x0008, 0x0000)), VR::UL);
        assert_eq!(vr_of(Tag(0x0009, 0x0010)), VR::LO);
        assert_eq!(vr_of(Tag(0x0009, 0x1001)), VR::UN);
        assert_eq!(keyword_of(Tag(0x0008, 0x0018)), Some("SOPInstanceUID"));
        assert_eq!(keyword_of(Tag(0x0009, 0x1001)), None);
    }

    #[test]
    fn attributes_of_several_values_are_in_order_and_of_the_right_vr() {
        assert!(OF_SEVERAL_VALUES.is_sorted());
        for tag in OF_SEVERAL_VALUES {
            let vr = vr_of(*tag);
            let vrs = [VR::AE, VR::AS, VR::AT, VR::CS, VR::LO, VR::PN, VR::SH, VR::UC];
            assert!(vrs.contains(&vr), "{tag:?} {vr:?}");
        }
        for (keyword, several) in [
            ("ImageType", true),
            ("ModalitiesInStudy", true),
            ("OperatorsName", true),
            ("ScheduledStationAETitle", true),
            ("PatientID", false),
            ("PatientName", false),
            ("SOPClassesInStudy", false),
            ("ImageOrientationPatient", false),
        ] {
            assert_eq!(has_several_values(tag_of(keyword).unwrap()), several, "{keyword}");
        }
    }

    #[test]
    fn uids_have_names() {
        assert_eq!(uid_name(&uids::CT_IMAGE_STORAGE), Some("CT Image Storage"));
        assert_eq!(uid_name(&uids::EXPLICIT_VR_LITTLE_ENDIAN), Some("Explicit VR Little Endian"));
        assert_eq!(uid_name(&uids::VERIFICATION), Some("Verification SOP Class"));
        assert_eq!(uid_name(&Uid::from_static("1.2.3")), None);
    }

    #[test]
    fn lists_begin_with_what_is_common_and_name_nothing_twice() {
        assert_eq!(storage_sop_classes()[..2], [uids::CT_IMAGE_STORAGE, uids::MR_IMAGE_STORAGE]);
        assert_eq!(
            transfer_syntaxes()[..2],
            [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN]
        );
        for list in [storage_sop_classes(), transfer_syntaxes()] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
            assert!(list.iter().all(|uid| Uid::new(uid.as_str()).is_ok() && uid_name(uid).is_some()));
        }
        assert!(storage_sop_classes().len() > 150);
    }
}
