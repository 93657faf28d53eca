//! JPEG 2000 (ISO/IEC 15444-1) and High-Throughput JPEG 2000 (ISO/IEC 15444-15), lossless or not.
//!
//! The size in the codestream is held against the header before the decoder sees it: it gives memory by that size.

use std::io;

use jpeg2k::{DecodeParameters, Image as Decoded};

use super::{Frame, failed, untransformed, widen};
use crate::transcode::elements::invalid;
use crate::transcode::image::Image;

/// Where in a JP2 file the codestream begins at the latest: boxes before it have some hundred bytes.
const MAX_BOXES: usize = 64 * 1024;

/// Start of codestream, then the marker of the size (ISO/IEC 15444-1 A.4.1, A.5.1).
const SOC_SIZ: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];

pub(super) fn decode(bytes: &[u8], image: &Image) -> io::Result<Frame> {
    check_size(bytes, image)?;
    let parameters = DecodeParameters::new().strict(true);
    let decoded = Decoded::from_bytes_with(bytes, parameters).map_err(|error| failed(&error))?;
    let components = decoded.components();
    let size = (usize::from(image.samples), u32::from(image.columns), u32::from(image.rows));
    let fits = components.len() == size.0
        && components.iter().all(|component| {
            (component.width(), component.height()) == (size.1, size.2)
                && component.data().len() == image.pixels()
        });
    if !fits {
        return Err(invalid("a JPEG 2000 frame has another size than the header says"));
    }
    let planes: Vec<&[i32]> = components.iter().map(|component| component.data()).collect();
    let samples = widen((0..image.pixels()).flat_map(|at| planes.iter().map(move |plane| plane[at])), image);
    // The decoder undoes the colour transforms of the codestream.
    let photometric = match image.photometric.as_str() {
        "YBR_RCT" | "YBR_ICT" => "RGB".to_owned(),
        _ => untransformed(image),
    };
    Ok(Frame { samples, photometric })
}

/// Holds the SIZ segment against the header, and says no to subsampled components.
fn check_size(bytes: &[u8], image: &Image) -> io::Result<()> {
    let searched = &bytes[..bytes.len().min(MAX_BOXES)];
    let start = searched.windows(4).position(|window| window == SOC_SIZ);
    let start = start.ok_or_else(|| invalid("a JPEG 2000 frame has no size"))?;
    // After the marker: Lsiz, Rsiz (2 each), Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz (4 each), Csiz.
    let segment = bytes.get(start + 4..).unwrap_or_default();
    let number = |at: usize| {
        let four = segment.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
        four.map(u32::from_be_bytes).ok_or_else(|| invalid("a JPEG 2000 frame ends within its size"))
    };
    let width = number(4)?.checked_sub(number(12)?);
    let height = number(8)?.checked_sub(number(16)?);
    let components = segment.get(36..38).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let size = (width, height, components);
    if size != (Some(image.columns.into()), Some(image.rows.into()), Some(image.samples)) {
        return Err(invalid("a JPEG 2000 frame has another size than the header says"));
    }
    let (tile_width, tile_height) = (number(20)?, number(24)?);
    if tile_width == 0 || tile_height == 0 {
        return Err(invalid("a JPEG 2000 frame has tiles of no size"));
    }
    let each = segment.get(38..38 + 3 * usize::from(image.samples));
    let each = each.ok_or_else(|| invalid("a JPEG 2000 frame ends within its size"))?;
    if each.chunks_exact(3).any(|component| component[1..] != [1, 1]) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "JPEG 2000 with subsampled components"));
    }
    Ok(())
}
