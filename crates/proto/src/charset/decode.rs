//! From bytes to text: the ISO 2022 state machine of a reader.
//!
//! ```text
//!   21H-7EH      -> the set in G0, one or two bytes     ESC ...            -> designates G0 or G1
//!   80H-FFH      -> the set in G1, one to four bytes    delimiter, control -> both as at the beginning
//! ```
//!
//! Bytes are taken a character at a time, so that a delimiter's code inside a character is no delimiter.

use super::TextKind;
use super::defined_term::{Designation, Repertoire};
use super::escape::{self, ESC};
use super::graphic::{self, G0, G1};

pub(super) fn decode(repertoire: &Repertoire, bytes: &[u8], kind: TextKind) -> String {
    let is_utf8 = bytes.is_ascii() || repertoire.initial_g1 == G1::Utf8;
    if is_utf8 && repertoire.initial_g0 == G0::Ascii && !bytes.contains(&ESC) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut reader = Reader::new(repertoire, bytes, kind);
    while reader.step() {}
    reader.text
}

struct Reader<'a> {
    repertoire: &'a Repertoire,
    kind: TextKind,
    rest: &'a [u8],
    g0: G0,
    g1: G1,
    text: String,
}

impl<'a> Reader<'a> {
    fn new(repertoire: &'a Repertoire, bytes: &'a [u8], kind: TextKind) -> Reader<'a> {
        Reader {
            repertoire,
            kind,
            rest: bytes,
            g0: repertoire.initial_g0,
            g1: repertoire.initial_g1,
            text: String::with_capacity(bytes.len()),
        }
    }

    /// Takes one character or escape sequence; false at the end.
    fn step(&mut self) -> bool {
        let Some((&byte, after)) = self.rest.split_first() else {
            return false;
        };
        match byte {
            ESC => {
                let (designation, length) = escape::read(after);
                self.rest = &after[length..];
                match designation {
                    Some(Designation::G0(set)) => self.g0 = set,
                    Some(Designation::G1(set)) => self.g1 = set,
                    None => {}
                }
            }
            0x00..=0x1F => {
                self.reset();
                self.push(char::from(byte), 1);
            }
            b' ' | 0x7F => self.push(char::from(byte), 1),
            0x21..=0x7E => self.lower_half(byte, after),
            0x80..=0xFF => self.upper_half(byte),
        }
        true
    }

    fn lower_half(&mut self, byte: u8, after: &[u8]) {
        // Half a character in a double-byte set means that the writer forgot to switch back: it is ASCII.
        if let Some(&trail @ 0x21..=0x7E) = after.first()
            && self.g0.width() == 2
        {
            self.push(self.g0.decode_pair(byte, trail), 2);
            return;
        }
        if self.kind.is_delimiter(byte) {
            self.reset();
            self.push(char::from(byte), 1);
        } else {
            self.push(self.g0.decode_single(byte), 1);
        }
    }

    fn upper_half(&mut self, byte: u8) {
        match self.g1 {
            G1::SingleByte(set) => self.push(set.decode(byte), 1),
            G1::Utf8 => {
                let run = self.upper_run();
                self.push_text(&String::from_utf8_lossy(run), run.len());
            }
            G1::Undeclared => {
                let run = self.upper_run();
                let text = match std::str::from_utf8(run) {
                    Ok(text) => text.to_owned(),
                    Err(_) => run.iter().copied().map(char::from).collect(),
                };
                self.push_text(&text, run.len());
            }
            G1::Ksx1001 | G1::Gb2312 | G1::Gb18030 | G1::Gbk => {
                let kind = self.kind;
                let (text, length) =
                    graphic::decode_multi_byte(self.g1, self.rest, |byte| kind.is_delimiter(byte));
                self.push_text(&text, length);
            }
        }
    }

    /// The bytes of 80H and above that follow one another here.
    fn upper_run(&self) -> &'a [u8] {
        let length = self.rest.iter().take_while(|byte| !byte.is_ascii()).count();
        &self.rest[..length]
    }

    fn reset(&mut self) {
        self.g0 = self.repertoire.initial_g0;
        self.g1 = self.repertoire.initial_g1;
    }

    fn push(&mut self, character: char, length: usize) {
        self.text.push(character);
        self.rest = &self.rest[length..];
    }

    fn push_text(&mut self, text: &str, length: usize) {
        self.text.push_str(text);
        self.rest = &self.rest[length..];
    }
}
