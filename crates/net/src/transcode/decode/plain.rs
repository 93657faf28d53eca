//! Frames that are encapsulated as they are (PS3.5 A.4.11), or deflated (PS3.5 A.4.13).

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use super::{Frame, failed};
use crate::transcode::image::Image;

pub(super) fn copy(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    // A fragment has an even length, a frame perhaps not.
    let samples = bytes.get(..image.frame_length()).unwrap_or(bytes).to_vec();
    interleaved(samples, image)
}

pub(super) fn inflate(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    let mut samples = Vec::new();
    let limit = image.frame_length() as u64;
    DeflateDecoder::new(bytes).take(limit).read_to_end(&mut samples).map_err(|error| failed(&error))?;
    interleaved(samples, image)
}

/// By pixel, where they were by plane.
fn interleaved(samples: Vec<u8>, image: &Image) -> io::Result<Frame> {
    let photometric = image.photometric.clone();
    if !image.planar || image.samples == 1 || samples.len() != image.frame_length() {
        return Ok(Frame { samples, photometric });
    }
    let (bytes, planes) = (image.bytes_per_sample(), usize::from(image.samples));
    let mut by_pixel = Vec::with_capacity(samples.len());
    for pixel in 0..image.pixels() {
        for plane in 0..planes {
            let start = (plane * image.pixels() + pixel) * bytes;
            by_pixel.extend_from_slice(&samples[start..start + bytes]);
        }
    }
    Ok(Frame { samples: by_pixel, photometric })
}
