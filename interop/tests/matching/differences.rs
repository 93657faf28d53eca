//! Puts the generated queries to Orthanc and dcmqrscp, and lists where they answer otherwise than `matching.py` reads the
//! standard; docs/matching.md explains the differences. No test: what others answer is theirs.

#![allow(clippy::unwrap_used)]

mod questions;

use dicomet_interop::dcmtk::Dcmqrscp;
use dicomet_interop::files::dicom_files;
use dicomet_interop::orthanc::Orthanc;

use questions::{Ask, ask, collected_files};

fn main() {
    let files = collected_files();
    let orthanc = Orthanc::start();
    // Both get the same files: those that both take.
    for path in dicom_files(files.path()) {
        if orthanc.upload(&path) != 200 {
            std::fs::remove_file(path).unwrap();
        }
    }
    let dcmqrscp = Dcmqrscp::with_files(files.path());
    for (name, title, port) in
        [("Orthanc", Orthanc::AE_TITLE, orthanc.port()), ("dcmqrscp", Dcmqrscp::AE_TITLE, dcmqrscp.port())]
    {
        let asked = ask(Ask::List, title, port, files.path());
        println!("{name}\n{}{}", asked.report, asked.error);
    }
}
