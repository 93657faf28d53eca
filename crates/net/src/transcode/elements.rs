//! A stored data set, element by element (PS3.5 7.1, 7.5, A.4): heads are read, values are where they are until
//! somebody wants them.
//!
//! Trusts the stored bytes no more than a peer's: no recursion, depth bounded, nothing allocated by a declared length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{uids, vr_of};
use dicomet_proto::dataset::{Tag, VR};

/// Real data sets have some five levels.
const MAX_DEPTH: usize = 64;

/// Tag and length of an element, in any encoding.
const SHORTEST_HEAD: u64 = 8;

/// Stands for a length that is not known beforehand, PS3.5 7.1.1.
pub(super) const UNDEFINED: u32 = 0xFFFF_FFFF;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITATION: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITATION: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How elements are written: PS3.5 A.1, A.2, A.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

impl Encoding {
    /// Explicit VR Little Endian, that of every encapsulated transfer syntax and of what was deflated.
    pub(super) const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };
    const IMPLICIT: Encoding = Encoding { explicit: false, big_endian: false };

    /// The encoding of a transfer syntax; of a deflated one, that of what was deflated.
    pub(super) fn of(transfer_syntax: &Uid) -> Encoding {
        if *transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN {
            Encoding::IMPLICIT
        } else if *transfer_syntax == uids::EXPLICIT_VR_BIG_ENDIAN {
            Encoding { explicit: true, big_endian: true }
        } else {
            Encoding::EXPLICIT
        }
    }
}

/// What comes next in a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// An element with a value.
    Element(Element),
    /// A sequence begins.
    Sequence(Tag),
    /// An item of it begins.
    Item,
    /// An item ends, by its length or by a delimiter.
    ItemEnd,
    /// A sequence ends.
    SequenceEnd,
    /// Encapsulated pixel data begin (PS3.5 A.4); the Basic Offset Table is their first fragment.
    Encapsulated,
    /// A fragment of them.
    Fragment(Stretch),
    /// They end.
    EncapsulatedEnd,
}

/// The head of an element, and where its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) value: Stretch,
    /// The value is in big endian order.
    pub(super) big_endian: bool,
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// What an element is nested in.
struct Frame {
    kind: Kind,
    /// Where it ends; `None` when its length is undefined.
    end: Option<u64>,
    /// That of the content of a UN of undefined length is Implicit VR Little Endian always (PS3.5 6.2.2).
    encoding: Encoding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    Encapsulated,
}

/// Reads the elements of a data set in a file.
pub(super) struct Elements<'a> {
    input: BufReader<&'a File>,
    at: u64,
    end: u64,
    encoding: Encoding,
    frames: Vec<Frame>,
    /// Bytes of a value that was announced and not read.
    unread: u32,
}

impl<'a> Elements<'a> {
    /// Begins at `offset` in a file.
    ///
    /// # Errors
    /// Those of seeking.
    pub(super) fn new(
        mut file: &'a File,
        offset: u64,
        length: u64,
        encoding: Encoding,
    ) -> io::Result<Elements<'a>> {
        file.seek(SeekFrom::Start(offset))?;
        let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
        let input = BufReader::with_capacity(64 * 1024, file);
        Ok(Elements { input, at: offset, end, encoding, frames: Vec::new(), unread: 0 })
    }

    /// How deep in sequences the reader is: 0 for what is on top, 1 in a sequence, 2 in an item of it.
    pub(super) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// What comes next; `None` at the end of the data set.
    ///
    /// # Errors
    /// `InvalidData` when it is not a sound data set in this encoding, and whatever reading says.
    pub(super) fn next(&mut self) -> io::Result<Option<Event>> {
        self.skip(self.unread)?;
        self.unread = 0;
        if let Some(Frame { kind, end: Some(end), .. }) = self.frames.last()
            && self.at >= *end
        {
            if self.at > *end {
                return Err(invalid("an element reaches beyond what it is nested in"));
            }
            let kind = *kind;
            self.frames.pop();
            return Ok(Some(if kind == Kind::Item { Event::ItemEnd } else { Event::SequenceEnd }));
        }
        if self.at == self.end {
            return match self.frames.last() {
                None => Ok(None),
                // The last delimiter is cut off in some files, behind whole pixel data.
                Some(Frame { kind: Kind::Encapsulated, .. }) if self.frames.len() == 1 => {
                    self.frames.pop();
                    Ok(Some(Event::EncapsulatedEnd))
                }
                Some(_) => Err(invalid("a sequence does not end")),
            };
        }
        if self.frames.len() > MAX_DEPTH {
            return Err(invalid("sequences are nested too deep"));
        }
        if self.frames.is_empty() && self.end - self.at < SHORTEST_HEAD {
            return self.pass_zeros().map(|()| None);
        }
        let encoding = self.frames.last().map_or(self.encoding, |frame| frame.encoding);
        let tag = Tag(self.number16(encoding)?, self.number16(encoding)?);
        if self.frames.is_empty() && tag == Tag(0, 0) {
            return self.pass_zeros().map(|()| None);
        }
        if matches!(tag, ITEM | ITEM_DELIMITATION | SEQUENCE_DELIMITATION) {
            return self.delimitation(tag, encoding).map(Some);
        }
        if self.frames.last().is_some_and(|frame| frame.kind != Kind::Item) {
            return Err(invalid("an element stands in a sequence, outside of an item"));
        }
        self.element(tag, encoding).map(Some)
    }

    /// The value of the element that [`Elements::next`] gave last, if it is not longer than `limit`.
    ///
    /// # Errors
    /// `InvalidData` when it is longer, and whatever reading says.
    pub(super) fn value(&mut self, limit: u32) -> io::Result<Vec<u8>> {
        if self.unread > limit {
            return Err(invalid("a value is longer than it can be"));
        }
        let mut value = vec![0; std::mem::take(&mut self.unread) as usize];
        self.fill(&mut value)?;
        Ok(value)
    }

    /// Passes over zeros up to the end: behind the last element they are no part of it, and are stored as they came.
    fn pass_zeros(&mut self) -> io::Result<()> {
        while self.at < self.end {
            let buffered = self.input.fill_buf()?;
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let length = buffered.len().min(left);
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if buffered[..length].iter().any(|byte| *byte != 0) {
                return Err(invalid("there are bytes after the last element"));
            }
            self.input.consume(length);
            self.at += length as u64;
        }
        Ok(())
    }

    fn delimitation(&mut self, tag: Tag, encoding: Encoding) -> io::Result<Event> {
        let length = self.number32(encoding)?;
        let nested_in = self.frames.last().map(|frame| (frame.kind, frame.end.is_some()));
        match (tag, nested_in) {
            (ITEM, Some((Kind::Sequence, _))) => {
                let end = self.end_of(length)?;
                self.frames.push(Frame { kind: Kind::Item, end, encoding });
                Ok(Event::Item)
            }
            (ITEM, Some((Kind::Encapsulated, _))) => {
                if u64::from(length) > self.end - self.at {
                    return Err(invalid("a fragment reaches beyond the data set"));
                }
                self.unread = length;
                Ok(Event::Fragment(Stretch { offset: self.at, length }))
            }
            (ITEM_DELIMITATION, Some((Kind::Item, false))) => {
                self.frames.pop();
                Ok(Event::ItemEnd)
            }
            (SEQUENCE_DELIMITATION, Some((kind @ (Kind::Sequence | Kind::Encapsulated), false))) => {
                self.frames.pop();
                Ok(if kind == Kind::Sequence { Event::SequenceEnd } else { Event::EncapsulatedEnd })
            }
            _ => Err(invalid("an item or delimiter stands where none can be")),
        }
    }

    fn element(&mut self, tag: Tag, encoding: Encoding) -> io::Result<Event> {
        let (vr, length) =
            if encoding.explicit { self.explicit_head(encoding)? } else { self.implicit_head(tag)? };
        if tag == PIXEL_DATA && length == UNDEFINED && matches!(vr, VR::OB | VR::OW | VR::UN) {
            self.frames.push(Frame { kind: Kind::Encapsulated, end: None, encoding });
            return Ok(Event::Encapsulated);
        }
        if vr == VR::SQ || length == UNDEFINED {
            if !matches!(vr, VR::SQ | VR::UN) {
                return Err(invalid("an element that is no sequence has no length"));
            }
            let end = self.end_of(length)?;
            let encoding = if vr == VR::UN { Encoding::IMPLICIT } else { encoding };
            self.frames.push(Frame { kind: Kind::Sequence, end, encoding });
            return Ok(Event::Sequence(tag));
        }
        if u64::from(length) > self.end - self.at {
            return Err(invalid("an element reaches beyond the data set"));
        }
        self.unread = length;
        let value = Stretch { offset: self.at, length };
        Ok(Event::Element(Element { tag, vr, value, big_endian: encoding.big_endian }))
    }

    fn implicit_head(&mut self, tag: Tag) -> io::Result<(VR, u32)> {
        let vr = match tag {
            Tag(_, 0x0000) => VR::UL,
            Tag(group, element) if group % 2 == 1 => {
                if (0x10..=0xFF).contains(&element) {
                    VR::LO
                } else {
                    VR::UN
                }
            }
            tag => vr_of(tag),
        };
        Ok((vr, self.number32(Encoding::IMPLICIT)?))
    }

    fn explicit_head(&mut self, encoding: Encoding) -> io::Result<(VR, u32)> {
        let mut name = [0; 2];
        self.fill(&mut name)?;
        let vr = VR::from_binary(name).ok_or_else(|| invalid("an element has an unknown VR"))?;
        if is_long(vr) {
            self.number16(encoding)?;
            Ok((vr, self.number32(encoding)?))
        } else {
            Ok((vr, u32::from(self.number16(encoding)?)))
        }
    }

    fn end_of(&self, length: u32) -> io::Result<Option<u64>> {
        if length == UNDEFINED {
            return Ok(None);
        }
        let end = self.at + u64::from(length);
        if end > self.end { Err(invalid("a sequence reaches beyond the data set")) } else { Ok(Some(end)) }
    }

    fn number16(&mut self, encoding: Encoding) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.fill(&mut bytes)?;
        Ok(if encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn number32(&mut self, encoding: Encoding) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(if encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        if self.at > self.end {
            return Err(invalid("the data set ends within an element"));
        }
        self.input.read_exact(bytes)
    }

    fn skip(&mut self, length: u32) -> io::Result<()> {
        self.at += u64::from(length);
        self.input.seek_relative(i64::from(length))
    }
}

/// The VRs whose length has 32 bits in Explicit VR, PS3.5 Table 7.1-1.
pub(super) fn is_long(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// How many bytes of a value turn round together when the byte order changes, PS3.5 7.3.
pub(super) fn unit(vr: VR) -> usize {
    use VR::{AT, FD, FL, OD, OF, OL, OV, OW, SL, SS, SV, UL, US, UV};
    match vr {
        AT | OW | SS | US => 2,
        FL | OF | OL | SL | UL => 4,
        FD | OD | OV | SV | UV => 8,
        _ => 1,
    }
}

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
