//! Attributes on top of an image that count by its frames, or name some of them, when frames are taken out: PS3.4 Y.3.3
//! asks for a new instance that is consistent in itself. What has a value a frame is cut, what names frames gets their
//! new numbers, and what then has no meaning goes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use dicomet_proto::dataset::{Tag, VR};

use super::encode::Edits;

/// A number of 16 bits for each frame: the vectors of PS3.3 C.8.4.8.
const VECTORS: [Tag; 9] = [
    Tag(0x0054, 0x0010),
    Tag(0x0054, 0x0020),
    Tag(0x0054, 0x0030),
    Tag(0x0054, 0x0050),
    Tag(0x0054, 0x0060),
    Tag(0x0054, 0x0070),
    Tag(0x0054, 0x0080),
    Tag(0x0054, 0x0090),
    Tag(0x0054, 0x0100),
];

/// A text for each frame: the vectors of secondary capture (PS3.3 C.8.6.3), the increments of table and positioner of
/// X-ray angiography (C.8.7.4, C.8.7.5), Grid Frame Offset Vector of dose (C.8.8.3; where it can be understood,
/// `dose_grid` says more).
const TEXT_VECTORS: [(Tag, VR); 12] = [
    (Tag(0x0018, 0x1135), VR::DS),
    (Tag(0x0018, 0x1136), VR::DS),
    (Tag(0x0018, 0x1137), VR::DS),
    (Tag(0x0018, 0x1520), VR::DS),
    (Tag(0x0018, 0x1521), VR::DS),
    (Tag(0x0018, 0x2001), VR::IS),
    (Tag(0x0018, 0x2002), VR::SH),
    (Tag(0x0018, 0x2003), VR::DS),
    (Tag(0x0018, 0x2004), VR::DS),
    (Tag(0x0018, 0x2005), VR::DS),
    (Tag(0x0018, 0x2006), VR::SH),
    (Tag(0x3004, 0x000C), VR::DS),
];

/// The first and the last frame of a range: Start and Stop Trim, IVUS Pullback Start and Stop Frame Number.
const RANGES: [[Tag; 2]; 2] =
    [[Tag(0x0008, 0x2142), Tag(0x0008, 0x2143)], [Tag(0x0018, 0x3104), Tag(0x0018, 0x3105)]];

const CONCATENATION_UID: Tag = Tag(0x0020, 0x9161);
const DIMENSION_ORGANIZATION_TYPE: Tag = Tag(0x0020, 0x9311);

/// What an instance has that is part of a concatenation (PS3.3 C.7.6.16): SOP Instance UID of Concatenation Source,
/// Concatenation UID, In-concatenation Number, In-concatenation Total Number, Concatenation Frame Offset Number.
const CONCATENATION: [Tag; 5] =
    [Tag(0x0020, 0x0242), CONCATENATION_UID, Tag(0x0020, 0x9162), Tag(0x0020, 0x9163), Tag(0x0020, 0x9228)];

const REPRESENTATIVE_FRAME_NUMBER: Tag = Tag(0x0028, 0x6010);
const FRAME_NUMBERS_OF_INTEREST: Tag = Tag(0x0028, 0x6020);
const FRAME_OF_INTEREST_DESCRIPTION: Tag = Tag(0x0028, 0x6022);
const FRAME_OF_INTEREST_TYPE: Tag = Tag(0x0028, 0x6023);
const R_WAVE_POINTER: Tag = Tag(0x0028, 0x6040);
const MASK_SUBTRACTION_SEQUENCE: Tag = Tag(0x0028, 0x6100);

/// Number of Frames in Overlay (60xx,0015): of these overlays, each frame has its own.
const NUMBER_OF_FRAMES_IN_OVERLAY: u16 = 0x0015;

/// The elements of an overlay plane, PS3.3 C.9.2, retired ones too.
const OVERLAY_ELEMENTS: [u16; 15] = [
    0x0010, 0x0011, 0x0015, 0x0022, 0x0040, 0x0045, 0x0050, 0x0051, 0x0100, 0x0102, 0x1301, 0x1302, 0x1303,
    0x1500, 0x3000,
];

/// Whether the value of an attribute on top is needed by [`cut`].
pub(super) fn counts_by_frames(tag: Tag) -> bool {
    let naming = [
        CONCATENATION_UID,
        DIMENSION_ORGANIZATION_TYPE,
        REPRESENTATIVE_FRAME_NUMBER,
        FRAME_NUMBERS_OF_INTEREST,
        FRAME_OF_INTEREST_DESCRIPTION,
        FRAME_OF_INTEREST_TYPE,
        R_WAVE_POINTER,
    ];
    VECTORS.contains(&tag)
        || TEXT_VECTORS.iter().any(|(vector, _)| *vector == tag)
        || naming.contains(&tag)
        || RANGES.as_flattened().contains(&tag)
        || (is_overlay(tag.0) && tag.1 == NUMBER_OF_FRAMES_IN_OVERLAY)
}

fn is_overlay(group: u16) -> bool {
    (0x6000..=0x601E).contains(&group) && group.is_multiple_of(2)
}

/// Fits these attributes, as their values are in little endian order, to the frames with these numbers, which rise.
pub(super) fn cut(values: &BTreeMap<Tag, Vec<u8>>, frames: u32, numbers: &[u32], edits: &mut Edits) {
    let frames = frames as usize;
    let places = || numbers.iter().map(|number| *number as usize - 1);
    for tag in VECTORS {
        if let Some(vector) = values.get(&tag).filter(|vector| vector.len() == 2 * frames) {
            edits.set(tag, VR::US, places().flat_map(|at| [vector[2 * at], vector[2 * at + 1]]).collect());
        }
    }
    for (tag, vr) in TEXT_VECTORS {
        let texts = texts(values, tag);
        if texts.len() == frames {
            edits.set(tag, vr, joined(places().map(|at| texts[at])));
        }
    }
    // Its items name frames and ranges of frames, the mask above all, which may be gone.
    edits.remove(MASK_SUBTRACTION_SEQUENCE);
    rename_representative(values, numbers, edits);
    rename_of_interest(values, numbers, edits);
    rename_r_waves(values, numbers, edits);
    rename_ranges(values, numbers, edits);
    // The new instance is in the place of none of the parts.
    CONCATENATION.iter().for_each(|tag| edits.remove(*tag));
    // Planes at equal distances, or that in each of several times: where some are missing, they may be no more.
    if numbers.len() < frames && dimension_organization(values).starts_with("3D") {
        edits.remove(DIMENSION_ORGANIZATION_TYPE);
    }
    for (Tag(group, _), _) in values.iter().filter(|(tag, _)| is_overlay(tag.0)) {
        OVERLAY_ELEMENTS.iter().for_each(|element| edits.remove(Tag(*group, *element)));
    }
}

/// The new number of a frame, if it stays.
fn renamed(number: u32, numbers: &[u32]) -> Option<u16> {
    let place = numbers.binary_search(&number).ok()?;
    u16::try_from(place + 1).ok()
}

fn rename_representative(values: &BTreeMap<Tag, Vec<u8>>, numbers: &[u32], edits: &mut Edits) {
    if !values.contains_key(&REPRESENTATIVE_FRAME_NUMBER) {
        return;
    }
    match shorts(values, REPRESENTATIVE_FRAME_NUMBER).first().and_then(|number| renamed(*number, numbers)) {
        Some(number) => edits.set(REPRESENTATIVE_FRAME_NUMBER, VR::US, number.to_le_bytes().to_vec()),
        None => edits.remove(REPRESENTATIVE_FRAME_NUMBER),
    }
}

/// Frame Numbers of Interest, with a description and a type for each.
fn rename_of_interest(values: &BTreeMap<Tag, Vec<u8>>, numbers: &[u32], edits: &mut Edits) {
    let named = shorts(values, FRAME_NUMBERS_OF_INTEREST);
    let stay: Vec<(usize, u16)> =
        named.iter().enumerate().filter_map(|(at, number)| Some((at, renamed(*number, numbers)?))).collect();
    let described = [(FRAME_OF_INTEREST_DESCRIPTION, VR::LO), (FRAME_OF_INTEREST_TYPE, VR::CS)];
    if stay.is_empty() {
        edits.remove(FRAME_NUMBERS_OF_INTEREST);
        described.iter().for_each(|(tag, _)| edits.remove(*tag));
        return;
    }
    let renamed = stay.iter().flat_map(|(_, number)| number.to_le_bytes()).collect();
    edits.set(FRAME_NUMBERS_OF_INTEREST, VR::US, renamed);
    for (tag, vr) in described {
        let texts = texts(values, tag);
        if texts.len() == named.len() {
            edits.set(tag, vr, joined(stay.iter().map(|(at, _)| texts[*at])));
        }
    }
}

/// R Wave Pointer: the frames at which there are R waves.
fn rename_r_waves(values: &BTreeMap<Tag, Vec<u8>>, numbers: &[u32], edits: &mut Edits) {
    let named = shorts(values, R_WAVE_POINTER);
    let stay: Vec<u16> = named.iter().filter_map(|number| renamed(*number, numbers)).collect();
    if stay.is_empty() {
        edits.remove(R_WAVE_POINTER);
    } else {
        let numbers = stay.iter().flat_map(|number| number.to_le_bytes()).collect();
        edits.set(R_WAVE_POINTER, VR::US, numbers);
    }
}

/// Of each range, the first and the last of the frames in it that stay.
fn rename_ranges(values: &BTreeMap<Tag, Vec<u8>>, numbers: &[u32], edits: &mut Edits) {
    let number =
        |tag| texts(values, tag).first().and_then(|text| String::from_utf8_lossy(text).trim().parse().ok());
    for [start, stop] in RANGES {
        let range: RangeInclusive<u32> = number(start).unwrap_or(1)..=number(stop).unwrap_or(u32::MAX);
        let mut places =
            (1..).zip(numbers).filter(|(_, number)| range.contains(number)).map(|(place, _)| place);
        let first: Option<u32> = places.next();
        let last = places.last().or(first);
        for (tag, place) in [(start, first), (stop, last)] {
            match place {
                Some(place) if values.contains_key(&tag) => {
                    edits.set(tag, VR::IS, place.to_string().into_bytes())
                }
                _ => edits.remove(tag),
            }
        }
    }
}

/// Whether nothing would tell where these frames lie: of a tiled image that is full their numbers do, among all frames of
/// the instance, or of the concatenation that it is part of (PS3.3 C.7.6.17.3).
pub(super) fn lose_their_place(values: &BTreeMap<Tag, Vec<u8>>, frames: u32, numbers: &[u32]) -> bool {
    let are_all = numbers.len() == frames as usize && !values.contains_key(&CONCATENATION_UID);
    dimension_organization(values) == "TILED_FULL" && !are_all
}

fn dimension_organization(values: &BTreeMap<Tag, Vec<u8>>) -> String {
    let text = texts(values, DIMENSION_ORGANIZATION_TYPE).first().copied().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

fn shorts(values: &BTreeMap<Tag, Vec<u8>>, tag: Tag) -> Vec<u32> {
    let bytes = values.get(&tag).map(Vec::as_slice).unwrap_or_default();
    bytes.chunks_exact(2).map(|two| u32::from(u16::from_le_bytes([two[0], two[1]]))).collect()
}

fn texts(values: &BTreeMap<Tag, Vec<u8>>, tag: Tag) -> Vec<&[u8]> {
    let value = values.get(&tag).map(|value| value.trim_ascii_end()).unwrap_or_default();
    let value = value.strip_suffix(b"\0").unwrap_or(value);
    if value.is_empty() { Vec::new() } else { value.split(|byte| *byte == b'\\').collect() }
}

fn joined<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Vec<u8> {
    texts.collect::<Vec<_>>().join(&b'\\')
}
