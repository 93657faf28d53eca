//! Compressed pixel data to native ones, a frame at a time into a temporary file, and what changes in the header
//! with them (PS3.3 C.7.6.3.1, C.7.6.1.1.5).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use dicomet_proto::dataset::{Tag, VR};

use super::decode::{Codec, Loss};
use super::elements::{Stretch, invalid};
use super::encode::Edits;
use super::image::{Image, MAX_FRAME_LENGTH, Pixels};
use super::single_bits::SingleBits;
use super::wanted::Wanted;

const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);
const LOSSY_IMAGE_COMPRESSION: Tag = Tag(0x0028, 0x2110);
const LOSSY_IMAGE_COMPRESSION_RATIO: Tag = Tag(0x0028, 0x2112);
const LOSSY_IMAGE_COMPRESSION_METHOD: Tag = Tag(0x0028, 0x2114);
const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7FE0, 0x0001);
const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7FE0, 0x0002);
const ENCAPSULATED_TOTAL_LENGTH: Tag = Tag(0x7FE0, 0x0003);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Decodes the pixel data of an instance, and adds what that changes to its edits.
///
/// # Errors
/// `InvalidData` or `Unsupported` when a frame cannot be decoded; and when nobody waits any more.
pub(super) fn decode(
    file: &File,
    pixels: &Pixels,
    codec: Codec,
    loss: Loss,
    wanted: &Wanted,
    edits: &mut Edits,
) -> io::Result<()> {
    let image = &pixels.image;
    let mut spool = BufWriter::with_capacity(256 * 1024, tempfile::tempfile()?);
    let mut single_bits = SingleBits::default();
    let mut photometric: Option<String> = None;
    let mut compressed = 0;
    for fragments in pixels.frames(file, codec.begins_frame())? {
        wanted.check()?;
        let bytes = gather(file, fragments)?;
        compressed += bytes.len() as u64;
        let frame = codec.decode(&bytes, image)?;
        if photometric.as_ref().is_some_and(|first| *first != frame.photometric) {
            return Err(invalid("the colours of one frame are not those of another"));
        }
        photometric = Some(frame.photometric);
        if image.is_single_bit() {
            single_bits.append(&mut spool, &frame.samples[..], 0, image.samples_per_frame() as u64)?;
        } else {
            spool.write_all(&frame.samples)?;
        }
    }
    single_bits.finish(&mut spool)?;
    let mut length = image.pixel_data_length();
    if length % 2 == 1 {
        spool.write_all(&[0])?;
        length += 1;
    }
    let spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = u32::try_from(length).map_err(io::Error::other)?;
    let vr = if image.bits_allocated > 8 { VR::OW } else { VR::OB };
    edits.set_spooled(PIXEL_DATA, vr, Arc::new(spool), length);
    describe(edits, image, photometric.unwrap_or_default(), loss, compressed);
    Ok(())
}

fn describe(edits: &mut Edits, image: &Image, photometric: String, loss: Loss, compressed: u64) {
    edits.set(PHOTOMETRIC_INTERPRETATION, VR::CS, photometric.into_bytes());
    if image.samples > 1 {
        edits.set(PLANAR_CONFIGURATION, VR::US, vec![0, 0]);
    }
    for tag in [EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS, ENCAPSULATED_TOTAL_LENGTH] {
        edits.remove(tag);
    }
    // What was lost stays lost: where the header does not say so yet, nothing else would any more.
    if let Loss::Always(method) = loss
        && !image.tells_lossy
    {
        let ratio = image.pixel_data_length() as f64 / compressed.max(1) as f64;
        edits.set(LOSSY_IMAGE_COMPRESSION, VR::CS, b"01".to_vec());
        edits.set(LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, format!("{ratio:.2}").into_bytes());
        edits.set(LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, method.as_bytes().to_vec());
    }
}

/// The bytes of a frame, from all of its fragments.
fn gather(file: &File, fragments: &[Stretch]) -> io::Result<Vec<u8>> {
    let length: u64 = fragments.iter().map(|fragment| u64::from(fragment.length)).sum();
    if length > MAX_FRAME_LENGTH {
        return Err(invalid("a compressed frame is larger than is decoded"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let mut rest = bytes.as_mut_slice();
    for fragment in fragments {
        let (now, later) = rest.split_at_mut(fragment.length as usize);
        file.read_exact_at(now, fragment.offset)?;
        rest = later;
    }
    Ok(bytes)
}
