//! What goes wrong is named: the exit status is that of design and README, the message says which thing, and
//! never a panic.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use dicomet_interop::dcmtk::{Dcmqrscp, Storescp, tool};
use dicomet_interop::dicomet::{Serve, dicomet, get, get_with, import};
use dicomet_interop::orthanc::Orthanc;
use dicomet_interop::process::Ended;
use dicomet_testkit::peer::free_port;
use dicomet_testkit::study::Plan;
use tempfile::tempdir;

const STUDY: &str = "StudyInstanceUID=2.999.1.1";

/// It failed with this status, said these words on standard error, and did not panic.
#[track_caller]
fn assert_says(ended: Ended, code: i32, words: &[&str]) {
    let ended = ended.expect_code(code);
    let stderr = ended.stderr.to_lowercase();
    for word in words {
        assert!(stderr.contains(&word.to_lowercase()), "'{word}' is not said: {}", ended.stderr);
    }
    assert!(!stderr.contains("panicked"), "{}", ended.stderr);
}

fn fill(folder: &Path) {
    Plan::default().write_to(folder).unwrap();
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let node = "PACS@no-such-host.invalid:104";
    assert_says(dicomet(["echo", node]), 1, &["no-such-host.invalid"]);
    assert_says(dicomet(["find", node, "PatientName=A*"]), 1, &["no-such-host.invalid"]);
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let port = free_port();
    let node = format!("PACS@127.0.0.1:{port}");
    assert_says(dicomet(["echo", &node]), 1, &[&format!("127.0.0.1:{port}"), "refused"]);
    let output = tempdir().unwrap();
    assert_says(get(&node, &[STUDY], output.path()).0, 1, &[&format!("127.0.0.1:{port}")]);
}

#[test]
fn a_called_ae_title_that_dcmqrscp_does_not_know_is_a_rejection_in_words() {
    let originals = tempdir().unwrap();
    fill(originals.path());
    let qrscp = Dcmqrscp::with_files(originals.path());
    let node = format!("NOBODY@127.0.0.1:{}", qrscp.port());
    assert_says(dicomet(["find", &node, "PatientName=B*"]), 1, &["reject", "called AE title not recognized"]);
}

#[test]
fn a_called_ae_title_that_orthanc_does_not_know_is_a_rejection_in_words() {
    let orthanc = Orthanc::start();
    let node = format!("NOBODY@127.0.0.1:{}", orthanc.port());
    assert_says(dicomet(["echo", &node]), 1, &["reject", "called AE title not recognized"]);
}

#[test]
fn a_calling_ae_title_that_orthanc_does_not_know_may_not_find_or_get() {
    let (originals, output) = (tempdir().unwrap(), tempdir().unwrap());
    fill(originals.path());
    let orthanc = Orthanc::with_files(originals.path());
    let find = dicomet(["find", &orthanc.node(), "PatientName=B*", "--aet", "STRANGER"]);
    assert_eq!(find.code(), 1, "{}", find.stderr);
    assert!(!find.stderr.is_empty() && !find.stderr.contains("panicked"), "{}", find.stderr);
    let (get, _) = get_with(&orthanc.node(), &[STUDY], output.path(), &["--aet", "STRANGER"]);
    assert_eq!(get.code(), 1, "{}", get.stderr);
}

#[test]
fn a_refused_association_of_dcmqrscp_is_told_with_its_reason() {
    let port = free_port();
    let config = tempdir().unwrap();
    let path = config.path().join("dcmqrscp.cfg");
    let text = format!(
        "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 4\nHostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nQRSCP {} RW (1, 1mb) ANY\nAETable END\n",
        config.path().display()
    );
    std::fs::write(&path, text).unwrap();
    let mut dcmqrscp = tool("dcmqrscp");
    dcmqrscp.args(["--refuse", "-c"]).arg(&path);
    let mut process = dicomet_interop::process::Process::start(&mut dcmqrscp);
    assert!(process.wait_for_port(port));
    assert_says(dicomet(["echo", &format!("QRSCP@127.0.0.1:{port}")]), 1, &["reject"]);
}

#[test]
fn a_peer_without_query_and_retrieve_accepts_no_context_for_them() {
    let storescp = Storescp::start();
    let output = tempdir().unwrap();
    assert_says(dicomet(["find", &storescp.node(), "PatientName=B*"]), 1, &["presentation context"]);
    assert_says(get(&storescp.node(), &[STUDY], output.path()).0, 1, &["presentation context"]);
}

#[test]
fn a_peer_that_is_no_dicom_node_at_all_is_told() {
    let (listener, port) = silent_web_server();
    assert_says(dicomet(["echo", &format!("PACS@127.0.0.1:{port}")]), 1, &[]);
    drop(listener);
}

/// Answers the first bytes of every connection with an HTTP error, and closes.
fn silent_web_server() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        for stream in accepting.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    (listener, port)
}

#[test]
fn malformed_keys_are_wrong_usage_and_named() {
    let node = format!("PACS@127.0.0.1:{}", free_port());
    for (key, word) in [
        ("PatientNam=Bowen*", "PatientNam"),
        ("0010,00=Bowen*", "0010,00"),
        ("=Bowen*", "path"),
        ("StudyInstanceUID=../../etc/passwd", "StudyInstanceUID"),
        ("StudyDate=yesterday", "StudyDate"),
    ] {
        assert_says(dicomet(["find", &node, key]), 2, &[word]);
    }
}

#[test]
fn a_key_that_is_given_twice_is_wrong_usage() {
    let node = format!("PACS@127.0.0.1:{}", free_port());
    assert_says(dicomet(["find", &node, "PatientName=B*", "PatientName"]), 2, &["PatientName", "twice"]);
    let output = tempdir().unwrap();
    assert_says(
        get(&node, &["PatientName", "PatientName=B*"], output.path()).0,
        2,
        &["PatientName", "twice"],
    );
}

#[test]
fn malformed_nodes_and_options_are_wrong_usage() {
    assert_says(dicomet(["echo", "no-at-sign:104"]), 2, &["no-at-sign:104"]);
    assert_says(dicomet(["echo", "PACS@127.0.0.1:notaport"]), 2, &["port"]);
    assert_says(dicomet(["find", "PACS@127.0.0.1:104", "PatientID", "--level", "galaxy"]), 2, &["galaxy"]);
    assert_says(dicomet(["fetch"]), 2, &["fetch"]);
    assert_says(dicomet(["echo", "PACS@127.0.0.1:104", "--aet", "SEVENTEEN_LETTERS"]), 2, &["16"]);
}

/// A folder under a regular file can be made by nobody, not even by root.
#[test]
fn a_folder_that_cannot_be_written_is_named_before_anything_is_asked_for() {
    let (originals, data, output) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    fill(originals.path());
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let file = output.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (ended, _) = get(&archive.node(), &[STUDY], &file.join("retrieved"));
    assert_says(ended, 1, &[file.to_str().unwrap()]);
}

#[test]
fn a_study_that_is_not_there_is_no_success() {
    let (originals, data, output) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    fill(originals.path());
    import(data.path(), originals.path());
    let archive = Serve::start(data.path());
    let (ended, report) = get(&archive.node(), &["StudyInstanceUID=2.999.404"], output.path());
    assert_says(ended, 1, &["nothing", "matches"]);
    assert!(report.count("studies") == 0 && !report.is_complete());
    let text = dicomet([
        "get",
        &archive.node(),
        "StudyInstanceUID=2.999.404",
        "--output",
        output.path().to_str().unwrap(),
    ]);
    assert_eq!(text.stdout, "", "there is nothing to tell but the error");
    assert_says(text, 1, &["nothing", "matches"]);
}

#[test]
fn an_echo_succeeds_at_everybody() {
    let (originals, data) = (tempdir().unwrap(), tempdir().unwrap());
    fill(originals.path());
    dicomet(["echo", &Serve::start(data.path()).node()]).expect_success();
    dicomet(["echo", &Orthanc::start().node()]).expect_success();
    dicomet(["echo", &Storescp::start().node()]).expect_success();
    dicomet(["echo", &Dcmqrscp::with_files(originals.path()).node()]).expect_success();
}
