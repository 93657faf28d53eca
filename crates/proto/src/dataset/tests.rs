//! Data sets as bytes, as values, as JSON, and back; against another implementation's bytes.

use proptest::prelude::*;

use super::dictionary::uids::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
};
use super::*;
use serde_json::json;

const SYNTAXES: [Uid; 4] = [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
];

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);
const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
const CODE_MEANING: Tag = Tag(0x0008, 0x0104);
const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const PROCEDURE_CODE_SEQUENCE: Tag = Tag(0x0008, 0x1032);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const PATIENT_COMMENTS: Tag = Tag(0x0010, 0x4000);
const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
const FRAME_INCREMENT_POINTER: Tag = Tag(0x0028, 0x0009);
const ROWS: Tag = Tag(0x0028, 0x0010);
const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// The data set of [`sample`] as pydicom 3.0.2 writes it: `write_dataset` to a `DicomBytesIO`, its Pixel Data given in
/// the byte order of the transfer syntax.
const IMPLICIT: &str = "080005000a00000049534f5f495220313030080016001a000000312e322e3834302e31303030382e352e312e342e312e312e3200\
    0800180006000000312e322e330008003010040000004bf66c6e0800321026000000feff00e0160000000800000104000000542d\
    31200800040102000000e920feff00e000000000090010000400000041434d4509000110020000000102100010000a0000004275\
    635e4ae972f46d651000004004000000615c62201800739008000000000000000000f83f20001300020000003720280009000400\
    000018006310280010000200000000022800300008000000302e355c312e3530e07f10000400000001000200";
const EXPLICIT: &str = "0800050043530a0049534f5f4952203130300800160055491a00312e322e3834302e31303030382e352e312e342e312e312e3200\
    0800180055490600312e322e3300080030104c4f04004bf66c6e080032105351000026000000feff00e016000000080000015348\
    0400542d3120080004014c4f0200e920feff00e000000000090010004c4f040041434d45090001104f4200000200000001021000\
    1000504e0a004275635e4ae972f46d65100000404c540400615c62201800739046440800000000000000f83f2000130049530200\
    3720280009004154040018006310280010005553020000022800300044530800302e355c312e3530e07f10004f57000004000000\
    01000200";
const BIG: &str = "000800054353000a49534f5f495220313030000800165549001a312e322e3834302e31303030382e352e312e342e312e312e3200\
    0008001855490006312e322e3300000810304c4f00044bf66c6e000810325351000000000026fffee00000000016000801005348\
    0004542d3120000801044c4f0002e920fffee00000000000000900104c4f000441434d45000910014f4200000000000201020010\
    0010504e000a4275635e4ae972f46d65001040004c540004615c622000189073464400083ff80000000000000020001349530002\
    3720002800094154000400181063002800105553000202000028003044530008302e355c312e35307fe000104f57000000000004\
    00010002";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn sample() -> DataSet {
    let mut item = DataSet::new();
    item.set_text(CODE_VALUE, "T-1");
    item.set_text(CODE_MEANING, "é");
    let mut data_set = DataSet::new();
    data_set.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 100");
    data_set.set_text(SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2");
    data_set.set_uid(SOP_INSTANCE_UID, &Uid::from_static("1.2.3"));
    data_set.set_text(PATIENT_NAME, "Buc^Jérôme");
    data_set.set_text(PATIENT_COMMENTS, "a\\b");
    data_set.set_text(STUDY_DESCRIPTION, "Köln");
    data_set.set_integer(INSTANCE_NUMBER, 7);
    data_set.set_text(PIXEL_SPACING, "0.5\\1.50");
    data_set.set_integer(ROWS, 512);
    data_set.set_text(FRAME_INCREMENT_POINTER, "00181063");
    data_set.set_text(Tag(0x0018, 0x9073), "1.5");
    data_set.set_bytes(PIXEL_DATA, VR::OW, &[1, 0, 2, 0]);
    data_set.set_text(Tag(0x0009, 0x0010), "ACME");
    data_set.set_bytes(Tag(0x0009, 0x1001), VR::OB, &[1, 2]);
    data_set.set_items(PROCEDURE_CODE_SEQUENCE, vec![item, DataSet::new()]);
    data_set
}

#[test]
fn our_bytes_are_those_of_another_implementation_and_are_read_as_what_was_written() {
    for (syntax, hex) in [
        (IMPLICIT_VR_LITTLE_ENDIAN, IMPLICIT),
        (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT),
        (EXPLICIT_VR_BIG_ENDIAN, BIG),
    ] {
        let mut expected = sample();
        assert_eq!(expected.encode(&syntax).unwrap(), bytes(hex), "{syntax}");
        if syntax == IMPLICIT_VR_LITTLE_ENDIAN {
            // Nothing says the VR of a private element.
            expected.set_bytes(Tag(0x0009, 0x1001), VR::UN, &[1, 2]);
        }
        assert_eq!(DataSet::parse(&bytes(hex), &syntax).unwrap(), expected, "{syntax}");
    }
}

#[test]
fn a_deflated_data_set_is_the_explicit_one_deflated_and_even() {
    let deflated = sample().encode(&DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(deflated.len() % 2, 0);
    assert_eq!(DataSet::parse(&deflated, &DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN).unwrap(), sample());
}

#[test]
fn values_are_found_without_their_padding() {
    let data_set = DataSet::parse(&bytes(EXPLICIT), &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(data_set.text(PATIENT_NAME).as_deref(), Some("Buc^Jérôme"));
    assert_eq!(data_set.text(PATIENT_COMMENTS).as_deref(), Some("a\\b"));
    assert_eq!(data_set.texts(PATIENT_COMMENTS), ["a\\b"]);
    assert_eq!(data_set.texts(PIXEL_SPACING), ["0.5", "1.50"]);
    assert_eq!(data_set.text(PIXEL_SPACING).as_deref(), Some("0.5\\1.50"));
    assert_eq!(data_set.integer(INSTANCE_NUMBER), Some(7));
    assert_eq!(data_set.integer(ROWS), Some(512));
    assert_eq!(data_set.uid(SOP_INSTANCE_UID), Some(Uid::from_static("1.2.3")));
    assert_eq!(data_set.text(FRAME_INCREMENT_POINTER).as_deref(), Some("00181063"));
    assert_eq!(data_set.bytes(PIXEL_DATA), Some(vec![1, 0, 2, 0]));
    assert_eq!(data_set.text(PIXEL_DATA).as_deref(), Some("1\\2"));
    assert_eq!(data_set.vr(PIXEL_DATA), Some(VR::OW));
    let items = data_set.items(PROCEDURE_CODE_SEQUENCE).unwrap();
    assert_eq!(items[0].text(CODE_MEANING).as_deref(), Some("é"));
    assert!(items[1].is_empty());
}

#[test]
fn what_is_absent_empty_or_of_another_kind_has_no_value() {
    let mut data_set = sample();
    data_set.set_empty(PATIENT_ID);
    data_set.set_text(PATIENT_NAME, "");
    for tag in [PATIENT_ID, PATIENT_NAME, Tag(0x0010, 0x0030)] {
        assert_eq!((data_set.text(tag), data_set.texts(tag)), (None, vec![]));
        assert_eq!((data_set.uid(tag), data_set.integer(tag)), (None, None));
    }
    assert!(data_set.contains(PATIENT_ID) && !data_set.contains(Tag(0x0010, 0x0030)));
    assert_eq!(data_set.items(PATIENT_ID), None);
    assert_eq!(data_set.text(PROCEDURE_CODE_SEQUENCE), None);
    assert_eq!(data_set.uid(STUDY_DESCRIPTION), None);
    data_set.set_text(ROWS, "many");
    data_set.set_integer(Tag(0x0028, 0x0011), 70_000);
    assert_eq!((data_set.integer(ROWS), data_set.integer(Tag(0x0028, 0x0011))), (None, None));
    data_set.set_empty(PROCEDURE_CODE_SEQUENCE);
    assert_eq!(data_set.items(PROCEDURE_CODE_SEQUENCE), Some(vec![]));
    data_set.remove(PROCEDURE_CODE_SEQUENCE);
    assert!(!data_set.contains(PROCEDURE_CODE_SEQUENCE));
    data_set.copy(PROCEDURE_CODE_SEQUENCE, &sample());
    assert_eq!(data_set.items(PROCEDURE_CODE_SEQUENCE), sample().items(PROCEDURE_CODE_SEQUENCE));
}

#[test]
fn an_item_inherits_the_character_set_or_has_its_own() {
    let mut greek = DataSet::new();
    greek.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 126");
    greek.set_text(CODE_MEANING, "Διονυσιος");
    let mut latin = DataSet::new();
    latin.set_text(CODE_MEANING, "Jérôme");
    let mut data_set = DataSet::new();
    data_set.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 100");
    data_set.set_items(PROCEDURE_CODE_SEQUENCE, vec![greek, latin]);
    for syntax in SYNTAXES {
        let written = data_set.encode(&syntax).unwrap();
        assert_eq!(DataSet::parse(&written, &syntax).unwrap(), data_set);
    }
    let written = data_set.encode(&IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert!(written.windows(6).any(|window| window == b"J\xe9r\xf4me"));
    assert!(written.windows(5).any(|window| window == b"\xc4\xe9\xef\xed\xf5"));
}

#[test]
fn japanese_with_code_extensions_is_read_and_written() {
    // PS3.5 H.3.1, example 1.
    let name = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    let mut written = b"\x08\0\x05\0CS\x10\0\\ISO 2022 IR 87 \x10\0\x10\0PN".to_vec();
    let length = u16::try_from(name.len() + name.len() % 2).unwrap();
    written.extend_from_slice(&length.to_le_bytes());
    written.extend_from_slice(name);
    written.resize(written.len() + name.len() % 2, b' ');
    let data_set = DataSet::parse(&written, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(data_set.text(PATIENT_NAME).as_deref(), Some("Yamada^Tarou=山田^太郎=やまだ^たろう"));
    assert_eq!(data_set.texts(SPECIFIC_CHARACTER_SET), ["", "ISO 2022 IR 87"]);
    assert_eq!(data_set.encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap(), written);
}

#[test]
fn text_that_does_not_fit_makes_the_data_set_utf8_and_says_so() {
    let mut item = DataSet::new();
    item.set_text(CODE_MEANING, "山田");
    for term in [None, Some("ISO_IR 100"), Some("ISO 2022 IR 6\\ISO 2022 IR 149")] {
        let mut data_set = DataSet::new();
        if let Some(term) = term {
            data_set.set_text(SPECIFIC_CHARACTER_SET, term);
        }
        data_set.set_text(PATIENT_NAME, "Jérôme");
        data_set.set_items(PROCEDURE_CODE_SEQUENCE, vec![item.clone()]);
        let written = data_set.encode(&IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let read = DataSet::parse(&written, &IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(read.texts(SPECIFIC_CHARACTER_SET), ["ISO_IR 192"]);
        assert_eq!(read.text(PATIENT_NAME).as_deref(), Some("Jérôme"));
        assert_eq!(read.items(PROCEDURE_CODE_SEQUENCE), Some(vec![item.clone()]));
    }
    // An item with a character set of its own that is too small says so itself.
    item.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 100");
    let mut data_set = DataSet::new();
    data_set.set_items(PROCEDURE_CODE_SEQUENCE, vec![item]);
    let written = data_set.encode(&IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let read = DataSet::parse(&written, &IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert!(!read.contains(SPECIFIC_CHARACTER_SET));
    let item = &read.items(PROCEDURE_CODE_SEQUENCE).unwrap()[0];
    assert_eq!(item.texts(SPECIFIC_CHARACTER_SET), ["ISO_IR 192"]);
    assert_eq!(item.text(CODE_MEANING).as_deref(), Some("山田"));
}

#[test]
fn an_answer_is_in_the_character_sets_of_who_asks_where_they_can_hold_it() {
    let japanese = r"ISO 2022 IR 6\ISO 2022 IR 87";
    for (name, own, asked, expected) in [
        ("Bowen^William", Some("ISO_IR 100"), "ISO_IR 192", None),
        ("Jérôme", None, "ISO_IR 100", Some("ISO_IR 100")),
        ("Jérôme", Some("ISO_IR 192"), "iso-ir 100", Some("ISO_IR 100")),
        ("Jérôme", Some("ISO_IR 100"), "", Some("ISO_IR 100")),
        ("Jérôme", Some("ISO_IR 100"), "NO SUCH SET", Some("ISO_IR 100")),
        ("Jérôme", None, "", Some("ISO_IR 192")),
        ("Jérôme", None, japanese, Some("ISO_IR 192")),
        ("Yamada^Tarou=山田^太郎", None, japanese, Some(japanese)),
        ("Yamada^Tarou=山田^太郎", Some("ISO_IR 100"), "ISO_IR 13", Some("ISO_IR 192")),
        // What the request says and the standard does not allow (PS3.3 C.12.1.1.2).
        ("Bowen^William", Some("ISO_IR 100"), r"ISO_IR 192\ISO 2022 IR 87", None),
        ("Yamada^Tarou=山田^太郎", None, r"ISO_IR 192\ISO 2022 IR 87", Some("ISO_IR 192")),
        ("Jérôme", None, r"ISO_IR 100\GB18030", Some("GB18030")),
        ("Jérôme", Some(r"ISO_IR 100\GB18030"), "", Some("GB18030")),
        ("Yamada^Tarou=山田^太郎", None, "ISO 2022 IR 87", Some(r"\ISO 2022 IR 87")),
    ] {
        let mut data_set = DataSet::new();
        if let Some(own) = own {
            data_set.set_text(SPECIFIC_CHARACTER_SET, own);
        }
        data_set.set_text(PATIENT_NAME, name);
        let asked = CharacterSets::from_defined_terms(asked.split('\\'));
        let written = data_set.encode_for(&EXPLICIT_VR_LITTLE_ENDIAN, &asked).unwrap();
        let read = DataSet::parse(&written, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(read.text(SPECIFIC_CHARACTER_SET).as_deref(), expected, "{name} {own:?} {asked:?}");
        assert_eq!(read.text(PATIENT_NAME).as_deref(), Some(name));
        assert_eq!(written.len() % 2, 0);
    }
}

#[test]
fn a_list_of_5000_uids_is_un_in_explicit_vr_and_read_as_uids() {
    let uids: Vec<Uid> = (0..5000).map(|n| Uid::new(format!("1.2.840.99999.{n}")).unwrap()).collect();
    let mut data_set = DataSet::new();
    data_set.set_uids(FAILED_SOP_INSTANCE_UID_LIST, &uids);
    for syntax in SYNTAXES {
        let written = data_set.encode(&syntax).unwrap();
        let read = DataSet::parse(&written, &syntax).unwrap();
        assert_eq!(read.uids(FAILED_SOP_INSTANCE_UID_LIST), uids, "{syntax}");
    }
    let written = data_set.encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(written[..8], *b"\x08\0\x58\0UN\0\0");
    assert_eq!(u32::from_le_bytes(written[8..12].try_into().unwrap()) as usize, written.len() - 12);
}

#[test]
fn a_private_sequence_and_an_unknown_vr_keep_what_is_in_them() {
    let mut item = DataSet::new();
    item.set_text(PATIENT_ID, "1");
    let mut data_set = DataSet::new();
    data_set.set_items(Tag(0x0009, 0x1002), vec![item]);
    for syntax in SYNTAXES {
        let written = data_set.encode(&syntax).unwrap();
        assert_eq!(DataSet::parse(&written, &syntax).unwrap(), data_set);
    }
    let unknown = b"\x09\0\x03\x10ZZ\0\0\x03\0\0\0abc\x09\0\x04\x10??\x02\0de";
    let read = DataSet::parse(unknown, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(read.bytes(Tag(0x0009, 0x1003)).as_deref(), Some(&b"abc\0"[..]));
    assert_eq!(read.bytes(Tag(0x0009, 0x1004)).as_deref(), Some(&b"de"[..]));
}

#[test]
fn a_uid_with_the_vr_of_bytes_is_still_a_uid() {
    let written = b"\x08\0\x16\0OB\0\0\x04\0\0\x001.2\0\x08\0\x18\0UN\0\0\x06\0\0\x001.2.3\0";
    let read = DataSet::parse(written, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(read.uid(SOP_CLASS_UID), Some(Uid::from_static("1.2")));
    assert_eq!(read.uid(SOP_INSTANCE_UID), Some(Uid::from_static("1.2.3")));
}

const JPEG_BASELINE: Uid = Uid::from_static("1.2.840.10008.1.2.4.50");

#[test]
fn fragments_are_kept() {
    let written = [
        &b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"[..],
        b"\xfe\xff\0\xe0\x04\0\0\0\0\0\0\0",
        b"\xfe\xff\0\xe0\x04\0\0\0abcd",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
    ]
    .concat();
    let read = DataSet::parse(&written, &JPEG_BASELINE).unwrap();
    assert_eq!(read.encode(&JPEG_BASELINE).unwrap(), written);
    assert_eq!(read.to_json(), json!({"7FE00010": {"vr": "OB"}}));
}

#[test]
fn json_is_the_dicom_json_model_and_is_read_back() {
    let mut data_set = sample();
    data_set.set_text(PATIENT_NAME, "Yamada^Tarou=山田^太郎\\\\=山田");
    data_set.set_text(PATIENT_ID, "");
    data_set.set_text(Tag(0x0008, 0x0061), "CT\\\\MR");
    let json = data_set.to_json();
    assert_eq!(
        json,
        json!({
            "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
            "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3"]},
            "00080061": {"vr": "CS", "Value": ["CT", null, "MR"]},
            "00081030": {"vr": "LO", "Value": ["Köln"]},
            "00081032": {"vr": "SQ", "Value": [
                {"00080100": {"vr": "SH", "Value": ["T-1"]}, "00080104": {"vr": "LO", "Value": ["é"]}},
                {}
            ]},
            "00090010": {"vr": "LO", "Value": ["ACME"]},
            "00091001": {"vr": "OB", "InlineBinary": "AQI="},
            "00100010": {"vr": "PN", "Value": [
                {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, null, {"Ideographic": "山田"}
            ]},
            "00100020": {"vr": "LO"},
            "00104000": {"vr": "LT", "Value": ["a\\b"]},
            "00189073": {"vr": "FD", "Value": [1.5]},
            "00200013": {"vr": "IS", "Value": ["7"]},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00280010": {"vr": "US", "Value": [512]},
            "00280030": {"vr": "DS", "Value": ["0.5", "1.50"]},
            "7FE00010": {"vr": "OW", "InlineBinary": "AQACAA=="}
        })
    );
    assert_eq!(DataSet::from_json(&json).unwrap(), data_set);
}

#[test]
fn json_that_is_no_data_set_is_an_error() {
    for json in [
        json!([]),
        json!({"0010": {"vr": "LO"}}),
        json!({"PatientName": {"vr": "PN"}}),
        json!({"00100010": {"vr": "QQ"}}),
        json!({"00280010": {"vr": "US", "Value": [70_000]}}),
        json!({"00081032": {"vr": "SQ", "Value": [1]}}),
    ] {
        assert!(matches!(DataSet::from_json(&json), Err(DataSetError::Malformed(_))), "{json}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    // Without what is padding at the ends of a value.
    "[a-zA-Z0-9äéç山田 ]{0,20}".prop_map(|text| text.trim().to_owned())
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_every_transfer_syntax(
        name in any_text(),
        comments in any_text(),
        rows in any::<u16>(),
        pixels in proptest::collection::vec(any::<u8>(), 0..20),
        which in 0_usize..4,
    ) {
        let mut item = DataSet::new();
        item.set_text(CODE_MEANING, &name);
        let mut data_set = DataSet::new();
        data_set.set_text(SPECIFIC_CHARACTER_SET, "ISO_IR 192");
        data_set.set_text(PATIENT_NAME, &name);
        data_set.set_text(PATIENT_COMMENTS, &comments);
        data_set.set_integer(ROWS, i64::from(rows));
        data_set.set_items(PROCEDURE_CODE_SEQUENCE, vec![item]);
        data_set.set_bytes(PIXEL_DATA, VR::OW, &pixels[..pixels.len() / 2 * 2]);
        let written = data_set.encode(&SYNTAXES[which]).unwrap();
        prop_assert_eq!(written.len() % 2, 0);
        prop_assert_eq!(&DataSet::parse(&written, &SYNTAXES[which]).unwrap(), &data_set);
        prop_assert_eq!(DataSet::from_json(&data_set.to_json()).unwrap(), data_set);
    }
}
