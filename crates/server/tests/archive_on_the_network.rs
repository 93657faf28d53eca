//! The archive over loopback, asked by our own requestor: what is stored is found and comes back byte for byte.

#![allow(clippy::unwrap_used)]

mod support;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use dicomet_archive::Archive;
use dicomet_net::association::{Source, Timeouts};
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::{self, Caller, Options, Retrieve};
use dicomet_net::service::c_find::scu::Find;
use dicomet_net::service::{c_echo, c_store};
use dicomet_net::{Association, Error, Node, connect};
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::Status;
use dicomet_proto::pdu::{ExtendedNegotiation, RejectReason, RejectResult};
use dicomet_proto::query::{Level, Model, Query};
use dicomet_proto::{AeTitle, Uid};
use dicomet_server::settings::CalledAeTitles;
use dicomet_server::{Server, Settings};
use dicomet_testkit::instance::{Instance, Pixels, data_set_of_part10};
use dicomet_testkit::peer::{
    Field, Peer, associate_rq, command_set, p_data_command, p_data_data_set, pdu_type,
};
use dicomet_testkit::study::Plan;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

struct Running {
    node: Node,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(folder: &Path, change: impl FnOnce(&mut Settings)) -> Running {
        let archive = Archive::open(folder, dicomet_archive::Settings::default()).unwrap();
        let mut settings = Settings::new(AeTitle::new("ARCHIVE").unwrap());
        change(&mut settings);
        let listener =
            Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Timeouts::default()).await.unwrap();
        let node = format!("ARCHIVE@{}", listener.local_address()).parse().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            Server::new(archive, settings).serve(listener, shutdown).await;
        });
        Running { node, stop, serving }
    }

    async fn associate(&self, contexts: &[(Uid, Uid)]) -> Result<Association, Error> {
        let proposal = Proposal::new(
            AeTitle::new("REQUESTOR").unwrap(),
            self.node.ae_title.clone(),
            contexts.iter().map(|(class, syntax)| (class.clone(), vec![syntax.clone()])).collect(),
        );
        connect::connect(&self.node, proposal, &Timeouts::default()).await
    }

    async fn store(&self, instances: &[Instance], transfer_syntax: &Uid) -> Vec<Status> {
        let mut statuses = Vec::new();
        let class = uids::CT_IMAGE_STORAGE;
        let mut association = self.associate(&[(class.clone(), transfer_syntax.clone())]).await.unwrap();
        let context = association.context_of(&class).unwrap().id;
        for instance in instances {
            let uid = Uid::new(instance.text(Tag(0x0008, 0x0018))).unwrap();
            let mut source = Memory(instance.data_set());
            let status = c_store::scu::store(&mut association, context, &class, &uid, &mut source).await;
            statuses.push(status.unwrap());
        }
        association.release().await.unwrap();
        statuses
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

struct Memory(Vec<u8>);

impl Source for Memory {
    fn remaining(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0.drain(..length);
        Ok(length)
    }
}

/// Three slices of one study; the last is some 500 KB.
fn study() -> Vec<Instance> {
    let slice = |number: u64, pixels| {
        Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &format!("1.2.3.1.{number}"))
            .patient("4711", "Bowen^William^^Dr", "")
            .in_series("1.2.3", "1.2.3.1")
            .with(Tag(0x0008, 0x0060), "CT")
            .pixels(Pixels::Native(pixels))
    };
    vec![slice(1, 128), slice(2, 3000), slice(3, 500_000)]
}

fn named_bowen() -> Query {
    Query::new(Model::StudyRoot, Level::Study).key("PatientName=Bowen*").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_found_and_comes_back_byte_for_byte_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let output = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let stored = server.store(&study(), &uids::EXPLICIT_VR_LITTLE_ENDIAN).await;
    assert_eq!(stored, [Status::SUCCESS; 3]);
    server.stop().await;

    let server = Running::start(data.path(), |_| ()).await;
    let query = named_bowen().key("SOPClassesInStudy").unwrap().key("NumberOfStudyRelatedInstances").unwrap();
    let matches = retrieve::find(&server.node, &query, &Caller::default(), None).await.unwrap();
    assert_eq!(matches.len(), 1);
    assert_eq!(matches[0].uids(Tag(0x0008, 0x0062)), [uids::CT_IMAGE_STORAGE]);
    assert_eq!(matches[0].integer(Tag(0x0020, 0x1208)), Some(3));
    assert_eq!(matches[0].text(Tag(0x0008, 0x0054)).as_deref(), Some("ARCHIVE"));

    for (retrieve_ae_title, expected) in [("ARCHIVE", 1), ("ARCH*", 1), ("ELSEWHERE", 0)] {
        let query = named_bowen().key(&format!("RetrieveAETitle={retrieve_ae_title}")).unwrap();
        let matches = retrieve::find(&server.node, &query, &Caller::default(), None).await.unwrap();
        assert_eq!(matches.len(), expected, "{retrieve_ae_title}");
    }

    for window in [1, 16] {
        let output = output.path().join(window.to_string());
        let options = Options { window, ..Options::default() };
        let retrieve = Retrieve::new(server.node.clone(), named_bowen(), &output).options(options);
        let report = retrieve.run(|_| ()).await.unwrap();
        assert!(report.complete, "{report:?}");
        assert_eq!((report.expected, report.retrieved), (3, 3));
        for instance in study() {
            let name = format!("1.2.3/1.2.3.1/{}.dcm", instance.text(Tag(0x0008, 0x0018)));
            let file = std::fs::read(output.join(name)).unwrap();
            assert_eq!(data_set_of_part10(&file), instance.data_set());
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncompressed_instance_goes_out_in_the_other_uncompressed_syntax_where_only_that_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let output = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let implicit: Vec<Instance> = study()
        .into_iter()
        .map(|instance| instance.transfer_syntax(uids::IMPLICIT_VR_LITTLE_ENDIAN.as_str()))
        .collect();
    server.store(&implicit, &uids::IMPLICIT_VR_LITTLE_ENDIAN).await;
    let options =
        Options { transfer_syntaxes: Some(vec![uids::EXPLICIT_VR_LITTLE_ENDIAN]), ..Options::default() };
    let retrieve = Retrieve::new(server.node.clone(), named_bowen(), output.path()).options(options);
    let report = retrieve.run(|_| ()).await.unwrap();
    assert!(report.complete, "{report:?}");
    for instance in study() {
        let name = format!("1.2.3/1.2.3.1/{}.dcm", instance.text(Tag(0x0008, 0x0018)));
        let file = std::fs::read(output.path().join(name)).unwrap();
        assert_eq!(data_set_of_part10(&file), instance.data_set());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_success_and_other_bytes_under_the_same_uid_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let first = study().remove(0);
    let other = first.clone().with(Tag(0x0008, 0x0070), "another manufacturer");
    let statuses = server.store(&[first.clone(), first, other], &uids::EXPLICIT_VR_LITTLE_ENDIAN).await;
    assert_eq!(statuses[..2], [Status::SUCCESS; 2]);
    assert_eq!(statuses[2].code() & 0xF000, 0xC000);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_an_association_is_rejected_for_now_and_accepted_later() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |settings| settings.max_associations = 1).await;
    let verification = [(uids::VERIFICATION, uids::IMPLICIT_VR_LITTLE_ENDIAN)];
    let mut first = server.associate(&verification).await.unwrap();
    match server.associate(&verification).await {
        Err(Error::Rejected(rejection)) => {
            assert_eq!(rejection.result, RejectResult::Transient);
            assert_eq!(rejection.reason, RejectReason::LocalLimitExceeded);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(c_echo::echo(&mut first).await.unwrap(), Status::SUCCESS);
    first.release().await.unwrap();
    // The place is free as soon as the task has ended, which our release may be ahead of.
    let mut second = loop {
        match server.associate(&verification).await {
            Ok(association) => break association,
            Err(Error::Rejected(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(c_echo::echo(&mut second).await.unwrap(), Status::SUCCESS);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_called_ae_title_is_rejected_when_ours_is_wanted() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Running::start(data.path(), |settings| settings.called = CalledAeTitles::Own).await;
    let verification = [(uids::VERIFICATION, uids::IMPLICIT_VR_LITTLE_ENDIAN)];
    server.associate(&verification).await.unwrap().release().await.unwrap();
    server.node.ae_title = AeTitle::new("ELSE").unwrap();
    match server.associate(&verification).await {
        Err(Error::Rejected(rejection)) => {
            assert_eq!(rejection.reason, RejectReason::CalledAeTitleNotRecognized);
        }
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_associations_at_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let verification = [(uids::VERIFICATION, uids::IMPLICIT_VR_LITTLE_ENDIAN)];
    let mut idle = server.associate(&verification).await.unwrap();
    assert_eq!(c_echo::echo(&mut idle).await.unwrap(), Status::SUCCESS);
    let began = std::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    assert!(idle.receive().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_study_is_a_success_of_nothing_and_a_missing_key_is_a900() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let nothing = retrieve::find(&server.node, &named_bowen(), &Caller::default(), None).await.unwrap();
    assert!(nothing.is_empty());
    let series = Query::new(Model::StudyRoot, Level::Series).key("SeriesInstanceUID").unwrap();
    match retrieve::find(&server.node, &series, &Caller::default(), None).await {
        Err(retrieve::RetrieveError::Find { status, .. }) => {
            assert_eq!(status, Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS);
        }
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_of_two_hundred_sop_classes_comes_home_complete() {
    let data = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let output = tempfile::tempdir().unwrap();
    let plan = Plan { instances: 200, sop_classes: 200, size_bytes: 1024, ..Plan::default() };
    let written = plan.write_to(files.path()).unwrap();
    let archive = Archive::open(data.path(), dicomet_archive::Settings::default()).unwrap();
    for file in &written {
        archive.import(&file.path).unwrap();
    }
    drop(archive);

    let server = Running::start(data.path(), |_| ()).await;
    let study = format!("StudyInstanceUID={}", written[0].study_instance_uid);
    let query = Query::new(Model::StudyRoot, Level::Study).key(&study).unwrap();
    let report = Retrieve::new(server.node.clone(), query, output.path()).run(|_| ()).await.unwrap();
    assert!(report.complete, "{report:?}");
    assert_eq!((report.expected, report.retrieved), (200, 200));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_sound_alike_are_found_where_that_was_negotiated() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    server.store(&study(), &uids::EXPLICIT_VR_LITTLE_ENDIAN).await;
    for (asked, granted, expected) in [
        (None, None, 0),
        (Some(vec![0, 0, 1, 1]), Some(vec![0, 0, 1, 0]), 1),
        (Some(vec![1]), Some(vec![1]), 0),
    ] {
        let negotiation = |information: Vec<u8>| ExtendedNegotiation {
            sop_class_uid: uids::STUDY_ROOT_FIND,
            information: information.into(),
        };
        let proposal = Proposal {
            extended_negotiations: asked.map(negotiation).into_iter().collect(),
            ..Proposal::new(
                AeTitle::new("REQUESTOR").unwrap(),
                server.node.ae_title.clone(),
                vec![(uids::STUDY_ROOT_FIND, vec![uids::IMPLICIT_VR_LITTLE_ENDIAN])],
            )
        };
        let mut association = connect::connect(&server.node, proposal, &Timeouts::default()).await.unwrap();
        let answered = association.negotiated().extended_negotiations.first().cloned();
        assert_eq!(answered, granted.map(negotiation));
        let query = Query::new(Model::StudyRoot, Level::Study).key("PatientName=William Boven").unwrap();
        let mut find = Find::start(&mut association, &query).await.unwrap();
        let mut found = 0;
        while find.next().await.unwrap().is_some() {
            found += 1;
        }
        assert_eq!(found, expected);
        association.release().await.unwrap();
    }
    server.stop().await;
}

/// Half of a hundred are silent, stopped in the middle of a C-STORE, or do not read their answers. The time limit is below each of the archive's
/// own, so whoever waited for a stalled one would miss it.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_stalled_associations_hold_up_none_of_fifty_others() {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
    let data = tempfile::tempdir().unwrap();
    support::with_long_answers(data.path());
    let server = Running::start(data.path(), |_| ()).await;
    let mut stalled = Vec::new();
    for _ in 0..17 {
        stalled.push(support::find_without_reading(server.node.port, "STALLED").await);
    }
    for number in 17..50 {
        stalled.push(stalled_peer(server.node.port, number).await);
    }

    let others: Vec<_> = (0..50)
        .map(|number| {
            let mut instance = study().remove(0);
            let study = format!("2.999.5.{number}");
            instance = instance.in_series(&study, &format!("{study}.1"));
            instance = instance.with(Tag(0x0008, 0x0018), &format!("{study}.1.1"));
            instance
        })
        .collect();
    let server = Arc::new(server);
    let mut storing = JoinSet::new();
    for instance in others {
        let server = Arc::clone(&server);
        storing.spawn(async move { server.store(&[instance], &uids::EXPLICIT_VR_LITTLE_ENDIAN).await });
    }
    let served = tokio::time::timeout(LIMIT, storing.join_all());
    let statuses = served.await.expect("nobody waits for a stalled association");
    assert_eq!(statuses, vec![vec![Status::SUCCESS]; 50]);
    let finding = async {
        for number in 0..50 {
            let query = Query::new(Model::StudyRoot, Level::Study);
            let query = query.key(&format!("StudyInstanceUID=2.999.5.{number}")).unwrap();
            let found = retrieve::find(&server.node, &query, &Caller::default(), None).await.unwrap();
            assert_eq!(found.len(), 1);
        }
    };
    tokio::time::timeout(LIMIT, finding).await.expect("nor does who searches");
    drop(stalled);
    Arc::into_inner(server).unwrap().stop().await;
}

/// An association that has come to a standstill: before its first command, or within a data set.
async fn stalled_peer(port: u16, number: u16) -> Peer<TcpStream> {
    let mut peer = Peer::connect(port).await;
    let class = uids::CT_IMAGE_STORAGE;
    let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let context = (1, class.as_str(), &[syntax.as_str()][..]);
    peer.send(&associate_rq("ARCHIVE", "STALLED", &[context], &[])).await;
    peer.expect(pdu_type::ASSOCIATE_AC).await;
    if number.is_multiple_of(2) {
        let uid = format!("2.999.6.{number}");
        let command = command_set(&[
            (0x0002, Field::Uid(class.as_str())),
            (0x0100, Field::Number(0x0001)),
            (0x0110, Field::Number(1)),
            (0x0700, Field::Number(0)),
            (0x0800, Field::Number(0)),
            (0x1000, Field::Uid(&uid)),
        ]);
        let data_set = Instance::new(class.as_str(), &uid).in_series("2.999.6", "2.999.6.0").data_set();
        peer.send(&p_data_command(1, true, &command)).await;
        peer.send(&p_data_data_set(1, false, &data_set[..data_set.len() / 2])).await;
    }
    peer
}
