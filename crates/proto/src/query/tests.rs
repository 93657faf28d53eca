//! Keys to identifiers, identifiers to matching, and what matches what.

use proptest::prelude::*;

use super::*;
use crate::dataset::VR;
use crate::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
const OPERATORS_NAME: Tag = Tag(0x0008, 0x1070);
const STUDY_ID: Tag = Tag(0x0020, 0x0010);
const STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);
const STEP_START_DATE: Tag = Tag(0x0040, 0x0002);

fn query(keys: &[&str]) -> Query {
    query_in(Model::StudyRoot, Level::Study, keys)
}

fn query_in(model: Model, level: Level, keys: &[&str]) -> Query {
    keys.iter().try_fold(Query::new(model, level), |query, key| query.key(key)).unwrap()
}

fn error(key: &str) -> String {
    Query::new(Model::StudyRoot, Level::Study).key(key).unwrap_err().to_string()
}

fn data_set(elements: &[(Tag, &str)]) -> DataSet {
    let mut data_set = DataSet::new();
    for (tag, text) in elements {
        data_set.set_text(*tag, text);
    }
    data_set
}

#[test]
fn every_way_to_write_a_tag_is_the_same_key() {
    let by_keyword = query(&["PatientName=Bowen*"]);
    for key in ["0010,0010=Bowen*", "(0010,0010)=Bowen*", "00100010=Bowen*", " PatientName =Bowen*"] {
        assert_eq!(query(&[key]), by_keyword, "{key}");
    }
    assert_eq!(by_keyword.keys.text(PATIENT_NAME).as_deref(), Some("Bowen*"));
}

#[test]
fn a_name_is_split_at_the_first_equals_sign_only() {
    let query = query(&["PatientName=Yamada^Tarou=山田^太郎"]);
    assert_eq!(query.keys.text(PATIENT_NAME).as_deref(), Some("Yamada^Tarou=山田^太郎"));
}

#[test]
fn a_bare_key_and_an_empty_value_ask_for_the_value() {
    for key in ["StudyDate", "StudyDate="] {
        let query = query(&[key]);
        assert!(query.keys.contains(STUDY_DATE));
        assert_eq!(query.keys.text(STUDY_DATE), None);
    }
}

#[test]
fn a_key_that_is_given_twice_is_an_error_and_takes_no_ones_place() {
    for keys in [
        ["PatientName=B*", "PatientName"],
        ["PatientName", "PatientName=B*"],
        ["PatientName=B*", "0010,0010=C*"],
        ["PatientName", "PatientName"],
        ["ScheduledProcedureStepSequence.Modality=CT", "ScheduledProcedureStepSequence[0].Modality"],
    ] {
        let first = Query::new(Model::StudyRoot, Level::Study).key(keys[0]).unwrap();
        let error = first.key(keys[1]).unwrap_err();
        assert_eq!(error, KeyError::Repeated(keys[1].split('=').next().unwrap().to_owned()));
    }
}

#[test]
fn a_backslash_makes_a_list() {
    let query = query(&[r"StudyInstanceUID=1.2\1.3", r"ModalitiesInStudy=CT\MR"]);
    assert_eq!(query.keys.uids(STUDY_INSTANCE_UID).len(), 2);
    assert_eq!(query.keys.texts(Tag(0x0008, 0x0061)), ["CT", "MR"]);
}

#[test]
fn keys_of_one_item_come_together_in_it() {
    let worklist = query_in(
        Model::Worklist,
        Level::Study,
        &[
            "ScheduledProcedureStepSequence[0].Modality=CT",
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240131",
            "0040,0100.ScheduledStationAETitle",
            "ScheduledProcedureStepSequence",
            "RequestedProcedureCodeSequence",
        ],
    );
    let items = worklist.keys.items(STEP_SEQUENCE).unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].text(MODALITY).as_deref(), Some("CT"));
    assert_eq!(items[0].text(STEP_START_DATE).as_deref(), Some("20240131"));
    assert!(items[0].contains(Tag(0x0040, 0x0001)));
    assert_eq!(worklist.keys.items(Tag(0x0032, 0x1064)).unwrap(), []);
    assert_eq!(worklist.find_sop_class().as_str(), "1.2.840.10008.5.1.4.31");
    assert!(!worklist.identifier().contains(QUERY_RETRIEVE_LEVEL));
}

#[test]
fn numbers_of_binary_elements_are_numbers() {
    assert_eq!(query(&["Rows=512"]).keys.integer(Tag(0x0028, 0x0010)), Some(512));
    assert!(error("Rows=70000").contains("an integer from 0 to 65535"));
}

#[test]
fn what_is_wrong_with_a_key_is_said_with_its_name() {
    for (key, message) in [
        ("PatientNam=x", "'PatientNam' is neither a keyword"),
        ("=x", "'' is not a path"),
        ("Seq[.Modality", "'Seq[.Modality' is not a path"),
        ("ScheduledProcedureStepSequence[1].Modality", "is not a path"),
        ("ScheduledProcedureStepSequence[0]", "is not a path"),
        ("PatientName.Modality=CT", "'PatientName.Modality' is not a path"),
        ("ScheduledProcedureStepSequence=x", "a sequence has keys in its item"),
        ("StudyDate=2024-01-31", "'2024-01-31' is no value for StudyDate: a date is YYYYMMDD"),
        ("StudyDate=2024*", "wildcards are not for this VR"),
        ("StudyDate=20240101 - 20240131", "a range has no spaces around its hyphen"),
        ("StudyTime=25", "a time is HHMMSS"),
        ("StudyInstanceUID=1.2.*", "wildcards are not for UIDs"),
        ("StudyInstanceUID=1..2", "'1..2' is no value for StudyInstanceUID: the UID has an empty component"),
        (r"StudyInstanceUID=1.2\", "the UID is empty"),
        ("InstanceNumber=1a", "'1a' is no value for InstanceNumber: an integer"),
        ("PatientAge=45", "an age is three digits"),
        ("PatientWeight=heavy", "a decimal number"),
        ("PixelData=x", "can be asked for but not matched"),
        ("PatientName=a\x1b[31m", "it has a control character"),
        ("QueryRetrieveLevel=WORLD", "PATIENT, STUDY, SERIES, IMAGE"),
    ] {
        let error = error(key);
        assert!(error.contains(message), "{key}: {error}");
    }
    let deep = format!("{}Modality=CT", "ScheduledProcedureStepSequence.".repeat(1_000));
    assert!(error(&deep).contains("is not a path"));
}

#[test]
fn dates_times_and_ranges_are_kept_as_written() {
    for key in ["StudyDate=20240101-", "StudyDate=2024.01.31", "StudyTime=-1030", "AcquisitionDateTime=2024-"]
    {
        let value = key.split_once('=').unwrap().1;
        let query = query(&[key]);
        let tag = query.keys.tags().next().unwrap();
        assert_eq!(query.keys.text(tag).as_deref(), Some(value));
    }
}

#[test]
fn a_key_can_set_the_level() {
    assert_eq!(query(&["QueryRetrieveLevel=SERIES"]).level, Level::Series);
}

#[test]
fn an_identifier_names_the_character_set_that_its_values_need() {
    let set = |keys: &[&str]| {
        let identifier = query(keys).identifier();
        assert_eq!(identifier.text(QUERY_RETRIEVE_LEVEL).as_deref(), Some("STUDY"));
        assert!(identifier.contains(SPECIFIC_CHARACTER_SET));
        identifier.text(SPECIFIC_CHARACTER_SET)
    };
    assert_eq!(set(&["PatientName=Bowen*"]), None);
    assert_eq!(set(&["PatientName=Müller*"]).as_deref(), Some("ISO_IR 192"));
    assert_eq!(
        set(&["SpecificCharacterSet=ISO_IR 100", "PatientName=Müller*"]).as_deref(),
        Some("ISO_IR 100")
    );
    assert_eq!(set(&["SpecificCharacterSet=ISO_IR 100", "PatientName=山田*"]).as_deref(), Some("ISO_IR 192"));
    let japanese = set(&[r"SpecificCharacterSet=\ISO 2022 IR 87", "PatientName=*=山田*"]);
    assert_eq!(japanese.as_deref(), Some(r"\ISO 2022 IR 87"));
    let nested = set(&["ReferencedStudySequence.PatientName=山田", "PatientName=Yamada"]);
    assert_eq!(nested.as_deref(), Some("ISO_IR 192"));
}

#[test]
fn a_retrieve_identifier_has_the_level_and_unique_keys_alone() {
    let query = query_in(
        Model::StudyRoot,
        Level::Series,
        &["StudyInstanceUID=1.2", r"SeriesInstanceUID=1.2.3\1.2.4", "PatientName=Bowen*"],
    );
    let identifier = query.retrieve_identifier();
    let tags: Vec<Tag> = identifier.tags().collect();
    assert_eq!(tags, [QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID]);
    assert_eq!(Query::from_retrieve_identifier(Model::StudyRoot, &identifier).unwrap().level, Level::Series);
}

#[test]
fn a_query_is_read_back_from_its_identifier_over_the_wire() {
    for keys in [
        vec!["PatientName=Yamada^Tarou=山田^太郎", "StudyDate=20240101-20240131", "StudyID"],
        vec![r"SpecificCharacterSet=\ISO 2022 IR 87", "PatientName=*=山田*"],
        vec!["SpecificCharacterSet=GB18030", "PatientName=俓*"],
        vec![r"StudyInstanceUID=1.2\1.3", "NumberOfStudyRelatedInstances"],
    ] {
        let query = query(&keys);
        let bytes = query.identifier().encode(&EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let identifier = DataSet::parse(&bytes, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let read = Query::from_identifier(Model::StudyRoot, &identifier).unwrap();
        assert_eq!(read.matching_keys().unwrap(), query.matching_keys().unwrap(), "{keys:?}");
        assert_eq!(read.level, query.level);
    }
}

fn refused(model: Model, elements: &[(Tag, &str)]) -> (u16, Vec<Tag>) {
    let refusal = Query::from_identifier(model, &data_set(elements)).unwrap_err();
    (refusal.status.code(), refusal.offending_elements)
}

#[test]
fn a_level_that_is_missing_unknown_or_not_of_the_model_is_a900() {
    let expected = (0xA900, vec![QUERY_RETRIEVE_LEVEL]);
    assert_eq!(refused(Model::StudyRoot, &[]), expected);
    assert_eq!(refused(Model::StudyRoot, &[(QUERY_RETRIEVE_LEVEL, "WORLD")]), expected);
    assert_eq!(refused(Model::StudyRoot, &[(QUERY_RETRIEVE_LEVEL, "PATIENT")]), expected);
    assert_eq!(refused(Model::PatientStudyOnly, &[(QUERY_RETRIEVE_LEVEL, "SERIES")]), expected);
    assert!(Query::from_identifier(Model::Worklist, &DataSet::new()).is_ok());
}

#[test]
fn a_worklist_request_has_one_scheduled_procedure_step() {
    let mut identifier = DataSet::new();
    identifier.set_items(STEP_SEQUENCE, vec![DataSet::new(), DataSet::new()]);
    let refusal = Query::from_identifier(Model::Worklist, &identifier).unwrap_err();
    assert_eq!((refusal.status.code(), refusal.offending_elements), (0xA900, vec![STEP_SEQUENCE]));
    identifier.set_items(STEP_SEQUENCE, Vec::new());
    assert!(Query::from_identifier(Model::Worklist, &identifier).is_ok());
}

#[test]
fn a_level_above_needs_its_unique_key_as_a_single_value() {
    let series = (QUERY_RETRIEVE_LEVEL, "SERIES");
    for study in [None, Some(""), Some("1.*"), Some(r"1.2\1.3")] {
        let mut elements = vec![series];
        elements.extend(study.map(|study| (STUDY_INSTANCE_UID, study)));
        assert_eq!(refused(Model::StudyRoot, &elements), (0xA900, vec![STUDY_INSTANCE_UID]), "{study:?}");
    }
    let with_study = [series, (STUDY_INSTANCE_UID, "1.2")];
    assert!(Query::from_identifier(Model::StudyRoot, &data_set(&with_study)).is_ok());
    assert_eq!(refused(Model::PatientRoot, &with_study), (0xA900, vec![PATIENT_ID]));
    let whole = data_set(&[series, (STUDY_INSTANCE_UID, "1.2"), (PATIENT_ID, "PAT004")]);
    assert!(Query::from_identifier(Model::PatientRoot, &whole).is_ok());
    let relational = Query::from_find_identifier(
        Model::StudyRoot,
        &data_set(&[series]),
        Hierarchy::Relational,
        ExtendedMatching::default(),
    );
    assert!(relational.is_ok());
}

#[test]
fn a_value_that_cannot_be_a_key_is_named() {
    let (status, elements) =
        refused(Model::StudyRoot, &[(QUERY_RETRIEVE_LEVEL, "STUDY"), (STUDY_DATE, "yesterday")]);
    assert_eq!((status, elements), (0xC000, vec![STUDY_DATE]));
    let long = "*?".repeat(10_000);
    let (status, elements) =
        refused(Model::StudyRoot, &[(QUERY_RETRIEVE_LEVEL, "STUDY"), (PATIENT_ID, &long)]);
    assert_eq!((status, elements), (0xC000, vec![PATIENT_ID]));
    let mut identifier = data_set(&[(QUERY_RETRIEVE_LEVEL, "STUDY")]);
    identifier.set_items(STEP_SEQUENCE, vec![DataSet::new(), DataSet::new()]);
    let refusal = Query::from_identifier(Model::StudyRoot, &identifier).unwrap_err();
    assert_eq!(refusal.offending_elements, [STEP_SEQUENCE]);
}

#[test]
fn sequences_of_any_depth_are_refused_and_not_followed() {
    let mut item = data_set(&[(MODALITY, "CT")]);
    for _ in 0..50 {
        let mut outer = DataSet::new();
        outer.set_items(STEP_SEQUENCE, vec![item]);
        item = outer;
    }
    item.set_text(QUERY_RETRIEVE_LEVEL, "STUDY");
    let refusal = Query::from_identifier(Model::StudyRoot, &item).unwrap_err();
    assert_eq!(refusal.comment(), "sequences are nested too deep");
}

#[test]
fn a_retrieve_without_its_unique_key_is_never_the_whole_archive() {
    let retrieve = |elements: &[(Tag, &str)]| {
        Query::from_retrieve_identifier(Model::PatientRoot, &data_set(elements))
            .map_err(|refusal| (refusal.status.code(), refusal.offending_elements))
    };
    let study = (QUERY_RETRIEVE_LEVEL, "STUDY");
    assert_eq!(retrieve(&[study]).unwrap_err(), (0xA900, vec![STUDY_INSTANCE_UID]));
    assert_eq!(
        retrieve(&[study, (STUDY_INSTANCE_UID, "*")]).unwrap_err(),
        (0xA900, vec![STUDY_INSTANCE_UID])
    );
    assert!(retrieve(&[study, (STUDY_INSTANCE_UID, r"1.2\1.3")]).is_ok());
    for above in ["*", "PAT00?"] {
        let keys = [study, (PATIENT_ID, above), (STUDY_INSTANCE_UID, "1.2")];
        assert_eq!(retrieve(&keys).unwrap_err(), (0xA900, vec![PATIENT_ID]), "{above}");
    }
    let patient = (QUERY_RETRIEVE_LEVEL, "PATIENT");
    assert!(retrieve(&[patient, (PATIENT_ID, "PAT004")]).is_ok());
    assert_eq!(retrieve(&[patient, (PATIENT_ID, "PAT*")]).unwrap_err(), (0xA900, vec![PATIENT_ID]));
}

fn matching(key: &str) -> Matching {
    query(&[key]).matching_keys().unwrap().remove(0).matching
}

#[test]
fn each_vr_has_its_kind_of_matching() {
    let single = |text: &str| Matching::SingleValue(text.to_owned());
    assert_eq!(matching("PatientID"), Matching::Universal);
    assert_eq!(matching("PatientID=*"), Matching::Universal);
    assert_eq!(matching("PatientID=PAT004"), single("PAT004"));
    assert_eq!(matching("PatientID=PAT*"), Matching::Wildcard(Pattern::new("PAT*")));
    assert_eq!(matching("StudyInstanceUID=1.2"), Matching::ListOfUid(vec![Uid::from_static("1.2")]));
    assert_eq!(matching(r"ModalitiesInStudy=CT\MR"), Matching::AnyOf(vec![single("CT"), single("MR")]));
    assert!(matches!(matching("StudyDate=20240131"), Matching::Range(_)));
    assert!(matches!(matching("PatientName=Bowen*"), Matching::PersonName(_)));
    assert_eq!(matching("PatientName=*"), Matching::Universal);
    assert!(matches!(matching("ScheduledProcedureStepSequence.Modality=CT"), Matching::Sequence(_)));
    assert_eq!(matching("ScheduledProcedureStepSequence.Modality"), Matching::Universal);
}

/// The key of these elements, of which the last is none of a creator.
fn key_of(keys: DataSet) -> MatchingKey {
    let query = Query { keys, ..Query::new(Model::StudyRoot, Level::Image) };
    query.matching_keys().unwrap().pop().unwrap()
}

#[test]
fn a_key_that_has_a_value_and_no_text_is_unsupported() {
    for (tag, vr, bytes) in [
        (Tag(0x0042, 0x0011), VR::OB, &b"%PDF"[..]),
        (Tag(0x0028, 0x1201), VR::OW, &[1, 0, 2, 0]),
        (Tag(0x0028, 0x0010), VR::US, &[1, 2, 3]),
        (Tag(0x0040, 0x0275), VR::UN, &[0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0]),
    ] {
        let mut keys = DataSet::new();
        keys.set_bytes(tag, vr, bytes);
        let key = key_of(keys);
        assert_eq!(key.matching, Matching::Unsupported, "{tag} {vr:?}");
        assert!(key.matches(&DataSet::new()));
    }
}

/// A private element, as Implicit VR or a gateway has it: bytes without a VR.
fn unknown(block: u16, creator: &str, bytes: &[u8]) -> DataSet {
    let mut data_set = data_set(&[(Tag(0x0019, block), creator)]);
    data_set.set_bytes(Tag(0x0019, block << 8 | 0x08), VR::UN, bytes);
    data_set
}

#[test]
fn private_elements_match_by_their_creator_with_and_without_a_vr() {
    let mut explicit = data_set(&[(Tag(0x0019, 0x0011), "ACME")]);
    explicit.set_bytes(Tag(0x0019, 0x1108), VR::DS, b"1.50");
    let implicit = unknown(0x12, "ACME", b"1.50");
    let others = unknown(0x10, "OTHER", b"1.50");
    let binary = unknown(0x10, "ACME", &[0, 0, 0xC0, 0x3F]);
    let mut number = data_set(&[(Tag(0x0019, 0x0010), "ACME")]);
    number.set_bytes(Tag(0x0019, 0x1008), VR::DS, b"1.5 ");

    let by_text = key_of(unknown(0x10, "ACME", b"1.50"));
    for (stored, expected) in
        [(&explicit, true), (&implicit, true), (&others, false), (&binary, false), (&number, false)]
    {
        assert_eq!(by_text.matches(stored), expected, "{stored:?}");
    }
    let by_number = key_of(number.clone());
    for (stored, expected) in [(&explicit, true), (&implicit, true), (&others, false), (&binary, false)] {
        assert_eq!(by_number.matches(stored), expected, "{stored:?}");
    }
    assert!(key_of(unknown(0x10, "ACME", b"1.*")).matches(&implicit));
    assert!(key_of(unknown(0x10, "ACME", b"")).is_universal());
    assert_eq!(key_of(unknown(0x10, "ACME", &[0, 0, 0xC0, 0x3F])).matching, Matching::Unsupported);
    let mut float = data_set(&[(Tag(0x0019, 0x0010), "ACME")]);
    float.set_bytes(Tag(0x0019, 0x1008), VR::FL, &[0, 0, 0xC0, 0x3F]);
    let by_float = key_of(float);
    for (stored, expected) in [(&binary, true), (&implicit, false), (&explicit, false)] {
        assert_eq!(by_float.matches(stored), expected, "{stored:?}");
    }
    // Nobody has reserved the block: the key may mean anything.
    let mut nobodys = DataSet::new();
    nobodys.set_bytes(Tag(0x0019, 0x1008), VR::UN, b"1.50");
    assert_eq!(key_of(nobodys).matching, Matching::Unsupported);
}

#[test]
fn a_key_in_an_item_that_cannot_be_matched_asks_nothing_and_is_said() {
    const CODES: Tag = Tag(0x0008, 0x1032);
    const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
    let item = |code: &str| {
        let mut item = data_set(&[(CODE_VALUE, code)]);
        item.set_bytes(Tag(0x0042, 0x0011), VR::OB, b"bytes.");
        let mut keys = DataSet::new();
        keys.set_items(CODES, vec![item]);
        keys
    };
    let alone = key_of(item(""));
    assert!(alone.matches(&DataSet::new()));
    assert_eq!(MatchingKey::unsupported_among(&[alone]), [CODES]);
    let beside = key_of(item("1"));
    assert!(!beside.matches(&DataSet::new()));
    assert_eq!(MatchingKey::unsupported_among(&[beside]), [Tag(0x0042, 0x0011)]);
}

#[test]
fn of_single_values_there_may_be_any_number_and_of_others_a_limited_one() {
    let many =
        |count: usize, text: &str| (0..count).map(|number| format!("{text}{number}")).collect::<Vec<_>>();
    let nothing = ExtendedMatching::default();
    let multiple = ExtendedMatching { multiple_value: true, ..nothing };
    assert!(Matching::of_values(ACCESSION_NUMBER, VR::SH, &many(5000, "A"), &nothing).is_ok());
    assert!(Matching::of_values(PATIENT_NAME, VR::PN, &many(256, "A"), &nothing).is_ok());
    assert!(Matching::of_values(ACCESSION_NUMBER, VR::SH, &many(5000, "A"), &multiple).is_ok());
    for (tag, vr, text, extended) in [
        (PATIENT_NAME, VR::PN, "A", nothing),
        (ACCESSION_NUMBER, VR::SH, "A*", nothing),
        (IMAGE_TYPE, VR::CS, "A", multiple),
        (OPERATORS_NAME, VR::PN, "A", multiple),
    ] {
        let of_values = Matching::of_values(tag, vr, &many(257, text), &extended);
        assert_eq!(of_values, Err(InvalidKey::TooManyValues), "{tag:?} {text}");
    }
}

#[test]
fn uids_that_are_none_match_nothing_and_not_everything() {
    let list =
        Matching::of_values(STUDY_INSTANCE_UID, VR::UI, &["1.2.x".to_owned()], &ExtendedMatching::default())
            .unwrap();
    assert_eq!(list, Matching::ListOfUid(Vec::new()));
    assert!(!list.matches(VR::UI, "1.2"));
    assert_eq!(
        Matching::of_values(STUDY_INSTANCE_UID, VR::UI, &["*".to_owned()], &ExtendedMatching::default()),
        Ok(Matching::Universal)
    );
}

#[test]
fn an_instance_is_held_against_each_key() {
    let mut instance = data_set(&[
        (PATIENT_NAME, "Bowen^William^^Dr"),
        (PATIENT_ID, "PAT004"),
        (STUDY_DATE, "20240131"),
        (Tag(0x0008, 0x0030), "103015.5"),
        (MODALITY, "CT"),
        (Tag(0x0008, 0x0008), r"ORIGINAL\PRIMARY"),
        (STUDY_INSTANCE_UID, "1.2.3"),
        (INSTANCE_NUMBER, "007"),
        (Tag(0x0010, 0x4000), r"a\b comment"),
    ]);
    instance.set_items(
        STEP_SEQUENCE,
        vec![
            data_set(&[(MODALITY, "CT"), (STEP_START_DATE, "20240101")]),
            data_set(&[(MODALITY, "MR"), (STEP_START_DATE, "20240202")]),
        ],
    );
    for (keys, expected) in [
        (&["PatientName=bowen*"][..], true),
        (&["PatientName=Bower*"], false),
        (&["PatientName=*William*", "Modality=CT"], true),
        (&["PatientName=*William*", "Modality=MR"], false),
        (&["PatientID=pat004"], false),
        (&["PatientID=PAT00?"], true),
        (&["PatientID=PAT%"], false),
        (&[r"Modality=MR\CT"], true),
        (&["ImageType=PRIMARY"], true),
        (&["ImageType=PRIM"], false),
        (&["StudyDate=20240101-20240131"], true),
        (&["StudyDate=20240201-"], false),
        (&["StudyDate=-20240131"], true),
        (&["StudyTime=10"], false),
        (&["StudyTime=103015.50"], true),
        (&["StudyTime=10-10"], true),
        (&["StudyTime=1030-1031"], true),
        (&["StudyTime=11-"], false),
        (&["InstanceNumber=7"], true),
        (&["InstanceNumber=70"], false),
        (&[r"StudyInstanceUID=1.2\1.2.3"], true),
        (&["StudyInstanceUID=1.2"], false),
        (&[r"PatientComments=a\b*"], true),
        (&["AccessionNumber"], true),
        (&["AccessionNumber=*"], true),
        (&["AccessionNumber=?*"], false),
        (&["SeriesDate=-20240131"], false),
        (&["ScheduledProcedureStepSequence.Modality=CT"], true),
        (
            &[
                "ScheduledProcedureStepSequence.Modality=CT",
                "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20240202",
            ],
            false,
        ),
        (&["RequestAttributesSequence.ScheduledProcedureStepID=1"], false),
        (&["RequestAttributesSequence.ScheduledProcedureStepID"], true),
    ] {
        assert_eq!(query(keys).matches(&instance), expected, "{keys:?}");
    }
}

proptest! {
    #[test]
    fn any_key_is_read_or_refused(key in "(PatientName|StudyDate|0010,0010|Rows|StudyInstanceUID|[A-Za-z\\[\\].,()0-9]{0,20})=?.{0,20}") {
        if let Ok(query) = Query::new(Model::StudyRoot, Level::Study).key(&key) {
            query.identifier();
            let _ = query.matching_keys();
        }
    }
}

/// An identifier in Explicit VR Little Endian: elements that queries have, with values that they should not have.
fn hostile_identifier() -> impl Strategy<Value = Vec<u8>> {
    const ELEMENTS: [(Tag, &[u8; 2]); 14] = [
        (SPECIFIC_CHARACTER_SET, b"CS"),
        (STUDY_DATE, b"DA"),
        (Tag(0x0008, 0x0030), b"TM"),
        (QUERY_RETRIEVE_LEVEL, b"CS"),
        (Tag(0x0008, 0x0054), b"AE"),
        (Tag(0x0008, 0x0056), b"CS"),
        (Tag(0x0008, 0x0061), b"CS"),
        (PATIENT_NAME, b"PN"),
        (PATIENT_ID, b"LO"),
        (STUDY_INSTANCE_UID, b"UI"),
        (SERIES_INSTANCE_UID, b"UI"),
        (INSTANCE_NUMBER, b"IS"),
        (Tag(0x0020, 0x1208), b"IS"),
        (Tag(0x0028, 0x0010), b"US"),
    ];
    let level = prop_oneof!["(PATIENT|STUDY|SERIES|IMAGE)".prop_map(String::into_bytes), any_bytes()];
    let values = prop::collection::vec(prop::option::of(any_bytes()), ELEMENTS.len());
    (level, values).prop_map(|(level, values)| {
        let mut bytes = Vec::new();
        for ((tag, vr), value) in ELEMENTS.into_iter().zip(values) {
            let value = if tag == QUERY_RETRIEVE_LEVEL { Some(level.clone()) } else { value };
            let Some(mut value) = value else { continue };
            value.resize(value.len().next_multiple_of(2), b' ');
            bytes.extend(tag.group().to_le_bytes());
            bytes.extend(tag.element().to_le_bytes());
            bytes.extend(vr);
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend(value);
        }
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        r"[A-Za-z0-9*?^=.:\\ \-]{0,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn no_identifier_makes_it_panic_and_what_is_answered_matches(
        bytes in hostile_identifier(),
        data_set in hostile_identifier(),
        [date_time, fuzzy_names, empty_value, multiple_value] in any::<[bool; 4]>(),
    ) {
        let extended = ExtendedMatching { date_time, fuzzy_names, empty_value, multiple_value };
        let identifier = DataSet::parse(&bytes, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let data_set = DataSet::parse(&data_set, &EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        for model in [Model::PatientRoot, Model::StudyRoot, Model::PatientStudyOnly, Model::Worklist] {
            let _ = Query::from_retrieve_identifier(model, &identifier);
            if let Ok(query) = Query::from_find_identifier(model, &identifier, Hierarchy::Relational, extended) {
                let keys = query.matching_keys().unwrap();
                prop_assert_eq!(query.matches(&data_set), keys.iter().all(|key| key.matches(&data_set)));
            }
        }
    }
}

/// Each kind of matching that has to be negotiated, and what the same key means without.
#[test]
fn negotiated_kinds_of_matching_hold_only_where_they_were() {
    let study = data_set(&[
        (PATIENT_NAME, "Maier^Hans"),
        (STUDY_DATE, "20240102"),
        (Tag(0x0008, 0x0030), "080000"),
        (Tag(0x0008, 0x0061), r"CT\PT"),
        (PATIENT_ID, "P2"),
        (STUDY_ID, "S9"),
        (OPERATORS_NAME, r"First\Second"),
        (IMAGE_TYPE, r"ORIGINAL\PRIMARY\AXIAL"),
    ]);
    let nothing = ExtendedMatching::default();
    let date_time = ExtendedMatching { date_time: true, ..nothing };
    let fuzzy = ExtendedMatching { fuzzy_names: true, ..nothing };
    let empty = ExtendedMatching { empty_value: true, ..nothing };
    let multiple = ExtendedMatching { multiple_value: true, ..nothing };
    for (extended, keys, without, with) in [
        (date_time, &["StudyDate=20240101-20240103", "StudyTime=1000-1800"][..], false, true),
        (date_time, &["StudyDate=20240102-20240103", "StudyTime=1000-1800"], false, false),
        (date_time, &["StudyDate=20240101-20240102", "StudyTime=1000-0700"], false, false),
        (date_time, &["StudyDate=-20240102", "StudyTime=-0900"], true, true),
        (date_time, &["StudyDate=20240102", "StudyTime=0700-0900"], true, true),
        // PS3.4 C.2.2.2.5.3: of two forms, each is matched by itself.
        (date_time, &["StudyDate=-20240102", "StudyTime=1000-"], false, false),
        (date_time, &["StudyDate=-20240102", "StudyTime=0700-"], true, true),
        (date_time, &["StudyDate=20240101-20240103", "StudyTime=1000-"], false, false),
        (date_time, &["StudyDate=20240101-", "StudyTime=1000-"], false, true),
        (date_time, &["StudyDate=20240101-20240103", "StudyTime=0800"], true, true),
        (fuzzy, &["PatientName=Meyer^Hans"], false, true),
        (fuzzy, &["PatientName=Meyer^Anna"], false, false),
        (empty, &["AccessionNumber=\"\""], false, true),
        (empty, &["PatientName=\"\""], false, false),
        (multiple, &[r"ModalitiesInStudy=CT\MR"], true, false),
        (multiple, &[r"ModalitiesInStudy=PT\CT"], true, true),
        // PS3.4 C.2.2.2.8 is about attributes that may have several values; of others one of the key's has to match.
        (multiple, &[r"PatientName=x*\mai*"], true, true),
        (multiple, &[r"PatientName=x*\y*"], false, false),
        (multiple, &[r"PatientID=P1\P2"], true, true),
        (multiple, &[r"StudyID=S7\S9"], true, true),
        (multiple, &[r"OperatorsName=first\second", r"ImageType=AXIAL\ORIG*"], true, true),
        (multiple, &[r"OperatorsName=first\third"], true, false),
    ] {
        assert_eq!(query(keys).matches(&study), without, "{keys:?}");
        assert_eq!(query(keys).matched(extended).matches(&study), with, "{keys:?} {extended:?}");
    }
    // A date without quotation marks is not asked by the rules of a command line.
    let mut no_date = Query::new(Model::StudyRoot, Level::Study).matched(empty);
    no_date.keys.set_text(STUDY_DATE, "\"\"");
    assert!(!no_date.matches(&study));
    assert!(no_date.matches(&data_set(&[(PATIENT_ID, "PAT004")])));
    assert!(Query { extended: nothing, ..no_date }.matching_keys().is_err());
}

#[test]
fn what_stands_in_no_data_set_is_no_key() {
    for key in ["TransferSyntaxUID=1.2", "0002,0010", "0000,0002=1.2", "FFFE,E000=1", "00080000", "0006,0001"]
    {
        let error = Query::new(Model::StudyRoot, Level::Study).key(key).unwrap_err();
        assert!(matches!(error, KeyError::NotOfADataSet(_)), "{key}: {error}");
    }
}
