//! What a stored image says of its pixels (PS3.3 C.7.6.3), and where its frames are (PS3.5 A.4).
//!
//! A header may lie: products are checked, and no table is believed that the fragments do not bear out.

use std::fs::File;
use std::io;

use dicomet_proto::dataset::Tag;

use super::elements::{Elements, Event, Stretch, invalid};

/// The longest value of an attribute that is read here.
const MAX_VALUE: u32 = 1024;

/// The longest Basic Offset Table that is read; longer than that of 1,000,000 frames is none.
const MAX_OFFSET_TABLE: u32 = 4 * MAX_FRAGMENTS as u32;

/// Fragments that are kept account of, at 16 bytes each. Videos are one; whole slides have some 100,000.
const MAX_FRAGMENTS: usize = 1_000_000;

/// The most bytes of one decoded frame: it is held in memory, by the decoder in some codecs several times. The
/// largest in practice are mammograms and radiographs of some 50 MB.
pub(super) const MAX_FRAME_LENGTH: u64 = 256 * 1024 * 1024;

/// The longest native pixel data: the length of an element has 32 bits, FFFFFFFF means undefined, and it is even.
const MAX_PIXEL_DATA_LENGTH: u64 = 0xFFFF_FFFE;

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
pub(super) const ICON_IMAGE_SEQUENCE: Tag = Tag(0x0088, 0x0200);

/// The pixels of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) samples: u16,
    pub(super) photometric: String,
    pub(super) frames: u32,
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) bits_allocated: u16,
    pub(super) bits_stored: u16,
    pub(super) signed: bool,
    pub(super) planar: bool,
    /// Lossy Image Compression (0028,2110) is there.
    pub(super) tells_lossy: bool,
}

/// What of a data set is encapsulated.
pub(super) struct Encapsulated {
    /// The pixel data; none in a document, say, that stands in a transfer syntax for images.
    pub(super) pixels: Option<Pixels>,
    /// An icon, which cannot be that in a native transfer syntax.
    pub(super) has_encapsulated_icon: bool,
}

/// Encapsulated pixel data as they lie in a file.
pub(super) struct Pixels {
    pub(super) image: Image,
    /// The Basic Offset Table, then the fragments.
    fragments: Vec<Stretch>,
    offset_table: Vec<u8>,
}

impl Image {
    /// One bit a pixel: native frames need not begin at a byte.
    pub(super) fn is_single_bit(&self) -> bool {
        self.bits_allocated == 1
    }

    /// None where a sample is a bit.
    pub(super) fn bytes_per_sample(&self) -> usize {
        usize::from(self.bits_allocated / 8)
    }

    /// Pixels of a frame.
    pub(super) fn pixels(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// Samples of a frame.
    pub(super) fn samples_per_frame(&self) -> usize {
        self.pixels() * usize::from(self.samples)
    }

    /// Bytes of a decoded frame by itself.
    pub(super) fn frame_length(&self) -> usize {
        match self.is_single_bit() {
            true => self.samples_per_frame().div_ceil(8),
            false => self.samples_per_frame() * self.bytes_per_sample(),
        }
    }

    /// Bytes of all decoded frames, without padding to an even length.
    pub(super) fn pixel_data_length(&self) -> u64 {
        match self.is_single_bit() {
            true => (self.samples_per_frame() as u64 * u64::from(self.frames)).div_ceil(8),
            false => self.frame_length() as u64 * u64::from(self.frames),
        }
    }

    fn check(&self) -> io::Result<()> {
        if !matches!(self.bits_allocated, 1 | 8 | 16 | 32) {
            return Err(invalid("Bits Allocated is none of 1, 8, 16 and 32"));
        }
        if self.bits_stored == 0 || self.bits_stored > self.bits_allocated {
            return Err(invalid("Bits Stored does not fit Bits Allocated"));
        }
        if !matches!(self.samples, 1 | 3) {
            return Err(invalid("Samples per Pixel is neither 1 nor 3"));
        }
        if self.is_single_bit() && self.samples != 1 {
            return Err(invalid("a pixel of one bit has several samples"));
        }
        if self.frames == 0 || self.rows == 0 || self.columns == 0 {
            return Err(invalid("the image has no pixels"));
        }
        // Below 2^16 * 2^16 * 3 * 4, and that times 2^32: no product overflows 64 bits.
        if self.frame_length() as u64 > MAX_FRAME_LENGTH {
            return Err(invalid("a frame is larger than is decoded"));
        }
        if self.pixel_data_length() > MAX_PIXEL_DATA_LENGTH {
            return Err(invalid("the decoded pixel data would be longer than native pixel data can be"));
        }
        Ok(())
    }
}

/// Reads through a data set.
///
/// # Errors
/// `InvalidData` when it is not sound, or no image that can be decoded.
pub(super) fn read(elements: &mut Elements<'_>) -> io::Result<Encapsulated> {
    let mut attributes = Attributes::default();
    let mut fragments = Vec::new();
    let (mut is_encapsulated, mut has_encapsulated_icon) = (false, false);
    let mut top = Tag(0, 0);
    loop {
        let depth = elements.depth();
        let Some(event) = elements.next()? else { break };
        match event {
            Event::Element(element) if depth == 0 => {
                attributes.take(element.tag, elements, element.big_endian)?;
            }
            Event::Sequence(tag) if depth == 0 => top = tag,
            Event::Encapsulated if depth == 0 => (top, is_encapsulated) = (PIXEL_DATA, true),
            Event::Encapsulated if top == ICON_IMAGE_SEQUENCE => has_encapsulated_icon = true,
            Event::Fragment(fragment) if top == PIXEL_DATA => {
                if fragments.len() == MAX_FRAGMENTS {
                    return Err(invalid("the pixel data have more fragments than are kept account of"));
                }
                if fragments.is_empty() && fragment.length > 0 {
                    attributes.offset_table = elements.value(MAX_OFFSET_TABLE)?;
                }
                fragments.push(fragment);
            }
            _ => {}
        }
    }
    let offset_table = std::mem::take(&mut attributes.offset_table);
    let pixels = if is_encapsulated {
        let image = attributes.image()?;
        image.check()?;
        Some(Pixels { image, fragments, offset_table })
    } else {
        None
    };
    Ok(Encapsulated { pixels, has_encapsulated_icon })
}

impl Pixels {
    /// Where each frame is: by the Basic Offset Table where it fits the fragments, else a fragment a frame, else
    /// a frame from each fragment that begins with what begins a frame.
    ///
    /// # Errors
    /// `InvalidData` when the fragments cannot be told apart by frames.
    pub(super) fn frames(&self, file: &File, begins_frame: fn(&[u8]) -> bool) -> io::Result<Vec<&[Stretch]>> {
        let fragments = self.fragments.get(1..).unwrap_or_default();
        let frames = self.image.frames as usize;
        if frames == 1 && !fragments.is_empty() {
            return Ok(vec![fragments]);
        }
        if fragments.len() == frames {
            return Ok(fragments.chunks(1).collect());
        }
        if fragments.len() < frames {
            return Err(invalid("the pixel data have fewer fragments than frames"));
        }
        let starts = match self.starts_by_table(fragments) {
            Some(starts) => starts,
            None => starts_by_content(fragments, file, begins_frame)?,
        };
        if starts.len() != frames || starts.first() != Some(&0) {
            return Err(invalid("which fragments belong to which frame cannot be told"));
        }
        let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
        Ok(starts.iter().zip(ends).map(|(&start, end)| &fragments[start..end]).collect())
    }

    /// The numbers of the fragments at which frames begin; `None` when the table is not borne out.
    fn starts_by_table(&self, fragments: &[Stretch]) -> Option<Vec<usize>> {
        let first = fragments.first()?.offset;
        let offsets = self
            .offset_table
            .chunks_exact(4)
            .map(|offset| u64::from(u32::from_le_bytes([offset[0], offset[1], offset[2], offset[3]])));
        let mut starts: Vec<usize> = Vec::new();
        for offset in offsets {
            let wanted = first.checked_add(offset)?;
            let start = fragments.binary_search_by_key(&wanted, |fragment| fragment.offset).ok()?;
            if starts.last().is_some_and(|last| *last >= start) {
                return None;
            }
            starts.push(start);
        }
        (starts.len() == self.image.frames as usize).then_some(starts)
    }
}

fn starts_by_content(
    fragments: &[Stretch],
    file: &File,
    begins_frame: fn(&[u8]) -> bool,
) -> io::Result<Vec<usize>> {
    use std::os::unix::fs::FileExt;
    let mut starts = Vec::new();
    for (number, fragment) in fragments.iter().enumerate() {
        let mut head = [0; 12];
        let length = head.len().min(fragment.length as usize);
        file.read_exact_at(&mut head[..length], fragment.offset)?;
        if begins_frame(&head[..length]) {
            starts.push(number);
        }
    }
    Ok(starts)
}

#[derive(Default)]
struct Attributes {
    samples: Option<u16>,
    photometric: Option<String>,
    planar: Option<u16>,
    frames: Option<String>,
    rows: Option<u16>,
    columns: Option<u16>,
    bits_allocated: Option<u16>,
    bits_stored: Option<u16>,
    representation: Option<u16>,
    tells_lossy: bool,
    offset_table: Vec<u8>,
}

impl Attributes {
    fn take(&mut self, tag: Tag, elements: &mut Elements<'_>, big_endian: bool) -> io::Result<()> {
        let Tag(0x0028, element) = tag else { return Ok(()) };
        let number = |value: Vec<u8>| {
            let bytes = value.first_chunk::<2>().copied();
            bytes.map(if big_endian { u16::from_be_bytes } else { u16::from_le_bytes })
        };
        let text =
            |value: Vec<u8>| Some(String::from_utf8_lossy(&value).trim_matches([' ', '\0']).to_owned());
        match element {
            0x0002 => self.samples = number(elements.value(MAX_VALUE)?),
            0x0004 => self.photometric = text(elements.value(MAX_VALUE)?),
            0x0006 => self.planar = number(elements.value(MAX_VALUE)?),
            0x0008 => self.frames = text(elements.value(MAX_VALUE)?),
            0x0010 => self.rows = number(elements.value(MAX_VALUE)?),
            0x0011 => self.columns = number(elements.value(MAX_VALUE)?),
            0x0100 => self.bits_allocated = number(elements.value(MAX_VALUE)?),
            0x0101 => self.bits_stored = number(elements.value(MAX_VALUE)?),
            0x0103 => self.representation = number(elements.value(MAX_VALUE)?),
            0x2110 => self.tells_lossy = text(elements.value(MAX_VALUE)?).is_some_and(|text| text == "01"),
            _ => {}
        }
        Ok(())
    }

    fn image(self) -> io::Result<Image> {
        let missing = || invalid("an attribute of the image is missing or malformed");
        let bits_allocated = self.bits_allocated.ok_or_else(missing)?;
        let frames = match self.frames.as_deref() {
            None | Some("") => 1,
            Some(text) => text.parse().map_err(|_| missing())?,
        };
        Ok(Image {
            samples: self.samples.unwrap_or(1),
            photometric: self.photometric.unwrap_or_default(),
            frames,
            rows: self.rows.ok_or_else(missing)?,
            columns: self.columns.ok_or_else(missing)?,
            bits_allocated,
            bits_stored: self.bits_stored.unwrap_or(bits_allocated),
            signed: self.representation == Some(1),
            planar: self.planar == Some(1),
            tells_lossy: self.tells_lossy,
        })
    }
}
