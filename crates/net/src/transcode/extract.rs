//! A new instance of some frames of a stored one: PS3.4 Y.3.2 (which frames), Y.3.3 (the instance), PS3.3 C.12.3
//! (Frame Extraction Module).
//!
//! The pixels are copied as they are stored, compressed or not. What counts by frames is cut with them: per-frame
//! functional groups, the planes of a dose, and what `times` and `by_frame` know.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{Tag, VR};

use super::decimals::{decimal_strings, decimals};
use super::dose_grid::DoseGrid;
use super::elements::{Element, Elements, Encoding, Event, Stretch, invalid, is_long, unit};
use super::encode::{Edits, encode};
use super::pieces::{Piece, Pieces, Stored, swap};
use super::single_bits::SingleBits;
use super::times::{self, Times};
use super::wanted::Wanted;
use super::{DataSet, by_frame, decode, image, inflated};

/// Frames beyond this number are not looked for; PS3.3 C.7.6.6 has the number in 12 digits, nobody so many frames.
const MAX_FRAMES: u32 = 1_000_000;

/// The longest value of an attribute that counts by frames: a decimal string for each.
const MAX_VALUE: u32 = 17 * MAX_FRAMES;

const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const FRAME_EXTRACTION_SEQUENCE: Tag = Tag(0x0008, 0x1164);
const CONTRIBUTING_EQUIPMENT_SEQUENCE: Tag = Tag(0x0018, 0xA001);
const IMAGE_POSITION_PATIENT: Tag = Tag(0x0020, 0x0032);
const IMAGE_ORIENTATION_PATIENT: Tag = Tag(0x0020, 0x0037);
const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const GRID_FRAME_OFFSET_VECTOR: Tag = Tag(0x3004, 0x000C);

/// The frames that are asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameList {
    /// Simple Frame List (0008,1161): numbers from 1, rising.
    Simple(Vec<u32>),
    /// Calculated Frame List (0008,1162): first, last (FFFFFFFF for that of the image), step.
    Calculated(Vec<[u32; 3]>),
    /// Time Range (0008,1163): from and to, in seconds from Content Time.
    Time([f64; 2]),
}

/// A new instance, in a temporary file.
#[derive(Debug)]
pub struct Extracted {
    /// Its data set.
    pub data_set: DataSet,
    /// Its own SOP Instance UID.
    pub sop_instance: Uid,
}

/// Why frames cannot be extracted: PS3.4 Table Y.4-1.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// AA00.
    #[error("none of the frames is in the instance")]
    NoneFound,
    /// AA01.
    #[error("the instance has no frames to extract")]
    NoFrames,
    /// AA02.
    #[error("the frames cannot be extracted: {0}")]
    Unreadable(#[from] io::Error),
    /// AA03.
    #[error("the instance is not based on time")]
    NotTimeBased,
    /// AA04.
    #[error("the frame list breaks the rules of PS3.4 Y.3.2")]
    Invalid,
}

pub(super) fn extract(stored: DataSet, list: &FrameList, wanted: &Wanted) -> Result<Extracted, ExtractError> {
    let from = stored.transfer_syntax.clone();
    let (file, offset, length) = inflated(stored, wanted)?;
    let file = Arc::new(file);
    let elements = || Elements::new(&file, offset, length, Encoding::of(&from));
    let source = Source::read(&mut elements()?)?;
    let numbers = source.numbers(list)?;
    if by_frame::lose_their_place(&source.values, source.frames, &numbers) {
        return Err(invalid("the place of a tile is told by its number among all of them").into());
    }
    let mut edits = Edits::default();
    edits.keeps_encapsulated = source.pixels.is_none();
    let transfer_syntax = match &source.pixels {
        Some(pixels) => {
            source.copy_native(&file, pixels, &numbers, wanted, &mut edits)?;
            uids::EXPLICIT_VR_LITTLE_ENDIAN
        }
        None => {
            let image = image::read(&mut elements()?)?;
            let pixels = image.pixels.ok_or(ExtractError::NoFrames)?;
            let begins = decode::codec(&from)
                .map_or(jpeg_begins as fn(&[u8]) -> bool, |(codec, _)| codec.begins_frame());
            copy_encapsulated(&file, &pixels.frames(&file, begins)?, &numbers, wanted, &mut edits)?;
            from.clone()
        }
    };
    let sop_instance = crate::uid::random()?;
    source.describe(&mut edits, list, &numbers, &sop_instance);
    edits.frames = Some(numbers.into_iter().collect::<HashSet<u32>>());
    let pieces = Pieces::new(encode(&file, &mut elements()?, Encoding::EXPLICIT, edits)?);
    let mut made = tempfile::tempfile().map_err(ExtractError::Unreadable)?;
    let length = io::copy(&mut wanted.reading(pieces), &mut made)?;
    Ok(Extracted { data_set: DataSet { file: made, offset: 0, length, transfer_syntax }, sop_instance })
}

/// JPEG-LS begins as JPEG does.
fn jpeg_begins(head: &[u8]) -> bool {
    head.starts_with(&[0xFF, 0xD8])
}

/// What is needed to know of the instance that frames are taken from.
struct Source {
    values: BTreeMap<Tag, Vec<u8>>,
    /// Native pixel data; else they are encapsulated, or there are none.
    pixels: Option<Element>,
    frames: u32,
}

impl Source {
    fn read(elements: &mut Elements<'_>) -> Result<Source, ExtractError> {
        let mut values = BTreeMap::new();
        let mut pixels = None;
        loop {
            let depth = elements.depth();
            let Some(event) = elements.next()? else { break };
            let Event::Element(element) = event else { continue };
            if depth == 0 && is_needed(element.tag) {
                let mut value = elements.value(MAX_VALUE)?;
                if element.big_endian {
                    swap(&mut value, unit(element.vr));
                }
                values.insert(element.tag, value);
            } else if depth == 0 && matches!(element.tag, Tag(0x7FE0, 0x0008..=0x0010)) {
                pixels = Some(element);
            }
        }
        let mut source = Source { values, pixels, frames: 0 };
        let frames = source.text(NUMBER_OF_FRAMES).and_then(|text| text.parse().ok());
        source.frames =
            frames.filter(|frames| (1..=MAX_FRAMES).contains(frames)).ok_or(ExtractError::NoFrames)?;
        Ok(source)
    }

    fn text(&self, tag: Tag) -> Option<String> {
        let value = self.values.get(&tag)?;
        Some(String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned())
    }

    fn number(&self, tag: Tag) -> Option<u64> {
        let value = self.values.get(&tag)?.first_chunk::<2>()?;
        Some(u64::from(u16::from_le_bytes(*value)))
    }

    /// Where the planes of a dose are now, unless they begin where they did.
    fn dose_grid(&self, numbers: &[u32]) -> Option<DoseGrid> {
        let offsets = decimals(&self.values, GRID_FRAME_OFFSET_VECTOR)?;
        if numbers.first() == Some(&1) || offsets.len() != self.frames as usize {
            return None;
        }
        let position = decimals(&self.values, IMAGE_POSITION_PATIENT)?;
        let orientation = decimals(&self.values, IMAGE_ORIENTATION_PATIENT)?;
        DoseGrid::of_frames(&position, &orientation, &offsets, numbers)
    }

    /// The numbers of the frames that are asked for and there, rising.
    fn numbers(&self, list: &FrameList) -> Result<Vec<u32>, ExtractError> {
        let rising = |list: &[u32]| list.first() >= Some(&1) && list.is_sorted_by(|a, b| a < b);
        let numbers: Vec<u32> = match list {
            FrameList::Simple(list) if rising(list) => {
                list.iter().copied().filter(|number| *number <= self.frames).collect()
            }
            FrameList::Calculated(ranges) => {
                let sound = |range: &[u32; 3]| range[0] >= 1 && range[0] <= range[1] && range[2] >= 1;
                let apart = ranges.is_sorted_by(|a, b| a[1] < b[0]);
                if ranges.is_empty() || !ranges.iter().all(sound) || !apart {
                    return Err(ExtractError::Invalid);
                }
                let frames = |[first, last, step]: &[u32; 3]| {
                    (*first..=(*last).min(self.frames)).step_by(*step as usize)
                };
                ranges.iter().flat_map(frames).collect()
            }
            FrameList::Time([from, to]) => {
                if from.is_nan() || to.is_nan() || from > to {
                    return Err(ExtractError::Invalid);
                }
                let times = Times::of(&self.values, self.frames).ok_or(ExtractError::NotTimeBased)?;
                times.within([*from, *to])
            }
            FrameList::Simple(_) => return Err(ExtractError::Invalid),
        };
        if numbers.is_empty() { Err(ExtractError::NoneFound) } else { Ok(numbers) }
    }

    /// Copies frames of native pixel data, in little endian order.
    fn copy_native(
        &self,
        file: &Arc<File>,
        pixels: &Element,
        numbers: &[u32],
        wanted: &Wanted,
        edits: &mut Edits,
    ) -> io::Result<()> {
        let missing = || invalid("an attribute of the image is missing");
        let halved = self.text(PHOTOMETRIC_INTERPRETATION).as_deref() == Some("YBR_FULL_422");
        let samples = if halved { 2 } else { self.number(SAMPLES_PER_PIXEL).unwrap_or(1) };
        let bits = self.number(ROWS).ok_or_else(missing)?
            * self.number(COLUMNS).ok_or_else(missing)?
            * self.number(BITS_ALLOCATED).ok_or_else(missing)?;
        // Below 2^48 so far.
        let bits = bits.checked_mul(samples).filter(|bits| *bits > 0);
        let bits = bits.ok_or_else(|| invalid("frames have no pixels"))?;
        let needed = bits.checked_mul(self.frames.into());
        if needed.is_none_or(|needed| needed.div_ceil(8) > pixels.value.length.into()) {
            return Err(invalid("the pixel data are shorter than the frames"));
        }
        let mut spool = BufWriter::new(tempfile::tempfile()?);
        let mut single_bits = SingleBits::default();
        for number in numbers {
            let start = u64::from(number - 1) * bits;
            let (from, end) = (start / 8, (start + bits).div_ceil(8));
            let mut frame = wanted.reading(little_endian(file, pixels, from, end - from)?);
            if bits % 8 == 0 {
                io::copy(&mut frame, &mut spool)?;
            } else {
                // Less than 8.
                single_bits.append(&mut spool, frame, (start % 8) as u32, bits)?;
            }
        }
        single_bits.finish(&mut spool)?;
        let mut total = (numbers.len() as u64 * bits).div_ceil(8);
        if total % 2 == 1 {
            spool.write_all(&[0])?;
            total += 1;
        }
        let spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
        // Not longer than what it was taken from, but for padding.
        let total = u32::try_from(total).map_err(io::Error::other)?;
        edits.set_spooled(pixels.tag, pixels.vr, Arc::new(spool), total);
        Ok(())
    }

    /// What is different of the header of the new instance.
    fn describe(&self, edits: &mut Edits, list: &FrameList, numbers: &[u32], sop_instance: &Uid) {
        edits.set(SOP_INSTANCE_UID, VR::UI, sop_instance.as_str().into());
        edits.set(NUMBER_OF_FRAMES, VR::IS, numbers.len().to_string().into());
        for tag in [Tag(0x7FE0, 0x0001), Tag(0x7FE0, 0x0002), Tag(0x7FE0, 0x0003)] {
            edits.remove(tag);
        }
        by_frame::cut(&self.values, self.frames, numbers, edits);
        times::describe(&self.values, self.frames, numbers, edits);
        if let Some(grid) = self.dose_grid(numbers) {
            edits.set(IMAGE_POSITION_PATIENT, VR::DS, decimal_strings(&grid.position));
            edits.set(GRID_FRAME_OFFSET_VECTOR, VR::DS, decimal_strings(&grid.offsets));
        }
        let source = self.text(SOP_INSTANCE_UID).unwrap_or_default();
        edits.append_item(FRAME_EXTRACTION_SEQUENCE, frame_extraction(&source, list));
        edits.append_item(CONTRIBUTING_EQUIPMENT_SEQUENCE, contributing_equipment());
    }
}

fn is_needed(tag: Tag) -> bool {
    let few = [
        SOP_INSTANCE_UID,
        SAMPLES_PER_PIXEL,
        PHOTOMETRIC_INTERPRETATION,
        NUMBER_OF_FRAMES,
        ROWS,
        COLUMNS,
        BITS_ALLOCATED,
        IMAGE_POSITION_PATIENT,
        IMAGE_ORIENTATION_PATIENT,
    ];
    few.contains(&tag) || by_frame::counts_by_frames(tag) || times::tells_times(tag)
}

/// So many bytes of a value from a place in it on, as little endian has them. In big endian they lie within whole words,
/// of which the first may begin before and the last end behind (PS3.5 8.1.2, A.3).
fn little_endian(
    file: &Arc<File>,
    element: &Element,
    start: u64,
    length: u64,
) -> io::Result<impl Read + use<>> {
    let unit = if element.big_endian { unit(element.vr) } else { 1 };
    let before = start % unit as u64;
    let end = (start + length).next_multiple_of(unit as u64).min(element.value.length.into());
    let (offset, whole) = (element.value.offset + start - before, end - (start - before));
    let words = Stored { file: Arc::clone(file), offset, length: whole, unit };
    let mut words = Pieces::new(vec![Piece::Stored(words)]);
    io::copy(&mut (&mut words).take(before), &mut io::sink())?;
    Ok(words.take(length))
}

/// Copies fragments, each an item, behind an empty Basic Offset Table.
fn copy_encapsulated(
    file: &Arc<File>,
    frames: &[&[Stretch]],
    numbers: &[u32],
    wanted: &Wanted,
    edits: &mut Edits,
) -> io::Result<()> {
    let mut spool = BufWriter::new(tempfile::tempfile()?);
    spool.write_all(&item_head(0))?;
    let chosen = numbers.iter().filter_map(|number| frames.get(*number as usize - 1));
    for fragment in chosen.copied().flatten() {
        spool.write_all(&item_head(fragment.length))?;
        let (offset, length) = (fragment.offset, fragment.length.into());
        let fragment = Stored { file: Arc::clone(file), offset, length, unit: 1 };
        io::copy(&mut wanted.reading(fragment), &mut spool)?;
    }
    let mut spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = spool.stream_position()?;
    edits.set_encapsulated(Arc::new(spool), length);
    Ok(())
}

fn item_head(length: u32) -> [u8; 8] {
    let [a, b, c, d] = length.to_le_bytes();
    [0xFE, 0xFF, 0x00, 0xE0, a, b, c, d]
}

/// An item of Frame Extraction Sequence, with what was asked for.
fn frame_extraction(source: &str, list: &FrameList) -> Vec<u8> {
    let (tag, vr, value): (_, _, Vec<u8>) = match list {
        FrameList::Simple(list) => {
            (Tag(0x0008, 0x1161), VR::UL, list.iter().flat_map(|number| number.to_le_bytes()).collect())
        }
        FrameList::Calculated(list) => {
            let numbers = list.iter().flatten();
            (Tag(0x0008, 0x1162), VR::UL, numbers.flat_map(|number| number.to_le_bytes()).collect())
        }
        FrameList::Time(range) => {
            (Tag(0x0008, 0x1163), VR::FD, range.iter().flat_map(|time| time.to_le_bytes()).collect())
        }
    };
    item(&[element(tag, vr, &value), element(Tag(0x0008, 0x1167), VR::UI, source.as_bytes())])
}

/// An item of Contributing Equipment Sequence: (109105, DCM, "Frame Extracting Equipment").
fn contributing_equipment() -> Vec<u8> {
    let code = item(&[
        element(Tag(0x0008, 0x0100), VR::SH, b"109105"),
        element(Tag(0x0008, 0x0102), VR::SH, b"DCM"),
        element(Tag(0x0008, 0x0104), VR::LO, b"Frame Extracting Equipment"),
    ]);
    item(&[
        element(Tag(0x0008, 0x0070), VR::LO, b"dicomet"),
        element(Tag(0x0018, 0x1020), VR::LO, env!("CARGO_PKG_VERSION").as_bytes()),
        element(Tag(0x0040, 0xA170), VR::SQ, &code),
    ])
}

fn item(elements: &[Vec<u8>]) -> Vec<u8> {
    let content = elements.concat();
    // Made of a list that came in an identifier of a few megabytes.
    let mut item = item_head(content.len() as u32).to_vec();
    item.extend(content);
    item
}

/// An element in Explicit VR Little Endian, padded to an even length. What its VR has no length for is UN (PS3.5 6.2.2
/// note 2): a list of more than 16,383 frames.
fn element(tag: Tag, vr: VR, value: &[u8]) -> Vec<u8> {
    let padding = value.len() % 2;
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    match u16::try_from(value.len() + padding) {
        Ok(length) if !is_long(vr) => {
            bytes.extend(vr.to_bytes());
            bytes.extend(length.to_le_bytes());
        }
        _ => {
            bytes.extend(if is_long(vr) { vr } else { VR::UN }.to_bytes());
            bytes.extend([0, 0]);
            // It came in an identifier of a few megabytes.
            bytes.extend(((value.len() + padding) as u32).to_le_bytes());
        }
    }
    bytes.extend(value);
    bytes.extend(std::iter::repeat_n(if vr == VR::UI { 0 } else { b' ' }, padding));
    bytes
}
