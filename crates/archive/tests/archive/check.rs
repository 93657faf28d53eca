//! Check and repair: each kind of damage is named, nothing else is, and what can be mended is.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dicomet_archive::check::{Damage, Depth, Event, Finding, Repair, Summary, check, repair};
use dicomet_archive::{Archive, Duplicates, Error, Outcome, Removal, Settings};
use dicomet_proto::dataset::FileMeta;
use dicomet_proto::query::Level;
use dicomet_testkit::instance::Pixels;

use crate::samples::*;

fn data(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data")
}

fn blob(folder: &tempfile::TempDir, number: u64) -> PathBuf {
    data(folder).join(format!("blobs/000000/000/{number:012x}.dcm"))
}

/// An archive with the instances 2.999.1.1.1 and so on, closed.
fn filled(instances: u64) -> tempfile::TempDir {
    let (folder, archive) = archive();
    for number in 1..=instances {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    folder
}

fn look(folder: &Path, depth: Depth) -> (Summary, Vec<Finding>) {
    let mut findings = Vec::new();
    let summary = check(folder, depth, &mut |event| {
        if let Event::Found(finding) = event {
            findings.push(finding.clone());
        }
    });
    let summary = summary.unwrap();
    assert_eq!(summary.findings, findings.len() as u64);
    (summary, findings)
}

fn damages(folder: &Path, depth: Depth) -> Vec<(Damage, String)> {
    let named = |finding: Finding| {
        let name = match finding.instance {
            Some(named) => named.sop_instance.to_string(),
            None => finding.file.display().to_string(),
        };
        (finding.damage, name)
    };
    look(folder, depth).1.into_iter().map(named).collect()
}

fn mend(folder: &Path) -> Repair {
    repair(folder, Depth::Bytes, &mut |_| ()).unwrap()
}

fn sop_instances(archive: &Archive) -> Vec<String> {
    found(archive, &query(Level::Image, &[(tags::SOP_INSTANCE_UID, "")]), tags::SOP_INSTANCE_UID)
}

fn flip_last_byte(file: &Path) {
    let mut file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::End(-1)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(&[!byte[0]]).unwrap();
}

fn extend(file: &Path) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(&[0; 2]).unwrap();
}

fn cut(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    OpenOptions::new().write(true).open(file).unwrap().set_len(length - 1).unwrap();
}

#[test]
fn a_sound_archive_has_nothing_to_be_named_while_it_runs_and_after() {
    let (folder, archive) = archive();
    for number in 1..=300 {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    for depth in [Depth::Sizes, Depth::Bytes] {
        let (summary, findings) = look(&data(&folder), depth);
        assert_eq!((summary.instances, summary.files, findings), (300, 300, vec![]));
    }
    drop(archive);
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    assert_eq!(mend(&data(&folder)), Repair::default());
    assert!(!data(&folder).join("quarantine").exists());
}

#[test]
fn files_that_wait_for_an_instance_are_named_only_after_a_crash_and_go_when_the_archive_is_opened_or_repaired()
 {
    let (folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let crashed = tempfile::tempdir().unwrap();
    copy_folder(&data(&folder), &data(&crashed));
    let damages_then = damages(&data(&crashed), Depth::Bytes);
    assert!(!damages_then.is_empty());
    for (damage, file) in &damages_then {
        assert_eq!(*damage, Damage::Leftover, "{file}");
        assert_eq!(fs::metadata(data(&crashed).join(file)).unwrap().len(), 0, "{file}");
    }
    let repaired = tempfile::tempdir().unwrap();
    copy_folder(&data(&crashed), &data(&repaired));
    let cleared = damages_then.len() as u64;
    assert_eq!(mend(&data(&repaired)), Repair { cleared, ..Repair::default() });
    assert_eq!(damages(&data(&repaired), Depth::Bytes), []);
    let opened = Archive::open(&data(&crashed), Settings::default()).unwrap();
    assert_eq!(look(&data(&crashed), Depth::Bytes), look(&data(&folder), Depth::Bytes));
    drop(opened);
    assert_eq!(damages(&data(&crashed), Depth::Bytes), []);
}

#[test]
fn a_copy_that_was_made_while_the_archive_ran_is_sound_once_it_is_repaired() {
    let (folder, archive) = archive();
    for number in 1..=3 {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir_all(data(&copy)).unwrap();
    fs::copy(data(&folder).join("dicomet-archive"), data(&copy).join("dicomet-archive")).unwrap();
    copy_folder(&data(&folder).join("blobs"), &data(&copy).join("blobs"));
    assert_eq!(damages(&data(&copy), Depth::Bytes), [(Damage::Index, "index.sqlite".to_owned())]);
    let cleared = files_below(&data(&copy).join("blobs")).len() as u64 - 3;
    assert!(cleared > 0);
    assert_eq!(mend(&data(&copy)), Repair { rebuilt: Some(3), cleared, ..Repair::default() });
    assert_eq!(damages(&data(&copy), Depth::Bytes), []);
    assert_eq!(files_below(&data(&copy).join("blobs")).len(), 3);
}

#[test]
fn of_two_files_of_one_instance_a_rebuild_takes_the_one_that_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { duplicates: Duplicates::Replace, ..Settings::default() };
    let archive = Archive::open(&data(&folder), settings).unwrap();
    // Places wait with lower numbers than the large one gets.
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let large = slice("2.999.1.1.2").pixels(Pixels::Native(2_000_000));
    store(&archive, &large).unwrap();
    let first = blobs(&folder).into_iter().max().unwrap();
    let kept = fs::read(&first).unwrap();
    assert_eq!(store(&archive, &slice("2.999.1.1.2")).unwrap().outcome, Outcome::Replaced);
    drop(archive);
    // As if it had not been taken away yet when the index was lost.
    fs::write(&first, kept).unwrap();
    fs::remove_file(data(&folder).join("index.sqlite")).unwrap();
    mend(&data(&folder));
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    let stored = store(&archive, &slice("2.999.1.1.2")).unwrap();
    assert_eq!(stored.outcome, Outcome::AlreadyThere);
}

#[test]
fn every_kind_of_damage_is_named_with_its_instance_or_file() {
    let folder = filled(5);
    fs::remove_file(blob(&folder, 0)).unwrap();
    cut(&blob(&folder, 1));
    flip_last_byte(&blob(&folder, 2));
    fs::copy(blob(&folder, 3), blob(&folder, 0x99)).unwrap();
    fs::write(data(&folder).join("blobs/notes.txt"), b"x").unwrap();
    fs::write(data(&folder).join("incoming/9.tmp"), b"x").unwrap();
    let expected = [
        (Damage::Stray, "blobs/notes.txt"),
        (Damage::Missing, "2.999.1.1.1"),
        (Damage::Cut, "2.999.1.1.2"),
        (Damage::Altered, "2.999.1.1.3"),
        (Damage::Orphan, "blobs/000000/000/000000000099.dcm"),
        (Damage::Leftover, "incoming/9.tmp"),
    ]
    .map(|(damage, name)| (damage, name.to_owned()));
    assert_eq!(damages(&data(&folder), Depth::Bytes), expected);
    // Sizes alone do not show what has other bytes.
    let by_size = damages(&data(&folder), Depth::Sizes);
    assert_eq!(by_size.len(), 5);
    assert!(by_size.iter().all(|(damage, _)| *damage != Damage::Altered));
    // Nothing was changed by looking.
    assert_eq!(damages(&data(&folder), Depth::Bytes), expected);
}

#[test]
fn what_is_no_file_is_a_stray_and_what_it_lies_in_place_of_is_missing() {
    let folder = filled(5);
    let in_place = |number: u64| format!("blobs/000000/000/{number:012x}.dcm");
    // In place of instances: a link to the very file, a link that leads nowhere, a folder.
    let elsewhere = folder.path().join("elsewhere.dcm");
    fs::rename(blob(&folder, 0), &elsewhere).unwrap();
    symlink(&elsewhere, blob(&folder, 0)).unwrap();
    fs::remove_file(blob(&folder, 1)).unwrap();
    symlink("nowhere", blob(&folder, 1)).unwrap();
    fs::remove_file(blob(&folder, 2)).unwrap();
    fs::create_dir(blob(&folder, 2)).unwrap();
    fs::write(blob(&folder, 2).join("notes.txt"), b"x").unwrap();
    // Where there was nothing: the same, and what nobody ever writes to.
    symlink("nowhere", blob(&folder, 0x20)).unwrap();
    fs::create_dir(blob(&folder, 0x21)).unwrap();
    mkfifo(&blob(&folder, 0x22));
    symlink("nowhere", data(&folder).join("blobs/link")).unwrap();

    let mut expected: Vec<_> =
        [0, 1, 2, 0x20, 0x21, 0x22].map(|number| (Damage::Stray, in_place(number))).into();
    expected.push((Damage::Stray, "blobs/link".to_owned()));
    expected.extend([1, 2, 3].map(|number| (Damage::Missing, format!("2.999.1.1.{number}"))));
    for depth in [Depth::Sizes, Depth::Bytes] {
        assert_eq!(damages(&data(&folder), depth), expected);
    }
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive).len(), 5);
    drop(archive);
    assert_eq!(damages(&data(&folder), Depth::Bytes), expected);

    assert_eq!(mend(&data(&folder)), Repair { lost: 3, set_aside: 7, ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    assert!(elsewhere.exists());
    assert!(data(&folder).join("quarantine/000000000002.dcm/notes.txt").exists());
    // A second link that leads nowhere does not take the place of the first.
    symlink("nowhere", blob(&folder, 0x20)).unwrap();
    assert_eq!(mend(&data(&folder)), Repair { set_aside: 1, ..Repair::default() });
    let quarantine = data(&folder).join("quarantine");
    for name in ["000000000020.dcm", "000000000020.dcm.1"] {
        assert!(quarantine.join(name).is_symlink(), "{name}");
    }
}

fn mkfifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_link_in_place_of_an_instance_is_not_followed_when_that_comes_again() {
    let folder = filled(1);
    let elsewhere = folder.path().join("elsewhere.dcm");
    fs::rename(blob(&folder, 0), &elsewhere).unwrap();
    symlink(&elsewhere, blob(&folder, 0)).unwrap();
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    let stored = store(&archive, &slice("2.999.1.1.1")).unwrap();
    assert_eq!(stored.outcome, Outcome::Replaced);
}

#[test]
fn other_file_meta_information_is_an_alteration_too() {
    let folder = filled(2);
    fs::copy(blob(&folder, 0), blob(&folder, 1)).unwrap();
    assert_eq!(damages(&data(&folder), Depth::Bytes), [(Damage::Altered, "2.999.1.1.2".to_owned())]);
}

/// Changes one bit of a byte.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(file, bytes).unwrap();
}

/// Where the data set begins.
fn head_length(file: &Path) -> usize {
    FileMeta::read(&mut fs::File::open(file).unwrap()).unwrap().1 as usize
}

/// An archive with a small instance, and a larger one with zeros after its seal.
fn with_heads_of_both_kinds() -> tempfile::TempDir {
    let (folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    store(&archive, &slice("2.999.1.1.2").pixels(Pixels::Native(100_000))).unwrap();
    assert!(head_length(&blob(&folder, 1)) > head_length(&blob(&folder, 0)));
    folder
}

#[test]
fn bits_of_a_head_that_are_not_as_they_were_are_an_alteration() {
    let folder = with_heads_of_both_kinds();
    for number in [0, 1] {
        let file = blob(&folder, number);
        let sound = fs::read(&file).unwrap();
        let length = head_length(&file);
        let last_of_zeros = (500..length).step_by(499).chain([length - 1]);
        for at in (0..500.min(length)).step_by(11).chain(last_of_zeros) {
            // The version of what wrote it is that of an earlier one, for all that is known.
            let found = |word: &[u8]| sound.windows(word.len()).position(|window| window == word).unwrap();
            let implementation = found(b"\x02\0\x12\0UI") + 8..found(b"\x02\0\0\x01UI");
            flip(&file, at);
            let named = look(&data(&folder), Depth::Bytes).1;
            assert!(named.len() == 1 || implementation.contains(&at), "byte {at}: {named:?}");
            assert!(named.iter().all(|finding| finding.damage == Damage::Altered), "byte {at}: {named:?}");
            fs::write(&file, &sound).unwrap();
        }
    }
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_head_that_alone_is_damaged_is_written_anew_and_costs_nothing_when_the_index_is_lost() {
    let folder = with_heads_of_both_kinds();
    let sound = [0, 1].map(|number| fs::read(blob(&folder, number)).unwrap());
    let arrived = fs::metadata(blob(&folder, 0)).unwrap().modified().unwrap();
    let found = |word: &[u8]| sound[0].windows(word.len()).position(|window| window == word).unwrap();
    let sop_class = found(CT.as_bytes()) + CT.len() - 1;
    let digest = head_length(&blob(&folder, 0)) - 1;
    for at in [140, sop_class, digest, 132, 200] {
        for number in [0, 1] {
            flip(&blob(&folder, number), at);
        }
        let named = look(&data(&folder), Depth::Bytes).1;
        assert!(
            named.iter().all(|finding| finding.detail.ends_with("; its data set is as it was")),
            "{named:?}"
        );
        assert_eq!(mend(&data(&folder)), Repair { mended: 2, ..Repair::default() }, "byte {at}");
        for (number, sound) in sound.iter().enumerate() {
            assert!(fs::read(blob(&folder, number as u64)).unwrap() == *sound, "byte {at}");
        }
    }
    let modified = fs::metadata(blob(&folder, 0)).unwrap().modified().unwrap();
    assert!(arrived.duration_since(modified).unwrap().as_secs() <= 1, "it is the time of arrival");
    assert_eq!(fs::read_dir(data(&folder).join("incoming")).unwrap().count(), 0);
    assert_eq!(files_below(&data(&folder).join("quarantine")).len(), 11);
    fs::remove_file(data(&folder).join("index.sqlite")).unwrap();
    assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(2), ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_head_of_before_there_were_seals_is_as_good() {
    let folder = filled(1);
    let file = blob(&folder, 0);
    let bytes = fs::read(&file).unwrap();
    let (mut meta, begins_at) = FileMeta::read(&mut &bytes[..]).unwrap();
    meta.private_information = None;
    let unsealed = [meta.to_bytes(), bytes[begins_at as usize..].to_vec()].concat();
    fs::write(&file, &unsealed).unwrap();
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    index.execute("UPDATE instance SET data_set_offset = ?1", [meta.to_bytes().len() as i64]).unwrap();
    drop(index);
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    flip(&file, 140);
    assert_eq!(mend(&data(&folder)), Repair { mended: 1, ..Repair::default() });
    assert_eq!(fs::read(&file).unwrap(), unsealed);
}

#[test]
fn a_repair_sets_aside_what_is_damaged_and_indexes_what_is_not() {
    let folder = filled(5);
    fs::remove_file(blob(&folder, 0)).unwrap();
    cut(&blob(&folder, 1));
    flip_last_byte(&blob(&folder, 2));
    fs::copy(blob(&folder, 3), blob(&folder, 0x99)).unwrap();
    fs::write(blob(&folder, 0x98), b"not DICOM").unwrap();
    let done = mend(&data(&folder));
    assert_eq!(done, Repair { lost: 4, set_aside: 4, ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);

    let quarantine = data(&folder).join("quarantine");
    assert_eq!(fs::read_dir(&quarantine).unwrap().count(), 5);
    let notes = fs::read_to_string(quarantine.join("findings.jsonl")).unwrap();
    assert_eq!(notes.lines().count(), 5);
    for words in ["2.999.1.1.1", "2.999.1.1.2", "2.999.1.1.3", "a second copy", "no whole instance"] {
        assert!(notes.contains(words), "{words} in {notes}");
    }

    // What was lost can come again.
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive), ["2.999.1.1.4", "2.999.1.1.5"]);
    for number in 1..=3 {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    let count = query(Level::Study, &[(tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &count, tags::STUDY_RELATED_INSTANCES), ["5"]);
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_file_that_is_another_instances_than_the_index_says_is_indexed_as_what_it_is() {
    let folder = filled(3);
    let (other_folder, other) = archive();
    store(&other, &slice("2.999.1.1.9").pixels(Pixels::Native(700))).unwrap();
    drop(other);
    fs::copy(blob(&other_folder, 0), blob(&folder, 1)).unwrap();
    assert_eq!(damages(&data(&folder), Depth::Bytes), [(Damage::Altered, "2.999.1.1.2".to_owned())]);
    assert_eq!(mend(&data(&folder)), Repair { lost: 1, indexed: 1, ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive), ["2.999.1.1.1", "2.999.1.1.3", "2.999.1.1.9"]);
}

#[test]
fn an_index_older_than_the_blobs_gets_what_it_lacks() {
    let folder = filled(3);
    let old = folder.path().join("old.sqlite");
    fs::copy(data(&folder).join("index.sqlite"), &old).unwrap();
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    for number in 4..=9 {
        store(&archive, &slice(&format!("2.999.1.1.{number}"))).unwrap();
    }
    drop(archive);
    fs::copy(&old, data(&folder).join("index.sqlite")).unwrap();
    assert_eq!(damages(&data(&folder), Depth::Bytes).len(), 6);
    assert_eq!(mend(&data(&folder)), Repair { indexed: 6, ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive).len(), 9);
    // Numbers still rise: the next does not take the place of another.
    store(&archive, &slice("2.999.1.1.10")).unwrap();
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_lost_index_is_not_taken_for_an_empty_one_and_is_built_anew() {
    let folder = filled(300);
    fs::remove_file(data(&folder).join("index.sqlite")).unwrap();
    assert!(matches!(Archive::open(&data(&folder), Settings::default()), Err(Error::IndexLost(_))));
    assert_eq!(damages(&data(&folder), Depth::Bytes), [(Damage::Index, "index.sqlite".to_owned())]);
    assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(300), ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive).len(), 300);
    let studies = query(Level::Study, &[(tags::PATIENT_NAME, "bowen*"), (tags::STUDY_RELATED_INSTANCES, "")]);
    assert_eq!(found(&archive, &studies, tags::STUDY_RELATED_INSTANCES), ["300"]);
}

#[test]
fn what_does_not_fit_its_seal_when_the_index_is_built_anew_is_named_as_damaged_and_lost() {
    let folder = filled(9);
    flip_last_byte(&blob(&folder, 1));
    cut(&blob(&folder, 2));
    extend(&blob(&folder, 3));
    fs::write(blob(&folder, 4), [0; 3000]).unwrap();
    fs::write(blob(&folder, 5), fs::read(blob(&folder, 5)).unwrap().split_at(200).0).unwrap();
    fs::remove_file(data(&folder).join("index.sqlite")).unwrap();
    let mut named = Vec::new();
    let done = repair(&data(&folder), Depth::Sizes, &mut |event| {
        if let Event::Found(finding) = event {
            named.push((finding.damage, finding.detail.clone()));
        }
    });
    assert_eq!(
        done.unwrap(),
        Repair { rebuilt: Some(4), lost: 5, set_aside: 5, ..Repair::default() },
        "{named:?}"
    );
    let kinds: Vec<Damage> = named.iter().map(|(damage, _)| *damage).collect();
    let (altered, cut) = (Damage::Altered, Damage::Cut);
    assert_eq!(kinds, [Damage::Index, altered, cut, altered, cut, altered]);
    for (number, (_, detail)) in named.iter().enumerate().skip(1).take(3) {
        assert!(detail.contains(&format!("2.999.1.1.{}", number + 1)), "{detail}");
    }
    let notes = fs::read_to_string(data(&folder).join("quarantine/findings.jsonl")).unwrap();
    assert_eq!(notes.matches("\"damage\":\"altered\"").count(), 3, "{notes}");
    assert_eq!(notes.matches("\"damage\":\"cut\"").count(), 2, "{notes}");
    // Told once; what is left is whole.
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_damaged_file_that_the_index_does_not_know_is_named_as_damaged_where_it_is_read() {
    let folder = filled(3);
    fs::copy(blob(&folder, 0), blob(&folder, 0x99)).unwrap();
    flip_last_byte(&blob(&folder, 0x99));
    let file = "blobs/000000/000/000000000099.dcm".to_owned();
    assert_eq!(damages(&data(&folder), Depth::Sizes), [(Damage::Orphan, file.clone())]);
    assert_eq!(damages(&data(&folder), Depth::Bytes), [(Damage::Altered, file)]);
    assert_eq!(mend(&data(&folder)), Repair { lost: 1, set_aside: 1, ..Repair::default() });
}

#[test]
fn a_file_that_a_crash_cut_off_is_no_loss_but_one_far_from_the_last_rows_is() {
    let folder = filled(3);
    fs::copy(blob(&folder, 0), blob(&folder, 3)).unwrap();
    cut(&blob(&folder, 3));
    assert_eq!(mend(&data(&folder)), Repair { set_aside: 1, ..Repair::default() });
    // Two thousand numbers on.
    let far = data(&folder).join("blobs/000000/002");
    fs::create_dir(&far).unwrap();
    fs::copy(blob(&folder, 2), far.join("000000000801.dcm")).unwrap();
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    index.execute("UPDATE instance SET blob = 2049 WHERE blob = 2", []).unwrap();
    drop(index);
    cut(&blob(&folder, 2));
    assert_eq!(mend(&data(&folder)), Repair { lost: 1, set_aside: 1, ..Repair::default() });
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}

#[test]
fn a_broken_index_is_named_built_anew_and_kept() {
    let folder = filled(50);
    let index = data(&folder).join("index.sqlite");
    let mut file = OpenOptions::new().write(true).open(&index).unwrap();
    file.seek(SeekFrom::Start(3 * 4096)).unwrap();
    file.write_all(&[0xA5; 8 * 4096]).unwrap();
    drop(file);
    let named = damages(&data(&folder), Depth::Bytes);
    assert!(!named.is_empty() && named.iter().all(|(damage, _)| *damage == Damage::Index), "{named:?}");
    assert_eq!(mend(&data(&folder)).rebuilt, Some(50));
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
    assert!(data(&folder).join("quarantine/index.sqlite").exists());

    fs::write(&index, b"this is no database").unwrap();
    assert_eq!(mend(&data(&folder)).rebuilt, Some(50));
    assert!(data(&folder).join("quarantine/index.sqlite.1").exists());
}

/// Three instances, of which the second was removed and its file not yet taken away; and counts that do not add up.
fn broken_with_a_removed_one() -> (tempfile::TempDir, rusqlite::Connection) {
    let folder = filled(3);
    let removed = fs::read(blob(&folder, 1)).unwrap();
    let second = query(Level::Image, &[(tags::SOP_INSTANCE_UID, "2.999.1.1.2")]);
    Removal::plan(&data(&folder), &second).unwrap().carry_out(|_| ()).unwrap();
    fs::write(blob(&folder, 1), removed).unwrap();
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    index.execute_batch("INSERT INTO doomed_blob (blob) VALUES (1); UPDATE study SET instances = 7").unwrap();
    (folder, index)
}

/// Spoils the first page of a table.
fn spoil(folder: &tempfile::TempDir, index: rusqlite::Connection, table: &str) {
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u64 = index.query_row(sql, [table], |row| row.get::<_, i64>(0)).unwrap() as u64;
    drop(index);
    let mut file = OpenOptions::new().write(true).open(data(folder).join("index.sqlite")).unwrap();
    file.seek(SeekFrom::Start((page - 1) * 4096)).unwrap();
    file.write_all(&[0xA5; 4096]).unwrap();
}

#[test]
fn what_was_removed_stays_removed_when_the_index_is_built_anew_from_one_that_still_says_so() {
    for spoilt in [None, Some("instance"), Some("study")] {
        let (folder, index) = broken_with_a_removed_one();
        if let Some(table) = spoilt {
            spoil(&folder, index, table);
        }
        assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(2), ..Repair::default() }, "{spoilt:?}");
        assert_eq!(damages(&data(&folder), Depth::Bytes), []);
        let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
        assert_eq!(sop_instances(&archive), ["2.999.1.1.1", "2.999.1.1.3"]);
        assert!(!blob(&folder, 1).exists());
    }
}

#[test]
fn an_index_that_cannot_be_read_for_what_is_removed_takes_nothing_away() {
    let (folder, index) = broken_with_a_removed_one();
    spoil(&folder, index, "doomed_blob");
    assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(3), ..Repair::default() });
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive).len(), 3);
}

#[test]
fn an_instance_that_has_a_row_is_not_taken_for_removed_when_the_index_is_built_anew() {
    let (folder, index) = broken_with_a_removed_one();
    index.execute("INSERT INTO doomed_blob (blob) VALUES (0)", []).unwrap();
    drop(index);
    assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(2), ..Repair::default() });
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive), ["2.999.1.1.1", "2.999.1.1.3"]);
}

#[test]
fn counts_that_do_not_add_up_are_a_fault_of_the_index() {
    let folder = filled(2);
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    index.execute("UPDATE study SET instances = 7", []).unwrap();
    drop(index);
    assert_eq!(damages(&data(&folder), Depth::Sizes), [(Damage::Index, "index.sqlite".to_owned())]);
    assert_eq!(mend(&data(&folder)).rebuilt, Some(2));
}

#[test]
fn a_rebuild_knows_the_later_of_two_as_the_one_that_was_kept() {
    let (folder, archive) = archive_with(Settings { duplicates: Duplicates::Replace, ..Settings::default() });
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let first = fs::read(blob(&folder, 0)).unwrap();
    let second = slice("2.999.1.1.1").with(tags::MANUFACTURER, "another");
    store(&archive, &second).unwrap();
    drop(archive);
    // As if the crash had come before the first was taken away.
    fs::write(blob(&folder, 0), first).unwrap();
    fs::remove_file(data(&folder).join("index.sqlite")).unwrap();
    assert_eq!(mend(&data(&folder)), Repair { rebuilt: Some(1), set_aside: 1, ..Repair::default() });
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    let manufacturer = query(Level::Image, &[(tags::MANUFACTURER, "")]);
    assert_eq!(found(&archive, &manufacturer, tags::MANUFACTURER), ["another"]);
}

#[test]
fn a_repair_is_refused_while_the_archive_is_in_use_and_where_there_is_none() {
    let (folder, archive) = archive();
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let refused = repair(&data(&folder), Depth::Sizes, &mut |_| ());
    assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    let nowhere = folder.path().join("nowhere");
    assert!(matches!(check(&nowhere, Depth::Sizes, &mut |_| ()), Err(Error::NoArchive(_))));
    assert!(matches!(repair(&nowhere, Depth::Sizes, &mut |_| ()), Err(Error::NoArchive(_))));
    assert!(!nowhere.exists());
}

#[test]
fn an_index_of_a_later_version_is_neither_checked_nor_repaired() {
    let folder = filled(1);
    let index = rusqlite::Connection::open(data(&folder).join("index.sqlite")).unwrap();
    index.pragma_update(None, "user_version", 999).unwrap();
    drop(index);
    assert!(matches!(check(&data(&folder), Depth::Sizes, &mut |_| ()), Err(Error::NewerSchema { .. })));
    assert!(matches!(repair(&data(&folder), Depth::Sizes, &mut |_| ()), Err(Error::NewerSchema { .. })));
}

#[test]
fn an_index_without_tables_is_broken() {
    let folder = filled(3);
    let index = data(&folder).join("index.sqlite");
    fs::write(&index, b"").unwrap();
    assert_eq!(damages(&data(&folder), Depth::Sizes), [(Damage::Index, "index.sqlite".to_owned())]);
    assert_eq!(mend(&data(&folder)).rebuilt, Some(3));
}

#[test]
fn a_broken_worklist_is_named_and_left_to_be_restored() {
    let folder = filled(1);
    let worklist = data(&folder).join("worklist.sqlite");
    assert!(worklist.exists());
    fs::write(&worklist, b"this is no database, whatever it is").unwrap();
    assert_eq!(damages(&data(&folder), Depth::Sizes), [(Damage::Worklist, "worklist.sqlite".to_owned())]);
    assert_eq!(mend(&data(&folder)), Repair { left: 1, ..Repair::default() });
    assert!(worklist.exists());
}

#[test]
fn what_is_stored_while_it_is_checked_is_no_damage() {
    let (folder, archive) = archive_with(Settings { duplicates: Duplicates::Replace, ..Settings::default() });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (archive, stop) = (&archive, &stop);
            scope.spawn(move || {
                for number in (0..40).cycle() {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let instance = slice(&format!("2.999.1.{thread}.{number}"));
                    store(archive, &instance).unwrap();
                    store(archive, &instance.with(tags::MANUFACTURER, "another")).unwrap();
                }
            });
        }
        let findings: Vec<_> = (0..20).flat_map(|_| damages(&data(&folder), Depth::Bytes)).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(findings, []);
    });
}

#[test]
fn what_was_in_place_and_not_yet_indexed_when_a_crash_came_is_indexed_at_the_next_start() {
    let folder = filled(3);
    let old = folder.path().join("old.sqlite");
    fs::copy(data(&folder).join("index.sqlite"), &old).unwrap();
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    store(&archive, &slice("2.999.1.1.4")).unwrap();
    drop(archive);
    fs::copy(&old, data(&folder).join("index.sqlite")).unwrap();
    let archive = Archive::open(&data(&folder), Settings::default()).unwrap();
    assert_eq!(sop_instances(&archive).len(), 4);
    assert_eq!(damages(&data(&folder), Depth::Bytes), []);
}
