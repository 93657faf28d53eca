//! What the tests of the running binary share: `dicomet serve` as a process, and a requestor that stores.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use dicomet_archive::check::{Depth, Event, check};
use dicomet_net::association::{Source, Timeouts};
use dicomet_net::service::c_store;
use dicomet_net::{Association, Error, Node, connect};
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::instance::{Instance, Pixels};
use tempfile::TempDir;

/// The binary: `DICOMET_BIN`, or the one of this build.
pub fn binary() -> OsString {
    std::env::var_os("DICOMET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_dicomet").into())
}

/// A `dicomet serve` that is killed (SIGKILL) when the value is dropped.
pub struct Serve {
    child: Child,
    pub node: Node,
}

impl Serve {
    pub fn start(data: &Path, options: &[&str]) -> Serve {
        Serve::start_by(Command::new(binary()).args(serve_arguments(data)).args(options))
    }

    /// Starts it by a command of its own, which becomes the server.
    pub fn start_by(command: &mut Command) -> Serve {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        while !told.contains("listening on ") {
            assert!(stderr.read_line(&mut told).unwrap() > 0, "it does not start:\n{told}");
        }
        let address = told.rsplit("listening on ").next().unwrap().split(' ').next().unwrap();
        let node = format!("DICOMET@{address}").parse().unwrap();
        // Whatever else it says is said by the test as well.
        std::thread::spawn(move || io::copy(&mut stderr, &mut io::stderr()));
        Serve { child, node }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// So many instances are there, whole, and nothing else.
pub fn assert_sound(data: &Path, instances: u64) {
    let summary = check(data, Depth::Bytes, &mut |event| {
        if let Event::Found(finding) = event {
            panic!("{finding:?}");
        }
    });
    let summary = summary.unwrap();
    assert_eq!((summary.instances, summary.files), (instances, instances));
    assert_eq!(std::fs::read_dir(data.join("incoming")).unwrap().count(), 0);
}

/// A program with a library between it and the system (LD_PRELOAD), and a folder for both.
pub struct Preloaded {
    folder: TempDir,
    library: PathBuf,
    variable: &'static str,
}

impl Preloaded {
    /// Makes the library of a source beside this one, which finds [`Preloaded::told`] by an environment variable.
    pub fn new(source: &str, variable: &'static str) -> Preloaded {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(source);
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(compiler);
        let compiled =
            command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(compiled.unwrap().success());
        Preloaded { folder, library, variable }
    }

    /// The file by which test and library tell each other something.
    pub fn told(&self) -> PathBuf {
        self.folder.path().join("told")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("new/data")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env("LD_PRELOAD", &self.library).env(self.variable, self.told());
        command
    }

    pub fn serve(&self, options: &[&str]) -> Serve {
        Serve::start_by(self.command().args(serve_arguments(&self.data())).args(options))
    }
}

/// The arguments of `dicomet serve` on a free port.
pub fn serve_arguments(data: &Path) -> Vec<OsString> {
    ["serve", "--listen", "127.0.0.1:0", "--data"].iter().map(Into::into).chain([data.into()]).collect()
}

/// An association on which CT instances are stored.
pub struct Requestor(Association);

impl Requestor {
    pub async fn associate(node: &Node) -> Result<Requestor, Error> {
        let proposal = Proposal::new(
            AeTitle::new("REQUESTOR").unwrap(),
            node.ae_title.clone(),
            vec![(uids::CT_IMAGE_STORAGE, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN])],
        );
        Ok(Requestor(connect::connect(node, proposal, &Timeouts::default()).await?))
    }

    pub async fn store(&mut self, sop_instance: &str, data_set: Vec<u8>) -> Result<Status, Error> {
        let class = uids::CT_IMAGE_STORAGE;
        let context = self.0.context_of(&class).unwrap().id;
        let sop_instance = Uid::new(sop_instance).unwrap();
        let mut source = Memory(io::Cursor::new(data_set));
        c_store::scu::store(&mut self.0, context, &class, &sop_instance, &mut source).await
    }
}

/// Stores the instance of a number, with so many bytes of pixels: 2.999.1.1.1 and so on, all of one series.
pub async fn store(requestor: &mut Requestor, number: u64, bytes: u64) -> Status {
    let uid = format!("2.999.1.1.{number}");
    let instance = Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &uid)
        .patient("P1", "Bowen^William", "")
        .in_series("2.999.1", "2.999.1.1")
        .pixels(Pixels::Native(bytes));
    requestor.store(&uid, instance.data_set()).await.unwrap()
}

struct Memory(io::Cursor<Vec<u8>>);

impl Source for Memory {
    fn remaining(&self) -> u64 {
        self.0.get_ref().len() as u64 - self.0.position()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// A number from the environment.
pub fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The seed of an earlier run that is to be repeated, or another one each time.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    from_environment("DICOMET_CRASH_SEED").unwrap_or(now)
}
