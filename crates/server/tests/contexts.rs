//! Requests on presentation contexts that do not allow them, over loopback: refused, whatever they ask for, with nothing
//! done.

#![allow(clippy::unwrap_used)]

mod support;

use dicomet_net::association::{Data, Received, Timeouts};
use dicomet_net::service::{c_echo, c_find, c_store};
use dicomet_net::{Association, connect};
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{CEchoRq, CFindRq, CGetRq, CMoveRq, Command, MessageId, Priority, Status};
use dicomet_proto::query::{Level, Model, Query};
use dicomet_proto::{AeTitle, Uid};
use dicomet_testkit::instance::Instance;

use support::{Running, line, logged};

const STUDY: &str = "2.999.9.0";

/// A SOP class of each purpose but storage, which C-STORE has.
const CLASSES: [Uid; 8] = [
    uids::VERIFICATION,
    uids::STUDY_ROOT_FIND,
    uids::STUDY_ROOT_GET,
    uids::STUDY_ROOT_MOVE,
    uids::MODALITY_WORKLIST_FIND,
    uids::COMPOSITE_INSTANCE_ROOT_GET,
    uids::WITHOUT_BULK_DATA_GET,
    uids::STORAGE_COMMITMENT_PUSH_MODEL,
];

async fn associate(server: &Running, calling: &str) -> Association {
    let classes = CLASSES.into_iter().chain([uids::CT_IMAGE_STORAGE]);
    let proposal = Proposal::new(
        AeTitle::new(calling).unwrap(),
        AeTitle::new("ARCHIVE").unwrap(),
        classes.map(|class| (class, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN])).collect(),
    );
    let node = format!("ARCHIVE@127.0.0.1:{}", server.port).parse().unwrap();
    let association = connect::connect(&node, proposal, &Timeouts::default()).await.unwrap();
    assert_eq!(association.negotiated().contexts.len(), CLASSES.len() + 1);
    association
}

fn context(association: &Association, class: &Uid) -> ContextId {
    association.context_of(class).unwrap().id
}

/// Sends a request, with an identifier that asks for the study if it has one, and gives the status of the response.
async fn ask(association: &mut Association, context: ContextId, request: &Command) -> Status {
    let mut identifier = DataSet::new();
    identifier.set_text(Tag(0x0008, 0x0052), "STUDY");
    identifier.set_text(Tag(0x0020, 0x000D), STUDY);
    let identifier = identifier.encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let data = if matches!(request, Command::CEchoRq(_)) { Data::None } else { Data::Bytes(&identifier) };
    association.send(context, request, data).await.unwrap();
    association.flush().await.unwrap();
    match association.receive().await.unwrap() {
        Received::Message(message) => match message.command {
            Command::CEchoRsp(response) => response.status,
            Command::CFindRsp(response) => response.status,
            Command::CGetRsp(response) => response.status,
            Command::CMoveRsp(response) => response.status,
            other => panic!("unexpected {other:?}"),
        },
        Received::ReleaseRequested => panic!("unexpected release"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_on_a_context_of_another_service() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let mut requestor = associate(&server, "MISPLACED").await;
    for (number, class) in CLASSES.iter().enumerate() {
        let uid = format!("{STUDY}.{number}");
        let instance = Instance::new(class.as_str(), &uid).in_series(STUDY, "2.999.9.0.1");
        let bytes = instance.data_set();
        let context = context(&requestor, class);
        let uid = Uid::new(uid).unwrap();
        let status = c_store::scu::store(&mut requestor, context, class, &uid, &mut &bytes[..]).await;
        assert_eq!(status.unwrap(), Status::UNRECOGNIZED_OPERATION, "{class}");
    }
    assert_eq!(c_echo::echo(&mut requestor).await.unwrap(), Status::SUCCESS);
    let query = Query::new(Model::StudyRoot, Level::Study).key(&format!("StudyInstanceUID={STUDY}")).unwrap();
    let mut find = c_find::scu::Find::start(&mut requestor, &query).await.unwrap();
    assert!(find.next().await.unwrap().is_none());
    assert_eq!(find.finish().await.unwrap().status, Status::SUCCESS);
    requestor.release().await.unwrap();
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
    let refused = logged(&["calling=\"MISPLACED\"", "request refused", "service=\"C-STORE\"", "status=0211"]);
    assert_eq!(refused.len(), CLASSES.len());
    line(&["calling=\"MISPLACED\"", "association ended", "store=0", "refused=8", "end=\"released\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_is_had_on_its_own_contexts_alone() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path(), |_| ()).await;
    let mut requestor = associate(&server, "CROSSED").await;
    let (message_id, priority) = (MessageId(1), Priority::Medium);
    let mut refused = 0;
    for class in CLASSES.iter().chain([&uids::CT_IMAGE_STORAGE]) {
        let affected_sop_class_uid = || class.clone();
        let find = CFindRq { message_id, affected_sop_class_uid: affected_sop_class_uid(), priority };
        let get = CGetRq { message_id, affected_sop_class_uid: affected_sop_class_uid(), priority };
        let move_destination = AeTitle::new("NOWHERE").unwrap();
        let moving = CMoveRq {
            message_id,
            affected_sop_class_uid: affected_sop_class_uid(),
            priority,
            move_destination,
        };
        let echo = CEchoRq { message_id, affected_sop_class_uid: affected_sop_class_uid() };
        let finds = [uids::STUDY_ROOT_FIND, uids::MODALITY_WORKLIST_FIND];
        let gets = [uids::STUDY_ROOT_GET, uids::COMPOSITE_INSTANCE_ROOT_GET, uids::WITHOUT_BULK_DATA_GET];
        let requests = [
            (Command::CEchoRq(echo), *class == uids::VERIFICATION),
            (Command::CFindRq(find), finds.contains(class)),
            (Command::CGetRq(get), gets.contains(class)),
            (Command::CMoveRq(moving), *class == uids::STUDY_ROOT_MOVE),
        ];
        for (request, is_allowed) in requests {
            let context = context(&requestor, class);
            let status = ask(&mut requestor, context, &request).await;
            assert_eq!(status != Status::UNRECOGNIZED_OPERATION, is_allowed, "{request:?}: {status}");
            refused += u64::from(!is_allowed);
        }
    }
    requestor.release().await.unwrap();
    let (_at_once, serving) = server.stop();
    serving.await.unwrap();
    let refused = format!("refused={refused}");
    line(&["calling=\"CROSSED\"", "association ended", "echo=1", "get=3", "moves=1", &refused]);
}
