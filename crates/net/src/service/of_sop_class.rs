//! Which commands a presentation context allows: those of the DIMSE services that its SOP class has (PS3.4 A, B, C, H, J, K,
//! Y, Z), for this SOP class.
//!
//! Every request is held against this before anything else is looked at, wherever it is taken; or else what was
//! negotiated for one service would let in another.

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{Command, Refusal, Status};
use dicomet_proto::query::{Model, Operation};

/// What a SOP class is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Verification: C-ECHO.
    Verification,
    /// Storage: C-STORE.
    Storage,
    /// A FIND of Query/Retrieve, or a worklist: C-FIND.
    Find,
    /// A GET of Query/Retrieve, of instances and frames, or without bulk data: C-GET.
    Get,
    /// A MOVE of Query/Retrieve, or of instances and frames: C-MOVE.
    Move,
    /// Storage Commitment: N-ACTION and N-EVENT-REPORT.
    Commitment,
}

impl Purpose {
    /// The purpose of a SOP class. What is none of the others is taken for storage, which has private SOP classes, and
    /// some that are newer than our dictionary.
    pub(crate) fn of(sop_class: &Uid) -> Purpose {
        if *sop_class == uids::VERIFICATION {
            return Purpose::Verification;
        }
        if *sop_class == uids::STORAGE_COMMITMENT_PUSH_MODEL {
            return Purpose::Commitment;
        }
        if *sop_class == uids::COMPOSITE_INSTANCE_ROOT_MOVE {
            return Purpose::Move;
        }
        if [uids::COMPOSITE_INSTANCE_ROOT_GET, uids::WITHOUT_BULK_DATA_GET].contains(sop_class) {
            return Purpose::Get;
        }
        match Model::of_sop_class(sop_class) {
            Some((_, Operation::Find)) => Purpose::Find,
            Some((_, Operation::Get)) => Purpose::Get,
            Some((_, Operation::Move)) => Purpose::Move,
            None => Purpose::Storage,
        }
    }
}

/// The answer to a request that its presentation context does not allow: 0211 when its service is not one of the SOP class
/// of the context; 0122 when it is for another SOP class (PS3.7 C.5.7), 0118 in the services that have no 0122 (PS3.7
/// 10.1.4.1.10).
pub(crate) fn context_refusal(command: &Command, context: &Context) -> Option<Refusal> {
    let other_class = Status::SOP_CLASS_NOT_SUPPORTED;
    let (needs, sop_class, status) = match command {
        Command::CEchoRq(request) => (Purpose::Verification, &request.affected_sop_class_uid, other_class),
        Command::CStoreRq(request) => (Purpose::Storage, &request.affected_sop_class_uid, other_class),
        Command::CFindRq(request) => (Purpose::Find, &request.affected_sop_class_uid, other_class),
        Command::CGetRq(request) => (Purpose::Get, &request.affected_sop_class_uid, other_class),
        Command::CMoveRq(request) => (Purpose::Move, &request.affected_sop_class_uid, other_class),
        Command::NActionRq(request) => {
            (Purpose::Commitment, &request.requested_sop_class_uid, Status::NO_SUCH_SOP_CLASS)
        }
        Command::NEventReportRq(request) => {
            (Purpose::Commitment, &request.affected_sop_class_uid, Status::NO_SUCH_SOP_CLASS)
        }
        // What is no request has no answer; a C-CANCEL belongs to its request; what is unknown is refused as such.
        _ => return None,
    };
    if Purpose::of(&context.abstract_syntax) != needs {
        return Some(Refusal::new(
            Status::UNRECOGNIZED_OPERATION,
            "the SOP class of the presentation context has no such service",
        ));
    }
    (*sop_class != context.abstract_syntax)
        .then(|| Refusal::new(status, "SOP class is not that of the presentation context"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::association::ContextId;
    use dicomet_proto::message::{
        CCancelRq, CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq, DataSetType, MessageId, NActionRq,
        NEventReportRq, Priority,
    };

    use super::*;

    const ID: MessageId = MessageId(1);

    fn context(abstract_syntax: &Uid) -> Context {
        Context {
            id: ContextId::new(5).unwrap(),
            abstract_syntax: abstract_syntax.clone(),
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            requestor_is_scu: true,
            requestor_is_scp: false,
        }
    }

    /// The requests of each service, for a SOP class.
    fn requests(class: &Uid) -> [(&'static str, Command); 7] {
        let (message_id, priority) = (ID, Priority::Medium);
        let affected_sop_class_uid = class.clone();
        let find = CFindRq { message_id, affected_sop_class_uid: class.clone(), priority };
        let get = CGetRq { message_id, affected_sop_class_uid: class.clone(), priority };
        [
            ("C-ECHO", Command::CEchoRq(CEchoRq { message_id, affected_sop_class_uid: class.clone() })),
            ("C-STORE", store(class)),
            ("C-FIND", Command::CFindRq(find)),
            ("C-GET", Command::CGetRq(get)),
            (
                "C-MOVE",
                Command::CMoveRq(CMoveRq {
                    message_id,
                    affected_sop_class_uid: class.clone(),
                    priority,
                    move_destination: dicomet_proto::AeTitle::new("ELSEWHERE").unwrap(),
                }),
            ),
            (
                "N-ACTION",
                Command::NActionRq(NActionRq {
                    message_id,
                    requested_sop_class_uid: class.clone(),
                    requested_sop_instance_uid: Uid::from_static("1.2.3"),
                    action_type_id: 1,
                    action_information: DataSetType::Present,
                }),
            ),
            (
                "N-EVENT-REPORT",
                Command::NEventReportRq(NEventReportRq {
                    message_id,
                    affected_sop_class_uid,
                    affected_sop_instance_uid: Uid::from_static("1.2.3"),
                    event_type_id: 1,
                    event_information: DataSetType::Present,
                }),
            ),
        ]
    }

    fn store(class: &Uid) -> Command {
        Command::CStoreRq(CStoreRq {
            message_id: ID,
            affected_sop_class_uid: class.clone(),
            affected_sop_instance_uid: Uid::from_static("1.2.3"),
            priority: Priority::Medium,
            move_originator: None,
        })
    }

    #[test]
    fn a_context_allows_the_services_of_its_sop_class_and_no_other() {
        let newer = Uid::from_static("1.2.840.10008.5.1.4.1.1.9999");
        let rows: [(&Uid, &[&str]); 13] = [
            (&uids::VERIFICATION, &["C-ECHO"]),
            (&uids::CT_IMAGE_STORAGE, &["C-STORE"]),
            (&newer, &["C-STORE"]),
            (&Uid::from_static("1.3.12.2.1107.5.9.1"), &["C-STORE"]),
            (&uids::PATIENT_ROOT_FIND, &["C-FIND"]),
            (&uids::STUDY_ROOT_FIND, &["C-FIND"]),
            (&uids::MODALITY_WORKLIST_FIND, &["C-FIND"]),
            (&uids::STUDY_ROOT_GET, &["C-GET"]),
            (&uids::STUDY_ROOT_MOVE, &["C-MOVE"]),
            (&uids::COMPOSITE_INSTANCE_ROOT_GET, &["C-GET"]),
            (&uids::COMPOSITE_INSTANCE_ROOT_MOVE, &["C-MOVE"]),
            (&uids::WITHOUT_BULK_DATA_GET, &["C-GET"]),
            (&uids::STORAGE_COMMITMENT_PUSH_MODEL, &["N-ACTION", "N-EVENT-REPORT"]),
        ];
        for (class, services) in rows {
            for (service, request) in requests(class) {
                let refused = context_refusal(&request, &context(class)).map(|refusal| refusal.status);
                let expected = (!services.contains(&service)).then_some(Status::UNRECOGNIZED_OPERATION);
                assert_eq!(refused, expected, "{service} on {class}");
            }
        }
    }

    #[test]
    fn another_sop_class_than_that_of_the_context_is_refused_with_the_status_that_the_service_has() {
        let ct = context(&uids::CT_IMAGE_STORAGE);
        let refusal = context_refusal(&store(&uids::MR_IMAGE_STORAGE), &ct).unwrap();
        assert_eq!(refusal.status, Status::SOP_CLASS_NOT_SUPPORTED);
        let commitment = context(&uids::STORAGE_COMMITMENT_PUSH_MODEL);
        let [.., (_, action), (_, event_report)] = requests(&uids::CT_IMAGE_STORAGE);
        for request in [action, event_report] {
            assert_eq!(context_refusal(&request, &commitment).unwrap().status, Status::NO_SUCH_SOP_CLASS);
        }
    }

    #[test]
    fn an_echo_on_a_storage_context_is_refused() {
        let echo = Command::CEchoRq(CEchoRq { message_id: ID, affected_sop_class_uid: uids::VERIFICATION });
        let refusal = context_refusal(&echo, &context(&uids::CT_IMAGE_STORAGE)).unwrap();
        assert_eq!(refusal.status, Status::UNRECOGNIZED_OPERATION);
    }

    #[test]
    fn a_cancel_is_on_the_context_of_its_request_whatever_that_is() {
        let cancel = Command::CCancelRq(CCancelRq { message_id: ID });
        assert_eq!(context_refusal(&cancel, &context(&uids::STUDY_ROOT_GET)), None);
    }
}
