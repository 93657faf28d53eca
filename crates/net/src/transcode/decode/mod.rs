//! The codecs: one frame, compressed, to its samples as native pixel data have them (PS3.5 8.1): interleaved by pixel,
//! little endian.
//!
//! The decoders are those that dicom-rs uses, called directly: so the size that a frame declares itself is held
//! against the header before memory is given for it, samples of fewer bits than Bits Allocated come out right, and
//! what became of the colours is known.

mod jpeg;
mod jpeg_2000;
mod jpeg_xl;
mod plain;
mod rle;

use std::io;

use dicomet_proto::Uid;

use super::elements::invalid;
use super::image::Image;

/// A way to compress frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Jpeg,
    Jpeg2000,
    JpegXl,
    Rle,
    Deflated,
    Uncompressed,
}

/// A frame as native pixel data have it.
pub(super) struct Frame {
    pub(super) samples: Vec<u8>,
    /// Photometric Interpretation of the samples.
    pub(super) photometric: String,
}

/// What a transfer syntax does with frames, and whether it can lose anything by it.
static CODECS: [(Uid, Codec, Loss); 15] = [
    (Uid::from_static("1.2.840.10008.1.2.4.50"), Codec::Jpeg, Loss::Always("ISO_10918_1")),
    (Uid::from_static("1.2.840.10008.1.2.4.51"), Codec::Jpeg, Loss::Always("ISO_10918_1")),
    (Uid::from_static("1.2.840.10008.1.2.4.57"), Codec::Jpeg, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.70"), Codec::Jpeg, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.90"), Codec::Jpeg2000, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.91"), Codec::Jpeg2000, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.201"), Codec::Jpeg2000, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.202"), Codec::Jpeg2000, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.203"), Codec::Jpeg2000, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.4.110"), Codec::JpegXl, Loss::NotTold),
    // JPEG recompressed: the loss was in the JPEG.
    (Uid::from_static("1.2.840.10008.1.2.4.111"), Codec::JpegXl, Loss::Always("ISO_18181_1")),
    (Uid::from_static("1.2.840.10008.1.2.4.112"), Codec::JpegXl, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.5"), Codec::Rle, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.8.1"), Codec::Deflated, Loss::NotTold),
    (Uid::from_static("1.2.840.10008.1.2.1.98"), Codec::Uncompressed, Loss::NotTold),
];

/// What a transfer syntax alone says of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Something was lost, by this method (PS3.3 C.7.6.1.1.5.1).
    Always(&'static str),
    /// Nothing, or the header alone tells.
    NotTold,
}

/// The codec of a transfer syntax, if there is one that we can decode.
pub(super) fn codec(transfer_syntax: &Uid) -> Option<(Codec, Loss)> {
    CODECS.iter().find(|(uid, ..)| uid == transfer_syntax).map(|(_, codec, loss)| (*codec, *loss))
}

impl Codec {
    /// Decodes a frame.
    ///
    /// # Errors
    /// `InvalidData` when it is not sound, or another image than the header says; `Unsupported`.
    pub(super) fn decode(self, bytes: &[u8], image: &Image) -> io::Result<Frame> {
        // PS3.5 8.2 has single bits in no other.
        if image.is_single_bit() && !matches!(self, Codec::Deflated | Codec::Uncompressed) {
            return Err(invalid("pixels of one bit are compressed where they cannot be"));
        }
        let frame = match self {
            Codec::Jpeg => jpeg::decode(bytes, image),
            Codec::Jpeg2000 => jpeg_2000::decode(bytes, image),
            Codec::JpegXl => jpeg_xl::decode(bytes, image),
            Codec::Rle => rle::decode(bytes, image),
            Codec::Deflated => plain::inflate(bytes, image),
            Codec::Uncompressed => plain::copy(bytes, image),
        }?;
        if frame.samples.len() != image.frame_length() {
            return Err(invalid("a decoded frame is not as long as the header says"));
        }
        Ok(frame)
    }

    /// Whether a fragment that begins so begins a frame.
    pub(super) fn begins_frame(self) -> fn(&[u8]) -> bool {
        match self {
            Codec::Jpeg => |head| head.starts_with(&[0xFF, 0xD8]),
            Codec::Jpeg2000 => {
                |head| head.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) || head.starts_with(b"\0\0\0\x0CjP  ")
            }
            Codec::JpegXl => |head| head.starts_with(&[0xFF, 0x0A]) || head.starts_with(b"\0\0\0\x0CJXL "),
            // One fragment a frame, PS3.5 A.4.2.
            Codec::Rle | Codec::Deflated | Codec::Uncompressed => |_| false,
        }
    }
}

/// Writes samples of some precision as Bits Allocated has them. Those of a signed image get their sign where the
/// codec knew none, from the highest of Bits Stored.
fn widen(samples: impl Iterator<Item = i32>, image: &Image) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(image.frame_length());
    let unused = 32 - u32::from(image.bits_stored.min(32));
    let length = image.bytes_per_sample();
    for sample in samples {
        let sample = if image.signed { sample << unused >> unused } else { sample };
        bytes.extend_from_slice(&sample.to_le_bytes()[..length]);
    }
    bytes
}

/// The name of the colours of samples that a codec does not transform, none of them subsampled any more.
fn untransformed(image: &Image) -> String {
    match image.photometric.as_str() {
        "YBR_FULL_422" => "YBR_FULL".to_owned(),
        other => other.to_owned(),
    }
}

fn failed(error: &dyn std::fmt::Display) -> io::Error {
    invalid(&format!("a frame cannot be decoded: {error}"))
}
