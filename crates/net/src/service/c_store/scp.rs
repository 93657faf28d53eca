//! C-STORE as SCP: PS3.4 Annex B, PS3.7 9.1.1. Used by the archive, and by a retrieve, in which the peer turns
//! round and stores with us.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRq, CStoreRsp, Command, Refusal, Status};

use crate::association::Data;
use crate::{Association, Error};

/// Answers a C-STORE-RQ with success, or with the refusal (which may be a warning).
///
/// # Errors
/// [`Error`].
pub async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
    outcome: Result<(), Refusal>,
) -> Result<(), Error> {
    let (status, error_comment, offending_elements) = match outcome {
        Ok(()) => (Status::SUCCESS, None, Vec::new()),
        Err(refusal) => {
            let comment = Some(refusal.comment().to_owned()).filter(|comment| !comment.is_empty());
            (refusal.status, comment, refusal.offending_elements)
        }
    };
    let response = CStoreRsp {
        message_id: request.message_id,
        affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
        affected_sop_instance_uid: Some(request.affected_sop_instance_uid.clone()),
        status,
        error_comment,
        offending_elements,
    };
    association.send(context.id, &Command::CStoreRsp(response), Data::None).await
}
