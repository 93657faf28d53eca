//! The defined terms of PS3.3 C.12.1.1.2, Tables C.12-2 to C.12-5, and what the field writes instead.

use super::graphic::{G0, G1, SingleByte};

/// One row of the tables: a term without and with code extensions, and what it puts into G0 and G1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DefinedTerm {
    /// Of Table C.12-2 or C.12-5; for the sets that only exist as code extensions, the one of Table C.12-3.
    plain: &'static str,
    /// Of Table C.12-3 or C.12-4; empty for those of Table C.12-5, which prohibit code extensions.
    extended: &'static str,
    /// What stands in G0 when this is the first term; as a code extension, what it adds there.
    pub(super) g0: Option<G0>,
    /// What stands in, or is added to, G1.
    pub(super) g1: Option<G1>,
}

const fn single_byte(plain: &'static str, extended: &'static str, set: SingleByte) -> DefinedTerm {
    DefinedTerm { plain, extended, g0: Some(G0::Ascii), g1: Some(G1::SingleByte(set)) }
}

const fn multi_byte(extended: &'static str, g0: Option<G0>, g1: Option<G1>) -> DefinedTerm {
    DefinedTerm { plain: extended, extended, g0, g1 }
}

const fn without_extensions(plain: &'static str, g1: G1) -> DefinedTerm {
    DefinedTerm { plain, extended: "", g0: Some(G0::Ascii), g1: Some(g1) }
}

static DEFINED_TERMS: [DefinedTerm; 21] = [
    DefinedTerm { plain: "ISO_IR 6", extended: "ISO 2022 IR 6", g0: Some(G0::Ascii), g1: None },
    single_byte("ISO_IR 100", "ISO 2022 IR 100", SingleByte::Latin1),
    single_byte("ISO_IR 101", "ISO 2022 IR 101", SingleByte::Latin2),
    single_byte("ISO_IR 109", "ISO 2022 IR 109", SingleByte::Latin3),
    single_byte("ISO_IR 110", "ISO 2022 IR 110", SingleByte::Latin4),
    single_byte("ISO_IR 144", "ISO 2022 IR 144", SingleByte::Cyrillic),
    single_byte("ISO_IR 127", "ISO 2022 IR 127", SingleByte::Arabic),
    single_byte("ISO_IR 126", "ISO 2022 IR 126", SingleByte::Greek),
    single_byte("ISO_IR 138", "ISO 2022 IR 138", SingleByte::Hebrew),
    single_byte("ISO_IR 148", "ISO 2022 IR 148", SingleByte::Latin5),
    single_byte("ISO_IR 203", "ISO 2022 IR 203", SingleByte::Latin9),
    DefinedTerm {
        plain: "ISO_IR 13",
        extended: "ISO 2022 IR 13",
        g0: Some(G0::Romaji),
        g1: Some(G1::SingleByte(SingleByte::Katakana)),
    },
    single_byte("ISO_IR 166", "ISO 2022 IR 166", SingleByte::Thai),
    multi_byte("ISO 2022 IR 87", Some(G0::Jis0208), None),
    multi_byte("ISO 2022 IR 159", Some(G0::Jis0212), None),
    multi_byte("ISO 2022 IR 149", None, Some(G1::Ksx1001)),
    multi_byte("ISO 2022 IR 58", None, Some(G1::Gb2312)),
    without_extensions("ISO_IR 192", G1::Utf8),
    without_extensions("GB18030", G1::Gb18030),
    without_extensions("GBK", G1::Gbk),
    // Not in the tables of the standard's current edition, but in files: Windows' name for Korean.
    without_extensions("CP949", G1::Ksx1001),
];

impl DefinedTerm {
    /// The term as the standard spells it, where it stands alone or among `extended` ones.
    pub(super) fn standard_spelling(&self, extended: bool) -> &'static str {
        match self.plain {
            "CP949" => "ISO 2022 IR 149",
            _ if extended && !self.extended.is_empty() => self.extended,
            plain => plain,
        }
    }

    /// Whether it is of Table C.12-5, which prohibits code extensions.
    pub(super) fn stands_alone(&self) -> bool {
        matches!(self.g1, Some(G1::Utf8 | G1::Gb18030 | G1::Gbk))
    }

    /// Whether it is of Table C.12-4, whose sets are code extensions alone.
    pub(super) fn is_multi_byte(&self) -> bool {
        matches!(self.g0, Some(G0::Jis0208 | G0::Jis0212))
            || matches!(self.g1, Some(G1::Ksx1001 | G1::Gb2312))
    }
}

/// Finds a term in whatever spelling: case, spaces, underscores and hyphens do not count, and some names of
/// other worlds are understood.
pub(super) fn parse(term: &str) -> Option<&'static DefinedTerm> {
    let letters: String =
        term.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let plain = match letters.as_str() {
        "" if term.is_empty() => "ISO_IR 6",
        "ASCII" | "USASCII" => "ISO_IR 6",
        "UTF8" | "UTF" | "UNICODE" => "ISO_IR 192",
        "GBK" | "ISO2022GBK" | "CP936" => "GBK",
        "GB18030" | "ISO2022GB18030" => "GB18030",
        "GB2312" | "ISO2022GB2312" => "ISO 2022 IR 58",
        "EUCKR" | "KSX1001" | "CP949" => "CP949",
        "LATIN1" | "ISO88591" => "ISO_IR 100",
        "ISO88592" => "ISO_IR 101",
        "ISO88593" => "ISO_IR 109",
        "ISO88594" => "ISO_IR 110",
        "ISO88595" => "ISO_IR 144",
        "ISO88596" => "ISO_IR 127",
        "ISO88597" => "ISO_IR 126",
        "ISO88598" => "ISO_IR 138",
        "ISO88599" => "ISO_IR 148",
        "ISO885915" => "ISO_IR 203",
        other => return by_registration(other),
    };
    DEFINED_TERMS.iter().find(|known| known.plain == plain)
}

/// `ISOIR100`, `ISO2022IR100`, `ISO2022100`, `IR100`: by the number in the ISO-IR registry.
fn by_registration(letters: &str) -> Option<&'static DefinedTerm> {
    let rest = letters.strip_prefix("ISO").unwrap_or(letters);
    let rest = rest.strip_prefix("2022").unwrap_or(rest);
    let number = rest.strip_prefix("IR").unwrap_or(rest);
    // ISO-IR 14 is the G0 half of what DICOM calls ISO_IR 13.
    let number = if number == "14" { "13" } else { number };
    if number.len() == letters.len() || number.is_empty() {
        return None;
    }
    DEFINED_TERMS.iter().find(|known| known.plain.rsplit_once(' ').is_some_and(|(_, known)| known == number))
}

/// What the values of (0008,0005) together mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repertoire {
    /// In G0 at the beginning and after a delimiter.
    pub(super) initial_g0: G0,
    /// In G1 at the beginning and after a delimiter, when reading.
    pub(super) initial_g1: G1,
    /// The same when writing: a set that by the standard needs its escape sequence gets it.
    pub(super) written_g1: Option<G1>,
    /// What may be designated by escape sequence, in the order of the terms; empty without code extensions.
    pub(super) extensions: Vec<Designation>,
}

/// A set and the place it is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Designation {
    /// Codes 21H to 7EH.
    G0(G0),
    /// Codes A0H to FFH.
    G1(G1),
}

impl Repertoire {
    pub(super) fn new(terms: &[String]) -> Repertoire {
        let known: Vec<_> = terms.iter().map(|term| parse(term)).collect();
        let first = known.first().copied().flatten().unwrap_or(&DEFINED_TERMS[0]);
        let extended = terms.len() > 1 || is_written_as_extension(terms, first);
        let initial_g0 = match first.g0 {
            Some(G0::Romaji) => G0::Romaji,
            // The multi-byte sets need their escape sequence even where one stands first, against the rules.
            _ => G0::Ascii,
        };
        let declared_g1 = known.iter().flatten().find_map(|term| term.g1);
        let needs_escape = extended && matches!(first.g1, Some(G1::Ksx1001 | G1::Gb2312));
        Repertoire {
            initial_g0,
            initial_g1: first.g1.or(declared_g1).unwrap_or(G1::Undeclared),
            written_g1: if needs_escape { None } else { first.g1 },
            extensions: if extended { extensions(&known) } else { Vec::new() },
        }
    }
}

/// Whether a single term allows escape sequences: one with "2022" in it, or one that is nothing without them.
fn is_written_as_extension(terms: &[String], first: &DefinedTerm) -> bool {
    matches!(first.g0, Some(G0::Jis0208 | G0::Jis0212)) || terms.iter().any(|term| term.contains("2022"))
}

fn extensions(known: &[Option<&'static DefinedTerm>]) -> Vec<Designation> {
    let mut designations = Vec::new();
    // The sets of Table C.12-5 prohibit code extensions: where one leads, there is nothing to switch to.
    if known.first().copied().flatten().is_some_and(|first| first.extended.is_empty()) {
        return designations;
    }
    for term in known.iter().flatten().filter(|term| !term.extended.is_empty()) {
        designations.extend(term.g0.map(Designation::G0));
        designations.extend(term.g1.map(Designation::G1));
    }
    designations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_field_are_the_same_term() {
        for (spelling, plain) in [
            ("ISO-IR 100", "ISO_IR 100"),
            ("ISO IR 100", "ISO_IR 100"),
            ("ISO_IR_100", "ISO_IR 100"),
            ("iso_ir 100", "ISO_IR 100"),
            ("ISO IR100", "ISO_IR 100"),
            ("ISO2022 IR 87", "ISO 2022 IR 87"),
            ("ISO_IR 87", "ISO 2022 IR 87"),
            ("ISO_IR 149", "ISO 2022 IR 149"),
            ("ISO 2022 58", "ISO 2022 IR 58"),
            ("ISO 2022 GBK", "GBK"),
            ("UTF8", "ISO_IR 192"),
            ("utf-8", "ISO_IR 192"),
            ("ISO 2022 IR 192", "ISO_IR 192"),
            ("ISO-8859-1", "ISO_IR 100"),
            ("ISO_IR 14", "ISO_IR 13"),
            ("gb18030", "GB18030"),
        ] {
            assert_eq!(parse(spelling).map(|term| term.plain), Some(plain), "{spelling}");
        }
    }

    #[test]
    fn what_is_no_term_is_unknown() {
        for spelling in ["ISO_IR 999", "100", "ISO", "ISO_IR", "Shift_JIS", "ISO_IR 1000", "\u{5c71}"] {
            assert_eq!(parse(spelling), None, "{spelling}");
        }
    }
}
