//! The sets of characters that are designated to G0 and G1: small tables, made once from encoding_rs.
//!
//! G0 is what codes 21H to 7EH mean, G1 what 80H and above mean. encoding_rs follows the WHATWG, which reads
//! ISO 8859-1 and -9 as their Windows relatives: only the codes from A0H are taken from it. Reverse tables are
//! made by decoding every code, so that what is written is read back as the same character.

use std::collections::HashMap;
use std::sync::OnceLock;

use encoding_rs::Encoding;

/// A set for codes 21H to 7EH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum G0 {
    /// ISO-IR 6.
    Ascii,
    /// ISO-IR 14, JIS X 0201 Romaji: a yen sign and an overline among ASCII.
    Romaji,
    /// ISO-IR 87, JIS X 0208, two bytes a character.
    Jis0208,
    /// ISO-IR 159, JIS X 0212, two bytes a character.
    Jis0212,
}

/// A set for codes of 80H and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum G1 {
    /// Nothing was declared: UTF-8 if it is that, else ISO 8859-1.
    Undeclared,
    /// One byte a character.
    SingleByte(SingleByte),
    /// ISO-IR 149, KS X 1001, two bytes a character; Microsoft's extension of it is read too.
    Ksx1001,
    /// ISO-IR 58, GB 2312, two bytes a character; GBK is read too.
    Gb2312,
    /// UTF-8.
    Utf8,
    /// GB 18030: one, two or four bytes a character.
    Gb18030,
    /// GBK: one or two bytes a character.
    Gbk,
}

/// The sets of one byte a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SingleByte {
    /// ISO 8859-1.
    Latin1,
    /// ISO 8859-2.
    Latin2,
    /// ISO 8859-3.
    Latin3,
    /// ISO 8859-4.
    Latin4,
    /// ISO 8859-5.
    Cyrillic,
    /// ISO 8859-6.
    Arabic,
    /// ISO 8859-7.
    Greek,
    /// ISO 8859-8.
    Hebrew,
    /// ISO 8859-9.
    Latin5,
    /// ISO 8859-15.
    Latin9,
    /// ISO-IR 13, JIS X 0201 Katakana.
    Katakana,
    /// ISO-IR 166, TIS 620-2533.
    Thai,
}

const REPLACEMENT: char = '\u{FFFD}';

impl G0 {
    /// How many bytes a character has.
    pub(super) fn width(self) -> usize {
        match self {
            G0::Ascii | G0::Romaji => 1,
            G0::Jis0208 | G0::Jis0212 => 2,
        }
    }

    /// The character of one byte in a single-byte set.
    pub(super) fn decode_single(self, byte: u8) -> char {
        match (self, byte) {
            (G0::Romaji, 0x5C) => '\u{A5}',
            (G0::Romaji, 0x7E) => '\u{203E}',
            _ => char::from(byte),
        }
    }

    /// The character of two bytes, both 21H to 7EH, in a double-byte set.
    pub(super) fn decode_pair(self, lead: u8, trail: u8) -> char {
        match self {
            G0::Jis0212 => jis0212().decode(lead, trail),
            _ => jis0208().decode(lead, trail),
        }
    }

    /// The bytes of a character, `None` if the set does not have it. Space and controls belong to no set and
    /// are not asked for.
    pub(super) fn encode(self, character: char) -> Option<Bytes> {
        match self {
            G0::Ascii => ascii(character),
            G0::Romaji => match character {
                '\u{A5}' => Some(Bytes::one(0x5C)),
                '\u{203E}' => Some(Bytes::one(0x7E)),
                '\\' | '~' => None,
                _ => ascii(character),
            },
            G0::Jis0208 => jis0208().encode(character),
            G0::Jis0212 => jis0212().encode(character),
        }
    }
}

impl SingleByte {
    /// The character of a byte of 80H and above.
    pub(super) fn decode(self, byte: u8) -> char {
        self.table().characters[usize::from(byte & 0x7F)]
    }

    fn encode(self, character: char) -> Option<Bytes> {
        self.table().codes.get(&character).map(|&code| Bytes::one(code))
    }

    fn table(self) -> &'static SingleByteTable {
        static TABLES: [OnceLock<SingleByteTable>; 12] = [const { OnceLock::new() }; 12];
        TABLES[self as usize].get_or_init(|| SingleByteTable::new(self))
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            SingleByte::Latin1 => encoding_rs::WINDOWS_1252,
            SingleByte::Latin2 => encoding_rs::ISO_8859_2,
            SingleByte::Latin3 => encoding_rs::ISO_8859_3,
            SingleByte::Latin4 => encoding_rs::ISO_8859_4,
            SingleByte::Cyrillic => encoding_rs::ISO_8859_5,
            SingleByte::Arabic => encoding_rs::ISO_8859_6,
            SingleByte::Greek => encoding_rs::ISO_8859_7,
            SingleByte::Hebrew => encoding_rs::ISO_8859_8,
            SingleByte::Latin5 => encoding_rs::WINDOWS_1254,
            SingleByte::Latin9 => encoding_rs::ISO_8859_15,
            SingleByte::Katakana => encoding_rs::SHIFT_JIS,
            SingleByte::Thai => encoding_rs::WINDOWS_874,
        }
    }
}

impl G1 {
    /// The bytes of a character in a set that is designated by escape sequence or stands first.
    pub(super) fn encode(self, character: char) -> Option<Bytes> {
        match self {
            G1::SingleByte(set) => set.encode(character),
            G1::Ksx1001 => ksx1001().encode(character).map(Bytes::high),
            G1::Gb2312 => gb2312().encode(character).map(Bytes::high),
            G1::Utf8 => {
                let mut buffer = [0; 4];
                Some(Bytes::of(character.encode_utf8(&mut buffer).as_bytes()))
            }
            G1::Gb18030 => by_encoder(encoding_rs::GB18030, character),
            G1::Gbk => by_encoder(encoding_rs::GBK, character),
            G1::Undeclared => None,
        }
    }
}

/// The one to four bytes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes {
    bytes: [u8; 4],
    length: usize,
}

impl Bytes {
    fn one(byte: u8) -> Bytes {
        Bytes::of(&[byte])
    }

    fn of(slice: &[u8]) -> Bytes {
        let length = slice.len().min(4);
        let mut bytes = [0; 4];
        bytes[..length].copy_from_slice(&slice[..length]);
        Bytes { bytes, length }
    }

    fn high(self) -> Bytes {
        Bytes { bytes: self.bytes.map(|byte| byte | 0x80), length: self.length }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn ascii(character: char) -> Option<Bytes> {
    u8::try_from(character).ok().filter(u8::is_ascii).map(Bytes::one)
}

/// One character by encoding_rs, if it is read back as the same: GB 18030 has codes that moved to others.
fn by_encoder(encoding: &'static Encoding, character: char) -> Option<Bytes> {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    let (bytes, _, unmappable) = encoding.encode(text);
    let (back, _) = encoding.decode_without_bom_handling(&bytes);
    (!unmappable && back == text).then(|| Bytes::of(&bytes))
}

struct SingleByteTable {
    characters: [char; 128],
    codes: HashMap<char, u8>,
}

impl SingleByteTable {
    fn new(set: SingleByte) -> SingleByteTable {
        let mut characters = [REPLACEMENT; 128];
        let mut codes = HashMap::new();
        for (index, character) in (0_u8..).zip(characters.iter_mut()) {
            let code = index | 0x80;
            *character = match code {
                // C1 controls; in JIS X 0201 they are lead bytes of Shift_JIS to encoding_rs.
                0x80..=0x9F => char::from(code),
                0xA0 | 0xE0..=0xFF if set == SingleByte::Katakana => REPLACEMENT,
                _ => single_character(set.encoding(), &[code]).unwrap_or(REPLACEMENT),
            };
            if *character != REPLACEMENT {
                codes.insert(*character, code);
            }
        }
        SingleByteTable { characters, codes }
    }
}

/// A set of 94 by 94 characters, codes 2121H to 7E7EH.
struct DoubleByteTable {
    characters: Vec<char>,
    codes: HashMap<char, [u8; 2]>,
}

impl DoubleByteTable {
    /// Asks encoding_rs for every code. What `is_standard` refuses is read but not written: extensions of
    /// vendors that a strict reader does not know.
    fn new(decode: impl Fn(u8, u8) -> Option<char>, is_standard: impl Fn(u8, u8) -> bool) -> DoubleByteTable {
        let mut characters = Vec::with_capacity(94 * 94);
        let mut codes = HashMap::new();
        for lead in 0x21..=0x7E {
            for trail in 0x21..=0x7E {
                let character = decode(lead, trail).unwrap_or(REPLACEMENT);
                characters.push(character);
                if character != REPLACEMENT && is_standard(lead, trail) {
                    codes.entry(character).or_insert([lead, trail]);
                }
            }
        }
        DoubleByteTable { characters, codes }
    }

    fn decode(&self, lead: u8, trail: u8) -> char {
        let index = |byte: u8| usize::from(byte.wrapping_sub(0x21));
        self.characters.get(index(lead) * 94 + index(trail)).copied().unwrap_or(REPLACEMENT)
    }

    fn encode(&self, character: char) -> Option<Bytes> {
        self.codes.get(&character).map(|code| Bytes::of(code))
    }
}

/// What encoding_rs reads in some bytes, if it is one character.
fn single_character(encoding: &'static Encoding, bytes: &[u8]) -> Option<char> {
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    let mut characters = text.chars();
    let character = characters.next()?;
    (!malformed && characters.next().is_none()).then_some(character)
}

fn jis0208() -> &'static DoubleByteTable {
    static TABLE: OnceLock<DoubleByteTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let decode = |lead: u8, trail: u8| {
            // The WHATWG follows Microsoft in these; DICOM toolkits and Unicode's own table do not.
            Some(match (lead, trail) {
                (0x21, 0x41) => '\u{301C}',
                (0x21, 0x42) => '\u{2016}',
                (0x21, 0x5D) => '\u{2212}',
                (0x21, 0x71) => '\u{A2}',
                (0x21, 0x72) => '\u{A3}',
                (0x22, 0x4C) => '\u{AC}',
                _ => single_character(encoding_rs::EUC_JP, &[lead | 0x80, trail | 0x80])?,
            })
        };
        // Rows 13 and 89 to 92 are NEC's and IBM's.
        DoubleByteTable::new(decode, |lead, _| matches!(lead, 0x21..=0x28 | 0x30..=0x74))
    })
}

fn jis0212() -> &'static DoubleByteTable {
    static TABLE: OnceLock<DoubleByteTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let decode = |lead: u8, trail: u8| match (lead, trail) {
            // A tilde, to Microsoft a full-width one.
            (0x22, 0x37) => Some('~'),
            _ => single_character(encoding_rs::EUC_JP, &[0x8F, lead | 0x80, trail | 0x80]),
        };
        DoubleByteTable::new(decode, |lead, trail| {
            matches!(lead, 0x22 | 0x26 | 0x27 | 0x29..=0x2B | 0x30..=0x6D) && (lead, trail) != (0x22, 0x37)
        })
    })
}

fn ksx1001() -> &'static DoubleByteTable {
    static TABLE: OnceLock<DoubleByteTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let decode =
            |lead: u8, trail: u8| single_character(encoding_rs::EUC_KR, &[lead | 0x80, trail | 0x80]);
        DoubleByteTable::new(decode, |_, _| true)
    })
}

fn gb2312() -> &'static DoubleByteTable {
    static TABLE: OnceLock<DoubleByteTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let decode = |lead: u8, trail: u8| single_character(encoding_rs::GBK, &[lead | 0x80, trail | 0x80]);
        DoubleByteTable::new(decode, is_gb2312)
    })
}

/// GBK fills the gaps of GB 2312; these are the codes of GB 2312 itself.
fn is_gb2312(lead: u8, trail: u8) -> bool {
    match lead {
        0x21 | 0x23 | 0x30..=0x56 | 0x58..=0x77 => true,
        0x22 => matches!(trail, 0x31..=0x62 | 0x65..=0x6E | 0x71..=0x7C),
        0x24 => trail <= 0x73,
        0x25 => trail <= 0x76,
        0x26 => matches!(trail, 0x21..=0x38 | 0x41..=0x58),
        0x27 => matches!(trail, 0x21..=0x41 | 0x51..=0x71),
        0x28 => matches!(trail, 0x21..=0x3A | 0x45..=0x69),
        0x29 => matches!(trail, 0x24..=0x6F),
        0x57 => trail <= 0x79,
        _ => false,
    }
}

/// Reads one character of a set for codes of 80H and above that has two or more bytes a character.
///
/// `bytes` begins with a byte of 80H or above. Gives the text and how many bytes it was.
pub(super) fn decode_multi_byte(set: G1, bytes: &[u8], is_delimiter: impl Fn(u8) -> bool) -> (String, usize) {
    let lead = bytes[0];
    let trail = bytes.get(1).copied().unwrap_or(0);
    let double = |encoding| match single_character(encoding, &[lead, trail]) {
        Some(character) => (character.to_string(), 2),
        // Where the second byte is ASCII, it is text that must not be lost with the broken character.
        None => (REPLACEMENT.to_string(), if trail < 0x80 { 1 } else { 2 }),
    };
    let both_high = lead > 0xA0 && trail > 0xA0 && lead < 0xFF && trail < 0xFF;
    match set {
        G1::Ksx1001 if both_high => (ksx1001().decode(lead & 0x7F, trail & 0x7F).to_string(), 2),
        G1::Gb2312 if both_high => (gb2312().decode(lead & 0x7F, trail & 0x7F).to_string(), 2),
        G1::Ksx1001 => double(encoding_rs::EUC_KR),
        // GBK under the name of GB 2312 is read, but a delimiter is a delimiter.
        G1::Gb2312 if is_delimiter(trail) => (REPLACEMENT.to_string(), 1),
        G1::Gb2312 => double(encoding_rs::GBK),
        _ => decode_gb18030(bytes),
    }
}

fn decode_gb18030(bytes: &[u8]) -> (String, usize) {
    let four = bytes.get(..4).filter(|unit| unit[1].is_ascii_digit());
    for unit in [four, bytes.get(..2), bytes.get(..1)].into_iter().flatten() {
        if let Some(character) = single_character(encoding_rs::GB18030, unit) {
            return (character.to_string(), unit.len());
        }
    }
    let broken = if bytes.get(1).is_some_and(|&trail| trail >= 0x80) { 2 } else { 1 };
    (REPLACEMENT.to_string(), broken)
}
