//! Runs `interop/python/matching.py`: for the test and for the list of differences.
//!
//! `DICOMET_MATCHING_FILES` names further folders of DICOM files, `DICOMET_MATCHING_QUERIES` how many queries to make.

use std::path::Path;

use dicomet_interop::process::run;
use dicomet_interop::pynetdicom::{pydicom_test_files, script};
use tempfile::TempDir;

const QUERIES: &str = "480";

/// What to do about answers that are others.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the test asserts, the example lists")]
pub(crate) enum Ask {
    Assert,
    List,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// By kinds of matching.
    pub(crate) report: String,
    #[allow(dead_code, reason = "the example has no use for it")]
    pub(crate) holds: bool,
    pub(crate) error: String,
}

/// A folder of DICOM files, one for each SOP Instance UID.
pub(crate) fn collected_files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = script("matching.py");
    // Beside the test files lie those in all character sets.
    command.arg("collect").arg(folder.path()).arg(pydicom_test_files().parent().unwrap());
    let more = std::env::var("DICOMET_MATCHING_FILES").unwrap_or_default();
    command.args(more.split(':').filter(|folder| !folder.is_empty()));
    run(&mut command).expect_success();
    folder
}

/// Puts queries about the files in a folder to the archive of this AE title, which has them.
pub(crate) fn ask(what: Ask, ae_title: &str, port: u16, files: &Path) -> Asked {
    let queries = std::env::var("DICOMET_MATCHING_QUERIES").unwrap_or_else(|_| QUERIES.to_owned());
    let mut command = script("matching.py");
    command.arg(match what {
        Ask::Assert => "ask",
        Ask::List => "list",
    });
    // No deadline: how long it takes is a matter of how many files and queries there are.
    let output = command.args([ae_title, &port.to_string()]).arg(files).arg(queries).output().unwrap();
    Asked {
        report: String::from_utf8_lossy(&output.stdout).into_owned(),
        holds: output.status.success(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
