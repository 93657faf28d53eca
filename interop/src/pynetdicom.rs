//! pynetdicom: its applications, and the scripts of `interop/python`.
//!
//! Python stands in a virtual environment: `DICOMET_VENV`, or `.venv` at the root of the repository, where
//! `scripts/test` makes it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `python -m pynetdicom APPLICATION`, not yet started.
pub fn application(name: &str) -> Command {
    let mut command = python();
    command.args(["-m", "pynetdicom", name]);
    command
}

/// A script of `interop/python`, not yet started.
pub fn script(name: &str) -> Command {
    let mut command = python();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
    command
}

/// The Python of the virtual environment.
///
/// # Panics
/// When there is none.
pub fn python() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("DICOMET_VENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "{} is not there; scripts/test makes it", python.display());
    Command::new(python)
}

/// The folder of pydicom's own test files, which are installed with it.
///
/// # Panics
/// When Python does not say.
pub fn pydicom_test_files() -> PathBuf {
    let code =
        "import pydicom.data, pathlib; print(pathlib.Path(pydicom.data.__file__).parent / 'test_files')";
    let ended = crate::process::run(python().args(["-c", code])).expect_success();
    PathBuf::from(ended.stdout.trim())
}
