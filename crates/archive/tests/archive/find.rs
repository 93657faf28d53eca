//! Finding: what is returned at each level, and that the index finds what a plain look at the headers finds.

use dicomet_archive::{Archive, Duplicates, Outcome, Settings};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::{ExtendedMatching, Level, Model};
use dicomet_testkit::instance::Instance;
use proptest::prelude::*;

use crate::samples::*;

/// Two patients; the first has a study of a CT and an MR series and a CT study, the second one of CT alone.
fn filled() -> (tempfile::TempDir, Archive) {
    let (folder, archive) = archive();
    let in_study = |instance: Instance, study: u32, date: &str, accession: &str| {
        instance
            .with(tags::STUDY_DATE, date)
            .with(tags::STUDY_TIME, "101530")
            .with(tags::ACCESSION_NUMBER, accession)
            .with(tags::STUDY_DESCRIPTION, &format!("CHEST {study}"))
            .with(tags::PATIENT_AGE, "042Y")
            .with(tags::MANUFACTURER, "ACME")
    };
    for number in 1..=3 {
        let instance = slice(&format!("2.999.1.1.{number}"))
            .with(tags::INSTANCE_NUMBER, &format!(" {number}"))
            .with(tags::SERIES_NUMBER, "01")
            .with(tags::SLICE_THICKNESS, "5")
            .with(tags::SLICE_LOCATION, &format!("{}", number * 5))
            .with(tags::PERFORMING_PHYSICIAN_NAME, "Müller^Jürgen");
        store(&archive, &in_study(instance, 1, "20200301", "A1")).unwrap();
    }
    let mr = Instance::new(MR, "2.999.1.2.1")
        .patient("P1", "Bowen^William^^Dr", "ISO_IR 100")
        .with(tags::MODALITY, "MR")
        .in_series("2.999.1", "2.999.1.2");
    store(&archive, &in_study(mr, 1, "20200301", "A1")).unwrap();
    let second = slice("2.999.2.1.1").in_series("2.999.2", "2.999.2.1");
    store(&archive, &in_study(second, 2, "20200401", "A2")).unwrap();
    let other = slice("2.999.3.1.1").patient("P2", "Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192");
    store(&archive, &in_study(other.in_series("2.999.3", "2.999.3.1"), 3, "", "")).unwrap();
    (folder, archive)
}

#[test]
fn what_is_replaced_while_it_is_sought_is_found_once_and_what_matches_no_more_is_not() {
    let settings = Settings { duplicates: Duplicates::Replace, ..Settings::default() };
    let made = |number: usize, manufacturer: &str| {
        let study = format!("2.999.{number}");
        slice(&format!("{study}.1.1"))
            .with(tags::PATIENT_ID, &format!("P{number}"))
            .with(tags::STUDY_DESCRIPTION, "CHEST")
            .with(tags::MANUFACTURER, manufacturer)
            .in_series(&study, &format!("{study}.1"))
    };
    for (level, unique) in [
        (Level::Patient, tags::PATIENT_ID),
        (Level::Study, tags::STUDY_INSTANCE_UID),
        (Level::Series, tags::SERIES_INSTANCE_UID),
        (Level::Image, tags::SOP_INSTANCE_UID),
    ] {
        for condition in [&[] as &[_], &[(tags::PATIENT_NAME, "bowen*")]] {
            let (_folder, archive) = archive_with(settings.clone());
            for number in 1..=60 {
                store(&archive, &made(number, "first")).unwrap();
            }
            let mut asked = query_in(Model::PatientRoot, level, &[(unique, "")]);
            condition.iter().for_each(|(tag, value)| asked.keys.set_text(*tag, value));
            let mut matches = archive.find(&asked).unwrap();
            let mut found = vec![matches.next().unwrap().unwrap().text(unique).unwrap()];
            for number in [1, 30, 60] {
                assert_eq!(store(&archive, &made(number, "second")).unwrap().outcome, Outcome::Replaced);
            }
            found.extend(matches.map(|answer| answer.unwrap().text(unique).unwrap()));
            let told = found.len();
            found.sort();
            found.dedup();
            assert_eq!((told, found.len()), (60, 60), "{level:?} {condition:?}");
        }
    }
    let (_folder, archive) = archive_with(settings);
    for number in 1..=60 {
        store(&archive, &made(number, "first")).unwrap();
    }
    let asked = query(Level::Study, &[(tags::STUDY_DESCRIPTION, "CHEST"), (tags::STUDY_INSTANCE_UID, "")]);
    let mut matches = archive.find(&asked).unwrap();
    matches.next().unwrap().unwrap();
    store(&archive, &made(40, "").with(tags::STUDY_DESCRIPTION, "HEAD")).unwrap();
    assert_eq!(matches.count(), 58);
}

/// The studies that a key finds.
fn studies(archive: &Archive, tag: Tag, value: &str) -> Vec<String> {
    let mut asked = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "")]);
    asked.keys.set_text(tag, value);
    found(archive, &asked, tags::STUDY_INSTANCE_UID)
}

#[test]
fn a_study_is_answered_with_what_was_asked_and_what_is_counted() {
    let (_folder, archive) = filled();
    let asked = query(
        Level::Study,
        &[
            (tags::STUDY_INSTANCE_UID, "2.999.1"),
            (tags::PATIENT_NAME, ""),
            (tags::STUDY_DATE, ""),
            (tags::MODALITIES_IN_STUDY, ""),
            (tags::SOP_CLASSES_IN_STUDY, ""),
            (tags::STUDY_RELATED_SERIES, ""),
            (tags::STUDY_RELATED_INSTANCES, ""),
            (tags::PATIENT_RELATED_STUDIES, ""),
            (tags::PATIENT_RELATED_INSTANCES, ""),
            (tags::INSTANCE_AVAILABILITY, ""),
            (tags::REFERRING_PHYSICIAN_NAME, ""),
            (tags::PATIENT_AGE, ""),
        ],
    );
    let [answer] = &answers(&archive, &asked)[..] else { panic!("one study has this UID") };
    for (tag, value) in [
        (tags::QUERY_RETRIEVE_LEVEL, Some("STUDY")),
        (tags::STUDY_INSTANCE_UID, Some("2.999.1")),
        (tags::PATIENT_NAME, Some("Bowen^William^^Dr")),
        (tags::STUDY_DATE, Some("20200301")),
        (tags::MODALITIES_IN_STUDY, Some("CT\\MR")),
        (tags::SOP_CLASSES_IN_STUDY, Some("1.2.840.10008.5.1.4.1.1.2\\1.2.840.10008.5.1.4.1.1.4")),
        (tags::STUDY_RELATED_SERIES, Some("2")),
        (tags::STUDY_RELATED_INSTANCES, Some("4")),
        (tags::PATIENT_RELATED_STUDIES, Some("2")),
        (tags::PATIENT_RELATED_INSTANCES, Some("5")),
        (tags::INSTANCE_AVAILABILITY, Some("ONLINE")),
        (tags::REFERRING_PHYSICIAN_NAME, None),
        (tags::PATIENT_AGE, Some("042Y")),
    ] {
        assert!(answer.contains(tag), "{tag}");
        assert_eq!(answer.text(tag).as_deref(), value, "{tag}");
    }
    assert_eq!(answer.tags().count(), 13);
}

#[test]
fn every_kind_of_matching_finds_its_studies() {
    let (_folder, archive) = filled();
    let (one, two, three) = ("2.999.1", "2.999.2", "2.999.3");
    for (tag, value, expected) in [
        (tags::ACCESSION_NUMBER, "", &[one, two, three][..]),
        (tags::ACCESSION_NUMBER, "*", &[one, two, three]),
        (tags::ACCESSION_NUMBER, "A1", &[one]),
        (tags::ACCESSION_NUMBER, "a1", &[]),
        (tags::ACCESSION_NUMBER, "A?", &[one, two]),
        (tags::ACCESSION_NUMBER, "A%", &[]),
        (tags::ACCESSION_NUMBER, "[A]1", &[]),
        (tags::PATIENT_NAME, "bowen*", &[one, two]),
        (tags::PATIENT_NAME, "BÖWEN^william^^DR", &[one, two]),
        (tags::PATIENT_NAME, "*illia*", &[one, two]),
        (tags::PATIENT_NAME, "yamada*", &[three]),
        (tags::PATIENT_NAME, "山田*", &[three]),
        (tags::PATIENT_NAME, "=山田*", &[three]),
        (tags::PATIENT_NAME, "=yamada*", &[]),
        (tags::PATIENT_NAME, "bowen", &[]),
        (tags::PATIENT_ID, "P2", &[three]),
        (tags::STUDY_INSTANCE_UID, "2.999.1\\2.999.3", &[one, three]),
        (tags::STUDY_INSTANCE_UID, "2.999.*", &[]),
        (tags::STUDY_DATE, "20200301", &[one]),
        (tags::STUDY_DATE, "20200301-20200331", &[one]),
        (tags::STUDY_DATE, "-20200401", &[one, two]),
        (tags::STUDY_DATE, "20200302-", &[two]),
        (tags::STUDY_TIME, "10-11", &[one, two, three]),
        (tags::STUDY_TIME, "10:15:30", &[one, two, three]),
        (tags::STUDY_TIME, "1015", &[]),
        (tags::STUDY_TIME, "1015-1015", &[one, two, three]),
        (tags::STUDY_TIME, "-1014", &[]),
        (tags::MODALITIES_IN_STUDY, "MR", &[one]),
        (tags::MODALITIES_IN_STUDY, "MR\\US", &[one]),
        (tags::MODALITIES_IN_STUDY, "C*", &[one, two, three]),
        (tags::SOP_CLASSES_IN_STUDY, MR, &[one]),
        (tags::STUDY_RELATED_INSTANCES, "4", &[one]),
        (tags::STUDY_RELATED_INSTANCES, "04\\1", &[one, two, three]),
        (tags::STUDY_RELATED_SERIES, "3", &[]),
        (tags::PATIENT_RELATED_STUDIES, "2", &[one, two]),
        (tags::INSTANCE_AVAILABILITY, "ONLINE", &[one, two, three]),
        (tags::INSTANCE_AVAILABILITY, "OFFLINE\\NEARLINE", &[]),
        (tags::STUDY_DESCRIPTION, "*EST 2", &[two]),
        (tags::PATIENT_AGE, "042Y", &[one, two, three]),
        (tags::PATIENT_AGE, "043Y", &[]),
        (tags::PATIENT_COMMENTS, "?*", &[]),
    ] {
        assert_eq!(studies(&archive, tag, value), expected, "{tag} {value}");
    }
}

#[test]
fn a_patient_is_found_in_the_patient_root() {
    let (_folder, archive) = filled();
    let asked = query_in(
        Model::PatientRoot,
        Level::Patient,
        &[(tags::PATIENT_NAME, "BOWEN*"), (tags::PATIENT_ID, ""), (tags::PATIENT_RELATED_STUDIES, "")],
    );
    let [patient] = &answers(&archive, &asked)[..] else { panic!("there is one Bowen") };
    assert_eq!(patient.text(tags::PATIENT_ID).as_deref(), Some("P1"));
    assert_eq!(patient.text(tags::PATIENT_RELATED_STUDIES).as_deref(), Some("2"));
    assert_eq!(patient.text(tags::QUERY_RETRIEVE_LEVEL).as_deref(), Some("PATIENT"));
    assert!(archive.find(&query(Level::Patient, &[(tags::PATIENT_ID, "P1")])).is_err());
}

#[test]
fn series_and_instances_are_found_below_their_study() {
    let (_folder, archive) = filled();
    let series = query(
        Level::Series,
        &[
            (tags::STUDY_INSTANCE_UID, "2.999.1"),
            (tags::SERIES_INSTANCE_UID, ""),
            (tags::SERIES_NUMBER, "1"),
            (tags::SERIES_RELATED_INSTANCES, ""),
            (tags::MANUFACTURER, "AC*"),
            (tags::PERFORMING_PHYSICIAN_NAME, "muller*"),
            (tags::PATIENT_NAME, ""),
        ],
    );
    let [answer] = &answers(&archive, &series)[..] else { panic!("one series has the number 1") };
    assert_eq!(answer.text(tags::SERIES_RELATED_INSTANCES).as_deref(), Some("3"));
    assert_eq!(answer.text(tags::SERIES_NUMBER).as_deref(), Some("01"));
    assert_eq!(answer.text(tags::PERFORMING_PHYSICIAN_NAME).as_deref(), Some("Müller^Jürgen"));
    assert_eq!(answer.text(tags::PATIENT_NAME).as_deref(), Some("Bowen^William^^Dr"));

    let images = |keys: &[(Tag, &str)]| {
        let above = [(tags::STUDY_INSTANCE_UID, "2.999.1"), (tags::SERIES_INSTANCE_UID, "2.999.1.1")];
        let keys: Vec<_> = above.into_iter().chain(keys.iter().copied()).collect();
        found(&archive, &query(Level::Image, &keys), tags::SOP_INSTANCE_UID)
    };
    assert_eq!(images(&[(tags::SOP_INSTANCE_UID, "")]).len(), 3);
    assert_eq!(images(&[(tags::SOP_INSTANCE_UID, ""), (tags::INSTANCE_NUMBER, "2")]), ["2.999.1.1.2"]);
    assert_eq!(images(&[(tags::SOP_INSTANCE_UID, ""), (tags::SLICE_LOCATION, "15")]), ["2.999.1.1.3"]);
    assert_eq!(images(&[(tags::SOP_INSTANCE_UID, ""), (tags::SLICE_THICKNESS, "5.0")]).len(), 3);
}

#[test]
fn keys_below_the_level_are_named_and_answered_empty() {
    let (_folder, archive) = filled();
    let asked = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.2"), (tags::MODALITY, "US")]);
    let matches = archive.find(&asked).unwrap();
    assert_eq!(matches.unsupported_keys(), [tags::MODALITY]);
    assert_eq!(matches.status(), Status::PENDING_UNSUPPORTED_KEYS);
    let answers: Vec<DataSet> = matches.map(Result::unwrap).collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].contains(tags::MODALITY) && answers[0].text(tags::MODALITY).is_none());
}

#[test]
fn sequences_are_matched_by_one_item_and_returned_as_asked() {
    const REQUEST_ATTRIBUTES: Tag = Tag(0x0040, 0x0275);
    const STEP_ID: Tag = Tag(0x0040, 0x0009);
    const PROCEDURE_ID: Tag = Tag(0x0040, 0x1001);
    let item = |step: &str, procedure: &str| {
        let mut item = DataSet::new();
        item.set_text(STEP_ID, step);
        item.set_text(PROCEDURE_ID, procedure);
        item
    };
    let mut data_set = DataSet::parse(&slice("2.999.1.1.1").data_set(), &explicit()).unwrap();
    data_set.set_items(REQUEST_ATTRIBUTES, vec![item("S1", "R1"), item("S2", "R2")]);
    let (_folder, archive) = archive();
    let bytes = data_set.encode(&explicit()).unwrap();
    store_bytes(&archive, provenance(&slice("2.999.1.1.1"), EXPLICIT), &bytes).unwrap();

    for (step, procedure, expected) in
        [("S1", "R1", 1), ("S1", "R2", 0), ("", "R2", 1), ("S*", "", 1), ("X", "", 0)]
    {
        let mut asked = query(Level::Series, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]);
        asked.keys.set_items(REQUEST_ATTRIBUTES, vec![item(step, procedure)]);
        assert_eq!(answers(&archive, &asked).len(), expected, "{step} {procedure}");
    }
    let mut asked = query(Level::Series, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]);
    let mut wanted = DataSet::new();
    wanted.set_empty(STEP_ID);
    asked.keys.set_items(REQUEST_ATTRIBUTES, vec![wanted]);
    let items = answers(&archive, &asked)[0].items(REQUEST_ATTRIBUTES).unwrap();
    assert_eq!(items.iter().map(|item| item.text(STEP_ID).unwrap()).collect::<Vec<_>>(), ["S1", "S2"]);
    assert!(items.iter().all(|item| !item.contains(PROCEDURE_ID)));
}

#[test]
fn the_anatomic_regions_of_a_study_are_those_of_its_instances() {
    const REGION: Tag = Tag(0x0008, 0x2218);
    const REGIONS_IN_STUDY: Tag = Tag(0x0008, 0x0063);
    const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
    let code = |value: &str| {
        let mut code = DataSet::new();
        code.set_text(CODE_VALUE, value);
        vec![code]
    };
    let (_folder, archive) = archive();
    for (number, region) in ["chest", "chest", "arm"].into_iter().enumerate() {
        let instance = slice(&format!("2.999.1.1.{number}"));
        let mut data_set = DataSet::parse(&instance.data_set(), &explicit()).unwrap();
        data_set.set_items(REGION, code(region));
        let bytes = data_set.encode(&explicit()).unwrap();
        store_bytes(&archive, provenance(&instance, EXPLICIT), &bytes).unwrap();
    }
    store(&archive, &slice("2.999.2.1.1").in_series("2.999.2", "2.999.2.1")).unwrap();

    let asked = |level, key: &str| {
        let mut asked = query(level, &[(tags::STUDY_INSTANCE_UID, "")]);
        asked.keys.set_items(REGIONS_IN_STUDY, code(key));
        asked
    };
    for (key, studies) in [("arm", &["2.999.1"][..]), ("leg", &[]), ("", &["2.999.1", "2.999.2"])] {
        assert_eq!(found(&archive, &asked(Level::Study, key), tags::STUDY_INSTANCE_UID), studies, "{key}");
    }
    for level in [Level::Study, Level::Series] {
        let answer = &answers(&archive, &asked(level, "chest"))[0];
        let regions = answer.items(REGIONS_IN_STUDY).unwrap();
        let values: Vec<_> = regions.iter().map(|region| region.text(CODE_VALUE).unwrap()).collect();
        assert_eq!(values, ["chest", "arm"]);
    }
}

#[test]
fn an_answer_waits_for_nobody_and_goes_on_after_others_have_stored() {
    let (_folder, archive) = archive();
    for number in 0..60 {
        let study = format!("2.999.{number}");
        store(&archive, &slice(&format!("{study}.1.1")).in_series(&study, &format!("{study}.1"))).unwrap();
    }
    let mut all = archive.find(&query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "")])).unwrap();
    let mut named = archive.find(&query(Level::Study, &[(tags::PATIENT_NAME, "b*")])).unwrap();
    assert!(all.next().is_some() && named.next().is_some());
    store(&archive, &slice("2.999.100.1.1").in_series("2.999.100", "2.999.100.1")).unwrap();
    assert_eq!(all.map(Result::unwrap).count(), 60);
    assert_eq!(named.map(Result::unwrap).count(), 59);
}

fn explicit() -> dicomet_proto::Uid {
    dicomet_proto::Uid::from_static(EXPLICIT)
}

/// Values that meet often enough for keys to find something, among them some that are hardly values.
fn study_header() -> impl Strategy<Value = Vec<(Tag, String)>> {
    let name = "(|Meyer\\^Ab|[ab]{1,2}\\^?[aäB]{0,2}|A=[あ山]{1,2}|Müller\\^J|b=山=あ)";
    (
        name,
        "(P[12]|)",
        "(|2020010[1-3]|99999999|2020\\.01\\.02)",
        "(|1[01]|101[05]|101530|101530\\.5|xx)",
        "[a*\\[\\]?%_ ]{0,4}",
    )
        .prop_map(|(name, id, date, time, description)| {
            vec![
                (tags::PATIENT_NAME, name),
                (tags::PATIENT_ID, id),
                (tags::STUDY_DATE, date),
                (tags::STUDY_TIME, time),
                (tags::STUDY_DESCRIPTION, description.trim().to_owned()),
            ]
        })
}

fn study_key() -> impl Strategy<Value = (Tag, String)> {
    let key = |tag: Tag, values: &'static str| values.prop_map(move |value: String| (tag, value));
    prop_oneof![
        key(
            tags::PATIENT_NAME,
            "(|Maier|[abAä?*]{1,3}|[ab*?]{0,2}\\^[a*]{0,2}|[a*]?=[山*?]{1,2}|a\\*=山=あ|山|あ\\*)"
        ),
        key(tags::PATIENT_ID, "(P1|P2|P1\\\\P2|P\\?|\\*|\"\"|)"),
        key(tags::STUDY_DATE, "(2020010[1-3]|2020010[12]-|-2020010[23]|20200101-20200102|\"\"|)"),
        key(tags::STUDY_TIME, "(10|1015|101530|1[01]-|-1015|101000-101530)"),
        key(tags::STUDY_DESCRIPTION, "[a*\\[\\]?%_]{0,4}"),
        key(tags::MODALITIES_IN_STUDY, "(CT|MR|C\\*|US|CT\\\\MR)"),
    ]
}

/// What might be a value, and what was never meant to be one.
fn hostile_value() -> impl Strategy<Value = String> {
    prop_oneof![
        r#"[A-Za-z0-9*?^=.:'"%\[\]\\ \-]{0,12}"#,
        ".{0,20}",
        "(\\*.|\\?a){200,600}",
        r"(1\.2\\){0,40}",
    ]
}

/// Nothing is negotiated, or some of it.
fn extended_matching() -> impl Strategy<Value = ExtendedMatching> {
    prop_oneof![
        Just(ExtendedMatching::default()),
        any::<[bool; 4]>().prop_map(|[date_time, fuzzy_names, empty_value, multiple_value]| {
            ExtendedMatching { date_time, fuzzy_names, empty_value, multiple_value }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A statement that SQLite does not take would be a fault of ours: keys are found, or refused as what they are.
    #[test]
    fn no_key_makes_the_index_fail(
        queries in prop::collection::vec((0_usize..4, prop::collection::vec((0_usize..12, hostile_value()), 0..5)), 30),
        extended in extended_matching(),
    ) {
        let (_folder, archive) = filled();
        let asked = [
            tags::PATIENT_NAME, tags::PATIENT_ID, tags::STUDY_DATE, tags::STUDY_TIME, tags::STUDY_RELATED_INSTANCES,
            tags::MODALITIES_IN_STUDY, tags::SOP_CLASSES_IN_STUDY, tags::REFERRING_PHYSICIAN_NAME, tags::SERIES_NUMBER,
            tags::INSTANCE_AVAILABILITY, tags::MANUFACTURER, tags::SOP_INSTANCE_UID,
        ];
        for (level, keys) in queries {
            let level = [Level::Patient, Level::Study, Level::Series, Level::Image][level];
            let keys: Vec<_> = keys.iter().map(|(tag, value)| (asked[*tag], value.as_str())).collect();
            let query = query_in(Model::PatientRoot, level, &keys).matched(extended);
            match archive.find(&query) {
                Ok(matches) => {
                    for answer in matches {
                        prop_assert!(answer.is_ok(), "{:?}: {:?}", keys, answer);
                    }
                }
                Err(error) => prop_assert!(matches!(error, dicomet_archive::Error::Refused(_)), "{keys:?}: {error}"),
            }
        }
    }

    /// Each archive is asked many queries: storing is what takes the time.
    #[test]
    fn the_index_finds_what_a_plain_look_at_the_headers_finds(
        headers in prop::collection::vec(study_header(), 1..12),
        queries in prop::collection::vec((prop::collection::vec(study_key(), 1..4), extended_matching()), 40),
    ) {
        let (_folder, archive) = archive();
        let mut plain = Vec::new();
        for (number, header) in headers.iter().enumerate() {
            let study = format!("2.999.{number}");
            let modality = if number % 3 == 0 { "MR" } else { "CT" };
            let mut data_set = DataSet::new();
            data_set.set_text(Tag(0x0008, 0x0005), "ISO_IR 192");
            for (tag, value) in [
                (tags::SOP_CLASS_UID, CT),
                (tags::SOP_INSTANCE_UID, &format!("{study}.1.1")),
                (tags::STUDY_INSTANCE_UID, &study),
                (tags::SERIES_INSTANCE_UID, &format!("{study}.1")),
                (tags::MODALITY, modality),
            ].into_iter().chain(header.iter().map(|(tag, value)| (*tag, value.as_str()))) {
                data_set.set_text(tag, value);
            }
            let bytes = data_set.encode(&explicit()).unwrap();
            let provenance = dicomet_archive::Provenance {
                sop_class: data_set.uid(tags::SOP_CLASS_UID).unwrap(),
                sop_instance: data_set.uid(tags::SOP_INSTANCE_UID).unwrap(),
                transfer_syntax: explicit(),
                calling_ae_title: None,
            };
            store_bytes(&archive, provenance, &bytes).unwrap();
            let mut seen = DataSet::parse(&bytes, &explicit()).unwrap();
            seen.set_text(tags::MODALITIES_IN_STUDY, modality);
            plain.push(seen);
        }
        for (keys, extended) in &queries {
            let keys: Vec<_> = keys.iter().map(|(tag, value)| (*tag, value.as_str())).collect();
            let mut asked = query(Level::Study, &keys).matched(*extended);
            asked.keys.set_empty(tags::STUDY_INSTANCE_UID);
            if asked.matching_keys().is_err() {
                // Two quotation marks are no date where that was not negotiated.
                continue;
            }
            let mut expected: Vec<String> = plain
                .iter()
                .filter(|header| asked.matches(header))
                .map(|header| header.text(tags::STUDY_INSTANCE_UID).unwrap())
                .collect();
            expected.sort();
            prop_assert_eq!(found(&archive, &asked, tags::STUDY_INSTANCE_UID), expected, "{:?} {:?}", keys, extended);
        }
    }
}
