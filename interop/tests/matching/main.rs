//! The answers are right: hundreds of generated queries over pydicom's test files, put to the archive over the network,
//! and answers and values held against the files themselves, by `interop/python/matching.py`, which has nothing of ours.

#![allow(clippy::unwrap_used)]

mod questions;

use dicomet_interop::dicomet::{AE_TITLE, Serve, dicomet};

use questions::{Ask, ask, collected_files};

#[test]
fn generated_queries_are_answered_as_a_matcher_that_shares_nothing_with_ours_would() {
    let files = collected_files();
    let data = tempfile::tempdir().unwrap();
    let imported =
        dicomet(["import".as_ref(), files.path().as_os_str(), "--data".as_ref(), data.path().as_os_str()]);
    // What is refused is nothing to ask for.
    for line in imported.stderr.lines() {
        if let Some((path, _)) = line.strip_prefix("not stored: ").and_then(|rest| rest.split_once(':')) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let archive = Serve::start(data.path());
    let asked = ask(Ask::Assert, AE_TITLE, archive.port(), files.path());
    println!("{}", asked.report);
    assert!(asked.holds, "{}\n{}", asked.report, asked.error);
}
