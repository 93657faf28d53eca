#![allow(clippy::unwrap_used)]

use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::command_set::UnknownCommand;
use dicomet_proto::message::{
    CCancelRq, CEchoRq, CEchoRsp, CFindRq, CFindRsp, CStoreRq, Command, DataSetType, MessageId, NActionRq,
    Priority, Refusal, Status,
};
use dicomet_proto::pdu::{AbortReason, AbortSource};
use dicomet_proto::query::{Level, Model, Query};

use super::*;
use crate::association::Data;
use crate::testing::{message, pair, requestor_alone};

const PIPE: usize = 64 * 1024;
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);

fn context_id(id: u8) -> ContextId {
    ContextId::new(id).unwrap()
}

fn unknown(command_field: u16, message_id: Option<u16>, status: Option<Status>) -> Command {
    let message_id = message_id.map(MessageId);
    Command::Unknown(UnknownCommand { command_field, message_id, data_set_type: DataSetType::Null, status })
}

fn find_rsp(message_id: MessageId, status: Status, identifier: DataSetType) -> Command {
    Command::CFindRsp(CFindRsp {
        message_id,
        affected_sop_class_uid: None,
        status,
        identifier,
        error_comment: None,
        offending_elements: Vec::new(),
    })
}

fn patient(number: usize) -> DataSet {
    let mut identifier = DataSet::new();
    identifier.set_text(PATIENT_NAME, &format!("Doe^{number}"));
    identifier
}

/// Serves C-ECHO until the peer releases.
async fn serve_echo(mut association: Association) {
    while let Some(request) = next_request(&mut association).await.unwrap() {
        match request {
            Request::Echo(context, request) => {
                c_echo::answer(&mut association, &context, &request).await.unwrap();
            }
            other => panic!("{other:?} instead of an echo"),
        }
    }
    association.respond_release().await.unwrap();
}

#[tokio::test]
async fn echo_is_answered_and_release_ends_the_requests() {
    let (mut requestor, acceptor) = pair(PIPE).await;
    let ask = async {
        for _ in 0..3 {
            assert_eq!(c_echo::echo(&mut requestor).await.unwrap(), Status::SUCCESS);
        }
        requestor.release().await.unwrap();
    };
    tokio::join!(ask, serve_echo(acceptor));
}

#[tokio::test]
async fn what_is_no_request_is_dealt_with_and_the_association_goes_on() {
    let (mut requestor, acceptor) = pair(PIPE).await;
    let ask = async {
        // A cancel of nothing, a response to nothing: neither has an answer.
        let cancel = Command::CCancelRq(CCancelRq { message_id: MessageId(77) });
        requestor.send(context_id(3), &cancel, Data::None).await.unwrap();
        let stray = find_rsp(MessageId(77), Status::SUCCESS, DataSetType::Null);
        requestor.send(context_id(3), &stray, Data::None).await.unwrap();
        // N-GET, N-SET, N-CREATE, N-DELETE.
        for service in [0x0110, 0x0120, 0x0140, 0x0150] {
            requestor.send(context_id(5), &unknown(service, Some(5), None), Data::None).await.unwrap();
            let answer = message(&mut requestor).await.command;
            assert_eq!(answer, unknown(service | 0x8000, Some(5), Some(Status::UNRECOGNIZED_OPERATION)));
        }
        // N-ACTION on a storage context; its data set is passed over.
        let action = Command::NActionRq(NActionRq {
            message_id: MessageId(5),
            requested_sop_class_uid: uids::CT_IMAGE_STORAGE,
            requested_sop_instance_uid: Uid::from_static("1.2.3"),
            action_type_id: 1,
            action_information: DataSetType::Present,
        });
        requestor.send(context_id(5), &action, Data::Bytes(&[0; 100_000])).await.unwrap();
        match message(&mut requestor).await.command {
            Command::NActionRsp(response) => assert_eq!(response.status, Status::UNRECOGNIZED_OPERATION),
            other => panic!("{other:?}"),
        }
        // A C-STORE-RQ without its arguments.
        requestor.send(context_id(5), &unknown(0x0001, Some(6), None), Data::None).await.unwrap();
        match message(&mut requestor).await.command {
            Command::CStoreRsp(response) => {
                assert_eq!(response.message_id, MessageId(6));
                assert_eq!(response.status, Status::MISTYPED_ARGUMENT);
            }
            other => panic!("{other:?}"),
        }
        // A SOP class that is not the context's; its data set is passed over.
        let store = Command::CStoreRq(CStoreRq {
            message_id: MessageId(7),
            affected_sop_class_uid: uids::MR_IMAGE_STORAGE,
            affected_sop_instance_uid: Uid::from_static("1.2.3"),
            priority: Priority::Medium,
            move_originator: None,
        });
        requestor.send(context_id(5), &store, Data::Bytes(&[0; 100_000])).await.unwrap();
        match message(&mut requestor).await.command {
            Command::CStoreRsp(response) => assert_eq!(response.status, Status::SOP_CLASS_NOT_SUPPORTED),
            other => panic!("{other:?}"),
        }
        assert_eq!(c_echo::echo(&mut requestor).await.unwrap(), Status::SUCCESS);
        requestor.release().await.unwrap();
    };
    tokio::join!(ask, serve_echo(acceptor));
}

#[tokio::test]
async fn a_peer_that_only_sends_responses_is_aborted_in_the_end() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let flood = async {
        let stray = find_rsp(MessageId(1), Status::SUCCESS, DataSetType::Null);
        while requestor.send(context_id(3), &stray, Data::None).await.is_ok() {}
    };
    let (request, ()) = tokio::join!(next_request(&mut acceptor), flood);
    assert!(matches!(request, Err(Error::PeerMisbehaved { .. })));
}

#[tokio::test]
async fn what_has_no_message_id_to_answer_by_ends_the_association() {
    // N-CREATE without a Message ID; C-CANCEL, which has no response, with one in place of that of its operation.
    for command in [unknown(0x0140, None, None), unknown(CCancelRq::COMMAND_FIELD, Some(9), None)] {
        let (mut requestor, mut acceptor) = pair(PIPE).await;
        requestor.send(context_id(5), &command, Data::None).await.unwrap();
        let (request, answer) = tokio::join!(next_request(&mut acceptor), requestor.receive());
        assert!(matches!(request, Err(Error::PeerMisbehaved { .. })), "{request:?}");
        let Err(Error::Aborted(abort)) = answer else { panic!("{answer:?}") };
        assert_eq!(abort.source, AbortSource::ServiceProvider(AbortReason::InvalidPduParameterValue));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_requests_is_patient_but_not_for_ever() {
    let (_requestor, mut acceptor) = pair(PIPE).await;
    let idle = acceptor.timeouts().idle;
    let early = tokio::time::timeout(idle - Duration::from_secs(1), next_request(&mut acceptor)).await;
    assert!(early.is_err());
    let error = next_request(&mut acceptor).await.unwrap_err();
    assert_eq!(error.to_string(), "the peer did not send a request within 600 s");
}

#[tokio::test]
async fn an_answer_to_another_echo_is_no_answer() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let answer = async {
        message(&mut acceptor).await;
        let response = Command::CEchoRsp(CEchoRsp {
            message_id: MessageId(99),
            affected_sop_class_uid: None,
            status: Status::SUCCESS,
        });
        acceptor.send(context_id(1), &response, Data::None).await.unwrap();
        acceptor.receive().await.unwrap_err()
    };
    let (status, error) = tokio::join!(c_echo::echo(&mut requestor), answer);
    assert!(matches!(status, Err(Error::PeerMisbehaved { .. })));
    assert!(matches!(error, Error::Aborted(_)));
}

#[tokio::test]
async fn a_store_returns_the_status_of_the_peer() {
    let (mut requestor, mut acceptor) = pair(1000).await;
    let bytes = [7; 10_000];
    let (class, instance) = (uids::CT_IMAGE_STORAGE, Uid::from_static("1.2.3"));
    let mut outcomes = [Ok(()), Err(Refusal::new(Status::OUT_OF_RESOURCES, "disk full"))].into_iter();
    let serve = async {
        for outcome in outcomes.by_ref() {
            let Some(Request::Store(context, request)) = next_request(&mut acceptor).await.unwrap() else {
                panic!("no C-STORE-RQ");
            };
            assert_eq!(request.affected_sop_instance_uid, instance);
            assert!(acceptor.receive_data_whole(usize::MAX).await.unwrap().unwrap() == bytes);
            c_store::scp::answer(&mut acceptor, &context, &request, outcome).await.unwrap();
        }
        acceptor.flush().await.unwrap();
    };
    let store = async {
        for status in [Status::SUCCESS, Status::OUT_OF_RESOURCES] {
            let mut source = &bytes[..];
            let answer =
                c_store::scu::store(&mut requestor, context_id(5), &class, &instance, &mut source).await;
            assert_eq!(answer.unwrap(), status);
        }
    };
    tokio::join!(store, serve);
}

#[tokio::test]
async fn matches_arrive_one_by_one_and_the_end_tells_of_unsupported_keys() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let serve = async {
        let Some(Request::Find(context, request, identifier)) = next_request(&mut acceptor).await.unwrap()
        else {
            panic!("no C-FIND-RQ");
        };
        assert_eq!(identifier.unwrap().text(PATIENT_NAME).as_deref(), Some("Doe*"));
        let mut answer = c_find::scp::Answer::new(&mut acceptor, &context, &request);
        for number in 0..500 {
            let status = if number == 7 { Status::PENDING_UNSUPPORTED_KEYS } else { Status::PENDING };
            assert!(answer.pending(&patient(number), status).await.unwrap());
        }
        answer.finish(Ok(())).await.unwrap();
    };
    let ask = async {
        let query = Query::new(Model::StudyRoot, Level::Study).key("PatientName=Doe*").unwrap();
        let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
        let mut number = 0;
        while let Some(identifier) = find.next().await.unwrap() {
            assert_eq!(identifier.text(PATIENT_NAME), Some(format!("Doe^{number}")));
            number += 1;
        }
        assert_eq!(number, 500);
        let end = find.finish().await.unwrap();
        assert_eq!((end.status, end.unsupported_keys), (Status::SUCCESS, true));
    };
    tokio::join!(ask, serve);
}

/// Takes a C-FIND-RQ and sends matches until it is cancelled.
async fn answer_find_until_cancelled(acceptor: &mut Association) {
    let Some(Request::Find(context, request, _)) = next_request(acceptor).await.unwrap() else {
        panic!("no C-FIND-RQ");
    };
    let mut answer = c_find::scp::Answer::new(acceptor, &context, &request);
    let mut sent = 0;
    while answer.pending(&patient(sent), Status::PENDING).await.unwrap() {
        sent += 1;
        tokio::task::yield_now().await;
    }
    answer.finish(Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_find_ends_with_exactly_one_final_response() {
    let (mut requestor, mut acceptor) = pair(1000).await;
    let serve = async {
        answer_find_until_cancelled(&mut acceptor).await;
        serve_echo(acceptor).await;
    };
    let ask = async {
        let query = Query::new(Model::StudyRoot, Level::Study);
        let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
        for _ in 0..3 {
            find.next().await.unwrap().unwrap();
        }
        find.cancel().await.unwrap();
        assert_eq!(find.finish().await.unwrap().status, Status::CANCEL);
        // A second final response would stand in the way of this.
        assert_eq!(c_echo::echo(&mut requestor).await.unwrap(), Status::SUCCESS);
        requestor.release().await.unwrap();
    };
    tokio::join!(ask, serve);
}

#[tokio::test]
async fn what_comes_during_a_find_waits_for_its_end_and_the_cancel_behind_it_is_seen() {
    let (mut requestor, mut acceptor) = pair(1000).await;
    let find_rq = |id| {
        Command::CFindRq(CFindRq {
            message_id: MessageId(id),
            affected_sop_class_uid: uids::STUDY_ROOT_FIND,
            priority: Priority::Medium,
        })
    };
    let serve = async {
        answer_find_until_cancelled(&mut acceptor).await;
        let Some(Request::Find(context, request, identifier)) = next_request(&mut acceptor).await.unwrap()
        else {
            panic!("no second C-FIND-RQ");
        };
        assert_eq!(identifier.unwrap().text(PATIENT_NAME).as_deref(), Some("Doe^2"));
        c_find::scp::Answer::new(&mut acceptor, &context, &request).finish(Ok(())).await.unwrap();
        serve_echo(acceptor).await;
    };
    let ask = async {
        for id in [1, 2] {
            let identifier = patient(id.into()).encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
            requestor.send(context_id(3), &find_rq(id), Data::Bytes(&identifier)).await.unwrap();
        }
        let echo = CEchoRq { message_id: MessageId(3), affected_sop_class_uid: uids::VERIFICATION };
        requestor.send(context_id(1), &Command::CEchoRq(echo), Data::None).await.unwrap();
        let cancel = Command::CCancelRq(CCancelRq { message_id: MessageId(1) });
        requestor.send(context_id(3), &cancel, Data::None).await.unwrap();
        let mut ended = Vec::new();
        while ended.len() < 3 {
            match message(&mut requestor).await.command {
                Command::CFindRsp(response) if response.status == Status::PENDING => {}
                Command::CFindRsp(response) => ended.push((response.message_id.0, response.status)),
                Command::CEchoRsp(response) => ended.push((response.message_id.0, response.status)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ended, [(1, Status::CANCEL), (2, Status::SUCCESS), (3, Status::SUCCESS)]);
        requestor.release().await.unwrap();
    };
    tokio::join!(ask, serve);
}

#[tokio::test]
async fn odd_shapes_of_find_responses_are_tolerated() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let serve = async {
        let Command::CFindRq(CFindRq { message_id, .. }) = message(&mut acceptor).await.command else {
            panic!("no C-FIND-RQ");
        };
        let identifier = patient(1).encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let mut send = async |status, data: Data<'_>| {
            let has = if matches!(data, Data::None) { DataSetType::Null } else { DataSetType::Present };
            acceptor.send(context_id(3), &find_rsp(message_id, status, has), data).await.unwrap();
        };
        // Pending without an identifier; then a match; then a final response of no known status with one.
        send(Status::PENDING, Data::None).await;
        send(Status::PENDING, Data::Bytes(&identifier)).await;
        send(Status::new(0x1234), Data::Bytes(&identifier)).await;
        serve_echo(acceptor).await;
    };
    let ask = async {
        let query = Query::new(Model::StudyRoot, Level::Study);
        let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
        assert!(find.next().await.unwrap().is_some());
        assert!(find.next().await.unwrap().is_none());
        assert_eq!(find.finish().await.unwrap().status, Status::new(0x1234));
        assert_eq!(c_echo::echo(&mut requestor).await.unwrap(), Status::SUCCESS);
        requestor.release().await.unwrap();
    };
    tokio::join!(ask, serve);
}

#[tokio::test]
async fn a_match_is_not_lost_when_the_wait_for_it_is_dropped_in_the_middle() {
    let (mut requestor, mut acceptor) = pair(1000).await;
    // More than one P-DATA-TF holds.
    let (tag, text) = (Tag(0x0040, 0xA160), "x".repeat(400_000));
    let serve = async {
        let Some(Request::Find(context, request, _)) = next_request(&mut acceptor).await.unwrap() else {
            panic!("no C-FIND-RQ");
        };
        let mut answer = c_find::scp::Answer::new(&mut acceptor, &context, &request);
        let mut identifier = DataSet::new();
        identifier.set_text(tag, &text);
        answer.pending(&identifier, Status::PENDING).await.unwrap();
        answer.finish(Ok(())).await.unwrap();
    };
    let ask = async {
        let query = Query::new(Model::StudyRoot, Level::Study);
        let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
        let found = loop {
            tokio::select! {
                biased;
                found = find.next() => break found.unwrap().unwrap(),
                () = tokio::task::yield_now() => {}
            }
        };
        assert!(found.text(tag).as_deref() == Some(&text));
        assert_eq!(find.next().await.unwrap(), None);
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn an_identifier_that_cannot_be_read_is_handed_up_as_such() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let request = Command::CFindRq(CFindRq {
        message_id: MessageId(1),
        affected_sop_class_uid: uids::STUDY_ROOT_FIND,
        priority: Priority::Medium,
    });
    let garbage = [0x10, 0, 0x10, 0, b'P', b'N', 0xff, 0xff];
    requestor.send(context_id(3), &request, Data::Bytes(&garbage)).await.unwrap();
    let too_long = vec![0; MAX_IDENTIFIER_LENGTH + 1];
    let ask = async {
        requestor.send(context_id(3), &request, Data::Bytes(&too_long)).await.unwrap();
        requestor.flush().await.unwrap();
    };
    let serve = async {
        for _ in 0..2 {
            let request = next_request(&mut acceptor).await.unwrap();
            assert!(matches!(request, Some(Request::Find(_, _, Err(_)))), "{request:?}");
        }
    };
    tokio::join!(ask, serve);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ignores_c_cancel_is_aborted_after_a_grace() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let endless = async {
        let Command::CFindRq(CFindRq { message_id, .. }) = message(&mut acceptor).await.command else {
            panic!("no C-FIND-RQ");
        };
        let pending = find_rsp(message_id, Status::PENDING, DataSetType::Null);
        loop {
            let sent = acceptor.send(context_id(3), &pending, Data::None).await;
            if sent.is_err() || acceptor.flush().await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let ask = async {
        let query = Query::new(Model::StudyRoot, Level::Study);
        let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
        find.cancel().await.unwrap();
        find.finish().await.unwrap_err()
    };
    tokio::select! {
        error = ask => assert_eq!(error.to_string(), "the peer did not stop after C-CANCEL within 60 s"),
        () = endless => {}
    }
}

#[tokio::test]
async fn a_sop_class_that_was_not_accepted_is_named() {
    let (mut requestor, _peer) = requestor_alone(PIPE).await;
    let query = Query::new(Model::PatientRoot, Level::Study);
    let error = c_find::scu::Find::start(&mut requestor, &query).await.unwrap_err().to_string();
    assert!(error.contains("Patient Root"), "{error}");
}

#[tokio::test]
async fn a_release_in_the_middle_of_an_operation_is_answered_and_told() {
    let (mut requestor, mut acceptor) = pair(PIPE).await;
    let peer = async {
        message(&mut acceptor).await;
        acceptor.release().await.unwrap();
    };
    let (status, ()) = tokio::join!(c_echo::echo(&mut requestor), peer);
    assert!(matches!(status, Err(Error::ReleasedByPeer)));
}
