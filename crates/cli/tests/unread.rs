//! Streams that cannot be written to: nobody reads them any more, or their disk is full. What is said beside the results is
//! then lost, and nothing else; results that cannot be written are an error, and no panic.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{File, OpenOptions};
use std::io::pipe;
use std::process::{Command, Stdio};

use dicomet_testkit::study::Plan;
use tempfile::{TempDir, tempdir};

use support::{Serve, binary};

/// A file of a disk that is full.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads any more.
fn unread() -> Stdio {
    pipe().unwrap().1.into()
}

fn served() -> (Serve, TempDir) {
    let folder = tempdir().unwrap();
    let (originals, data) = (folder.path().join("originals"), folder.path().join("data"));
    Plan { studies: 3, ..Plan::default() }.write_to(&originals).unwrap();
    let mut import = Command::new(binary());
    // One file is none, which is said.
    std::fs::write(originals.join("notes.txt"), "none").unwrap();
    import.arg("import").arg(&originals).arg("--data").arg(&data).stderr(full());
    assert_eq!(import.output().unwrap().status.code(), Some(3));
    (Serve::start(&data, &[]), folder)
}

#[test]
fn a_transfer_goes_on_when_nobody_reads_how_it_goes() {
    let (serve, folder) = served();
    for (number, stderr) in [unread(), full().into()].into_iter().enumerate() {
        let output = folder.path().join(number.to_string());
        let mut get = Command::new(binary());
        get.args([
            "get",
            &serve.node.to_string(),
            "StudyDate=19000101-",
            "--known",
            "none",
            "--format",
            "json",
        ]);
        get.args(["-v", "--progress", "always", "--log", "debug", "--output"]).arg(&output).stderr(stderr);
        let got = get.output().unwrap();
        assert_eq!(got.status.code(), Some(0));
        assert!(String::from_utf8(got.stdout).unwrap().contains("\"complete\":true"));
    }
    let mut find = Command::new(binary());
    find.args(["find", &serve.node.to_string(), "PatientID=NOBODY"]).stderr(full());
    assert_eq!(find.status().unwrap().code(), Some(0));
}

#[test]
fn results_that_cannot_be_written_are_a_failure_and_no_panic() {
    let folder = tempdir().unwrap();
    for stdout in [unread(), full().into()] {
        let mut demo = Command::new(binary());
        demo.args(["demo", "--output"]).arg(folder.path().join("retrieved")).stdout(stdout);
        let output = demo.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}
