//! Power failures: the index is as it was at any moment since its last sync, files that nobody was told of are torn;
//! and everything that was answered with success is there, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use dicomet_archive::check::{Damage, Depth, Event, check, repair};
use dicomet_archive::{Archive, Duplicates, Error, Outcome, Removal, Settings};
use dicomet_proto::query::Level;
use dicomet_testkit::instance::Instance;

use crate::samples::*;

/// What must be there, by SOP Instance UID.
type Expected = BTreeMap<String, Vec<u8>>;

fn replacing() -> Settings {
    Settings { duplicates: Duplicates::Replace, ..Settings::default() }
}

fn findings(data: &Path) -> Vec<(Damage, PathBuf)> {
    let mut findings = Vec::new();
    let mut keep = |event: Event<'_>| {
        if let Event::Found(finding) = event {
            findings.push((finding.damage, finding.file.clone()));
        }
    };
    check(data, Depth::Bytes, &mut keep).unwrap();
    findings
}

fn there(archive: &Archive) -> Expected {
    let studies = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "")]);
    let mut there = Expected::new();
    for study in found(archive, &studies, tags::STUDY_INSTANCE_UID) {
        let instances = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, &study)]);
        for stored in archive.plan(&instances).unwrap() {
            let mut bytes = Vec::new();
            archive.open_instance(&stored).unwrap().read_to_end(&mut bytes).unwrap();
            there.insert(stored.sop_instance.to_string(), bytes);
        }
    }
    there
}

/// An archive under load, of which is known what must survive, and up to where its write-ahead log was synced.
struct Running {
    data: PathBuf,
    archive: Archive,
    expected: Expected,
    synced: u64,
    replaced: u64,
}

impl Running {
    fn log_length(&self) -> u64 {
        fs::metadata(self.data.join("index.sqlite-wal")).unwrap().len()
    }

    /// Eight at a time, in studies of ten.
    fn store(&mut self, numbers: std::ops::Range<u64>) {
        let instance = |number: u64| {
            let study = format!("2.999.{}", number / 10);
            slice(&format!("{study}.1.{number}")).in_series(&study, &format!("{study}.1"))
        };
        std::thread::scope(|scope| {
            for first in 0..8 {
                let (archive, numbers) = (&self.archive, numbers.clone());
                scope.spawn(move || {
                    for number in numbers.skip(first).step_by(8) {
                        assert_eq!(store(archive, &instance(number)).unwrap().outcome, Outcome::New);
                    }
                });
            }
        });
        for number in numbers {
            self.expect(&instance(number));
        }
    }

    fn expect(&mut self, instance: &Instance) {
        self.expected.insert(instance.text(tags::SOP_INSTANCE_UID).to_owned(), instance.data_set());
    }

    fn replace(&mut self, number: u64) {
        let study = format!("2.999.{}", number / 10);
        let other = slice(&format!("{study}.1.{number}"))
            .in_series(&study, &format!("{study}.1"))
            .with(tags::MANUFACTURER, &format!("another {}", self.replaced));
        self.replaced += 1;
        assert_eq!(store(&self.archive, &other).unwrap().outcome, Outcome::Replaced);
        self.expect(&other);
        self.synced = self.log_length();
    }

    fn delete(&mut self, study: u64) {
        let uid = format!("2.999.{study}");
        let removal =
            Removal::plan(&self.data, &query(Level::Study, &[(tags::STUDY_INSTANCE_UID, &uid)])).unwrap();
        removal.carry_out(|_| ()).unwrap();
        self.expected.retain(|instance, _| !instance.starts_with(&format!("{uid}.")));
        self.synced = self.log_length();
    }

    /// Fails the power: of what the write-ahead log has beyond its last sync, a part is there.
    fn fail_at(&self, log_length: u64) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy_folder(&self.data, &data);
        fs::remove_file(data.join("index.sqlite-shm")).unwrap();
        let log = fs::OpenOptions::new().write(true).open(data.join("index.sqlite-wal")).unwrap();
        log.set_len(log_length).unwrap();
        let archive = Archive::open(&data, replacing()).unwrap();
        assert!(there(&archive) == self.expected, "cut at {log_length}");
        assert_eq!(findings(&data), [], "cut at {log_length}");
    }

    fn fail_anywhere(&self) {
        let end = self.log_length();
        assert!(end > self.synced);
        for part in 0..=12 {
            self.fail_at(self.synced + (end - self.synced) * part / 12);
        }
    }
}

#[test]
fn what_was_stored_survives_wherever_the_log_of_the_index_ends() {
    let (folder, archive) = archive_with(replacing());
    let data = folder.path().join("data");
    let mut running = Running { data, archive, expected: Expected::new(), synced: 0, replaced: 0 };
    running.store(0..60);
    running.fail_anywhere();
}

#[test]
fn what_was_removed_stays_removed_and_what_was_replaced_replaced() {
    let (folder, archive) = archive_with(replacing());
    let data = folder.path().join("data");
    let mut running = Running { data, archive, expected: Expected::new(), synced: 0, replaced: 0 };
    running.store(0..40);
    running.replace(7);
    running.store(40..60);
    running.delete(1);
    running.store(60..70);
    running.fail_anywhere();
    running.delete(6);
    running.replace(7);
    running.replace(59);
    running.store(70..80);
    running.fail_anywhere();
}

#[test]
fn an_index_that_is_a_thousand_stores_behind_is_brought_up_to_date() {
    let (folder, archive) = archive();
    let data = folder.path().join("data");
    let old = folder.path().join("old");
    let mut running =
        Running { data: data.clone(), archive, expected: Expected::new(), synced: 0, replaced: 0 };
    running.store(0..16);
    fs::create_dir(&old).unwrap();
    for name in ["index.sqlite", "index.sqlite-wal"] {
        fs::copy(data.join(name), old.join(name)).unwrap();
    }
    running.store(16..1040);
    let Running { archive, expected, .. } = running;
    drop(archive);
    for name in ["index.sqlite", "index.sqlite-wal"] {
        fs::copy(old.join(name), data.join(name)).unwrap();
    }
    let archive = Archive::open(&data, Settings::default()).unwrap();
    assert!(there(&archive) == expected);
    assert_eq!(findings(&data), []);
}

#[test]
fn an_index_that_is_further_behind_than_a_crash_leaves_it_is_refused() {
    let (folder, archive) = archive();
    let data = folder.path().join("data");
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    fs::write(data.join("index.sqlite"), b"").unwrap();
    let file = |number: u32| data.join(format!("blobs/000000/{:03x}/{number:012x}.dcm", number >> 10));
    for number in 1..=4096 {
        fs::create_dir_all(file(number).parent().unwrap()).unwrap();
        fs::write(file(number), b"").unwrap();
    }
    assert!(matches!(Archive::open(&data, Settings::default()), Err(Error::IndexBehind)));
    fs::remove_file(file(4096)).unwrap();
    let archive = Archive::open(&data, Settings::default()).unwrap();
    assert_eq!(there(&archive).len(), 1);
    assert!(!file(4095).exists());
}

/// An archive with one instance, 2.999.1.1.1, and a file with bytes of its own in the place of the next one; what the
/// archive has after it was opened then, and what `check` finds.
fn opened_with(next: impl FnOnce(Vec<u8>) -> Vec<u8>, settings: Settings) -> (Expected, Vec<Damage>) {
    let (folder, archive) = archive();
    let data = folder.path().join("data");
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    let (other_folder, other) = self::archive();
    store(&other, &slice("2.999.1.1.2")).unwrap();
    let place = "blobs/000000/000/000000000000.dcm";
    let whole = fs::read(other_folder.path().join("data").join(place)).unwrap();
    fs::write(data.join(place.replace("000.dcm", "001.dcm")), next(whole)).unwrap();
    let archive = Archive::open(&data, settings).unwrap();
    let found = findings(&data).into_iter().map(|(damage, _)| damage).collect();
    (there(&archive), found)
}

fn only(instances: &[&str]) -> Expected {
    instances.iter().map(|uid| ((*uid).to_owned(), slice(uid).data_set())).collect()
}

#[test]
fn a_file_that_is_whole_is_taken_in_and_one_that_was_cut_goes() {
    let both = only(&["2.999.1.1.1", "2.999.1.1.2"]);
    assert_eq!(opened_with(|whole| whole, Settings::default()), (both, vec![]));
    let torn: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |whole| whole[..whole.len() - 1].to_vec(),
        |whole| whole[..whole.len() / 2].to_vec(),
        |_| Vec::new(),
        |whole| vec![0; whole.len()],
    ];
    for torn in torn {
        assert_eq!(opened_with(torn, Settings::default()), (only(&["2.999.1.1.1"]), vec![]));
    }
}

#[test]
fn a_file_that_is_not_what_its_seal_says_is_not_taken_in_and_named() {
    let altered = |mut whole: Vec<u8>| {
        // In the pixel data, where the structure of the data set says nothing.
        let last = whole.len() - 1;
        whole[last] ^= 1;
        whole
    };
    assert_eq!(opened_with(altered, Settings::default()), (only(&["2.999.1.1.1"]), vec![Damage::Altered]));
}

#[test]
fn an_earlier_file_does_not_replace_what_came_after_it() {
    let (folder, archive) = archive_with(replacing());
    let data = folder.path().join("data");
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    let later = slice("2.999.1.1.1").with(tags::MANUFACTURER, "another");
    assert_eq!(store(&archive, &later).unwrap().outcome, Outcome::Replaced);
    drop(archive);
    // As it was removed, but for the power.
    fs::write(data.join("blobs/000000/000/000000000000.dcm"), slice("2.999.1.1.1").part10()).unwrap();
    let archive = Archive::open(&data, replacing()).unwrap();
    assert_eq!(there(&archive), [("2.999.1.1.1".to_owned(), later.data_set())].into());
    assert_eq!(findings(&data), []);
}

#[test]
fn what_a_power_failure_left_out_of_the_index_is_removed_with_the_rest() {
    let (folder, archive) = archive();
    let (data, old) = (folder.path().join("data"), folder.path().join("old.sqlite"));
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    fs::copy(data.join("index.sqlite"), &old).unwrap();
    let archive = Archive::open(&data, Settings::default()).unwrap();
    store(&archive, &slice("2.999.1.1.2")).unwrap();
    drop(archive);
    fs::copy(&old, data.join("index.sqlite")).unwrap();
    let study = query(Level::Study, &[(tags::STUDY_INSTANCE_UID, "2.999.1")]);
    let removal = Removal::plan(&data, &study).unwrap();
    assert_eq!(removal.instances(), 2);
    removal.carry_out(|_| ()).unwrap();
    assert_eq!(there(&Archive::open(&data, Settings::default()).unwrap()), Expected::new());
}

#[test]
fn a_file_of_before_there_were_seals_is_taken_in() {
    let unsealed = |_| slice("2.999.1.1.2").part10();
    let both = only(&["2.999.1.1.1", "2.999.1.1.2"]);
    assert_eq!(opened_with(unsealed, Settings::default()), (both, vec![]));
}

#[test]
fn a_second_copy_and_what_was_to_be_refused_go_while_the_first_is_whole() {
    let copy = |_| slice("2.999.1.1.1").part10();
    let first = only(&["2.999.1.1.1"]);
    assert_eq!(opened_with(copy, Settings::default()), (first.clone(), vec![]));
    let other = slice("2.999.1.1.1").with(tags::MANUFACTURER, "another");
    let refused = |_| other.part10();
    assert_eq!(opened_with(refused, Settings::default()), (first, vec![]));
    let replaced = [("2.999.1.1.1".to_owned(), other.data_set())].into();
    assert_eq!(opened_with(refused, replacing()), (replaced, vec![]));
}

#[test]
fn what_was_to_be_refused_stays_when_the_first_is_damaged() {
    let (folder, archive) = archive();
    let data = folder.path().join("data");
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    drop(archive);
    fs::write(data.join("blobs/000000/000/000000000000.dcm"), b"no more").unwrap();
    let other = slice("2.999.1.1.1").with(tags::MANUFACTURER, "another").part10();
    fs::write(data.join("blobs/000000/000/000000000001.dcm"), &other).unwrap();
    drop(Archive::open(&data, Settings::default()).unwrap());
    let damages: Vec<Damage> = findings(&data).into_iter().map(|(damage, _)| damage).collect();
    assert_eq!(damages, [Damage::Cut, Damage::Orphan]);
    assert_eq!(fs::read(data.join("blobs/000000/000/000000000001.dcm")).unwrap(), other);
}

#[test]
fn an_index_that_is_restored_from_before_a_removal_hides_nothing_that_came_after() {
    let (folder, archive) = archive();
    let (data, old) = (folder.path().join("data"), folder.path().join("old.sqlite"));
    store(&archive, &slice("2.999.1.1.1")).unwrap();
    store(&archive, &slice("2.999.1.1.2")).unwrap();
    drop(archive);
    fs::copy(data.join("index.sqlite"), &old).unwrap();
    let last = query(Level::Image, &[(tags::SOP_INSTANCE_UID, "2.999.1.1.2")]);
    Removal::plan(&data, &last).unwrap().carry_out(|_| ()).unwrap();
    let archive = Archive::open(&data, Settings::default()).unwrap();
    store(&archive, &slice("2.999.1.1.3")).unwrap();
    drop(archive);
    fs::copy(&old, data.join("index.sqlite")).unwrap();
    drop(Archive::open(&data, Settings::default()).unwrap());
    let removed = PathBuf::from("blobs/000000/000/000000000001.dcm");
    assert_eq!(findings(&data), [(Damage::Missing, removed)]);
    repair(&data, Depth::Bytes, &mut |_| ()).unwrap();
    let archive = Archive::open(&data, Settings::default()).unwrap();
    assert_eq!(there(&archive), only(&["2.999.1.1.1", "2.999.1.1.3"]));
}

#[test]
fn a_thousand_replacements_are_where_they_were_after_a_restart() {
    let (folder, archive) = archive_with(replacing());
    let data = folder.path().join("data");
    let mut running =
        Running { data: data.clone(), archive, expected: Expected::new(), synced: 0, replaced: 0 };
    running.store(0..20);
    for _ in 0..55 {
        (0..20).for_each(|number| running.replace(number));
    }
    let Running { archive, expected, .. } = running;
    drop(archive);
    assert!(there(&Archive::open(&data, replacing()).unwrap()) == expected);
    assert_eq!(findings(&data), []);
}
