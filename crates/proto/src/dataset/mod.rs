//! Data sets on dicom-rs: the only module that names that library.
//!
//! A [`DataSet`] is for what is small and wanted as values: identifiers of queries, headers of instances. Its
//! text is Unicode: decoded by [`crate::charset`] when it is read, encoded when it is written. A stored
//! instance is never read this way and written again: it passes by as bytes.

pub mod dictionary;
pub mod scan;

pub use dicom_core::{Tag, VR};

use dicom_object::InMemDicomObject;

use crate::Uid;
use crate::charset::CharacterSets;

/// A data set in memory, its text in Unicode.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet(InMemDicomObject);

/// Why a data set cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    /// It breaks a rule of PS3.5, or a limit.
    #[error("malformed data set: {0}")]
    Malformed(String),
    /// The transfer syntax is not one whose data sets can be read.
    #[error("data sets cannot be read in transfer syntax {0}")]
    TransferSyntax(Uid),
}

impl DataSet {
    /// A data set without elements.
    pub fn new() -> DataSet {
        DataSet(InMemDicomObject::new_empty())
    }

    /// Reads a whole data set from memory, after [`scan`] has found it sound and within its limits.
    ///
    /// # Errors
    /// [`DataSetError`].
    pub fn parse(bytes: &[u8], transfer_syntax: &Uid) -> Result<DataSet, DataSetError> {
        let _ = (bytes, transfer_syntax);
        todo!()
    }

    /// Writes the data set; text in its own Specific Character Set where that can hold it, else in ISO_IR 192,
    /// which is then said in (0008,0005).
    ///
    /// # Errors
    /// [`DataSetError::TransferSyntax`].
    pub fn encode(&self, transfer_syntax: &Uid) -> Result<Vec<u8>, DataSetError> {
        let _ = transfer_syntax;
        todo!()
    }

    /// The character sets it came in, or is to be written in.
    pub fn character_sets(&self) -> CharacterSets {
        todo!()
    }

    /// Whether the element is there, with or without a value.
    pub fn contains(&self, tag: Tag) -> bool {
        let _ = tag;
        todo!()
    }

    /// The tags in ascending order.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.0.tags()
    }

    /// The VR of an element.
    pub fn vr(&self, tag: Tag) -> Option<VR> {
        let _ = tag;
        todo!()
    }

    /// The value as text, several values joined by a backslash, padding removed; `None` when the element is
    /// absent or empty.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let _ = tag;
        todo!()
    }

    /// The values as texts, padding removed; empty when the element is absent or empty.
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        let _ = tag;
        todo!()
    }

    /// The value as a UID; `None` when absent, empty, or not a UID.
    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        let _ = tag;
        todo!()
    }

    /// The values as UIDs; what is not a UID is left out.
    pub fn uids(&self, tag: Tag) -> Vec<Uid> {
        let _ = tag;
        todo!()
    }

    /// The value as an integer, of IS or a binary VR.
    pub fn integer(&self, tag: Tag) -> Option<i64> {
        let _ = tag;
        todo!()
    }

    /// The items of a sequence; `None` when absent or not a sequence.
    pub fn items(&self, tag: Tag) -> Option<Vec<DataSet>> {
        let _ = tag;
        todo!()
    }

    /// Sets an element to a text of several values split at backslashes; VR from the dictionary (UN: LO).
    pub fn set_text(&mut self, tag: Tag, text: &str) {
        let _ = (tag, text);
        todo!()
    }

    /// Sets an element of VR UI.
    pub fn set_uid(&mut self, tag: Tag, uid: &Uid) {
        let _ = (tag, uid);
        todo!()
    }

    /// Sets an element of VR UI with several values.
    pub fn set_uids(&mut self, tag: Tag, uids: &[Uid]) {
        let _ = (tag, uids);
        todo!()
    }

    /// Sets an element of VR IS or a binary integer VR (by the dictionary).
    pub fn set_integer(&mut self, tag: Tag, value: i64) {
        let _ = (tag, value);
        todo!()
    }

    /// Sets an element to zero length: in a query, "give me the value back".
    pub fn set_empty(&mut self, tag: Tag) {
        let _ = tag;
        todo!()
    }

    /// Sets a sequence.
    pub fn set_items(&mut self, tag: Tag, items: Vec<DataSet>) {
        let _ = (tag, items);
        todo!()
    }

    /// Copies one element, sequences included, from another data set; nothing when it is not there.
    pub fn copy(&mut self, tag: Tag, from: &DataSet) {
        let _ = (tag, from);
        todo!()
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) {
        let _ = tag;
        todo!()
    }

    /// The DICOM JSON model, PS3.18 Annex F.
    pub fn to_json(&self) -> serde_json::Value {
        todo!()
    }

    /// From the DICOM JSON model, PS3.18 Annex F.
    ///
    /// # Errors
    /// [`DataSetError::Malformed`].
    pub fn from_json(json: &serde_json::Value) -> Result<DataSet, DataSetError> {
        let _ = json;
        todo!()
    }
}

impl Default for DataSet {
    fn default() -> DataSet {
        DataSet::new()
    }
}
