//! RLE Lossless, PS3.5 Annex G: one segment for each byte of a sample, the highest first.
//!
//! Ours, for the one of dicom-rs gives memory for as many segments as a frame claims to have.

use std::io;

use super::{Frame, untransformed};
use crate::transcode::elements::invalid;
use crate::transcode::image::Image;

/// The number of segments, and 15 offsets.
const HEADER_LENGTH: usize = 64;

pub(super) fn decode(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    let header = bytes.get(..HEADER_LENGTH).ok_or_else(|| invalid("an RLE frame has no header"))?;
    let number = |at: usize| {
        let bytes = [header[4 * at], header[4 * at + 1], header[4 * at + 2], header[4 * at + 3]];
        u32::from_le_bytes(bytes) as usize
    };
    let (width, planes) = (image.bytes_per_sample(), usize::from(image.samples));
    let segments = width * planes;
    if number(0) != segments {
        return Err(invalid("an RLE frame has not as many segments as its samples have bytes"));
    }
    let mut samples = vec![0; image.frame_length()];
    for segment in 0..segments {
        let start = number(segment + 1);
        let end = if segment + 1 < segments { number(segment + 2) } else { bytes.len() };
        let packed = bytes.get(start..end).ok_or_else(|| invalid("an RLE segment is out of bounds"))?;
        let (plane, byte) = (segment / width, width - 1 - segment % width);
        unpack(packed, samples[plane * width + byte..].iter_mut().step_by(segments))?;
    }
    Ok(Frame { samples, photometric: untransformed(image) })
}

/// PS3.5 G.3.2, into every place of `output`; what is packed beyond is padding.
fn unpack<'a>(packed: &[u8], mut output: impl Iterator<Item = &'a mut u8>) -> io::Result<()> {
    let cut = || invalid("an RLE segment is shorter than its plane");
    let mut input = packed.iter();
    let mut next = output.next();
    while next.is_some() {
        let control = *input.next().ok_or_else(cut)?;
        // 129 to 255 repeat the next byte 257 - n times; 0 to 127 copy n + 1 bytes; 128 does nothing.
        let (count, repeated) = match control {
            128 => continue,
            129.. => (257 - usize::from(control), Some(*input.next().ok_or_else(cut)?)),
            _ => (usize::from(control) + 1, None),
        };
        for _ in 0..count {
            let Some(place) = next else { return Ok(()) };
            *place = match repeated {
                Some(byte) => byte,
                None => *input.next().ok_or_else(cut)?,
            };
            next = output.next();
        }
    }
    Ok(())
}
