//! A few elements from the front of a data set, while the rest has yet to come: what a file is to be called. Whoever wants
//! to know besides whether all of it came has the rest passed over.

use super::walk::is_of_the_end;
use super::{Element, ScanError, Scanner, Sink, Want};
use crate::Uid;
use crate::dataset::Tag;

/// The longest value that is peeked at, in bytes. UIDs have 64.
const MAX_VALUE: u32 = 1024;

/// What is known of an element that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked<'a> {
    /// Here is its value, padding included.
    Found(&'a [u8]),
    /// It may yet come.
    NeedMore,
    /// It is not there: the data set is past its tag.
    Absent,
}

/// Looks for elements at the top of a data set that comes in pieces. It holds nothing but their values.
///
/// ```
/// use dicomet_proto::Uid;
/// use dicomet_proto::dataset::{Tag, dictionary::uids, scan::{Peek, Peeked}};
///
/// let mut peek = Peek::new(&uids::IMPLICIT_VR_LITTLE_ENDIAN, &[Tag(0x0008, 0x0018)])?;
/// peek.push(b"\x08\0\x18\0\x06\0\0\x001.2")?;
/// assert_eq!(peek.element(Tag(0x0008, 0x0018)), Peeked::NeedMore);
/// peek.push(b".3\0")?;
/// assert!(peek.is_done());
/// assert_eq!(peek.uid(Tag(0x0008, 0x0018)), Some(Uid::from_static("1.2.3")));
/// # Ok::<(), dicomet_proto::dataset::scan::ScanError>(())
/// ```
#[derive(Debug)]
pub struct Peek {
    scanner: Scanner,
    wanted: Wanted,
}

#[derive(Debug)]
struct Wanted {
    /// In ascending order.
    values: Vec<(Tag, Option<Vec<u8>>)>,
    /// The top-level element that came last.
    passed: Option<Tag>,
    ended: bool,
    /// Whether what comes behind them is passed over to the end.
    is_to_the_end: bool,
}

impl Peek {
    /// Looks for these elements.
    ///
    /// # Errors
    /// [`ScanError::TransferSyntax`].
    pub fn new(transfer_syntax: &Uid, tags: &[Tag]) -> Result<Peek, ScanError> {
        let mut values: Vec<_> = tags.iter().map(|&tag| (tag, None)).collect();
        values.sort_by_key(|&(tag, _)| tag);
        let wanted = Wanted { values, passed: None, ended: false, is_to_the_end: false };
        Ok(Peek { scanner: Scanner::new(transfer_syntax)?, wanted })
    }

    /// Looks for these elements, and passes over what comes behind them, for [`Peek::missing_end`]. A value of more
    /// than 1024 bytes is passed over as well.
    ///
    /// # Errors
    /// [`ScanError::TransferSyntax`].
    pub fn to_the_end(transfer_syntax: &Uid, tags: &[Tag]) -> Result<Peek, ScanError> {
        let mut peek = Peek::new(transfer_syntax, tags)?;
        peek.wanted.is_to_the_end = true;
        Ok(peek)
    }

    /// Takes the next bytes; nothing more happens once [`Peek::is_done`], but for a peek to the end.
    ///
    /// # Errors
    /// [`ScanError`] when the bytes are no data set of the transfer syntax; no more can then be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        if self.is_done() && !self.wanted.is_to_the_end {
            return Ok(());
        }
        self.scanner.push(bytes, &mut self.wanted)
    }

    /// Says that no more bytes come: what was not found is absent.
    pub fn finish(&mut self) {
        self.wanted.ended = true;
    }

    /// Says that no more bytes come, to a peek to the end in which no error was met. Answers what the data set lacks at
    /// its end, if something.
    pub fn missing_end(&mut self) -> Option<ScanError> {
        self.wanted.ended = true;
        self.scanner.finish(&mut self.wanted).err().filter(is_of_the_end)
    }

    /// Whether it is known of each element whether it is there.
    pub fn is_done(&self) -> bool {
        self.scanner.is_stopped() || self.wanted.is_done()
    }

    /// What is known of an element.
    pub fn element(&self, tag: Tag) -> Peeked<'_> {
        match self.wanted.values.iter().find(|(wanted, _)| *wanted == tag) {
            Some((_, Some(value))) => Peeked::Found(value),
            Some((_, None)) if !self.wanted.has_passed(tag) => Peeked::NeedMore,
            _ => Peeked::Absent,
        }
    }

    /// The value of an element as a UID; `None` when it has not come, is absent, or is no UID.
    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        match self.element(tag) {
            Peeked::Found(value) => Uid::from_bytes(value).ok(),
            Peeked::NeedMore | Peeked::Absent => None,
        }
    }
}

impl Wanted {
    fn has_passed(&self, tag: Tag) -> bool {
        // The element itself is passed only when its value has come, and then it is found.
        self.ended || self.passed.is_some_and(|passed| passed > tag)
    }

    fn is_done(&self) -> bool {
        self.values.iter().all(|(tag, value)| value.is_some() || self.has_passed(*tag))
    }
}

impl Sink for Wanted {
    fn element(&mut self, element: &Element) -> Result<Want, ScanError> {
        if element.depth > 0 {
            return Ok(Want::Nothing);
        }
        self.passed = Some(element.tag);
        if !self.values.iter().any(|(tag, _)| *tag == element.tag) {
            let is_enough = !self.is_to_the_end && self.is_done();
            return Ok(if is_enough { Want::Stop } else { Want::Nothing });
        }
        if element.length > MAX_VALUE && self.is_to_the_end {
            return Ok(Want::Nothing);
        }
        if element.length > MAX_VALUE {
            return Err(ScanError::Limit("a value longer than any of its kind"));
        }
        Ok(Want::Value)
    }

    fn value(&mut self, element: &Element, value: &[u8]) -> Result<(), ScanError> {
        if let Some((_, wanted)) = self.values.iter_mut().find(|(tag, _)| *tag == element.tag) {
            *wanted = Some(value.to_vec());
        }
        Ok(())
    }

    fn begin_sequence(&mut self, element: &Element, _fragments: bool) -> Result<(), ScanError> {
        if element.depth == 0 {
            self.passed = Some(element.tag);
        }
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), ScanError> {
        Ok(())
    }

    fn end_item(&mut self) {}

    fn end_sequence(&mut self) {}
}
