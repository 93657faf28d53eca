//! The modality worklist, both ways: DCMTK's and pynetdicom's `findscu -W` ask `dicomet serve`, and `dicomet worklist`
//! asks DCMTK's `wlmscpfs`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use dicomet_interop::dcmtk::{Wlmscpfs, dump2dcm, tool};
use dicomet_interop::dicomet::{Serve, dicomet, text};
use dicomet_interop::process::{Ended, run};
use dicomet_interop::pynetdicom::application;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const STEP: &str = "ScheduledProcedureStepSequence";

/// Patient, modality, stations, date, time.
const ITEMS: [(&str, &str, &str, &str, &str); 4] = [
    ("Bowen^William^^Dr", "CT", r"CT1\CT2", "20240131", "103000"),
    ("Bower^Ann", "MR", "MR1", "20240201", "080000"),
    ("Müller^Jörg", "CT", "CT2", "20240215", "143000"),
    ("Vivaldi^Antonio", "CR", "CR1", "20240301", "000000"),
];

/// A `dump2dcm` text in Latin 1 for each item, made a worklist file of.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (number, (name, modality, stations, date, time)) in (1..).zip(ITEMS) {
        let dump = format!(
            "(0008,0005) CS [ISO_IR 100]\n(0008,0050) SH [ACC{number}]\n(0010,0010) PN [{name}]\n\
             (0010,0020) LO [PAT{number}]\n(0010,0030) DA [19700101]\n(0010,0040) CS [O]\n\
             (0020,000d) UI [2.999.7.{number}]\n(0032,1060) LO [Procedure {number}]\n(0040,0100) SQ\n(fffe,e000) -\n\
             (0008,0060) CS [{modality}]\n(0040,0001) AE [{stations}]\n(0040,0002) DA [{date}]\n\
             (0040,0003) TM [{time}]\n(0040,0006) PN [Kuhn^Eva]\n(0040,0007) LO [Step {number}]\n\
             (0040,0009) SH [S{number}]\n(fffe,e00d) -\n(fffe,e0dd) -\n(0040,1001) SH [R{number}]\n"
        );
        let latin1: Vec<u8> = dump.chars().map(|character| u8::try_from(character).unwrap()).collect();
        let path = folder.join(format!("item{number}.wl"));
        dump2dcm(&latin1, &path);
        files.push(path);
    }
    files
}

/// An archive that is served and whose worklist was filled meanwhile.
fn filled() -> (TempDir, Serve) {
    let (folder, data) = (tempdir().unwrap(), tempdir().unwrap());
    let archive = Serve::start(data.path());
    let added = run(dicomet_interop::dicomet::command(["worklist", "add"])
        .args(files(folder.path()))
        .arg("--data")
        .arg(data.path()))
    .expect_success();
    assert!(added.stdout.contains("4 items put in"), "{}", added.stdout);
    (data, archive)
}

fn worklist(node: &str, keys: &[&str]) -> Vec<Value> {
    let ended = dicomet(["worklist", node].iter().chain(keys).chain(&["--format", "jsonl"])).expect_success();
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The requested procedure IDs of answers, sorted.
fn ids(answers: &[Value]) -> Vec<String> {
    let mut ids: Vec<String> = answers.iter().map(|answer| text(answer, "00401001")).collect();
    ids.sort();
    ids
}

/// Questions that DCMTK, pynetdicom and we write alike, and whom they find.
fn questions() -> Vec<(Vec<String>, Vec<&'static str>)> {
    let of_step = |key: &str| format!("{STEP}[0].{key}");
    vec![
        (vec![of_step("Modality=CT")], vec!["R1", "R3"]),
        (vec![of_step("ScheduledStationAETitle=CT2")], vec!["R1", "R3"]),
        (vec![of_step("ScheduledProcedureStepStartDate=20240131")], vec!["R1"]),
        (vec![of_step("ScheduledProcedureStepStartDate=20240201-20240229")], vec!["R2", "R3"]),
        (vec![of_step("ScheduledProcedureStepStartDate=20240101-"), of_step("Modality=MR")], vec!["R2"]),
        (vec![of_step("ScheduledPerformingPhysicianName=Kuhn*")], vec!["R1", "R2", "R3", "R4"]),
        (vec!["PatientName=Bow*".to_owned()], vec!["R1", "R2"]),
        (vec!["PatientID=PAT4".to_owned()], vec!["R4"]),
        (vec!["AccessionNumber=ACC3".to_owned()], vec!["R3"]),
        (vec!["AccessionNumber=ACC3".to_owned(), of_step("Modality=MR")], vec![]),
        (vec!["RequestedProcedureID=R2".to_owned()], vec!["R2"]),
        (vec!["StudyInstanceUID=2.999.7.1".to_owned()], vec!["R1"]),
    ]
}

/// Answers as DCMTK and pynetdicom print them: those with Requested Procedure ID in brackets.
fn printed_ids(ended: &Ended) -> Vec<String> {
    let printed = format!("{}{}", ended.stdout, ended.stderr);
    // What is asked for is printed too, before the first answer.
    let marker = ["Find Response", "Find SCP Response"].iter().filter_map(|text| printed.find(text)).min();
    let answers = marker.map_or("", |at| &printed[at..]);
    let lines = answers.lines().filter(|line| line.contains("(0040,1001)"));
    let mut ids: Vec<String> =
        lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.trim().to_owned())).collect();
    ids.sort();
    ids
}

#[test]
fn dcmtks_findscu_finds_what_is_scheduled() {
    let (_data, archive) = filled();
    for (keys, expected) in questions() {
        let mut findscu = tool("findscu");
        findscu.args(["-v", "-W", "-aec", "DICOMET", "127.0.0.1", &archive.port().to_string()]);
        for key in keys.iter().map(String::as_str).chain([
            "PatientName",
            "RequestedProcedureID",
            &format!("{STEP}[0].ScheduledProcedureStepID"),
        ]) {
            // A later key takes the place of an earlier one.
            if !keys.iter().any(|given| given.starts_with(&format!("{key}="))) {
                findscu.args(["-k", key]);
            }
        }
        let ended = run(&mut findscu).expect_success();
        assert_eq!(printed_ids(&ended), expected, "{keys:?}\n{}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn pynetdicoms_findscu_finds_what_is_scheduled() {
    let (_data, archive) = filled();
    for (keys, expected) in questions() {
        let mut findscu = application("findscu");
        findscu.args(["127.0.0.1", &archive.port().to_string(), "-W", "-v"]);
        for key in keys.iter().map(String::as_str).chain(["RequestedProcedureID="]) {
            if key != "RequestedProcedureID=" || !keys.iter().any(|given| given.starts_with(key)) {
                findscu.args(["-k", key]);
            }
        }
        let ended = run(&mut findscu).expect_success();
        assert_eq!(printed_ids(&ended), expected, "{keys:?}\n{}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn our_own_requestor_finds_what_is_scheduled() {
    let (_data, archive) = filled();
    for (keys, expected) in questions() {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(ids(&worklist(&archive.node(), &keys)), expected, "{keys:?}");
    }
    let answers = worklist(&archive.node(), &["PatientName=müller*"]);
    assert_eq!(text(&answers[0], "00100010"), "Müller^Jörg");
    assert_eq!(text(&answers[0]["00400100"]["Value"][0], "00400009"), "S3");
}

#[test]
fn dcmtks_worklist_server_gives_us_what_is_scheduled() {
    let folder = tempdir().unwrap();
    let server = Wlmscpfs::start(&files(folder.path()));
    for (keys, expected) in questions() {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        // It matches the required keys of PS3.4 Table K.6-1 alone.
        let optional = ["AccessionNumber=", "RequestedProcedureID=", "StudyInstanceUID="];
        if keys.iter().any(|key| optional.iter().any(|optional| key.starts_with(optional))) {
            continue;
        }
        assert_eq!(ids(&worklist(&server.node(), &keys)), expected, "{keys:?}");
    }
    let answers = worklist(&server.node(), &["PatientName=Bowen*"]);
    let step = &answers[0]["00400100"]["Value"][0];
    assert_eq!(text(&answers[0], "0020000D"), "2.999.7.1");
    assert_eq!((text(step, "00080060"), text(step, "00400002")), ("CT".to_owned(), "20240131".to_owned()));
}

#[test]
fn what_a_peer_has_scheduled_can_be_put_into_our_own_worklist() {
    let (folder, data) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Wlmscpfs::start(&files(folder.path()));
    let answers = dicomet(["worklist", &server.node(), "PatientID", "--format", "jsonl"]).expect_success();
    let file = folder.path().join("items.json");
    std::fs::write(&file, answers.stdout).unwrap();
    let data = data.path().to_str().unwrap();
    // Where there is no archive, none is made.
    let add = ["worklist", "add", file.to_str().unwrap(), "--data", data];
    assert!(dicomet(add).expect_code(1).stderr.contains("dicomet serve"));
    Serve::start(Path::new(data)).terminate();
    assert!(dicomet(add).expect_success().stdout.starts_with("4 items put in, 0 replaced"));
    assert!(dicomet(add).expect_success().stdout.starts_with("0 items put in, 4 replaced"));
    let removed = dicomet(["worklist", "remove", "PatientName=Bow*", "--data", data]).expect_success();
    assert_eq!(removed.stdout, "2 items taken out\n");
    let listed = dicomet(["worklist", "list", "--data", data, "--format", "csv"]).expect_success();
    assert_eq!(listed.stdout.lines().count(), 3, "{}", listed.stdout);
}

#[test]
fn an_item_without_what_is_required_is_named_and_not_put_in() {
    let (folder, data) = (tempdir().unwrap(), tempdir().unwrap());
    let incomplete = folder.path().join("incomplete.wl");
    dump2dcm(b"(0010,0010) PN [Bowen]\n(0040,0100) SQ\n(fffe,e000) -\n(0008,0060) CS [CT]\n(fffe,e00d) -\n(fffe,e0dd) -\n", &incomplete);
    Serve::start(data.path()).terminate();
    let add = ["worklist", "add", incomplete.to_str().unwrap(), "--data", data.path().to_str().unwrap()];
    let ended = dicomet(add).expect_code(1);
    for name in ["incomplete.wl", "PatientID", "StudyInstanceUID", "ScheduledProcedureStepStartDate"] {
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
}
