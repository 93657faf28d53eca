//! Conversions of whole data sets: made ones, and the images of `testdata/transcode`.

use std::fs;
use std::io::{Read, Write};

use dicomet_proto::dataset::{DataSet as Parsed, FileMeta, Tag};

use super::*;
use crate::association::Source;

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);

fn converted(bytes: &[u8], from: &Uid, to: &Uid) -> io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"head").unwrap();
    file.write_all(bytes).unwrap();
    let stored = DataSet { file, offset: 4, length: bytes.len() as u64, transfer_syntax: from.clone() };
    let mut pieces = convert(stored, to, &Waiting::new().wanted())?;
    let length = Source::remaining(&pieces);
    let mut sent = Vec::new();
    pieces.read_to_end(&mut sent)?;
    assert_eq!(sent.len() as u64, length);
    Ok(sent)
}

/// From explicit to implicit or back.
fn reencoded(bytes: &[u8], to: &Uid) -> io::Result<Vec<u8>> {
    let (explicit, implicit) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN);
    converted(bytes, if *to == explicit { &implicit } else { &explicit }, to)
}

/// The data set of a test file and its transfer syntax.
fn stored(name: &str) -> (Vec<u8>, Uid) {
    let path = format!("{}/../../testdata/transcode/{name}.dcm", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(path).unwrap();
    let (meta, length) = FileMeta::read(&mut bytes.as_slice()).unwrap();
    (bytes[usize::try_from(length).unwrap()..].to_vec(), meta.transfer_syntax)
}

/// A test file in Explicit VR Little Endian.
fn decoded(name: &str) -> Parsed {
    let (bytes, from) = stored(name);
    let to = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let sent = if from == to { bytes } else { converted(&bytes, &from, &to).unwrap() };
    Parsed::parse(&sent, &to).unwrap()
}

fn pixels(name: &str) -> Vec<u8> {
    decoded(name).bytes(PIXEL_DATA).unwrap()
}

#[test]
fn lossless_frames_have_the_very_pixels_of_the_uncompressed_image() {
    let reference = pixels("MR_small");
    assert_eq!(reference.len(), 64 * 64 * 2);
    for name in ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_bigendian"] {
        assert!(pixels(name) == reference, "{name}");
    }
    let colours = pixels("SC_rgb_rle");
    // The first row of the first bar is red.
    assert_eq!(colours[..6], [255, 0, 0, 255, 0, 0]);
    for name in ["SC_rgb_jpeg_gdcm", "SC_rgb_gdcm_KY"] {
        assert!(pixels(name) == colours, "{name}");
    }
    let two = pixels("SC_rgb_rle_2frame");
    assert_eq!(two.len(), 2 * colours.len());
    assert!(two[..colours.len()] == colours);
}

#[test]
fn lossy_frames_come_near_and_are_rgb_whatever_they_were() {
    let reference = pixels("SC_rgb_rle");
    for (name, near) in [("SC_rgb_dcmtk_eb_cr", 2), ("SC_rgb_dcmtk_eb_cy_s2", 6)] {
        let decoded = decoded(name);
        let pixels = decoded.bytes(PIXEL_DATA).unwrap();
        assert_eq!(pixels.len(), reference.len());
        let worst = pixels.iter().zip(&reference).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(near), "{name} {worst:?}");
        assert_eq!(decoded.text(PHOTOMETRIC_INTERPRETATION).as_deref(), Some("RGB"));
        assert_eq!(decoded.integer(Tag(0x0028, 0x0006)), Some(0));
        assert_eq!(decoded.text(Tag(0x0028, 0x2110)).as_deref(), Some("01"));
    }
}

#[test]
fn a_loss_that_the_header_does_not_tell_is_told_once_the_pixels_cannot_any_more() {
    let (bytes, from) = stored("SC_rgb_dcmtk_eb_cr");
    let silent: Vec<u8> = bytes.clone();
    let at = silent.windows(6).position(|window| window == b"\x28\0\x10\x21CS").unwrap();
    let mut silent = silent;
    // (0028,2110) CS of 2 bytes.
    silent.drain(at..at + 10);
    let to = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let decoded = Parsed::parse(&converted(&silent, &from, &to).unwrap(), &to).unwrap();
    assert_eq!(decoded.text(Tag(0x0028, 0x2110)).as_deref(), Some("01"));
    assert_eq!(decoded.text(Tag(0x0028, 0x2114)).as_deref(), Some("ISO_10918_1"));
}

#[test]
fn the_rest_of_the_header_stays_and_so_does_the_sop_instance() {
    let (reference, decoded) = (decoded("MR_small"), decoded("MR_small_RLE"));
    for tag in reference.tags().filter(|tag| tag.0 != 0x0002 && *tag != PIXEL_DATA) {
        if decoded.contains(tag) && tag.0 % 2 == 0 {
            assert_eq!(decoded.bytes(tag), reference.bytes(tag), "{tag:?}");
        }
    }
    assert!(decoded.uid(Tag(0x0008, 0x0018)).is_some());
    assert_eq!(decoded.text(PHOTOMETRIC_INTERPRETATION).as_deref(), Some("MONOCHROME2"));
    assert!(!decoded.contains(Tag(0x0028, 0x2110)));
}

#[test]
fn what_is_deflated_is_inflated_and_the_other_way() {
    let deflated = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let (bytes, from) = stored("image_dfl");
    assert_eq!(from, deflated);
    let inflated = converted(&bytes, &from, &explicit).unwrap();
    let image = Parsed::parse(&inflated, &explicit).unwrap();
    assert_eq!(image.bytes(PIXEL_DATA).map(|pixels| pixels.len()), Some(262_144));
    let again = converted(&inflated, &explicit, &deflated).unwrap();
    assert!(again.len() < inflated.len() / 10);
    assert_eq!(converted(&again, &deflated, &explicit).unwrap(), inflated);
}

#[test]
fn big_endian_and_back_is_the_same() {
    let (explicit, big) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_BIG_ENDIAN);
    for pixels in [10, 100_000] {
        let once = converted(&explicit_data_set(pixels), &explicit, &big).unwrap();
        assert_eq!(once[..8], *b"\0\x08\0\x18UI\0\x04");
        let back = converted(&once, &big, &explicit).unwrap();
        let twice = converted(&back, &explicit, &big).unwrap();
        assert!(once == twice);
        assert_eq!(back.len(), explicit_data_set(pixels).len() + 16);
    }
}

#[test]
fn what_counts_bytes_as_they_were_stored_is_left_out_at_every_level() {
    let (explicit, implicit) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN);
    // Group lengths on top and in an item, and Length to End.
    let mut bytes = b"\x08\0\0\0UL\x04\0\x44\0\0\0\x08\0\x01\0UL\x04\0\x38\0\0\0".to_vec();
    bytes.extend(b"\x08\0\x18\0UI\x04\x001.2\0");
    bytes.extend(b"\x08\0\x15\x11SQ\0\0\x20\0\0\0\xFE\xFF\0\xE0\x18\0\0\0");
    bytes.extend(b"\x08\0\0\0UL\x04\0\x0C\0\0\0\x08\0\x50\x11UI\x04\x001.3\0");
    let mut sent = b"\x08\0\x18\0\x04\0\0\x001.2\0".to_vec();
    sent.extend(b"\x08\0\x15\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF");
    sent.extend(b"\x08\0\x50\x11\x04\0\0\x001.3\0");
    sent.extend(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0");
    assert_eq!(converted(&bytes, &explicit, &implicit).unwrap(), sent);
    // Sent as they are stored, they are right.
    assert_eq!(converted(&bytes, &explicit, &explicit).unwrap(), bytes);
}

#[test]
fn whether_an_icon_is_signed_says_nothing_of_what_comes_after_it() {
    let (explicit, implicit) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN);
    let first_mapped = Tag(0x0040, 0x9216);
    for (image, icon) in [(1, 0), (0, 1)] {
        let mut bytes = short(0x0008, 0x0018, b"UI", b"2.999\0");
        bytes.extend(short(0x0028, 0x0103, b"US", &[image, 0]));
        let of_icon = short(0x0028, 0x0103, b"US", &[icon, 0]);
        let mapped = short(first_mapped.0, first_mapped.1, b"SS", &[0xFE, 0xFF]);
        for (tag, content) in [(b"\x88\0\0\x02", of_icon), (b"\0\x52\x29\x92", mapped)] {
            bytes.extend([&tag[..], b"SQ\0\0\x12\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0", &content].concat());
        }
        let stored = converted(&bytes, &explicit, &implicit).unwrap();
        let sent = Parsed::parse(&converted(&stored, &implicit, &explicit).unwrap(), &explicit).unwrap();
        let groups = sent.items(Tag(0x5200, 0x9229)).unwrap();
        let number = if image == 1 { -2 } else { 65_534 };
        assert_eq!(groups[0].integer(first_mapped), Some(number), "{image} {icon}");
    }
}

#[test]
fn what_no_decoder_can_is_an_error_of_that_instance() {
    let (bytes, from) = stored("JPGExtended");
    let error = converted(&bytes, &from, &uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap_err();
    assert!(error.to_string().contains("SamplePrecision(12)"), "{error}");
}

#[test]
fn no_header_and_no_frame_that_lies_does_worse_than_an_error() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    for name in ["SC_rgb_rle", "MR_small_jp2klossless", "SC_rgb_jpeg_gdcm", "SC_rgb_dcmtk_eb_cr"] {
        let (bytes, from) = stored(name);
        let attribute = |element: u16| {
            let head = [0x28, 0, element as u8, (element >> 8) as u8, b'U', b'S', 2, 0];
            bytes.windows(8).position(|window| window == head).unwrap() + 8
        };
        // Rows, Columns, Bits Allocated, Bits Stored, Samples per Pixel.
        for element in [0x0010, 0x0011, 0x0100, 0x0101, 0x0002] {
            for value in [0_u16, 1, 7, 65_535] {
                let mut lying = bytes.clone();
                lying[attribute(element)..][..2].copy_from_slice(&value.to_le_bytes());
                // An RLE frame does not say how large it is; too much of it is taken as padding.
                let fewer = name == "SC_rgb_rle" && element < 0x0100 && matches!(value, 1 | 7);
                let harmless = fewer || (element == 0x0101 && matches!(value, 1 | 7));
                if lying == bytes {
                    continue;
                }
                let outcome = converted(&lying, &from, &explicit);
                assert!(outcome.is_err() || harmless, "{name} {element:04x} {value}");
            }
        }
        // A frame that was cut, and one that was altered, end somehow, and say no more than that.
        let frame = bytes.len() - 600;
        for at in (frame..bytes.len()).step_by(37) {
            let mut altered = bytes.clone();
            altered[at] ^= 0x55;
            let _ = converted(&altered, &from, &explicit);
            let _ = converted(&bytes[..at], &from, &explicit);
        }
    }
}

#[test]
fn what_nobody_waits_for_stops() {
    let waiting = Waiting::new();
    let wanted = waiting.wanted();
    wanted.check().unwrap();
    drop(waiting);
    let (bytes, from) = stored("SC_rgb_rle_2frame");
    let stored = || {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        DataSet { file, offset: 0, length: bytes.len() as u64, transfer_syntax: from.clone() }
    };
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let told = [
        convert(stored(), &explicit, &wanted).map(drop).unwrap_err().to_string(),
        extract::extract(stored(), &FrameList::Simple(vec![1]), &wanted).map(drop).unwrap_err().to_string(),
        bulk_data::strip(stored(), &uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &wanted)
            .map(drop)
            .unwrap_err()
            .to_string(),
    ];
    assert!(told.iter().all(|told| told.contains("nobody waits")), "{told:?}");
}

#[test]
fn alternatives_are_uncompressed_and_the_plain_ones_first() {
    let of = |uid: &Uid| alternatives(uid).map(Uid::as_str).collect::<Vec<_>>();
    let rle = Uid::from_static("1.2.840.10008.1.2.5");
    assert_eq!(of(&rle)[..2], ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]);
    assert_eq!(of(&uids::EXPLICIT_VR_LITTLE_ENDIAN)[0], "1.2.840.10008.1.2");
    // JPEG-LS, MPEG-4.
    assert!(of(&Uid::from_static("1.2.840.10008.1.2.4.80")).is_empty());
    assert!(of(&Uid::from_static("1.2.840.10008.1.2.4.102")).is_empty());
}

/// (0008,0018), a sequence of defined length with an item of defined length, pixels.
fn explicit_data_set(pixels: usize) -> Vec<u8> {
    let mut bytes = b"\x08\0\x18\0UI\x04\x001.2\0".to_vec();
    bytes.extend(b"\x08\0\x15\x11SQ\0\0\x14\0\0\0\xFE\xFF\0\xE0\x0C\0\0\0\x08\0\x50\x11UI\x04\x001.3\0");
    bytes.extend(b"\x28\0\x03\x01US\x02\0\x01\0\x28\0\x06\x01SS\x02\0\xFE\xFF");
    bytes.extend(b"\xE0\x7F\x10\0OW\0\0");
    bytes.extend((pixels as u32).to_le_bytes());
    bytes.extend(std::iter::repeat_n(7, pixels));
    bytes
}

fn implicit_data_set(pixels: usize) -> Vec<u8> {
    let mut bytes = b"\x08\0\x18\0\x04\0\0\x001.2\0".to_vec();
    bytes.extend(
        b"\x08\0\x15\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x08\0\x50\x11\x04\0\0\x001.3\0",
    );
    bytes.extend(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0");
    bytes.extend(b"\x28\0\x03\x01\x02\0\0\0\x01\0\x28\0\x06\x01\x02\0\0\0\xFE\xFF");
    bytes.extend(b"\xE0\x7F\x10\0");
    bytes.extend((pixels as u32).to_le_bytes());
    bytes.extend(std::iter::repeat_n(7, pixels));
    bytes
}

#[test]
fn explicit_becomes_implicit_and_comes_back_with_the_same_values() {
    for pixels in [10, 100_000] {
        let sent = reencoded(&explicit_data_set(pixels), &uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(sent, implicit_data_set(pixels));
        let back = reencoded(&sent, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let again = reencoded(&back, &uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(again, sent);
        // As it was, but for the lengths of sequence and item: the same elements with the same VRs.
        assert_eq!(back.len(), explicit_data_set(pixels).len() + 16);
        assert!(back.windows(6).any(|window| window == b"\x28\0\x06\x01SS"));
    }
}

#[test]
fn what_is_private_becomes_un_and_its_creator_lo() {
    let stored = b"\x09\0\x10\0\x04\0\0\0ACME\x09\0\x01\x10\x02\0\0\0ab";
    let sent = reencoded(stored, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(sent, b"\x09\0\x10\0LO\x04\0ACME\x09\0\x01\x10UN\0\0\x02\0\0\0ab");
}

#[test]
fn damage_and_hostile_nesting_are_errors_and_nothing_worse() {
    let whole = explicit_data_set(10);
    for length in 1..whole.len() {
        let _ = reencoded(&whole[..length], &uids::IMPLICIT_VR_LITTLE_ENDIAN);
    }
    for broken in [
        &b"\x08\0\x18\0UI\xFF\xFF1.2\0"[..],
        b"\x08\0\x18\0ZZ\x04\x001.2\0",
        b"\xFE\xFF\0\xE0\0\0\0\0",
        b"\x08\0\x15\x11SQ\0\0\xFF\xFF\xFF\xFF",
        b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF",
    ] {
        assert!(reencoded(broken, &uids::IMPLICIT_VR_LITTLE_ENDIAN).is_err());
    }
    let nest = b"\x08\0\x15\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF";
    assert!(reencoded(&nest.repeat(100_000), &uids::IMPLICIT_VR_LITTLE_ENDIAN).is_err());
}

#[test]
fn zeros_after_the_last_element_are_left_out_and_anything_else_is_an_error() {
    let [explicit, implicit, big] =
        [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_BIG_ENDIAN];
    let in_big = converted(&explicit_data_set(10), &explicit, &big).unwrap();
    for (whole, from, to) in [
        (explicit_data_set(10), &explicit, &implicit),
        (implicit_data_set(10), &implicit, &explicit),
        (in_big, &big, &explicit),
    ] {
        let plain = converted(&whole, from, to).unwrap();
        for zeros in [1, 3, 4, 7, 8, 9, 100_000] {
            let padded = [&whole[..], &vec![0; zeros]].concat();
            assert_eq!(converted(&padded, from, to).unwrap(), plain, "{from} {zeros}");
            let more = [&padded[..], b"x"].concat();
            assert!(converted(&more, from, to).is_err(), "{from} {zeros}");
        }
    }
    let frames = [six_frames(&[]), vec![0; 64]].concat();
    let second = taken(&frames, &FrameList::Simple(vec![2]));
    assert_eq!(second.bytes(PIXEL_DATA).unwrap(), [2, 0]);
    let (mut sent, (bytes, from)) = (Vec::new(), stored("SC_rgb_rle_2frame"));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[&bytes[..], &[0; 30]].concat()).unwrap();
    let padded = DataSet { file, offset: 0, length: bytes.len() as u64 + 30, transfer_syntax: from };
    bulk_data::strip(padded, &implicit, &Waiting::new().wanted()).unwrap().read_to_end(&mut sent).unwrap();
    assert!(!Parsed::parse(&sent, &implicit).unwrap().contains(PIXEL_DATA));
}

/// A data set with an element of it once more behind itself: the one that begins with this head.
fn doubled(bytes: &[u8], head: &[u8], length: usize) -> Vec<u8> {
    let at = bytes.windows(head.len()).position(|window| window == head).unwrap();
    let end = at + head.len() + length;
    [&bytes[..end], &bytes[at..]].concat()
}

fn count(bytes: &[u8], head: &[u8]) -> usize {
    bytes.windows(head.len()).filter(|window| *window == head).count()
}

#[test]
fn what_is_edited_is_written_once_though_it_comes_twice() {
    let [explicit, implicit] = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let (instance, number, pixels) = (b"\x08\0\x18\0UI", b"\x28\0\x08\0IS", b"\xE0\x7F\x10\0OB");
    let mut frames = six_frames(&[(0x0008, 0x2142, b"IS", b"6 ")]);
    for (head, length) in [
        (&[&instance[..], b"\x06\0"].concat(), 6),
        (&[&number[..], b"\x02\0"].concat(), 2),
        (&[&pixels[..], b"\0\0\x06\0\0\0"].concat(), 6),
        (&b"\x08\0\x42\x21IS\x02\0".to_vec(), 2),
    ] {
        frames = doubled(&frames, head, length);
    }
    let sent = extracted(&frames, &explicit, &FrameList::Simple(vec![2, 3]));
    for head in [instance, number, pixels] {
        assert_eq!(count(&sent, head), 1, "{head:?}");
    }
    // Start Trim, which is left out.
    assert_eq!(count(&sent, b"\x08\0\x42\x21IS"), 0);

    // Photometric Interpretation of what is decoded; Pixel Data, of what has no bulk data.
    let (bytes, from) = stored("SC_rgb_rle");
    let bytes = doubled(&bytes, b"\x28\0\x04\0CS\x04\0", 4);
    let sent = converted(&bytes, &from, &explicit).unwrap();
    assert_eq!(count(&sent, b"\x28\0\x04\0CS"), 1);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&frames).unwrap();
    let stored = DataSet { file, offset: 0, length: frames.len() as u64, transfer_syntax: explicit };
    let mut sent = Vec::new();
    bulk_data::strip(stored, &implicit, &Waiting::new().wanted()).unwrap().read_to_end(&mut sent).unwrap();
    assert_eq!(count(&sent, b"\xE0\x7F\x10\0"), 0);
}

#[test]
fn frames_are_taken_as_they_are_and_know_where_they_are_from() {
    let (bytes, from) = stored("SC_rgb_rle_2frame");
    let extracted = |list: &FrameList| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let (length, transfer_syntax) = (bytes.len() as u64, from.clone());
        extract::extract(DataSet { file, offset: 0, length, transfer_syntax }, list, &Waiting::new().wanted())
    };
    let second = extracted(&FrameList::Simple(vec![2])).unwrap();
    assert_eq!(second.data_set.transfer_syntax, from);
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let mut sent = Vec::new();
    convert(second.data_set, &explicit, &Waiting::new().wanted()).unwrap().read_to_end(&mut sent).unwrap();
    let (second, both) = (Parsed::parse(&sent, &explicit).unwrap(), pixels("SC_rgb_rle_2frame"));
    assert!(second.bytes(PIXEL_DATA).unwrap() == both[both.len() / 2..]);
    assert_eq!(second.integer(Tag(0x0028, 0x0008)), Some(1));
    let source = second.items(Tag(0x0008, 0x1164)).unwrap()[0].uid(Tag(0x0008, 0x1167));
    assert_eq!(source, decoded("SC_rgb_rle_2frame").uid(Tag(0x0008, 0x0018)));

    let refused = |list: FrameList| extracted(&list).unwrap_err();
    assert!(matches!(refused(FrameList::Simple(vec![3])), ExtractError::NoneFound));
    assert!(matches!(refused(FrameList::Simple(vec![])), ExtractError::Invalid));
    assert!(matches!(refused(FrameList::Simple(vec![2, 1])), ExtractError::Invalid));
    assert!(matches!(refused(FrameList::Simple(vec![0])), ExtractError::Invalid));
    assert!(matches!(refused(FrameList::Calculated(vec![[1, 2, 0]])), ExtractError::Invalid));
    assert!(matches!(refused(FrameList::Time([0.0, 1.0])), ExtractError::NotTimeBased));
}

/// An element in Explicit VR Little Endian with a length of 16 bits.
fn short(group: u16, element: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let head = [group.to_le_bytes(), element.to_le_bytes()].concat();
    [&head[..], vr, &(value.len() as u16).to_le_bytes(), value].concat()
}

/// Six native frames of one byte each, 1 to 6, and these further elements, in the order of their tags.
pub(super) fn six_frames(more: &[(u16, u16, &[u8; 2], &[u8])]) -> Vec<u8> {
    let mut elements: Vec<(u16, u16, Vec<u8>)> = more
        .iter()
        .map(|(group, element, vr, value)| (*group, *element, short(*group, *element, vr, value)))
        .collect();
    let mut put = |group, element, bytes| elements.push((group, element, bytes));
    put(0x0008, 0x0018, short(0x0008, 0x0018, b"UI", b"2.999\0"));
    for (element, value) in [(0x0002, 1), (0x0010, 1), (0x0011, 1), (0x0100, 8)] {
        put(0x0028, element, short(0x0028, element, b"US", &[value, 0]));
    }
    put(0x0028, 0x0008, short(0x0028, 0x0008, b"IS", b"6 "));
    put(0x7FE0, 0x0010, [&b"\xE0\x7F\x10\0OB\0\0\x06\0\0\0"[..], &[1, 2, 3, 4, 5, 6]].concat());
    elements.sort();
    elements.into_iter().flat_map(|(_, _, bytes)| bytes).collect()
}

/// The bytes of a new instance of some frames.
fn extracted(bytes: &[u8], from: &Uid, list: &FrameList) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let stored = DataSet { file, offset: 0, length: bytes.len() as u64, transfer_syntax: from.clone() };
    let made = extract::extract(stored, list, &Waiting::new().wanted()).unwrap().data_set;
    let mut sent = Vec::new();
    Pieces::as_stored(made).read_to_end(&mut sent).unwrap();
    sent
}

/// Some of those frames.
pub(super) fn taken(bytes: &[u8], list: &FrameList) -> Parsed {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    Parsed::parse(&extracted(bytes, &explicit, list), &explicit).unwrap()
}

#[test]
fn frames_that_begin_or_end_within_a_word_come_whole_out_of_big_endian() {
    let (explicit, big) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_BIG_ENDIAN);
    for vr in [b"OB", b"OW"] {
        // Three frames of three times three pixels.
        let mut little = short(0x0008, 0x0018, b"UI", b"2.999\0");
        little.extend(short(0x0028, 0x0002, b"US", &[1, 0]));
        little.extend(short(0x0028, 0x0008, b"IS", b"3 "));
        for (element, value) in [(0x0010, 3), (0x0011, 3), (0x0100, 8)] {
            little.extend(short(0x0028, element, b"US", &[value, 0]));
        }
        little.extend([&b"\xE0\x7F\x10\0"[..], vr, b"\0\0\x1C\0\0\0"].concat());
        little.extend((0..27).chain([0]));
        let stored = converted(&little, &explicit, &big).unwrap();
        for frames in [vec![1], vec![2], vec![3], vec![1, 3], vec![2, 3], vec![1, 2, 3]] {
            let sent = extracted(&stored, &big, &FrameList::Simple(frames.clone()));
            let pixels = Parsed::parse(&sent, &explicit).unwrap().bytes(PIXEL_DATA).unwrap();
            let mut expected: Vec<u8> =
                frames.iter().flat_map(|frame| (0..9).map(move |at| 9 * (*frame as u8 - 1) + at)).collect();
            expected.extend(vec![0; expected.len() % 2]);
            assert_eq!(pixels, expected, "{vr:?} {frames:?}");
        }
    }
}

/// The head of an image with three frames of three times three pixels, of one bit each.
fn single_bit_head() -> Vec<u8> {
    let mut head = short(0x0008, 0x0018, b"UI", b"2.999\0");
    head.extend(short(0x0028, 0x0002, b"US", &[1, 0]));
    head.extend(short(0x0028, 0x0004, b"CS", b"MONOCHROME2 "));
    head.extend(short(0x0028, 0x0008, b"IS", b"3 "));
    for (element, value) in [(0x0010, 3), (0x0011, 3), (0x0100, 1), (0x0101, 1), (0x0102, 0), (0x0103, 0)] {
        head.extend(short(0x0028, element, b"US", &[value, 0]));
    }
    head
}

/// Its frames, the first pixel in the lowest bit.
const SINGLE_BIT_FRAMES: [u16; 3] = [0b1_0101_0011, 0b0_1110_0001, 0b1_0000_1101];

/// Frames as native pixel data have them, without gaps, and padded to an even length.
fn without_gaps(frames: &[u16]) -> Vec<u8> {
    let all = frames.iter().rev().fold(0_u32, |all, frame| all << 9 | u32::from(*frame));
    let length = (9 * frames.len()).div_ceil(8).next_multiple_of(2);
    all.to_le_bytes()[..length].to_vec()
}

#[test]
fn frames_of_single_bits_are_taken_wherever_in_a_byte_they_begin() {
    let (explicit, big) = (uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_BIG_ENDIAN);
    for vr in [b"OB", b"OW"] {
        let mut little = single_bit_head();
        little.extend([&b"\xE0\x7F\x10\0"[..], vr, b"\0\0\x04\0\0\0"].concat());
        little.extend(without_gaps(&SINGLE_BIT_FRAMES));
        let stored = converted(&little, &explicit, &big).unwrap();
        for numbers in [vec![1], vec![2], vec![3], vec![1, 3], vec![2, 3], vec![1, 2, 3]] {
            let frames: Vec<u16> =
                numbers.iter().map(|number| SINGLE_BIT_FRAMES[*number as usize - 1]).collect();
            for (bytes, from) in [(&little, &explicit), (&stored, &big)] {
                let sent = extracted(bytes, from, &FrameList::Simple(numbers.clone()));
                let pixels = Parsed::parse(&sent, &explicit).unwrap().bytes(PIXEL_DATA).unwrap();
                assert_eq!(pixels, without_gaps(&frames), "{vr:?} {numbers:?}");
            }
        }
    }
}

#[test]
fn frames_of_single_bits_that_were_encapsulated_lie_without_gaps_in_native_pixel_data() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    for (from, deflated) in [("1.2.840.10008.1.2.8.1", true), ("1.2.840.10008.1.2.1.98", false)] {
        let from = Uid::new(from).unwrap();
        let mut bytes = single_bit_head();
        bytes.extend(b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0");
        for frame in SINGLE_BIT_FRAMES {
            let mut fragment = frame.to_le_bytes().to_vec();
            if deflated {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(&fragment).unwrap();
                fragment = encoder.finish().unwrap();
                fragment.resize(fragment.len().next_multiple_of(2), 0);
            }
            bytes.extend(b"\xFE\xFF\0\xE0");
            bytes.extend((fragment.len() as u32).to_le_bytes());
            bytes.extend(fragment);
        }
        bytes.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
        let native = Parsed::parse(&converted(&bytes, &from, &explicit).unwrap(), &explicit).unwrap();
        assert_eq!(native.bytes(PIXEL_DATA).unwrap(), without_gaps(&SINGLE_BIT_FRAMES), "{from}");
        let two = extracted(&bytes, &from, &FrameList::Simple(vec![1, 3]));
        let native = Parsed::parse(&converted(&two, &from, &explicit).unwrap(), &explicit).unwrap();
        let expected = without_gaps(&[SINGLE_BIT_FRAMES[0], SINGLE_BIT_FRAMES[2]]);
        assert_eq!(native.bytes(PIXEL_DATA).unwrap(), expected, "{from}");
    }
}

#[test]
fn what_counts_by_frames_is_cut_and_what_names_them_gets_their_new_numbers() {
    let bytes = six_frames(&[
        (0x0008, 0x2142, b"IS", b"1 "),
        (0x0008, 0x2143, b"IS", b"4 "),
        (0x0018, 0x1520, b"DS", b"0\\1\\2\\3\\4\\5 "),
        (0x0018, 0x2002, b"SH", b"a\\b\\c\\d\\e\\f "),
        (0x0018, 0x2005, b"DS", b"1\\2 "),
        (0x0018, 0x3104, b"IS", b"3 "),
        (0x0018, 0x3105, b"IS", b"5 "),
        (0x0028, 0x6010, b"US", &[4, 0]),
        (0x0028, 0x6020, b"US", &[1, 0, 4, 0, 5, 0]),
        (0x0028, 0x6022, b"LO", b"one\\four\\five "),
        (0x0028, 0x6040, b"US", &[2, 0, 3, 0, 5, 0]),
        (0x6000, 0x0010, b"US", &[1, 0]),
        (0x6000, 0x0015, b"IS", b"6 "),
        (0x6002, 0x0010, b"US", &[1, 0]),
    ]);
    let cut = taken(&bytes, &FrameList::Simple(vec![2, 4, 5]));
    assert_eq!(cut.bytes(PIXEL_DATA).unwrap()[..3], [2, 4, 5]);
    assert_eq!(cut.texts(Tag(0x0018, 0x1520)), ["1", "3", "4"]);
    assert_eq!(cut.texts(Tag(0x0018, 0x2002)), ["b", "d", "e"]);
    // Not one a frame: nobody knows what it says.
    assert_eq!(cut.texts(Tag(0x0018, 0x2005)), ["1", "2"]);
    assert_eq!(cut.integer(Tag(0x0028, 0x6010)), Some(2));
    assert_eq!(cut.bytes(Tag(0x0028, 0x6020)).unwrap(), [2, 0, 3, 0]);
    assert_eq!(cut.texts(Tag(0x0028, 0x6022)), ["four", "five"]);
    assert_eq!(cut.bytes(Tag(0x0028, 0x6040)).unwrap(), [1, 0, 3, 0]);
    assert_eq!(
        (cut.text(Tag(0x0008, 0x2142)), cut.text(Tag(0x0008, 0x2143))),
        (Some("1".into()), Some("2".into()))
    );
    assert_eq!(
        (cut.text(Tag(0x0018, 0x3104)), cut.text(Tag(0x0018, 0x3105))),
        (Some("2".into()), Some("3".into()))
    );
    assert!(!cut.contains(Tag(0x6000, 0x0010)) && cut.contains(Tag(0x6002, 0x0010)));

    let last = taken(&bytes, &FrameList::Simple(vec![6]));
    for (group, element) in [
        (0x0028, 0x6010),
        (0x0028, 0x6020),
        (0x0028, 0x6022),
        (0x0028, 0x6040),
        (0x0008, 0x2142),
        (0x0008, 0x2143),
        (0x0018, 0x3104),
        (0x0018, 0x3105),
    ] {
        assert!(!last.contains(Tag(group, element)), "({group:04x},{element:04x})");
    }
}

#[test]
fn the_planes_of_a_dose_are_where_they_were() {
    let (position, offsets) = (Tag(0x0020, 0x0032), Tag(0x3004, 0x000C));
    let dose = |vector: &[u8]| {
        six_frames(&[
            (0x0020, 0x0032, b"DS", b"-10.5\\20\\30.1"),
            (0x0020, 0x0037, b"DS", b"1\\0\\0\\0\\1\\0 "),
            (0x3004, 0x000C, b"DS", vector),
        ])
    };
    let relative = taken(&dose(b"0\\0.1\\0.3\\0.6\\1\\1.5"), &FrameList::Simple(vec![3, 4, 6]));
    assert_eq!(relative.texts(position), ["-10.5", "20", "30.4"]);
    assert_eq!(relative.texts(offsets), ["0", "0.3", "1.2"]);
    let absolute = taken(&dose(b"30.1\\31\\32\\33\\34\\35 "), &FrameList::Simple(vec![2, 6]));
    assert_eq!(absolute.texts(position), ["-10.5", "20", "31"]);
    assert_eq!(absolute.texts(offsets), ["31", "35"]);
    let from_the_first = taken(&dose(b"0.0\\1\\2\\3\\4\\5 "), &FrameList::Simple(vec![1, 6]));
    assert_eq!(from_the_first.texts(position), ["-10.5", "20", "30.1"]);
    assert_eq!(from_the_first.texts(offsets), ["0.0", "5"]);
    let neither = taken(&dose(b"1\\2\\3\\4\\5\\6 "), &FrameList::Simple(vec![2, 6]));
    assert_eq!((neither.texts(position)[2].as_str(), neither.texts(offsets).len()), ("30.1", 2));
}

const DIMENSION_ORGANIZATION_TYPE: Tag = Tag(0x0020, 0x9311);

#[test]
fn frames_that_are_taken_are_no_part_of_a_concatenation_nor_planes_at_equal_distances() {
    let parted = six_frames(&[
        (0x0020, 0x0242, b"UI", b"2.1\0"),
        (0x0020, 0x9161, b"UI", b"2.2\0"),
        (0x0020, 0x9162, b"US", &[1, 0]),
        (0x0020, 0x9163, b"US", &[2, 0]),
        (0x0020, 0x9228, b"UL", &[0, 0, 0, 0]),
        (0x0020, 0x9311, b"CS", b"3D"),
    ]);
    let few = taken(&parted, &FrameList::Simple(vec![1, 2, 5]));
    let all = taken(&parted, &FrameList::Calculated(vec![[1, 6, 1]]));
    for element in [0x0242, 0x9161, 0x9162, 0x9163, 0x9228] {
        let tag = Tag(0x0020, element);
        assert!(!few.contains(tag) && !all.contains(tag), "{element:04x}");
    }
    assert!(!few.contains(DIMENSION_ORGANIZATION_TYPE));
    assert_eq!(all.text(DIMENSION_ORGANIZATION_TYPE).as_deref(), Some("3D"));
    let sparse = six_frames(&[(0x0020, 0x9311, b"CS", b"TILED_SPARSE")]);
    let few = taken(&sparse, &FrameList::Simple(vec![2]));
    assert_eq!(few.text(DIMENSION_ORGANIZATION_TYPE).as_deref(), Some("TILED_SPARSE"));
}

#[test]
fn tiles_whose_number_alone_tells_where_they_lie_are_not_taken_from_among_the_others() {
    let outcome = |more: &[(u16, u16, &[u8; 2], &[u8])], numbers: Vec<u32>| {
        let bytes = six_frames(more);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let transfer_syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let stored = DataSet { file, offset: 0, length: bytes.len() as u64, transfer_syntax };
        extract::extract(stored, &FrameList::Simple(numbers), &Waiting::new().wanted())
    };
    let full = (0x0020, 0x9311, b"CS", &b"TILED_FULL"[..]);
    let part = (0x0020, 0x9161, b"UI", &b"2.2\0"[..]);
    let all = vec![1, 2, 3, 4, 5, 6];
    assert!(matches!(outcome(&[full], vec![1]), Err(ExtractError::Unreadable(_))));
    assert!(outcome(&[full], all.clone()).is_ok());
    assert!(matches!(outcome(&[full, part], all), Err(ExtractError::Unreadable(_))));
}

#[test]
fn per_frame_functional_groups_are_those_of_the_frames_that_are_taken() {
    // An item a frame, each with (0020,9057) its number.
    let item = |number: u8| {
        let content = [&b"\x20\0\x57\x90UL\x04\0"[..], &[number, 0, 0, 0]].concat();
        [&b"\xFE\xFF\0\xE0"[..], &(content.len() as u32).to_le_bytes(), &content].concat()
    };
    let items: Vec<u8> = (1..=6).flat_map(item).collect();
    let groups = [&b"\0\x52\x30\x92SQ\0\0"[..], &(items.len() as u32).to_le_bytes(), &items].concat();
    let mut bytes = six_frames(&[]);
    // Before the pixels, which are an element of 18 bytes.
    let at = bytes.len() - 18;
    bytes.splice(at..at, groups);
    let cut = taken(&bytes, &FrameList::Simple(vec![3, 6]));
    let groups = cut.items(Tag(0x5200, 0x9230)).unwrap();
    let numbers: Vec<_> = groups.iter().map(|item| item.integer(Tag(0x0020, 0x9057))).collect();
    assert_eq!(numbers, [Some(3), Some(6)]);
}

#[test]
fn a_list_of_frames_too_long_for_its_vr_is_told_all_the_same() {
    let list: Vec<u32> = (1..=20_000).collect();
    let made = taken(&six_frames(&[]), &FrameList::Simple(list));
    assert_eq!(made.bytes(PIXEL_DATA).unwrap(), [1, 2, 3, 4, 5, 6]);
    let item = &made.items(Tag(0x0008, 0x1164)).unwrap()[0];
    assert_eq!(item.bytes(Tag(0x0008, 0x1161)).map(|list| list.len()), Some(80_000));
    assert_eq!(item.text(Tag(0x0008, 0x1167)).as_deref(), Some("2.999"));
}

#[test]
fn what_is_deflated_under_another_name_is_inflated_to_leave_its_bulk_data_out() {
    let deflated = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    // JPIP Referenced Deflate.
    let jpip = Uid::from_static("1.2.840.10008.1.2.4.95");
    assert!(converts_without_bulk_data(&jpip, &uids::EXPLICIT_VR_LITTLE_ENDIAN));
    let (bytes, _) = stored("image_dfl");
    let strip = |from: &Uid, to: &Uid| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let stored = DataSet { file, offset: 0, length: bytes.len() as u64, transfer_syntax: from.clone() };
        let mut sent = Vec::new();
        bulk_data::strip(stored, to, &Waiting::new().wanted()).unwrap().read_to_end(&mut sent).unwrap();
        sent
    };
    let plain = strip(&jpip, &uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(plain, strip(&deflated, &uids::EXPLICIT_VR_LITTLE_ENDIAN));
    assert!(!Parsed::parse(&plain, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap().contains(PIXEL_DATA));
    assert_eq!(strip(&deflated, &jpip), strip(&deflated, &deflated));
}
