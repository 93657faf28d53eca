//! pynetdicom: its applications, and the scripts of `interop/python`.
//!
//! Python stands in a virtual environment: `DICOMET_VENV`, or `.venv` at the root of the repository, where
//! `scripts/test` makes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use dicomet_testkit::peer::free_port;
use tempfile::TempDir;

use crate::process::Process;

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

/// A running `qrscp`.
#[derive(Debug)]
pub struct Qrscp {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl Qrscp {
    /// Its AE title.
    pub const AE_TITLE: &str = "PYQRSCP";

    /// Starts an empty one.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Qrscp {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (title, path) = (Qrscp::AE_TITLE, folder.path().display());
        for _ in 0..3 {
            let port = free_port();
            let config = folder.path().join("qrscp.ini");
            let text = format!(
                "[DEFAULT]\nae_title: {title}\nport: {port}\nmax_pdu: 16382\nacse_timeout: 30\ndimse_timeout: 30\n\
                 network_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: {path}/instances\n\
                 database_location: {path}/instances.sqlite\nlog_identifier: False\n"
            );
            std::fs::write(&config, text).expect("it is our folder");
            let mut process = Process::start(application("qrscp").arg("-c").arg(&config));
            if process.wait_for_port(port) {
                return Qrscp { _process: process, port, _folder: folder };
            }
        }
        panic!("pynetdicom's qrscp does not come up");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("{}@127.0.0.1:{}", Qrscp::AE_TITLE, self.port)
    }
}
