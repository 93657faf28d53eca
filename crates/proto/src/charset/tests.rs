//! The examples of PS3.5, pydicom's files, what peers get wrong, and both ways for any text.

use proptest::prelude::*;
use serde_json::Value;

use super::{CharacterSets, TextKind};
use crate::dataset::{DataSet, FileMeta, Tag, dictionary};

const FILES: &str = include_str!("../../../../testdata/charset/files.json");
const TERMS: &str = include_str!("../../../../testdata/charset/terms.json");

fn sets(joined: &str) -> CharacterSets {
    CharacterSets::from_defined_terms(joined.split('\\'))
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

struct Sample {
    sets: CharacterSets,
    kind: TextKind,
    bytes: Vec<u8>,
    text: String,
}

impl Sample {
    fn of(json: &Value) -> Sample {
        let terms: Vec<&str> =
            json["terms"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let kind = match json["kind"].as_str().unwrap() {
            "person_name" => TextKind::PersonName,
            "values" => TextKind::Values,
            _ => TextKind::Text,
        };
        Sample {
            sets: CharacterSets::from_defined_terms(terms),
            kind,
            bytes: hex(json["bytes"].as_str().unwrap()),
            text: json["text"].as_str().unwrap().to_owned(),
        }
    }
}

#[test]
fn reads_the_files_of_pydicom_as_pydicom_does() {
    let files: Value = serde_json::from_str(FILES).unwrap();
    let files = files.as_object().unwrap();
    assert_eq!(files.len(), 17);
    for (name, elements) in files {
        for element in elements.as_array().unwrap() {
            let sample = Sample::of(element);
            let decoded = sample.sets.decode(&sample.bytes, sample.kind);
            // pydicom drops padding, and empty component groups at the end of a name.
            assert_eq!(
                decoded.trim_end_matches([' ', '\0', '=']),
                sample.text,
                "{name} {}",
                element["element"]
            );
        }
    }
}

/// The files themselves, through the reader of data sets, and what it writes read once more.
#[test]
fn a_data_set_has_the_text_of_its_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/charset");
    let files: Value = serde_json::from_str(FILES).unwrap();
    for (name, elements) in files.as_object().unwrap() {
        let file = std::fs::read(format!("{folder}/{name}")).unwrap();
        let (meta, offset) = FileMeta::read(&mut file.as_slice()).unwrap();
        let data_set = DataSet::parse(&file[offset as usize..], &meta.transfer_syntax).unwrap();
        let written = data_set.encode(&meta.transfer_syntax).unwrap();
        let again = DataSet::parse(&written, &meta.transfer_syntax).unwrap();
        for element in elements.as_array().unwrap() {
            for data_set in [&data_set, &again] {
                let (data_set, tag) = item_of(data_set, element["element"].as_str().unwrap());
                let text = data_set.text(tag).unwrap();
                let expected = element["text"].as_str().unwrap();
                assert_eq!(text.trim_end_matches('='), expected, "{name} {}", element["element"]);
            }
        }
    }
}

/// Follows a path such as `0032,1064[0].0008,0104`.
fn item_of(data_set: &DataSet, path: &str) -> (DataSet, Tag) {
    let mut data_set = data_set.clone();
    let mut steps = path.split('.').peekable();
    loop {
        let step = steps.next().unwrap();
        let Some((sequence, item)) = step.split_once('[') else {
            return (data_set, dictionary::tag_of(step).unwrap());
        };
        let item: usize = item.trim_end_matches(']').parse().unwrap();
        data_set = data_set.items(dictionary::tag_of(sequence).unwrap()).unwrap().swap_remove(item);
    }
}

#[test]
fn every_defined_term_is_read_and_written() {
    let samples: Value = serde_json::from_str(TERMS).unwrap();
    for json in samples.as_array().unwrap() {
        let sample = Sample::of(json);
        let Sample { sets, kind, text, .. } = &sample;
        assert!(sets.is_known(), "{sets:?}");
        assert_eq!(&sets.decode(&sample.bytes, *kind), text, "{:?}", sets.defined_terms());
        let written = sets.encode(text, *kind).unwrap();
        assert_eq!(&sets.decode(&written, *kind), text, "{:?}", sets.defined_terms());
    }
}

#[test]
fn writes_the_examples_of_the_standard_byte_for_byte() {
    let samples: [(&str, &str, &[u8]); 5] = [
        (
            r"\ISO 2022 IR 87",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        ),
        (
            r"ISO 2022 IR 13\ISO 2022 IR 87",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        ),
        (
            r"\ISO 2022 IR 149",
            "Hong^Gildong=洪^吉洞=홍^길동",
            b"Hong^Gildong=\x1b$)C\xFB\xF3^\x1b$)C\xD1\xCE\xD4\xD7=\x1b$)C\xC8\xAB^\x1b$)C\xB1\xE6\xB5\xBF",
        ),
        (
            r"\ISO 2022 IR 58",
            "Zhang^XiaoDong=张^小东",
            b"Zhang^XiaoDong=\x1b$)A\xD5\xC5^\x1b$)A\xD0\xA1\xB6\xAB",
        ),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東".as_bytes()),
    ];
    for (terms, text, bytes) in samples {
        assert_eq!(sets(terms).encode(text, TextKind::PersonName).unwrap(), bytes, "{terms}");
        assert_eq!(sets(terms).decode(bytes, TextKind::PersonName), text, "{terms}");
    }
}

#[test]
fn who_reads_one_set_at_a_time_reads_what_is_written_in_two() {
    // Katakana stand in G1 all the time, and are named again once kanji have stood in G0; so with an accented letter.
    let samples: [(&str, &str, &[u8]); 4] = [
        (r"ISO 2022 IR 13\ISO 2022 IR 87", "検査ﾃｽﾄ", b"\x1b$B8!::\x1b(J\x1b)I\xC3\xBD\xC4"),
        (r"ISO 2022 IR 13\ISO 2022 IR 87", "検査 ﾃ\\ﾃ", b"\x1b$B8!::\x1b(J \x1b)I\xC3\\\xC3"),
        (r"ISO 2022 IR 100\ISO 2022 IR 87", "é検査é", b"\xE9\x1b$B8!::\x1b(B\x1b-A\xE9"),
        (r"\ISO 2022 IR 149\ISO 2022 IR 87", "길検길", b"\x1b$)C\xB1\xE6\x1b$B8!\x1b(B\x1b$)C\xB1\xE6"),
    ];
    for (terms, text, bytes) in samples {
        assert_eq!(sets(terms).encode(text, TextKind::Values).unwrap(), bytes, "{terms}");
        assert_eq!(sets(terms).decode(bytes, TextKind::Values), text, "{terms}");
    }
}

#[test]
fn c1_codes_are_not_those_of_windows() {
    assert_eq!(sets("ISO_IR 100").decode(b"\x80\x93", TextKind::Values), "\u{80}\u{93}");
    assert_eq!(sets("ISO_IR 148").decode(b"\x8A\xFD", TextKind::Values), "\u{8A}ı");
    assert!(sets("ISO_IR 100").encode("€", TextKind::Values).is_err());
}

#[test]
fn code_extensions_end_at_delimiters_and_control_characters() {
    let sets = sets(r"ISO 2022 IR 100\ISO 2022 IR 144");
    let latin_after = |bytes: &[u8], kind| sets.decode(bytes, kind).ends_with("\u{E9}");
    for delimiter in [b'^', b'=', b'\\'] {
        let bytes = [b"\x1b-L\xB8", &[delimiter][..], b"\xE9"].concat();
        assert!(latin_after(&bytes, TextKind::PersonName), "{}", char::from(delimiter));
    }
    assert!(latin_after(b"\x1b-L\xB8\\\xE9", TextKind::Values));
    assert!(!latin_after(b"\x1b-L\xB8^\xE9", TextKind::Values));
    assert!(!latin_after(b"\x1b-L\xB8\\\xE9", TextKind::Text));
    for control in [b'\r', b'\n', 0x0C, b'\t'] {
        let bytes = [b"\x1b-L\xB8", &[control][..], b"\xE9"].concat();
        assert!(latin_after(&bytes, TextKind::Text), "{control:02X}");
    }
}

#[test]
fn a_delimiter_inside_a_character_splits_nothing() {
    // Second bytes 5CH in GB18030 and GBK, and in JIS X 0208 both 5CH and 5EH.
    assert_eq!(
        sets("GB18030").decode_values(b"\x82\x5C\\\x96\x5E", TextKind::Values),
        ["俓", "朸"].map(str::to_owned).to_vec()
    );
    assert_eq!(sets("GBK").decode_values(b"\xD5\x5C", TextKind::PersonName), ["誠"]);
    let jis = sets(r"\ISO 2022 IR 87").decode_values(b"\x1b$B0\\0^\x1b(B\\A", TextKind::PersonName);
    assert_eq!(jis.len(), 2);
    assert_eq!(jis[0].chars().count(), 2);
    assert_eq!(jis[1], "A");
}

#[test]
fn a_text_is_one_value_and_an_empty_element_none() {
    assert_eq!(sets("").decode_values(b"a\\b", TextKind::Text), ["a\\b"]);
    assert_eq!(sets("").decode_values(b"a\\b\\", TextKind::Values), ["a", "b", ""]);
    assert!(sets("").decode_values(b"", TextKind::Values).is_empty());
}

#[test]
fn sets_declared_in_the_wrong_words_are_read() {
    assert_eq!(sets("ISO-IR 100").decode(b"J\xE9r\xF4me", TextKind::Values), "Jérôme");
    assert_eq!(sets("ISO_IR 149").decode(b"\xB1\xE8\xC8\xF1\xC1\xDF", TextKind::Values), "김희중");
    assert_eq!(sets("ISO 2022 IR 149").decode(b"\x1b$)C\xB1\xE8", TextKind::Values), "김");
    assert_eq!(sets(r"\ISO 2022 IR 149").decode(b"\xB1\xE8\xC8\xF1", TextKind::Values), "김희");
    assert_eq!(sets("ISO 2022 IR 87").decode(b"\x1b$B;3ED\x1b(B", TextKind::Values), "山田");
    assert_eq!(sets("ISO_IR 13").decode(b"\xD4\xCF=\x1b$B;3ED\x1b(J", TextKind::PersonName), "ﾔﾏ=山田");
    assert_eq!(sets("utf8").decode("山田".as_bytes(), TextKind::Values), "山田");
    assert_eq!(sets(r"ISO_IR 100\ISO_IR 144").decode(b"\xE9\x1b-L\xB8", TextKind::Values), "éИ");
    // GBK under the name of GB 2312, and Microsoft's extension of KS X 1001.
    assert_eq!(sets(r"\ISO 2022 IR 58").decode(b"\x1b$)A\xD5\x4C", TextKind::Values), "誏");
    assert_eq!(sets(r"\ISO 2022 IR 149").decode(b"\x1b$)C\x8C\x63", TextKind::Values), "똠");
}

#[test]
fn undeclared_bytes_are_guessed_and_not_dropped() {
    for terms in ["", "ISO_IR 6", "NO_SUCH 1"] {
        assert_eq!(sets(terms).decode(b"M\xFCller", TextKind::Values), "Müller");
        assert_eq!(sets(terms).decode("Müller".as_bytes(), TextKind::Values), "Müller");
    }
}

#[test]
fn escape_sequences_are_never_left_in_the_text_nor_take_text_with_them() {
    for terms in ["", "ISO_IR 100", "ISO_IR 192", "GB18030", r"\ISO 2022 IR 58", r"\ISO 2022 IR 149"] {
        let sets = sets(terms);
        for (bytes, text) in [
            (&b"a\x1b$)Ab"[..], "ab"),
            (b"a\x1b(Bb", "ab"),
            (b"a\x1b%/Ib", "ab"),
            (b"a\x1b", "a"),
            (b"a\x1b\x1b\x1b(Bb", "ab"),
            (b"a\x1b$", "a$"),
            (b"a\x1b[31mb", "a[31mb"),
            (b"\x1b$B;3ED\x1b(Bb", "山田b"),
        ] {
            assert_eq!(sets.decode(bytes, TextKind::Values), text, "{terms} {bytes:?}");
        }
    }
}

#[test]
fn a_forgotten_switch_back_does_not_eat_the_delimiter() {
    let text = sets(r"\ISO 2022 IR 87").decode(b"\x1b$B;3ED^\x1b$BB@O:=\x1b(B", TextKind::PersonName);
    assert_eq!(text, "山田^太郎=");
}

#[test]
fn broken_characters_become_replacement_characters_and_the_text_after_them_stays() {
    for (terms, bytes) in [
        (r"\ISO 2022 IR 149", &b"\x1b$)C\xB1"[..]),
        ("GB18030", b"\x82"),
        ("GB18030", b"\xFF"),
        ("GBK", b"\x82"),
        ("ISO_IR 192", b"\xE5\xB1"),
        ("ISO_IR 13", b"\xFF"),
        ("ISO_IR 127", b"\xA1"),
    ] {
        let with_text = [bytes, b" ABC"].concat();
        assert_eq!(sets(terms).decode(&with_text, TextKind::Values), "\u{FFFD} ABC", "{terms}");
        assert_eq!(sets(terms).decode(bytes, TextKind::Values), "\u{FFFD}", "{terms}");
    }
}

#[test]
fn yen_sign_and_overline_are_written_where_they_can_be_read() {
    let katakana = sets("ISO_IR 13");
    assert_eq!(katakana.encode("\u{A5}100", TextKind::Text).unwrap(), b"\\100");
    assert_eq!(katakana.decode(b"\\100~", TextKind::Text), "\u{A5}100\u{203E}");
    assert!(katakana.encode("\u{A5}100", TextKind::Values).is_err());
    assert_eq!(katakana.encode("A\\B", TextKind::Values).unwrap(), b"A\\B");
    assert!(katakana.encode("~", TextKind::Values).is_err());
}

#[test]
fn what_fits_is_chosen() {
    let fitting = |asked: &str, text: &str| {
        sets(asked).fitting([(text, TextKind::PersonName)]).defined_terms().join("\\")
    };
    assert_eq!(fitting("ISO_IR 100", "Bowen^William^^Dr"), "");
    assert_eq!(fitting("iso-ir 100", "Müller"), "ISO_IR 100");
    assert_eq!(fitting("ISO_IR 100", "山田"), "ISO_IR 192");
    assert_eq!(fitting("", "Müller"), "ISO_IR 192");
    assert_eq!(fitting(r"\ISO 2022 IR 87", "Yamada=山田"), r"\ISO 2022 IR 87");
    assert_eq!(fitting("GB18030", "𠀀"), "GB18030");
    assert_eq!(fitting(r"ISO_IR 100\NO SUCH SET", "Müller"), "ISO_IR 192");
    let error = sets("ISO_IR 100").encode("山田", TextKind::PersonName).unwrap_err();
    assert_eq!(error.to_string(), "a character cannot be written in 'ISO_IR 100'");
}

#[test]
fn sets_that_may_not_stand_together_are_made_such_as_may() {
    for (terms, legal) in [
        ("", ""),
        ("ISO 2022 IR 100", "ISO_IR 100"),
        (r"ISO_IR 100\ISO_IR 144", r"ISO 2022 IR 100\ISO 2022 IR 144"),
        (r"\ISO 2022 IR 87", r"\ISO 2022 IR 87"),
        (r"ISO_IR 192\ISO 2022 IR 87", "ISO_IR 192"),
        (r"\ISO_IR 192", "ISO_IR 192"),
        (r"ISO 2022 IR 6\GB18030", "GB18030"),
        (r"GBK\ISO_IR 100", "GBK"),
        ("ISO 2022 IR 87", r"\ISO 2022 IR 87"),
        (r"ISO 2022 IR 149\ISO_IR 100", r"\ISO 2022 IR 149\ISO 2022 IR 100"),
        ("EUC-KR", r"\ISO 2022 IR 149"),
        (r"ISO_IR 100\", "ISO_IR 100"),
    ] {
        let normalised = sets(terms).normalised();
        assert_eq!(normalised.defined_terms().join("\\"), legal, "{terms}");
        assert_eq!(normalised.normalised(), normalised);
    }
}

const ALL: [&str; 24] = [
    "",
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 144",
    "ISO_IR 127",
    "ISO_IR 126",
    "ISO_IR 138",
    "ISO_IR 148",
    "ISO_IR 203",
    "ISO_IR 13",
    "ISO_IR 166",
    "ISO_IR 192",
    "GB18030",
    "GBK",
    "ISO_IR 149",
    r"\ISO 2022 IR 87",
    r"\ISO 2022 IR 149",
    r"\ISO 2022 IR 58",
    r"ISO 2022 IR 13\ISO 2022 IR 87\ISO 2022 IR 159",
    r"ISO 2022 IR 100\ISO 2022 IR 144\ISO 2022 IR 126\ISO 2022 IR 58\ISO 2022 IR 149\ISO 2022 IR 87",
    r"ISO 2022 IR 149\ISO 2022 IR 203\ISO 2022 IR 13",
    r"\ISO_IR 192",
];

fn any_sets() -> impl Strategy<Value = CharacterSets> {
    proptest::sample::select(&ALL[..]).prop_map(sets)
}

fn any_kind() -> impl Strategy<Value = TextKind> {
    proptest::sample::select(vec![TextKind::Values, TextKind::PersonName, TextKind::Text])
}

/// Bytes in which escape sequences and delimiters are common.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        proptest::sample::select(vec![
            &b"\x1b$B"[..],
            b"\x1b(B",
            b"\x1b(J",
            b"\x1b$(D",
            b"\x1b$)C",
            b"\x1b$)A",
            b"\x1b-L",
            b"\x1b)I",
            b"\x1b",
            b"\\",
            b"^",
            b"=",
            b"\r\n",
            b"\x82\x5C",
            b"\x81\x30\x81\x30",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Text of the scripts that the sets have, so that much of it can be encoded.
fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            proptest::char::range(' ', '~'),
            proptest::sample::select(
                "éßŁőĦĢЖώأשİŒ€ﾔﾞส山田太郎やマ洪吉洞홍길동张小东丂丄誠¥‾〜−‖·—―~\\^=\r\n\t\u{85}"
                    .chars()
                    .collect::<Vec<_>>()
            ),
            any::<char>(),
        ],
        0..20,
    )
    .prop_map(|characters| characters.into_iter().filter(|&character| character != '\u{1B}').collect())
}

proptest! {
    #[test]
    fn decoding_never_fails_and_leaves_no_escape(sets in any_sets(), kind in any_kind(), bytes in hostile_bytes()) {
        let text = sets.decode(&bytes, kind);
        prop_assert_eq!(text.find('\u{1B}'), None);
        sets.decode_values(&bytes, kind);
    }

    #[test]
    fn terms_of_any_shape_are_harmless(terms in proptest::collection::vec(".{0,20}", 0..4), bytes in hostile_bytes()) {
        let sets = CharacterSets::from_defined_terms(terms.iter().map(String::as_str));
        sets.decode(&bytes, TextKind::PersonName);
        let _ = sets.encode("山田", TextKind::PersonName);
    }

    #[test]
    fn what_is_written_is_read_back(sets in any_sets(), kind in any_kind(), text in any_text()) {
        let chosen = sets.fitting([(text.as_str(), kind)]);
        prop_assert_eq!(chosen.normalised(), chosen.clone());
        prop_assert_eq!(chosen.decode(&chosen.encode(&text, kind).unwrap(), kind), text.clone());
        if let Ok(bytes) = sets.encode(&text, kind) {
            prop_assert_eq!(sets.decode(&bytes, kind), text);
        }
    }
}

/// Every character that a set can write at all is read back, alone and beside ASCII.
#[test]
fn every_character_of_every_set_is_read_back() {
    for terms in ALL.iter().filter(|terms| !terms.contains("192")) {
        let sets = sets(terms);
        let mut count = 0;
        for character in ('\0'..='\u{FFFF}').filter(|&character| character != '\u{1B}') {
            let text = format!("a{character}b");
            if let Ok(bytes) = sets.encode(&text, TextKind::Text) {
                assert_eq!(sets.decode(&bytes, TextKind::Text), text, "{terms} {:04X}", u32::from(character));
                count += 1;
            }
        }
        assert!(count >= 126, "{terms}: {count}");
    }
}
