//! A few elements of a data set, whole, whatever their length: what a header has left out.

use std::io::Read;

use super::walk::{PIECE, read};
use super::{Element, ScanError, Scanner, Sink, Want};
use crate::Uid;
use crate::dataset::build::Builder;
use crate::dataset::{DataSet, Tag};

/// The bytes of values that are picked at most: more than an identifier can be that anybody reads.
const MAX_PICKED: u64 = 4 * 1024 * 1024;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Picks elements with their items out of a data set, and reads no further than the last.
///
/// # Errors
/// [`ScanError`]; [`ScanError::Limit`] when they are more than may be held.
pub fn pick(
    mut reader: impl Read,
    transfer_syntax: &Uid,
    wanted: impl Fn(Tag) -> bool,
    last: Tag,
) -> Result<DataSet, ScanError> {
    let mut scanner = Scanner::new(transfer_syntax)?;
    let mut picker =
        Picker { builder: Builder::whole(), wanted, last, passed: 0, is_past: false, bytes_left: MAX_PICKED };
    let mut piece = vec![0; PIECE];
    while !scanner.is_stopped() {
        match read(&mut reader, &mut piece)? {
            [] => {
                scanner.finish(&mut picker)?;
                break;
            }
            bytes => scanner.push(bytes, &mut picker)?,
        }
    }
    Ok(picker.builder.finish())
}

struct Picker<W> {
    builder: Builder,
    wanted: W,
    last: Tag,
    /// Sequences and items that are open within one that is not wanted.
    passed: usize,
    /// What comes now is behind the last.
    is_past: bool,
    bytes_left: u64,
}

impl<W: Fn(Tag) -> bool> Picker<W> {
    fn is_wanted(&self, element: &Element) -> bool {
        element.depth > 0 || element.tag == SPECIFIC_CHARACTER_SET || (self.wanted)(element.tag)
    }

    fn look(&mut self, element: &Element) {
        self.is_past |= element.depth == 0 && element.tag > self.last;
    }
}

impl<W: Fn(Tag) -> bool> Sink for Picker<W> {
    fn element(&mut self, element: &Element) -> Result<Want, ScanError> {
        self.look(element);
        if self.is_past {
            return Ok(Want::Stop);
        }
        if self.passed > 0 || !self.is_wanted(element) {
            return Ok(Want::Nothing);
        }
        let left = self.bytes_left.checked_sub(u64::from(element.length));
        self.bytes_left = left.ok_or(ScanError::Limit("more in an element than may be held in memory"))?;
        self.builder.element(element)
    }

    fn value(&mut self, element: &Element, value: &[u8]) -> Result<(), ScanError> {
        self.builder.value(element, value)
    }

    fn begin_sequence(&mut self, element: &Element, fragments: bool) -> Result<(), ScanError> {
        self.look(element);
        if self.passed > 0 || self.is_past || !self.is_wanted(element) {
            self.passed += 1;
            return Ok(());
        }
        self.builder.begin_sequence(element, fragments)
    }

    fn begin_item(&mut self) -> Result<(), ScanError> {
        if self.passed > 0 {
            self.passed += 1;
            return Ok(());
        }
        self.builder.begin_item()
    }

    fn end_item(&mut self) {
        match self.passed.checked_sub(1) {
            Some(passed) => self.passed = passed,
            None => self.builder.end_item(),
        }
    }

    fn end_sequence(&mut self) {
        match self.passed.checked_sub(1) {
            Some(passed) => self.passed = passed,
            None => self.builder.end_sequence(),
        }
    }
}
