//! What PS3.6 knows: keywords, names of UIDs, the storage SOP classes, the transfer syntaxes.

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
    /// Modality Worklist Information Model - FIND.
    pub const MODALITY_WORKLIST_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.31");
    /// CT Image Storage.
    pub const CT_IMAGE_STORAGE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.2");
    /// MR Image Storage.
    pub const MR_IMAGE_STORAGE: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.4");
}

/// The name of a UID of PS3.6 Annex A, such as "CT Image Storage".
pub fn uid_name(uid: &Uid) -> Option<&'static str> {
    let _ = uid;
    todo!()
}

/// The storage SOP classes of PS3.6 Annex A, the common ones first.
pub fn storage_sop_classes() -> &'static [Uid] {
    todo!()
}

/// The transfer syntaxes of PS3.6 Annex A in which instances are stored, the common ones first.
pub fn transfer_syntaxes() -> &'static [Uid] {
    todo!()
}

/// The tag of a keyword such as `PatientName`, or of `gggg,eeee`, `(gggg,eeee)`, `ggggeeee`.
pub fn tag_of(keyword: &str) -> Option<Tag> {
    let _ = keyword;
    todo!()
}

/// The keyword of a tag, such as `PatientName`.
pub fn keyword_of(tag: Tag) -> Option<&'static str> {
    let _ = tag;
    todo!()
}

/// The VR of a tag by PS3.6; UN for what it does not know.
pub fn vr_of(tag: Tag) -> VR {
    let _ = tag;
    todo!()
}
