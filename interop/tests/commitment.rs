//! Storage commitment with pynetdicom and Orthanc, each as the one who asks and as the one who answers.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use dicomet_interop::dicomet::{Serve, import, store};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::{Ended, Process, run};
use dicomet_interop::pynetdicom::script;
use dicomet_testkit::peer::free_port;
use dicomet_testkit::study::Plan;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const MISSING: &str = "2.999.404";

/// Three slices in an archive's folder, and their UIDs.
fn filled(data: &Path) -> Vec<String> {
    let originals = tempdir().unwrap();
    slices(originals.path());
    import(data, originals.path());
    dicomet_interop::files::instances(originals.path()).into_keys().collect()
}

fn slices(folder: &Path) {
    Plan { instances: 3, ..Plan::default() }.write_to(folder).unwrap();
}

/// Serves a folder; PYNET has its address in the table, and reports are tried every second.
fn serve(data: &Path, pynet_port: u16) -> Serve {
    let pynet = format!("PYNET@127.0.0.1:{pynet_port}");
    Serve::start_with(data, &["--node", &pynet, "--report-pause", "1"])
}

/// pynetdicom asks for the instances and one that is not there.
fn pynetdicom(how: &str, archive: &Serve, instances: &[String]) -> Ended {
    let mut command = script("commitment.py");
    command.args([how, &archive.port().to_string(), CT]).args(instances).arg(MISSING);
    run(&mut command).expect_success()
}

fn listen(port: u16) -> Process {
    let process = Process::start(script("commitment.py").args(["listen", &port.to_string()]));
    process.wait_for_line("listening");
    process
}

fn assert_reported(ended: Ended, instances: &[String], elsewhere: bool) {
    let ended = ended.expect_success();
    let report: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    assert_eq!(report["committed"], json!(instances), "{report}");
    assert_eq!(report["failed"], json!([[MISSING, 0x0112]]), "{report}");
    assert_eq!((&report["event"], &report["retrieve"]), (&json!(2), &json!("DICOMET")), "{report}");
    assert_eq!(report["elsewhere"], json!(elsewhere), "{report}");
}

#[test]
fn pynetdicom_stays_and_is_told_on_the_same_association() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let archive = serve(data.path(), free_port());
    assert_reported(pynetdicom("ask", &archive, &instances), &instances, false);
}

#[test]
fn pynetdicom_leaves_and_is_called() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let port = free_port();
    let archive = serve(data.path(), port);
    let listener = listen(port);
    pynetdicom("leave", &archive, &instances);
    assert_reported(listener.finish(), &instances, true);
    archive.wait_for_line("storage commitment report delivered");
}

#[test]
fn a_report_waits_for_who_does_not_listen_yet_over_a_stop_and_a_kill() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let port = free_port();
    let archive = serve(data.path(), port);
    pynetdicom("leave", &archive, &instances);
    archive.wait_for_line("could not be delivered");
    archive.terminate().expect_success();
    let archive = serve(data.path(), port);
    archive.wait_for_line("could not be delivered");
    archive.kill();
    let archive = serve(data.path(), port);
    archive.wait_for_line("could not be delivered");
    let listener = listen(port);
    assert_reported(listener.finish(), &instances, true);
    archive.wait_for_line("storage commitment report delivered");
}

#[test]
fn a_kill_right_after_the_answer_loses_no_report() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let port = free_port();
    let archive = serve(data.path(), port);
    pynetdicom("leave", &archive, &instances);
    archive.kill();
    let listener = listen(port);
    let _archive = serve(data.path(), port);
    assert_reported(listener.finish(), &instances, true);
}

#[test]
fn who_is_not_in_the_table_and_has_left_is_told_in_the_log_alone() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let archive = Serve::start(data.path());
    pynetdicom("leave", &archive, &instances);
    let line = archive.wait_for_line("storage commitment report given up");
    assert!(line.contains("PYNET") && line.contains("no address"), "{line}");
}

/// pynetdicom as provider; it commits two of three.
fn provider(how: &[&str]) -> (Process, String) {
    let process = Process::start(script("commitment.py").arg("serve").args(how));
    let line = process.wait_for_line("listening on port");
    let port = line.rsplit(' ').next().unwrap().to_owned();
    (process, format!("PYNET@127.0.0.1:{port}"))
}

fn originals() -> TempDir {
    let folder = tempdir().unwrap();
    slices(folder.path());
    folder
}

#[test]
fn our_requestor_says_what_pynetdicom_commits_and_what_not() {
    let receive = format!("127.0.0.1:{}", free_port());
    let port = receive.rsplit(':').next().unwrap();
    for (how, options) in
        [(&["same"][..], &["--commit"][..]), (&["elsewhere", port], &["--commit", "--receive", &receive])]
    {
        let (_process, node) = provider(how);
        let (ended, report) = store(&node, originals().path(), options);
        let ended = ended.expect_code(3);
        assert_eq!((report.count("sent"), report.count("committed")), (3, 2));
        assert!(!report.is_complete());
        let lines = ended.stderr.matches("not committed").count();
        assert_eq!(lines, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("0x0112 (no such SOP instance)"), "{}", ended.stderr);
    }
}

#[test]
fn our_requestor_and_our_archive_agree() {
    let data = tempdir().unwrap();
    let archive = Serve::start(data.path());
    let (ended, report) = store(&archive.node(), originals().path(), &["--commit"]);
    ended.expect_success();
    assert_eq!((report.count("sent"), report.count("committed")), (3, 3));
    assert!(report.is_complete());
}

#[test]
fn orthanc_asks_and_is_told() {
    let data = tempdir().unwrap();
    let instances = filled(data.path());
    let orthanc = Orthanc::start();
    let archive = Serve::start_with(data.path(), &["--node", &orthanc.node()]);
    orthanc.add_node("DICOMET", archive.port());
    let transaction = orthanc.ask_for_commitment("DICOMET", &instances);
    let report = orthanc.commitment_report(&transaction);
    assert_eq!(report["Status"], json!("Success"), "{report}");
    assert_eq!(report["Success"].as_array().unwrap().len(), instances.len(), "{report}");

    let missing = [instances[0].clone(), MISSING.to_owned()];
    let transaction = orthanc.ask_for_commitment("DICOMET", &missing);
    let report = orthanc.commitment_report(&transaction);
    assert_eq!(report["Status"], json!("Failure"), "{report}");
    assert_eq!(report["Failures"][0]["SOPInstanceUID"], json!(MISSING), "{report}");
    assert_eq!(report["Failures"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn our_requestor_is_told_by_orthanc() {
    let orthanc = Orthanc::start();
    let port = free_port();
    orthanc.add_node("DICOMET", port);
    let receive = format!("127.0.0.1:{port}");
    let options = ["--commit", "--receive", &receive];
    let (ended, report) = store(&orthanc.node(), originals().path(), &options);
    ended.expect_success();
    assert_eq!((report.count("sent"), report.count("committed")), (3, 3));
    assert!(report.is_complete());
}
