//! How a transfer syntax writes data elements: PS3.5 Annex A, of which only this much concerns the elements.

use super::VR;
use super::dictionary::uids;
use crate::Uid;

/// VR explicit or implicit, and the byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) explicit: bool,
    pub(crate) big_endian: bool,
}

/// The encoding of a transfer syntax, and whether the whole data set is deflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) encoding: Encoding,
    pub(crate) deflated: bool,
    pub(crate) pixel_data: PixelForm,
}

/// How Pixel Data at the top of the data set is written: PS3.5 8.2 and A.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PixelForm {
    /// As one value.
    Native,
    /// As fragments.
    Encapsulated,
    /// The syntax is not the standard's, or has its pixels elsewhere.
    Any,
}

/// What is no encoding of data elements at all, or not one for files: MIME and XML (retired), real-time video.
const NOT_DATA_SETS: [&str; 2] = ["1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7."];

/// Deflated as a whole: explicit VR, and JPIP with references (PS3.5 A.5, A.7).
const DEFLATED: [&str; 3] = ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"];

/// Private syntaxes that are Implicit VR Little Endian but for their Pixel Data: GE, and Papyrus 3.
const IMPLICIT: [&str; 2] = ["1.2.840.113619.5.2", "1.2.840.10008.1.20"];

impl Encoding {
    pub(crate) const IMPLICIT_LITTLE: Encoding = Encoding { explicit: false, big_endian: false };
    pub(crate) const EXPLICIT_LITTLE: Encoding = Encoding { explicit: true, big_endian: false };
    pub(crate) const EXPLICIT_BIG: Encoding = Encoding { explicit: true, big_endian: true };

    pub(crate) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

impl Syntax {
    /// The encoding of a transfer syntax; `None` for one that has no data elements. A syntax not known here is
    /// Explicit VR Little Endian, as PS3.5 A.4 wants of every encapsulated one.
    pub(crate) fn of(transfer_syntax: &Uid) -> Option<Syntax> {
        let uid = transfer_syntax.as_str();
        if NOT_DATA_SETS.iter().any(|prefix| uid.starts_with(prefix)) {
            return None;
        }
        let encoding = if *transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN || IMPLICIT.contains(&uid) {
            Encoding::IMPLICIT_LITTLE
        } else if *transfer_syntax == uids::EXPLICIT_VR_BIG_ENDIAN {
            Encoding::EXPLICIT_BIG
        } else {
            Encoding::EXPLICIT_LITTLE
        };
        Some(Syntax { encoding, deflated: DEFLATED.contains(&uid), pixel_data: PixelForm::of(uid) })
    }
}

impl PixelForm {
    fn of(transfer_syntax: &str) -> PixelForm {
        match transfer_syntax {
            "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.1.99"
            | "1.2.840.10008.1.2.2" => PixelForm::Native,
            // JPIP: the pixels are where a URL says.
            "1.2.840.10008.1.2.4.94"
            | "1.2.840.10008.1.2.4.95"
            | "1.2.840.10008.1.2.4.204"
            | "1.2.840.10008.1.2.4.205" => PixelForm::Any,
            uid if uid.starts_with("1.2.840.10008.1.2.") => PixelForm::Encapsulated,
            _ => PixelForm::Any,
        }
    }
}

/// Whether Explicit VR writes the length of this VR in 32 bits (PS3.5 Table 7.1-1).
pub(crate) fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}
