//! Finding by what has no column: private elements, elements without a VR, keys that cannot be matched.

use dicomet_archive::{Archive, Error, Stored};
use dicomet_proto::dataset::{DataSet, Tag, VR};
use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Model, Query};

use crate::samples::*;

const BLOCK: Tag = Tag(0x0019, 0x0010);
const DOSE: Tag = Tag(0x0019, 0x1008);

/// Stores a slice with more in its header.
fn store_with(archive: &Archive, uid: &str, change: impl FnOnce(&mut DataSet)) {
    let explicit = dicomet_proto::Uid::from_static(EXPLICIT);
    let mut data_set = DataSet::parse(&slice(uid).data_set(), &explicit).unwrap();
    change(&mut data_set);
    let bytes = data_set.encode(&explicit).unwrap();
    store_bytes(archive, provenance(&slice(uid), EXPLICIT), &bytes).unwrap();
}

/// A query for instances that has these keys as well.
fn instances(change: impl FnOnce(&mut DataSet)) -> Query {
    let mut asked = query(Level::Image, &[(tags::SOP_INSTANCE_UID, "")]);
    change(&mut asked.keys);
    asked
}

fn private(creator: &str, vr: VR, value: &[u8]) -> Query {
    instances(|keys| {
        keys.set_text(BLOCK, creator);
        keys.set_bytes(DOSE, vr, value);
    })
}

#[test]
fn a_private_attribute_is_found_by_its_creator_in_any_block_and_answered_with_it() {
    let (_folder, archive) = archive();
    store_with(&archive, "2.999.1.1.1", |data_set| {
        data_set.set_text(BLOCK, "ACME");
        data_set.set_bytes(DOSE, VR::LO, b"HIGH");
    });
    // Others came first here; and it passed through Implicit VR, or a gateway that knew no better.
    store_with(&archive, "2.999.1.1.2", |data_set| {
        data_set.set_text(BLOCK, "OTHER");
        data_set.set_bytes(DOSE, VR::LO, b"THEIRS");
        data_set.set_text(Tag(0x0019, 0x0042), "ACME");
        data_set.set_bytes(Tag(0x0019, 0x4208), VR::UN, b"HIGH");
    });
    store_with(&archive, "2.999.1.1.3", |data_set| {
        data_set.set_text(BLOCK, "OTHER");
        data_set.set_bytes(DOSE, VR::LO, b"HIGH");
    });
    for (creator, vr, value, expected) in [
        ("ACME", VR::LO, &b"HIGH"[..], &["2.999.1.1.1", "2.999.1.1.2"][..]),
        ("ACME", VR::UN, b"HIGH", &["2.999.1.1.1", "2.999.1.1.2"]),
        ("ACME", VR::UN, b"H*", &["2.999.1.1.1", "2.999.1.1.2"]),
        ("OTHER", VR::LO, b"HIGH", &["2.999.1.1.3"]),
        ("OTHER", VR::UN, b"THEIRS", &["2.999.1.1.2"]),
        ("NOBODY", VR::LO, b"HIGH", &[]),
        ("ACME", VR::LO, b"LOW ", &[]),
    ] {
        let asked = private(creator, vr, value);
        assert_eq!(archive.find(&asked).unwrap().status(), Status::PENDING);
        assert_eq!(found(&archive, &asked, tags::SOP_INSTANCE_UID), expected, "{creator} {vr:?}");
    }
    let answered = answers(&archive, &private("ACME", VR::LO, b""));
    let values: Vec<_> = answered
        .iter()
        .map(|answer| (answer.text(BLOCK).unwrap(), answer.text(DOSE), answer.bytes(DOSE)))
        .collect();
    assert_eq!(values[0], ("ACME".to_owned(), Some("HIGH".to_owned()), None));
    assert_eq!(values[1], ("ACME".to_owned(), None, Some(b"HIGH".to_vec())));
    assert_eq!(values[2].0, "ACME");
    assert!(answered[2].contains(DOSE) && !answered[2].has_value(DOSE));
}

#[test]
fn what_cannot_be_matched_is_said_and_nothing_is_held_back_for_it() {
    let (_folder, archive) = archive();
    store_with(&archive, "2.999.1.1.1", |_| ());
    let nobodys = instances(|keys| keys.set_bytes(DOSE, VR::UN, b"HIGH"));
    let document = instances(|keys| keys.set_bytes(Tag(0x0042, 0x0011), VR::OB, b"%PDF"));
    let pixels = instances(|keys| keys.set_bytes(Tag(0x7FE0, 0x0010), VR::OW, b""));
    let in_item = instances(|keys| {
        let mut item = DataSet::new();
        item.set_bytes(Tag(0x0042, 0x0011), VR::OB, b"%PDF");
        keys.set_items(Tag(0x0040, 0x0555), vec![item]);
    });
    for (asked, tag) in [
        (nobodys, DOSE),
        (document, Tag(0x0042, 0x0011)),
        (pixels, Tag(0x7FE0, 0x0010)),
        (in_item, Tag(0x0040, 0x0555)),
    ] {
        let matches = archive.find(&asked).unwrap();
        assert_eq!(matches.unsupported_keys(), [tag]);
        assert_eq!(matches.status(), Status::PENDING_UNSUPPORTED_KEYS);
        assert_eq!(matches.count(), 1, "{tag}");
    }
}

#[test]
fn optional_keys_of_a_study_and_a_series_are_supported_there() {
    const OTHER_STUDY_NUMBERS: Tag = Tag(0x0020, 0x1070);
    const SMALLEST_PIXEL_VALUE_IN_SERIES: Tag = Tag(0x0028, 0x0108);
    let (_folder, archive) = archive();
    store_with(&archive, "2.999.1.1.1", |data_set| {
        data_set.set_text(OTHER_STUDY_NUMBERS, "7");
        data_set.set_integer(SMALLEST_PIXEL_VALUE_IN_SERIES, 3);
    });
    for (level, tag, value) in
        [(Level::Study, OTHER_STUDY_NUMBERS, "7"), (Level::Series, SMALLEST_PIXEL_VALUE_IN_SERIES, "3")]
    {
        let asked = query(level, &[(tags::STUDY_INSTANCE_UID, ""), (tag, value)]);
        assert_eq!(archive.find(&asked).unwrap().status(), Status::PENDING);
        assert_eq!(found(&archive, &asked, tag), [value]);
    }
}

/// Longer than what the index keeps of an element, and than what is kept of a header while it comes.
#[test]
fn what_is_too_long_for_the_index_is_matched_and_answered_from_the_file() {
    const COMMENTS: Tag = Tag(0x0020, 0x4000);
    const SPECIMENS: Tag = Tag(0x0040, 0x0560);
    const SERIES_OF_STUDY: Tag = Tag(0x0008, 0x1115);
    const CODES_OF_STUDY: Tag = Tag(0x0032, 0x1064);
    const VALUE: Tag = Tag(0x0008, 0x0100);
    let items = |count: usize, name: &str| -> Vec<DataSet> {
        let item = |number: usize| {
            let mut item = DataSet::new();
            item.set_text(VALUE, &format!("{name}{number}"));
            item
        };
        (0..count).map(item).collect()
    };
    let (_folder, archive) = archive();
    for (uid, name) in [("2.999.1.1.1", "A"), ("2.999.1.1.2", "B")] {
        store_with(&archive, uid, |data_set| {
            // 5 KB, 10 KB, 600 KB; 3 KB of the study; 70 KB and 300 bytes.
            data_set.set_items(SPECIMENS, items(200, name));
            data_set.set_items(SERIES_OF_STUDY, items(400, name));
            data_set.set_items(Tag(0x0008, 0x9215), items(12_000, name));
            data_set.set_items(CODES_OF_STUDY, items(200, "S"));
            data_set.set_text(COMMENTS, &name.repeat(7_000));
            data_set.set_text(BLOCK, "ACME");
            data_set.set_bytes(DOSE, VR::LT, name.repeat(300).as_bytes());
        });
    }
    store_with(&archive, "2.999.1.1.3", |_| ());

    let named = |tag: Tag, value: &str| {
        instances(|keys| {
            keys.set_items(tag, {
                let mut item = DataSet::new();
                item.set_text(VALUE, value);
                vec![item]
            })
        })
    };
    for (tag, value, expected) in [
        (SPECIMENS, "A199", &["2.999.1.1.1"][..]),
        (SPECIMENS, "B19?", &["2.999.1.1.2"]),
        (SPECIMENS, "C1", &[]),
        (SERIES_OF_STUDY, "B399", &["2.999.1.1.2"]),
        (Tag(0x0008, 0x9215), "A11999", &["2.999.1.1.1"]),
    ] {
        let asked = named(tag, value);
        let mut matches = archive.find(&asked).unwrap();
        let mut found = Vec::new();
        while let Some(answer) = matches.next() {
            assert_eq!(matches.status(), Status::PENDING);
            found.push(answer.unwrap().text(tags::SOP_INSTANCE_UID).unwrap());
        }
        assert_eq!(found, expected, "{tag} {value}");
    }
    let long = instances(|keys| keys.set_text(COMMENTS, "BBBB*"));
    assert_eq!(found(&archive, &long, tags::SOP_INSTANCE_UID), ["2.999.1.1.2"]);
    assert_eq!(answers(&archive, &long)[0].text(COMMENTS).unwrap().len(), 7_000);
    let long = private("ACME", VR::LO, b"AAA*");
    assert_eq!(found(&archive, &long, tags::SOP_INSTANCE_UID), ["2.999.1.1.1"]);

    let mut of_study = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "")]);
    of_study.keys.set_items(CODES_OF_STUDY, Vec::new());
    assert_eq!(answers(&archive, &of_study)[0].items(CODES_OF_STUDY).unwrap().len(), 200);
}

/// Stores a slice of a study and series of its own with more in its header, in Implicit VR, where values may be of any length.
fn store_implicit(archive: &Archive, uid: &str, change: impl FnOnce(&mut DataSet)) -> Result<Stored, Error> {
    const IMPLICIT: &str = "1.2.840.10008.1.2";
    let of = slice(uid).in_series(&format!("{uid}.1"), &format!("{uid}.2"));
    let mut data_set = DataSet::parse(&of.data_set(), &dicomet_proto::Uid::from_static(EXPLICIT)).unwrap();
    change(&mut data_set);
    let bytes = data_set.encode(&dicomet_proto::Uid::from_static(IMPLICIT)).unwrap();
    store_bytes(archive, provenance(&of, IMPLICIT), &bytes)
}

#[test]
fn what_has_a_column_is_matched_and_answered_however_long_it_is() {
    let (_folder, archive) = archive();
    let columns = [
        (Level::Study, tags::STUDY_DESCRIPTION),
        (Level::Study, tags::PATIENT_ID),
        (Level::Patient, tags::PATIENT_ID),
        (Level::Patient, tags::PATIENT_NAME),
        (Level::Study, tags::STUDY_DATE),
        (Level::Image, tags::INSTANCE_NUMBER),
    ];
    for length in [60_000, 65_536, 70_000] {
        let long = "7".repeat(length);
        store_implicit(&archive, &format!("2.999.{length}"), |data_set| {
            columns.iter().for_each(|(_, tag)| data_set.set_text(*tag, &long));
        })
        .unwrap();
        for (level, tag) in columns {
            let asked =
                |value: &str| answers(&archive, &query_in(Model::PatientRoot, level, &[(tag, value)]));
            let answered = asked("");
            assert!(answered.iter().any(|answer| answer.text(tag).as_ref() == Some(&long)), "{tag} {length}");
            // What is no date is no key either.
            assert!(tag == tags::STUDY_DATE || asked(&long).len() == 1, "{tag} {length}");
        }
    }
    let beginning = [(tags::STUDY_DESCRIPTION, "77*"), (tags::PATIENT_NAME, "7*")];
    assert_eq!(answers(&archive, &query(Level::Study, &beginning)).len(), 3);
}

#[test]
fn what_is_too_long_for_a_column_is_refused_and_not_taken_without_its_value() {
    let (_folder, archive) = archive();
    let long = "7".repeat(1024 * 1024 + 2);
    let refused = store_implicit(&archive, "2.999.1", |data_set| {
        data_set.set_text(tags::STUDY_DESCRIPTION, &long);
    });
    let Err(Error::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.offending_elements, [tags::STUDY_DESCRIPTION]);
    // Without a column it is in the file.
    store_implicit(&archive, "2.999.1", |data_set| data_set.set_text(Tag(0x0020, 0x4000), &long)).unwrap();
}

#[test]
fn a_match_whose_file_cannot_be_read_for_a_key_is_given_and_says_so() {
    const COMMENTS: Tag = Tag(0x0020, 0x4000);
    let (folder, archive) = archive();
    store_with(&archive, "2.999.1.1.1", |data_set| data_set.set_text(COMMENTS, &"A".repeat(7_000)));
    store_with(&archive, "2.999.1.1.2", |_| ());
    for file in walk(&folder.path().join("data/blobs")) {
        std::fs::remove_file(file).unwrap();
    }
    let asked = instances(|keys| keys.set_empty(COMMENTS));
    let mut matches = archive.find(&asked).unwrap();
    let mut statuses = Vec::new();
    while let Some(answer) = matches.next() {
        assert!(!answer.unwrap().has_value(COMMENTS));
        statuses.push(matches.status());
    }
    assert_eq!(statuses, [Status::PENDING_UNSUPPORTED_KEYS, Status::PENDING]);
}

/// The files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
