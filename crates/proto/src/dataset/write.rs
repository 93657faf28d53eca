//! Writes data sets: PS3.5 section 7 and Annex A.
//!
//! Ours and not the library's, because text has to pass through [`crate::charset`] and the library would encode
//! it once more by the first character set alone. Sequences and items get defined lengths, but for private
//! sequences in Implicit VR, which only an undefined length tells from bytes.

use dicom_core::PrimitiveValue;
use dicom_core::header::Header;
use dicom_core::value::{PixelFragmentSequence, Value};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::encoding::{Encoding, has_long_length};
use super::{Tag, VR, dictionary, value};
use crate::charset::{CharacterSets, NotEncodable};

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED_LENGTH: u32 = 0xFFFF_FFFF;

/// The longest value of a VR whose length Explicit VR writes in 16 bits, being even.
const MAX_SHORT_LENGTH: usize = 0xFFFE;

/// Writes a whole data set. Text that its character sets do not have makes it ISO_IR 192.
pub(super) fn data_set(object: &InMemDicomObject, encoding: Encoding) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::new(), encoding };
    let sets = own_sets(object).unwrap_or_else(CharacterSets::default_repertoire);
    if writer.elements(object, &sets).is_err() {
        writer.bytes.clear();
        writer.elements_in_utf8(object);
    }
    writer.bytes
}

/// Writes a whole data set for somebody who reads these character sets: without any where it is all ASCII, then in
/// theirs, then in its own, and in ISO_IR 192 when none of them has every character.
pub(super) fn data_set_for(object: &InMemDicomObject, encoding: Encoding, theirs: &CharacterSets) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::new(), encoding };
    let own = own_sets(object).unwrap_or_default();
    for sets in [&CharacterSets::default_repertoire(), theirs, &own] {
        let sets = sets.normalised();
        if sets.is_known() && writer.elements_in(object, &sets).is_ok() {
            return writer.bytes;
        }
        writer.bytes.clear();
    }
    writer.elements_in_utf8(object);
    writer.bytes
}

/// The character sets that an object says it is in.
pub(super) fn own_sets(object: &InMemDicomObject) -> Option<CharacterSets> {
    let terms = object.get(SPECIFIC_CHARACTER_SET)?.value().primitive()?.to_multi_str();
    Some(CharacterSets::from_defined_terms(terms.iter().map(String::as_str)))
}

struct Writer {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Writer {
    fn elements(&mut self, object: &InMemDicomObject, sets: &CharacterSets) -> Result<(), NotEncodable> {
        object.iter().try_for_each(|element| self.element(element, sets))
    }

    /// All of an object in UTF-8.
    fn elements_in_utf8(&mut self, object: &InMemDicomObject) {
        // UTF-8 has every character.
        let _ = self.elements_in(object, &CharacterSets::utf8());
    }

    /// All of an object in these character sets, with (0008,0005) at its place in the order.
    fn elements_in(&mut self, object: &InMemDicomObject, sets: &CharacterSets) -> Result<(), NotEncodable> {
        let mut terms = sets.defined_terms().join("\\");
        if terms.len() % 2 == 1 {
            terms.push(' ');
        }
        let mut said = terms.is_empty();
        for element in object.iter() {
            if !said && element.tag() >= SPECIFIC_CHARACTER_SET {
                self.value(SPECIFIC_CHARACTER_SET, VR::CS, terms.as_bytes());
                said = true;
            }
            if element.tag() != SPECIFIC_CHARACTER_SET {
                self.element(element, sets)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, element: &InMemElement, sets: &CharacterSets) -> Result<(), NotEncodable> {
        match element.value() {
            Value::Primitive(value) => self.primitive(element.tag(), element.vr(), value, sets),
            Value::Sequence(sequence) => self.sequence(element.tag(), sequence.items(), sets),
            Value::PixelSequence(fragments) => {
                self.fragments(element.tag(), element.vr(), fragments);
                Ok(())
            }
        }
    }

    fn sequence(
        &mut self,
        tag: Tag,
        items: &[InMemDicomObject],
        sets: &CharacterSets,
    ) -> Result<(), NotEncodable> {
        let told_by_length = !self.encoding.explicit && dictionary::vr_of(tag) != VR::SQ;
        self.header(tag, VR::SQ, if told_by_length { UNDEFINED_LENGTH } else { 0 });
        let sequence = self.bytes.len();
        for item in items {
            self.item_header(ITEM, 0);
            let start = self.bytes.len();
            match own_sets(item) {
                None => self.elements(item, sets)?,
                Some(own) => {
                    if self.elements(item, &own).is_err() {
                        self.bytes.truncate(start);
                        self.elements_in_utf8(item);
                    }
                }
            }
            self.set_length(start);
        }
        if told_by_length {
            self.item_header(SEQUENCE_DELIMITER, 0);
        } else {
            self.set_length(sequence);
        }
        Ok(())
    }

    fn fragments(&mut self, tag: Tag, vr: VR, fragments: &PixelFragmentSequence<Vec<u8>>) {
        self.header(tag, vr, UNDEFINED_LENGTH);
        let offsets: Vec<u8> =
            fragments.offset_table().iter().flat_map(|offset| offset.to_le_bytes()).collect();
        for fragment in std::iter::once(&offsets).chain(fragments.fragments()) {
            let padding = fragment.len() % 2;
            self.item_header(ITEM, length(fragment.len() + padding));
            self.bytes.extend_from_slice(fragment);
            self.bytes.extend(std::iter::repeat_n(0, padding));
        }
        self.item_header(SEQUENCE_DELIMITER, 0);
    }

    /// An element with a value. One that is too long for the 16 bits of its VR is written as UN, which has 32 and
    /// is always little endian (PS3.5 6.2.2): a list of 2,000 UIDs is.
    fn primitive(
        &mut self,
        tag: Tag,
        vr: VR,
        value: &PrimitiveValue,
        sets: &CharacterSets,
    ) -> Result<(), NotEncodable> {
        let bytes = value::encode(vr, value, self.encoding, sets)?;
        if self.encoding.explicit && !has_long_length(vr) && bytes.len() > MAX_SHORT_LENGTH {
            let little = value::encode(vr, value, Encoding::EXPLICIT_LITTLE, sets)?;
            self.value(tag, VR::UN, &little);
        } else {
            self.value(tag, vr, &bytes);
        }
        Ok(())
    }

    fn value(&mut self, tag: Tag, vr: VR, bytes: &[u8]) {
        self.header(tag, vr, length(bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    fn header(&mut self, tag: Tag, vr: VR, length: u32) {
        self.tag(tag);
        if !self.encoding.explicit {
            self.u32(length);
        } else if has_long_length(vr) {
            self.bytes.extend_from_slice(&vr.to_bytes());
            self.u16(0);
            self.u32(length);
        } else {
            self.bytes.extend_from_slice(&vr.to_bytes());
            // `primitive` has seen to it that this fits.
            self.u16(u16::try_from(length).unwrap_or(u16::MAX));
        }
    }

    fn item_header(&mut self, tag: Tag, length: u32) {
        self.tag(tag);
        self.u32(length);
    }

    /// Fills in the 32-bit length that ends at `start`, now that all of the value is there.
    fn set_length(&mut self, start: usize) {
        let length = length(self.bytes.len() - start);
        let field = if self.encoding.big_endian { length.to_be_bytes() } else { length.to_le_bytes() };
        if let Some(place) = start.checked_sub(4).and_then(|at| self.bytes.get_mut(at..start)) {
            place.copy_from_slice(&field);
        }
    }

    fn tag(&mut self, tag: Tag) {
        self.u16(tag.group());
        self.u16(tag.element());
    }

    fn u16(&mut self, number: u16) {
        let bytes = if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u32(&mut self, number: u32) {
        let bytes = if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }
}

/// A length of something that is in memory, where nothing of 4 GiB is put together.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(UNDEFINED_LENGTH - 1)
}
