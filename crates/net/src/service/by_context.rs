//! What a presentation context allows: commands of the DIMSE services that its SOP class has, for that SOP class.

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{Command, Refusal, Status};

/// The arc of query/retrieve (PS3.4 C.6, Y.6, Z.6), below which the last number says the service.
const QUERY_RETRIEVE_ARC: &str = "1.2.840.10008.5.1.4.1.2.";

/// The DIMSE services of a SOP class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Services {
    /// PS3.4 Annex A.
    Echo,
    /// PS3.4 Annexes C and K.
    Find,
    /// PS3.4 Annexes C and Y.
    Move,
    /// PS3.4 Annexes C, Y and Z.
    Get,
    /// PS3.4 Annex J: N-ACTION and N-EVENT-REPORT.
    Commitment,
    /// PS3.4 Annex B: what is none of the others.
    Store,
}

fn services(sop_class: &Uid) -> Services {
    match sop_class.as_str().strip_prefix(QUERY_RETRIEVE_ARC).and_then(|uid| uid.split_once('.')) {
        Some((_, "1")) => Services::Find,
        Some((_, "2")) => Services::Move,
        Some((_, "3")) => Services::Get,
        _ if *sop_class == uids::VERIFICATION => Services::Echo,
        _ if *sop_class == uids::MODALITY_WORKLIST_FIND => Services::Find,
        _ if *sop_class == uids::STORAGE_COMMITMENT_PUSH_MODEL => Services::Commitment,
        _ => Services::Store,
    }
}

/// The answer to a request that its presentation context does not allow: 0211 for one of a service that its SOP class does
/// not have, 0122 for a SOP class that is not the abstract syntax (PS3.7 C.5.7), 0118 in the services that have no 0122
/// (PS3.7 10.1.4.1.10).
pub(super) fn refusal(command: &Command, context: &Context) -> Option<Refusal> {
    let (needed, sop_class) = match command {
        Command::CEchoRq(request) => (Services::Echo, &request.affected_sop_class_uid),
        Command::CStoreRq(request) => (Services::Store, &request.affected_sop_class_uid),
        Command::CFindRq(request) => (Services::Find, &request.affected_sop_class_uid),
        Command::CGetRq(request) => (Services::Get, &request.affected_sop_class_uid),
        Command::CMoveRq(request) => (Services::Move, &request.affected_sop_class_uid),
        Command::NActionRq(request) => (Services::Commitment, &request.requested_sop_class_uid),
        Command::NEventReportRq(request) => (Services::Commitment, &request.affected_sop_class_uid),
        _ => return None,
    };
    let other_class = match needed {
        Services::Commitment => Status::NO_SUCH_SOP_CLASS,
        _ => Status::SOP_CLASS_NOT_SUPPORTED,
    };
    if services(&context.abstract_syntax) != needed {
        return Some(Refusal::new(
            Status::UNRECOGNIZED_OPERATION,
            "the presentation context is of another service",
        ));
    }
    (*sop_class != context.abstract_syntax)
        .then(|| Refusal::new(other_class, "SOP class is not that of the presentation context"))
}

#[cfg(test)]
mod tests {
    use dicomet_proto::query::{Model, Operation};

    use super::*;

    #[test]
    fn every_model_has_the_service_of_its_sop_class() {
        let arc = |end: &str| Uid::new(format!("{QUERY_RETRIEVE_ARC}{end}")).unwrap();
        for end in ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "3.3"] {
            let expected = match Model::of_sop_class(&arc(end)).unwrap().1 {
                Operation::Find => Services::Find,
                Operation::Move => Services::Move,
                Operation::Get => Services::Get,
            };
            assert_eq!(services(&arc(end)), expected, "{end}");
        }
        for (uid, expected) in [
            (uids::VERIFICATION, Services::Echo),
            (uids::MODALITY_WORKLIST_FIND, Services::Find),
            (uids::STORAGE_COMMITMENT_PUSH_MODEL, Services::Commitment),
            (uids::CT_IMAGE_STORAGE, Services::Store),
            (Uid::from_static("1.2.3"), Services::Store),
            (arc("4.2"), Services::Move),
            (arc("4.3"), Services::Get),
            (arc("5.3"), Services::Get),
        ] {
            assert_eq!(services(&uid), expected, "{uid}");
        }
    }
}
