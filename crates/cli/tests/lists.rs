//! `dicomet get --from`: what a list may look like, and a run that is killed (SIGKILL) and gone on with.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use dicomet_testkit::study::Plan;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use support::{Serve, binary};

const STUDIES: usize = 60;

/// An archive of so many studies of three instances.
fn serve() -> (Serve, TempDir) {
    let folder = tempdir().unwrap();
    let (originals, data) = (folder.path().join("originals"), folder.path().join("data"));
    Plan { studies: STUDIES, ..Plan::default() }.write_to(&originals).unwrap();
    let imported =
        Command::new(binary()).arg("import").arg(&originals).arg("--data").arg(&data).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    (Serve::start(&data, &[]), folder)
}

/// `dicomet get` of a list on its standard input.
fn get(serve: &Serve, output: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["get", &serve.node.to_string(), "--from", "-", "--format", "json", "--output"]).arg(output);
    command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command, list: &str) -> Output {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn list() -> String {
    let uids: String = (1..=STUDIES).map(|study| format!("2.999.1.{study}\n")).collect();
    format!("StudyInstanceUID\n{uids}")
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The instances in a folder, with when each was written.
fn written(folder: &Path) -> BTreeMap<String, SystemTime> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() && name != ".dicomet" {
                folders.push(entry.path());
            } else if name.ends_with(".dcm") {
                all.insert(name, entry.metadata().unwrap().modified().unwrap());
            }
        }
    }
    all
}

#[test]
fn a_run_that_is_killed_is_gone_on_with_and_no_instance_comes_twice() {
    let (serve, folder) = serve();
    let output = folder.path().join("out");
    let mut before = BTreeMap::new();
    let unchanged = |before: &BTreeMap<String, SystemTime>, after: &BTreeMap<String, SystemTime>| {
        for (name, time) in before {
            assert_eq!(after[name], *time, "{name} was whole, and came again");
        }
    };
    for kill_after in [5, 70, 30] {
        let mut child = get(&serve, &output, &["-v"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(list().as_bytes()).unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        let instances = told.map(Result::unwrap).filter(|line| line.contains(".dcm  "));
        assert_eq!(instances.take(kill_after).count(), kill_after, "it ended too early");
        child.kill().unwrap();
        child.wait().unwrap();
        let after = written(&output);
        assert!(after.len() >= before.len() + kill_after);
        unchanged(&before, &after);
        before = after;
    }
    let ended = run(get(&serve, &output, &[]), &list());
    let summary = summary(&ended);
    assert_eq!(summary["complete"], true, "{summary}");
    assert!(summary["before"].as_u64().unwrap() > 0, "lines that were done are passed over: {summary}");
    let after = written(&output);
    assert_eq!(after.len(), 3 * STUDIES);
    unchanged(&before, &after);
    assert_eq!(summary["retrieved"], (3 * STUDIES - before.len()) as u64);
}

#[test]
fn a_list_that_is_none_is_wrong_usage_and_says_what_to_write() {
    let (serve, folder) = serve();
    let output = folder.path().join("out");
    for (list, options, words) in [
        ("A17\nA18\n", &[][..], &["no header", "--from-key AccessionNumber"][..]),
        ("2.999.1.1\n", &[], &["no header", "--from-key StudyInstanceUID"]),
        ("PatientID,Remarks\nP1,x\n", &[], &["column 2", "Remarks", "take other columns out"]),
        ("StudyDate\n20240101\n2024-01-02\n\n31.1.2024\n", &[], &["2 lines", "line 3", "line 5"]),
        ("{\"PatientID\":\"1\"}\nPatientID=2\n", &[], &["line 2", "no JSON object"]),
        ("AccessionNumber\nA17\n", &["--from-key", "AccessionNumber"], &["a header", "leave --from-key out"]),
        ("", &[], &["empty"]),
    ] {
        let ended = run(get(&serve, &output, options), list);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        for word in words {
            assert!(stderr(&ended).contains(word), "'{word}' is not said: {}", stderr(&ended));
        }
    }
    assert!(!output.exists(), "nothing was begun");
}

#[test]
fn lines_without_a_match_are_told_and_the_exit_status_says_whether_anything_is_here() {
    let (serve, folder) = serve();
    let output = folder.path().join("out");
    let ended = run(get(&serve, &output, &["--from-key", "StudyInstanceUID"]), "2.999.1.1\n2.999.7\n");
    assert_eq!((ended.status.code(), &summary(&ended)["nothing"]), (Some(3), &Value::from(1)));
    assert!(stderr(&ended).contains("line 2: nothing on the peer matches"), "{}", stderr(&ended));
    let ended =
        run(get(&serve, &folder.path().join("other"), &["--from-key", "StudyInstanceUID"]), "2.999.7\n");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

#[test]
fn a_rate_limit_makes_a_run_as_long_as_it_says() {
    let (serve, folder) = serve();
    let begin = std::time::Instant::now();
    let ended = run(get(&serve, &folder.path().join("out"), &["--rate-limit", "300k"]), &list());
    let summary = summary(&ended);
    assert_eq!(summary["complete"], true, "{summary}");
    let least = summary["bytes"].as_f64().unwrap() / 300_000.0;
    assert!(begin.elapsed().as_secs_f64() > least * 0.9, "{least} s at least: {summary}");
}
