//! Data sets on dicom-rs: the only module that names that library.
//!
//! A [`DataSet`] is for what is small and wanted as values: identifiers of queries, headers of instances. Its
//! text is Unicode: decoded by [`crate::charset`] when it is read, encoded when it is written. A stored
//! instance is never read this way and written again: it passes by as bytes.

mod build;
pub mod dictionary;
mod encoding;
mod file_meta;
mod json;
pub mod scan;
mod value;
mod write;

pub use dicom_core::{Tag, VR};
pub use file_meta::{FileMeta, FileMetaError, PrivateInformation};

use std::io::Write;

use dicom_core::header::Header;
use dicom_core::value::Value;
use dicom_core::{DataElement, PrimitiveValue};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use self::build::Builder;
use self::encoding::{Encoding, Syntax};
use self::scan::{ScanError, Scanner};
use crate::Uid;
use crate::charset::CharacterSets;

/// A data set in memory, its text in Unicode.
#[derive(Debug, Clone)]
pub struct DataSet(InMemDicomObject);

/// Why a data set cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataSetError {
    /// It breaks a rule of PS3.5.
    #[error("malformed data set: {0}")]
    Malformed(String),
    /// It is larger than may be held in memory, or nested deeper.
    #[error("the data set has {0}")]
    Limit(&'static str),
    /// The transfer syntax is not one whose data sets can be read.
    #[error("data sets cannot be read in transfer syntax {0}")]
    TransferSyntax(Uid),
}

impl From<ScanError> for DataSetError {
    fn from(error: ScanError) -> DataSetError {
        match error {
            ScanError::TransferSyntax(uid) => DataSetError::TransferSyntax(uid),
            ScanError::Limit(limit) => DataSetError::Limit(limit),
            error => DataSetError::Malformed(error.to_string()),
        }
    }
}

impl DataSet {
    /// A data set without elements.
    pub fn new() -> DataSet {
        DataSet(InMemDicomObject::new_empty())
    }

    /// Reads a whole data set from memory, within the limits of [`scan`] and of what may be held in memory: some
    /// 250,000 elements.
    ///
    /// # Errors
    /// [`DataSetError`].
    pub fn parse(bytes: &[u8], transfer_syntax: &Uid) -> Result<DataSet, DataSetError> {
        let mut scanner = Scanner::new(transfer_syntax)?.with_length(bytes.len() as u64);
        let mut builder = Builder::whole();
        scanner.push(bytes, &mut builder)?;
        scanner.finish(&mut builder)?;
        Ok(builder.finish())
    }

    /// Writes the data set; text in its own Specific Character Set where that can hold it, else in ISO_IR 192,
    /// which is then said in (0008,0005).
    ///
    /// # Errors
    /// [`DataSetError::TransferSyntax`].
    pub fn encode(&self, transfer_syntax: &Uid) -> Result<Vec<u8>, DataSetError> {
        let syntax = writable(transfer_syntax)?;
        let bytes = write::data_set(&self.0, syntax.encoding);
        if syntax.deflated { deflate(&bytes) } else { Ok(bytes) }
    }

    /// Writes the data set for somebody who reads these character sets, which (0008,0005) then says: none where all
    /// of it is ASCII, else theirs where they can hold it, else its own, else ISO_IR 192.
    ///
    /// # Errors
    /// [`DataSetError::TransferSyntax`].
    pub fn encode_for(
        &self,
        transfer_syntax: &Uid,
        character_sets: &CharacterSets,
    ) -> Result<Vec<u8>, DataSetError> {
        let syntax = writable(transfer_syntax)?;
        let bytes = write::data_set_for(&self.0, syntax.encoding, character_sets);
        if syntax.deflated { deflate(&bytes) } else { Ok(bytes) }
    }

    /// The character sets it came in, or is to be written in.
    pub fn character_sets(&self) -> CharacterSets {
        write::own_sets(&self.0).unwrap_or_else(CharacterSets::default_repertoire)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// Whether the element is there, with or without a value.
    pub fn contains(&self, tag: Tag) -> bool {
        self.0.get(tag).is_some()
    }

    /// The tags in ascending order.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.0.tags()
    }

    /// Whether the element has a value: text, numbers, bytes, or an item.
    pub fn has_value(&self, tag: Tag) -> bool {
        self.0.get(tag).is_some_and(|element| match element.value() {
            Value::Primitive(value) => !matches!(value, PrimitiveValue::Empty),
            Value::Sequence(sequence) => !sequence.items().is_empty(),
            Value::PixelSequence(_) => true,
        })
    }

    /// The VR of an element.
    pub fn vr(&self, tag: Tag) -> Option<VR> {
        self.0.get(tag).map(DataElement::vr)
    }

    /// The value as text, several values joined by a backslash, padding removed; `None` when the element is
    /// absent or empty, a sequence, or bytes.
    pub fn text(&self, tag: Tag) -> Option<String> {
        match self.primitive(tag)? {
            PrimitiveValue::Empty | PrimitiveValue::U8(_) => None,
            value => Some(value::text_of(value)).filter(|text| !text.is_empty()),
        }
    }

    /// The values as texts, padding removed; empty when the element is absent or empty, a sequence, or bytes.
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        match self.primitive(tag) {
            None | Some(PrimitiveValue::Empty | PrimitiveValue::U8(_)) => Vec::new(),
            Some(PrimitiveValue::Str(text)) => vec![text.clone()],
            Some(value) => value::text_of(value).split('\\').map(str::to_owned).collect(),
        }
    }

    /// The value as a UID; `None` when absent, empty, or not a UID.
    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        match self.primitive(tag)? {
            // A UID whose VR says bytes: some gateways do.
            PrimitiveValue::U8(bytes) => Uid::from_bytes(bytes).ok(),
            value => Uid::new(value::text_of(value)).ok(),
        }
    }

    /// The values as UIDs; what is not a UID is left out.
    pub fn uids(&self, tag: Tag) -> Vec<Uid> {
        self.texts(tag).into_iter().filter_map(|text| Uid::new(text).ok()).collect()
    }

    /// The value as an integer, of IS or a binary VR; the first of several.
    pub fn integer(&self, tag: Tag) -> Option<i64> {
        let texts = self.texts(tag);
        let text = texts.first()?.trim();
        text.parse().ok()
    }

    /// The value as bytes, little endian, where the VR says nothing else about it: OB, OW, UN and their like.
    pub fn bytes(&self, tag: Tag) -> Option<Vec<u8>> {
        let element = self.0.get(tag)?;
        let value = element.value().primitive()?;
        let binary = value::form(element.vr()) == value::Form::Binary;
        binary.then(|| {
            let sets = CharacterSets::default_repertoire();
            value::encode(element.vr(), value, Encoding::EXPLICIT_LITTLE, &sets).unwrap_or_default()
        })
    }

    /// The items of a sequence; `None` when absent or not a sequence.
    pub fn items(&self, tag: Tag) -> Option<Vec<DataSet>> {
        self.0.get(tag)?.value().items().map(|items| items.iter().cloned().map(DataSet).collect())
    }

    /// Sets an element to a text of several values split at backslashes; VR from the dictionary (UN: LO). Of a
    /// binary VR the text is the number, or several; what is no number leaves the element empty.
    pub fn set_text(&mut self, tag: Tag, text: &str) {
        let vr = text_vr(tag);
        self.put(tag, vr, value::parse(vr, text).unwrap_or(PrimitiveValue::Empty));
    }

    /// Sets an element of VR UI.
    pub fn set_uid(&mut self, tag: Tag, uid: &Uid) {
        self.set_uids(tag, std::slice::from_ref(uid));
    }

    /// Sets an element of VR UI with several values.
    pub fn set_uids(&mut self, tag: Tag, uids: &[Uid]) {
        let texts = uids.iter().map(|uid| uid.as_str().to_owned()).collect();
        self.put(
            tag,
            VR::UI,
            if uids.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::Strs(texts) },
        );
    }

    /// Sets an element of VR IS or a binary integer VR (by the dictionary). A number that the VR cannot hold
    /// leaves the element empty.
    pub fn set_integer(&mut self, tag: Tag, value: i64) {
        self.set_text(tag, &value.to_string());
    }

    /// Sets an element to bytes; of a VR of numbers they are little endian.
    pub fn set_bytes(&mut self, tag: Tag, vr: VR, bytes: &[u8]) {
        let sets = CharacterSets::default_repertoire();
        self.put(tag, vr, value::decode(vr, bytes, Encoding::EXPLICIT_LITTLE, &sets));
    }

    /// Sets an element to zero length: in a query, "give me the value back".
    pub fn set_empty(&mut self, tag: Tag) {
        match dictionary::vr_of(tag) {
            VR::SQ => self.set_items(tag, Vec::new()),
            _ => self.put(tag, text_vr(tag), PrimitiveValue::Empty),
        }
    }

    /// Sets a sequence.
    pub fn set_items(&mut self, tag: Tag, items: Vec<DataSet>) {
        let items = items.into_iter().map(|item| item.0).collect();
        self.0.put(build::sequence(tag, items));
    }

    /// Copies one element, sequences included, from another data set; nothing when it is not there.
    pub fn copy(&mut self, tag: Tag, from: &DataSet) {
        if let Some(element) = from.0.get(tag) {
            self.0.put(element.clone());
        }
    }

    /// Copies one element, sequences included, from where another data set has it; nothing when it is not there.
    pub fn copy_as(&mut self, tag: Tag, from_tag: Tag, from: &DataSet) {
        if let Some(element) = from.0.get(from_tag) {
            self.0.put(DataElement::new(tag, element.vr(), element.value().clone()));
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) {
        self.0.remove_element(tag);
    }

    /// The DICOM JSON model, PS3.18 Annex F. Encapsulated pixel data has no value in it.
    pub fn to_json(&self) -> serde_json::Value {
        json::to_json(&self.0)
    }

    /// From the DICOM JSON model, PS3.18 Annex F.
    ///
    /// # Errors
    /// [`DataSetError::Malformed`].
    pub fn from_json(json: &serde_json::Value) -> Result<DataSet, DataSetError> {
        json::from_json(json).map(DataSet)
    }

    fn primitive(&self, tag: Tag) -> Option<&PrimitiveValue> {
        self.0.get(tag)?.value().primitive()
    }

    fn put(&mut self, tag: Tag, vr: VR, value: PrimitiveValue) {
        self.0.put(DataElement::new(tag, vr, value));
    }
}

impl Default for DataSet {
    fn default() -> DataSet {
        DataSet::new()
    }
}

/// Equal when tags, VRs and values are: not lengths, of which the library holds an undefined one unequal to
/// itself.
impl PartialEq for DataSet {
    fn eq(&self, other: &DataSet) -> bool {
        same_object(&self.0, &other.0)
    }
}

fn same_object(left: &InMemDicomObject, right: &InMemDicomObject) -> bool {
    left.iter().count() == right.iter().count() && left.iter().zip(right.iter()).all(same_element)
}

fn same_element((left, right): (&InMemElement, &InMemElement)) -> bool {
    let same_value = match (left.value(), right.value()) {
        (Value::Primitive(left), Value::Primitive(right)) => left == right,
        (Value::PixelSequence(left), Value::PixelSequence(right)) => left == right,
        (Value::Sequence(left), Value::Sequence(right)) => {
            let (left, right) = (left.items(), right.items());
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_object(left, right))
        }
        _ => false,
    };
    left.tag() == right.tag() && left.vr() == right.vr() && same_value
}

fn writable(transfer_syntax: &Uid) -> Result<Syntax, DataSetError> {
    Syntax::of(transfer_syntax).ok_or_else(|| DataSetError::TransferSyntax(transfer_syntax.clone()))
}

/// The VR to set a text by: what the dictionary does not know is LO.
fn text_vr(tag: Tag) -> VR {
    match dictionary::vr_of(tag) {
        VR::UN => VR::LO,
        vr => vr,
    }
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>, DataSetError> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    let deflated = encoder.write_all(bytes).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    let mut deflated = deflated.map_err(|error| DataSetError::Malformed(error.to_string()))?;
    if deflated.len() % 2 == 1 {
        deflated.push(0);
    }
    Ok(deflated)
}

#[cfg(test)]
mod tests;
