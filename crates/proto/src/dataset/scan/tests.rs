//! What a scan takes, what it refuses and by which rule; in pieces of any size; what it holds.

use std::io::{Cursor, Read};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;
use std::io::Write;

use super::*;
use crate::dataset::DataSet;
use crate::dataset::build::Builder;
use crate::dataset::dictionary::uids::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const WANTED: [Tag; 4] = [SERIES_INSTANCE_UID, STUDY_INSTANCE_UID, SOP_INSTANCE_UID, SOP_CLASS_UID];

const SEQUENCE: &[u8] = b"\x08\0\x32\x10SQ\0\0\xff\xff\xff\xff";
const BEGIN_ITEM: &[u8] = b"\xfe\xff\0\xe0\xff\xff\xff\xff";
const END_ITEM: &[u8] = b"\xfe\xff\x0d\xe0\0\0\0\0";
const END_SEQUENCE: &[u8] = b"\xfe\xff\xdd\xe0\0\0\0\0";

/// Explicit VR Little Endian, what the tests are written in unless they say otherwise.
fn explicit(pieces: &[&[u8]]) -> Result<Header, ScanError> {
    walk(&pieces.concat()[..], &EXPLICIT_VR_LITTLE_ENDIAN)
}

fn rule(result: Result<Header, ScanError>) -> &'static str {
    match result {
        Err(ScanError::Structure { rule, .. } | ScanError::Limit(rule) | ScanError::Truncated(rule)) => rule,
        Err(ScanError::Deflate(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

/// A small instance: UIDs, a sequence, a text, pixels.
fn instance() -> DataSet {
    let mut item = DataSet::new();
    item.set_text(Tag(0x0008, 0x0104), "meaning");
    let mut data_set = DataSet::new();
    data_set.set_text(SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2");
    data_set.set_text(SOP_INSTANCE_UID, "1.2.3");
    data_set.set_items(Tag(0x0008, 0x1032), vec![item]);
    data_set.set_text(Tag(0x0010, 0x0010), "Bowen^William^^Dr");
    data_set.set_text(STUDY_INSTANCE_UID, "1.2");
    data_set.set_text(SERIES_INSTANCE_UID, "1.2.1");
    data_set.set_bytes(Tag(0x7FE0, 0x0010), VR::OW, &[0xAB; 200_000]);
    data_set
}

fn header_of(data_set: &DataSet) -> DataSet {
    let mut header = data_set.clone();
    header.remove(Tag(0x7FE0, 0x0010));
    header
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_walk_returns_the_header_and_not_the_bulk() {
    for syntax in [
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    ] {
        let bytes = instance().encode(&syntax).unwrap();
        let header = walk(&bytes[..], &syntax).unwrap();
        assert_eq!(header.data_set, header_of(&instance()), "{syntax}");
        assert!(header.length > 200_000);
        assert_eq!(walk_seekable(Cursor::new(&bytes), &syntax).unwrap(), header);
    }
}

/// Counts the bytes that are read.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1 += length as u64;
        Ok(length)
    }
}

impl<R: io::Seek> io::Seek for Counted<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn bulk_is_sought_past_where_it_can_be() {
    let mut data_set = instance();
    data_set.set_bytes(Tag(0x7FE0, 0x0010), VR::OW, &vec![0; 500_000]);
    let bytes = data_set.encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let mut reader = Counted(Cursor::new(&bytes), 0);
    let header = walk_seekable(&mut reader, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(header.length, bytes.len() as u64);
    assert!(reader.1 < 150_000);
}

#[test]
fn a_value_of_nearly_4_gib_is_passed_over_and_not_held() {
    let front = b"\xe0\x7f\x10\0OB\0\0\xfe\xff\xff\xff";
    let mut walk = Walk::new(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    walk.push(front).unwrap();
    let piece = vec![0; 1024 * 1024];
    for _ in 0..4095 {
        walk.push(&piece).unwrap();
    }
    walk.push(&piece[..1024 * 1024 - 2]).unwrap();
    let header = walk.finish().unwrap();
    assert_eq!(header.length, front.len() as u64 + 0xFFFF_FFFE);
    assert!(header.data_set.is_empty());
}

#[test]
fn nesting_has_a_limit_and_any_depth_is_met_without_recursion() {
    let nested = |depth: usize| [SEQUENCE, BEGIN_ITEM].concat().repeat(depth);
    let closed = |depth: usize| [nested(depth), [END_ITEM, END_SEQUENCE].concat().repeat(depth)].concat();
    assert!(walk(&closed(MAX_DEPTH)[..], &EXPLICIT_VR_LITTLE_ENDIAN).is_ok());
    assert!(DataSet::parse(&closed(MAX_DEPTH), &EXPLICIT_VR_LITTLE_ENDIAN).is_ok());
    for depth in [MAX_DEPTH + 1, 10_000, 1_000_000] {
        let bytes = nested(depth);
        assert_eq!(rule(walk(&bytes[..], &EXPLICIT_VR_LITTLE_ENDIAN)), "sequences nested too deep");
        assert!(DataSet::parse(&bytes, &EXPLICIT_VR_LITTLE_ENDIAN).is_err());
        assert!(Peek::new(&EXPLICIT_VR_LITTLE_ENDIAN, &WANTED).unwrap().push(&bytes).is_err());
    }
}

#[test]
fn the_number_of_elements_has_a_limit_and_a_smaller_one_where_they_are_held() {
    let mut scanner = Scanner::new(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(scanner.max_elements, MAX_ELEMENTS);
    scanner.max_elements = 1000;
    let mut builder = Builder::header(None);
    scanner.push(SEQUENCE, &mut builder).unwrap();
    let item = b"\xfe\xff\0\xe0\0\0\0\0";
    let pushed = (0..2000).map(|_| scanner.push(item, &mut builder)).take_while(Result::is_ok).count();
    assert_eq!(pushed, 999);

    let many = [SEQUENCE, &item.repeat(300_000), END_SEQUENCE].concat();
    assert!(explicit(&[&many]).is_ok());
    assert!(matches!(
        DataSet::parse(&many, &EXPLICIT_VR_LITTLE_ENDIAN),
        Err(crate::dataset::DataSetError::Limit(_))
    ));
}

#[test]
fn a_length_past_the_end_is_refused_wherever_the_end_is_known() {
    let in_item = [SEQUENCE, b"\xfe\xff\0\xe0\x0a\0\0\0", b"\x08\0\0\x01SH\x06\0abcdef"];
    assert_eq!(rule(explicit(&in_item)), "a length past the end of what encloses it");
    let header = [SEQUENCE, b"\xfe\xff\0\xe0\x04\0\0\0", b"\x08\0\0\x01SH\0\0"];
    assert_eq!(rule(explicit(&header)), "a header that crosses the end of what encloses it");
    let huge = b"\xe0\x7f\x10\0OB\0\0\xfe\xff\xff\xffab";
    assert_eq!(rule(explicit(&[huge])), "within a value");
    let seekable = walk_seekable(Cursor::new(huge), &EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(rule(seekable), "a length past the end of the data set");
    assert!(DataSet::parse(huge, &EXPLICIT_VR_LITTLE_ENDIAN).is_err());
}

#[test]
fn an_undefined_length_is_for_sequences_and_fragments_only() {
    let what = "an undefined length where there can be none";
    assert_eq!(rule(explicit(&[b"\x09\0\x01\x10OB\0\0\xff\xff\xff\xff"])), what);
    assert_eq!(rule(explicit(&[b"\x08\0\x18\0UT\0\0\xff\xff\xff\xff"])), what);
    let implicit = walk(&b"\x08\0\x18\0\xff\xff\xff\xff"[..], &IMPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(rule(implicit), what);
}

#[test]
fn delimiters_and_items_stand_where_they_belong() {
    let stray = "a delimiter or item where there is no sequence";
    for bytes in [END_ITEM, END_SEQUENCE, BEGIN_ITEM] {
        assert_eq!(rule(explicit(&[bytes])), stray);
    }
    assert_eq!(rule(explicit(&[SEQUENCE, BEGIN_ITEM, END_SEQUENCE])), stray);
    let defined = [SEQUENCE, b"\xfe\xff\0\xe0\x08\0\0\0", END_ITEM, END_SEQUENCE];
    assert_eq!(rule(explicit(&defined)), stray);
    let no_item = "something other than an item in a sequence";
    assert_eq!(rule(explicit(&[SEQUENCE, b"\x08\0\x18\0UI\0\0"])), no_item);
    let ends = "within a sequence, its delimiter missing";
    assert_eq!(rule(explicit(&[SEQUENCE])), ends);
    assert_eq!(rule(explicit(&[SEQUENCE, BEGIN_ITEM, END_ITEM])), ends);
    let long = b"\xfe\xff\x0d\xe0\x02\0\0\0";
    assert_eq!(rule(explicit(&[SEQUENCE, BEGIN_ITEM, long])), "a delimiter with a length");
}

const JPEG_BASELINE: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");

fn encapsulated(pieces: &[&[u8]]) -> Result<Header, ScanError> {
    walk(&pieces.concat()[..], &JPEG_BASELINE)
}

#[test]
fn fragments_are_walked_and_their_end_is_wanted() {
    let pixels = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff";
    let fragment = b"\xfe\xff\0\xe0\x02\0\0\0ab";
    let header = encapsulated(&[pixels, fragment, fragment, END_SEQUENCE]).unwrap();
    assert!(header.data_set.is_empty());
    assert_eq!(rule(encapsulated(&[pixels, fragment])), "within a sequence, its delimiter missing");
    let other = "something other than a fragment in encapsulated pixel data";
    assert_eq!(rule(encapsulated(&[pixels, BEGIN_ITEM])), other);
    assert_eq!(rule(encapsulated(&[pixels, END_ITEM])), other);
}

#[test]
fn pixel_data_is_written_as_the_transfer_syntax_says() {
    let fragments = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff";
    let native = b"\xe0\x7f\x10\0OB\0\0\x02\0\0\0ab";
    let none = b"\xe0\x7f\x10\0OB\0\0\0\0\0\0";
    assert_eq!(
        rule(explicit(&[fragments, END_SEQUENCE])),
        "fragments of pixel data in a native transfer syntax"
    );
    assert_eq!(rule(encapsulated(&[native])), "native pixel data in a transfer syntax of fragments");
    assert!(explicit(&[native]).is_ok());
    assert!(encapsulated(&[none]).is_ok());
    // An icon may be native beside encapsulated pixel data (PS3.5 A.4).
    let icon = b"\x88\0\0\x02SQ\0\0\xff\xff\xff\xff";
    assert!(encapsulated(&[icon, BEGIN_ITEM, native, END_ITEM, END_SEQUENCE]).is_ok());
    // What a private syntax means by its pixels is its own affair.
    let private = Uid::from_static("1.3.6.1.4.1.5962.300.2");
    assert!(walk(&native[..], &private).is_ok());
}

#[test]
fn bytes_of_another_transfer_syntax_are_refused() {
    let data_set = instance();
    let implicit = data_set.encode(&IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let explicit = data_set.encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    for (bytes, syntax) in [
        (&implicit, &EXPLICIT_VR_LITTLE_ENDIAN),
        (&explicit, &IMPLICIT_VR_LITTLE_ENDIAN),
        (&explicit, &EXPLICIT_VR_BIG_ENDIAN),
        (&explicit, &DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ] {
        assert!(walk(&bytes[..], syntax).is_err(), "{syntax}");
    }
    let meta = b"\x02\0\x10\0UI\0\0";
    let what = "an element of a command set or file meta group in a data set";
    assert_eq!(rule(walk(&meta[..], &EXPLICIT_VR_LITTLE_ENDIAN)), what);
    assert!(matches!(
        walk(&b""[..], &Uid::from_static("1.2.840.10008.1.2.6.2")),
        Err(ScanError::TransferSyntax(_))
    ));
}

#[test]
fn a_tag_that_comes_twice_with_other_values_or_out_of_order_is_refused() {
    let id = b"\x10\0\x20\0LO\x02\0ab";
    let name = b"\x10\0\x10\0PN\x02\0ab";
    let twice = "an element that comes twice, and not the same";
    for other in [&b"\x10\0\x20\0LO\x02\0ac"[..], b"\x10\0\x20\0LO\0\0", b"\x10\0\x20\0SH\x02\0ab"] {
        assert_eq!(rule(explicit(&[id, other])), twice);
        assert_eq!(rule(explicit(&[id, id, other])), twice);
    }
    let sequence = [SEQUENCE, END_SEQUENCE].concat();
    assert_eq!(rule(explicit(&[&sequence, &sequence])), twice);
    let long = [&b"\x10\0\x20\0LO\x02\x10"[..], &[b'a'; 0x1002]].concat();
    assert_eq!(rule(explicit(&[&long, &long])), twice);
    assert_eq!(rule(explicit(&[id, name])), "elements out of order");
    assert_eq!(rule(explicit(&[SEQUENCE, BEGIN_ITEM, id, name])), "elements out of order");
    assert!(
        explicit(&[SEQUENCE, BEGIN_ITEM, name, END_ITEM, BEGIN_ITEM, name, END_ITEM, END_SEQUENCE]).is_ok()
    );
}

#[test]
fn an_element_that_says_the_same_twice_is_forgiven_however_it_comes() {
    let id = &b"\x10\0\x20\0LO\x04\0abcd"[..];
    let comment = b"\x10\0\0\x40LT\x02\0xy";
    let item = [BEGIN_ITEM, id, id, END_ITEM].concat();
    let bytes = [SEQUENCE, &item, END_SEQUENCE, id, id, id, comment].concat();
    let once = [SEQUENCE, BEGIN_ITEM, id, END_ITEM, END_SEQUENCE, id, comment].concat();
    let expected = DataSet::parse(&once, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(DataSet::parse(&bytes, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap(), expected);
    for piece in 1..bytes.len() {
        let mut walk = Walk::new(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        for piece in bytes.chunks(piece) {
            walk.push(piece).unwrap();
        }
        assert_eq!(walk.finish().unwrap().data_set, expected, "in pieces of {piece}");
    }
    let cut = &[id, id].concat()[..22];
    assert!(matches!(walk(cut, &EXPLICIT_VR_LITTLE_ENDIAN), Err(ScanError::Truncated(_))));
}

#[test]
fn odd_lengths_and_unknown_vrs_are_forgiven() {
    let header = explicit(&[
        b"\x08\0\x18\0UI\x05\x001.2.3",
        b"\x09\0\x01\x10ZZ\0\0\x02\0\0\0ab",
        b"\x09\0\x02\x10??\x03\0abc",
    ])
    .unwrap();
    assert_eq!(header.odd_lengths, 2);
    assert_eq!(header.data_set.uid(SOP_INSTANCE_UID), Some(Uid::from_static("1.2.3")));
    assert_eq!(
        rule(explicit(&[b"\x09\0\x02\x10\x01\x02\x03\0abc"])),
        "no value representation where one must be"
    );
}

#[test]
fn a_sequence_that_lost_its_vr_is_implicit_within() {
    let header = explicit(&[
        b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff",
        BEGIN_ITEM,
        b"\x10\0\x20\0\x02\0\0\0ab",
        END_ITEM,
        END_SEQUENCE,
        b"\x10\0\x20\0LO\x02\0cd",
    ])
    .unwrap();
    let items = header.data_set.items(Tag(0x0009, 0x1001)).unwrap();
    assert_eq!(items[0].text(Tag(0x0010, 0x0020)).as_deref(), Some("ab"));
    assert_eq!(header.data_set.text(Tag(0x0010, 0x0020)).as_deref(), Some("cd"));
}

#[test]
fn zeros_after_the_last_element_are_forgiven_and_nothing_else_is() {
    let id = b"\x10\0\x20\0LO\x02\0ab";
    for zeros in [1, 7, 8, 9, 100_000] {
        let header = explicit(&[id, &vec![0; zeros]]).unwrap();
        assert_eq!(header.data_set.tags().count(), 1);
    }
    assert_eq!(explicit(&[id, &[0; 100]]).unwrap().trailing_zeros, 100);
    assert_eq!(rule(explicit(&[id, &[0; 100], b"x"])), "bytes after the last element");
    assert_eq!(rule(explicit(&[id, b"abc"])), "within the header of an element");
}

#[test]
fn a_deflated_data_set_ends_where_its_stream_ends() {
    let plain = instance().encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let deflated = deflated(&plain);
    let walk = |more: &[u8]| walk(&[&deflated[..], more].concat()[..], &DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    assert!(walk(b"").is_ok() && walk(b"\0").is_ok());
    let size = u32::try_from(plain.len()).unwrap().to_le_bytes();
    assert!(walk(&[b"crc!", &size[..]].concat()).is_ok());
    for more in [&b"x"[..], b"crc!size", &[0; 20]] {
        assert_eq!(rule(walk(more)), "bytes after its end", "{more:?}");
    }
    let cut = super::walk(&deflated[..deflated.len() / 2], &DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(rule(cut), "cut short");
}

#[test]
fn a_deflate_bomb_goes_off_at_the_limit() {
    let mut bomb = b"\xe0\x7f\x10\0OB\0\0\xf0\xff\xff\xff".to_vec();
    bomb.resize(80 * 1024 * 1024, 0);
    let bomb = deflated(&bomb);
    assert!(bomb.len() < 500_000);
    let result = walk(&bomb[..], &DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!(rule(result), "too many bytes when inflated");
}

#[test]
fn a_header_has_a_budget() {
    // Sequences beyond theirs are left out, each as a whole; what comes after them is there.
    let item = [BEGIN_ITEM, b"\x08\0\x04\x01LO\x08\0meanings", END_ITEM].concat();
    let header =
        explicit(&[SEQUENCE, &item.repeat(10_000), END_SEQUENCE, b"\x10\0\x20\0LO\x02\0ab"]).unwrap();
    assert_eq!(header.data_set.tags().collect::<Vec<_>>(), [Tag(0x0010, 0x0020)]);
    assert_eq!(header.left_out, [Tag(0x0008, 0x1032)]);

    // What was left out costs the next sequence nothing.
    let next = [&b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff"[..], &item, END_SEQUENCE].concat();
    let header = explicit(&[SEQUENCE, &item.repeat(10_000), END_SEQUENCE, &next]).unwrap();
    assert_eq!(header.data_set.items(Tag(0x0008, 0x1140)).unwrap().len(), 1);
    assert_eq!(header.left_out, [Tag(0x0008, 0x1032)]);

    // So are private elements.
    let mut private = Vec::new();
    for element in 0x1000_u16..0x1020 {
        private.extend_from_slice(b"\x09\0");
        private.extend_from_slice(&element.to_le_bytes());
        private.extend_from_slice(b"LT\x00\x80");
        private.resize(private.len() + 0x8000, b'x');
    }
    let header = explicit(&[&private, b"\x10\0\x20\0LO\x02\0ab"]).unwrap();
    assert_eq!(header.data_set.tags().count(), 8);
    assert_eq!(header.left_out.len(), 25);

    // With standard ones it is no data set that anybody makes.
    let mut standard = private.repeat(3);
    for (at, element) in standard.chunks_mut(8 + 0x8000).enumerate() {
        element[0] = 0x08;
        element[2..4].copy_from_slice(&(0x2000 + at as u16).to_le_bytes());
    }
    assert_eq!(rule(explicit(&[&standard])), "too many bytes in its header");
}

#[test]
fn what_a_header_leaves_out_is_picked_from_the_data_set() {
    let item = [BEGIN_ITEM, b"\x08\0\x04\x01LO\x08\0meanings", END_ITEM].concat();
    let comments = [&b"\x18\0\x00\x40LT\x02\0xy"[..], b"\x20\0\x00\x40LT\x02\0ab"].concat();
    // Not read to its end: behind the last element that is wanted there is none.
    let bytes = [SEQUENCE, &item.repeat(10_000), END_SEQUENCE, &comments, b"no element"].concat();
    let wanted = [Tag(0x0008, 0x1032), Tag(0x0018, 0x4000)];
    let last = Tag(0x0018, 0x4000);
    let picked = pick(&bytes[..], &EXPLICIT_VR_LITTLE_ENDIAN, |tag| wanted.contains(&tag), last).unwrap();
    assert_eq!(picked.tags().collect::<Vec<_>>(), wanted);
    assert_eq!(picked.items(wanted[0]).unwrap().len(), 10_000);
    assert_eq!(picked.text(wanted[1]).as_deref(), Some("xy"));

    // Of another sequence and its items nothing is held.
    let picked = pick(&bytes[..], &EXPLICIT_VR_LITTLE_ENDIAN, |tag| tag == last, last).unwrap();
    assert_eq!(picked.tags().collect::<Vec<_>>(), [last]);

    let long = [&b"\x18\0\x00\x40UT\0\0"[..], &5_000_000_u32.to_le_bytes(), &vec![b'x'; 5_000_000]].concat();
    let limit = pick(&long[..], &EXPLICIT_VR_LITTLE_ENDIAN, |tag| tag == last, last);
    assert!(matches!(limit, Err(ScanError::Limit(_))), "{limit:?}");
}

#[test]
fn a_peek_knows_at_each_byte_what_is_found_what_may_come_and_what_is_absent() {
    for syntax in [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN] {
        let bytes = instance().encode(&syntax).unwrap();
        let mut peek = Peek::new(&syntax, &WANTED).unwrap();
        let mut taken = 0;
        while !peek.is_done() {
            assert_eq!(peek.element(SERIES_INSTANCE_UID), Peeked::NeedMore);
            peek.push(&bytes[taken..=taken]).unwrap();
            taken += 1;
        }
        assert!(taken < 250);
        assert_eq!(peek.element(SOP_INSTANCE_UID), Peeked::Found(b"1.2.3\0"));
        assert_eq!(peek.uid(SERIES_INSTANCE_UID), Some(Uid::from_static("1.2.1")));
        peek.push(b"whatever comes then").unwrap();
    }
}

#[test]
fn a_peek_sees_that_an_element_was_passed_or_that_no_more_comes() {
    let mut peek = Peek::new(&EXPLICIT_VR_LITTLE_ENDIAN, &WANTED).unwrap();
    peek.push(b"\x08\0\x18\0UI\x04\x001.2\0").unwrap();
    assert_eq!(peek.element(SOP_CLASS_UID), Peeked::Absent);
    assert_eq!(peek.element(STUDY_INSTANCE_UID), Peeked::NeedMore);
    peek.push(b"\xe0\x7f\x10\0OW\0\0").unwrap();
    assert!(!peek.is_done());
    peek.push(b"\0\0\0\x10").unwrap();
    assert!(peek.is_done());
    assert_eq!(peek.element(STUDY_INSTANCE_UID), Peeked::Absent);

    let mut peek = Peek::new(&EXPLICIT_VR_LITTLE_ENDIAN, &WANTED).unwrap();
    peek.push(b"\x08\0\x16\0UI\0\0").unwrap();
    peek.finish();
    assert!(peek.is_done());
    assert_eq!(peek.element(SOP_CLASS_UID), Peeked::Found(b""));
    assert_eq!(peek.uid(SOP_CLASS_UID), None);
    assert_eq!(peek.element(SOP_INSTANCE_UID), Peeked::Absent);
}

#[test]
fn a_peek_looks_at_the_top_only_and_refuses_what_is_malformed() {
    let nested = [SEQUENCE, BEGIN_ITEM, b"\x20\0\x0d\0UI\x04\x009.9\0", END_ITEM, END_SEQUENCE].concat();
    let mut peek = Peek::new(&EXPLICIT_VR_LITTLE_ENDIAN, &[STUDY_INSTANCE_UID]).unwrap();
    peek.push(&nested).unwrap();
    assert_eq!(peek.element(STUDY_INSTANCE_UID), Peeked::NeedMore);
    peek.push(b"\x20\0\x0d\0UI\x04\x001.2\0").unwrap();
    assert_eq!(peek.uid(STUDY_INSTANCE_UID), Some(Uid::from_static("1.2")));

    let mut peek = Peek::new(&EXPLICIT_VR_LITTLE_ENDIAN, &WANTED).unwrap();
    assert!(peek.push(b"\x08\0\x18\0UI\xff\xff").is_err());
}

#[test]
fn a_peek_to_the_end_says_whether_all_came_and_holds_nothing_but_what_it_looks_for() {
    let pixels = [&b"\xe0\x7f\x10\0OW\0\0\0\x08\0\0"[..], &[7; 2048]].concat();
    let whole = [&b"\x08\0\x18\0UI\x04\x001.2\0"[..], &pixels].concat();
    for (length, lacks) in [(whole.len(), false), (whole.len() - 1, true), (30, true), (12, false), (5, true)]
    {
        let mut peek = Peek::to_the_end(&EXPLICIT_VR_LITTLE_ENDIAN, &WANTED).unwrap();
        whole[..length].chunks(7).for_each(|piece| peek.push(piece).unwrap());
        assert_eq!(peek.missing_end().is_some(), lacks, "{length} bytes");
        assert_eq!(peek.uid(SOP_INSTANCE_UID).is_some(), length >= 12);
        let file = Cursor::new(&whole[..length]);
        assert_eq!(
            missing_end(file, &EXPLICIT_VR_LITTLE_ENDIAN).is_some(),
            lacks,
            "{length} bytes of a file"
        );
    }
}

#[test]
fn a_deflated_data_set_without_its_end_lacks_it() {
    let syntax = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let whole = instance().encode(&syntax).unwrap();
    for (length, lacks) in [(whole.len(), false), (whole.len() - 8, true)] {
        let mut peek = Peek::to_the_end(&syntax, &WANTED).unwrap();
        peek.push(&whole[..length]).unwrap();
        assert_eq!(peek.missing_end().is_some(), lacks);
        assert_eq!(missing_end(Cursor::new(&whole[..length]), &syntax).is_some(), lacks);
    }
}

#[test]
fn a_length_that_is_wrong_within_a_data_set_is_no_missing_end() {
    let wrong = [SEQUENCE, b"\xfe\xff\0\xe0\x0a\0\0\0", b"\x08\0\0\x01SH\x06\0abcdef", END_SEQUENCE].concat();
    assert!(missing_end(Cursor::new(&wrong), &EXPLICIT_VR_LITTLE_ENDIAN).is_none());
}

/// The result of a walk as something that can be compared.
fn outcome(result: Result<Header, ScanError>) -> Result<Header, String> {
    result.map_err(|error| error.to_string())
}

fn in_pieces(bytes: &[u8], syntax: &Uid, size: usize) -> Result<Header, String> {
    let mut walk = Walk::new(syntax).unwrap();
    for piece in bytes.chunks(size) {
        walk.push(piece).map_err(|error| error.to_string())?;
    }
    outcome(walk.finish())
}

fn any_syntax() -> impl Strategy<Value = Uid> {
    prop_oneof![
        Just(IMPLICIT_VR_LITTLE_ENDIAN),
        Just(EXPLICIT_VR_LITTLE_ENDIAN),
        Just(EXPLICIT_VR_BIG_ENDIAN),
        Just(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(8), Just(0xFE), Just(0xFF), any::<u8>()], 0..200),
        syntax in any_syntax(),
    ) {
        let _ = walk(&bytes[..], &syntax);
        let _ = walk_seekable(Cursor::new(&bytes), &syntax);
        let _ = DataSet::parse(&bytes, &syntax);
        let _ = Peek::new(&syntax, &WANTED).unwrap().push(&bytes);
    }

    #[test]
    fn a_damaged_data_set_gives_the_same_answer_in_pieces_of_any_size(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
        size in 1_usize..40,
        syntax in any_syntax(),
    ) {
        let mut data_set = instance();
        data_set.set_bytes(Tag(0x7FE0, 0x0010), VR::OW, &[1; 50]);
        let mut bytes = data_set.encode(&syntax).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = &bytes[..end.index(bytes.len() + 1)];
        let whole = outcome(walk(bytes, &syntax));
        prop_assert_eq!(in_pieces(bytes, &syntax, size), whole.clone());
        if let Ok(header) = &whole {
            let parsed = DataSet::parse(bytes, &syntax).unwrap();
            prop_assert!(header.data_set.tags().all(|tag| parsed.contains(tag)));
        }
        let _ = DataSet::parse(bytes, &syntax).map(|parsed| (parsed.to_json(), parsed.encode(&syntax)));
    }
}
