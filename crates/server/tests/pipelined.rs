//! A requestor that was granted an asynchronous operations window and makes its next requests without waiting: each has
//! its turn, and its whole answer.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::VecDeque;
use std::path::Path;

use dicomet_archive::{Archive, Provenance};
use dicomet_net::association::{Data, Received, Timeouts};
use dicomet_net::{Association, connect};
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CCancelRq, CFindRq, CGetRq, CStoreRq, CStoreRsp, Command, MessageId, Priority, Status,
};
use dicomet_proto::pdu::{AsyncOperationsWindow, RoleSelection};
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::instance::Instance;
use dicomet_testkit::peer::pdu_type;

use support::{Running, line, logged};

const STUDY: &str = "2.999.8.0";
const INSTANCES: usize = 5;

/// A study of some instances.
fn fill(data: &Path) {
    let archive = Archive::open(data, dicomet_archive::Settings::default()).unwrap();
    for number in 1..=INSTANCES {
        let uid = format!("{STUDY}.1.{number}");
        let instance = Instance::new(uids::CT_IMAGE_STORAGE.as_str(), &uid)
            .patient("P1", "Bowen^William", "")
            .in_series(STUDY, "2.999.8.0.1");
        let provenance = Provenance {
            sop_class: uids::CT_IMAGE_STORAGE,
            sop_instance: Uid::new(uid).unwrap(),
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            calling_ae_title: None,
        };
        let mut incoming = archive.receive(provenance).unwrap();
        incoming.write(&instance.data_set()).unwrap();
        incoming.commit().unwrap();
    }
}

/// What came, in a few words: a C-STORE-RQ, or a response with Message ID and status.
#[derive(Debug, PartialEq)]
enum Came {
    Store,
    Get(u16, Status),
    Find(u16, Status),
}

struct Requestor {
    association: Association,
    /// C-STORE-RQs that are not answered yet.
    unanswered: VecDeque<(ContextId, CStoreRq)>,
}

impl Requestor {
    async fn associate(server: &Running, calling: &str) -> Requestor {
        let classes = [uids::STUDY_ROOT_GET, uids::STUDY_ROOT_FIND, uids::CT_IMAGE_STORAGE];
        let proposal = Proposal {
            role_selections: vec![RoleSelection {
                sop_class_uid: uids::CT_IMAGE_STORAGE,
                scu: false,
                scp: true,
            }],
            async_operations_window: Some(AsyncOperationsWindow { invoked: 16, performed: 1 }),
            ..Proposal::new(
                AeTitle::new(calling).unwrap(),
                AeTitle::new("ARCHIVE").unwrap(),
                classes.map(|class| (class, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN])).to_vec(),
            )
        };
        let node = format!("ARCHIVE@127.0.0.1:{}", server.port).parse().unwrap();
        let association = connect::connect(&node, proposal, &Timeouts::default()).await.unwrap();
        assert_eq!(association.negotiated().async_operations_window.invoked, 16);
        Requestor { association, unanswered: VecDeque::new() }
    }

    async fn get(&mut self, id: u16) {
        let request = Command::CGetRq(CGetRq {
            message_id: MessageId(id),
            affected_sop_class_uid: uids::STUDY_ROOT_GET,
            priority: Priority::Medium,
        });
        self.ask(&uids::STUDY_ROOT_GET, &request).await;
    }

    async fn find(&mut self, id: u16) {
        let request = Command::CFindRq(CFindRq {
            message_id: MessageId(id),
            affected_sop_class_uid: uids::STUDY_ROOT_FIND,
            priority: Priority::Medium,
        });
        self.ask(&uids::STUDY_ROOT_FIND, &request).await;
    }

    async fn ask(&mut self, class: &Uid, request: &Command) {
        let mut identifier = DataSet::new();
        identifier.set_text(Tag(0x0008, 0x0052), "STUDY");
        identifier.set_text(Tag(0x0020, 0x000D), STUDY);
        let identifier = identifier.encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let context = self.association.context_of(class).unwrap().id;
        self.association.send(context, request, Data::Bytes(&identifier)).await.unwrap();
        self.association.flush().await.unwrap();
    }

    async fn cancel(&mut self, id: u16) {
        let context = self.association.context_of(&uids::STUDY_ROOT_GET).unwrap().id;
        let cancel = Command::CCancelRq(CCancelRq { message_id: MessageId(id) });
        self.association.send(context, &cancel, Data::None).await.unwrap();
        self.association.flush().await.unwrap();
    }

    /// The next of what comes but Pending responses of a C-GET.
    async fn next(&mut self) -> Came {
        loop {
            let Received::Message(message) = self.association.receive().await.unwrap() else {
                panic!("unexpected release")
            };
            return match message.command {
                Command::CStoreRq(request) => {
                    self.unanswered.push_back((message.context_id, request));
                    Came::Store
                }
                Command::CGetRsp(response) if response.status == Status::PENDING => continue,
                Command::CGetRsp(response) => Came::Get(response.message_id.0, response.status),
                Command::CFindRsp(response) => Came::Find(response.message_id.0, response.status),
                other => panic!("unexpected {other:?}"),
            };
        }
    }

    /// Says that what came was stored.
    async fn stored(&mut self) {
        while let Some((context_id, request)) = self.unanswered.pop_front() {
            let response = Command::CStoreRsp(CStoreRsp {
                message_id: request.message_id,
                affected_sop_class_uid: Some(request.affected_sop_class_uid),
                affected_sop_instance_uid: Some(request.affected_sop_instance_uid),
                status: Status::SUCCESS,
                error_comment: None,
                offending_elements: Vec::new(),
            });
            self.association.send(context_id, &response, Data::None).await.unwrap();
        }
        self.association.flush().await.unwrap();
    }

    /// Takes what is left of a C-GET, instances and final response; nothing else may come in between.
    async fn take_all_of(&mut self, id: u16) {
        for _ in self.unanswered.len()..INSTANCES {
            self.stored().await;
            assert_eq!(self.next().await, Came::Store);
        }
        self.stored().await;
        assert_eq!(self.next().await, Came::Get(id, Status::SUCCESS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_made_without_waiting_are_answered_in_their_order_and_completely() {
    let data = tempfile::tempdir().unwrap();
    fill(data.path());
    let server = Running::start(data.path(), |_| ()).await;
    let mut requestor = Requestor::associate(&server, "PIPELINED").await;
    requestor.get(1).await;
    requestor.find(2).await;
    requestor.get(3).await;
    requestor.take_all_of(1).await;
    assert_eq!(requestor.next().await, Came::Find(2, Status::PENDING));
    assert_eq!(requestor.next().await, Came::Find(2, Status::SUCCESS));
    requestor.take_all_of(3).await;
    requestor.association.release().await.unwrap();
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
    line(&["calling=\"PIPELINED\"", "C-FIND answered", "message_id=2", "status=0000"]);
    line(&["calling=\"PIPELINED\"", "association ended", "find=1", "get=2", "refused=0", "end=\"released\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_cancelled_at_once_and_never_begun() {
    let data = tempfile::tempdir().unwrap();
    fill(data.path());
    let server = Running::start(data.path(), |_| ()).await;
    let mut requestor = Requestor::associate(&server, "CANCELLING").await;
    requestor.get(1).await;
    assert_eq!(requestor.next().await, Came::Store);
    requestor.get(2).await;
    requestor.find(3).await;
    requestor.cancel(2).await;
    // The first C-GET is still under way: its instance is not answered yet.
    assert_eq!(requestor.next().await, Came::Get(2, Status::CANCEL));
    requestor.take_all_of(1).await;
    assert_eq!(requestor.next().await, Came::Find(3, Status::PENDING));
    assert_eq!(requestor.next().await, Came::Find(3, Status::SUCCESS));
    requestor.association.release().await.unwrap();
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
    line(&[
        "calling=\"CANCELLING\"",
        "request cancelled before it was begun",
        "service=\"C-GET\"",
        "message_id=2",
    ]);
    line(&["calling=\"CANCELLING\"", "association ended", "find=1", "get=1", "refused=0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_when_the_server_is_to_stop_is_not_begun() {
    let data = tempfile::tempdir().unwrap();
    fill(data.path());
    let server = Running::start(data.path(), |_| ()).await;
    let mut idle = server.associate("IDLE_PIPELINED").await;
    let mut requestor = Requestor::associate(&server, "STOPPED").await;
    requestor.get(1).await;
    assert_eq!(requestor.next().await, Came::Store);
    requestor.find(2).await;
    let (_at_once, serving) = server.stop();
    idle.expect(pdu_type::ABORT).await;
    requestor.take_all_of(1).await;
    assert!(requestor.association.receive().await.is_err());
    serving.await.unwrap();
    assert!(logged(&["calling=\"STOPPED\"", "C-FIND"]).is_empty());
    line(&["calling=\"STOPPED\"", "association ended", "get=1", "end=\"aborted: the archive stops\""]);
}
