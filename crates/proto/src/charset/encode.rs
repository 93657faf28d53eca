//! From text to bytes: the ISO 2022 state machine of a writer.
//!
//! Each character goes into the first set that has it: those that stand there at the beginning, then those of
//! the code extensions in their order. Before a delimiter, a control character and the end, the sets of the
//! beginning are designated again, and after it they are taken to stand (PS3.5 6.1.2.5.3).
//!
//! Many readers (DCMTK, pydicom) know one set at a time, that of the last escape sequence, where ISO 2022 has G0 and
//! G1 side by side. So nothing of G1 is written while a double-byte set stands in G0, and after G0 has changed G1 is
//! designated anew.

use super::TextKind;
use super::defined_term::{Designation, Repertoire};
use super::escape::{self, ESC};
use super::graphic::{Bytes, G0, G1};

/// `None` when a character is in no set.
pub(super) fn encode(repertoire: &Repertoire, text: &str, kind: TextKind) -> Option<Vec<u8>> {
    let mut writer = Writer {
        repertoire,
        g0: repertoire.initial_g0,
        g1: repertoire.written_g1,
        g1_is_overlooked: false,
        bytes: Vec::with_capacity(text.len()),
    };
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(ESC) => {}
            Ok(byte) if byte < 0x20 || kind.is_delimiter(byte) => {
                writer.reset()?;
                writer.bytes.push(byte);
            }
            // Space and DEL belong to no set, but readers differ inside a double-byte one.
            Ok(byte @ (b' ' | 0x7F)) => {
                writer.designate(Designation::G0(repertoire.initial_g0))?;
                writer.bytes.push(byte);
            }
            _ => writer.write(character, kind)?,
        }
    }
    writer.reset()?;
    Some(writer.bytes)
}

struct Writer<'a> {
    repertoire: &'a Repertoire,
    g0: G0,
    g1: Option<G1>,
    /// G0 has changed since G1 did.
    g1_is_overlooked: bool,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, character: char, kind: TextKind) -> Option<()> {
        let initial = [
            Some(Designation::G0(self.repertoire.initial_g0)),
            self.repertoire.written_g1.map(Designation::G1),
        ];
        let extensions = &self.repertoire.extensions;
        let (designation, bytes) =
            initial.into_iter().flatten().chain(extensions.iter().copied()).find_map(|designation| {
                let bytes = encode_in(designation, character)?;
                // A yen sign has the code of the backslash, which would be read as a delimiter.
                let misread = bytes.as_slice().len() == 1 && kind.is_delimiter(bytes.as_slice()[0]);
                (!misread).then_some((designation, bytes))
            })?;
        if matches!(designation, Designation::G1(_)) {
            self.designate(Designation::G0(self.repertoire.initial_g0))?;
        }
        self.designate(designation)?;
        self.bytes.extend_from_slice(bytes.as_slice());
        Some(())
    }

    /// Puts a set in its place, by escape sequence if it does not stand there.
    fn designate(&mut self, designation: Designation) -> Option<()> {
        match designation {
            Designation::G0(set) if self.g0 == set => return Some(()),
            Designation::G1(set) if self.g1 == Some(set) && !self.g1_is_overlooked => return Some(()),
            Designation::G0(set) => (self.g0, self.g1_is_overlooked) = (set, true),
            Designation::G1(set) => (self.g1, self.g1_is_overlooked) = (Some(set), false),
        }
        self.bytes.push(ESC);
        self.bytes.extend_from_slice(escape::sequence(designation)?);
        Some(())
    }

    fn reset(&mut self) -> Option<()> {
        self.designate(Designation::G0(self.repertoire.initial_g0))?;
        self.g1_is_overlooked = false;
        match self.repertoire.written_g1 {
            Some(set) => self.designate(Designation::G1(set))?,
            None => self.g1 = None,
        }
        Some(())
    }
}

fn encode_in(designation: Designation, character: char) -> Option<Bytes> {
    match designation {
        Designation::G0(set) => set.encode(character),
        Designation::G1(set) => set.encode(character),
    }
}
