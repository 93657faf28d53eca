//! `dicomet serve` as a process: how signals end it and have its table read again, what the environment can forbid, and its log
//! as JSON.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dicomet_testkit::instance::{Instance, Pixels};
use dicomet_testkit::peer::{
    Field, Peer, associate_rq, command_set, p_data_command, p_data_data_set, pdu_type, release_rq,
};
use serde_json::Value;
use tempfile::tempdir;
use tokio::net::TcpStream;

use support::{binary, serve_arguments};

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A `dicomet serve` that is ready, and what it says from then on.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    ready: String,
}

impl Running {
    fn start(data: &Path, options: &[&str]) -> Running {
        let mut command = Command::new(binary());
        let command = command.args(serve_arguments(data)).args(options).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        assert!(stderr.read_line(&mut ready).unwrap() > 0 && ready.contains("listening on"), "{ready}");
        Running { child, stderr, ready }
    }

    fn port(&self) -> u16 {
        let (_, port) = self.ready.split_once("127.0.0.1:").unwrap();
        port.split(' ').next().unwrap().parse().unwrap()
    }

    fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Has it read its configuration again; answers its log up to a line with these words.
    fn reload(&mut self, words: &str) -> String {
        self.signal("-HUP");
        let mut log = String::new();
        while !log.contains(words) {
            assert!(self.stderr.read_line(&mut log).unwrap() > 0, "{log}");
        }
        log
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Its exit status, and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

async fn associate(port: u16, calling: &str) -> Peer<TcpStream> {
    let mut peer = Peer::connect(port).await;
    let context = (1, CT_IMAGE_STORAGE, &["1.2.840.10008.1.2.1"][..]);
    peer.send(&associate_rq("DICOMET", calling, &[context], &[])).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    peer
}

/// Begins a C-STORE and leaves it at that.
async fn stall(peer: &mut Peer<TcpStream>, data: &Path) {
    let command = command_set(&[
        (0x0002, Field::Uid(CT_IMAGE_STORAGE)),
        (0x0100, Field::Number(0x0001)),
        (0x0110, Field::Number(1)),
        (0x0700, Field::Number(0)),
        (0x0800, Field::Number(0)),
        (0x1000, Field::Uid("2.999.1")),
    ]);
    // So much that a file is begun for it.
    let data_set = Instance::new(CT_IMAGE_STORAGE, "2.999.1").pixels(Pixels::Native(3_000_000)).data_set();
    peer.send(&p_data_command(1, true, &command)).await;
    for piece in data_set[..1_500_000].chunks(15_000) {
        peer.send(&p_data_data_set(1, false, piece)).await;
    }
    while std::fs::read_dir(data.join("incoming")).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_first_sigterm_waits_for_what_is_under_way_and_the_second_does_not() {
    let data = tempdir().unwrap();
    let serve = Running::start(data.path(), &["--grace", "600"]);
    let mut idle = associate(serve.port(), "IDLE").await;
    let mut stalled = associate(serve.port(), "STALLED").await;
    stall(&mut stalled, data.path()).await;
    serve.terminate();
    idle.expect(pdu_type::ABORT).await;
    drop(idle);
    serve.terminate();
    stalled.expect(pdu_type::ABORT).await;
    drop(stalled);
    let (code, log) = serve.end();
    assert_eq!(code, Some(0), "{log}");
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("C-STORE not answered to its end"), 1, "{log}");
    assert_eq!(lines("cut off: the archive stops"), 2, "{log}");
    assert_eq!(lines("told to stop at once"), 1, "{log}");
}

#[test]
fn a_table_that_is_emptied_on_loopback_lets_everybody_in_with_a_warning() {
    let data = tempdir().unwrap();
    let file = data.path().join("dicomet.toml");
    std::fs::write(&file, "[[node]]\nname = \"ct\"\naet = \"CT\"\nfrom = [\"192.0.2.0/24\"]\n").unwrap();
    let mut serve = Running::start(&data.path().join("data"), &["--config", file.to_str().unwrap()]);
    assert!(!serve.reload("was read again").contains("WARN"));
    std::fs::write(&file, "").unwrap();
    let log = serve.reload("the table of nodes is empty");
    let warning = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(warning.contains("everybody on this machine is let in, with all rights"), "{log}");
    serve.terminate();
    assert_eq!(serve.end().0, Some(0));
}

#[test]
fn a_reload_without_a_configuration_is_answered_in_the_log() {
    let data = tempdir().unwrap();
    let mut serve = Running::start(data.path(), &[]);
    assert!(serve.reload("no configuration to read again").contains("WARN"));
    serve.terminate();
    assert_eq!(serve.end().0, Some(0));
}

#[tokio::test]
async fn as_json_every_line_of_the_log_is_json_also_that_it_is_ready() {
    let data = tempdir().unwrap();
    // Whatever is logged, it is ready.
    let serve = Running::start(data.path(), &["--log-format", "json", "--log", "error,dicomet_server=info"]);
    let ready: Value = serde_json::from_str(&serve.ready).unwrap();
    let message = ready["fields"]["message"].as_str().unwrap();
    assert!(message.starts_with("listening on 127.0.0.1:"), "{message}");
    assert_eq!(ready["level"], "INFO");
    drop(associate(serve.port(), "LEAVES").await);
    serve.terminate();
    let (code, log) = serve.end();
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let timestamp = |line: &Value| line["timestamp"].as_str().map(str::len);
    assert!(!lines.is_empty() && timestamp(&ready).is_some());
    assert!(lines.iter().all(|line| timestamp(line) == timestamp(&ready)));
}

#[test]
fn the_environment_can_close_what_the_file_opens() {
    let data = tempdir().unwrap();
    let file = data.path().join("dicomet.toml");
    std::fs::write(&file, "[serve]\nopen = true\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--data"]).arg(data.path().join("data")).arg("--config").arg(&file);
    let closed = command.env("DICOMET_OPEN", "false").output().unwrap();
    assert_eq!(closed.status.code(), Some(2));
    let told = String::from_utf8_lossy(&closed.stderr);
    assert!(told.contains("there is no table of nodes"), "{told}");
    assert!(!data.path().join("data").exists());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_lost_and_the_archive_goes_on() {
    let data = tempdir().unwrap();
    let serve = Running::start(data.path(), &[]);
    let port = serve.port();
    let Running { mut child, stderr, .. } = serve;
    // Nobody reads what it says any more.
    drop(stderr);
    for calling in ["FIRST", "SECOND"] {
        let mut peer = associate(port, calling).await;
        peer.send(&release_rq()).await;
        peer.expect(pdu_type::RELEASE_RP).await;
        peer.expect_end().await;
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_error_that_cannot_be_written_has_its_exit_status_all_the_same() {
    let (nobody_reads, stderr) = std::io::pipe().unwrap();
    drop(nobody_reads);
    let status = Command::new(binary()).args(["echo", "NOBODY@127.0.0.1:1"]).stderr(stderr).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
