//! Escape sequences: which set they put where. PS3.3 Tables C.12-3 and C.12-4, and ISO 2022 for the shape of
//! those that are in neither.

use super::defined_term::Designation;
use super::graphic::{G0, G1, SingleByte};

/// The control character that begins a sequence.
pub(super) const ESC: u8 = 0x1B;

/// The sequences of the standard, without ESC.
const SEQUENCES: [(&[u8], Designation); 18] = [
    (b"(B", Designation::G0(G0::Ascii)),
    (b"(J", Designation::G0(G0::Romaji)),
    (b"$B", Designation::G0(G0::Jis0208)),
    (b"$(D", Designation::G0(G0::Jis0212)),
    (b"-A", Designation::G1(G1::SingleByte(SingleByte::Latin1))),
    (b"-B", Designation::G1(G1::SingleByte(SingleByte::Latin2))),
    (b"-C", Designation::G1(G1::SingleByte(SingleByte::Latin3))),
    (b"-D", Designation::G1(G1::SingleByte(SingleByte::Latin4))),
    (b"-L", Designation::G1(G1::SingleByte(SingleByte::Cyrillic))),
    (b"-G", Designation::G1(G1::SingleByte(SingleByte::Arabic))),
    (b"-F", Designation::G1(G1::SingleByte(SingleByte::Greek))),
    (b"-H", Designation::G1(G1::SingleByte(SingleByte::Hebrew))),
    (b"-M", Designation::G1(G1::SingleByte(SingleByte::Latin5))),
    (b"-b", Designation::G1(G1::SingleByte(SingleByte::Latin9))),
    (b")I", Designation::G1(G1::SingleByte(SingleByte::Katakana))),
    (b"-T", Designation::G1(G1::SingleByte(SingleByte::Thai))),
    (b"$)C", Designation::G1(G1::Ksx1001)),
    (b"$)A", Designation::G1(G1::Gb2312)),
];

/// The sequence that makes a designation, without ESC; `None` for sets outside ISO 2022.
pub(super) fn sequence(designation: Designation) -> Option<&'static [u8]> {
    all().find(|(_, made)| *made == designation).map(|(sequence, _)| sequence)
}

/// Reads the sequence after an ESC: what it designates, and how many bytes of `rest` belong to it.
///
/// A sequence in no table is passed over if it has the shape of one; ESC alone is passed over alone, so that
/// no text is lost with it.
pub(super) fn read(rest: &[u8]) -> (Option<Designation>, usize) {
    if let Some((sequence, designation)) = all().find(|(sequence, _)| rest.starts_with(sequence)) {
        return (Some(designation), sequence.len());
    }
    // JIS C 6226-1978, which JIS X 0208 replaced, in old Japanese systems.
    if rest.starts_with(b"$@") {
        return (Some(Designation::G0(G0::Jis0208)), 2);
    }
    let intermediates = rest.iter().take_while(|byte| matches!(byte, 0x20..=0x2F)).count();
    match rest.get(intermediates) {
        Some(b'\\' | b'^' | b'=') | None => (None, 0),
        // Another national variant of ASCII in G0: at least the double-byte set is left.
        Some(0x30..=0x7E) if intermediates == 1 && rest[0] == b'(' => (Some(Designation::G0(G0::Ascii)), 2),
        Some(0x30..=0x7E) if (1..=3).contains(&intermediates) => (None, intermediates + 1),
        Some(_) => (None, 0),
    }
}

fn all() -> impl Iterator<Item = (&'static [u8], Designation)> {
    SEQUENCES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_in_no_table_is_passed_over_whole() {
        assert_eq!(read(b"%/Iabc"), (None, 3));
        assert_eq!(read(b"$+Qabc"), (None, 3));
        assert_eq!(read(b"(Aabc"), (Some(Designation::G0(G0::Ascii)), 2));
    }

    #[test]
    fn what_has_not_the_shape_of_a_sequence_keeps_its_text() {
        for rest in [&b""[..], b"Yamada", b"[31m", b"(", b"$", b"(^Taro", b"\xB0\xA1", b"!!!!!!A", b"(\x0D"] {
            assert_eq!(read(rest), (None, 0), "{rest:?}");
        }
    }
}
