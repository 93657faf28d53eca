//! The headers of data elements, items and delimiters: PS3.5 7.1.2, 7.1.3 and 7.5.
//!
//! ```text
//! implicit, items, delimiters   tag 4 | length 4
//! explicit, short               tag 4 | VR 2 | length 2
//! explicit, long                tag 4 | VR 2 | reserved 2 | length 4
//! ```

use crate::dataset::encoding::{Encoding, has_long_length};
use crate::dataset::{Tag, VR, dictionary};

/// A header as it stands.
pub(super) struct RawHeader {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) length: u32,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

/// Explicit VR, and what stands in its place is none.
pub(super) struct NoVr {
    pub(super) tag: Tag,
}

impl RawHeader {
    /// Reads a header; `None` when the bytes are too few.
    pub(super) fn read(bytes: &[u8], encoding: Encoding) -> Result<Option<RawHeader>, NoVr> {
        let [g0, g1, e0, e1, b4, b5, b6, b7, rest @ ..] = bytes else { return Ok(None) };
        let tag = Tag(encoding.u16([*g0, *g1]), encoding.u16([*e0, *e1]));
        if !encoding.explicit || tag.group() == 0xFFFE {
            let vr = if encoding.explicit { VR::UN } else { dictionary::vr_of(tag) };
            let length = encoding.u32([*b4, *b5, *b6, *b7]);
            return Ok(Some(RawHeader { tag, vr, length, size: 8 }));
        }
        let (vr, long) = match VR::from_binary([*b4, *b5]) {
            Some(vr) => (vr, has_long_length(vr)),
            // A VR of a later edition: PS3.5 7.1.2 gives it a length of 32 bits.
            None if b4.is_ascii_uppercase() && b5.is_ascii_uppercase() => (VR::UN, true),
            // Zeros after the last element: it is for the scanner to say whether they may stand there.
            None if tag == Tag(0, 0) && [*b4, *b5, *b6, *b7] == [0; 4] => (VR::UN, false),
            // Seen in the field where a converter knew no VR; DCMTK writes `??`. All with 16 bits.
            None if matches!([b4, b5], [b'?', b'?'] | [b'-', b'-'] | [b' ', b' ']) => (VR::UN, false),
            None => return Err(NoVr { tag }),
        };
        if !long {
            let length = u32::from(encoding.u16([*b6, *b7]));
            return Ok(Some(RawHeader { tag, vr, length, size: 8 }));
        }
        let [b8, b9, b10, b11, ..] = rest else { return Ok(None) };
        Ok(Some(RawHeader { tag, vr, length: encoding.u32([*b8, *b9, *b10, *b11]), size: 12 }))
    }
}
