//! Retrieves that are cut in the middle: what has arrived is whole and stays, the exit status says that
//! something is missing, and the next run brings the rest.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::dicomet::{Serve, get, import};
use dicomet_interop::files::{Part10, assert_identical, files, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::until;
use dicomet_interop::proxy::{Proxy, Then};
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

const STUDY: &str = "StudyInstanceUID=2.999.1.1";
/// Some eight of the twenty slices pass before it is reached.
const IN_THE_MIDDLE: u64 = 1_100_000;

fn slices() -> Plan {
    Plan { instances: 20, size_bytes: 132 * 1024, ..Plan::default() }
}

/// The instances that bear their names; unfinished ones have others.
fn named_instances(folder: &Path) -> BTreeMap<String, Part10> {
    let is_named = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "dcm");
    files(folder).into_iter().filter(is_named).flat_map(|file| instances(&file)).collect()
}

/// All that bears an instance's name is an instance, and there are `at_least` so many and not all.
#[track_caller]
fn assert_only_whole_instances(folder: &Path, originals: &Path, at_least: usize) -> usize {
    let (arrived, originals) = (named_instances(folder), instances(originals));
    assert!(arrived.len() >= at_least, "what had arrived is kept");
    assert!(arrived.len() < originals.len(), "the transfer was not cut");
    for (uid, instance) in &arrived {
        assert!(originals[uid] == *instance, "{uid} is damaged");
    }
    arrived.len()
}

#[test]
fn a_connection_that_is_cut_leaves_whole_files_and_the_next_run_completes_the_study() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    let proxy = Proxy::before(orthanc.port(), IN_THE_MIDDLE, Then::CloseThisAndAllLater);

    let (ended, _) = get(&format!("ORTHANC@127.0.0.1:{}", proxy.port()), &[STUDY], ours.path());
    ended.expect_code(3);
    let arrived = assert_only_whole_instances(ours.path(), originals.path(), 1) as u64;

    let (ended, report) = get(&orthanc.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert_eq!((report.count("present"), report.count("retrieved")), (arrived, 20 - arrived));
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_peer_that_is_killed_in_the_middle_is_asked_again_when_it_is_back() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let qrscp = Dcmqrscp::with_files(originals.path());
    let proxy = Proxy::before(qrscp.port(), IN_THE_MIDDLE, Then::Hold);

    let node = format!("{}@127.0.0.1:{}", Dcmqrscp::AE_TITLE, proxy.port());
    let folder = ours.path().to_owned();
    let retrieve = std::thread::spawn(move || get(&node, &[STUDY], &folder));
    proxy.wait_until_reached();
    let qrscp = qrscp.kill_and_start_again();

    let (ended, _) = retrieve.join().unwrap();
    ended.expect_code(3);
    assert_only_whole_instances(ours.path(), originals.path(), 1);

    let (ended, report) = get(&qrscp.node(), &[STUDY], ours.path());
    ended.expect_success();
    assert!(report.is_complete() && report.count("present") > 0);
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_get_that_is_killed_itself_leaves_whole_files_and_the_next_run_completes_the_study() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let proxy = Proxy::before(archive.port(), IN_THE_MIDDLE, Then::Hold);

    let mut command =
        dicomet_interop::dicomet::command(["get", &format!("DICOMET@127.0.0.1:{}", proxy.port())]);
    command.args([STUDY, "--output"]).arg(ours.path());
    let retrieve = dicomet_interop::process::Process::start(&mut command);
    proxy.wait_until_reached();
    until("instances have arrived", || (!named_instances(ours.path()).is_empty()).then_some(()));
    retrieve.kill();
    assert_only_whole_instances(ours.path(), originals.path(), 1);

    get(&archive.node(), &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn an_interrupted_get_cancels_keeps_what_came_and_says_that_it_is_not_complete() {
    let (originals, ours) = (tempdir().unwrap(), tempdir().unwrap());
    slices().write_to(originals.path()).unwrap();
    let orthanc = Orthanc::with_files(originals.path());
    let proxy = Proxy::before(orthanc.port(), IN_THE_MIDDLE, Then::Trickle);

    let mut command =
        dicomet_interop::dicomet::command(["get", &format!("ORTHANC@127.0.0.1:{}", proxy.port())]);
    command.args([STUDY, "--output"]).arg(ours.path());
    let retrieve = dicomet_interop::process::Process::start(&mut command);
    proxy.wait_until_reached();
    until("instances have arrived", || (!named_instances(ours.path()).is_empty()).then_some(()));
    retrieve.interrupt().expect_code(3);
    assert_only_whole_instances(ours.path(), originals.path(), 1);
}
