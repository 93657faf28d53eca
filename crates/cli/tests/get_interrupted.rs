//! `dicomet get` ended in the middle, by SIGKILL at random moments or by a limit on its files: what has its name is whole,
//! the next run fetches the rest and nothing twice, and without any peer the folder tells what it lacks.
//!
//! `DICOMET_CRASH_ROUNDS` says how often it is killed (20), `DICOMET_CRASH_SEED` repeats the moments of an earlier run.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dicomet_net::Node;
use dicomet_testkit::instance::data_set_of_part10;
use dicomet_testkit::study::Plan;
use serde_json::Value;

use support::{Random, Serve, binary, from_environment, seed};

/// An archive of so many small instances in three series, and their files by SOP Instance UID.
fn archive(folder: &Path, instances: usize) -> (Serve, BTreeMap<String, PathBuf>) {
    let files = folder.join("files");
    let plan = Plan { studies: 1, series: 3, instances: instances / 3, size_bytes: 2048, ..Plan::default() };
    let written = plan.write_to(&files).unwrap();
    let data = folder.join("data");
    let imported =
        Command::new(binary()).arg("import").arg(&files).arg("--data").arg(&data).output().unwrap();
    assert!(imported.status.success());
    let originals = written.into_iter().map(|instance| (instance.sop_instance_uid, instance.path)).collect();
    (Serve::start(&data, &[]), originals)
}

fn get(node: &Node, output: &Path) -> Command {
    let mut command = Command::new(binary());
    let node = format!("{}@{}:{}", node.ae_title, node.host, node.port);
    command.args(["get", &node, "PatientID=*", "--progress", "never", "--format", "json", "--output"]);
    command.arg(output);
    command
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// The instances that have their names, with the number of the file and the data set.
fn named(folder: &Path) -> BTreeMap<String, (u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != ".dicomet" {
            found.extend(named(&path));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let uid = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.insert(uid, (path.metadata().unwrap().ino(), data_set_of_part10(&bytes).to_vec()));
        }
    }
    found
}

/// All that has its name is byte for byte what it was; answers which files there are.
fn assert_whole(folder: &Path, originals: &BTreeMap<String, PathBuf>) -> BTreeMap<String, u64> {
    let check = |(uid, (file, data_set)): (String, (u64, Vec<u8>))| {
        let original = std::fs::read(&originals[&uid]).unwrap();
        assert!(data_set_of_part10(&original) == data_set, "{uid} is not what it was");
        (uid, file)
    };
    named(folder).into_iter().map(check).collect()
}

#[test]
fn a_get_that_is_killed_at_any_moment_keeps_what_it_has_and_fetches_none_of_it_again() {
    let rounds = from_environment("DICOMET_CRASH_ROUNDS").unwrap_or(20);
    let seed = seed();
    println!("{rounds} rounds, DICOMET_CRASH_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let (serve, originals) = archive(folder.path(), 900);
    let all = originals.len() as u64;
    let whole = folder.path().join("whole");
    let begun = Instant::now();
    assert!(get(&serve.node, &whole).output().unwrap().status.success());
    // Some kills in each folder before it is full.
    let longest = begun.elapsed().max(Duration::from_millis(40)).as_micros() as u64;
    let (mut kills, mut middle) = (0, 0);
    for number in 0.. {
        let output = folder.path().join(number.to_string());
        let mut had = BTreeMap::new();
        while kills < rounds {
            let mut command = get(&serve.node, &output);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // No wait for something to happen: the moment itself is what is varied.
            std::thread::sleep(Duration::from_micros(random.below(longest)));
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let has = assert_whole(&output, &originals);
            assert!(
                had.iter().all(|(uid, file)| has.get(uid) == Some(file)),
                "what was whole is the same file"
            );
            middle += u64::from(has.len() > had.len() && has.len() < originals.len());
            had = has;
            if had.len() == originals.len() {
                break;
            }
        }
        let last = get(&serve.node, &output).output().unwrap();
        let told = report(&last);
        assert_eq!((last.status.code(), &told["complete"]), (Some(0), &Value::Bool(true)), "{told}");
        assert_eq!(
            (told["present"].as_u64(), told["retrieved"].as_u64()),
            (Some(had.len() as u64), Some(all - had.len() as u64))
        );
        let has = assert_whole(&output, &originals);
        assert_eq!(has.len(), originals.len());
        assert!(had.iter().all(|(uid, file)| has[uid] == *file), "nothing whole was fetched again");
        assert_eq!(std::fs::read_dir(output.join(".dicomet/parts")).unwrap().count(), 0);
        std::fs::remove_dir_all(&output).unwrap();
        if kills >= rounds {
            break;
        }
    }
    println!("{kills} kills, {middle} of them while instances came");
    assert!(rounds < 20 || middle > 0, "no kill hit a transfer");
}

#[test]
fn a_peer_that_is_killed_in_the_middle_is_asked_for_the_rest_when_it_is_back() {
    let mut random = Random(seed());
    let folder = tempfile::tempdir().unwrap();
    let (mut serve, originals) = archive(folder.path(), 600);
    let output = folder.path().join("output");
    let mut had = BTreeMap::new();
    for _ in 0..6 {
        // So slowly that the transfer goes on when the peer is killed.
        let mut command = get(&serve.node, &output);
        command.args(["-v", "--rate-limit", "400k"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let kill_after = 1 + random.below(60) as usize;
        let arrived = told.by_ref().filter(|line| line.contains(".dcm  ")).take(kill_after).count();
        assert_eq!(arrived, kill_after, "it ended too early");
        drop(serve);
        let rest: Vec<String> = told.collect();
        let ended = child.wait().unwrap();
        let has = assert_whole(&output, &originals);
        assert!(had.iter().all(|(uid, file)| has.get(uid) == Some(file)), "what was whole is the same file");
        assert!(has.len() >= had.len() + kill_after && has.len() < originals.len(), "{} are here", has.len());
        assert_eq!(ended.code(), Some(3), "{rest:?}");
        had = has;
        serve = Serve::start(&folder.path().join("data"), &[]);
    }
    let last = get(&serve.node, &output).output().unwrap();
    let told = report(&last);
    assert_eq!(told["present"].as_u64(), Some(had.len() as u64), "{told}");
    assert_eq!(told["complete"], true, "{told}");
    let has = assert_whole(&output, &originals);
    assert!(has.len() == originals.len() && had.iter().all(|(uid, file)| has[uid] == *file));
}

#[test]
fn files_beyond_a_limit_of_the_system_are_reported_and_come_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (serve, originals) = archive(folder.path(), 30);
    let output = folder.path().join("output");
    // Without the trap the first write beyond the limit would end the process.
    let under_limit = |bytes: u64| {
        let get = get(&serve.node, &output);
        let limit = format!("--fsize={bytes}");
        Command::new("prlimit")
            .args([limit.as_str(), "sh", "-c", r#"trap '' XFSZ; exec "$@""#, "sh"])
            .arg(get.get_program())
            .args(get.get_args())
            .output()
            .unwrap()
    };
    let ended = under_limit(500);
    let told = report(&ended);
    assert_eq!((told["failed"].as_u64(), told["retrieved"].as_u64()), (Some(30), Some(0)), "{told}");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("cannot write"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(assert_whole(&output, &originals).len(), 0);

    let told = report(&get(&serve.node, &output).output().unwrap());
    assert_eq!((told["retrieved"].as_u64(), told["present"].as_u64()), (Some(30), Some(0)), "{told}");
    assert_eq!(assert_whole(&output, &originals).len(), originals.len());
}

#[test]
fn without_a_peer_the_folder_tells_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (serve, originals) = archive(folder.path(), 30);
    let output = folder.path().join("output");
    let check = |more: &[&str]| {
        Command::new(binary()).args(["check", "--output"]).arg(&output).args(more).output().unwrap()
    };
    assert_eq!(check(&[]).status.code(), Some(1), "there is nothing to check yet");
    assert!(get(&serve.node, &output).output().unwrap().status.success());
    let sound = check(&[]);
    assert_eq!(sound.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&sound.stdout), "30 of 30 instances of 1 study: nothing is missing\n");

    let (lost, _) = originals.first_key_value().unwrap();
    let lost_file = find(&output, lost).unwrap();
    std::fs::remove_file(lost_file).unwrap();
    let node = serve.node.clone();
    drop(serve);
    let ended = get(&node, &output).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("dicomet check --output"), "{said}");
    let lacking = check(&["--format", "json"]);
    assert_eq!(lacking.status.code(), Some(3));
    let lines: Vec<Value> = String::from_utf8_lossy(&lacking.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["damage"], &lines[0]["sop_instance_uid"]),
        (&"missing".into(), &lost.as_str().into())
    );
    assert_eq!((lines[1]["here"].as_u64(), &lines[1]["complete"]), (Some(29), &Value::Bool(false)));
}

fn find(folder: &Path, uid: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        match path.is_dir() {
            true => find(&path, uid),
            false => (path.file_stem().unwrap() == uid).then_some(path),
        }
    })
}

#[test]
fn two_gets_into_one_folder_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let (serve, originals) = archive(folder.path(), 900);
    let output = folder.path().join("output");
    let start = || get(&serve.node, &output).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children = [start(), start(), start()];
    let ended = children.map(|child| child.wait_with_output().unwrap());
    let done = ended.iter().filter(|ended| ended.status.code() == Some(0)).count();
    assert!(done > 0);
    for ended in ended.iter().filter(|ended| ended.status.code() != Some(0)) {
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("another dicomet is retrieving into"), "{said}");
    }
    assert_eq!(assert_whole(&output, &originals).len(), originals.len());
}
