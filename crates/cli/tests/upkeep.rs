//! `dicomet check`, `delete` and `import` as a person or a script runs them: words, JSON and exit status.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dicomet_testkit::instance::Instance;

fn dicomet(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dicomet")).args(arguments).arg("--data").arg(data).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn last_line(output: &Output) -> serde_json::Value {
    serde_json::from_str(stdout(output).lines().last().unwrap()).unwrap()
}

/// An archive of three studies with two instances each.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    for number in 0..6 {
        let study = format!("2.999.{}", number / 2);
        let instance = Instance::new("1.2.840.10008.5.1.4.1.1.2", &format!("{study}.1.{}", number % 2))
            .patient(&format!("P{}", number / 2), "Bowen^William", "")
            .in_series(&study, &format!("{study}.1"));
        fs::write(files.join(format!("{number}.dcm")), instance.part10()).unwrap();
    }
    let data = folder.path().join("data");
    assert!(dicomet(&data, &["import", files.to_str().unwrap()]).status.success());
    folder
}

#[test]
fn check_names_what_is_wrong_and_repair_sets_it_aside() {
    let folder = filled();
    let data = folder.path().join("data");
    let sound = dicomet(&data, &["check"]);
    assert_eq!(sound.status.code(), Some(0));
    assert!(stdout(&sound).starts_with("6 instances, "), "{}", stdout(&sound));
    assert!(stdout(&sound).ends_with("6 files: nothing is wrong\n"), "{}", stdout(&sound));

    let blob = data.join("blobs/000000/000/000000000000.dcm");
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    let quick = dicomet(&data, &["check", "--quick", "--format", "json"]);
    assert_eq!((quick.status.code(), last_line(&quick)["depth"].as_str()), (Some(0), Some("sizes")));

    let damaged = dicomet(&data, &["check"]);
    assert_eq!(damaged.status.code(), Some(3));
    assert!(stdout(&damaged).contains("altered     2.999."), "{}", stdout(&damaged));
    let damaged = dicomet(&data, &["check", "--format", "json"]);
    assert_eq!(damaged.status.code(), Some(3));
    let first: serde_json::Value = serde_json::from_str(stdout(&damaged).lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["damage"], &first["file"]),
        (&"altered".into(), &"blobs/000000/000/000000000000.dcm".into())
    );
    assert_eq!(last_line(&damaged)["findings"], 1);
    assert_eq!(last_line(&damaged)["sound"], false);

    let repaired = dicomet(&data, &["check", "--repair"]);
    assert_eq!(repaired.status.code(), Some(3));
    assert!(
        stdout(&repaired).contains("1 instance lost, 1 file moved to quarantine"),
        "{}",
        stdout(&repaired)
    );
    assert!(data.join("quarantine/000000000000.dcm").exists());
    assert_eq!(dicomet(&data, &["check"]).status.code(), Some(0));
}

#[test]
fn a_lost_index_is_said_at_the_start_with_what_to_do() {
    let folder = filled();
    let data = folder.path().join("data");
    fs::remove_file(data.join("index.sqlite")).unwrap();
    let serve = dicomet(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let told = String::from_utf8_lossy(&serve.stderr);
    assert_eq!(serve.status.code(), Some(1));
    assert!(told.contains("no index") && told.contains("hint: dicomet check --repair --data"), "{told}");
    let repaired = dicomet(&data, &["check", "--repair", "--format", "json"]);
    assert_eq!(repaired.status.code(), Some(0));
    assert_eq!(last_line(&repaired)["repair"]["rebuilt"], 6);
}

#[test]
fn a_broken_database_beside_the_index_is_named_and_can_be_set_aside() {
    for (name, lost) in [("worklist.sqlite", "items of the worklist"), ("commitment.sqlite", "ask again")] {
        let folder = filled();
        let data = folder.path().join("data");
        let file = data.join(name);
        fs::write(&file, "not a database, however long it is read. ".repeat(100)).unwrap();
        let refused = dicomet(&data, &["serve", "--listen", "127.0.0.1:0"]);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(told.contains(&format!("{name}: file is not a database")), "{told}");
        assert!(told.contains("move it elsewhere") && told.contains(lost), "{told}");
        assert!(!told.contains("--repair"), "{told}");
        fs::rename(&file, folder.path().join(name)).unwrap();
        assert!(dicomet(&data, &["delete", "PatientID=P1", "--yes"]).status.success());
        assert_eq!(dicomet(&data, &["check"]).status.code(), Some(0));
    }
    let folder = filled();
    let data = folder.path().join("data");
    fs::write(data.join("worklist.sqlite"), "not a database, however long it is read. ".repeat(100)).unwrap();
    let refused = dicomet(&data, &["worklist", "list"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("worklist.sqlite: file is not a database\nhint: if it is broken"), "{told}");
}

#[test]
fn import_fails_when_nothing_is_stored_and_is_done_in_part_when_something_is() {
    let folder = filled();
    let (data, files) = (folder.path().join("data"), folder.path().join("files"));
    let other = folder.path().join("other.txt");
    fs::write(&other, "not DICOM").unwrap();
    let import = |paths: &[&Path]| {
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        dicomet(&data, &[&["import"], &paths[..]].concat()).status.code()
    };
    // There already.
    assert_eq!(import(&[&files]), Some(0));
    assert_eq!(import(&[&files, &other]), Some(3));
    assert_eq!(import(&[&other]), Some(1));
    let help = Command::new(env!("CARGO_BIN_EXE_dicomet")).args(["import", "--help"]).output().unwrap();
    assert!(stdout(&help).contains("1 it has none"), "{}", stdout(&help));
}

#[test]
fn a_restore_that_finds_damage_says_so_in_words_and_by_its_exit_status() {
    let folder = filled();
    let data = folder.path().join("data");
    fs::remove_file(data.join("index.sqlite")).unwrap();
    let blob = data.join("blobs/000000/000/000000000003.dcm");
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    let repaired = dicomet(&data, &["check", "--repair"]);
    assert_eq!(repaired.status.code(), Some(3));
    let told = stdout(&repaired);
    assert!(
        told.contains("altered     blobs/000000/000/000000000003.dcm  it is not what its seal says"),
        "{told}"
    );
    assert!(told.contains("by its file meta information it is 2.999."), "{told}");
    let done = "index built anew with 5 instances, 1 instance lost, 1 file moved to quarantine\n";
    assert!(told.ends_with(done), "{told}");
    assert_eq!(dicomet(&data, &["check"]).status.code(), Some(0));
}

#[test]
fn neither_makes_an_archive_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for arguments in [&["check"][..], &["check", "--repair"], &["delete", "PatientID=P1", "--yes"]] {
        let failed = dicomet(&nowhere, arguments);
        assert_eq!(failed.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&failed.stderr).contains("there is no archive in"));
    }
    assert!(!nowhere.exists());
}

#[test]
fn delete_shows_first_and_removes_with_yes() {
    let folder = filled();
    let data = folder.path().join("data");
    let shown = dicomet(&data, &["delete", "PatientID=P1"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(stdout(&shown).contains("would be removed: 2 instances of 1 study"), "{}", stdout(&shown));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("--yes"));

    let one = dicomet(&data, &["delete", "SOPInstanceUID=2.999.0.1.1", "--yes", "--format", "json"]);
    assert_eq!(one.status.code(), Some(0));
    let report = last_line(&one);
    assert_eq!((&report["instances"], &report["removed"]), (&1.into(), &true.into()));
    let all = dicomet(&data, &["delete", "PatientName=Bowen*", "--yes"]);
    assert_eq!(all.status.code(), Some(0));
    assert!(stdout(&all).contains("removed: 5 instances of 3 studies"), "{}", stdout(&all));
    let none = dicomet(&data, &["delete", "PatientName=Bowen*", "--yes"]);
    assert_eq!((none.status.code(), stdout(&none)), (Some(1), "nothing matches\n"));
    let checked = dicomet(&data, &["check"]);
    assert!(stdout(&checked).starts_with("0 instances, 0 B, 0 files: nothing"), "{}", stdout(&checked));
}

#[test]
fn delete_refuses_keys_that_do_not_say_what_goes() {
    let folder = filled();
    let data = folder.path().join("data");
    for keys in
        [&["PatientName"][..], &["PatientName=*"], &["PatientID=P1", "NumberOfStudyRelatedInstances=7"]]
    {
        let refused = dicomet(&data, &[&["delete", "--yes"], keys].concat());
        assert_eq!(refused.status.code(), Some(2), "{keys:?}");
    }
    assert!(stdout(&dicomet(&data, &["check"])).starts_with("6 instances"));
}
