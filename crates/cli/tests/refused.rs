//! `dicomet serve` on a system that refuses to make, write, remove or sync files, be it read-only, out of quota or out of
//! order: the right status, everything as it was, and no restart when it is well again, unless a sync has failed; and
//! `dicomet delete` on a full disk. A library between the program and the system refuses what the test says.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::ops::Range;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use dicomet_archive::{Archive, Settings};
use dicomet_net::Node;
use dicomet_proto::message::Status;

use support::{Preloaded, Requestor, assert_sound, binary, store};

/// From now on a call fails for files with that part in their path.
fn refuse(system: &Preloaded, call: &str, errno: i32, part: &str) {
    let (new, told) = (system.told().with_extension("new"), system.told());
    fs::write(&new, format!("{call} {errno} {part}\n")).unwrap();
    fs::rename(new, told).unwrap();
}

fn allow(system: &Preloaded) {
    fs::remove_file(system.told()).unwrap();
}

/// Error numbers of Linux.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// Bytes of two instances that go to files made ahead, and of one that is received to a file of its own.
const SIZES: [u64; 3] = [3_000, 300_000, 3_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_written_a_store_is_out_of_resources_until_it_can() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    let serve = system.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    let mut number = 0;
    for errno in [EROFS, EDQUOT, ENOSPC] {
        let (ahead, of_its_own) = SIZES.split_at(2);
        let parts = [
            ("/blobs/", ahead),
            ("/incoming/", of_its_own),
            ("/index.sqlite-wal", &SIZES),
            ("/new/data/", &SIZES),
        ];
        for (part, sizes) in parts {
            assert_eq!(store(&mut requestor, number, 3_000).await, Status::SUCCESS);
            number += 1;
            refuse(&system, "change", errno, part);
            for (further, bytes) in (number..).zip(sizes.iter().copied()) {
                let status = store(&mut requestor, further, bytes).await;
                assert_eq!(status, Status::OUT_OF_RESOURCES, "{errno}, {part}, {bytes} bytes");
            }
            allow(&system);
            assert_sound(&system.data(), number);
            for bytes in sizes.iter().copied() {
                let status = store(&mut requestor, number, bytes).await;
                assert_eq!(status, Status::SUCCESS, "{errno}, {part}, {bytes} bytes");
                number += 1;
            }
            assert_sound(&system.data(), number);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sync_that_failed_nothing_is_taken_before_a_restart() {
    for bytes in SIZES {
        let system = Preloaded::new("refuse.c", "REFUSE");
        let serve = system.serve(&[]);
        let mut requestor = Requestor::associate(&serve.node).await.unwrap();
        assert_eq!(store(&mut requestor, 1, bytes).await, Status::SUCCESS);
        refuse(&system, "sync", EIO, "/blobs/");
        assert_eq!(store(&mut requestor, 2, bytes).await, Status::PROCESSING_FAILURE);
        allow(&system);
        // A second sync that succeeds would say nothing of what the first has lost.
        assert_eq!(store(&mut requestor, 3, bytes).await, Status::OUT_OF_RESOURCES);
        assert_sound(&system.data(), 1);
        drop(serve);
        let serve = system.serve(&[]);
        let mut requestor = Requestor::associate(&serve.node).await.unwrap();
        assert_eq!(store(&mut requestor, 2, bytes).await, Status::SUCCESS);
        assert_sound(&system.data(), 2);
    }
}

/// Stores the instances of these numbers by a server of their own, which is killed then.
async fn store_all(system: &Preloaded, numbers: Range<u64>) {
    let serve = system.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    for number in numbers {
        assert_eq!(store(&mut requestor, number, 3_000).await, Status::SUCCESS);
    }
}

/// An archive of a few instances in two series, and the length of what it has set apart.
async fn filled(system: &Preloaded) -> u64 {
    store_all(system, 0..4).await;
    set_apart(system)
}

fn set_apart(system: &Preloaded) -> u64 {
    fs::metadata(system.data().join("reserve")).unwrap().len()
}

fn delete(system: &Preloaded, number: u64) -> Output {
    let key = format!("SOPInstanceUID=2.999.1.1.{number}");
    system.command().args(["delete", &key, "--yes", "--data"]).arg(system.data()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_makes_room_on_a_full_disk_alone_and_beside_serve() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    let plenty = filled(&system).await;
    for (number, errno) in [(0, ENOSPC), (1, EDQUOT)] {
        refuse(&system, "full", errno, "/new/data/");
        let alone = delete(&system, number);
        assert!(alone.status.success(), "{alone:?}");
        // It has taken of what is set apart, and nothing else is refused any more.
        assert!(!system.told().exists());
        assert_sound(&system.data(), 3 - number);
        assert_eq!(set_apart(&system), plenty);
    }
    let _serve = system.serve(&[]);
    refuse(&system, "full", ENOSPC, "/new/data/");
    let beside = delete(&system, 2);
    assert!(beside.status.success(), "{beside:?}");
    assert_sound(&system.data(), 1);
    assert_eq!(set_apart(&system), plenty);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_starts_on_a_full_disk() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    filled(&system).await;
    refuse(&system, "full", ENOSPC, "/new/data/");
    let serve = system.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 4, 3_000).await, Status::SUCCESS);
    assert_sound(&system.data(), 5);
}

/// An archive as a power failure leaves it: of six instances, the index has two.
async fn half_indexed(system: &Preloaded) {
    let index = system.data().join("index.sqlite");
    store_all(system, 0..2).await;
    // Opened and closed, so that all is in the index itself.
    drop(Archive::open(&system.data(), Settings::default()).unwrap());
    let of_two = fs::read(&index).unwrap();
    store_all(system, 2..6).await;
    fs::write(&index, of_two).unwrap();
    for beside in ["index.sqlite-wal", "index.sqlite-shm"] {
        fs::write(system.data().join(beside), b"").unwrap();
    }
}

fn instances_found(node: &Node) -> usize {
    let key = ["StudyInstanceUID=2.999.1", "SeriesInstanceUID=2.999.1.1", "SOPInstanceUID"];
    let mut find = Command::new(binary());
    let found = find
        .args(["find", &node.to_string(), "--level", "image", "--format", "jsonl"])
        .args(key)
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_to_index_at_the_start_is_found_as_soon_as_there_is() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    half_indexed(&system).await;
    refuse(&system, "full", ENOSPC, "/index.sqlite-wal");
    let serve = system.serve(&[]);
    assert_eq!(instances_found(&serve.node), 2);
    allow(&system);
    // Nobody stores: it is tried again, once in a while, by who reads.
    let limit = Instant::now() + Duration::from_secs(60);
    while instances_found(&serve.node) < 6 {
        assert!(Instant::now() < limit, "it is not tried again");
    }
    assert_sound(&system.data(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sync_that_failed_at_the_start_nothing_is_taken_before_a_restart() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    half_indexed(&system).await;
    refuse(&system, "sync", EIO, "/blobs/");
    let serve = system.serve(&[]);
    allow(&system);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 9, 3_000).await, Status::OUT_OF_RESOURCES);
    assert_eq!(instances_found(&serve.node), 2);
    drop((requestor, serve));
    let serve = system.serve(&[]);
    let mut requestor = Requestor::associate(&serve.node).await.unwrap();
    assert_eq!(store(&mut requestor, 9, 3_000).await, Status::SUCCESS);
    assert_sound(&system.data(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_needs_more_than_is_set_apart_says_what_to_do() {
    let system = Preloaded::new("refuse.c", "REFUSE");
    filled(&system).await;
    let _serve = system.serve(&[]);
    refuse(&system, "change", ENOSPC, "/index.sqlite-wal");
    let failed = delete(&system, 0);
    let told = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1));
    assert!(told.contains("no room") && told.contains("hint: remove less at a time"), "{told}");
    allow(&system);
    assert_sound(&system.data(), 4);
}
