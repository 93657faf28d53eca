//! `dicomet serve` killed (SIGKILL) at random moments while many store: every instance that was answered with
//! success is there afterwards, byte for byte; every other is wholly there or not at all; and nothing else.
//!
//! `DICOMET_CRASH_ROUNDS` says how often (20), `DICOMET_CRASH_SEED` repeats the moments of an earlier run.
//! `bench/crash.sh` does it hundreds of times.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dicomet_archive::check::{Damage, Depth, Event, Finding, check};
use dicomet_archive::{Archive, Duplicates, Settings};
use dicomet_net::Node;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_testkit::instance::{Instance, Pixels};

use support::{Random, Requestor, Serve, binary, from_environment, seed};

/// Requestors that store side by side.
const REQUESTORS: u64 = 8;
/// Rounds after which a new archive is begun: what is in it is read after each.
const ROUNDS_AN_ARCHIVE: u64 = 20;
/// Answers of success in a round after which the moment of the kill comes, at most.
const MOST_ANSWERS: u64 = 80;
/// And how much later it may be.
const LATEST: Duration = Duration::from_millis(15);

/// What a requestor knows of an instance: how many versions it sent, and how many were answered with success.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    sent: u64,
    answered: u64,
}

type Ledger = Arc<Mutex<BTreeMap<u64, Told>>>;

/// A version of an instance: from its numbers alone, so that nothing has to be kept to compare it with.
fn instance(number: u64, version: u64) -> Vec<u8> {
    let mut random = Random(number);
    let pixels = match random.below(4) {
        0 => 300_000 + random.below(200_000),
        _ => 1_000 + random.below(60_000),
    };
    let series = number % REQUESTORS;
    Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &format!("2.999.1.{series}.{number}"))
        .patient("P1", "Bowen^William", "")
        .in_series("2.999.1", &format!("2.999.1.{series}"))
        .with(Tag(0x0008, 0x0070), &format!("version {version}"))
        .pixels(Pixels::Native(pixels))
        .data_set()
}

/// Stores until the archive is gone: each instance, and every third a second time with other bytes.
async fn store_on(node: Node, next: Arc<AtomicU64>, ledger: Ledger, answers: Arc<AtomicU64>) {
    let Ok(mut requestor) = Requestor::associate(&node).await else { return };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let sop_instance = format!("2.999.1.{}.{number}", number % REQUESTORS);
        for version in 1..=if number.is_multiple_of(3) { 2 } else { 1 } {
            ledger.lock().unwrap().entry(number).or_default().sent = version;
            let Ok(status) = requestor.store(&sop_instance, instance(number, version)).await else { return };
            assert_eq!(status, Status::SUCCESS);
            ledger.lock().unwrap().entry(number).or_default().answered = version;
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Serves, stores and kills, once.
async fn round(data: &Path, random: &mut Random, next: &Arc<AtomicU64>, ledger: &Ledger) {
    let answers = Arc::new(AtomicU64::new(0));
    let wanted = random.below(MOST_ANSWERS);
    let later = Duration::from_micros(random.below(LATEST.as_micros() as u64));
    let serve = Serve::start(data, &["--duplicate", "replace"]);
    let requestors: Vec<_> = (0..REQUESTORS)
        .map(|_| {
            tokio::spawn(store_on(
                serve.node.clone(),
                Arc::clone(next),
                Arc::clone(ledger),
                Arc::clone(&answers),
            ))
        })
        .collect();
    while answers.load(Ordering::Relaxed) < wanted {
        tokio::task::yield_now().await;
    }
    // No wait for something to happen: the moment itself is what is varied.
    tokio::time::sleep(later).await;
    drop(serve);
    for requestor in requestors {
        requestor.await.unwrap();
    }
}

fn findings(data: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut keep = |event: Event<'_>| {
        if let Event::Found(finding) = event {
            findings.push(finding.clone());
        }
    };
    check(data, Depth::Bytes, &mut keep).unwrap();
    findings
}

/// What is there after a kill: before the archive is opened again, and after.
fn verify(data: &Path, ledger: &Ledger) -> u64 {
    let unsettled = findings(data);
    let is_expected = |finding: &Finding| match finding.damage {
        Damage::Leftover | Damage::Orphan => true,
        // A kill cuts off a write.
        Damage::Cut => finding.instance.is_none(),
        _ => false,
    };
    assert!(unsettled.iter().all(is_expected), "{unsettled:?}");

    let settings = Settings { duplicates: Duplicates::Replace, ..Settings::default() };
    let archive = Archive::open(data, settings).unwrap();
    assert_eq!(findings(data), []);
    let mut query = Query::new(Model::StudyRoot, Level::Study);
    query.keys.set_text(Tag(0x0020, 0x000D), "2.999.1");
    let ledger = ledger.lock().unwrap();
    let mut present = BTreeMap::new();
    for stored in archive.plan(&query).unwrap() {
        let number: u64 = stored.sop_instance.as_str().rsplit('.').next().unwrap().parse().unwrap();
        let told = ledger[&number];
        let mut bytes = Vec::new();
        archive.open_instance(&stored).unwrap().read_to_end(&mut bytes).unwrap();
        let versions = told.answered.max(1)..=told.sent;
        let version = versions.clone().find(|version| instance(number, *version) == bytes);
        assert!(version.is_some(), "instance {number} is none of the versions {versions:?}");
        present.insert(number, version);
    }
    let answered: Vec<u64> =
        ledger.iter().filter(|(_, told)| told.answered > 0).map(|(number, _)| *number).collect();
    let lost: Vec<&u64> = answered.iter().filter(|number| !present.contains_key(number)).collect();
    assert!(lost.is_empty(), "answered with success and lost: {lost:?}");
    answered.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_success_survives_a_kill_at_any_moment() {
    let rounds = from_environment("DICOMET_CRASH_ROUNDS").unwrap_or(20);
    let seed = seed();
    println!("{rounds} rounds, DICOMET_CRASH_SEED={seed}");
    let mut random = Random(seed);
    let next = Arc::new(AtomicU64::new(1));
    let mut answered = 0;
    let mut done = 0;
    while done < rounds {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::default();
        let mut here = 0;
        for _ in 0..ROUNDS_AN_ARCHIVE.min(rounds - done) {
            round(folder.path(), &mut random, &next, &ledger).await;
            here = verify(folder.path(), &ledger);
            done += 1;
        }
        answered += here;
        println!("{done} kills, {answered} instances answered with success, all there byte for byte");
    }
}

#[test]
fn a_removal_that_is_killed_removes_studies_wholly_or_not_at_all() {
    let rounds = from_environment("DICOMET_CRASH_ROUNDS").unwrap_or(20).div_ceil(4);
    let seed = from_environment("DICOMET_CRASH_SEED").unwrap_or(17);
    let mut random = Random(seed);
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        for number in 0..60 {
            let study = format!("2.999.{}", number / 3);
            let instance =
                Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &format!("{study}.1.{}", number % 3))
                    .patient("P1", "Bowen^William", "")
                    .in_series(&study, &format!("{study}.1"));
            std::fs::write(files.join(format!("{number}.dcm")), instance.part10()).unwrap();
        }
        let data = folder.path().join("data");
        let dicomet = |arguments: &[&str]| {
            let mut command = Command::new(binary());
            command.args(arguments).arg("--data").arg(&data).stdout(Stdio::piped()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        assert!(dicomet(&["import", files.to_str().unwrap()]).wait().unwrap().success());
        let mut removing = dicomet(&["delete", "PatientID=P1", "--yes"]);
        // From its first word on, which comes with the first study.
        let mut first = [0];
        removing.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
        removing.kill().unwrap();
        removing.wait().unwrap();

        let archive = Archive::open(&data, Settings::default()).unwrap();
        assert_eq!(findings(&data), []);
        for number in 0..20 {
            let mut query = Query::new(Model::StudyRoot, Level::Study);
            query.keys.set_text(Tag(0x0020, 0x000D), &format!("2.999.{number}"));
            let left = archive.plan(&query).unwrap().len();
            assert!(left == 0 || left == 3, "{left} of 3 left");
        }
    }
}
