//! Stored headers: the attributes that have no column, a level of the hierarchy at a time.
//!
//! A header is a list of elements in the order of their tags:
//!
//! ```text
//! bytes 0-3: tag, group in the high half   bytes 4-7: length of what follows   a data set of this one element
//! ```
//!
//! The data set is Explicit VR Little Endian and says its own character set. So an element is skipped without
//! being read, compared without being understood, and read without its neighbours. The instances of a series
//! mostly agree: the series keeps the elements of its first instance, the others how they differ, an element
//! that they lack with the length FFFFFFFFH. An element that is too long to be kept here has the length FFFFFFFEH: it
//! is in the file.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::dataset::scan::Header;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Attribute, Level};

use super::attributes::{attribute, level_of, tags};

/// The longest element that is kept, in bytes. Names, descriptions and the code sequences of a study are
/// shorter; tables, icons and vendors' private blocks are longer, and who asks for one has it read from the file.
const MAX_ELEMENT_LENGTH: usize = 4096;
/// The same for private elements, of which there are many.
const MAX_PRIVATE_ELEMENT_LENGTH: usize = 256;
/// The longest header of one level, in bytes; of elements beyond it, no more is kept than that they are in the file.
const MAX_HEADER_LENGTH: usize = 64 * 1024;

const ABSENT: u32 = u32::MAX;
const IN_FILE: u32 = u32::MAX - 1;

/// The elements of an instance's header, encoded, a list for each level.
#[derive(Debug, Default, Clone)]
pub(crate) struct Headers {
    pub(crate) patient: Vec<u8>,
    /// The elements of the patient too: a study answers for both.
    pub(crate) study: Vec<u8>,
    pub(crate) series: Vec<u8>,
    pub(crate) instance: Vec<u8>,
}

impl Headers {
    /// Takes from a header what is worth keeping.
    pub(crate) fn of(header: &Header) -> Headers {
        let mut headers = Headers::default();
        let data_set = &header.data_set;
        let left_out: BTreeSet<Tag> = header.left_out.iter().copied().collect();
        let has_column = |tag: Tag| attribute(tag, Level::Image).is_some();
        let tags: BTreeSet<Tag> = data_set.tags().chain(left_out.iter().copied()).collect();
        for tag in tags.into_iter().filter(|&tag| is_kept(tag) && !has_column(tag)) {
            let encoded = if left_out.contains(&tag) { None } else { encoded(data_set, tag) };
            match level_of(tag) {
                Level::Patient => {
                    append(&mut headers.patient, tag, encoded.as_deref());
                    append(&mut headers.study, tag, encoded.as_deref());
                }
                Level::Study => append(&mut headers.study, tag, encoded.as_deref()),
                Level::Series => append(&mut headers.series, tag, encoded.as_deref()),
                Level::Image => append(&mut headers.instance, tag, encoded.as_deref()),
            }
        }
        headers
    }
}

/// An element by itself, unless it is too long.
fn encoded(header: &DataSet, tag: Tag) -> Option<Vec<u8>> {
    let mut single = DataSet::new();
    single.copy(tag, header);
    let limit = if tag.0 % 2 == 1 { MAX_PRIVATE_ELEMENT_LENGTH } else { MAX_ELEMENT_LENGTH };
    // The transfer syntax is one that can be written.
    single.encode(&EXPLICIT_VR_LITTLE_ENDIAN).ok().filter(|encoded| encoded.len() <= limit)
}

/// Whether an attribute is one of the header. Pixels and what comes after them, curves and overlays are not.
pub(crate) fn is_kept(tag: Tag) -> bool {
    let is_bulk = tag.0 >= 0x7FE0 || (0x5000..0x5100).contains(&tag.0) || (0x6000..0x6100).contains(&tag.0);
    !is_bulk && tag.0 > 0x0002 && tag.1 != 0 && tag != tags::SPECIFIC_CHARACTER_SET
}

fn append(header: &mut Vec<u8>, tag: Tag, encoded: Option<&[u8]>) {
    let length = encoded.map_or(0, <[u8]>::len);
    match encoded.filter(|_| header.len() + length <= MAX_HEADER_LENGTH) {
        Some(encoded) => put(header, tag, Held::Here(encoded)),
        None => put(header, tag, Held::InFile),
    }
}

/// What a header has of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held<'a> {
    Here(&'a [u8]),
    InFile,
    /// Nothing, other than the series.
    Absent,
}

fn put(header: &mut Vec<u8>, tag: Tag, held: Held<'_>) {
    header.extend_from_slice(&number(tag).to_le_bytes());
    let (length, encoded) = match held {
        // At most MAX_ELEMENT_LENGTH.
        Held::Here(encoded) => (encoded.len() as u32, encoded),
        Held::InFile => (IN_FILE, &[][..]),
        Held::Absent => (ABSENT, &[][..]),
    };
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(encoded);
}

fn number(tag: Tag) -> u32 {
    u32::from(tag.0) << 16 | u32::from(tag.1)
}

/// How an instance's elements differ from those that its series has in common.
pub(crate) fn difference(common: &[u8], elements: &[u8]) -> Vec<u8> {
    let mut difference = Vec::new();
    let (mut common, mut elements) = (Elements(common).peekable(), Elements(elements).peekable());
    loop {
        let order = match (common.peek(), elements.peek()) {
            (None, None) => return difference,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((in_common, _)), Some((own, _))) => number(*in_common).cmp(&number(*own)),
        };
        let in_common = if order.is_le() { common.next() } else { None };
        let own = if order.is_ge() { elements.next() } else { None };
        match (in_common, own) {
            (Some((_, in_common)), Some((_, own))) if in_common == own => {}
            (_, Some((tag, own))) => put(&mut difference, tag, own),
            (Some((tag, _)), None) => put(&mut difference, tag, Held::Absent),
            (None, None) => {}
        }
    }
}

/// What was read of headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    pub(crate) data_set: DataSet,
    /// What the file has to be read for.
    pub(crate) in_file: Vec<Tag>,
}

impl Read {
    /// Adds the wanted elements of a header; of a difference, also takes out what is absent.
    pub(crate) fn add(&mut self, header: &[u8], wanted: &[Attribute]) {
        let is_wanted = |tag: Tag| wanted.iter().any(|attribute| attribute.may_need(tag));
        for (tag, held) in Elements(header).filter(|(tag, _)| is_wanted(*tag)) {
            self.data_set.remove(tag);
            self.in_file.retain(|other| *other != tag);
            match held {
                Held::Absent => {}
                Held::InFile => self.in_file.push(tag),
                Held::Here(encoded) => {
                    // What we wrote ourselves can be read; if the database was damaged, the element is missing.
                    if let Ok(single) = DataSet::parse(encoded, &EXPLICIT_VR_LITTLE_ENDIAN) {
                        self.data_set.copy(tag, &single);
                    }
                }
            }
        }
    }
}

/// The elements of a header. Ends at the first that is cut.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (Tag, Held<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let tag = Tag((number >> 16) as u16, number as u16);
        let without_bytes = match length {
            ABSENT => Some(Held::Absent),
            IN_FILE => Some(Held::InFile),
            _ => None,
        };
        if let Some(held) = without_bytes {
            self.0 = rest;
            return Some((tag, held));
        }
        let (encoded, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some((tag, Held::Here(encoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(elements: &[(u16, &[u8])]) -> Vec<u8> {
        let mut header = Vec::new();
        for (element, encoded) in elements {
            put(&mut header, Tag(0x0018, *element), Held::Here(encoded));
        }
        header
    }

    #[test]
    fn the_difference_has_what_is_other_more_and_less() {
        let common = list(&[(1, b"a"), (2, b"b"), (3, b"c")]);
        assert_eq!(difference(&common, &common), b"");
        let own = list(&[(0, b"new"), (1, b"a"), (2, b"other")]);
        let difference = difference(&common, &own);
        let found: Vec<_> = Elements(&difference).map(|(tag, encoded)| (tag.1, encoded)).collect();
        assert_eq!(found, [(0, Held::Here(b"new")), (2, Held::Here(b"other")), (3, Held::Absent)]);
    }

    #[test]
    fn what_is_in_the_file_of_all_is_no_difference_and_is_read_from_each() {
        let mut common = list(&[(1, b"a")]);
        put(&mut common, Tag(0x0018, 2), Held::InFile);
        assert_eq!(difference(&common, &common), b"");
        let wanted = [Attribute { tag: Tag(0x0018, 2), creator: None }];
        let mut read = Read::default();
        read.add(&common, &wanted);
        assert_eq!(read.in_file, [Tag(0x0018, 2)]);
        // One that is short enough, and one that is not there.
        for own in [list(&[(1, b"a"), (2, b"short")]), list(&[(1, b"a")])] {
            let mut read = read.clone();
            read.add(&difference(&common, &own), &wanted);
            assert!(read.in_file.is_empty());
        }
    }

    #[test]
    fn a_cut_header_ends_early_and_harms_nobody() {
        let whole = list(&[(1, b"a"), (2, b"bcd")]);
        for cut in 0..whole.len() {
            assert!(Elements(&whole[..cut]).count() <= 1);
        }
    }
}
