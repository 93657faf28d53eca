//! Uncompressed data sets from Implicit to Explicit VR Little Endian and back (PS3.5 7.1.2, 7.1.3, 7.5, Annex A),
//! for receivers that do not take the one an instance is stored in. Values stay as they are; only the heads of
//! elements change, and sequences become ones of undefined length.
//!
//! ```text
//! stored   head value head  pixels............
//! sent     HEAD value HEAD  pixels............     made in memory: HEAD and short values
//!          \----made-----/  \-stored, as sent-/    read as it is sent: the rest
//! ```
//!
//! Trusts the stored bytes no more than a peer's: no recursion, depth and memory bounded.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{uids, vr_of};
use dicomet_proto::dataset::{Tag, VR};

use crate::association::Source;

/// Values up to this length go into memory with their heads; a read of their own would cost more.
const SHORT_VALUE: u64 = 4096;

/// The most bytes that are made in memory. Real headers have some 10 KB.
const MAX_MADE: usize = 16 * 1024 * 1024;

const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = 0xFFFF_FFFF;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITATION: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITATION: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);

/// The transfer syntax that a data set can be sent in by way of this module, besides the one it is stored in.
pub fn alternative(stored: &Uid) -> Option<Uid> {
    let (implicit, explicit) = (uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    match stored {
        stored if *stored == implicit => Some(explicit),
        stored if *stored == explicit => Some(implicit),
        _ => None,
    }
}

/// A data set in its other encoding, read as it is sent.
#[derive(Debug)]
pub struct Reencoded {
    file: File,
    pieces: std::vec::IntoIter<Piece>,
    current: Option<Piece>,
    remaining: u64,
}

#[derive(Debug)]
enum Piece {
    Made { bytes: Vec<u8>, sent: usize },
    Stored { offset: u64, length: u64 },
}

impl Reencoded {
    /// Reads through the heads of the data set at `offset` in a file, and knows then how long it will be.
    ///
    /// # Errors
    /// `InvalidData` when it is not a sound data set in the transfer syntax it is stored in.
    pub fn new(mut file: File, offset: u64, length: u64, to: &Uid) -> io::Result<Reencoded> {
        file.seek(SeekFrom::Start(offset))?;
        let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
        let writer = Writer {
            explicit: *to == uids::EXPLICIT_VR_LITTLE_ENDIAN,
            pieces: Vec::new(),
            made: Vec::new(),
            made_in_all: 0,
            signed: false,
        };
        let mut walk = Walk { input: BufReader::with_capacity(64 * 1024, &file), at: offset, end, writer };
        walk.run()?;
        let pieces = walk.writer.finish();
        let remaining = pieces.iter().map(Piece::length).sum();
        Ok(Reencoded { file, pieces: pieces.into_iter(), current: None, remaining })
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Made { bytes, sent } => (bytes.len() - sent) as u64,
            Piece::Stored { length, .. } => *length,
        }
    }
}

impl Source for Reencoded {
    fn remaining(&self) -> u64 {
        self.remaining
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.as_ref().is_none_or(|piece| piece.length() == 0) {
            self.current = self.pieces.next();
        }
        let read = match &mut self.current {
            None => 0,
            Some(Piece::Made { bytes, sent }) => {
                let length = buffer.len().min(bytes.len() - *sent);
                buffer[..length].copy_from_slice(&bytes[*sent..*sent + length]);
                *sent += length;
                length
            }
            Some(Piece::Stored { offset, length }) => {
                let wanted = buffer.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
                let read = self.file.read_at(&mut buffer[..wanted], *offset)?;
                if read == 0 && wanted > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *offset += read as u64;
                *length -= read as u64;
                read
            }
        };
        self.remaining -= read as u64;
        Ok(read)
    }
}

/// What an element is nested in.
struct Frame {
    is_item: bool,
    /// Where it ends; `None` when its length is undefined.
    end: Option<u64>,
    /// The content is Implicit VR whatever the transfer syntax: that of a UN of undefined length (PS3.5 6.2.2).
    implicit: bool,
}

/// The head of an element as read.
struct Head {
    tag: Tag,
    vr: VR,
    length: u32,
}

struct Walk<'a> {
    input: BufReader<&'a File>,
    at: u64,
    end: u64,
    writer: Writer,
}

impl Walk<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            while let Some(Frame { is_item, end: Some(end), .. }) = frames.last() {
                if self.at < *end {
                    break;
                }
                if self.at > *end {
                    return Err(invalid("an element reaches beyond what it is nested in"));
                }
                self.writer.delimiter(*is_item)?;
                frames.pop();
            }
            if self.at == self.end {
                return if frames.is_empty() { Ok(()) } else { Err(invalid("a sequence does not end")) };
            }
            if frames.len() > MAX_DEPTH {
                return Err(invalid("sequences are nested too deep"));
            }
            let implicit = frames.last().map_or(!self.is_explicit(), |frame| frame.implicit);
            let tag = Tag(self.number16()?, self.number16()?);
            match tag {
                ITEM | ITEM_DELIMITATION | SEQUENCE_DELIMITATION => self.delimitation(tag, &mut frames)?,
                tag if frames.last().is_some_and(|frame| !frame.is_item) => {
                    return Err(invalid(&format!("{tag:?} stands in a sequence, outside of an item")));
                }
                tag => {
                    let head = if implicit { self.implicit_head(tag)? } else { self.explicit_head(tag)? };
                    self.element(&head, implicit, &mut frames)?;
                }
            }
        }
    }

    /// Whether the stored data set is in Explicit VR: it is written the other way.
    fn is_explicit(&self) -> bool {
        !self.writer.explicit
    }

    fn delimitation(&mut self, tag: Tag, frames: &mut Vec<Frame>) -> io::Result<()> {
        let length = self.number32()?;
        match (tag, frames.last()) {
            (ITEM, Some(Frame { is_item: false, implicit, .. })) => {
                let end = self.end_of(length)?;
                let implicit = *implicit;
                frames.push(Frame { is_item: true, end, implicit });
                self.writer.put(&[0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF])
            }
            (ITEM_DELIMITATION, Some(Frame { is_item: true, end: None, .. })) => {
                frames.pop();
                self.writer.delimiter(true)
            }
            (SEQUENCE_DELIMITATION, Some(Frame { is_item: false, end: None, .. })) => {
                frames.pop();
                self.writer.delimiter(false)
            }
            _ => Err(invalid("an item or delimiter stands where none can be")),
        }
    }

    fn element(&mut self, head: &Head, implicit: bool, frames: &mut Vec<Frame>) -> io::Result<()> {
        if head.vr == VR::SQ || head.length == UNDEFINED {
            if !matches!(head.vr, VR::SQ | VR::UN) {
                return Err(invalid("an element that is no sequence has no length"));
            }
            let end = self.end_of(head.length)?;
            frames.push(Frame { is_item: false, end, implicit: implicit || head.vr == VR::UN });
            return self.writer.head(head.tag, VR::SQ, UNDEFINED);
        }
        let length = u64::from(head.length);
        if length > self.end - self.at {
            return Err(invalid("an element reaches beyond the data set"));
        }
        self.writer.head(head.tag, head.vr, head.length)?;
        if length > SHORT_VALUE {
            self.writer.stored(self.at, length);
            self.input.seek_relative(i64::try_from(length).map_err(|_| invalid("too long"))?)?;
        } else {
            let mut value = vec![0; head.length as usize];
            self.input.read_exact(&mut value)?;
            if head.tag == PIXEL_REPRESENTATION {
                self.writer.signed = value.first() == Some(&1);
            }
            self.writer.put(&value)?;
        }
        self.at += length;
        Ok(())
    }

    fn implicit_head(&mut self, tag: Tag) -> io::Result<Head> {
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
        Ok(Head { tag, vr, length: self.number32()? })
    }

    fn explicit_head(&mut self, tag: Tag) -> io::Result<Head> {
        let mut name = [0; 2];
        self.fill(&mut name)?;
        let vr = VR::from_binary(name).ok_or_else(|| invalid("an element has an unknown VR"))?;
        let length = if is_long(vr) {
            self.number16()?;
            self.number32()?
        } else {
            u32::from(self.number16()?)
        };
        Ok(Head { tag, vr, length })
    }

    fn end_of(&self, length: u32) -> io::Result<Option<u64>> {
        if length == UNDEFINED {
            return Ok(None);
        }
        let end = self.at + u64::from(length);
        if end > self.end { Err(invalid("a sequence reaches beyond the data set")) } else { Ok(Some(end)) }
    }

    fn number16(&mut self) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.fill(&mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn number32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        if self.at > self.end {
            return Err(invalid("the data set ends within an element"));
        }
        self.input.read_exact(bytes)
    }
}

/// Collects the pieces of the data set that is sent.
struct Writer {
    explicit: bool,
    pieces: Vec<Piece>,
    made: Vec<u8>,
    made_in_all: usize,
    /// Pixel Representation (0028,0103) is 1: what is "US or SS" is SS.
    signed: bool,
}

impl Writer {
    fn head(&mut self, tag: Tag, vr: VR, length: u32) -> io::Result<()> {
        let mut head = Vec::with_capacity(12);
        head.extend(tag.0.to_le_bytes());
        head.extend(tag.1.to_le_bytes());
        if !self.explicit {
            head.extend(length.to_le_bytes());
            return self.put(&head);
        }
        let vr = if self.signed && is_signed_with_pixels(tag) { VR::SS } else { vr };
        match u16::try_from(length) {
            Ok(length) if !is_long(vr) => {
                head.extend(vr.to_bytes());
                head.extend(length.to_le_bytes());
            }
            _ => {
                // Too long for 16 bits: UN, PS3.5 6.2.2 note 2.
                head.extend(if is_long(vr) { vr } else { VR::UN }.to_bytes());
                head.extend([0, 0]);
                head.extend(length.to_le_bytes());
            }
        }
        self.put(&head)
    }

    fn delimiter(&mut self, of_item: bool) -> io::Result<()> {
        let element = if of_item { 0x0D } else { 0xDD };
        self.put(&[0xFE, 0xFF, element, 0xE0, 0, 0, 0, 0])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.made_in_all += bytes.len();
        if self.made_in_all > MAX_MADE {
            return Err(invalid("the data set has too many elements to be re-encoded"));
        }
        self.made.extend_from_slice(bytes);
        Ok(())
    }

    fn stored(&mut self, offset: u64, length: u64) {
        self.flush();
        self.pieces.push(Piece::Stored { offset, length });
    }

    fn flush(&mut self) {
        if !self.made.is_empty() {
            self.pieces.push(Piece::Made { bytes: std::mem::take(&mut self.made), sent: 0 });
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.pieces
    }
}

/// The VRs whose length has 32 bits in Explicit VR, PS3.5 Table 7.1-1.
fn is_long(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// What PS3.6 has as "US or SS", to be read as Pixel Representation says.
fn is_signed_with_pixels(tag: Tag) -> bool {
    matches!(
        tag,
        Tag(0x0028, 0x0104..=0x0111 | 0x0120 | 0x0121 | 0x1101..=0x1103 | 0x1111..=0x1113 | 0x3002)
            | Tag(0x0040, 0x9211 | 0x9216)
            | Tag(0x0060, 0x3004 | 0x3006)
    )
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn reencoded(bytes: &[u8], to: &Uid) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"head").unwrap();
        file.write_all(bytes).unwrap();
        let mut source = Reencoded::new(file, 4, bytes.len() as u64, to)?;
        let mut sent = Vec::new();
        let mut buffer = [0; 1000];
        while source.remaining() > 0 {
            let read = source.read(&mut buffer)?;
            assert!(read > 0);
            sent.extend_from_slice(&buffer[..read]);
        }
        Ok(sent)
    }

    /// (0008,0018), a sequence of defined length with an item of defined length, pixels.
    fn explicit(pixels: usize) -> Vec<u8> {
        let mut bytes = b"\x08\0\x18\0UI\x04\x001.2\0".to_vec();
        bytes.extend(b"\x08\0\x15\x11SQ\0\0\x14\0\0\0\xFE\xFF\0\xE0\x0C\0\0\0\x08\0\x50\x11UI\x04\x001.3\0");
        bytes.extend(b"\x28\0\x03\x01US\x02\0\x01\0\x28\0\x06\x01SS\x02\0\xFE\xFF");
        bytes.extend(b"\xE0\x7F\x10\0OW\0\0");
        bytes.extend((pixels as u32).to_le_bytes());
        bytes.extend(std::iter::repeat_n(7, pixels));
        bytes
    }

    fn implicit(pixels: usize) -> Vec<u8> {
        let mut bytes = b"\x08\0\x18\0\x04\0\0\x001.2\0".to_vec();
        bytes.extend(
            b"\x08\0\x15\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x08\0\x50\x11\x04\0\0\x001.3\0",
        );
        bytes.extend(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0");
        bytes.extend(b"\x28\0\x03\x01\x02\0\0\0\x01\0\x28\0\x06\x01\x02\0\0\0\xFE\xFF");
        bytes.extend(b"\xE0\x7F\x10\0");
        bytes.extend((pixels as u32).to_le_bytes());
        bytes.extend(std::iter::repeat_n(7, pixels));
        bytes
    }

    #[test]
    fn explicit_becomes_implicit_and_comes_back_with_the_same_values() {
        for pixels in [10, 100_000] {
            let sent = reencoded(&explicit(pixels), &uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
            assert_eq!(sent, implicit(pixels));
            let back = reencoded(&sent, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
            let again = reencoded(&back, &uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
            assert_eq!(again, sent);
            // As it was, but for the lengths of sequence and item: the same elements with the same VRs.
            assert_eq!(back.len(), explicit(pixels).len() + 16);
            assert!(back.windows(6).any(|window| window == b"\x28\0\x06\x01SS"));
        }
    }

    #[test]
    fn what_is_private_becomes_un_and_its_creator_lo() {
        let stored = b"\x09\0\x10\0\x04\0\0\0ACME\x09\0\x01\x10\x02\0\0\0ab";
        let sent = reencoded(stored, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(sent, b"\x09\0\x10\0LO\x04\0ACME\x09\0\x01\x10UN\0\0\x02\0\0\0ab");
    }

    #[test]
    fn damage_and_hostile_nesting_are_errors_and_nothing_worse() {
        let whole = explicit(10);
        for length in 1..whole.len() {
            let _ = reencoded(&whole[..length], &uids::IMPLICIT_VR_LITTLE_ENDIAN);
        }
        for broken in [
            &b"\x08\0\x18\0UI\xFF\xFF1.2\0"[..],
            b"\x08\0\x18\0ZZ\x04\x001.2\0",
            b"\xFE\xFF\0\xE0\0\0\0\0",
            b"\x08\0\x15\x11SQ\0\0\xFF\xFF\xFF\xFF",
            b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF",
        ] {
            assert!(reencoded(broken, &uids::IMPLICIT_VR_LITTLE_ENDIAN).is_err());
        }
        let nest = b"\x08\0\x15\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF";
        assert!(reencoded(&nest.repeat(100_000), &uids::IMPLICIT_VR_LITTLE_ENDIAN).is_err());
    }
}
