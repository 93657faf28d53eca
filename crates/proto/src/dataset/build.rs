//! Builds a [`DataSet`] of what a [`Scanner`](super::scan) finds: all of it, or a header within a budget.

use dicom_core::value::{C, DataSetSequence, PixelFragmentSequence, Value};
use dicom_core::{DataElement, Length, PrimitiveValue};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::encoding::Encoding;
use super::scan::{Element, ScanError, Sink, Want};
use super::{DataSet, Tag, VR, dictionary, value};
use crate::charset::CharacterSets;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Elements and items that are held when all of a data set is: some 200 bytes each, so 50 MiB. It is for
/// identifiers, which have dozens, and for instances in tests and imports of DICOMDIRs.
const MAX_HELD: u64 = 256 * 1024;

/// The longest value of a header. Longer ones are bulk: pixels, curves, documents; unless they are asked for.
const MAX_HEADER_VALUE: u32 = 64 * 1024;

/// The longest value of a header whose VR says nothing about it: overlays, tables and vendors' blobs are no help
/// to an index.
const MAX_HEADER_BINARY: u32 = 1024;

/// What an element or item of a header costs besides its value.
const COST: u64 = 64;

/// For sequences of a header, in bytes; the per-frame groups of an enhanced object are larger and left out.
const SEQUENCE_BUDGET: u64 = 256 * 1024;

/// Elements that are noted as left out: more than an honest instance has.
const MAX_NOTED: usize = 4096;

/// Pixel data, and what comes after it, is no part of a header.
const PIXEL_DATA_GROUP: u16 = 0x7FE0;

/// For private elements of a header, in bytes.
const PRIVATE_BUDGET: u64 = 256 * 1024;

/// For standard elements of a header, in bytes. It is no honest instance that has more in values of 64 KiB at
/// most; to leave some out silently would make an index that knows half of it.
const STANDARD_BUDGET: u64 = 2 * 1024 * 1024;

/// For longer values of a header that are asked for whole, in bytes: far more than anybody writes into a field.
const WHOLE_BUDGET: u64 = 1024 * 1024;

/// What is open: from the data set itself inwards.
#[derive(Debug)]
enum Level {
    DataSet { elements: Vec<InMemElement>, sets: CharacterSets },
    Sequence { tag: Tag, items: C<InMemDicomObject> },
    Fragments { tag: Tag, vr: VR, fragments: C<Vec<u8>> },
}

/// What has been spent of the budgets of a header.
#[derive(Debug, Default)]
struct Spent {
    sequences: u64,
    private: u64,
    standard: u64,
    /// For sequences before the one that is open began: one that is left out gives back what it has spent.
    sequences_before: u64,
    left_out: Vec<Tag>,
    /// Attributes of the data set itself whose longer values are kept too.
    whole: Option<fn(Tag) -> bool>,
    /// For those.
    longer: u64,
    ill_padded_uids: Vec<Tag>,
}

impl Spent {
    fn note(&mut self, tag: Tag) {
        if self.left_out.last() != Some(&tag)
            && self.left_out.len() < MAX_NOTED
            && tag.group() < PIXEL_DATA_GROUP
        {
            self.left_out.push(tag);
        }
    }
}

/// A sink that builds a data set.
#[derive(Debug)]
pub(super) struct Builder {
    levels: Vec<Level>,
    /// Sequences and items that are open within one that is left out.
    left_out: usize,
    held: u64,
    /// For a header only.
    spent: Option<Spent>,
}

impl Builder {
    /// Builds all of it, within [`MAX_HELD`].
    pub(super) fn whole() -> Builder {
        let top = Level::DataSet { elements: Vec::new(), sets: CharacterSets::default_repertoire() };
        Builder { levels: vec![top], left_out: 0, held: 0, spent: None }
    }

    /// Builds a header: no bulk but what is asked for, and no more than the budgets allow.
    pub(super) fn header(whole: Option<fn(Tag) -> bool>) -> Builder {
        Builder { spent: Some(Spent { whole, ..Spent::default() }), ..Builder::whole() }
    }

    /// What was built.
    pub(super) fn finish(mut self) -> DataSet {
        match self.levels.drain(..).next() {
            Some(Level::DataSet { elements, .. }) => DataSet(InMemDicomObject::from_element_iter(elements)),
            _ => DataSet::new(),
        }
    }

    /// The elements of a header of which something was left out.
    pub(super) fn left_out(&mut self) -> Vec<Tag> {
        self.spent.as_mut().map(|spent| std::mem::take(&mut spent.left_out)).unwrap_or_default()
    }

    /// The UIDs of a header, not those in its sequences, that have more around them than padding.
    pub(super) fn ill_padded_uids(&mut self) -> Vec<Tag> {
        self.spent.as_mut().map(|spent| std::mem::take(&mut spent.ill_padded_uids)).unwrap_or_default()
    }

    /// The element of the data set itself that is open.
    fn outermost(&self) -> Option<Tag> {
        match self.levels.get(1) {
            Some(Level::Sequence { tag, .. } | Level::Fragments { tag, .. }) => Some(*tag),
            _ => None,
        }
    }

    fn hold(&mut self) -> Result<(), ScanError> {
        self.held += 1;
        if self.held > MAX_HELD && self.spent.is_none() {
            return Err(ScanError::Limit("too many elements to be held in memory"));
        }
        Ok(())
    }

    /// Whether a value of the header is to be kept; pays for it.
    fn keeps(&mut self, element: &Element) -> Result<bool, ScanError> {
        let outermost = self.outermost();
        let Some(spent) = &mut self.spent else { return Ok(true) };
        let binary = matches!(element.vr, VR::UN | VR::OB | VR::OW | VR::OL | VR::OV | VR::OF | VR::OD);
        let unknown = binary && readable_vr(element) == element.vr;
        let most = if unknown { MAX_HEADER_BINARY } else { MAX_HEADER_VALUE };
        let length = u64::from(element.length);
        if element.length > most {
            let is_asked_for = element.depth == 0 && spent.whole.is_some_and(|whole| whole(element.tag));
            if is_asked_for && spent.longer + length <= WHOLE_BUDGET {
                spent.longer += length;
                return Ok(true);
            }
            spent.note(outermost.unwrap_or(element.tag));
            return Ok(false);
        }
        let cost = COST + length;
        if element.depth > 0 {
            spent.sequences += cost;
            return Ok(self.affords_sequence());
        }
        if element.tag.group() % 2 == 1 {
            let is_kept = spent.private + cost <= PRIVATE_BUDGET;
            if is_kept {
                spent.private += cost;
            } else {
                spent.note(element.tag);
            }
            return Ok(is_kept);
        }
        spent.standard += cost;
        if spent.standard > STANDARD_BUDGET {
            return Err(ScanError::Limit("too many bytes in its header"));
        }
        Ok(true)
    }

    /// Whether the sequences are within their budget; if not, the one that is open is left out, from its front.
    fn affords_sequence(&mut self) -> bool {
        let outermost = self.outermost();
        let Some(spent) = &mut self.spent else { return true };
        let affords = spent.sequences <= SEQUENCE_BUDGET;
        if !affords {
            spent.sequences = spent.sequences_before;
            if let Some(tag) = outermost {
                spent.note(tag);
            }
            self.left_out += self.levels.len() - 1;
            self.levels.truncate(1);
        }
        affords
    }

    fn put(&mut self, element: InMemElement) {
        if let Some(Level::DataSet { elements, .. }) = self.levels.last_mut() {
            elements.push(element);
        }
    }

    fn character_sets(&self) -> CharacterSets {
        let innermost = self.levels.iter().rev().find_map(|level| match level {
            Level::DataSet { sets, .. } => Some(sets.clone()),
            _ => None,
        });
        innermost.unwrap_or_else(CharacterSets::default_repertoire)
    }

    fn put_value(&mut self, element: &Element, bytes: &[u8]) {
        let Some(Level::DataSet { elements, sets }) = self.levels.last_mut() else { return };
        let vr = readable_vr(element);
        // UN is written little endian whatever the transfer syntax (PS3.5 6.2.2).
        let encoding = if element.vr == VR::UN { Encoding::IMPLICIT_LITTLE } else { element.encoding };
        let value = value::decode(vr, bytes, encoding, sets);
        if element.depth == 0
            && let Some(spent) = &mut self.spent
            && dictionary::vr_of(element.tag) == VR::UI
            && value::is_ill_padded_uid(bytes)
            && spent.ill_padded_uids.len() < MAX_NOTED
        {
            spent.ill_padded_uids.push(element.tag);
        }
        if element.tag == SPECIFIC_CHARACTER_SET {
            *sets = CharacterSets::from_defined_terms(value.to_multi_str().iter().map(String::as_str));
        }
        elements.push(DataElement::new(element.tag, vr, value));
    }
}

/// The VR to read a value by: a standard element that was passed on as UN by something that did not know it has
/// the VR of the dictionary.
fn readable_vr(element: &Element) -> VR {
    match (element.vr, dictionary::vr_of(element.tag)) {
        (VR::UN, VR::SQ) => VR::UN,
        (VR::UN, known) => known,
        (vr, _) => vr,
    }
}

impl Sink for Builder {
    fn element(&mut self, element: &Element) -> Result<Want, ScanError> {
        let in_fragments = matches!(self.levels.last(), Some(Level::Fragments { .. }));
        if self.left_out > 0 || !in_fragments && !self.keeps(element)? {
            return Ok(Want::Nothing);
        }
        self.hold()?;
        Ok(Want::Value)
    }

    fn value(&mut self, element: &Element, bytes: &[u8]) -> Result<(), ScanError> {
        if let Some(Level::Fragments { fragments, .. }) = self.levels.last_mut() {
            fragments.push(bytes.to_vec());
        } else {
            self.put_value(element, bytes);
        }
        Ok(())
    }

    fn begin_sequence(&mut self, element: &Element, fragments: bool) -> Result<(), ScanError> {
        if self.left_out > 0 || fragments && self.spent.is_some() {
            self.left_out += 1;
            return Ok(());
        }
        self.hold()?;
        if let Some(spent) = self.spent.as_mut().filter(|_| self.levels.len() == 1) {
            spent.sequences_before = spent.sequences;
        }
        self.levels.push(if fragments {
            Level::Fragments { tag: element.tag, vr: element.vr, fragments: C::new() }
        } else {
            Level::Sequence { tag: element.tag, items: C::new() }
        });
        if let Some(spent) = &mut self.spent {
            spent.sequences += COST;
        }
        self.affords_sequence();
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), ScanError> {
        if self.left_out > 0 {
            self.left_out += 1;
            return Ok(());
        }
        self.hold()?;
        let sets = self.character_sets();
        self.levels.push(Level::DataSet { elements: Vec::new(), sets });
        if let Some(spent) = &mut self.spent {
            spent.sequences += COST;
        }
        self.affords_sequence();
        Ok(())
    }

    fn end_item(&mut self) {
        if self.left_out > 0 {
            self.left_out -= 1;
        } else if let Some(Level::DataSet { elements, .. }) = self.levels.pop()
            && let Some(Level::Sequence { items, .. }) = self.levels.last_mut()
        {
            items.push(InMemDicomObject::from_element_iter(elements));
        }
    }

    fn end_sequence(&mut self) {
        if self.left_out > 0 {
            self.left_out -= 1;
            return;
        }
        match self.levels.pop() {
            Some(Level::Sequence { tag, items }) => self.put(sequence(tag, items)),
            Some(Level::Fragments { tag, vr, fragments }) => self.put(encapsulated(tag, vr, fragments)),
            Some(Level::DataSet { .. }) | None => {}
        }
    }
}

/// A sequence element. Its length is left undefined: it changes with what is in it.
pub(super) fn sequence(tag: Tag, items: C<InMemDicomObject>) -> InMemElement {
    DataElement::new(tag, VR::SQ, Value::Sequence(DataSetSequence::new(items, Length::UNDEFINED)))
}

/// Encapsulated pixel data: the first fragment is the basic offset table (PS3.5 A.4).
fn encapsulated(tag: Tag, vr: VR, mut fragments: C<Vec<u8>>) -> InMemElement {
    let first = if fragments.is_empty() { Vec::new() } else { fragments.remove(0) };
    match value::decode(VR::OL, &first, Encoding::EXPLICIT_LITTLE, &CharacterSets::default_repertoire()) {
        PrimitiveValue::U32(offsets) => {
            DataElement::new(tag, vr, Value::PixelSequence(PixelFragmentSequence::new(offsets, fragments)))
        }
        _ => DataElement::new(tag, vr, Value::PixelSequence(PixelFragmentSequence::new_fragments(fragments))),
    }
}
