//! The table of nodes, with DCMTK as node and as stranger; and what the log says of it all.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use dicomet_interop::dcmtk::tool;
use dicomet_interop::dicomet::{Serve, dicomet, import};
use dicomet_interop::files::instances;
use dicomet_interop::process::{Ended, run};
use dicomet_testkit::instance::Instance;
use serde_json::Value;
use tempfile::tempdir;

const TABLE: &str = r#"
[serve]
log_format = "json"

[[node]]
name = "viewer"
aet = "VIEWER"
from = ["127.0.0.1"]
allow = ["find", "get"]

[[node]]
name = "scanner"
aet = "SCANNER"
from = ["127.0.0.1"]
allow = ["echo", "store"]
"#;

fn call(program: &str, calling: &str, archive: &Serve, more: &[&str]) -> Ended {
    let port = archive.port().to_string();
    let mut command = tool(program);
    run(command.args(["-aet", calling, "-aec", "DICOMET", "127.0.0.1", &port]).args(more))
}

fn find(calling: &str, archive: &Serve) -> Ended {
    let keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=Bowen*", "-k", "PatientID"];
    call("findscu", calling, archive, &keys)
}

fn store(calling: &str, archive: &Serve, file: &Path) -> Ended {
    call("storescu", calling, archive, &[file.to_str().unwrap()])
}

#[test]
fn dcmtk_may_do_what_the_table_says_and_the_log_tells_it_without_patients() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let paths = ["1", "2"].map(|number| {
        let instance = Instance::new("1.2.840.10008.5.1.4.1.1.2", &format!("2.999.1.1.1.{number}"))
            .patient("4711-0815", "Bowen^William", "")
            .in_series("2.999.1.1", "2.999.1.1.1");
        let path = originals.path().join(format!("{number}.dcm"));
        fs::write(&path, instance.part10()).unwrap();
        path
    });
    import(data.path(), originals.path());
    let config = ours.path().join("dicomet.toml");
    fs::write(&config, TABLE).unwrap();
    let archive = Serve::start_with(data.path(), &["--config", config.to_str().unwrap()]);

    call("echoscu", "SCANNER", &archive, &[]).expect_success();
    store("SCANNER", &archive, &paths[0]).expect_success();
    let found = find("VIEWER", &archive).expect_success();
    assert!(format!("{}{}", found.stdout, found.stderr).contains("4711-0815"));
    let got = ours.path().join("got");
    fs::create_dir(&got).unwrap();
    let uid = "StudyInstanceUID=2.999.1.1";
    let keys = ["-S", "-od", got.to_str().unwrap(), "-k", "QueryRetrieveLevel=STUDY", "-k", uid];
    call("getscu", "VIEWER", &archive, &keys).expect_success();
    assert_eq!(instances(&got).len(), 2);

    for stranger in [call("echoscu", "STRANGER", &archive, &[]), find("STRANGER", &archive)] {
        assert_ne!(stranger.code(), 0);
        assert!(stranger.stderr.contains("Calling AE Title Not Recognized"), "{}", stranger.stderr);
    }
    assert_ne!(store("VIEWER", &archive, &paths[0]).code(), 0);
    assert_ne!(call("echoscu", "VIEWER", &archive, &[]).code(), 0);

    let log = archive.terminate().stderr;
    for patient in ["4711-0815", "Bowen", "William"] {
        assert!(!log.contains(patient), "{log}");
    }
    assert!(!log.contains('\u{1b}'), "there are colours in {log}");
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let count = |message: &str| lines.iter().filter(|line| line["fields"]["message"] == message).count();
    assert_eq!(count("association rejected"), 2, "{log}");
    assert_eq!(count("association ended"), 6, "{log}");
    for operation in ["C-ECHO answered", "C-STORE answered", "C-FIND answered", "C-GET answered"] {
        assert_eq!(count(operation), 1, "{log}");
    }
    let status = lines.iter().find(|line| line["fields"]["message"] == "operation not allowed");
    assert_eq!(status.unwrap()["fields"]["service"], "store", "{log}");
}

#[test]
fn sighup_brings_a_new_table_and_a_broken_file_changes_nothing() {
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let config = folder.path().join("dicomet.toml");
    let file = config.to_str().unwrap();
    fs::write(&config, TABLE).unwrap();
    let archive = Serve::start_with(data.path(), &["--config", file]);
    assert_ne!(call("echoscu", "NEW", &archive, &[]).code(), 0);

    dicomet(["node", "add", "new", "NEW", "--from", "127.0.0.0/8", "--config", file]).expect_success();
    archive.hangup();
    archive.wait_for_line("the table of nodes was read again");
    call("echoscu", "NEW", &archive, &[]).expect_success();

    fs::write(&config, "[[node]]\nnaem = \"slip\"\n").unwrap();
    archive.hangup();
    let told = archive.wait_for_line("the one before goes on");
    assert!(told.contains("naem") && told.contains("line 2"), "{told}");
    call("echoscu", "NEW", &archive, &[]).expect_success();
}

#[test]
fn the_commands_take_nodes_by_name_and_check_says_in_words_what_is_wrong() {
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let config = folder.path().join("ours.toml");
    let config = config.to_str().unwrap();
    let archive = Serve::start(data.path());
    let with = |arguments: &[&str]| dicomet(arguments.iter().chain(&["--config", config]));
    with(&["node", "add", "archive", &archive.node()]).expect_success();
    with(&["echo", "archive"]).expect_success();
    with(&["node", "check"]).expect_success();

    with(&["node", "add", "lost", "LOST@nobody.invalid:104"]).expect_success();
    with(&["node", "add", "modality", "CT", "--from", "any", "--allow", "echo,store"]).expect_success();
    let checked = with(&["node", "check"]).expect_code(3);
    assert!(checked.stdout.contains("archive: DICOMET@127.0.0.1"), "{}", checked.stdout);
    assert!(checked.stdout.contains("cannot be looked up here"), "{}", checked.stdout);
    assert!(checked.stdout.contains("modality: calls us"), "{}", checked.stdout);

    let listed = with(&["node", "list"]).expect_success().stdout;
    assert!(listed.contains("echo store"), "{listed}");
    with(&["node", "remove", "lost"]).expect_success();
    assert!(!with(&["node", "list"]).expect_success().stdout.contains("LOST"));
    let unknown = with(&["find", "lost", "PatientID=1"]).expect_code(2);
    assert!(unknown.stderr.contains("dicomet node list"), "{}", unknown.stderr);
}
