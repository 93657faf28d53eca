//! What tests of the running server share: a server on a free port, peers that send bytes, and the log as it was written.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};

use dicomet_archive::Archive;
use dicomet_net::association::Timeouts;
use dicomet_net::listen::Listener;
use dicomet_proto::AeTitle;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_server::{Server, Settings};
use dicomet_testkit::instance::Instance;
use dicomet_testkit::peer::{
    Field, Peer, associate_rq, command_set, p_data_command, p_data_data_set, pdu_type,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that is told to stop, and to stop at once.
pub struct Running {
    pub port: u16,
    stop: oneshot::Sender<()>,
    at_once: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    pub async fn start(data: &Path, change: impl FnOnce(&mut Settings)) -> Running {
        keep_log();
        let archive = Archive::open(data, dicomet_archive::Settings::default()).unwrap();
        let mut settings = Settings::new(AeTitle::new("ARCHIVE").unwrap());
        change(&mut settings);
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Timeouts::default()).await.unwrap();
        let port = listener.local_address().port();
        let (stop, stopped) = oneshot::channel();
        let (at_once, hurry) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let (stopped, hurry) = (async { drop(stopped.await) }, async { drop(hurry.await) });
            Server::new(archive, settings).serve_until(listener, stopped, hurry).await;
        });
        Running { port, stop, at_once, serving }
    }

    /// Asks it to stop; gives what asks again, and what waits for its end.
    pub fn stop(self) -> (oneshot::Sender<()>, JoinHandle<()>) {
        self.stop.send(()).unwrap();
        (self.at_once, self.serving)
    }

    /// A peer whose association is accepted, with contexts 1 for verification, 3 for CT images, 5 for C-FIND.
    pub async fn associate(&self, calling: &str) -> Peer<TcpStream> {
        let mut peer = Peer::connect(self.port).await;
        peer.send(&request(calling)).await;
        peer.expect(pdu_type::ASSOCIATE_AC).await;
        peer
    }
}

/// The A-ASSOCIATE-RQ of [`Running::associate`].
pub fn request(calling: &str) -> Vec<u8> {
    let (echo, ct, find) = (uids::VERIFICATION, uids::CT_IMAGE_STORAGE, uids::STUDY_ROOT_FIND);
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let syntaxes = &[explicit.as_str()][..];
    let contexts = [(1, echo.as_str(), syntaxes), (3, ct.as_str(), syntaxes), (5, find.as_str(), syntaxes)];
    associate_rq("ARCHIVE", calling, &contexts, &[])
}

/// An instance of a study of its own.
pub fn instance(number: u64) -> Instance {
    Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &format!("2.999.6.{number}"))
        .patient("P1", "Bowen^William", "")
        .in_series(&format!("2.999.6.{number}.0"), &format!("2.999.6.{number}.1"))
}

pub fn c_store_rq(number: u16) -> Vec<u8> {
    command_set(&[
        (0x0002, Field::Uid(uids::CT_IMAGE_STORAGE.as_str())),
        (0x0100, Field::Number(0x0001)),
        (0x0110, Field::Number(number)),
        (0x0700, Field::Number(0)),
        (0x0800, Field::Number(0)),
        (0x1000, Field::Uid(&format!("2.999.6.{number}"))),
    ])
}

pub fn c_echo_rq(sop_class: &str) -> Vec<u8> {
    command_set(&[
        (0x0002, Field::Uid(sop_class)),
        (0x0100, Field::Number(0x0030)),
        (0x0110, Field::Number(7)),
        (0x0800, Field::Number(0x0101)),
    ])
}

/// How many instances [`with_long_answers`] has.
pub const LONG_ANSWERS: usize = 800;

const IMAGE_COMMENTS: Tag = Tag(0x0020, 0x4000);

/// Fills an archive so that its answers to one C-FIND are more (8 MB) than sockets hold for a peer that does not read.
pub fn with_long_answers(data: &Path) {
    let archive = Archive::open(data, dicomet_archive::Settings::default()).unwrap();
    let comments = "long ".repeat(2000);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let (archive, comments) = (&archive, &comments);
            scope.spawn(move || {
                for number in (part..LONG_ANSWERS).step_by(8) {
                    let uid = format!("2.999.7.{number}");
                    let instance = Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &uid)
                        .in_series("2.999.7.0.1", "2.999.7.0.2")
                        .with(IMAGE_COMMENTS, comments);
                    let mut incoming = archive
                        .receive(dicomet_archive::Provenance {
                            sop_class: uids::CT_IMAGE_STORAGE,
                            sop_instance: dicomet_proto::Uid::new(uid).unwrap(),
                            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
                            calling_ae_title: None,
                        })
                        .unwrap();
                    incoming.write(&instance.data_set()).unwrap();
                    incoming.commit().unwrap();
                }
            });
        }
    });
}

/// A peer that asks for [`with_long_answers`], with a socket that holds little.
pub async fn find_without_reading(port: u16, calling: &str) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut peer = Peer::new(socket.connect(([127, 0, 0, 1], port).into()).await.unwrap());
    peer.send(&request(calling)).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    let command = command_set(&[
        (0x0002, Field::Uid(uids::STUDY_ROOT_FIND.as_str())),
        (0x0100, Field::Number(0x0020)),
        (0x0110, Field::Number(9)),
        (0x0700, Field::Number(0)),
        (0x0800, Field::Number(0)),
    ]);
    let identifier = [
        element(0x0008, 0x0052, b"CS", "IMAGE "),
        element(0x0020, 0x000D, b"UI", "2.999.7.0.1\0"),
        element(0x0020, 0x000E, b"UI", "2.999.7.0.2\0"),
        element(0x0020, 0x4000, b"LT", ""),
    ];
    peer.send(&p_data_command(5, true, &command)).await;
    peer.send(&p_data_data_set(5, true, &identifier.concat())).await;
    peer
}

/// An element in Explicit VR Little Endian with a value of even length.
fn element(group: u16, element: u16, vr: &[u8; 2], value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let numbers = [group.to_le_bytes(), element.to_le_bytes(), *vr, length.to_le_bytes()];
    [&numbers.concat()[..], value.as_bytes()].concat()
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The log goes into memory: each test tells its own lines by the calling AE titles in them.
fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).init());
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of the log that have all these words.
pub fn logged(words: &[&str]) -> Vec<String> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8_lossy(&log);
    lines.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
}

/// The one line that has all these words.
pub fn line(words: &[&str]) -> String {
    let mut lines = logged(words);
    assert_eq!(lines.len(), 1, "{words:?}: {lines:#?}");
    lines.remove(0)
}
