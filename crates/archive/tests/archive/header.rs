//! Finding by what has no column: private elements, elements without a VR, keys that cannot be matched.

use dicomet_archive::Archive;
use dicomet_proto::dataset::{DataSet, Tag, VR};
use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Query};

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
