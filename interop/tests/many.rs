//! Many instances by one request: the counters are right with a window and without one.

#![allow(clippy::unwrap_used)]

use dicomet_interop::dicomet::{Serve, get_with, import};
use dicomet_interop::files::{assert_identical, instances};
use dicomet_interop::process::{Process, run};
use dicomet_interop::pynetdicom::script;
use dicomet_testkit::peer::free_port;
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

/// A day of CT in one study.
const INSTANCES: u64 = 5460;

#[test]
fn an_association_of_thousands_of_instances_from_the_archive_counts_them_with_a_window_and_without() {
    let (originals, data, ours) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let plan = Plan { instances: INSTANCES as usize, size_bytes: 1024, ..Plan::default() };
    plan.write_to(originals.path()).unwrap();
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let options = ["--associations", "1", "--window", "16"];
    let (ended, report) = get_with(&archive.node(), &["StudyInstanceUID=2.999.1.1"], ours.path(), &options);
    ended.expect_success();
    let counts = ["expected", "retrieved", "present", "failed", "missing"].map(|name| report.count(name));
    assert_eq!(counts, [INSTANCES, INSTANCES, 0, 0, 0]);
    assert_eq!((report.is_complete(), report.count("associations")), (true, 1));
    let line = archive.wait_for_line("C-GET answered");
    assert!(line.contains(&format!("completed={INSTANCES}")), "{line}");
    assert!(line.contains("failed=0"), "{line}");
    assert_identical(&instances(ours.path()), &instances(originals.path()));

    let port = archive.port().to_string();
    run(script("counters.py").args([&port, &INSTANCES.to_string()])).expect_success();
}

#[test]
fn as_many_come_from_pynetdicom_one_at_a_time() {
    let ours = tempdir().unwrap();
    let port = free_port();
    let mut scp = Process::start(script("many_scp.py").args([port.to_string(), INSTANCES.to_string()]));
    assert!(scp.wait_for_port(port));
    let node = format!("MANY@127.0.0.1:{port}");
    let options = ["--associations", "1", "--window", "16"];
    let (ended, report) = get_with(&node, &["StudyInstanceUID=2.999.1"], ours.path(), &options);
    ended.expect_success();
    let counts = ["expected", "retrieved", "present", "failed", "missing"].map(|name| report.count(name));
    assert_eq!(counts, [INSTANCES, INSTANCES, 0, 0, 0]);
    assert_eq!((report.is_complete(), report.count("associations")), (true, 1));
    assert_eq!(instances(ours.path()).len() as u64, INSTANCES);
}
