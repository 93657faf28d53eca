//! Writes a data set in an uncompressed encoding (PS3.5 7.1.2, 7.1.3, 7.3, Annex A). Values stay as they are, but
//! for their byte order and for what is edited; the heads of elements change, sequences become ones of undefined
//! length, and group lengths, which would be others, are left out.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use dicomet_proto::dataset::{Tag, VR};

use super::elements::{Element, Elements, Encoding, Event, Stretch, UNDEFINED, invalid, is_long, unit};
use super::pieces::{Piece, Stored, swap};

/// Values up to this length go into memory with their heads; a read of their own would cost more.
const SHORT_VALUE: u32 = 4096;

/// The most bytes that are made in memory. Real headers have some 10 KB.
const MAX_MADE: usize = 16 * 1024 * 1024;

const LENGTH_TO_END: Tag = Tag(0x0008, 0x0001);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const WAVEFORM_DATA: Tag = Tag(0x5400, 0x1010);
const PER_FRAME_FUNCTIONAL_GROUPS: Tag = Tag(0x5200, 0x9230);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What becomes of the top of a data set on its way out.
#[derive(Debug, Default)]
pub(super) struct Edits {
    changes: BTreeMap<Tag, Change>,
    /// Leaves Waveform Data (5400,1010) out, on whatever level.
    pub(super) without_waveforms: bool,
    /// Passes encapsulated pixel data, those of icons too, as they are.
    pub(super) keeps_encapsulated: bool,
    /// Of Per-Frame Functional Groups Sequence (5200,9230), the items of these frames alone.
    pub(super) frames: Option<HashSet<u32>>,
    /// Items put at the end of sequences on top, in Explicit VR Little Endian.
    appended: BTreeMap<Tag, Vec<u8>>,
}

#[derive(Debug)]
enum Change {
    Remove,
    /// A value in little endian order.
    Value {
        vr: VR,
        bytes: Vec<u8>,
    },
    /// One that stands in a file.
    Spooled {
        vr: VR,
        file: Arc<File>,
        length: u32,
    },
    /// Items in a file, and the delimiter after them.
    Encapsulated {
        file: Arc<File>,
        length: u64,
    },
}

impl Edits {
    /// Leaves an element out.
    pub(super) fn remove(&mut self, tag: Tag) {
        self.changes.insert(tag, Change::Remove);
    }

    /// Puts an element in, or another value into the one that is there. `bytes` are in little endian order.
    pub(super) fn set(&mut self, tag: Tag, vr: VR, mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(if matches!(vr, VR::UI | VR::OB | VR::UN) { 0 } else { b' ' });
        }
        self.changes.insert(tag, Change::Value { vr, bytes });
    }

    /// Puts in an element whose value is the beginning of a file, of an even length, in little endian order.
    pub(super) fn set_spooled(&mut self, tag: Tag, vr: VR, file: Arc<File>, length: u32) {
        self.changes.insert(tag, Change::Spooled { vr, file, length });
    }
}

impl Edits {
    /// Puts in encapsulated pixel data: a file of items.
    pub(super) fn set_encapsulated(&mut self, file: Arc<File>, length: u64) {
        self.changes.insert(PIXEL_DATA, Change::Encapsulated { file, length });
    }

    /// Puts an item, its head included, at the end of a sequence on top that is there or not.
    pub(super) fn append_item(&mut self, sequence: Tag, item: Vec<u8>) {
        self.appended.insert(sequence, item);
    }
}

/// Writes what the elements say.
///
/// # Errors
/// `InvalidData` when it is not a sound data set, or has encapsulated pixel data that no edit replaces or removes.
pub(super) fn encode(
    file: &Arc<File>,
    elements: &mut Elements<'_>,
    to: Encoding,
    edits: Edits,
) -> io::Result<Vec<Piece>> {
    let writer = Writer { to, pieces: Vec::new(), made: Vec::new(), made_in_all: 0, signed: false };
    let mut encoder = Encoder {
        file,
        elements,
        writer,
        edits,
        edited: HashSet::new(),
        top: Tag(0, 0),
        items: 0,
        signed_outside: Vec::new(),
    };
    encoder.run()?;
    Ok(encoder.writer.finish())
}

struct Encoder<'a, 'b> {
    file: &'a Arc<File>,
    elements: &'a mut Elements<'b>,
    writer: Writer,
    edits: Edits,
    /// The edits that are made. An element may come twice, and is written once when it is edited.
    edited: HashSet<Tag>,
    /// The sequence on top that the reader is in, and its items so far.
    top: Tag,
    items: u32,
    /// Whether samples are signed around each item that the reader is in: that of an icon says nothing of the image.
    signed_outside: Vec<bool>,
}

impl Encoder<'_, '_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let depth = self.elements.depth();
            let Some(event) = self.elements.next()? else { break };
            if depth == 0 && self.is_edited(event)? {
                self.skip_to_top()?;
                continue;
            }
            if let Event::Sequence(tag) = event
                && depth == 0
            {
                (self.top, self.items) = (tag, 0);
            }
            if event == Event::Item && depth == 1 && self.is_unwanted_frame() {
                while self.elements.depth() > 1 {
                    self.elements.next()?;
                }
                continue;
            }
            self.event(event)?;
        }
        self.insert_before(None)
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Element(element) if counts_bytes(element.tag) => Ok(()),
            Event::Element(element) if element.tag == WAVEFORM_DATA && self.edits.without_waveforms => Ok(()),
            Event::Element(element) => self.element(&element),
            Event::Sequence(tag) => self.writer.head(tag, VR::SQ, UNDEFINED),
            Event::Item => {
                self.signed_outside.push(self.writer.signed);
                self.writer.item(0x00, UNDEFINED)
            }
            Event::ItemEnd => {
                self.writer.signed = self.signed_outside.pop().unwrap_or_default();
                self.writer.item(0x0D, 0)
            }
            Event::SequenceEnd => {
                if self.elements.depth() == 0
                    && let Some(item) = self.edits.appended.remove(&self.top)
                {
                    self.writer.put(&item)?;
                }
                self.writer.item(0xDD, 0)
            }
            _ if !self.edits.keeps_encapsulated => {
                Err(invalid("pixel data are encapsulated where they cannot be"))
            }
            Event::Encapsulated => self.writer.head(PIXEL_DATA, VR::OB, UNDEFINED),
            Event::Fragment(Stretch { offset, length }) => {
                self.writer.item(0x00, length)?;
                let file = Arc::clone(self.file);
                self.writer.stored(Stored { file, offset, length: length.into(), unit: 1 });
                Ok(())
            }
            Event::EncapsulatedEnd => self.writer.item(0xDD, 0),
        }
    }

    /// Whether the item that begins is that of a frame that is left out. Counts them.
    fn is_unwanted_frame(&mut self) -> bool {
        self.items += 1;
        let frames = self.edits.frames.as_ref().filter(|_| self.top == PER_FRAME_FUNCTIONAL_GROUPS);
        frames.is_some_and(|frames| !frames.contains(&self.items))
    }

    /// Whether an element on top is edited away; what is to be put in before it is put in.
    fn is_edited(&mut self, event: Event) -> io::Result<bool> {
        let tag = match event {
            Event::Element(element) => element.tag,
            Event::Sequence(tag) => tag,
            Event::Encapsulated => PIXEL_DATA,
            _ => return Ok(false),
        };
        self.insert_before(Some(tag))?;
        if let Some(change) = self.edits.changes.remove(&tag) {
            self.change(tag, change)?;
        }
        Ok(self.edited.contains(&tag))
    }

    fn insert_before(&mut self, tag: Option<Tag>) -> io::Result<()> {
        loop {
            let change = self.edits.changes.keys().next();
            let sequence = self.edits.appended.keys().next();
            let Some(first) = change.into_iter().chain(sequence).min().copied() else { return Ok(()) };
            if tag.is_some_and(|tag| first >= tag) {
                return Ok(());
            }
            if let Some(change) = self.edits.changes.remove(&first) {
                self.change(first, change)?;
            } else if let Some(item) = self.edits.appended.remove(&first) {
                self.writer.head(first, VR::SQ, UNDEFINED)?;
                self.writer.put(&item)?;
                self.writer.item(0xDD, 0)?;
            }
        }
    }

    fn change(&mut self, tag: Tag, change: Change) -> io::Result<()> {
        self.edited.insert(tag);
        match change {
            Change::Remove => Ok(()),
            Change::Value { vr, mut bytes } => {
                let length = u32::try_from(bytes.len()).map_err(|_| invalid("a value is too long"))?;
                self.writer.head(tag, vr, length)?;
                if self.writer.to.big_endian {
                    swap(&mut bytes, unit(vr));
                }
                self.writer.put(&bytes)
            }
            Change::Spooled { vr, file, length } => {
                self.writer.head(tag, vr, length)?;
                let unit = if self.writer.to.big_endian { unit(vr) } else { 1 };
                self.writer.stored(Stored { file, offset: 0, length: length.into(), unit });
                Ok(())
            }
            Change::Encapsulated { file, length } => {
                self.writer.head(tag, VR::OB, UNDEFINED)?;
                self.writer.stored(Stored { file, offset: 0, length, unit: 1 });
                self.writer.item(0xDD, 0)
            }
        }
    }

    /// Passes over what an element that is edited away consists of.
    fn skip_to_top(&mut self) -> io::Result<()> {
        while self.elements.depth() > 0 {
            self.elements.next()?;
        }
        Ok(())
    }

    fn element(&mut self, element: &Element) -> io::Result<()> {
        let Element { tag, vr, value: Stretch { offset, length }, big_endian } = *element;
        self.writer.head(tag, vr, length)?;
        let unit = if big_endian == self.writer.to.big_endian { 1 } else { unit(vr) };
        if length > SHORT_VALUE {
            let file = Arc::clone(self.file);
            self.writer.stored(Stored { file, offset, length: length.into(), unit });
            return Ok(());
        }
        let mut value = self.elements.value(SHORT_VALUE)?;
        if tag == PIXEL_REPRESENTATION {
            self.writer.signed = value.contains(&1);
        }
        swap(&mut value, unit);
        self.writer.put(&value)
    }
}

/// Collects the pieces of the data set that is sent.
struct Writer {
    to: Encoding,
    pieces: Vec<Piece>,
    made: Vec<u8>,
    made_in_all: usize,
    /// Pixel Representation (0028,0103) is 1: what is "US or SS" is SS.
    signed: bool,
}

impl Writer {
    fn head(&mut self, tag: Tag, vr: VR, length: u32) -> io::Result<()> {
        self.number16(tag.0)?;
        self.number16(tag.1)?;
        if !self.to.explicit {
            return self.number32(length);
        }
        let vr = if self.signed && vr == VR::US && is_signed_with_pixels(tag) { VR::SS } else { vr };
        match u16::try_from(length) {
            Ok(length) if !is_long(vr) => {
                self.put(&vr.to_bytes())?;
                self.number16(length)
            }
            _ => {
                // Too long for 16 bits: UN, PS3.5 6.2.2 note 2.
                self.put(&if is_long(vr) { vr } else { VR::UN }.to_bytes())?;
                self.number16(0)?;
                self.number32(length)
            }
        }
    }

    /// An item, or the delimiter of one or of a sequence: FFFE,E000, E00D or E0DD.
    fn item(&mut self, element: u16, length: u32) -> io::Result<()> {
        self.number16(0xFFFE)?;
        self.number16(0xE000 | element)?;
        self.number32(length)
    }

    fn number16(&mut self, number: u16) -> io::Result<()> {
        self.put(&if self.to.big_endian { number.to_be_bytes() } else { number.to_le_bytes() })
    }

    fn number32(&mut self, number: u32) -> io::Result<()> {
        self.put(&if self.to.big_endian { number.to_be_bytes() } else { number.to_le_bytes() })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.made_in_all += bytes.len();
        if self.made_in_all > MAX_MADE {
            return Err(invalid("the data set has too many elements to be re-encoded"));
        }
        self.made.extend_from_slice(bytes);
        Ok(())
    }

    fn stored(&mut self, stored: Stored) {
        self.flush();
        self.pieces.push(Piece::Stored(stored));
    }

    fn flush(&mut self) {
        if !self.made.is_empty() {
            self.pieces.push(Piece::Made(std::mem::take(&mut self.made)));
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.pieces
    }
}

/// Group lengths and Length to End (PS3.5 7.2), retired both: they count bytes as they were stored, heads of elements and
/// delimiters among them, and would be wrong now.
fn counts_bytes(tag: Tag) -> bool {
    tag.1 == 0x0000 || tag == LENGTH_TO_END
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
