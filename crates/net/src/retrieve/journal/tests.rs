#![allow(clippy::unwrap_used)]

use super::page::More;
use super::*;
use crate::retrieve::inventory::{Instance, Series};

const STUDY: Uid = Uid::from_static("1.2");
const ONE: Uid = Uid::from_static("1.2.1");
const TWO: Uid = Uid::from_static("1.2.2");

/// A study of series 1.2.0.1, 1.2.0.2 and so on, with so many instances each.
fn study(series: &[u64]) -> Study {
    let series = series.iter().zip(1..).map(|(instances, place)| {
        let instances = (1..=*instances).map(|number| Instance {
            uid: Uid::new(format!("1.2.0.{place}.{number}")).unwrap(),
            sop_class: (number > 1).then_some(Uid::from_static("1.2.840.10008.5.1.4.1.1.2")),
        });
        Series::named(Uid::new(format!("1.2.0.{place}")).unwrap(), instances.collect())
    });
    Study::named(STUDY, series.collect())
}

fn page(folder: &tempfile::TempDir) -> Page {
    page_of(folder.path(), &STUDY).unwrap()
}

fn append(folder: &tempfile::TempDir, bytes: &[u8]) {
    let path = folder.path().join("studies").join(STUDY.as_str());
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn here(of: &[(&Uid, u64)]) -> Here {
    of.iter().map(|(uid, bytes)| ((*uid).clone(), *bytes)).collect()
}

#[test]
fn what_is_expected_and_what_has_come_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.expect(&study(&[2, 1])).here, Here::new());
    journal.note(&STUDY, &ONE, 10);
    journal.note(&STUDY, &TWO, 20);
    journal.note(&STUDY, &ONE, 11);
    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.expect(&study(&[2, 1])).here, here(&[(&ONE, 11), (&TWO, 20)]));
    assert_eq!(page(&folder).expected, Some(study(&[2, 1]).series));
    assert_eq!(studies(folder.path()).unwrap(), [STUDY]);
    assert_eq!(page_of(folder.path(), &ONE).unwrap(), Page::default(), "another study has another page");
}

#[test]
fn a_study_that_has_changed_is_expected_as_it_is_now_and_what_has_come_stays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    journal.expect(&study(&[2]));
    journal.note(&STUDY, &ONE, 10);
    journal.expect(&Study { counted: Some(7), ..study(&[1, 4]) });
    journal.note(&STUDY, &TWO, 20);
    let page = page(&folder);
    assert_eq!(page.expected, Some(study(&[1, 4]).series));
    assert_eq!((page.more, page.here), (More::Counted(2), here(&[(&ONE, 10), (&TWO, 20)])));
}

#[test]
fn what_other_keys_want_of_a_study_is_expected_besides() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let [first, second] = <[Series; 2]>::try_from(study(&[3, 2]).series).unwrap();
    let part = |series: Series| Study { is_whole: false, series: vec![series], ..study(&[]) };
    journal.expect(&part(first.clone()));
    journal.expect(&part(Series {
        is_whole: false,
        instances: second.instances[..1].to_vec(),
        ..second.clone()
    }));
    journal.expect(&part(Series { is_whole: false, instances: second.instances[1..].to_vec(), ..second }));
    assert_eq!(page(&folder).expected, Some(study(&[3, 2]).series));
    journal.expect(&part(Series { instances: Vec::new(), ..first }));
    assert_eq!(page(&folder).expected.unwrap()[0].instances, [], "a whole series is as it is told now");
}

#[test]
fn a_study_whose_instances_nobody_names_expects_more_than_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    journal.expect(&Study { is_named: false, ..study(&[]) });
    assert_eq!(page(&folder).more, More::Unknown);
    journal.expect(&Study { is_named: false, counted: Some(5), ..study(&[]) });
    assert_eq!(page(&folder).more, More::Counted(5));
}

#[test]
fn what_a_cut_left_is_passed_over_and_what_follows_is_read() {
    for torn in
        [&b"here 1.2.1 5"[..], b"here 1.2.1", b"\0\0\0\0", &[b'x'; 1000], b"here 1.2.1 \xff\n", b"end 7\n"]
    {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        journal.expect(&study(&[2]));
        journal.note(&STUDY, &ONE, 500);
        append(&folder, torn);
        let journal = Journal::open(folder.path()).unwrap();
        journal.note(&STUDY, &TWO, 20);
        assert_eq!(journal.expect(&study(&[2])).here, here(&[(&ONE, 500), (&TWO, 20)]), "{torn:?}");
        assert_eq!(page(&folder).expected, Some(study(&[2]).series), "{torn:?}");
    }
}

#[test]
fn a_page_that_is_cut_anywhere_is_whole_again_after_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies").join(STUDY.as_str());
    let journal = Journal::open(folder.path()).unwrap();
    journal.expect(&study(&[2, 1]));
    journal.note(&STUDY, &ONE, 500);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let known = journal.expect(&study(&[2, 1])).here;
        assert!(known.is_empty() || known == here(&[(&ONE, 500)]), "{length}: {known:?}");
        journal.note(&STUDY, &ONE, 500);
        let page = page(&folder);
        assert_eq!(page.expected, Some(study(&[2, 1]).series), "{length}");
        assert_eq!(page.here, here(&[(&ONE, 500)]), "{length}");
    }
}

#[test]
fn a_page_of_another_format_counts_as_empty_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    fs::write(folder.path().join("studies").join("1.2"), "dicomet-journal 99\nhere 1.2.1 5\n").unwrap();
    assert_eq!(journal.expect(&study(&[1])).here, Here::new());
    assert_eq!(page(&folder).expected, Some(study(&[1]).series));
}

#[test]
fn a_page_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies").join(STUDY.as_str());
    for run in 1..=100 {
        let journal = Journal::open(folder.path()).unwrap();
        journal.expect(&study(&[2]));
        for _ in 0..10 {
            journal.note(&STUDY, &ONE, run);
        }
    }
    assert!(fs::metadata(&path).unwrap().len() < 4096);
    assert_eq!(page(&folder).here, here(&[(&ONE, 100)]));
}

#[test]
fn many_studies_at_a_time_have_a_page_each() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let uid = |number: usize| Uid::new(format!("1.3.{number}")).unwrap();
    for instance in [ONE, TWO] {
        for number in 0..2 * OPEN_PAGES {
            journal.note(&uid(number), &instance, number as u64);
        }
    }
    assert_eq!(journal.open.lock().unwrap().len(), OPEN_PAGES);
    for number in 0..2 * OPEN_PAGES {
        let bytes = number as u64;
        assert_eq!(page_of(folder.path(), &uid(number)).unwrap().here, here(&[(&ONE, bytes), (&TWO, bytes)]));
    }
}
