//! DCMTK: its tools, and `dcmqrscp` and `storescp` as peers. All run with `TCP_NODELAY=1`, without which
//! every object costs them two delayed acknowledgements of 40 ms.

use std::path::{Path, PathBuf};
use std::process::Command;

use dicomet_testkit::peer::free_port;
use tempfile::TempDir;

use crate::files::dicom_files;
use crate::process::{Ended, Process, run};

/// One of DCMTK's tools with these arguments, not yet started.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("TCP_NODELAY", "1");
    command
}

/// `storescu`: sends files and folders. Only contexts of what is sent are proposed, as the files have them.
pub fn storescu(called: &str, port: u16, paths: &[PathBuf]) -> Ended {
    let mut command = tool("storescu");
    command.args(["-R", "-aec", called, "+sd", "+r", "127.0.0.1", &port.to_string()]);
    run(command.args(paths))
}

/// `getscu --bit-preserving`: a whole study, into this folder.
pub fn getscu(called: &str, port: u16, study_instance_uid: &str, output: &Path) -> Ended {
    let mut command = tool("getscu");
    command.args(["-S", "+B", "-aet", "GETSCU", "-aec", called, "-od"]).arg(output);
    command.args(["-k", "QueryRetrieveLevel=STUDY", "-k", &format!("StudyInstanceUID={study_instance_uid}")]);
    run(command.args(["127.0.0.1", &port.to_string()]))
}

/// A running `dcmqrscp`.
#[derive(Debug)]
pub struct Dcmqrscp {
    process: Process,
    port: u16,
    folder: TempDir,
    prefer: &'static str,
    hosts: String,
    most_associations: u16,
}

impl Dcmqrscp {
    /// The AE title of its one archive.
    pub const AE_TITLE: &str = "QRSCP";

    /// Starts it with these files registered as they are, without a network, by `dcmqridx`.
    pub fn with_files(files: &Path) -> Dcmqrscp {
        Dcmqrscp::preferring("+x=", files)
    }

    /// Starts it so that it knows this node as a move destination.
    pub fn with_destination(files: &Path, ae_title: &str, port: u16) -> Dcmqrscp {
        Dcmqrscp::filled("+x=", host(ae_title, port), 16, files)
    }

    /// As [`Dcmqrscp::with_destination`], and it does not offer C-GET.
    pub fn without_get(files: &Path, ae_title: &str, port: u16) -> Dcmqrscp {
        Dcmqrscp::filled("--disable-get", host(ae_title, port), 16, files)
    }

    /// Starts it so that besides the uncompressed transfer syntaxes it accepts that of this option; there is no way
    /// to have it accept more than one.
    pub fn preferring(option: &'static str, files: &Path) -> Dcmqrscp {
        Dcmqrscp::filled(option, String::new(), 16, files)
    }

    /// Starts it so that it rejects associations beyond so many at a time.
    pub fn with_at_most(most_associations: u16, files: &Path) -> Dcmqrscp {
        Dcmqrscp::filled("+x=", String::new(), most_associations, files)
    }

    fn filled(option: &'static str, hosts: String, most_associations: u16, files: &Path) -> Dcmqrscp {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = folder.path().join("storage");
        std::fs::create_dir(&storage).expect("it is our folder");
        let mut copies = Vec::new();
        for (number, file) in dicom_files(files).into_iter().enumerate() {
            let copy = storage.join(format!("{number:06}.dcm"));
            std::fs::copy(&file, &copy).expect("files can be copied");
            copies.push(copy);
        }
        for copies in copies.chunks(200) {
            run(tool("dcmqridx").arg(&storage).args(copies)).expect_success();
        }
        Dcmqrscp::in_folder(folder, option, hosts, most_associations)
    }

    fn in_folder(folder: TempDir, prefer: &'static str, hosts: String, most_associations: u16) -> Dcmqrscp {
        // The port was free a moment ago; should somebody have taken it meanwhile, another one is.
        for _ in 0..3 {
            let port = free_port();
            let config = folder.path().join("dcmqrscp.cfg");
            std::fs::write(
                &config,
                configuration(port, &folder.path().join("storage"), &hosts, most_associations),
            )
            .expect("our folder");
            // It forks a process per association; as a single one, 3.6.7 crashes after the first C-FIND.
            let mut dcmqrscp = tool("dcmqrscp");
            dcmqrscp.args([prefer, "-c"]).arg(&config);
            let mut process = Process::start_group(&mut dcmqrscp);
            if process.wait_for_port(port) {
                return Dcmqrscp { process, port, folder, prefer, hosts, most_associations };
            }
        }
        panic!("dcmqrscp does not come up");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("{}@127.0.0.1:{}", Dcmqrscp::AE_TITLE, self.port)
    }

    /// Its own copy of the file that stands at this place among those it was started with.
    pub fn stored(&self, place: usize) -> PathBuf {
        self.folder.path().join("storage").join(format!("{place:06}.dcm"))
    }

    /// Kills it and starts it again over the same files.
    pub fn kill_and_start_again(self) -> Dcmqrscp {
        self.process.kill();
        Dcmqrscp::in_folder(self.folder, self.prefer, self.hosts, self.most_associations)
    }
}

/// A line of the host table.
fn host(ae_title: &str, port: u16) -> String {
    format!("destination = ({ae_title}, 127.0.0.1, {port})\n")
}

fn configuration(port: u16, storage: &Path, hosts: &str, most_associations: u16) -> String {
    let (storage, title) = (storage.display(), Dcmqrscp::AE_TITLE);
    format!(
        "NetworkTCPPort  = {port}\nMaxPDUSize      = 131072\nMaxAssociations = {most_associations}\n\
         HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n\
         AETable BEGIN\n{title} {storage} RW (2000, 4096mb) ANY\nAETable END\n"
    )
}

/// A running `storescp`: verification and storage, no query, no retrieve.
#[derive(Debug)]
pub struct Storescp {
    _process: Process,
    port: u16,
    folder: TempDir,
}

impl Storescp {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Storescp {
        Storescp::start_with(&[])
    }

    /// Starts it with further options.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with(options: &[&str]) -> Storescp {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..3 {
            let port = free_port();
            let mut command = tool("storescp");
            command.args(["+B", "+xa", "-pm", "-od"]).arg(folder.path());
            command.args(options).arg(port.to_string());
            let mut process = Process::start(&mut command);
            if process.wait_for_port(port) {
                return Storescp { _process: process, port, folder };
            }
        }
        panic!("storescp does not come up");
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("STORESCP@127.0.0.1:{}", self.port)
    }

    /// Where it puts what it gets.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// `dump2dcm`: makes a file of a dump, whose bytes are taken as they are.
///
/// # Panics
/// When the dump cannot be read.
pub fn dump2dcm(dump: &[u8], file: &Path) {
    let text = file.with_extension("dump");
    std::fs::write(&text, dump).expect("it is our folder");
    run(tool("dump2dcm").args(["-q", "+te"]).arg(&text).arg(file)).expect_success();
}

/// A running `wlmscpfs`, the worklist server.
#[derive(Debug)]
pub struct Wlmscpfs {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl Wlmscpfs {
    /// The AE title of its one worklist, which is the name of a folder.
    pub const AE_TITLE: &str = "OFFIS";

    /// Starts it over these worklist files.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(files: &[PathBuf]) -> Wlmscpfs {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let worklist = folder.path().join(Wlmscpfs::AE_TITLE);
        std::fs::create_dir(&worklist).expect("it is our folder");
        std::fs::write(worklist.join("lockfile"), []).expect("it is our folder");
        for file in files {
            std::fs::copy(file, worklist.join(file.file_name().expect("a file"))).expect("it is our folder");
        }
        for _ in 0..3 {
            let port = free_port();
            let mut command = tool("wlmscpfs");
            command.args(["-csk", "-dfp"]).arg(folder.path()).arg(port.to_string());
            let mut process = Process::start_group(&mut command);
            if process.wait_for_port(port) {
                return Wlmscpfs { _process: process, port, _folder: folder };
            }
        }
        panic!("wlmscpfs does not come up");
    }

    /// As `AET@host:port`.
    pub fn node(&self) -> String {
        format!("{}@127.0.0.1:{}", Wlmscpfs::AE_TITLE, self.port)
    }
}
