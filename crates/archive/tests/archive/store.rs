//! Storing: what is refused with which status, what a duplicate does, and what survives.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use dicomet_archive::{Archive, Conflicts, Duplicates, Error, Outcome, Settings};
use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Model};
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::instance::{Instance, Pixels, data_set_of_part10};

use crate::samples::*;

fn refusal(outcome: Result<dicomet_archive::Stored, Error>) -> (u16, Vec<dicomet_proto::dataset::Tag>) {
    let refusal = outcome.unwrap_err().refusal();
    (refusal.status.code(), refusal.offending_elements)
}

fn incoming(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    files_below(&folder.path().join("data/incoming"))
}

#[test]
fn a_stored_instance_is_a_dicom_file_with_the_bytes_as_they_came() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1").with_bytes(
        dicomet_proto::dataset::Tag(0x0009, 0x1001),
        dicomet_proto::dataset::VR::OB,
        b"\x01\x02",
    );
    let mut provenance = provenance(&instance, EXPLICIT);
    provenance.calling_ae_title = Some(AeTitle::new("MODALITY").unwrap());
    let stored = store_bytes(&archive, provenance, &instance.data_set()).unwrap();
    assert_eq!(stored.outcome, Outcome::New);
    assert_eq!(stored.study, Uid::from_static("2.999.1"));

    let files = blobs(&folder);
    assert_eq!(files.len(), 1);
    let bytes = fs::read(&files[0]).unwrap();
    assert_eq!(bytes[..128], [0; 128]);
    assert_eq!(data_set_of_part10(&bytes), instance.data_set());
    assert_eq!(incoming(&folder), Vec::<PathBuf>::new());
}

#[test]
fn an_instance_of_any_length_is_what_came_however_it_came() {
    let (folder, archive) = archive();
    // Around what is gathered, what is written at a time, and the blocks of a disk.
    let lengths =
        [0, 60_000, 65_536, 66_001, 270_336, 537_600, 1_047_000, 1_048_576, 1_052_672, 2_097_152, 3_000_001];
    let mut expected = Vec::new();
    for (number, length) in lengths.into_iter().enumerate() {
        let value: Vec<u8> = (0..length).map(|at| (at * 31 / 7) as u8).collect();
        let instance = slice(&format!("2.999.1.1.{number}")).with_bytes(
            dicomet_proto::dataset::Tag(0x0009, 0x1001),
            dicomet_proto::dataset::VR::OB,
            &value,
        );
        let data_set = instance.data_set();
        let mut incoming = begin(&archive, &instance);
        let mut rest = data_set.as_slice();
        for piece in [1, 4095, 16_378, 131_060, 300_000].into_iter().cycle() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            incoming.write(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(incoming.commit().unwrap().outcome, Outcome::New);
        expected.push(data_set);
    }
    let mut stored: Vec<Vec<u8>> =
        blobs(&folder).iter().map(|file| data_set_of_part10(&fs::read(file).unwrap()).to_vec()).collect();
    stored.sort_by_key(Vec::len);
    for (stored, expected) in stored.iter().zip(&expected) {
        assert!(stored == expected, "{} bytes", expected.len());
    }
    assert_eq!(stored.len(), expected.len());
}

#[test]
fn what_is_damaged_and_comes_again_is_whole_again() {
    let damages: [fn(&Path); 3] = [
        |file| fs::remove_file(file).unwrap(),
        |file| fs::write(file, b"not what it was").unwrap(),
        |file| {
            let mut bytes = fs::read(file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(file, bytes).unwrap();
        },
    ];
    for damage in damages {
        let (folder, archive) = archive();
        store(&archive, &slice("2.999.1.1.1")).unwrap();
        damage(&blobs(&folder)[0]);
        assert_eq!(store(&archive, &slice("2.999.1.1.1")).unwrap().outcome, Outcome::Replaced);
        let files = blobs(&folder);
        assert_eq!(files.len(), 1);
        assert_eq!(data_set_of_part10(&fs::read(&files[0]).unwrap()), slice("2.999.1.1.1").data_set());
        let all = archive.plan(&query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")])).unwrap();
        let mut bytes = Vec::new();
        archive.open_instance(&all[0]).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!((all.len(), bytes), (1, slice("2.999.1.1.1").data_set()));
    }
}

#[test]
fn of_sixteen_with_other_bytes_one_is_stored_and_no_file_of_another_gets_a_place() {
    let (folder, archive) = archive();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let one = |number: usize| {
            let instance = slice("2.999.1.1.1").with(tags::MANUFACTURER, &number.to_string());
            (number, store(&archive, &instance))
        };
        let all: Vec<_> = (0..16).map(|number| scope.spawn(move || one(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let stored: Vec<usize> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(stored.len(), 1);
    for (_, outcome) in outcomes.into_iter().filter(|(_, outcome)| outcome.is_err()) {
        assert_eq!(refusal(outcome).0, 0xC001);
    }
    let files = blobs(&folder);
    // The first number: none was taken for those that were refused before it.
    assert_eq!(files, [folder.path().join("data/blobs/000000/000/000000000000.dcm")]);
    let expected = slice("2.999.1.1.1").with(tags::MANUFACTURER, &stored[0].to_string());
    assert_eq!(data_set_of_part10(&fs::read(&files[0]).unwrap()), expected.data_set());
}

#[test]
fn an_object_of_no_patient_is_stored_and_found_in_a_study_of_its_sop_class() {
    const COLOR_PALETTE: &str = "1.2.840.10008.5.1.4.39.1";
    let (folder, archive) = archive();
    for number in 1..=2 {
        let palette = Instance::new(COLOR_PALETTE, &format!("2.999.39.{number}"));
        let palette = palette.with(tags::STUDY_DESCRIPTION, "not a study");
        let data_set = DataSet::parse(&palette.data_set(), &Uid::from_static(EXPLICIT)).unwrap();
        let mut without_study = data_set.clone();
        without_study.remove(tags::STUDY_INSTANCE_UID);
        without_study.remove(tags::SERIES_INSTANCE_UID);
        let bytes = without_study.encode(&Uid::from_static(EXPLICIT)).unwrap();
        store_bytes(&archive, provenance(&palette, EXPLICIT), &bytes).unwrap();
        assert!(blobs(&folder).iter().any(|file| data_set_of_part10(&fs::read(file).unwrap()) == bytes));
    }
    let asked =
        query(Level::Image, &[(tags::SOP_INSTANCE_UID, ""), (tags::STUDY_INSTANCE_UID, COLOR_PALETTE)]);
    assert_eq!(found(&archive, &asked, tags::SOP_INSTANCE_UID), ["2.999.39.1", "2.999.39.2"]);
}

#[test]
fn what_the_command_and_the_data_set_disagree_on_is_refused() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1");
    let mut other_instance = provenance(&instance, EXPLICIT);
    other_instance.sop_instance = Uid::from_static("2.999.9");
    let mut other_class = provenance(&instance, EXPLICIT);
    other_class.sop_class = Uid::from_static(MR);
    let data_set = instance.data_set();
    assert_eq!(
        refusal(store_bytes(&archive, other_instance, &data_set)),
        (0xA900, vec![tags::SOP_INSTANCE_UID])
    );
    assert_eq!(refusal(store_bytes(&archive, other_class, &data_set)), (0xA900, vec![tags::SOP_CLASS_UID]));
    assert!(blobs(&folder).is_empty() && incoming(&folder).is_empty());
}

#[test]
fn missing_and_broken_uids_are_refused_and_leading_zeros_kept() {
    let (_folder, archive) = archive();
    for uid in ["", "../../etc/passwd", "1..2", "CON", "C:\\x", &"1.2".repeat(30)] {
        for (study, series, tag) in
            [(uid, "2.999.1.1", tags::STUDY_INSTANCE_UID), ("2.999.1", uid, tags::SERIES_INSTANCE_UID)]
        {
            let instance = slice("2.999.1.1.1").in_series(study, series);
            assert_eq!(refusal(store(&archive, &instance)), (0xA900, vec![tag]), "{uid}");
        }
    }
    let zeros = slice("2.999.1.1.1").in_series("2.999.01", "2.999.001.1");
    assert_eq!(store(&archive, &zeros).unwrap().study, Uid::from_static("2.999.01"));
}

#[test]
fn a_uid_with_more_around_it_than_padding_does_not_meet_the_one_without() {
    use dicomet_proto::dataset::VR;
    let (folder, archive) = archive();
    let with = |number: u32, tag, vr, uid: &[u8]| {
        slice(&format!("2.999.1.1.{number}")).in_series("2.999.77", "2.999.78").with_bytes(tag, vr, uid)
    };
    for tag in [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
        for uid in [b" 2.999.7".as_slice(), b"  2.999.77", b"\x002.999.7", b"2.999.77  ", b"2.999.7  \0"] {
            for vr in [VR::UI, VR::LO] {
                let refused = refusal(store(&archive, &with(1, tag, vr, uid)));
                assert_eq!(refused, (0xA900, vec![tag]), "{}", uid.escape_ascii());
            }
        }
    }
    let instance = with(1, tags::SOP_INSTANCE_UID, VR::UI, b" 2.999.1.1.1");
    let refused =
        refusal(store_bytes(&archive, provenance(&slice("2.999.1.1.1"), EXPLICIT), &instance.data_set()));
    assert_eq!(refused, (0xA900, vec![tags::SOP_INSTANCE_UID]));
    assert!(blobs(&folder).is_empty() && incoming(&folder).is_empty());

    for (number, uid) in [b"2.999.1\0".as_slice(), b"2.999.1 ", b"2.999.1\0\0\0"].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let stored = store(&archive, &with(number, tags::STUDY_INSTANCE_UID, VR::UI, uid)).unwrap();
        assert_eq!(stored.study, Uid::from_static("2.999.1"));
    }
}

#[test]
fn a_data_set_that_cannot_be_parsed_is_refused_with_a_c_status() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1");
    let data_set = instance.data_set();
    let implicit = provenance(&instance, "1.2.840.10008.1.2");
    let cut = &data_set[..data_set.len() - 1];
    for (provenance, bytes) in [(provenance(&instance, EXPLICIT), cut), (implicit, &data_set[..])] {
        let (code, _) = refusal(store_bytes(&archive, provenance, bytes));
        assert_eq!(code & 0xF000, 0xC000);
    }
    let (code, _) = refusal(store_bytes(&archive, provenance(&instance, EXPLICIT), b""));
    assert_eq!(code, 0xA900);
    assert!(blobs(&folder).is_empty() && incoming(&folder).is_empty());
    store(&archive, &instance).unwrap();
}

#[test]
fn the_same_bytes_again_are_a_success_and_nothing_is_written() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1");
    store(&archive, &instance).unwrap();
    assert_eq!(store(&archive, &instance).unwrap().outcome, Outcome::AlreadyThere);
    assert_eq!(blobs(&folder).len(), 1);
    let count = query(Level::Study, &[(tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &count, tags::STUDY_RELATED_INSTANCES), ["1"]);
}

#[test]
fn by_default_other_bytes_are_refused_and_the_first_stay() {
    let (folder, archive) = archive();
    let first = slice("2.999.1.1.1");
    store(&archive, &first).unwrap();
    for other in [
        slice("2.999.1.1.1").pixels(Pixels::Native(1024)),
        slice("2.999.1.1.1").in_series("2.999.2", "2.999.2.1"),
    ] {
        assert_eq!(refusal(store(&archive, &other)).0, 0xC001);
    }
    assert_eq!(data_set_of_part10(&fs::read(&blobs(&folder)[0]).unwrap()), first.data_set());
    assert_eq!(blobs(&folder).len(), 1);
}

#[test]
fn when_replacing_the_second_stays_and_nothing_is_left_of_the_first() {
    let (folder, archive) = archive_with(Settings { duplicates: Duplicates::Replace, ..Settings::default() });
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    store(&archive, &slice("2.999.1.1.2")).unwrap();
    let second = slice("2.999.1.1.1").in_series("2.999.2", "2.999.2.1").with(tags::PATIENT_ID, "P2");
    assert_eq!(store(&archive, &second).unwrap().outcome, Outcome::Replaced);
    let files = blobs(&folder);
    assert_eq!(files.len(), 2);
    assert!(files.iter().any(|file| data_set_of_part10(&fs::read(file).unwrap()) == second.data_set()));

    let counts = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, ""), (tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &counts, tags::STUDY_RELATED_INSTANCES), ["1", "1"]);

    // The first study loses its last instance, and with it everything.
    let third = slice("2.999.1.1.2").in_series("2.999.2", "2.999.2.1").with(tags::PATIENT_ID, "P2");
    store(&archive, &third).unwrap();
    assert_eq!(found(&archive, &counts, tags::STUDY_INSTANCE_UID), ["2.999.2"]);
    assert_eq!(
        found(&archive, &query(Level::Study, &[(tags::PATIENT_NAME, "bowen*")]), tags::PATIENT_NAME).len(),
        1
    );
}

#[test]
fn values_that_are_corrected_by_replacing_every_instance_are_those_of_patient_study_and_series() {
    let (_folder, archive) =
        archive_with(Settings { duplicates: Duplicates::Replace, ..Settings::default() });
    let made = |number: usize, name: &str, description: &str, modality: &str| {
        slice(&format!("2.999.1.1.{number}"))
            .with(tags::PATIENT_NAME, name)
            .with(tags::PATIENT_COMMENTS, description)
            .with(tags::STUDY_DESCRIPTION, description)
            .with(tags::SERIES_DESCRIPTION, description)
            .with(tags::MANUFACTURER, description)
            .with(tags::MODALITY, modality)
    };
    for number in 1..=3 {
        store(&archive, &made(number, "Wrong^Name", "wrong", "CT")).unwrap();
    }
    let texts =
        [tags::PATIENT_COMMENTS, tags::STUDY_DESCRIPTION, tags::SERIES_DESCRIPTION, tags::MANUFACTURER];
    let at = |level: Level| match level {
        Level::Patient => &texts[..1],
        Level::Study => &texts[..2],
        _ => &texts[..],
    };
    for replaced in [3, 1, 2] {
        let outcome = store(&archive, &made(replaced, "Right^Name", "right", "MR")).unwrap().outcome;
        assert_eq!(outcome, Outcome::Replaced);
        // The first instance alone says what its patient, study and series are.
        let (name, text) = if replaced == 3 { ("Wrong^Name", "wrong") } else { ("Right^Name", "right") };
        for level in [Level::Patient, Level::Study, Level::Series] {
            let named = query_in(Model::PatientRoot, level, &[(tags::PATIENT_NAME, name)]);
            assert_eq!(found(&archive, &named, tags::PATIENT_NAME), [name], "{level:?} {replaced}");
            for tag in at(level) {
                let asked = query_in(Model::PatientRoot, level, &[(*tag, text)]);
                assert_eq!(found(&archive, &asked, *tag), [text], "{level:?} {tag:?} {replaced}");
            }
        }
        let modalities = found(
            &archive,
            &query(Level::Study, &[(tags::MODALITIES_IN_STUDY, "")]),
            tags::MODALITIES_IN_STUDY,
        );
        assert_eq!(modalities, [if replaced == 3 { "CT" } else { "MR" }]);
    }
    let old = query_in(Model::PatientRoot, Level::Patient, &[(tags::PATIENT_NAME, "wrong*")]);
    assert_eq!(found(&archive, &old, tags::PATIENT_NAME), Vec::<String>::new());
}

#[test]
fn one_study_uid_under_two_patients_is_two_studies_and_both_are_flagged() {
    let (_folder, archive) = archive();
    let of_first = store(&archive, &slice("2.999.1.1.1")).unwrap();
    assert!(!of_first.conflicts.any());
    let of_second = store(&archive, &slice("2.999.1.1.2").with(tags::PATIENT_ID, "P2")).unwrap();
    assert_eq!(
        of_second.conflicts,
        Conflicts { study_of_another_patient: true, series_of_another_study: true, ..Conflicts::default() }
    );
    let renamed = store(&archive, &slice("2.999.1.1.3").with(tags::PATIENT_NAME, "Bower^Anna")).unwrap();
    assert!(renamed.conflicts.patient_differs_within_study && renamed.conflicts.study_of_another_patient);
    let studies = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1"), (tags::PATIENT_ID, "")]);
    assert_eq!(found(&archive, &studies, tags::PATIENT_ID), ["P1", "P2"]);
}

#[test]
fn patients_without_an_id_are_not_one_patient() {
    let (_folder, archive) = archive();
    for (sop_instance, study) in [("2.999.1.1.1", "2.999.1"), ("2.999.2.1.1", "2.999.2")] {
        let nameless = slice(sop_instance).with(tags::PATIENT_ID, "").in_series(study, &format!("{study}.1"));
        store(&archive, &nameless).unwrap();
    }
    let patients = query_in(
        dicomet_proto::query::Model::PatientRoot,
        Level::Patient,
        &[(tags::PATIENT_NAME, ""), (tags::PATIENT_RELATED_STUDIES, "")],
    );
    assert_eq!(found(&archive, &patients, tags::PATIENT_RELATED_STUDIES), ["1", "1"]);
}

#[test]
fn everything_survives_being_opened_again_and_what_was_half_received_is_gone() {
    let (folder, archive) = archive();
    let instance = slice("2.999.1.1.1");
    store(&archive, &instance).unwrap();
    let mut half = begin(&archive, &slice("2.999.1.1.2"));
    half.write(&instance.data_set()[..100]).unwrap();
    // As a crash leaves it: the file is there and nobody removes it.
    fs::write(folder.path().join("data/incoming/77.tmp"), b"half").unwrap();
    drop(half);
    drop(archive);

    let archive = Archive::open(&folder.path().join("data"), Settings::default()).unwrap();
    assert_eq!(incoming(&folder), Vec::<PathBuf>::new());
    let found_there = archive.plan(&query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")])).unwrap();
    assert_eq!(found_there.len(), 1);
    let mut bytes = Vec::new();
    archive.open_instance(&found_there[0]).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, instance.data_set());
    store(&archive, &slice("2.999.1.1.2")).unwrap();
    assert_eq!(blobs(&folder).len(), 2);
}

#[test]
fn a_file_without_a_row_is_neither_lost_nor_written_over() {
    let (folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    let orphan = folder.path().join("data/blobs/000000/000/000000000007.dcm");
    fs::write(&orphan, b"orphan").unwrap();
    let archive = Archive::open(&folder.path().join("data"), Settings::default()).unwrap();
    for number in 2..12 {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    assert_eq!(fs::read(&orphan).unwrap(), b"orphan");
    assert_eq!(blobs(&folder).len(), 12);
}

#[test]
fn an_archive_is_opened_once_and_only_where_there_is_one() {
    let (folder, archive) = archive();
    let data = folder.path().join("data");
    assert!(matches!(Archive::open(&data, Settings::default()), Err(Error::InUse(_))));
    drop(archive);
    Archive::open(&data, Settings::default()).unwrap();

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.jpg"), b"x").unwrap();
    assert!(matches!(Archive::open(&other, Settings::default()), Err(Error::NotAnArchive(_))));
    assert_eq!(files_below(&other).len(), 1);
}

#[test]
fn an_archive_of_a_later_version_is_left_alone() {
    let (folder, archive) = archive();
    drop(archive);
    let data = folder.path().join("data");
    let index = rusqlite::Connection::open(data.join("index.sqlite")).unwrap();
    index.pragma_update(None, "user_version", 999).unwrap();
    drop(index);
    assert!(matches!(Archive::open(&data, Settings::default()), Err(Error::NewerSchema { found: 999, .. })));
}

#[test]
fn sixteen_threads_that_store_the_same_instances_store_each_once() {
    let (folder, archive) = archive();
    let instances: Vec<_> = (1..=20).map(|number| slice(&format!("2.999.1.1.{number}"))).collect();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let stored = instances.iter().map(|instance| store(&archive, instance).unwrap().outcome);
                    stored.collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::New).count(), 20);
    assert_eq!(outcomes.len(), 320);
    assert_eq!(blobs(&folder).len(), 20);
    let count = query(Level::Study, &[(tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &count, tags::STUDY_RELATED_INSTANCES), ["20"]);
}

#[test]
fn sixteen_threads_that_replace_one_instance_leave_one_of_theirs() {
    let (folder, archive) = archive_with(Settings { duplicates: Duplicates::Replace, ..Settings::default() });
    let version = |thread: usize| slice("2.999.1.1.1").with(tags::MANUFACTURER, &format!("maker {thread}"));
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let archive = &archive;
                scope.spawn(move || {
                    (0..10).map(|_| store(archive, &version(thread)).unwrap().outcome).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::New).count(), 1);
    let files = blobs(&folder);
    assert_eq!(files.len(), 1);
    let file = fs::read(&files[0]).unwrap();
    let left = data_set_of_part10(&file);
    assert!((0..16).any(|thread| version(thread).data_set() == left));
    let count = query(Level::Study, &[(tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &count, tags::STUDY_RELATED_INSTANCES), ["1"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_no_room_and_heals() {
    let (folder, archive) = archive();
    let large = slice("2.999.1.1.2").pixels(Pixels::Native(3_000_000));
    for (name, instance) in [("blobs", slice("2.999.1.1.1")), ("incoming", large)] {
        let (at, away) = (folder.path().join("data").join(name), folder.path().join("away"));
        fs::rename(&at, &away).unwrap();
        fs::write(&at, b"no folder").unwrap();
        let failure = store(&archive, &instance).unwrap_err();
        assert_eq!(failure.refusal().status, Status::PROCESSING_FAILURE, "{name}");
        fs::remove_file(&at).unwrap();
        fs::rename(&away, &at).unwrap();
        assert_eq!(store(&archive, &instance).unwrap().outcome, Outcome::New, "{name}");
    }
}

#[test]
fn files_made_ahead_that_somebody_has_removed_are_made_again() {
    let (folder, archive) = archive();
    let blobs_folder = folder.path().join("data/blobs");
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    for file in files_below(&blobs_folder) {
        if fs::metadata(&file).unwrap().len() == 0 {
            fs::remove_file(&file).unwrap();
        }
    }
    store(&archive, &slice("2.999.1.1.2")).unwrap();
    assert_eq!(blobs(&folder).len(), 2);
    // With their folders, and what was stored there.
    for upper in fs::read_dir(&blobs_folder).unwrap() {
        fs::remove_dir_all(upper.unwrap().path()).unwrap();
    }
    store(&archive, &slice("2.999.1.1.3")).unwrap();
    assert_eq!(blobs(&folder).len(), 1);
}
