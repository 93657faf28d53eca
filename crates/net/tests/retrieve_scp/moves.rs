//! C-MOVE as transcripts: our SCU asks our SCP over a pipe, and the move destination is a listener on loopback that
//! does as the test says.

use std::future::{Future, pending, ready};
use std::time::Duration;

use dicomet_net::accept::Incoming;
use dicomet_net::association::{Received, Timeouts};
use dicomet_net::listen::Listener;
use dicomet_net::service::c_move::scp::{MoveDestination, Portion};
use dicomet_net::service::c_move::scu::{Move, Response};
use dicomet_net::service::sub_operations::{Operation, Pace, Report};
use dicomet_net::service::{Request, c_move, c_store, next_request};
use dicomet_net::{Association, Error, Node, connect};
use dicomet_proto::association::negotiation::{Proposal, Support, Willing, first_proposed};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{CStoreRq, Counters, DataSetType, MessageId, Refusal, Status};
use dicomet_proto::pdu::{AssociateRj, ContextResultReason, RejectReason, RejectResult};
use dicomet_proto::{AeTitle, Uid};

use crate::shelf::{self, Shelf};

// The archive's side.

/// Silence that no test reaches.
pub(crate) const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// CT images `1.2.<number>`, with the context they need.
pub(crate) fn cts(numbers: std::ops::RangeInclusive<usize>) -> Portion<Shelf> {
    Portion {
        contexts: vec![(uids::CT_IMAGE_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN)],
        instances: Shelf { instances: numbers.map(shelf::ct).collect() },
    }
}

pub(crate) fn at(port: u16) -> MoveDestination {
    MoveDestination {
        node: Node { ae_title: title("DEST"), host: "127.0.0.1".to_owned(), port },
        calling_ae_title: title("ARCHIVE"),
        timeouts: Timeouts::default(),
        window: 16,
        associations: 1,
    }
}

/// Answers the one C-MOVE that comes.
pub(crate) async fn serve(
    archive: Association,
    outcome: Result<(MoveDestination, Vec<Portion<Shelf>>), Refusal>,
    pace: Pace,
) -> Result<Option<Report>, Error> {
    serve_until(archive, outcome, pace, pending()).await
}

/// As [`serve`], until something stops it.
pub(crate) async fn serve_until(
    mut archive: Association,
    outcome: Result<(MoveDestination, Vec<Portion<Shelf>>), Refusal>,
    pace: Pace,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Report>, Error> {
    let Some(Request::Move(context, request, _)) = next_request(&mut archive).await.unwrap() else {
        panic!("expected a C-MOVE-RQ");
    };
    assert_eq!(request.move_destination, title("DEST"));
    c_move::scp::answer(&mut archive, &context, &request, ready(outcome), &pace, stop).await
}

// The requestor's side.

pub(crate) fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// An association with the archive: the requestor's end and the archive's.
pub(crate) async fn associate() -> (Association, Association) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let proposal = Proposal::new(
        title("REQUESTOR"),
        title("ARCHIVE"),
        vec![(uids::STUDY_ROOT_MOVE, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN])],
    );
    let timeouts = Timeouts::default();
    let accepting = async {
        let incoming = Incoming::new(Box::new(theirs), None, Timeouts::default());
        incoming.request().await.unwrap().accept(&taking(uids::STUDY_ROOT_MOVE)).await.unwrap()
    };
    let (requestor, archive) = tokio::join!(connect::request(Box::new(ours), proposal, &timeouts), accepting);
    (requestor.unwrap(), archive)
}

pub(crate) async fn ask(requestor: &mut Association) -> Move<'_> {
    let mut identifier = DataSet::new();
    identifier.set_text(Tag(0x0008, 0x0052), "STUDY");
    identifier.set_text(Tag(0x0020, 0x000D), "1.2.3");
    Move::start(requestor, &uids::STUDY_ROOT_MOVE, &title("DEST"), &identifier).await.unwrap()
}

/// The final response; before it come only Pending ones without an identifier.
pub(crate) async fn last(moving: &mut Move<'_>) -> Response {
    loop {
        let response = moving.next_within(LIMIT).await.unwrap().unwrap();
        if !response.command.status.is_pending() {
            assert!(moving.next_within(LIMIT).await.unwrap().is_none());
            return response;
        }
        assert_eq!(response.command.identifier, DataSetType::Null);
    }
}

/// The whole of a C-MOVE, in which the requestor does no more than wait.
pub(crate) async fn moved(
    destination: MoveDestination,
    portions: Vec<Portion<Shelf>>,
    pace: Pace,
) -> (Response, Report) {
    let (mut requestor, archive) = associate().await;
    let asking = async { last(&mut ask(&mut requestor).await).await };
    let (response, report) = tokio::join!(asking, serve(archive, Ok((destination, portions)), pace));
    (response, report.unwrap().unwrap())
}

pub(crate) fn counters(remaining: Option<u16>, completed: u16, failed: u16, warning: u16) -> Counters {
    Counters { remaining, completed: Some(completed), failed: Some(failed), warning: Some(warning) }
}

#[track_caller]
pub(crate) fn assert_failed(response: &Response, uids: &[&str]) {
    assert_eq!(response.failed.iter().map(Uid::as_str).collect::<Vec<_>>(), uids);
}

// The destination's side.

/// Takes this SOP class alone, in the first transfer syntax proposed, with the window asked for.
fn taking(only: Uid) -> impl Support {
    Willing(move |class: &Uid, proposed: &[Uid]| match *class == only {
        true => first_proposed(class, proposed),
        false => Err(ContextResultReason::AbstractSyntaxNotSupported),
    })
}

pub(crate) async fn listener() -> (Listener, u16) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
    let port = listener.local_address().port();
    (listener, port)
}

pub(crate) async fn accept(listener: &Listener) -> Association {
    accept_this(listener.accept().await).await
}

async fn accept_this(incoming: Incoming) -> Association {
    let requested = incoming.request().await.unwrap();
    requested.accept(&taking(uids::CT_IMAGE_STORAGE)).await.unwrap()
}

/// Takes the next instance, and answers with a status; `None` when a release is asked for instead.
pub(crate) async fn take(destination: &mut Association, status: Status) -> Option<CStoreRq> {
    let Request::Store(context, request) = next_request(destination).await.unwrap()? else {
        panic!("expected a C-STORE-RQ");
    };
    let number: u8 = request.affected_sop_instance_uid.as_str().rsplit('.').next().unwrap().parse().unwrap();
    assert_eq!(destination.receive_data_whole(1 << 20).await.unwrap().unwrap(), vec![number; 1000]);
    let outcome = if status == Status::SUCCESS { Ok(()) } else { Err(Refusal::new(status, "")) };
    c_store::scp::answer(destination, &context, &request, outcome).await.unwrap();
    destination.flush().await.unwrap();
    Some(request)
}

/// Takes what comes on one association until it is released.
pub(crate) async fn take_all(listener: &Listener) -> Vec<CStoreRq> {
    take_all_of(listener.accept().await).await
}

pub(crate) async fn take_all_of(incoming: Incoming) -> Vec<CStoreRq> {
    let mut destination = accept_this(incoming).await;
    let mut taken = Vec::new();
    while let Some(request) = take(&mut destination, Status::SUCCESS).await {
        taken.push(request);
    }
    destination.respond_release().await.unwrap();
    taken
}

// The transcripts.

#[tokio::test]
async fn every_instance_goes_to_the_destination_and_names_who_asked() {
    let (listener, port) = listener().await;
    let moving = moved(at(port), vec![cts(1..=40)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, take_all(&listener));
    assert_eq!(response.command.status, Status::SUCCESS);
    assert_eq!(response.command.counters, counters(None, 40, 0, 0));
    assert_eq!((taken.len(), report.bytes), (40, 40_000));
    for request in taken {
        assert_eq!(request.move_originator, Some((title("REQUESTOR"), MessageId(1))));
    }
}

#[tokio::test]
async fn as_many_are_outstanding_as_the_destination_grants() {
    let (listener, port) = listener().await;
    let receiving = async {
        let mut destination = accept(&listener).await;
        assert_eq!(destination.negotiated().calling_ae_title, title("ARCHIVE"));
        let mut waiting = Vec::new();
        while waiting.len() < 16 {
            let Some(Request::Store(context, request)) = next_request(&mut destination).await.unwrap() else {
                panic!("expected a C-STORE-RQ");
            };
            waiting.push((context, request));
        }
        for (context, request) in waiting.into_iter().rev() {
            c_store::scp::answer(&mut destination, &context, &request, Ok(())).await.unwrap();
        }
        while take(&mut destination, Status::SUCCESS).await.is_some() {}
        destination.respond_release().await.unwrap();
    };
    let moving = moved(at(port), vec![cts(1..=20)], Pace::default());
    let ((response, report), ()) = tokio::join!(moving, receiving);
    assert_eq!(response.command.counters, counters(None, 20, 0, 0));
    assert_eq!(report.most_outstanding, 16);
}

#[tokio::test]
async fn what_one_association_has_no_room_for_goes_over_the_next() {
    let (listener, port) = listener().await;
    let receiving = async { (take_all(&listener).await.len(), take_all(&listener).await.len()) };
    let moving = moved(at(port), vec![cts(1..=3), cts(4..=5)], Pace::default());
    let ((response, _), taken) = tokio::join!(moving, receiving);
    assert_eq!(taken, (3, 2));
    assert_eq!(response.command.status, Status::SUCCESS);
    assert_eq!(response.command.counters, counters(None, 5, 0, 0));
}

#[tokio::test]
async fn an_unknown_destination_is_refused_without_sub_operations() {
    let (mut requestor, archive) = associate().await;
    let refusal = Refusal::new(Status::MOVE_DESTINATION_UNKNOWN, "not in the table");
    let asking = async { last(&mut ask(&mut requestor).await).await };
    let (response, report) = tokio::join!(asking, serve(archive, Err(refusal), Pace::default()));
    assert_eq!(response.command.status, Status::MOVE_DESTINATION_UNKNOWN);
    assert_eq!(response.command.error_comment.as_deref(), Some("not in the table"));
    assert!(report.unwrap().is_none());
}

#[tokio::test]
async fn what_has_ended_is_not_cancelled() {
    let (mut requestor, mut archive) = associate().await;
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        assert_eq!(last(&mut moving).await.command.status, Status::MOVE_DESTINATION_UNKNOWN);
        moving.cancel().await.unwrap();
        requestor.release().await.unwrap();
    };
    let answering = async {
        let Some(Request::Move(context, request, _)) = next_request(&mut archive).await.unwrap() else {
            panic!("expected a C-MOVE-RQ");
        };
        let operation = Operation::moving(&context, &request);
        let refusal = Refusal::new(Status::MOVE_DESTINATION_UNKNOWN, "");
        operation.refuse(&mut archive, &refusal).await.unwrap();
        assert_eq!(archive.receive().await.unwrap(), Received::ReleaseRequested);
        archive.respond_release().await.unwrap();
    };
    tokio::join!(asking, answering);
}

#[tokio::test]
async fn a_destination_that_cannot_be_reached_fails_all_and_all_are_listed() {
    // A port that was ours a moment ago, and on which nobody listens now.
    let (listener, port) = listener().await;
    drop(listener);
    let (response, _) = moved(at(port), vec![cts(1..=2), cts(3..=3)], Pace::default()).await;
    assert_eq!(response.command.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.command.counters, counters(None, 0, 3, 0));
    assert_eq!(response.command.error_comment.as_deref(), Some("cannot connect to the move destination"));
    assert_failed(&response, &["1.2.1", "1.2.2", "1.2.3"]);
}

#[tokio::test]
async fn a_destination_that_rejects_fails_all() {
    let (listener, port) = listener().await;
    let rejecting = async {
        let requested = listener.accept().await.request().await.unwrap();
        let reason = RejectReason::CallingAeTitleNotRecognized;
        requested.reject(AssociateRj { result: RejectResult::Permanent, reason }).await;
    };
    let ((response, _), ()) = tokio::join!(moved(at(port), vec![cts(1..=2)], Pace::default()), rejecting);
    assert_eq!(response.command.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.command.counters, counters(None, 0, 2, 0));
    let comment = response.command.error_comment.as_deref();
    assert_eq!(comment, Some("the move destination rejected the association"));
    assert_failed(&response, &["1.2.1", "1.2.2"]);
}

#[tokio::test]
async fn a_class_that_the_destination_does_not_take_fails_alone() {
    let (listener, port) = listener().await;
    let mut portion = cts(1..=3);
    portion.contexts.push((uids::MR_IMAGE_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN));
    portion.instances.instances[1].instance.sop_class = uids::MR_IMAGE_STORAGE;
    let moving = moved(at(port), vec![portion], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, take_all(&listener));
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 2, 1, 0));
    assert_failed(&response, &["1.2.2"]);
    assert_eq!((taken.len(), report.without_context), (2, 1));
}

#[tokio::test]
async fn a_destination_that_takes_none_of_the_classes_fails_all() {
    let (listener, port) = listener().await;
    let receiving = async {
        let requested = listener.accept().await.request().await.unwrap();
        let mut destination = requested.accept(&taking(uids::VERIFICATION)).await.unwrap();
        assert!(next_request(&mut destination).await.unwrap().is_none());
        destination.respond_release().await.unwrap();
    };
    let ((response, _), ()) = tokio::join!(moved(at(port), vec![cts(1..=2)], Pace::default()), receiving);
    assert_eq!(response.command.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_failed(&response, &["1.2.1", "1.2.2"]);
}

#[tokio::test]
async fn a_destination_that_does_not_answer_the_association_fails_all_while_the_requestor_hears_pending() {
    let (listener, port) = listener().await;
    let mut destination = at(port);
    destination.timeouts.association = Duration::from_millis(200);
    let pace = Pace { keep_alive: Duration::from_millis(20), ..Pace::default() };
    let (mut requestor, archive) = associate().await;
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        let first = moving.next_within(LIMIT).await.unwrap().unwrap();
        assert_eq!(first.command.status, Status::PENDING);
        assert_eq!(first.command.counters, counters(Some(2), 0, 0, 0));
        last(&mut moving).await
    };
    let silent = async {
        let incoming = listener.accept().await;
        std::future::pending::<()>().await;
        drop(incoming);
    };
    let serving = serve(archive, Ok((destination, vec![cts(1..=2)])), pace);
    let (response, _) = until_done(async { tokio::join!(asking, serving) }, silent).await;
    assert_eq!(response.command.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.command.error_comment.as_deref(), Some("the move destination did not answer"));
    assert_failed(&response, &["1.2.1", "1.2.2"]);
}

#[tokio::test]
async fn a_destination_that_stalls_fails_what_is_left_while_the_requestor_hears_pending() {
    let (listener, port) = listener().await;
    let pace = Pace {
        keep_alive: Duration::from_millis(20),
        pending_interval: Duration::from_millis(10),
        response: Duration::from_millis(300),
        max_outstanding: 1,
        ..Pace::default()
    };
    let (mut requestor, archive) = associate().await;
    let asking = async {
        let mut moving = ask(&mut requestor).await;
        let mut alive = 0;
        loop {
            let response = moving.next_within(LIMIT).await.unwrap().unwrap();
            if !response.command.status.is_pending() {
                return (response, alive);
            }
            alive += u32::from(response.command.counters == counters(Some(2), 1, 0, 0));
        }
    };
    let stalling = async {
        let mut destination = accept(&listener).await;
        take(&mut destination, Status::SUCCESS).await.unwrap();
        std::future::pending::<()>().await;
    };
    let serving = serve(archive, Ok((at(port), vec![cts(1..=3)])), pace);
    let ((response, alive), _) = until_done(async { tokio::join!(asking, serving) }, stalling).await;
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 1, 2, 0));
    assert_failed(&response, &["1.2.2", "1.2.3"]);
    assert!(alive >= 2, "only {alive} signs of life");
}

/// Takes some, and then the next without answering it.
async fn take_and_abort(listener: &Listener, statuses: &[Status]) {
    let mut destination = accept(listener).await;
    for &status in statuses {
        take(&mut destination, status).await.unwrap();
    }
    assert!(matches!(destination.receive().await.unwrap(), Received::Message(_)));
    destination.abort().await;
}

#[tokio::test]
async fn a_destination_that_aborts_in_the_middle_gets_the_rest_over_another_association() {
    let (listener, port) = listener().await;
    let destination = MoveDestination { window: 1, ..at(port) };
    let receiving = async {
        take_and_abort(&listener, &[Status::SUCCESS, Status::WARNING]).await;
        take_and_abort(&listener, &[Status::SUCCESS]).await;
        (take_all(&listener).await.len(), take_all(&listener).await.len())
    };
    let moving = moved(destination, vec![cts(1..=7), cts(8..=8)], Pace::default());
    let ((response, report), taken) = tokio::join!(moving, receiving);
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 5, 2, 1));
    assert_failed(&response, &["1.2.3", "1.2.5"]);
    assert_eq!((taken, report.associations), ((2, 1), 4));
}

#[tokio::test]
async fn a_destination_that_aborts_without_an_answer_fails_what_is_left() {
    let (listener, port) = listener().await;
    let destination = MoveDestination { window: 1, ..at(port) };
    let aborting = async {
        take_and_abort(&listener, &[Status::SUCCESS, Status::WARNING]).await;
        take_and_abort(&listener, &[]).await;
    };
    let moving = moved(destination, vec![cts(1..=5), cts(6..=6)], Pace::default());
    let ((response, _), ()) = tokio::join!(moving, aborting);
    assert_eq!(response.command.status, Status::WARNING);
    assert_eq!(response.command.counters, counters(None, 1, 4, 1));
    assert_failed(&response, &["1.2.3", "1.2.4", "1.2.5", "1.2.6"]);
    let lost = "the association with the move destination was lost";
    assert_eq!(response.command.error_comment.as_deref(), Some(lost));
}

/// Waits for one thing while another, which never ends, goes on.
pub(crate) async fn until_done<T>(work: impl Future<Output = T>, meanwhile: impl Future<Output = ()>) -> T {
    tokio::select! {
        done = work => done,
        () = meanwhile => unreachable!("it never ends"),
    }
}
