//! Value fields: bytes to values and back, by value representation (PS3.5 6.2 and 6.4).
//!
//! Text becomes Unicode on the way in and loses its padding; binary values of a length that their VR does not
//! allow stay bytes, so that nothing is lost.

use dicom_core::PrimitiveValue;
use dicom_core::value::C;

use super::encoding::Encoding;
use super::{Tag, VR};
use crate::charset::{CharacterSets, NotEncodable, TextKind};

/// What the bytes of a VR are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text in the character set of the data set.
    Text(TextKind),
    /// Texts of the default repertoire, split at backslashes.
    Codes,
    /// One text of the default repertoire: UR.
    Code,
    /// Numbers, tags, bytes.
    Binary,
}

pub(super) fn form(vr: VR) -> Form {
    match vr {
        VR::SH | VR::LO | VR::UC => Form::Text(TextKind::Values),
        VR::PN => Form::Text(TextKind::PersonName),
        VR::ST | VR::LT | VR::UT => Form::Text(TextKind::Text),
        VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI => Form::Codes,
        VR::UR => Form::Code,
        _ => Form::Binary,
    }
}

/// Reads a value field.
pub(super) fn decode(vr: VR, bytes: &[u8], encoding: Encoding, sets: &CharacterSets) -> PrimitiveValue {
    if bytes.is_empty() {
        return PrimitiveValue::Empty;
    }
    match form(vr) {
        Form::Text(TextKind::Text) => one(trim_end(&decode_text(bytes, TextKind::Text, sets))),
        Form::Text(kind) => several(&decode_text(bytes, kind, sets)),
        Form::Codes => several(&String::from_utf8_lossy(bytes)),
        Form::Code => one(trim_end(&String::from_utf8_lossy(bytes))),
        Form::Binary => decode_binary(vr, bytes, encoding),
    }
}

/// Writes a value field, padded to even length (PS3.5 6.2: texts with a space, UI and bytes with NUL).
pub(super) fn encode(
    vr: VR,
    value: &PrimitiveValue,
    encoding: Encoding,
    sets: &CharacterSets,
) -> Result<Vec<u8>, NotEncodable> {
    let mut bytes = match form(vr) {
        Form::Binary => encode_binary(value, encoding),
        // Only reading leaves bytes in a text VR, and it never does; but a value may have been set as bytes.
        _ if matches!(value, PrimitiveValue::U8(_)) => encode_binary(value, encoding),
        Form::Text(kind) => encode_text(&text_of(value), kind, sets)?,
        Form::Codes | Form::Code => text_of(value).into_bytes(),
    };
    if bytes.len() % 2 == 1 {
        let pads_with_space = vr != VR::UI && form(vr) != Form::Binary;
        bytes.push(if pads_with_space { b' ' } else { 0 });
    }
    Ok(bytes)
}

/// The value of a text as a person writes it: split at backslashes where the VR has several values, numbers
/// read where it is binary. `None` when it is no number of that VR.
pub(super) fn parse(vr: VR, text: &str) -> Option<PrimitiveValue> {
    fn numbers<T: std::str::FromStr>(text: &str) -> Option<C<T>> {
        text.split('\\').map(|number| number.trim().parse().ok()).collect()
    }
    if text.is_empty() {
        return Some(PrimitiveValue::Empty);
    }
    match vr {
        VR::US | VR::OW => numbers(text).map(PrimitiveValue::U16),
        VR::SS => numbers(text).map(PrimitiveValue::I16),
        VR::UL | VR::OL => numbers(text).map(PrimitiveValue::U32),
        VR::SL => numbers(text).map(PrimitiveValue::I32),
        VR::UV | VR::OV => numbers(text).map(PrimitiveValue::U64),
        VR::SV => numbers(text).map(PrimitiveValue::I64),
        VR::FL | VR::OF => numbers(text).map(PrimitiveValue::F32),
        VR::FD | VR::OD => numbers(text).map(PrimitiveValue::F64),
        VR::OB | VR::UN => numbers(text).map(PrimitiveValue::U8),
        VR::AT => text
            .split('\\')
            .map(super::dictionary::tag_of)
            .collect::<Option<C<Tag>>>()
            .map(PrimitiveValue::Tags),
        VR::SQ => None,
        _ => Some(match form(vr) {
            Form::Text(TextKind::Text) | Form::Code => one(text),
            _ => several(text),
        }),
    }
}

/// The value as one text, values joined by backslashes.
pub(super) fn text_of(value: &PrimitiveValue) -> String {
    match value {
        PrimitiveValue::Str(text) => text.clone(),
        PrimitiveValue::Tags(tags) => joined(tags.iter().map(|tag| format!("{:04X}{:04X}", tag.0, tag.1))),
        value => joined(value.to_multi_str().iter()),
    }
}

fn joined(values: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push('\\');
        }
        text.push_str(value.as_ref());
    }
    text
}

fn one(text: &str) -> PrimitiveValue {
    if text.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::Str(text.to_owned()) }
}

fn several(text: &str) -> PrimitiveValue {
    let values: C<String> = text.split('\\').map(|value| trim(value).to_owned()).collect();
    if values.len() == 1 && values[0].is_empty() {
        PrimitiveValue::Empty
    } else {
        PrimitiveValue::Strs(values)
    }
}

/// Whether the bytes of a UID have spaces or NULs around it that are no padding. That is NUL (PS3.5 9.1), and one space at
/// the end, which modalities write.
pub(super) fn is_ill_padded_uid(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let without_nul = &bytes[..end];
    let uid = without_nul.strip_suffix(b" ").unwrap_or(without_nul);
    let is_around = |byte: Option<&u8>| matches!(byte, Some(b' ' | 0));
    is_around(uid.first()) || is_around(uid.last())
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\0'])
}

fn trim_end(value: &str) -> &str {
    value.trim_end_matches([' ', '\0'])
}

fn decode_text(bytes: &[u8], kind: TextKind, sets: &CharacterSets) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(bytes, sets) => text.to_owned(),
        _ => sets.decode(bytes, kind),
    }
}

fn encode_text(text: &str, kind: TextKind, sets: &CharacterSets) -> Result<Vec<u8>, NotEncodable> {
    if is_plain(text.as_bytes(), sets) { Ok(text.as_bytes().to_vec()) } else { sets.encode(text, kind) }
}

/// Whether every character set reads these bytes alike, which spares most values the way through the code
/// tables: ASCII without ESC. Only JIS X 0201 has other characters than ASCII among the first 128.
fn is_plain(bytes: &[u8], sets: &CharacterSets) -> bool {
    let is_jis = sets.defined_terms().first().is_some_and(|term| term.ends_with("IR 13"));
    !is_jis && bytes.iter().all(|&byte| byte.is_ascii() && byte != 0x1B)
}

fn decode_binary(vr: VR, bytes: &[u8], encoding: Encoding) -> PrimitiveValue {
    fn numbers<const N: usize, T>(
        bytes: &[u8],
        big_endian: bool,
        number: fn([u8; N]) -> T,
        into: fn(C<T>) -> PrimitiveValue,
    ) -> PrimitiveValue {
        let (chunks, rest) = bytes.as_chunks::<N>();
        if !rest.is_empty() {
            return PrimitiveValue::U8(bytes.into());
        }
        let little = |mut chunk: [u8; N]| {
            if big_endian {
                chunk.reverse();
            }
            number(chunk)
        };
        into(chunks.iter().map(|&chunk| little(chunk)).collect())
    }
    let big = encoding.big_endian;
    match vr {
        VR::US | VR::OW => numbers(bytes, big, u16::from_le_bytes, PrimitiveValue::U16),
        VR::SS => numbers(bytes, big, i16::from_le_bytes, PrimitiveValue::I16),
        VR::UL | VR::OL => numbers(bytes, big, u32::from_le_bytes, PrimitiveValue::U32),
        VR::SL => numbers(bytes, big, i32::from_le_bytes, PrimitiveValue::I32),
        VR::UV | VR::OV => numbers(bytes, big, u64::from_le_bytes, PrimitiveValue::U64),
        VR::SV => numbers(bytes, big, i64::from_le_bytes, PrimitiveValue::I64),
        VR::FL | VR::OF => numbers(bytes, big, f32::from_le_bytes, PrimitiveValue::F32),
        VR::FD | VR::OD => numbers(bytes, big, f64::from_le_bytes, PrimitiveValue::F64),
        VR::AT => match bytes.as_chunks::<4>() {
            (chunks, []) => PrimitiveValue::Tags(
                chunks
                    .iter()
                    .map(|[a, b, c, d]| Tag(encoding.u16([*a, *b]), encoding.u16([*c, *d])))
                    .collect(),
            ),
            _ => PrimitiveValue::U8(bytes.into()),
        },
        _ => PrimitiveValue::U8(bytes.into()),
    }
}

fn encode_binary(value: &PrimitiveValue, encoding: Encoding) -> Vec<u8> {
    fn numbers<const N: usize, T: Copy>(numbers: &[T], big_endian: bool, bytes: fn(T) -> [u8; N]) -> Vec<u8> {
        let ordered = |number: &T| {
            let mut chunk = bytes(*number);
            if big_endian {
                chunk.reverse();
            }
            chunk
        };
        numbers.iter().flat_map(ordered).collect()
    }
    let big = encoding.big_endian;
    match value {
        PrimitiveValue::Empty => Vec::new(),
        PrimitiveValue::U8(bytes) => bytes.to_vec(),
        PrimitiveValue::U16(values) => numbers(values, big, u16::to_le_bytes),
        PrimitiveValue::I16(values) => numbers(values, big, i16::to_le_bytes),
        PrimitiveValue::U32(values) => numbers(values, big, u32::to_le_bytes),
        PrimitiveValue::I32(values) => numbers(values, big, i32::to_le_bytes),
        PrimitiveValue::U64(values) => numbers(values, big, u64::to_le_bytes),
        PrimitiveValue::I64(values) => numbers(values, big, i64::to_le_bytes),
        PrimitiveValue::F32(values) => numbers(values, big, f32::to_le_bytes),
        PrimitiveValue::F64(values) => numbers(values, big, f64::to_le_bytes),
        PrimitiveValue::Tags(tags) => {
            let halves: Vec<u16> = tags.iter().flat_map(|tag| [tag.group(), tag.element()]).collect();
            numbers(&halves, big, u16::to_le_bytes)
        }
        text => text_of(text).into_bytes(),
    }
}
