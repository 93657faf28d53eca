//! C-MOVE both ways: everybody's movescu has `dicomet serve` send to everybody's storage SCP, and `dicomet move` has
//! everybody's archive send to them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use dicomet_interop::dcmtk::{Dcmqrscp, Storescp, tool};
use dicomet_interop::dicomet::{Serve, command, dicomet, get, get_with, import};
use dicomet_interop::files::{assert_identical, dicom_files, instances};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::{Ended, Process, run};
use dicomet_interop::proxy::{Proxy, Then};
use dicomet_interop::pynetdicom::application;
use dicomet_testkit::instance::transfer_syntax::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, JPEG_BASELINE,
};
use dicomet_testkit::peer::free_port;
use dicomet_testkit::study::Plan;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

fn slices() -> Plan {
    Plan { series: 2, instances: 6, size_bytes: 132 * 1024, ..Plan::default() }
}

fn written(plan: &Plan) -> TempDir {
    let originals = tempdir().unwrap();
    plan.write_to(originals.path()).unwrap();
    originals
}

/// An archive with these files, that knows these nodes.
fn archive(originals: &Path, nodes: &[&str]) -> (Serve, TempDir) {
    let data = tempdir().unwrap();
    import(data.path(), originals);
    let nodes: Vec<&str> = nodes.iter().flat_map(|node| ["--node", node]).collect();
    (Serve::start_with(data.path(), &nodes), data)
}

/// Has a movescu (DCMTK's or pynetdicom's) ask the archive for the first study.
fn movescu(mut movescu: Command, archive: &Serve, to: &str, options: &[&str]) -> Ended {
    movescu.args([
        "-aet",
        "MOVESCU",
        "-aec",
        "DICOMET",
        "-aem",
        to,
        "127.0.0.1",
        &archive.port().to_string(),
    ]);
    movescu.args(["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", STUDY]).args(options);
    run(&mut movescu)
}

/// Runs `dicomet move` and returns its report as well.
fn moved(node: &str, to: &str, keys: &[&str]) -> (Ended, Value) {
    let ended = run(command(["move", node, "--to", to, "--format", "json"]).args(keys));
    let report = serde_json::from_str(ended.stdout.trim()).unwrap_or(Value::Null);
    (ended, report)
}

// Their SCU, our SCP.

#[test]
fn movescu_of_dcmtk_has_the_archive_send_to_storescp_byte_for_byte() {
    let originals = written(&slices());
    let storescp = Storescp::start();
    let (archive, _data) = archive(originals.path(), &[&storescp.node()]);
    movescu(tool("movescu"), &archive, "STORESCP", &[]).expect_success();
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn movescu_of_dcmtk_receives_itself_what_it_has_sent() {
    let (originals, theirs) = (written(&slices()), tempdir().unwrap());
    let port = free_port();
    let (archive, _data) = archive(originals.path(), &[&format!("MOVESCU@127.0.0.1:{port}")]);
    let mut client = tool("movescu");
    // With +B it writes into the current folder, whatever -od says (3.6.7).
    client.current_dir(theirs.path()).args(["+B", "+P", &port.to_string()]);
    movescu(client, &archive, "MOVESCU", &[]).expect_success();
    assert_identical(&instances(theirs.path()), &instances(originals.path()));
}

#[test]
fn movescu_of_pynetdicom_receives_itself_what_it_has_sent() {
    let (originals, theirs) = (written(&slices()), tempdir().unwrap());
    let port = free_port().to_string();
    let (archive, _data) = archive(originals.path(), &[&format!("STORESCP@127.0.0.1:{port}")]);
    let folder = theirs.path().to_str().unwrap();
    let options = ["--store", "--store-port", &port, "--store-aet", "STORESCP", "-od", folder];
    movescu(application("movescu"), &archive, "STORESCP", &options).expect_success();
    assert!(instances(theirs.path()).keys().eq(instances(originals.path()).keys()));
}

#[test]
fn compressed_and_implicit_objects_go_to_storescp_as_they_are_stored() {
    let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE, JPEG_2000_LOSSLESS];
    let originals = written(&Plan {
        instances: 8,
        transfer_syntaxes: syntaxes.map(str::to_owned).to_vec(),
        ..Plan::default()
    });
    let storescp = Storescp::start();
    let (archive, _data) = archive(originals.path(), &[&storescp.node()]);
    movescu(tool("movescu"), &archive, "STORESCP", &[]).expect_success();
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn movescu_is_told_that_the_destination_is_unknown_or_down() {
    let originals = written(&slices());
    let down = free_port();
    let (archive, _data) = archive(originals.path(), &[&format!("DOWN@127.0.0.1:{down}")]);
    for (to, told) in [
        ("NOBODY", "MoveDestinationUnknown"),
        ("DICOMET", "MoveDestinationUnknown"),
        ("DOWN", "OutOfResources"),
    ] {
        let ended = movescu(tool("movescu"), &archive, to, &["-v"]);
        assert!((ended.stdout.clone() + &ended.stderr).contains(told), "{to}: {}", ended.stderr);
    }
}

#[test]
fn two_hundred_sop_classes_go_to_another_archive_over_two_associations() {
    let originals = written(&Plan { instances: 200, sop_classes: 200, ..Plan::default() });
    let (data, ours) = (tempdir().unwrap(), tempdir().unwrap());
    let other = Serve::start_with(data.path(), &["--aet", "OTHER"]);
    let node = format!("OTHER@127.0.0.1:{}", other.port());
    let (archive, _data) = archive(originals.path(), &[&node]);
    let (ended, report) = moved(&archive.node(), "OTHER", &["PatientName=Bowen*"]);
    ended.expect_success();
    assert_eq!((&report["expected"], &report["completed"]), (&Value::from(200), &Value::from(200)));
    get(&node, &[STUDY], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

// Our SCU, their SCP.

#[test]
fn dicomet_move_has_orthanc_send_everything_to_the_archive() {
    let originals = written(&Plan { studies: 2, ..slices() });
    let (data, ours) = (tempdir().unwrap(), tempdir().unwrap());
    let orthanc = Orthanc::with_files(originals.path());
    let archive = Serve::start(data.path());
    orthanc.add_node("DICOMET", archive.port());
    let (ended, report) = moved(&orthanc.node(), "DICOMET", &["--all"]);
    ended.expect_success();
    assert_eq!((&report["studies"], &report["completed"]), (&Value::from(2), &Value::from(24)));
    assert_eq!(report["complete"], Value::Bool(true));
    get(&archive.node(), &["PatientName=*"], ours.path()).0.expect_success();
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn dicomet_move_has_dcmqrscp_send_to_storescp() {
    let originals = written(&slices());
    let storescp = Storescp::start();
    let port = storescp.node().rsplit(':').next().unwrap().parse().unwrap();
    let qrscp = Dcmqrscp::with_destination(originals.path(), "STORESCP", port);
    let (ended, report) = moved(&qrscp.node(), "STORESCP", &["PatientName=Bowen*"]);
    ended.expect_success();
    assert_eq!(report["completed"], Value::from(12));
    assert_identical(&instances(storescp.folder()), &instances(originals.path()));
}

#[test]
fn keys_below_the_study_narrow_what_is_sent() {
    let originals = written(&slices());
    for (keys, count) in [
        (&[STUDY, "SeriesInstanceUID=2.999.1.1.1"][..], 6),
        (&["SeriesInstanceUID=2.999.1.1.1"], 6),
        (&["PatientName=Bowen*", "InstanceNumber=1"], 2),
        (&[STUDY, "SeriesInstanceUID=2.999.1.1.2", "SOPInstanceUID=2.999.1.1.2.3"], 1),
    ] {
        let storescp = Storescp::start();
        let (archive, _data) = archive(originals.path(), &[&storescp.node()]);
        moved(&archive.node(), "STORESCP", keys).0.expect_success();
        assert_eq!(instances(storescp.folder()).len(), count, "{keys:?}");
    }
}

#[test]
fn a_destination_that_the_peer_does_not_know_is_told_with_what_to_add() {
    let originals = written(&slices());
    let qrscp = Dcmqrscp::with_files(originals.path());
    for keys in [STUDY, "PatientName=Bowen*"] {
        let (ended, _) = moved(&qrscp.node(), "DICOMET", &[keys]);
        let ended = ended.expect_code(1);
        assert!(ended.stderr.contains("does not know the move destination DICOMET"), "{}", ended.stderr);
        assert!(ended.stderr.contains("(DICOMET, 127.0.0.1, PORT)"), "{}", ended.stderr);
    }
}

#[test]
fn what_the_destination_does_not_take_is_named_and_the_rest_is_sent() {
    // storescp 3.6.7 accepts no context for the three protocol classes (CT Defined Procedure Protocol and the like).
    let originals = written(&Plan { instances: 200, sop_classes: 200, ..Plan::default() });
    let storescp = Storescp::start();
    let (archive, _data) = archive(originals.path(), &[&storescp.node()]);
    let (ended, report) = moved(&archive.node(), "STORESCP", &[STUDY]);
    let ended = ended.expect_code(3);
    let failed = report["failed"].as_u64().unwrap();
    assert_eq!(failed, 3, "{report}");
    assert_eq!(report["completed"].as_u64().unwrap() + failed, 200);
    assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("failed 2.999.")).count() as u64, failed);
    assert_eq!(instances(storescp.folder()).len() as u64, 200 - failed);
}

#[test]
fn nothing_that_matches_is_told() {
    let originals = written(&slices());
    let down = format!("DOWN@127.0.0.1:{}", free_port());
    let (archive, _data) = archive(originals.path(), &[&down]);
    for keys in ["PatientName=Nobody*", "StudyInstanceUID=1.2.3"] {
        let ended = dicomet(["move", &archive.node(), "--to", "DOWN", keys]).expect_code(1);
        assert!(ended.stderr.contains("nothing on"), "{}", ended.stderr);
    }
}

#[test]
fn an_interrupted_move_is_cancelled_though_the_destination_stalls() {
    let originals = written(&slices());
    let storescp = Storescp::start();
    let port = storescp.node().rsplit(':').next().unwrap().parse().unwrap();
    // The association is accepted and some stores are answered.
    let proxy = Proxy::before(port, 1500, Then::Hold);
    let (archive, _data) = archive(originals.path(), &[&format!("STALLS@127.0.0.1:{}", proxy.port())]);
    let mut moving = command(["move", &archive.node(), "--to", "STALLS", STUDY]);
    let moving = Process::start(&mut moving);
    proxy.wait_until_reached();
    let ended = moving.interrupt().expect_code(3);
    assert!(ended.stdout.contains("cancelled, not complete"), "{}", ended.stdout);
}

// Getting by C-MOVE.

#[test]
fn get_by_move_brings_a_study_byte_for_byte_and_the_next_run_only_what_is_missing() {
    let (originals, ours) = (written(&slices()), tempdir().unwrap());
    let port = free_port();
    let here = format!("127.0.0.1:{port}");
    let options = ["--method", "move", "--receive", &here];
    let orthanc = Orthanc::with_files(originals.path());
    orthanc.add_node("DICOMET", port);
    let qrscp = Dcmqrscp::with_destination(originals.path(), "DICOMET", port);
    let (archive, _data) = archive(originals.path(), &[&format!("DICOMET@{here}")]);
    for node in [orthanc.node(), qrscp.node(), archive.node()] {
        let folder = ours.path().join(node.replace(':', "_"));
        let (ended, report) = get_with(&node, &["PatientName=Bowen*"], &folder, &options);
        ended.expect_success();
        assert_eq!((report.count("expected"), report.count("retrieved")), (12, 12), "{node}");
        assert_identical(&instances(&folder), &instances(originals.path()));

        std::fs::remove_file(&dicom_files(&folder)[0]).unwrap();
        let (ended, report) = get_with(&node, &["PatientName=Bowen*"], &folder, &options);
        ended.expect_success();
        assert_eq!((report.count("present"), report.count("retrieved")), (11, 1), "{node}");
    }
}

#[test]
fn a_peer_that_offers_no_c_get_is_asked_by_c_move() {
    let (originals, ours) = (written(&slices()), tempdir().unwrap());
    let port = free_port();
    let qrscp = Dcmqrscp::without_get(originals.path(), "DICOMET", port);
    let (ended, _) = get_with(&qrscp.node(), &[STUDY], ours.path(), &[]);
    ended.expect_code(1);
    let options = ["--receive", &format!("127.0.0.1:{port}")];
    let (ended, report) = get_with(&qrscp.node(), &[STUDY], ours.path(), &options);
    let ended = ended.expect_success();
    assert!(report.is_complete() && ended.stdout.contains(r#""method":"move""#), "{}", ended.stdout);
    assert_identical(&instances(ours.path()), &instances(originals.path()));
}

#[test]
fn a_get_by_move_from_a_peer_that_does_not_know_us_says_what_to_add() {
    let (originals, ours) = (written(&slices()), tempdir().unwrap());
    let qrscp = Dcmqrscp::with_files(originals.path());
    let options = ["--method", "move", "--receive", "127.0.0.1:0"];
    let (ended, report) = get_with(&qrscp.node(), &[STUDY], ours.path(), &options);
    let ended = ended.expect_code(1);
    assert_eq!(report.count("missing") + report.count("failed"), 12);
    assert!(ended.stderr.contains("does not know the move destination DICOMET"), "{}", ended.stderr);
}
