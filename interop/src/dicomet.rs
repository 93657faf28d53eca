//! The binary `dicomet`: one-shot commands, and `dicomet serve` as a peer.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::files::dicom_files;
use crate::process::{Ended, Process, run};

/// The AE title that `dicomet` calls itself by when nothing else is said.
pub const AE_TITLE: &str = "DICOMET";

/// The binary: `DICOMET_BIN`, or the one of this build. `scripts/test` builds it before the tests.
///
/// # Panics
/// When it is not there.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("DICOMET_BIN").map_or_else(beside_this_test, PathBuf::from);
    assert!(path.is_file(), "{} is not there; cargo build -p dicomet-cli makes it", path.display());
    path
}

/// Tests stand in `target/<profile>/deps`, the binary in `target/<profile>`.
fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("a process has a path");
    test.parent().and_then(Path::parent).expect("a test stands in deps").join("dicomet")
}

/// `dicomet` with these arguments, not yet started, in an environment that configures nothing.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1").env("DICOMET_KNOWN", "none");
    command
}

/// Runs `dicomet` to its end.
pub fn dicomet<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    run(&mut command(arguments))
}

/// Runs `dicomet get`, quiet and with the report as JSON, and returns both.
pub fn get(node: &str, keys: &[&str], output: &Path) -> (Ended, Report) {
    get_with(node, keys, output, &[])
}

/// Runs `dicomet get` with further options.
pub fn get_with(node: &str, keys: &[&str], output: &Path, options: &[&str]) -> (Ended, Report) {
    let mut command = command(["get", node]);
    command
        .args(keys)
        .arg("--output")
        .arg(output)
        .args(["--format", "json", "--progress", "never"])
        .args(options);
    let ended = run(&mut command);
    let report = Report::last_line_of(&ended);
    (ended, report)
}

/// Runs `dicomet store`, quiet and with the report as JSON, and returns both.
pub fn store(node: &str, path: &Path, options: &[&str]) -> (Ended, Report) {
    let mut command = command(["store", node]);
    command.arg(path).args(["--format", "json", "--progress", "never"]).args(options);
    let ended = run(&mut command);
    let report = Report::last_line_of(&ended);
    (ended, report)
}

/// Runs `dicomet find` and returns the matches in the DICOM JSON model.
///
/// # Panics
/// When it fails, or prints something else.
pub fn find(node: &str, keys: &[&str]) -> Vec<Value> {
    let ended = run(command(["find", node]).args(keys).args(["--format", "jsonl"])).expect_success();
    ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in: {line}")))
        .collect()
}

/// The first value of an attribute, by tag, in a match of [`find`]; of a name the component groups,
/// joined by `=`. Empty when there is none.
pub fn text(of: &Value, tag: &str) -> String {
    match &of[tag]["Value"][0] {
        Value::Object(name) => {
            let groups = ["Alphabetic", "Ideographic", "Phonetic"].map(|group| name.get(group));
            let texts = groups.map(|group| group.and_then(Value::as_str).unwrap_or_default());
            texts.join("=").trim_end_matches('=').to_owned()
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The report that ends `get --format json` and `store --format json`.
#[derive(Debug)]
pub struct Report(Value);

impl Report {
    /// The last line of standard output; null when that is no JSON.
    fn last_line_of(ended: &Ended) -> Report {
        let last = ended.stdout.trim_end().lines().last().unwrap_or_default();
        Report(serde_json::from_str(last).unwrap_or(Value::Null))
    }

    /// One of its counts.
    ///
    /// # Panics
    /// When it has no such count.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("the report has no {name}: {}", self.0))
    }

    /// Whether it says so.
    pub fn is_complete(&self) -> bool {
        self.0["complete"] == Value::Bool(true)
    }
}

/// A running `dicomet serve`.
#[derive(Debug)]
pub struct Serve {
    process: Process,
    port: u16,
}

impl Serve {
    /// Starts the archive in this folder, on a free port.
    pub fn start(data: &Path) -> Serve {
        Serve::start_with(data, &[])
    }

    /// Starts the archive with further options.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with(data: &Path, options: &[&str]) -> Serve {
        let mut command = command(["serve", "--listen", "127.0.0.1:0", "--data"]);
        let process = Process::start(command.arg(data).args(options));
        let line = process.wait_for_line("listening on");
        let digits = line.split_once("127.0.0.1:").map(|(_, rest)| rest).unwrap_or_default();
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        let port = digits.parse().unwrap_or_else(|_| panic!("there is no port in '{line}'"));
        Serve { process, port }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("{AE_TITLE}@127.0.0.1:{}", self.port)
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn hangup(&self) {
        self.process.hangup();
    }

    /// Waits for a line of its log that contains this text.
    pub fn wait_for_line(&self, text: &str) -> String {
        self.process.wait_for_line(text)
    }

    /// Stops it in the orderly way (SIGTERM).
    pub fn terminate(self) -> Ended {
        self.process.terminate()
    }

    /// Kills it.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// Imports every DICOM file of a folder into the archive in another folder, without a network.
///
/// # Panics
/// When one is not taken.
#[track_caller]
pub fn import(data: &Path, from: &Path) -> Ended {
    run(command(["import"]).args(dicom_files(from)).arg("--data").arg(data)).expect_success()
}
