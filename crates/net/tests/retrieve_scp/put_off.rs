//! Requests that come while a retrieve goes on: those that fit into the window are put off, the others refused.

use std::future::{Future, pending, ready};

use dicomet_net::Association;
use dicomet_net::accept::Incoming;
use dicomet_net::association::{Data, Timeouts};
use dicomet_net::service::sub_operations::Pace;
use dicomet_net::service::{Request, c_move, next_request};
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::{Proposal, Willing, first_proposed};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq, Command, DataSetType, MessageId, NActionRq, Priority, Status,
};
use dicomet_proto::pdu::AsyncOperationsWindow;
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::peer::{
    Field, associate_rq, command_number, command_set, item, p_data_command, p_data_data_set, pdu_type, pipe,
};
use tokio::sync::oneshot;

use crate::get::{GET_ID, Requestor, associate, counters, proposal, serve, serve_until};
use crate::moves;
use crate::shelf::{Shelf, cts};

const GET: ContextId = ContextId::new(1).unwrap();
const CT: ContextId = ContextId::new(3).unwrap();
const VERIFICATION: ContextId = ContextId::new(5).unwrap();
const FIND: ContextId = ContextId::new(7).unwrap();
const MOVE: ContextId = ContextId::new(9).unwrap();
const COMMITMENT: ContextId = ContextId::new(11).unwrap();

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);

// The requestor's side.

/// That of C-GET, with all else that can be put off, and so many operations invoked.
fn with_window(invoked: u16) -> Proposal {
    let mut proposal = proposal(None, true);
    for class in [uids::STUDY_ROOT_FIND, uids::STUDY_ROOT_MOVE, uids::STORAGE_COMMITMENT_PUSH_MODEL] {
        proposal.contexts.push((class, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN]));
    }
    proposal.async_operations_window = Some(AsyncOperationsWindow { invoked, performed: 1 });
    proposal
}

fn identifier(name: &str) -> Vec<u8> {
    let mut identifier = DataSet::new();
    identifier.set_text(PATIENT_NAME, name);
    identifier.encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap()
}

fn find_rq(id: u16) -> Command {
    let affected_sop_class_uid = uids::STUDY_ROOT_FIND;
    Command::CFindRq(CFindRq {
        message_id: MessageId(id),
        affected_sop_class_uid,
        priority: Priority::Medium,
    })
}

fn get_rq(id: u16) -> Command {
    let affected_sop_class_uid = uids::STUDY_ROOT_GET;
    Command::CGetRq(CGetRq { message_id: MessageId(id), affected_sop_class_uid, priority: Priority::Medium })
}

fn move_rq(id: u16) -> Command {
    Command::CMoveRq(CMoveRq {
        message_id: MessageId(id),
        affected_sop_class_uid: uids::STUDY_ROOT_MOVE,
        priority: Priority::Medium,
        move_destination: AeTitle::new("DESTINATION").unwrap(),
    })
}

fn action_rq(id: u16) -> Command {
    Command::NActionRq(NActionRq {
        message_id: MessageId(id),
        requested_sop_class_uid: uids::STORAGE_COMMITMENT_PUSH_MODEL,
        requested_sop_instance_uid: Uid::from_static("1.2.840.10008.1.20.1.1"),
        action_type_id: 1,
        action_information: DataSetType::Present,
    })
}

fn store_rq(id: u16) -> Command {
    Command::CStoreRq(CStoreRq {
        message_id: MessageId(id),
        affected_sop_class_uid: uids::CT_IMAGE_STORAGE,
        affected_sop_instance_uid: Uid::from_static("1.2.3"),
        priority: Priority::Medium,
        move_originator: None,
    })
}

async fn ask(requestor: &mut Requestor, context_id: ContextId, request: &Command, data: &[u8]) {
    requestor.association.send(context_id, request, Data::Bytes(data)).await.unwrap();
    requestor.association.flush().await.unwrap();
}

/// An echo and its answer: what was sent before has been seen.
async fn echo(requestor: &mut Requestor) {
    let echo = CEchoRq { message_id: MessageId(999), affected_sop_class_uid: uids::VERIFICATION };
    requestor.association.send(VERIFICATION, &Command::CEchoRq(echo), Data::None).await.unwrap();
    match requestor.message().await.command {
        Command::CEchoRsp(response) => assert_eq!(response.status, Status::SUCCESS),
        other => panic!("expected a C-ECHO-RSP, got {other:?}"),
    }
}

/// The next response, by its service, Message ID and status.
async fn response(requestor: &mut Requestor) -> (&'static str, u16, Status) {
    match requestor.message().await.command {
        Command::CFindRsp(response) => ("C-FIND", response.message_id.0, response.status),
        Command::CGetRsp(response) => ("C-GET", response.message_id.0, response.status),
        Command::CMoveRsp(response) => ("C-MOVE", response.message_id.0, response.status),
        Command::CStoreRsp(response) => ("C-STORE", response.message_id.0, response.status),
        Command::NActionRsp(response) => ("N-ACTION", response.message_id.0, response.status),
        other => panic!("expected a response, got {other:?}"),
    }
}

// The acceptor's side.

/// Answers the one C-GET, and gives the Message IDs of so many requests that are handed out after it, each with the
/// name in its identifier.
async fn serve_and_hand_out(acceptor: Association, shelf: Shelf, count: usize) -> Vec<(u16, String)> {
    let (mut association, report) = serve(acceptor, shelf, Pace::default()).await;
    report.unwrap();
    let mut handed_out = Vec::new();
    for _ in 0..count {
        handed_out.push(next(&mut association).await);
    }
    handed_out
}

async fn next(association: &mut Association) -> (u16, String) {
    let (message_id, identifier) = match next_request(association).await.unwrap().unwrap() {
        Request::Find(_, request, identifier) => (request.message_id, identifier),
        Request::Get(_, request, identifier) => (request.message_id, identifier),
        Request::Move(_, request, identifier) => (request.message_id, identifier),
        Request::Action(_, request, information) => (request.message_id, information),
        other => panic!("unexpected {other:?}"),
    };
    (message_id.0, identifier.unwrap().text(PATIENT_NAME).unwrap())
}

/// Ready when all that was sent before has been taken in.
async fn soon() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

// The transcripts.

#[tokio::test]
async fn requests_that_come_meanwhile_are_handed_out_after_it_in_their_order() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        ask(&mut requestor, GET, &get_rq(79), &identifier("Second")).await;
        ask(&mut requestor, MOVE, &move_rq(80), &identifier("Third")).await;
        echo(&mut requestor).await;
        ask(&mut requestor, COMMITMENT, &action_rq(81), &identifier("Fourth")).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.take(Status::SUCCESS).await;
        let (response, _) = requestor.finish().await;
        ask(&mut requestor, FIND, &find_rq(82), &identifier("Fifth")).await;
        response
    };
    let (response, handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(2), 5));
    assert_eq!((response.status, response.message_id), (Status::SUCCESS, GET_ID));
    assert_eq!(response.counters, counters(None, 2, 0, 0));
    let expected = [(78, "First"), (79, "Second"), (80, "Third"), (81, "Fourth"), (82, "Fifth")];
    assert_eq!(handed_out, expected.map(|(id, name)| (id, name.to_owned())));
}

#[tokio::test]
async fn what_the_window_does_not_hold_is_refused_and_so_is_a_store() {
    let (mut requestor, acceptor) = associate(with_window(2)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        let mut refused = Vec::new();
        for (context_id, request) in [
            (FIND, find_rq(79)),
            (GET, get_rq(80)),
            (MOVE, move_rq(81)),
            (COMMITMENT, action_rq(82)),
            (CT, store_rq(83)),
        ] {
            ask(&mut requestor, context_id, &request, &[0; 10_000]).await;
            refused.push(response(&mut requestor).await);
        }
        echo(&mut requestor).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await;
        refused
    };
    let (refused, handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(1), 1));
    assert_eq!(
        refused,
        [
            ("C-FIND", 79, Status::OUT_OF_RESOURCES),
            ("C-GET", 80, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS),
            ("C-MOVE", 81, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS),
            ("N-ACTION", 82, Status::RESOURCE_LIMITATION),
            ("C-STORE", 83, Status::OUT_OF_RESOURCES),
        ]
    );
    assert_eq!(handed_out, [(78, "First".to_owned())]);
}

#[tokio::test]
async fn a_message_id_in_use_is_a_duplicate_invocation_at_once_and_the_retrieve_goes_on() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        ask(&mut requestor, COMMITMENT, &action_rq(79), &identifier("Second")).await;
        let mut refused = Vec::new();
        for (context_id, request) in [
            (GET, get_rq(GET_ID.0)),
            (FIND, find_rq(GET_ID.0)),
            (CT, store_rq(GET_ID.0)),
            (MOVE, move_rq(78)),
            (COMMITMENT, action_rq(79)),
        ] {
            ask(&mut requestor, context_id, &request, &identifier("Refused")).await;
            refused.push(response(&mut requestor).await);
        }
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        (refused, requestor.finish().await.0)
    };
    let ((refused, last), handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(1), 2));
    assert_eq!(
        refused,
        [("C-GET", 77), ("C-FIND", 77), ("C-STORE", 77), ("C-MOVE", 78), ("N-ACTION", 79)]
            .map(|(service, id)| (service, id, Status::DUPLICATE_INVOCATION))
    );
    assert_eq!((last.status, last.message_id), (Status::SUCCESS, GET_ID));
    assert_eq!(handed_out, [(78, "First".to_owned()), (79, "Second".to_owned())]);
}

#[tokio::test]
async fn what_its_context_does_not_allow_is_neither_answered_meanwhile_nor_put_off() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        let echo = CEchoRq { message_id: MessageId(78), affected_sop_class_uid: uids::STUDY_ROOT_GET };
        requestor.association.send(GET, &Command::CEchoRq(echo), Data::None).await.unwrap();
        match requestor.message().await.command {
            Command::CEchoRsp(response) => assert_eq!(response.status, Status::UNRECOGNIZED_OPERATION),
            other => panic!("expected a C-ECHO-RSP, got {other:?}"),
        }
        for (context, misplaced, service) in [
            (FIND, get_rq(79), "C-GET"),
            (CT, find_rq(79), "C-FIND"),
            (GET, store_rq(79), "C-STORE"),
            (VERIFICATION, action_rq(79), "N-ACTION"),
        ] {
            ask(&mut requestor, context, &misplaced, &identifier("Misplaced")).await;
            assert_eq!(response(&mut requestor).await, (service, 79, Status::UNRECOGNIZED_OPERATION));
        }
        ask(&mut requestor, FIND, &find_rq(80), &identifier("Placed")).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await.0.status
    };
    let (status, handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(1), 1));
    assert_eq!(status, Status::SUCCESS);
    assert_eq!(handed_out, [(80, "Placed".to_owned())]);
}

#[tokio::test]
async fn identifiers_beyond_a_mebibyte_are_not_held() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        ask(&mut requestor, FIND, &find_rq(79), &vec![0; 1 << 20]).await;
        let refused = response(&mut requestor).await;
        ask(&mut requestor, FIND, &find_rq(80), &identifier("Second")).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await;
        refused
    };
    let (refused, handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(1), 2));
    assert_eq!(refused, ("C-FIND", 79, Status::OUT_OF_RESOURCES));
    assert_eq!(handed_out, [(78, "First".to_owned()), (80, "Second".to_owned())]);
}

#[tokio::test]
async fn a_flood_of_requests_is_refused_and_the_retrieve_goes_on() {
    const FLOOD: u16 = 3000;
    let (requestor, acceptor) = associate(with_window(4)).await;
    let asking = async {
        let mut requestor = requestor;
        requestor.get().await;
        for id in 0..FLOOD {
            ask(&mut requestor, FIND, &find_rq(1000 + id), &identifier("Flood")).await;
        }
        let (mut refused, mut stored) = (0, 0);
        loop {
            let message = requestor.message().await;
            match message.command {
                Command::CFindRsp(response) => {
                    assert_eq!(response.status, Status::OUT_OF_RESOURCES);
                    refused += 1;
                }
                Command::CStoreRq(request) => {
                    stored += 1;
                    requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
                }
                Command::CGetRsp(response) if response.status == Status::PENDING => {}
                Command::CGetRsp(response) => {
                    assert_eq!(response.status, Status::SUCCESS);
                    return (refused, stored);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    };
    let ((refused, stored), handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(50), 3));
    assert_eq!((refused, stored), (FLOOD - 3, 50));
    assert_eq!(handed_out, [1000, 1001, 1002].map(|id| (id, "Flood".to_owned())));
}

#[tokio::test]
async fn a_request_that_is_put_off_can_be_cancelled_and_the_others_stay() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        ask(&mut requestor, GET, &get_rq(79), &identifier("Second")).await;
        ask(&mut requestor, FIND, &find_rq(80), &identifier("Third")).await;
        requestor.cancel(MessageId(1234)).await; // of nothing: ignored
        requestor.cancel(MessageId(78)).await;
        assert_eq!(response(&mut requestor).await, ("C-FIND", 78, Status::CANCEL));
        requestor.cancel(MessageId(79)).await;
        let Command::CGetRsp(cancelled) = requestor.message().await.command else {
            panic!("expected a C-GET-RSP");
        };
        assert_eq!((cancelled.message_id, cancelled.status), (MessageId(79), Status::CANCEL));
        assert_eq!(cancelled.counters, counters(Some(0), 0, 0, 0));
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await.0
    };
    let (response, handed_out) = tokio::join!(asking, serve_and_hand_out(acceptor, cts(1), 1));
    assert_eq!((response.status, response.message_id), (Status::SUCCESS, GET_ID));
    assert_eq!(handed_out, [(80, "Third".to_owned())]);
}

#[tokio::test]
async fn what_comes_while_it_is_planned_is_put_off_too() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let (planned, planning) = oneshot::channel();
    let asking = async {
        requestor.get().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        echo(&mut requestor).await;
        planned.send(()).unwrap();
        requestor.finish().await
    };
    let serving = async {
        let planning = async {
            planning.await.unwrap();
            cts(0)
        };
        let (mut association, report) = serve_until(acceptor, planning, Pace::default(), pending()).await;
        report.unwrap();
        next(&mut association).await
    };
    let ((response, _), handed_out) = tokio::join!(asking, serving);
    assert_eq!(response.status, Status::SUCCESS);
    assert_eq!(handed_out, (78, "First".to_owned()));
}

#[tokio::test]
async fn what_comes_during_a_move_is_put_off_too() {
    let (mut requestor, mut acceptor) = associate(with_window(8)).await;
    let (listener, port) = moves::listener().await;
    let asking = async {
        ask(&mut requestor, MOVE, &move_rq(77), &identifier("Moved")).await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        loop {
            match response(&mut requestor).await {
                ("C-MOVE", 77, Status::PENDING) => {}
                last => return last,
            }
        }
    };
    let serving = async {
        let Some(Request::Move(context, request, _)) = next_request(&mut acceptor).await.unwrap() else {
            panic!("expected a C-MOVE-RQ");
        };
        let planning = ready(Ok((moves::at(port), vec![moves::cts(1..=2)])));
        let pace = Pace::default();
        let report = c_move::scp::answer(&mut acceptor, &context, &request, planning, &pace, pending()).await;
        assert_eq!(report.unwrap().unwrap().sub_operations.completed, 2);
        next(&mut acceptor).await
    };
    let (last, handed_out, _) = tokio::join!(asking, serving, moves::take_all(&listener));
    assert_eq!(last, ("C-MOVE", 77, Status::SUCCESS));
    assert_eq!(handed_out, (78, "First".to_owned()));
}

/// A peer that sends the command of a C-FIND in the midst of its C-GET, and the identifier when it has the answer.
async fn with_late_identifier(
    planning: impl Future<Output = Shelf>,
    stop: impl Future<Output = ()> + Send,
) -> (Option<u16>, (u16, String)) {
    let (mut peer, ours) = pipe();
    let (get, find, explicit) =
        (uids::STUDY_ROOT_GET, uids::STUDY_ROOT_FIND, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let syntaxes = &[explicit.as_str()][..];
    let contexts = [(1, get.as_str(), syntaxes), (7, find.as_str(), syntaxes)];
    let asking = async {
        peer.send(&associate_rq("ACCEPTOR", "REQUESTOR", &contexts, &item(0x53, &[0, 8, 0, 8]))).await;
        peer.expect(pdu_type::ASSOCIATE_AC).await;
        let command = |class: &str, field, id| {
            command_set(&[
                (0x0002, Field::Uid(class)),
                (0x0100, Field::Number(field)),
                (0x0110, Field::Number(id)),
                (0x0700, Field::Number(0)),
                (0x0800, Field::Number(0)),
            ])
        };
        peer.send(&p_data_command(1, true, &command(get.as_str(), 0x0010, 77))).await;
        peer.send(&p_data_data_set(1, true, &identifier("Got"))).await;
        peer.send(&p_data_command(7, true, &command(find.as_str(), 0x0020, 78))).await;
        let identifier = identifier("Late");
        let (beginning, rest) = identifier.split_at(6);
        peer.send(&p_data_data_set(7, false, beginning)).await;
        let (_, response, _) = peer.expect_command().await;
        peer.send(&p_data_data_set(7, true, rest)).await;
        command_number(&response, 0x0900)
    };
    let serving = async {
        let incoming = Incoming::new(Box::new(ours), None, Timeouts::default());
        let acceptor = incoming.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap();
        let (mut association, _) = serve_until(acceptor, planning, Pace::default(), stop).await;
        next(&mut association).await
    };
    tokio::join!(asking, serving)
}

#[tokio::test]
async fn an_identifier_that_does_not_come_yet_holds_up_nothing() {
    let planning = async {
        soon().await;
        cts(0)
    };
    let (status, handed_out) = with_late_identifier(planning, pending()).await;
    assert_eq!(status, Some(Status::SUCCESS.code()));
    assert_eq!(handed_out, (78, "Late".to_owned()));
}

#[tokio::test]
async fn a_stop_is_seen_while_an_identifier_is_to_come() {
    let (status, _) = with_late_identifier(pending(), soon()).await;
    assert_eq!(status, Some(Status::UNABLE_TO_PERFORM_SUB_OPERATIONS.code()));
}

#[tokio::test]
async fn a_release_meanwhile_ends_it_whatever_is_put_off() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        ask(&mut requestor, FIND, &find_rq(78), &identifier("First")).await;
        let _ = requestor.association.release().await;
    };
    let serving = async {
        let (association, report) = serve_until(acceptor, pending(), Pace::default(), pending()).await;
        association.abort().await;
        report
    };
    let ((), report) = tokio::join!(asking, serving);
    assert!(matches!(report, Err(dicomet_net::Error::ReleasedByPeer)), "{report:?}");
}

#[tokio::test]
async fn each_of_several_retrieves_has_its_turn() {
    let (mut requestor, acceptor) = associate(with_window(8)).await;
    let asking = async {
        requestor.get().await;
        for id in [78, 79] {
            ask(&mut requestor, GET, &get_rq(id), &identifier("Again")).await;
        }
        let mut ended = Vec::new();
        for _ in 0..3 {
            requestor.take(Status::SUCCESS).await;
            ended.push(requestor.finish().await.0.message_id.0);
        }
        ended
    };
    let serving = async {
        let mut association = acceptor;
        for _ in 0..3 {
            let (back, report) = serve_until(association, ready(cts(1)), Pace::default(), pending()).await;
            report.unwrap();
            association = back;
        }
    };
    let (ended, ()) = tokio::join!(asking, serving);
    assert_eq!(ended, [77, 78, 79]);
}
