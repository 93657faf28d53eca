//! Orthanc, filled over its HTTP interface (so that any SOP class and any file goes in as it is).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use dicomet_testkit::peer::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::files::dicom_files;
use crate::process::{Process, until};

/// A running Orthanc.
#[derive(Debug)]
pub struct Orthanc {
    _process: Process,
    port: u16,
    http_port: u16,
    _folder: TempDir,
}

impl Orthanc {
    /// Its AE title.
    pub const AE_TITLE: &str = "ORTHANC";

    /// Starts an empty one that knows nobody but `DICOMET` and `GETSCU`, and lets only those find and get.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Orthanc {
        Orthanc::start_limited(0)
    }

    /// As [`Orthanc::start`]; a C-FIND ends after so many answers, as if it had been cancelled. 0 is no limit.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_limited(answers: u32) -> Orthanc {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..3 {
            let (port, http_port) = (free_port(), free_port());
            let config = folder.path().join("orthanc.json");
            let mut settings = configuration(port, http_port, folder.path());
            settings["LimitFindResults"] = answers.into();
            let text = settings.to_string();
            std::fs::write(&config, text).expect("it is our folder");
            let mut process = Process::start(Command::new(program()).arg(&config).env("TCP_NODELAY", "1"));
            if process.wait_for_port(http_port) && process.wait_for_port(port) {
                return Orthanc { _process: process, port, http_port, _folder: folder };
            }
        }
        panic!("Orthanc does not come up");
    }

    /// Starts one with these files in it.
    ///
    /// # Panics
    /// When it does not come up or refuses a file.
    pub fn with_files(files: &Path) -> Orthanc {
        Orthanc::limited_with_files(0, files)
    }

    /// As [`Orthanc::with_files`], with the limit of [`Orthanc::start_limited`].
    ///
    /// # Panics
    /// When it does not come up or refuses a file.
    pub fn limited_with_files(answers: u32, files: &Path) -> Orthanc {
        let orthanc = Orthanc::start_limited(answers);
        for file in dicom_files(files) {
            let status = orthanc.upload(&file);
            assert_eq!(status, 200, "Orthanc does not take {}", file.display());
        }
        orthanc
    }

    /// Uploads a file as it is, and returns the HTTP status.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn upload(&self, file: &Path) -> u16 {
        let bytes = std::fs::read(file).expect("the file can be read");
        self.request("POST /instances", "application/dicom", &bytes)
    }

    /// Makes a node known to it, as a move destination.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn add_node(&self, ae_title: &str, port: u16) {
        let node = json!([ae_title, "127.0.0.1", port]).to_string();
        let target = format!("PUT /modalities/{}", ae_title.to_lowercase());
        assert_eq!(self.request(&target, "application/json", node.as_bytes()), 200);
    }

    /// Makes it ask the node of this AE title, known to it, for storage commitment of CT images; returns the
    /// Transaction UID.
    ///
    /// # Panics
    /// When it does not.
    pub fn ask_for_commitment(&self, ae_title: &str, sop_instances: &[String]) -> String {
        let instances: Vec<_> = sop_instances
            .iter()
            .map(|uid| json!({ "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": uid }))
            .collect();
        let body = json!({ "DicomInstances": instances }).to_string();
        let target = format!("POST /modalities/{}/storage-commitment", ae_title.to_lowercase());
        let (status, answer) = self.exchange(&target, "application/json", body.as_bytes());
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["ID"].as_str().expect("a Transaction UID").to_owned()
    }

    /// Waits until it has got the report on a transaction, and returns what it makes of it.
    pub fn commitment_report(&self, transaction: &str) -> Value {
        until("Orthanc has a report", || {
            let (status, answer) = self.exchange(&format!("GET /storage-commitment/{transaction}"), "", &[]);
            let report: Value = serde_json::from_str(&answer).ok().filter(|_| status == 200)?;
            (report["Status"] != "Pending").then_some(report)
        })
    }

    fn request(&self, target: &str, content_type: &str, body: &[u8]) -> u16 {
        self.exchange(target, content_type, body).0
    }

    fn exchange(&self, target: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).expect("Orthanc listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let head = format!(
            "{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("Orthanc reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("Orthanc answers");
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status.expect("an HTTP status"), body.unwrap_or_default())
    }

    /// Its port for DICOM.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("{}@127.0.0.1:{}", Orthanc::AE_TITLE, self.port)
    }
}

/// Debian puts it where only administrators look.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/Orthanc");
    if debian.is_file() { debian } else { PathBuf::from("Orthanc") }
}

fn configuration(port: u16, http_port: u16, folder: &Path) -> serde_json::Value {
    let known = |title: &str| {
        json!({ "AET": title, "Host": "127.0.0.1", "Port": 11112, "AllowFind": true, "AllowGet": true,
                "AllowMove": true, "AllowStore": true })
    };
    json!({
        "Name": "interop",
        "StorageDirectory": folder.join("storage"),
        "IndexDirectory": folder.join("storage"),
        "TemporaryDirectory": folder,
        "Plugins": [],
        "DicomServerEnabled": true,
        "DicomAet": Orthanc::AE_TITLE,
        "DicomCheckCalledAet": true,
        "DicomPort": port,
        "HttpServerEnabled": true,
        "HttpPort": http_port,
        "RemoteAccessAllowed": false,
        "AuthenticationEnabled": false,
        "DicomModalities": { "dicomet": known("DICOMET"), "getscu": known("GETSCU") },
        "UnknownSopClassAccepted": true,
        "MaximumPduLength": 131_072,
        "OverwriteInstances": false,
        // Answers to C-FIND are written in this one.
        "DefaultEncoding": "Utf8",
        "StableAge": 1,
    })
}
