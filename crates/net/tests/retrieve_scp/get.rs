//! C-GET as transcripts: our acceptor at one end of a pipe, a requestor that does
//! as the test says at the other.

use std::future::{Future, pending, ready};
use std::time::Duration;

use dicomet_net::accept::Incoming;
use dicomet_net::association::{Data, Message, Received, Timeouts};
use dicomet_net::service::sub_operations::{Pace, Report};
use dicomet_net::service::{Request, c_get, next_request};
use dicomet_net::{Association, Error, connect};
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::{Proposal, Willing, first_proposed};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CCancelRq, CEchoRq, CGetRq, CGetRsp, CStoreRq, CStoreRsp, Command, Counters, DataSetType, MessageId,
    Priority, Status,
};
use dicomet_proto::pdu::{AsyncOperationsWindow, RoleSelection};
use dicomet_proto::{AeTitle, Uid};

use crate::shelf::{Content, Shelf, cts};

const GET: ContextId = ContextId::new(1).unwrap();
const VERIFICATION: ContextId = ContextId::new(5).unwrap();
pub(crate) const GET_ID: MessageId = MessageId(77);

// The acceptor's side.

/// Answers the one C-GET that comes, and gives the association back.
pub(crate) async fn serve(
    association: Association,
    shelf: Shelf,
    pace: Pace,
) -> (Association, Result<Report, Error>) {
    let (association, report) = serve_until(association, ready(shelf), pace, pending()).await;
    (association, report.map(|report| report.unwrap()))
}

/// As [`serve`], with planning that may take its time, until something stops it.
pub(crate) async fn serve_until(
    mut association: Association,
    planning: impl Future<Output = Shelf>,
    pace: Pace,
    stop: impl Future<Output = ()> + Send,
) -> (Association, Result<Option<Report>, Error>) {
    let Some(Request::Get(context, request, _)) = next_request(&mut association).await.unwrap() else {
        panic!("expected a C-GET-RQ");
    };
    let planning = async { Ok(planning.await) };
    let report = c_get::scp::answer(&mut association, &context, &request, planning, &pace, stop).await;
    (association, report)
}

fn every_pending() -> Pace {
    Pace { pending_interval: Duration::ZERO, ..Pace::default() }
}

// The requestor's side.

/// GET on 1, CT Image Storage on 3, Verification on 5.
pub(crate) fn proposal(window: Option<u16>, scp: bool) -> Proposal {
    let syntaxes = || vec![uids::EXPLICIT_VR_LITTLE_ENDIAN];
    Proposal {
        role_selections: if scp {
            vec![RoleSelection { sop_class_uid: uids::CT_IMAGE_STORAGE, scu: false, scp: true }]
        } else {
            Vec::new()
        },
        async_operations_window: window.map(|performed| AsyncOperationsWindow { invoked: 1, performed }),
        ..Proposal::new(
            AeTitle::new("REQUESTOR").unwrap(),
            AeTitle::new("ACCEPTOR").unwrap(),
            vec![
                (uids::STUDY_ROOT_GET, syntaxes()),
                (uids::CT_IMAGE_STORAGE, syntaxes()),
                (uids::VERIFICATION, syntaxes()),
            ],
        )
    }
}

pub(crate) async fn associate(proposal: Proposal) -> (Requestor, Association) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let timeouts = Timeouts::default();
    let acceptor = async {
        let incoming = Incoming::new(Box::new(theirs), None, Timeouts::default());
        incoming.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap()
    };
    let (requestor, acceptor) = tokio::join!(connect::request(Box::new(ours), proposal, &timeouts), acceptor);
    (Requestor { association: requestor.unwrap() }, acceptor)
}

/// A requestor, step by step.
pub(crate) struct Requestor {
    pub(crate) association: Association,
}

impl Requestor {
    pub(crate) async fn get(&mut self) {
        let mut identifier = DataSet::new();
        identifier.set_text(Tag(0x0008, 0x0052), "STUDY");
        identifier.set_text(Tag(0x0020, 0x000D), "1.2.3");
        let identifier = identifier.encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let request = Command::CGetRq(CGetRq {
            message_id: GET_ID,
            affected_sop_class_uid: uids::STUDY_ROOT_GET,
            priority: Priority::Medium,
        });
        self.association.send(GET, &request, Data::Bytes(&identifier)).await.unwrap();
        self.association.flush().await.unwrap();
    }

    pub(crate) async fn message(&mut self) -> Message {
        match self.association.receive().await.unwrap() {
            Received::Message(message) => message,
            Received::ReleaseRequested => panic!("unexpected release"),
        }
    }

    /// The next C-STORE-RQ with its data set; Pending responses are passed over.
    pub(crate) async fn store_rq(&mut self) -> (Message, CStoreRq, Vec<u8>) {
        loop {
            let message = self.message().await;
            match &message.command {
                Command::CStoreRq(request) => {
                    let request = request.clone();
                    let data = self.association.receive_data_whole(1 << 20).await.unwrap().unwrap();
                    return (message, request, data);
                }
                Command::CGetRsp(response) if response.status == Status::PENDING => {}
                other => panic!("expected a C-STORE-RQ, got {other:?}"),
            }
        }
    }

    pub(crate) async fn store_rsp(&mut self, context_id: ContextId, request: &CStoreRq, status: Status) {
        let response = Command::CStoreRsp(CStoreRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            affected_sop_instance_uid: Some(request.affected_sop_instance_uid.clone()),
            status,
            error_comment: None,
            offending_elements: Vec::new(),
        });
        self.association.send(context_id, &response, Data::None).await.unwrap();
        self.association.flush().await.unwrap();
    }

    /// Takes one instance and answers with a status.
    pub(crate) async fn take(&mut self, status: Status) -> String {
        let (message, request, _) = self.store_rq().await;
        self.store_rsp(message.context_id, &request, status).await;
        request.affected_sop_instance_uid.to_string()
    }

    pub(crate) async fn cancel(&mut self, message_id: MessageId) {
        let cancel = Command::CCancelRq(CCancelRq { message_id });
        self.association.send(GET, &cancel, Data::None).await.unwrap();
        self.association.flush().await.unwrap();
    }

    /// The final response with the list of what failed; Pending responses are passed over.
    pub(crate) async fn finish(&mut self) -> (CGetRsp, Vec<String>) {
        loop {
            let Command::CGetRsp(response) = self.message().await.command else {
                panic!("expected a C-GET-RSP");
            };
            if response.status == Status::PENDING {
                continue;
            }
            let failed = if response.identifier == DataSetType::Present {
                let data = self.association.receive_data_whole(1 << 20).await.unwrap().unwrap();
                let list = DataSet::parse(&data, &uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
                list.texts(Tag(0x0008, 0x0058))
            } else {
                Vec::new()
            };
            return (response, failed);
        }
    }
}

pub(crate) fn counters(remaining: Option<u16>, completed: u16, failed: u16, warning: u16) -> Counters {
    Counters { remaining, completed: Some(completed), failed: Some(failed), warning: Some(warning) }
}

// The transcripts.

#[tokio::test]
async fn every_instance_arrives_whole_and_success_says_how_many() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        for number in 1..=5 {
            let (message, request, data) = requestor.store_rq().await;
            assert_eq!(data, vec![number; 1000]);
            requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        }
        requestor.finish().await
    };
    let ((response, failed), (_, report)) = tokio::join!(asking, serve(acceptor, cts(5), Pace::default()));
    assert_eq!((response.status, response.message_id), (Status::SUCCESS, GET_ID));
    assert_eq!(response.counters, counters(None, 5, 0, 0));
    assert_eq!(failed, [""; 0]);
    let report = report.unwrap();
    assert_eq!((report.bytes, report.most_outstanding), (5000, 1));
}

#[tokio::test]
async fn nothing_to_send_is_success_with_zeros() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.finish().await
    };
    let ((response, _), _) = tokio::join!(asking, serve(acceptor, cts(0), Pace::default()));
    assert_eq!(response.status, Status::SUCCESS);
    assert_eq!(response.counters, counters(None, 0, 0, 0));
}

#[tokio::test]
async fn pending_counts_down_and_has_no_identifier() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        let mut pending = Vec::new();
        loop {
            let message = requestor.message().await;
            match message.command {
                Command::CStoreRq(request) => {
                    requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
                }
                Command::CGetRsp(response) if response.status == Status::PENDING => {
                    assert_eq!(response.identifier, DataSetType::Null);
                    pending.push(response.counters);
                }
                _ => return pending,
            }
        }
    };
    let (pending, _) = tokio::join!(asking, serve(acceptor, cts(3), every_pending()));
    assert_eq!(pending, [counters(Some(2), 1, 0, 0), counters(Some(1), 2, 0, 0)]);
}

#[tokio::test]
async fn a_window_of_16_has_16_outstanding_and_takes_responses_in_any_order() {
    let (mut requestor, acceptor) = associate(proposal(Some(16), true)).await;
    let asking = async {
        requestor.get().await;
        let mut waiting = Vec::new();
        for _ in 0..16 {
            let (message, request, _) = requestor.store_rq().await;
            waiting.push((message.context_id, request));
        }
        for (context_id, request) in waiting.into_iter().rev() {
            requestor.store_rsp(context_id, &request, Status::SUCCESS).await;
        }
        for _ in 16..40 {
            requestor.take(Status::SUCCESS).await;
        }
        requestor.finish().await
    };
    let ((response, _), (_, report)) = tokio::join!(asking, serve(acceptor, cts(40), Pace::default()));
    assert_eq!(response.status, Status::SUCCESS);
    assert_eq!(response.counters, counters(None, 40, 0, 0));
    assert_eq!(report.unwrap().most_outstanding, 16);
}

#[tokio::test]
async fn cancel_during_sub_operations_reports_what_was_sent_and_what_was_not() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.take(Status::SUCCESS).await;
        requestor.take(Status::UNABLE_TO_PROCESS).await;
        let (message, request, _) = requestor.store_rq().await;
        requestor.cancel(MessageId(1234)).await; // of nothing: ignored
        requestor.cancel(GET_ID).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(10), Pace::default()));
    assert_eq!(response.status, Status::CANCEL);
    assert_eq!(response.counters, counters(Some(7), 2, 1, 0));
    assert_eq!(failed, ["1.2.2"]);
}

#[tokio::test]
async fn refused_instances_are_counted_and_listed() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        for status in [0x0000, 0xA700, 0xB000, 0xC000] {
            requestor.take(Status::new(status)).await;
        }
        requestor.finish().await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(4), Pace::default()));
    assert_eq!(response.status, Status::WARNING);
    assert_eq!(response.counters, counters(None, 1, 2, 1));
    assert_eq!(failed, ["1.2.2", "1.2.4"]);
}

#[tokio::test]
async fn a_response_of_another_instance_is_no_success() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        let other = Uid::from_static("1.2.2");
        let request = CStoreRq { affected_sop_instance_uid: other, ..request };
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.take(Status::SUCCESS).await;
        requestor.finish().await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(2), Pace::default()));
    assert_eq!((response.status, response.counters), (Status::WARNING, counters(None, 1, 1, 0)));
    assert_eq!(failed, ["1.2.1"]);
}

#[tokio::test]
async fn when_all_fail_the_final_status_is_a_failure() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        for _ in 0..3 {
            requestor.take(Status::OUT_OF_RESOURCES).await;
        }
        requestor.finish().await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(3), Pace::default()));
    assert_eq!(response.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.counters, counters(None, 0, 3, 0));
    assert_eq!(failed, ["1.2.1", "1.2.2", "1.2.3"]);
}

#[tokio::test]
async fn an_instance_without_context_or_in_another_syntax_or_unreadable_fails_alone() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let mut shelf = cts(5);
    shelf.instances[0].instance.sop_class = uids::MR_IMAGE_STORAGE;
    shelf.instances[2].instance.transfer_syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    shelf.instances[3].content = Content::Unreadable;
    let asking = async {
        requestor.get().await;
        assert_eq!(requestor.take(Status::SUCCESS).await, "1.2.2");
        assert_eq!(requestor.take(Status::SUCCESS).await, "1.2.5");
        requestor.finish().await
    };
    let ((response, failed), (_, report)) = tokio::join!(asking, serve(acceptor, shelf, Pace::default()));
    assert_eq!(response.status, Status::WARNING);
    assert_eq!(response.counters, counters(None, 2, 3, 0));
    assert_eq!(failed, ["1.2.1", "1.2.3", "1.2.4"]);
    let report = report.unwrap();
    assert_eq!((report.without_context, report.unreadable), (2, 1));
}

#[tokio::test]
async fn without_the_scp_role_nothing_is_sent() {
    let (mut requestor, acceptor) = associate(proposal(None, false)).await;
    let asking = async {
        requestor.get().await;
        requestor.finish().await
    };
    let ((response, failed), _) = tokio::join!(asking, serve(acceptor, cts(2), Pace::default()));
    assert_eq!(response.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
    assert_eq!(response.counters, counters(None, 0, 2, 0));
    assert_eq!(failed, ["1.2.1", "1.2.2"]);
}

#[tokio::test]
async fn a_peer_that_aborts_ends_it() {
    let (mut requestor, acceptor) = associate(proposal(Some(4), true)).await;
    let asking = async {
        requestor.get().await;
        requestor.store_rq().await;
        requestor.association.abort().await;
    };
    let ((), (_, report)) = tokio::join!(asking, serve(acceptor, cts(100), Pace::default()));
    assert!(
        matches!(report, Err(Error::Aborted(_) | Error::ConnectionClosed | Error::Transport(_))),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_peer_that_releases_in_the_middle_ends_it() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        requestor.store_rq().await;
        let _ = requestor.association.release().await;
    };
    let serving = async {
        let (association, report) = serve(acceptor, cts(100), Pace::default()).await;
        association.abort().await;
        report
    };
    let ((), report) = tokio::join!(asking, serving);
    assert!(matches!(report, Err(Error::ReleasedByPeer)), "{report:?}");
}

#[tokio::test]
async fn a_peer_that_never_answers_a_sub_operation_is_not_waited_for_for_ever() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let pace = Pace { response: Duration::from_millis(30), ..Pace::default() };
    let asking = async {
        requestor.get().await;
        requestor.store_rq().await;
        requestor.association.receive().await
    };
    let (ended, (_, report)) = tokio::join!(asking, serve(acceptor, cts(3), pace));
    assert!(matches!(report, Err(Error::TimedOut { .. })), "{report:?}");
    assert!(matches!(ended, Err(Error::Aborted(_))), "{ended:?}");
}

#[tokio::test]
async fn a_pace_without_limits_is_kept() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let pace = Pace {
        pending_interval: Duration::MAX,
        keep_alive: Duration::MAX,
        response: Duration::MAX,
        cancel_grace: Duration::MAX,
        stop_grace: Duration::MAX,
        ..Pace::default()
    };
    let asking = async {
        requestor.get().await;
        requestor.take(Status::SUCCESS).await;
        let (message, request, _) = requestor.store_rq().await;
        requestor.cancel(GET_ID).await;
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await.0
    };
    let (response, _) = tokio::join!(asking, serve(acceptor, cts(3), pace));
    assert_eq!((response.status, response.counters), (Status::CANCEL, counters(Some(1), 2, 0, 0)));
}

#[tokio::test]
async fn a_peer_that_floods_us_with_responses_to_nothing_is_aborted() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        let MessageId(id) = request.message_id;
        let stray = Command::CStoreRsp(CStoreRsp {
            message_id: MessageId(id + 1),
            affected_sop_class_uid: None,
            affected_sop_instance_uid: None,
            status: Status::SUCCESS,
            error_comment: None,
            offending_elements: Vec::new(),
        });
        while requestor.association.send(message.context_id, &stray, Data::None).await.is_ok() {}
    };
    let ((), (_, report)) = tokio::join!(asking, serve(acceptor, cts(1), Pace::default()));
    assert!(matches!(report, Err(Error::PeerMisbehaved { .. })), "{report:?}");
}

#[tokio::test]
async fn an_echo_meanwhile_is_answered_and_another_get_is_refused() {
    let (mut requestor, acceptor) = associate(proposal(None, true)).await;
    let asking = async {
        requestor.get().await;
        let (message, request, _) = requestor.store_rq().await;
        let echo = CEchoRq { message_id: MessageId(78), affected_sop_class_uid: uids::VERIFICATION };
        requestor.association.send(VERIFICATION, &Command::CEchoRq(echo), Data::None).await.unwrap();
        let Command::CEchoRsp(response) = requestor.message().await.command else {
            panic!("expected a C-ECHO-RSP");
        };
        assert_eq!(response.status, Status::SUCCESS);
        let again = CGetRq {
            message_id: MessageId(79),
            affected_sop_class_uid: uids::STUDY_ROOT_GET,
            priority: Priority::Medium,
        };
        requestor.association.send(GET, &Command::CGetRq(again), Data::Bytes(&[])).await.unwrap();
        let (refused, _) = requestor.finish().await;
        assert_eq!(refused.message_id, MessageId(79));
        assert_eq!(refused.status, Status::UNABLE_TO_PERFORM_SUB_OPERATIONS);
        requestor.store_rsp(message.context_id, &request, Status::SUCCESS).await;
        requestor.finish().await
    };
    let ((response, _), _) = tokio::join!(asking, serve(acceptor, cts(1), Pace::default()));
    assert_eq!((response.status, response.message_id), (Status::SUCCESS, GET_ID));
}
