//! Asking for storage commitment (PS3.4 Annex J), with peers that report in every way that the standard leaves them.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use dicomet_net::association::Timeouts;
use dicomet_net::commit::{Commit, Options, Outcome};
use dicomet_net::listen::Listener;
use dicomet_net::retrieve::Caller;
use dicomet_net::service::storage_commitment::scp;
use dicomet_net::service::{Request, next_request};
use dicomet_net::{Association, Node};
use dicomet_proto::association::negotiation::{Context, Willing, first_proposed};
use dicomet_proto::commitment::{self, Reference, Report};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{NActionRq, Refusal, Status};
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::peer::free_port;

async fn listen() -> (Listener, Node) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
    let node = format!("ARCHIVE@{}", listener.local_address()).parse().unwrap();
    (listener, node)
}

fn reference(number: usize) -> Reference {
    let sop_instance = Uid::new(format!("2.999.{number}")).unwrap();
    Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance }
}

/// Asks for so many instances.
async fn ask(node: Node, instances: usize, receive: Option<SocketAddr>) -> Outcome {
    ask_within(Duration::from_secs(30), node, instances, receive).await
}

async fn ask_within(
    patience: Duration,
    node: Node,
    instances: usize,
    receive: Option<SocketAddr>,
) -> Outcome {
    let options = Options { caller: Caller::default(), patience, receive };
    Commit::new(node, (0..instances).map(reference).collect(), options).run().await.unwrap()
}

async fn accept(listener: &Listener) -> Association {
    listener.accept().await.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap()
}

/// The next request of the requestor.
async fn asked(association: &mut Association) -> (Context, NActionRq, commitment::Request) {
    match next_request(association).await.unwrap() {
        Some(Request::Action(context, request, information)) => {
            let asked = scp::read_request(&request, &information.unwrap()).unwrap();
            (context, request, asked)
        }
        other => panic!("{other:?}"),
    }
}

fn all_of(asked: commitment::Request) -> Report {
    let (transaction, committed) = (asked.transaction, asked.references);
    Report { transaction, retrieve_ae_title: None, committed, failed: Vec::new() }
}

async fn expect_release(mut association: Association) {
    assert!(next_request(&mut association).await.unwrap().is_none());
    association.respond_release().await.unwrap();
}

#[tokio::test]
async fn reports_on_the_same_association_count_and_forged_ones_are_refused() {
    let (listener, node) = listen().await;
    let archive = async {
        let mut association = accept(&listener).await;
        let (context, request, asked) = asked(&mut association).await;
        scp::answer(&mut association, &context, &request, Ok(())).await.unwrap();
        let mut report = all_of(asked);
        let lost = report.committed.pop().unwrap();
        report.failed.push((lost, Status::NO_SUCH_SOP_INSTANCE));
        let forged = Report { transaction: Uid::from_static("2.999.666"), ..report.clone() };
        let refused = scp::report(&mut association, &forged).await.unwrap();
        assert_eq!(refused, Status::INVALID_ARGUMENT_VALUE);
        assert_eq!(scp::report(&mut association, &report).await.unwrap(), Status::SUCCESS);
        expect_release(association).await;
    };
    let (outcome, ()) = tokio::join!(ask(node, 3, None), archive);
    assert_eq!(outcome.committed, [reference(0), reference(1)]);
    assert_eq!(outcome.failed, [(reference(2), Status::NO_SUCH_SOP_INSTANCE)]);
    assert!(outcome.unreported.is_empty() && outcome.error.is_none(), "{outcome:?}");
}

#[tokio::test]
async fn a_report_may_come_before_the_response_to_the_request() {
    let (listener, node) = listen().await;
    let archive = async {
        let mut association = accept(&listener).await;
        let (context, request, asked) = asked(&mut association).await;
        assert_eq!(scp::report(&mut association, &all_of(asked)).await.unwrap(), Status::SUCCESS);
        scp::answer(&mut association, &context, &request, Ok(())).await.unwrap();
        expect_release(association).await;
    };
    // However patient: no clock goes as far as this.
    let (outcome, ()) = tokio::join!(ask_within(Duration::MAX, node, 2, None), archive);
    assert_eq!(outcome.committed.len(), 2);
}

#[tokio::test]
async fn a_peer_that_hangs_up_reports_on_an_association_of_its_own() {
    let (listener, node) = listen().await;
    let receive: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let archive = async {
        let mut association = accept(&listener).await;
        let (context, request, asked) = asked(&mut association).await;
        scp::answer(&mut association, &context, &request, Ok(())).await.unwrap();
        association.release().await.unwrap();
        let back = Node {
            ae_title: AeTitle::new("DICOMET").unwrap(),
            host: "127.0.0.1".to_owned(),
            port: receive.port(),
        };
        let calling = AeTitle::new("ARCHIVE").unwrap();
        let mut association = scp::open(&back, &calling, &Timeouts::default()).await.unwrap();
        let context = association.context_of(&uids::STORAGE_COMMITMENT_PUSH_MODEL).unwrap();
        assert!(context.requestor_is_scp && !context.requestor_is_scu);
        assert_eq!(scp::report(&mut association, &all_of(asked)).await.unwrap(), Status::SUCCESS);
        // The listener may be gone before it has answered a release: what it waited for has come.
        association.abort().await;
    };
    let (outcome, ()) = tokio::join!(ask(node, 2, Some(receive)), archive);
    assert_eq!(outcome.committed.len(), 2);
    assert!(outcome.error.is_none(), "{outcome:?}");
}

#[tokio::test]
async fn what_a_peer_does_not_take_on_has_failed_and_what_it_never_reports_is_unreported() {
    let (listener, node) = listen().await;
    // Three transactions: one refused, one taken on, and then the peer leaves.
    let archive = async {
        let mut association = accept(&listener).await;
        let (context, request, _) = asked(&mut association).await;
        let refusal = Refusal::new(Status::RESOURCE_LIMITATION, "not now");
        scp::answer(&mut association, &context, &request, Err(refusal)).await.unwrap();
        let (context, request, _) = asked(&mut association).await;
        scp::answer(&mut association, &context, &request, Ok(())).await.unwrap();
        asked(&mut association).await;
        association.abort().await;
    };
    let (outcome, ()) = tokio::join!(ask(node, 9000, None), archive);
    assert_eq!((outcome.committed.len(), outcome.failed.len(), outcome.unreported.len()), (0, 4000, 5000));
    assert!(outcome.failed.iter().all(|(_, status)| *status == Status::RESOURCE_LIMITATION));
    assert!(outcome.error.is_some());
}
