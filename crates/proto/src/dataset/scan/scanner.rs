//! The walk itself: what is open, where it ends, what may stand next.
//!
//! ```text
//! data set  -> element | sequence | fragments        frames: none
//! sequence  -> item* [delimiter]                     frames: ... Sequence
//! item      -> element | sequence | fragments        frames: ... Sequence Item
//! fragments -> fragment* delimiter                   frames: ... Fragments
//! ```

use super::header::{NoVr, RawHeader};
use super::inflate::Inflate;
use super::{Element, MAX_DEPTH, MAX_ELEMENTS, ScanError, Sink, Want};
use crate::Uid;
use crate::dataset::encoding::{Encoding, PixelForm, Syntax};
use crate::dataset::{Tag, VR};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const UNDEFINED_LENGTH: u32 = 0xFFFF_FFFF;

/// The longest value that is known again when its element comes twice. Elements that software writes twice are
/// short: UIDs, names, dates.
const MAX_REPEATED: usize = 1024;

/// The data set is cut: told only where its length is known beforehand.
pub(super) const PAST_THE_END: &str = "a length past the end of the data set";

const TWICE: &str = "an element that comes twice, and not the same";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Sequence,
    Item,
    Fragments,
}

/// A sequence or item that is open.
#[derive(Debug)]
struct Frame {
    kind: FrameKind,
    /// Where it ends, when its length is defined.
    end: Option<u64>,
    /// Where it ends, or else what encloses it, as far as lengths are defined.
    limit: Option<u64>,
    encoding: Encoding,
    /// The element before in this item: tags ascend (PS3.5 7.1).
    last: Option<Tag>,
}

#[derive(Debug)]
enum State {
    Header,
    Skip {
        remaining: u64,
    },
    Value {
        element: Element,
        held: Vec<u8>,
        remaining: usize,
        want: Want,
    },
    /// The value of an element that comes for the second time.
    Repeated {
        tag: Tag,
        /// Where its header began.
        offset: u64,
        /// Bytes that agreed with those of the first.
        agreed: usize,
    },
    /// Zeros after the last element: no element has them for a header, so nothing hides there.
    Zeros,
    Stopped,
}

/// The walk itself.
#[derive(Debug)]
pub(crate) struct Scanner {
    inflate: Option<Box<Inflate>>,
    encoding: Encoding,
    pixel_data: PixelForm,
    /// Bytes of the (inflated) data set that are behind us.
    position: u64,
    state: State,
    /// A header of which only the front has come.
    partial: [u8; 12],
    partial_length: usize,
    frames: Vec<Frame>,
    /// The element before at the top.
    last: Option<Tag>,
    /// The VR of the element before, if it may come again; its value is in `last_value`.
    last_vr: Option<VR>,
    last_value: Vec<u8>,
    /// Where the data set ends, when that is known beforehand.
    end: Option<u64>,
    elements: u64,
    pub(super) max_elements: u64,
    odd_lengths: u64,
    trailing_zeros: u64,
}

impl Scanner {
    /// A scanner at the front of a data set.
    ///
    /// # Errors
    /// [`ScanError::TransferSyntax`].
    pub(crate) fn new(transfer_syntax: &Uid) -> Result<Scanner, ScanError> {
        let syntax =
            Syntax::of(transfer_syntax).ok_or_else(|| ScanError::TransferSyntax(transfer_syntax.clone()))?;
        Ok(Scanner {
            inflate: syntax.deflated.then(Box::default),
            encoding: syntax.encoding,
            pixel_data: syntax.pixel_data,
            position: 0,
            state: State::Header,
            partial: [0; 12],
            partial_length: 0,
            frames: Vec::new(),
            last: None,
            last_vr: None,
            last_value: Vec::new(),
            end: None,
            elements: 0,
            max_elements: MAX_ELEMENTS,
            odd_lengths: 0,
            trailing_zeros: 0,
        })
    }

    /// Says how long the data set is, so that a length past its end is an error at once. Not for a deflated one.
    pub(crate) fn with_length(mut self, length: u64) -> Scanner {
        self.end = self.inflate.is_none().then_some(length);
        self
    }

    /// Bytes of the (inflated) data set so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Values of odd length so far: against PS3.5 7.1, tolerated.
    pub(crate) fn odd_lengths(&self) -> u64 {
        self.odd_lengths
    }

    /// Zeros after the last element so far: seen in files that were copied by blocks, tolerated.
    pub(crate) fn trailing_zeros(&self) -> u64 {
        self.trailing_zeros
    }

    /// Whether the sink wanted to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ScanError`]; nothing more can then be pushed.
    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        let Some(mut inflate) = self.inflate.take() else {
            return self.scan(bytes, sink);
        };
        let result = inflate.push(bytes, &mut |inflated| self.scan(inflated, sink));
        self.inflate = Some(inflate);
        result
    }

    /// How many of the next bytes nobody wants: a reader that can seek need not read them.
    pub(crate) fn skippable(&self) -> u64 {
        match self.state {
            State::Skip { remaining } if self.inflate.is_none() => remaining,
            _ => 0,
        }
    }

    /// Passes over bytes that are not read; at most [`Scanner::skippable`] of them.
    pub(crate) fn skip(&mut self, bytes: u64, sink: &mut impl Sink) {
        if let State::Skip { remaining } = &mut self.state {
            let bytes = bytes.min(*remaining);
            *remaining -= bytes;
            self.position += bytes;
            if *remaining == 0 {
                self.state = State::Header;
                self.close_ended(sink);
            }
        }
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`ScanError`] when the data set cannot end here.
    pub(crate) fn finish(&mut self, sink: &mut impl Sink) -> Result<(), ScanError> {
        if let Some(inflate) = &self.inflate {
            inflate.finish()?;
        }
        self.close_ended(sink);
        match self.state {
            State::Stopped | State::Zeros => Ok(()),
            State::Skip { .. } | State::Value { .. } | State::Repeated { .. } => {
                Err(ScanError::Truncated("within a value"))
            }
            State::Header if self.partial[..self.partial_length].iter().any(|&byte| byte != 0) => {
                Err(ScanError::Truncated("within the header of an element"))
            }
            State::Header if !self.frames.is_empty() => {
                Err(ScanError::Truncated("within a sequence, its delimiter missing"))
            }
            State::Header => Ok(()),
        }
    }

    fn scan(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Stopped => return Ok(()),
                State::Header => self.header(bytes, sink)?,
                State::Zeros => {
                    if bytes.iter().any(|&byte| byte != 0) {
                        return Err(self.broken(Tag(0, 0), "bytes after the last element"));
                    }
                    self.position += bytes.len() as u64;
                    self.trailing_zeros += bytes.len() as u64;
                    &[]
                }
                State::Skip { remaining } => {
                    let here = usize::try_from(*remaining).map_or(bytes.len(), |most| most.min(bytes.len()));
                    *remaining -= here as u64;
                    self.position += here as u64;
                    if *remaining == 0 {
                        self.state = State::Header;
                        self.close_ended(sink);
                    }
                    &bytes[here..]
                }
                State::Value { element, held, remaining, want } => {
                    let (here, rest) = bytes.split_at(bytes.len().min(*remaining));
                    held.extend_from_slice(here);
                    *remaining -= here.len();
                    self.position += here.len() as u64;
                    if *remaining == 0 {
                        let (element, held, want) = (*element, std::mem::take(held), *want);
                        self.state = State::Header;
                        self.end_value(&element, want, &held, sink)?;
                    }
                    rest
                }
                State::Repeated { .. } => self.repeated(bytes, sink)?,
            };
        }
        Ok(())
    }

    /// Takes a header, from the input or from what is left of the input before, and returns what is left of the
    /// input; all of it is kept when it is no whole header.
    fn header<'a>(&mut self, bytes: &'a [u8], sink: &mut impl Sink) -> Result<&'a [u8], ScanError> {
        if self.partial_length == 0
            && let Some(header) = self.read_header(bytes)?
        {
            let rest = &bytes[header.size..];
            self.position += header.size as u64;
            return self.element(&header, rest, sink);
        }
        let room = self.partial.len() - self.partial_length;
        let taken = room.min(bytes.len());
        self.partial[self.partial_length..][..taken].copy_from_slice(&bytes[..taken]);
        let front = self.partial;
        match self.read_header(&front[..self.partial_length + taken])? {
            Some(header) => {
                let rest = &bytes[header.size - self.partial_length..];
                self.partial_length = 0;
                self.position += header.size as u64;
                self.element(&header, rest, sink)
            }
            None => {
                self.partial_length += taken;
                Ok(&bytes[taken..])
            }
        }
    }

    fn read_header(&self, bytes: &[u8]) -> Result<Option<RawHeader>, ScanError> {
        let encoding = self.frames.last().map_or(self.encoding, |frame| frame.encoding);
        RawHeader::read(bytes, encoding).map_err(|NoVr { tag }| ScanError::Structure {
            tag,
            offset: self.position,
            rule: "no value representation where one must be",
        })
    }

    /// Deals with a header that was taken; `bytes` is what comes after it.
    fn element<'a>(
        &mut self,
        header: &RawHeader,
        bytes: &'a [u8],
        sink: &mut impl Sink,
    ) -> Result<&'a [u8], ScanError> {
        self.elements += 1;
        if self.elements > self.max_elements {
            return Err(ScanError::Limit("too many elements"));
        }
        let limit = self.frames.last().and_then(|frame| frame.limit);
        let end = self.position.saturating_add(u64::from(header.length));
        if limit.is_some_and(|limit| self.position > limit) {
            return Err(self.broken_header(header, "a header that crosses the end of what encloses it"));
        }
        if header.length != UNDEFINED_LENGTH && limit.is_some_and(|limit| end > limit) {
            return Err(self.broken_header(header, "a length past the end of what encloses it"));
        }
        if header.length != UNDEFINED_LENGTH && self.end.is_some_and(|whole| end > whole) {
            return Err(self.broken_header(header, PAST_THE_END));
        }
        match self.frames.last().map(|frame| frame.kind) {
            None | Some(FrameKind::Item) => self.data_element(header, bytes, sink),
            Some(FrameKind::Sequence) => {
                self.in_sequence(header, sink)?;
                Ok(bytes)
            }
            Some(FrameKind::Fragments) => self.in_fragments(header, bytes, sink),
        }
    }

    /// An element of the data set or of an item, or the delimiter of the item.
    fn data_element<'a>(
        &mut self,
        header: &RawHeader,
        bytes: &'a [u8],
        sink: &mut impl Sink,
    ) -> Result<&'a [u8], ScanError> {
        if header.tag == ITEM_DELIMITER && self.ends_by_delimiter() {
            self.close_by_delimiter(header, sink)?;
            return Ok(bytes);
        }
        if header.tag == Tag(0, 0) && header.length == 0 && self.frames.is_empty() {
            self.trailing_zeros += header.size as u64;
            self.state = State::Zeros;
            return Ok(bytes);
        }
        if self.check_tag(header)? {
            return self.begin_repeated(header, bytes, sink);
        }
        let undefined = header.length == UNDEFINED_LENGTH;
        if header.tag == PIXEL_DATA && self.frames.is_empty() {
            self.check_pixel_form(header)?;
        }
        let encoding = self.frames.last().map_or(self.encoding, |frame| frame.encoding);
        if undefined && header.tag == PIXEL_DATA && encoding.explicit {
            let bytes_vr = matches!(header.vr, VR::OB | VR::OW | VR::UN);
            if !bytes_vr {
                return Err(self.broken_header(header, "fragments of a value representation that has none"));
            }
            self.open(FrameKind::Fragments, header, encoding, sink)?;
            Ok(bytes)
        } else if header.vr == VR::SQ || undefined && header.vr == VR::UN {
            // PS3.5 6.2.2, note 4: a sequence that lost its VR is Implicit VR Little Endian within.
            let lost = encoding.explicit && header.vr == VR::UN;
            let encoding = if lost { Encoding::IMPLICIT_LITTLE } else { encoding };
            self.open(FrameKind::Sequence, header, encoding, sink)?;
            Ok(bytes)
        } else if undefined {
            Err(self.broken_header(header, "an undefined length where there can be none"))
        } else {
            self.begin_value(header, encoding, bytes, sink)
        }
    }

    /// Pixel Data must be written as the transfer syntax says. Some requestors (PixelMed) send fragments in a context
    /// of a native syntax and the other way round; whoever reads such a data set later takes one for the other.
    fn check_pixel_form(&self, header: &RawHeader) -> Result<(), ScanError> {
        match self.pixel_data {
            PixelForm::Native if header.length == UNDEFINED_LENGTH => {
                Err(self.broken_header(header, "fragments of pixel data in a native transfer syntax"))
            }
            PixelForm::Encapsulated if header.length != UNDEFINED_LENGTH && header.length != 0 => {
                Err(self.broken_header(header, "native pixel data in a transfer syntax of fragments"))
            }
            _ => Ok(()),
        }
    }

    /// An item of a sequence, or the delimiter of the sequence.
    fn in_sequence(&mut self, header: &RawHeader, sink: &mut impl Sink) -> Result<(), ScanError> {
        match header.tag {
            ITEM => {
                let encoding = self.frames.last().map_or(self.encoding, |frame| frame.encoding);
                self.open(FrameKind::Item, header, encoding, sink)
            }
            SEQUENCE_DELIMITER if self.ends_by_delimiter() => self.close_by_delimiter(header, sink),
            _ => Err(self.broken_header(header, "something other than an item in a sequence")),
        }
    }

    /// A fragment, or the delimiter after the last.
    fn in_fragments<'a>(
        &mut self,
        header: &RawHeader,
        bytes: &'a [u8],
        sink: &mut impl Sink,
    ) -> Result<&'a [u8], ScanError> {
        match header.tag {
            ITEM if header.length != UNDEFINED_LENGTH => {
                let encoding = self.frames.last().map_or(self.encoding, |frame| frame.encoding);
                self.begin_value(header, encoding, bytes, sink)
            }
            SEQUENCE_DELIMITER => {
                self.close_by_delimiter(header, sink)?;
                Ok(bytes)
            }
            _ => {
                Err(self.broken_header(header, "something other than a fragment in encapsulated pixel data"))
            }
        }
    }

    /// A value begins. What is wanted and already there whole is handed on from where it lies.
    fn begin_value<'a>(
        &mut self,
        header: &RawHeader,
        encoding: Encoding,
        bytes: &'a [u8],
        sink: &mut impl Sink,
    ) -> Result<&'a [u8], ScanError> {
        self.odd_lengths += u64::from(header.length % 2);
        let element =
            Element { tag: header.tag, vr: header.vr, length: header.length, depth: self.depth(), encoding };
        let want = sink.element(&element)?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        self.last_vr = None;
        match (want, bytes.split_at_checked(length)) {
            (Want::Stop, _) => self.state = State::Stopped,
            (want, Some((value, rest))) => {
                self.position += value.len() as u64;
                self.end_value(&element, want, value, sink)?;
                return Ok(rest);
            }
            (Want::Nothing, None) if length > MAX_REPEATED => {
                self.state = State::Skip { remaining: u64::from(header.length) };
            }
            (want, None) => {
                self.state = State::Value { element, held: Vec::new(), remaining: length, want };
            }
        }
        Ok(bytes)
    }

    /// A value is there whole.
    fn end_value(
        &mut self,
        element: &Element,
        want: Want,
        value: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), ScanError> {
        if value.len() <= MAX_REPEATED {
            self.last_vr = Some(element.vr);
            self.last_value.clear();
            self.last_value.extend_from_slice(value);
        }
        if want == Want::Value {
            sink.value(element, value)?;
        }
        self.close_ended(sink);
        Ok(())
    }

    /// An element comes for the second time: against PS3.5 7.1, but tolerated when it says the same again, for then
    /// nobody can take one of them for the other. The sink hears of the first alone.
    fn begin_repeated<'a>(
        &mut self,
        header: &RawHeader,
        bytes: &'a [u8],
        sink: &mut impl Sink,
    ) -> Result<&'a [u8], ScanError> {
        let same_form = self.last_vr == Some(header.vr) && header.length as usize == self.last_value.len();
        if !same_form {
            return Err(self.broken_header(header, TWICE));
        }
        let offset = self.position - header.size as u64;
        self.state = State::Repeated { tag: header.tag, offset, agreed: 0 };
        self.repeated(bytes, sink)
    }

    fn repeated<'a>(&mut self, bytes: &'a [u8], sink: &mut impl Sink) -> Result<&'a [u8], ScanError> {
        let State::Repeated { tag, offset, agreed } = &mut self.state else { return Ok(bytes) };
        let expected = &self.last_value[*agreed..];
        let (here, rest) = bytes.split_at(bytes.len().min(expected.len()));
        if !expected.starts_with(here) {
            return Err(ScanError::Structure { tag: *tag, offset: *offset, rule: TWICE });
        }
        *agreed += here.len();
        self.position += here.len() as u64;
        if here.len() == expected.len() {
            self.state = State::Header;
            self.close_ended(sink);
        }
        Ok(rest)
    }

    /// Whether the element is the one before once more.
    fn check_tag(&mut self, header: &RawHeader) -> Result<bool, ScanError> {
        let tag = header.tag;
        let rule = match tag.group() {
            0xFFFE => Some("a delimiter or item where there is no sequence"),
            0x0000 | 0x0002 => Some("an element of a command set or file meta group in a data set"),
            _ => None,
        };
        if let Some(rule) = rule {
            return Err(self.broken_header(header, rule));
        }
        let last = self.frames.last_mut().map_or(&mut self.last, |frame| &mut frame.last);
        let before = last.replace(tag);
        if before.is_some_and(|before| before > tag) {
            return Err(self.broken_header(header, "elements out of order"));
        }
        Ok(before == Some(tag))
    }

    fn open(
        &mut self,
        kind: FrameKind,
        header: &RawHeader,
        encoding: Encoding,
        sink: &mut impl Sink,
    ) -> Result<(), ScanError> {
        let depth = self.depth();
        if kind != FrameKind::Item && depth == MAX_DEPTH {
            return Err(ScanError::Limit("sequences nested too deep"));
        }
        self.last_vr = None;
        let limit = self.frames.last().and_then(|frame| frame.limit);
        let end = (header.length != UNDEFINED_LENGTH).then(|| self.position + u64::from(header.length));
        self.frames.push(Frame { kind, end, limit: end.or(limit), encoding, last: None });
        if kind == FrameKind::Item {
            sink.begin_item()?;
        } else {
            let element = Element { tag: header.tag, vr: header.vr, length: header.length, depth, encoding };
            sink.begin_sequence(&element, kind == FrameKind::Fragments)?;
        }
        self.close_ended(sink);
        Ok(())
    }

    /// Sequences that are open.
    fn depth(&self) -> usize {
        // Sequence and item alternate; an item that is open adds nothing.
        self.frames.len().div_ceil(2)
    }

    fn ends_by_delimiter(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.end.is_none())
    }

    fn close_by_delimiter(&mut self, header: &RawHeader, sink: &mut impl Sink) -> Result<(), ScanError> {
        if header.length != 0 {
            return Err(self.broken_header(header, "a delimiter with a length"));
        }
        self.close(sink);
        self.close_ended(sink);
        Ok(())
    }

    /// Closes what ends here by its length.
    fn close_ended(&mut self, sink: &mut impl Sink) {
        while self.frames.last().is_some_and(|frame| frame.end == Some(self.position)) {
            self.close(sink);
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        self.last_vr = None;
        match self.frames.pop().map(|frame| frame.kind) {
            Some(FrameKind::Item) => sink.end_item(),
            Some(FrameKind::Sequence | FrameKind::Fragments) => sink.end_sequence(),
            None => {}
        }
    }

    fn broken(&self, tag: Tag, rule: &'static str) -> ScanError {
        ScanError::Structure { tag, offset: self.position, rule }
    }

    /// As [`Scanner::broken`], once the header is behind us.
    fn broken_header(&self, header: &RawHeader, rule: &'static str) -> ScanError {
        ScanError::Structure { tag: header.tag, offset: self.position - header.size as u64, rule }
    }
}
