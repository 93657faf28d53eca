//! The table of nodes over loopback: 127.0.0.1 and 127.0.0.2 are two peers.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;

use dicomet_archive::Archive;
use dicomet_net::association::{Source, TcpTransport, Timeouts};
use dicomet_net::listen::Listener;
use dicomet_net::service::{c_echo, c_store};
use dicomet_net::{Association, Error, connect};
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::pdu::{RejectReason, RoleSelection};
use dicomet_proto::{AeTitle, Uid};
use dicomet_server::config::Config;
use dicomet_server::nodes::Strangers;
use dicomet_server::{Nodes, Server, Settings};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const TABLE: &str = r#"
[[node]]
name = "scanner"
aet = "SCANNER"
from = ["127.0.0.2"]
called = ["ARCHIVE"]
allow = ["echo", "store"]

[[node]]
name = "viewer"
aet = "VIEWER"
from = ["127.0.0.0/8"]
allow = ["find", "get"]
"#;

struct Running {
    server: Server,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _data: TempDir,
}

fn table(text: &str) -> Nodes {
    Config::parse(text, "dicomet.toml").unwrap().table(&[], Strangers::Rejected).unwrap()
}

impl Running {
    async fn start() -> Running {
        let data = tempfile::tempdir().unwrap();
        let archive = Archive::open(data.path(), dicomet_archive::Settings::default()).unwrap();
        let settings = Settings { nodes: table(TABLE), ..Settings::new(AeTitle::new("ARCHIVE").unwrap()) };
        let listener =
            Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Timeouts::default()).await.unwrap();
        let address = listener.local_address();
        let server = Server::new(archive, settings);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn({
            let server = server.clone();
            async move { server.serve(listener, async { drop(stopped.await) }).await }
        });
        Running { server, address, stop, serving, _data: data }
    }

    /// An association from an address of ours.
    async fn associate(&self, from: [u8; 4], calling: &str, called: &str) -> Result<Association, Error> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let syntaxes = vec![uids::EXPLICIT_VR_LITTLE_ENDIAN];
        let classes =
            [uids::VERIFICATION, uids::CT_IMAGE_STORAGE, uids::STUDY_ROOT_FIND, uids::STUDY_ROOT_MOVE];
        let proposal = Proposal {
            role_selections: vec![RoleSelection {
                sop_class_uid: uids::CT_IMAGE_STORAGE,
                scu: true,
                scp: true,
            }],
            ..Proposal::new(
                AeTitle::new(calling).unwrap(),
                AeTitle::new(called).unwrap(),
                classes.into_iter().map(|class| (class, syntaxes.clone())).collect(),
            )
        };
        connect::request(Box::new(TcpTransport::new(stream)), proposal, &Timeouts::default()).await
    }

    async fn rejection(&self, from: [u8; 4], calling: &str, called: &str) -> RejectReason {
        match self.associate(from, calling, called).await {
            Err(Error::Rejected(rejection)) => rejection.reason,
            other => panic!("not rejected: {other:?}"),
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

const FIRST: [u8; 4] = [127, 0, 0, 1];
const SECOND: [u8; 4] = [127, 0, 0, 2];

fn accepted(association: &Association) -> Vec<Uid> {
    association.negotiated().contexts.iter().map(|context| context.abstract_syntax.clone()).collect()
}

struct Nothing(u64);

impl Source for Nothing {
    fn remaining(&self) -> u64 {
        self.0
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.0).unwrap());
        buffer[..length].fill(0);
        self.0 -= length as u64;
        Ok(length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_in_the_table_or_calls_from_elsewhere_is_rejected() {
    let server = Running::start().await;
    let calling = RejectReason::CallingAeTitleNotRecognized;
    assert_eq!(server.rejection(SECOND, "STRANGER", "ARCHIVE").await, calling);
    assert_eq!(server.rejection(FIRST, "SCANNER", "ARCHIVE").await, calling);
    let called = RejectReason::CalledAeTitleNotRecognized;
    assert_eq!(server.rejection(SECOND, "SCANNER", "OTHER").await, called);
    server.associate(SECOND, "SCANNER", "ARCHIVE").await.unwrap().release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_contexts_for_what_it_may_do() {
    let server = Running::start().await;
    let mut scanner = server.associate(SECOND, "SCANNER", "ARCHIVE").await.unwrap();
    assert_eq!(accepted(&scanner), [uids::VERIFICATION, uids::CT_IMAGE_STORAGE]);
    assert_eq!(c_echo::echo(&mut scanner).await.unwrap(), Status::SUCCESS);
    scanner.release().await.unwrap();
    let viewer = server.associate(FIRST, "VIEWER", "WHATEVER").await.unwrap();
    assert_eq!(accepted(&viewer), [uids::CT_IMAGE_STORAGE, uids::STUDY_ROOT_FIND]);
    viewer.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_by_who_may_only_get_is_refused_as_not_authorized_and_the_association_goes_on() {
    let server = Running::start().await;
    let mut viewer = server.associate(FIRST, "VIEWER", "ARCHIVE").await.unwrap();
    let class = uids::CT_IMAGE_STORAGE;
    let context = viewer.context_of(&class).unwrap().id;
    for instance in ["1.2.3.1", "1.2.3.2"] {
        let instance = Uid::new(instance).unwrap();
        let status =
            c_store::scu::store(&mut viewer, context, &class, &instance, &mut Nothing(300_000)).await;
        assert_eq!(status.unwrap(), Status::NOT_AUTHORIZED);
    }
    viewer.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_context_does_not_allow_is_refused_before_rights_are_looked_at() {
    let server = Running::start().await;
    let mut viewer = server.associate(FIRST, "VIEWER", "ARCHIVE").await.unwrap();
    let class = uids::STUDY_ROOT_FIND;
    let context = viewer.context_of(&class).unwrap().id;
    let instance = Uid::from_static("1.2.3.1");
    let status = c_store::scu::store(&mut viewer, context, &class, &instance, &mut Nothing(300_000)).await;
    assert_eq!(status.unwrap(), Status::UNRECOGNIZED_OPERATION);
    viewer.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_is_for_new_associations_and_leaves_those_that_are_there() {
    let server = Running::start().await;
    let mut scanner = server.associate(SECOND, "SCANNER", "ARCHIVE").await.unwrap();
    server.server.replace_nodes(table("[[node]]\nname = \"x\"\naet = \"NEW\"\nfrom = [\"127.0.0.1\"]\n"));
    assert_eq!(c_echo::echo(&mut scanner).await.unwrap(), Status::SUCCESS);
    scanner.release().await.unwrap();
    let rejection = server.rejection(SECOND, "SCANNER", "ARCHIVE").await;
    assert_eq!(rejection, RejectReason::CallingAeTitleNotRecognized);
    server.associate(FIRST, "NEW", "ARCHIVE").await.unwrap().release().await.unwrap();
    server.stop().await;
}
