//! JPEG XL (ISO/IEC 18181-1), lossless or not, and recompressed JPEG.

use std::io;

use jxl_oxide::image::BitDepth;
use jxl_oxide::{AllocTracker, JxlImage};

use super::{Frame, failed, untransformed, widen};
use crate::transcode::elements::invalid;
use crate::transcode::image::Image;

/// Memory for a decoder, a byte of the frame: it works on numbers of 32 bits, in several copies.
const MEMORY_FACTOR: usize = 64;

/// Least memory for a decoder.
const MEMORY_AT_LEAST: usize = 64 * 1024 * 1024;

pub(super) fn decode(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    let memory = image.frame_length().saturating_mul(MEMORY_FACTOR).max(MEMORY_AT_LEAST);
    let builder = JxlImage::builder().alloc_tracker(AllocTracker::with_limit(memory));
    let decoder = builder.read(bytes).map_err(|error| failed(&error))?;
    if (decoder.width(), decoder.height()) != (image.columns.into(), image.rows.into()) {
        return Err(invalid("a JPEG XL frame has another size than the header says"));
    }
    let metadata = &decoder.image_header().metadata;
    let BitDepth::IntegerSample { bits_per_sample: bits @ 1..=16 } = metadata.bit_depth else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "JPEG XL of more than 16 bits"));
    };
    let render = decoder.render_frame(0).map_err(|error| failed(error.as_ref()))?;
    let mut stream = render.stream_no_alpha();
    if stream.channels() != u32::from(image.samples) {
        return Err(invalid("a JPEG XL frame has another number of samples than the header says"));
    }
    // The decoder spreads samples of any depth over the whole range of 16 bits; back to their own.
    let mut spread = vec![0_u16; image.samples_per_frame()];
    let count = stream.write_to_buffer(&mut spread);
    spread.truncate(count);
    let (highest, range) = ((1_u32 << bits) - 1, 0xFFFF_u32);
    let sample = |spread: u16| ((u32::from(spread) * highest + range / 2) / range) as i32;
    let samples = widen(spread.into_iter().map(sample), image);
    let photometric = match (image.samples, image.photometric.as_str()) {
        (3, "XYB" | "YBR_FULL_422" | "YBR_FULL" | "YBR_RCT") => "RGB".to_owned(),
        _ => untransformed(image),
    };
    Ok(Frame { samples, photometric })
}
