//! `dicomet serve` on a system that refuses to make, write, remove or sync files, be it read-only, out of quota or out of
//! order: the right status, everything as it was, and no restart when it is well again, unless a sync has failed. A library
//! between the program and the system refuses what the test says.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use dicomet_proto::message::Status;

use support::{Preloaded, Requestor, assert_sound, store};

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
