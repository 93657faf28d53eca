//! Storage commitment over loopback (PS3.4 Annex J): what the archive answers, and that its reports arrive.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dicomet_archive::{Archive, Provenance};
use dicomet_net::association::{Data, Received, Timeouts};
use dicomet_net::commit::{Commit, Options};
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::Caller;
use dicomet_net::service::storage_commitment::scu;
use dicomet_net::service::{Request, next_request};
use dicomet_net::{Association, Error, Node};
use dicomet_proto::association::negotiation::Support;
use dicomet_proto::commitment::{self, Reference, Report};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{Command, DataSetType, MessageId, NActionRq, Refusal, Status};
use dicomet_proto::pdu::{
    AssociateRj, AsyncOperationsWindow, ContextResultReason, RejectReason, RejectResult, RoleSelection,
};
use dicomet_proto::{AeTitle, Uid};
use dicomet_server::nodes::{KnownNode, Operation, Operations, Strangers};
use dicomet_server::settings::Reports;
use dicomet_server::{Nodes, Server, Settings};
use dicomet_testkit::instance::Instance;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A server over an archive that is held open by the test too.
struct Running {
    node: Node,
    archive: Archive,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// Reports are tried without a pause worth the name.
fn settings(nodes: Vec<KnownNode>) -> Settings {
    let pause = Duration::from_millis(1);
    Settings {
        nodes: Nodes::new(nodes, Strangers::Admitted).unwrap(),
        reports: Reports { same_association: pause, pause, tries: 3 },
        ..Settings::new(title("ARCHIVE"))
    }
}

/// A node that listens there.
fn listens(ae_title: &str, listener: &Listener) -> KnownNode {
    KnownNode::with_all_rights(&format!("{ae_title}@{}", listener.local_address()).parse().unwrap())
}

async fn listen() -> Listener {
    Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Timeouts::default()).await.unwrap()
}

async fn serve(folder: &Path, settings: Settings) -> Running {
    let archive = Archive::open(folder, dicomet_archive::Settings::default()).unwrap();
    let listener = listen().await;
    let node = format!("ARCHIVE@{}", listener.local_address()).parse().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::new(archive.clone(), settings);
    let ended = tokio::spawn(async move {
        server.serve(listener, async { drop(stopped.await) }).await;
    });
    Running { node, archive, stop, ended }
}

fn store(archive: &Archive, sop_instance: &str) {
    let instance = Instance::new(CT, sop_instance).in_series("2.999.1", "2.999.1.1");
    let provenance = Provenance {
        sop_class: Uid::from_static(CT),
        sop_instance: Uid::new(sop_instance).unwrap(),
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        calling_ae_title: None,
    };
    let mut incoming = archive.receive(provenance).unwrap();
    incoming.write(&instance.data_set()).unwrap();
    incoming.commit().unwrap();
}

fn request(transaction: &str, instances: &[&str]) -> commitment::Request {
    let reference = |instance: &&str| Reference {
        sop_class: Uid::from_static(CT),
        sop_instance: Uid::new(*instance).unwrap(),
    };
    let references = instances.iter().map(reference).collect();
    commitment::Request { transaction: Uid::new(transaction).unwrap(), references }
}

async fn associate(server: &Running, calling: &str) -> Association {
    scu::open(&server.node, &title(calling), &Timeouts::default()).await.unwrap()
}

/// Asks, and gives the status of the response.
async fn ask(association: &mut Association, request: &commitment::Request) -> Status {
    scu::send_request(association, request).await.unwrap();
    response(association).await
}

async fn response(association: &mut Association) -> Status {
    match association.receive().await.unwrap() {
        Received::Message(message) => match message.command {
            Command::NActionRsp(response) => response.status,
            other => panic!("{other:?}"),
        },
        Received::ReleaseRequested => panic!("the archive wants to release"),
    }
}

/// The next report, answered with this.
async fn report(association: &mut Association, answer: Result<(), Refusal>) -> Report {
    match next_request(association).await.unwrap() {
        Some(Request::EventReport(context, request, information)) => {
            let report = scu::read_report(&request, &information.unwrap()).unwrap();
            assert_eq!(request.event_type_id, report.event_type_id());
            scu::answer_report(association, &context, &request, answer).await.unwrap();
            report
        }
        other => panic!("{other:?}"),
    }
}

/// Accepts storage commitment from its provider, as a modality does.
struct Modality;

impl Support for Modality {
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        assert_eq!(*abstract_syntax, uids::STORAGE_COMMITMENT_PUSH_MODEL);
        Ok(proposed[0].clone())
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        assert!(asked.scp && !asked.scu, "the archive reports as the provider");
        asked.clone()
    }

    fn async_operations_window(&self, asked: AsyncOperationsWindow) -> AsyncOperationsWindow {
        asked
    }
}

/// The next association of the archive, which brings one report.
async fn report_elsewhere(listener: &Listener) -> Report {
    let mut association = listener.accept().await.request().await.unwrap().accept(&Modality).await.unwrap();
    let negotiated = association.negotiated();
    assert_eq!(negotiated.calling_ae_title, title("ARCHIVE"));
    let report = report(&mut association, Ok(())).await;
    assert!(next_request(&mut association).await.unwrap().is_none());
    association.respond_release().await.unwrap();
    report
}

async fn reject(listener: &Listener) {
    let rejection = AssociateRj { result: RejectResult::Transient, reason: RejectReason::LocalLimitExceeded };
    listener.accept().await.request().await.unwrap().reject(rejection).await;
}

/// Waits until nothing is due.
async fn nothing_is_due(archive: &Archive) {
    let settled = async {
        while !archive.commitments().due().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("a report stays due");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_requestor_learns_what_is_committed_and_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), settings(Vec::new())).await;
    store(&server.archive, "2.999.1.1.1");
    store(&server.archive, "2.999.1.1.2");
    let mut asked = request("2.999.7", &["2.999.1.1.1", "2.999.1.1.2", "2.999.1.1.3"]).references;
    asked[1].sop_class = uids::MR_IMAGE_STORAGE;
    let caller = Caller { ae_title: title("CT"), ..Caller::default() };
    let options = Options { caller, patience: Duration::from_secs(60), receive: None };
    let outcome = Commit::new(server.node.clone(), asked.clone(), options).run().await.unwrap();
    assert_eq!(outcome.committed, asked[..1]);
    let failed = [Status::CLASS_INSTANCE_CONFLICT, Status::NO_SUCH_SOP_INSTANCE];
    assert_eq!(outcome.failed, asked[1..].iter().cloned().zip(failed).collect::<Vec<_>>());
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requestor_that_leaves_is_called_and_asked_again_when_it_says_no() {
    let (folder, listener) = (tempfile::tempdir().unwrap(), listen().await);
    let server = serve(folder.path(), settings(vec![listens("CT", &listener)])).await;
    store(&server.archive, "2.999.1.1.1");
    let mut association = associate(&server, "CT").await;
    let asked = request("2.999.7", &["2.999.1.1.1"]);
    assert_eq!(ask(&mut association, &asked).await, Status::SUCCESS);
    association.abort().await;
    reject(&listener).await;
    let mut association = listener.accept().await.request().await.unwrap().accept(&Modality).await.unwrap();
    report(&mut association, Err(Refusal::new(Status::PROCESSING_FAILURE, "not now"))).await;
    association.abort().await;
    let reported = report_elsewhere(&listener).await;
    assert_eq!((reported.transaction, reported.committed), (asked.transaction, asked.references));
    assert_eq!(reported.retrieve_ae_title, Some(title("ARCHIVE")));
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_where_it_was_asked_for_is_delivered_elsewhere() {
    let (folder, listener) = (tempfile::tempdir().unwrap(), listen().await);
    let server = serve(folder.path(), settings(vec![listens("CT", &listener)])).await;
    let mut association = associate(&server, "CT").await;
    assert_eq!(ask(&mut association, &request("2.999.7", &["2.999.1.1.1"])).await, Status::SUCCESS);
    let refused = Err(Refusal::new(Status::PROCESSING_FAILURE, "not here"));
    let first = report(&mut association, refused).await;
    assert_eq!(report_elsewhere(&listener).await, first);
    association.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requestor_may_ask_again_before_it_has_answered_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), settings(Vec::new())).await;
    store(&server.archive, "2.999.1.1.1");
    let mut association = associate(&server, "CT").await;
    let [first, second] = ["2.999.7", "2.999.8"].map(|transaction| request(transaction, &["2.999.1.1.1"]));
    assert_eq!(ask(&mut association, &first).await, Status::SUCCESS);
    let Some(Request::EventReport(context, reporting, information)) =
        next_request(&mut association).await.unwrap()
    else {
        panic!("no report")
    };
    assert_eq!(ask(&mut association, &second).await, Status::SUCCESS);
    scu::answer_report(&mut association, &context, &reporting, Ok(())).await.unwrap();
    let report_on_first = scu::read_report(&reporting, &information.unwrap()).unwrap();
    assert_eq!(report_on_first.transaction, first.transaction);
    assert_eq!(report(&mut association, Ok(())).await.transaction, second.transaction);
    association.release().await.unwrap();
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_when_the_server_stopped_is_delivered_by_the_next_one() {
    let (folder, listener) = (tempfile::tempdir().unwrap(), listen().await);
    let never = Duration::from_secs(3600);
    let mut patient = settings(vec![listens("CT", &listener)]);
    patient.reports.same_association = never;
    let server = serve(folder.path(), patient).await;
    let mut association = associate(&server, "CT").await;
    let asked = request("2.999.7", &["2.999.1.1.1"]);
    assert_eq!(ask(&mut association, &asked).await, Status::SUCCESS);
    server.stop().await;
    let server = serve(folder.path(), settings(vec![listens("CT", &listener)])).await;
    let reported = report_elsewhere(&listener).await;
    assert_eq!(reported.failed, [(asked.references[0].clone(), Status::NO_SUCH_SOP_INSTANCE)]);
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_by_other_called_ae_titles_comes_from_them_over_one_association_after_the_other() {
    let (folder, listener) = (tempfile::tempdir().unwrap(), listen().await);
    let mut patient = settings(vec![listens("CT", &listener)]);
    patient.reports.same_association = Duration::from_secs(3600);
    let server = serve(folder.path(), patient).await;
    let called = ["ARCHIVE", "PACS", "STORE"];
    // They stay until the server stops, so that all reports are due at once for the next one.
    let mut asking = Vec::new();
    for (number, called) in called.iter().enumerate() {
        let node = Node { ae_title: title(called), ..server.node.clone() };
        let mut association = scu::open(&node, &title("CT"), &Timeouts::default()).await.unwrap();
        let asked = request(&format!("2.999.7.{number}"), &["2.999.1.1.1"]);
        assert_eq!(ask(&mut association, &asked).await, Status::SUCCESS);
        asking.push(association);
    }
    server.stop().await;
    let server = serve(folder.path(), settings(vec![listens("CT", &listener)])).await;
    let open = Arc::new(AtomicUsize::new(0));
    let mut reporting = JoinSet::new();
    for _ in called {
        let requested = listener.accept().await.request().await.unwrap();
        assert_eq!(open.fetch_add(1, Ordering::SeqCst), 0, "there is one already");
        let open = Arc::clone(&open);
        reporting.spawn(async move {
            let mut association = requested.accept(&Modality).await.unwrap();
            let reported = report(&mut association, Ok(())).await;
            assert!(next_request(&mut association).await.unwrap().is_none());
            let from = association.negotiated().calling_ae_title.to_string();
            open.fetch_sub(1, Ordering::SeqCst);
            association.respond_release().await.unwrap();
            (reported.transaction.to_string(), from)
        });
    }
    let mut reports = reporting.join_all().await;
    reports.sort();
    let expected =
        called.iter().enumerate().map(|(number, called)| (format!("2.999.7.{number}"), (*called).to_owned()));
    assert_eq!(reports, expected.collect::<Vec<_>>());
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_given_up_after_so_many_tries_and_at_once_where_there_is_no_address() {
    let (folder, listener) = (tempfile::tempdir().unwrap(), listen().await);
    let server = serve(folder.path(), settings(vec![listens("CT", &listener)])).await;
    for calling in ["CT", "STRANGER"] {
        let mut association = associate(&server, calling).await;
        assert_eq!(ask(&mut association, &request("2.999.7", &["2.999.1.1.1"])).await, Status::SUCCESS);
        association.abort().await;
    }
    for _ in 0..3 {
        reject(&listener).await;
    }
    nothing_is_due(&server.archive).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_uid_that_is_in_use_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), settings(Vec::new())).await;
    store(&server.archive, "2.999.1.1.1");
    let mut association = associate(&server, "CT").await;
    let asked = request("2.999.7", &["2.999.1.1.1"]);
    assert_eq!(ask(&mut association, &asked).await, Status::SUCCESS);
    assert_eq!(report(&mut association, Ok(())).await.committed, asked.references);
    assert_eq!(ask(&mut association, &asked).await, Status::SUCCESS);
    let again = report(&mut association, Ok(())).await;
    assert_eq!(again.failed, [(asked.references[0].clone(), Status::DUPLICATE_TRANSACTION_UID)]);
    association.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_for_commitment_is_refused_with_its_own_status_and_nothing_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), settings(Vec::new())).await;
    let mut association = associate(&server, "CT").await;
    let context = association.context_of(&uids::STORAGE_COMMITMENT_PUSH_MODEL).unwrap().clone();
    let whole = request("2.999.7", &["2.999.1.1.1"]).to_data_set();
    let mut without_transaction = whole.clone();
    without_transaction.remove(Tag(0x0008, 0x1195));
    let encoded = |set: &DataSet| set.encode(&context.transfer_syntax).unwrap();
    // Empty items: ten million would be 80 MB.
    let mut many = whole.clone();
    many.set_items(Tag(0x0008, 0x1199), vec![DataSet::new(); 600_000]);
    let well_known = uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE;
    let class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    for (class, instance, action, information, expected) in [
        (&class, &well_known, 1, encoded(&without_transaction), 0x0115),
        (&class, &well_known, 1, encoded(&DataSet::new()), 0x0115),
        (&class, &well_known, 1, b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(), 0x0110),
        (&class, &well_known, 1, encoded(&many), 0x0213),
        (&class, &well_known, 2, encoded(&whole), 0x0123),
        (&class, &Uid::from_static("2.999.1"), 1, encoded(&whole), 0x0112),
        (&uids::CT_IMAGE_STORAGE, &well_known, 1, encoded(&whole), 0x0118),
    ] {
        let request = Command::NActionRq(NActionRq {
            message_id: MessageId(9),
            requested_sop_class_uid: class.clone(),
            requested_sop_instance_uid: instance.clone(),
            action_type_id: action,
            action_information: DataSetType::Present,
        });
        association.send(context.id, &request, Data::Bytes(&information)).await.unwrap();
        assert_eq!(response(&mut association).await.code(), expected);
    }
    assert!(server.archive.commitments().due().unwrap().is_empty());
    association.release().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_store_may_not_ask() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let allow = Operations::from_iter([Operation::Find, Operation::Get]);
    let viewer = KnownNode::with_all_rights(&"VIEWER@127.0.0.1:104".parse().unwrap());
    let server = serve(folder.path(), settings(vec![KnownNode { allow, ..viewer }])).await;
    let refused = scu::open(&server.node, &title("VIEWER"), &Timeouts::default()).await;
    assert!(matches!(refused, Err(Error::NoPresentationContext { .. })), "{refused:?}");
    server.stop().await;
}
