//! `dicomet demo`, `import` and `serve` as a person runs them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn dicomet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dicomet")).args(arguments).current_dir(folder).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn the_demo_brings_bowen_home_and_finds_all_there_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = dicomet(folder.path(), &["demo"]);
    let told = stdout(&first);
    assert_eq!(first.status.code(), Some(0), "{told}");
    for words in
        ["Bowen^William^^Dr", "PAT004", "JPEG Lossless", "RLE Lossless", "山田^花子", "Lefèvre", "Complete."]
    {
        assert!(told.contains(words), "{words} in\n{told}");
    }
    assert!(folder.path().join("retrieved").is_dir());

    let second = dicomet(folder.path(), &["demo"]);
    assert_eq!(second.status.code(), Some(0));
    assert!(stdout(&second).contains("Nothing to get: all 16 instances"), "{}", stdout(&second));
}

#[test]
fn an_import_names_what_is_no_dicom_file_and_says_so_by_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/samples/real");
    let import = dicomet(folder.path(), &["import", samples, "--data", "archive"]);
    assert_eq!(import.status.code(), Some(3));
    assert!(stdout(&import).contains("8 instances stored"), "{}", stdout(&import));
    assert!(String::from_utf8_lossy(&import.stderr).contains("LICENSE"));
    let again = dicomet(folder.path(), &["import", &format!("{samples}/CT_small.dcm"), "--data", "archive"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stdout(&again).contains("1 present already"), "{}", stdout(&again));
}

#[test]
fn serving_to_other_machines_needs_to_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let serve = dicomet(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(serve.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&serve.stderr).contains("--open"));
    assert!(!folder.path().join("dicomet-data").exists());
}
