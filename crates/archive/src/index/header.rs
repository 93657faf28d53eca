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
//! that they lack with the length FFFFFFFFH.

use std::cmp::Ordering;

use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Attribute, Level};

use super::attributes::{attribute, level_of, tags};

/// The longest element that is kept, in bytes. Names, descriptions and the code sequences of a study are
/// shorter; tables, icons and vendors' private blocks are longer and nobody searches in them.
const MAX_ELEMENT_LENGTH: usize = 4096;
/// The same for private elements, of which there are many.
const MAX_PRIVATE_ELEMENT_LENGTH: usize = 256;
/// The longest header of one level, in bytes; elements beyond it are not kept.
const MAX_HEADER_LENGTH: usize = 64 * 1024;

const ABSENT: u32 = u32::MAX;

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
    pub(crate) fn of(header: &DataSet) -> Headers {
        let mut headers = Headers::default();
        let has_column = |tag: Tag| attribute(tag, Level::Image).is_some();
        for tag in header.tags().filter(|&tag| is_kept(tag) && !has_column(tag)) {
            let mut single = DataSet::new();
            single.copy(tag, header);
            let Ok(encoded) = single.encode(&EXPLICIT_VR_LITTLE_ENDIAN) else { continue };
            let limit = if tag.0 % 2 == 1 { MAX_PRIVATE_ELEMENT_LENGTH } else { MAX_ELEMENT_LENGTH };
            if encoded.len() > limit {
                continue;
            }
            match level_of(tag) {
                Level::Patient => {
                    append(&mut headers.patient, tag, &encoded);
                    append(&mut headers.study, tag, &encoded);
                }
                Level::Study => append(&mut headers.study, tag, &encoded),
                Level::Series => append(&mut headers.series, tag, &encoded),
                Level::Image => append(&mut headers.instance, tag, &encoded),
            }
        }
        headers
    }
}

/// Whether an attribute is one of the header. Pixels and what comes after them, curves and overlays are not.
pub(crate) fn is_kept(tag: Tag) -> bool {
    let is_bulk = tag.0 >= 0x7FE0 || (0x5000..0x5100).contains(&tag.0) || (0x6000..0x6100).contains(&tag.0);
    !is_bulk && tag.0 > 0x0002 && tag.1 != 0 && tag != tags::SPECIFIC_CHARACTER_SET
}

fn append(header: &mut Vec<u8>, tag: Tag, encoded: &[u8]) {
    if header.len() + encoded.len() <= MAX_HEADER_LENGTH {
        put(header, tag, encoded);
    }
}

fn put(header: &mut Vec<u8>, tag: Tag, encoded: &[u8]) {
    header.extend_from_slice(&number(tag).to_le_bytes());
    // At most MAX_ELEMENT_LENGTH.
    header.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
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
            (_, Some((tag, Some(own)))) => put(&mut difference, tag, own),
            (Some((tag, _)), _) => {
                difference.extend_from_slice(&number(tag).to_le_bytes());
                difference.extend_from_slice(&ABSENT.to_le_bytes());
            }
            (None, _) => {}
        }
    }
}

/// Reads the wanted elements of a header into a data set; of a difference, also takes out what is absent.
pub(crate) fn read_into(data_set: &mut DataSet, header: &[u8], wanted: &[Attribute]) {
    let is_wanted = |tag: Tag| wanted.iter().any(|attribute| attribute.may_need(tag));
    for (tag, encoded) in Elements(header).filter(|(tag, _)| is_wanted(*tag)) {
        match encoded {
            None => data_set.remove(tag),
            Some(encoded) => {
                // What we wrote ourselves can be read; if the database was damaged, the element is missing.
                if let Ok(single) = DataSet::parse(encoded, &EXPLICIT_VR_LITTLE_ENDIAN) {
                    data_set.copy(tag, &single);
                }
            }
        }
    }
}

/// The elements of a header; `None` for one that is absent. Ends at the first that is cut.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (Tag, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let tag = Tag((number >> 16) as u16, number as u16);
        if length == ABSENT {
            self.0 = rest;
            return Some((tag, None));
        }
        let (encoded, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some((tag, Some(encoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(elements: &[(u16, &[u8])]) -> Vec<u8> {
        let mut header = Vec::new();
        for (element, encoded) in elements {
            put(&mut header, Tag(0x0018, *element), encoded);
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
        assert_eq!(found, [(0, Some(&b"new"[..])), (2, Some(b"other")), (3, None)]);
    }

    #[test]
    fn a_cut_header_ends_early_and_harms_nobody() {
        let whole = list(&[(1, b"a"), (2, b"bcd")]);
        for cut in 0..whole.len() {
            assert!(Elements(&whole[..cut]).count() <= 1);
        }
    }
}
