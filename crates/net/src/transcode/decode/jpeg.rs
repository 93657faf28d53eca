//! JPEG (ISO/IEC 10918-1): baseline, progressive and extended of 8 bits, lossless up to 16 bits.
//!
//! Colours (PS3.5 8.2.1): what a lossy frame has as YCbCr is sent as RGB. Which it is, an Adobe marker says, then
//! the names of the components, a JFIF marker, and last Photometric Interpretation. The samples of a lossless frame
//! stay what they are.

use std::io;

use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, PixelFormat};

use super::{Frame, failed, untransformed, widen};
use crate::transcode::elements::invalid;
use crate::transcode::image::{Image, MAX_FRAME_LENGTH};

pub(super) fn decode(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(MAX_FRAME_LENGTH).unwrap_or(usize::MAX));
    decoder.read_info().map_err(|error| failed(&error))?;
    let info = decoder.info().ok_or_else(|| invalid("a JPEG frame has no header"))?;
    let samples = match info.pixel_format {
        PixelFormat::L8 | PixelFormat::L16 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => 4,
    };
    if (info.height, info.width, samples) != (image.rows, image.columns, image.samples) {
        return Err(invalid("a JPEG frame has another size than the header says"));
    }
    let lossless = info.coding_process == CodingProcess::Lossless;
    let photometric = if samples == 1 || lossless {
        decoder.set_color_transform(if samples == 1 {
            ColorTransform::Grayscale
        } else {
            ColorTransform::None
        });
        untransformed(image)
    } else {
        let transform = if is_rgb(bytes, image) { ColorTransform::RGB } else { ColorTransform::YCbCr };
        decoder.set_color_transform(transform);
        "RGB".to_owned()
    };
    let decoded = decoder.decode().map_err(|error| failed(&error))?;
    let count = image.samples_per_frame();
    let samples = if decoded.len() == count {
        widen(decoded.iter().map(|sample| i32::from(*sample)), image)
    } else if decoded.len() == 2 * count && image.bytes_per_sample() >= 2 {
        // The decoder gives numbers, in the byte order of this machine.
        widen(decoded.chunks_exact(2).map(|two| i32::from(u16::from_ne_bytes([two[0], two[1]]))), image)
    } else if decoded.len() == 2 * count {
        widen(decoded.chunks_exact(2).map(|two| i32::from(two[0].max(two[1]))), image)
    } else {
        return Err(invalid("a decoded JPEG frame is not as long as the header says"));
    };
    Ok(Frame { samples, photometric })
}

/// Whether the three components of a lossy frame are red, green and blue.
fn is_rgb(bytes: &[u8], image: &Image) -> bool {
    let mut jfif = false;
    let mut adobe = None;
    let mut names = [0; 3];
    for (marker, segment) in Segments(bytes.get(2..).unwrap_or_default()) {
        match marker {
            0xE0 if segment.starts_with(b"JFIF\0") => jfif = true,
            0xEE if segment.starts_with(b"Adobe") => adobe = segment.get(11).copied(),
            0xC0..=0xC2 => {
                // Bytes 6, 9 and 12 of a frame header are the component identifiers, ISO/IEC 10918-1 B.2.2.
                for (name, at) in names.iter_mut().zip([6, 9, 12]) {
                    *name = segment.get(at).copied().unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    match adobe {
        Some(transform) => transform == 0,
        None => names == *b"RGB" || (!jfif && image.photometric == "RGB"),
    }
}

/// The marker segments before the first scan.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        while let [0xFF, 0xFF, ..] = self.0 {
            self.0 = &self.0[1..];
        }
        let [0xFF, marker, high, low, ..] = *self.0 else { return None };
        if marker == 0xDA {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = self.0.get(4..2 + length)?;
        self.0 = &self.0[2 + length..];
        Some((marker, segment))
    }
}
