//! C-STORE as SCU: PS3.4 Annex B, PS3.7 9.1.1. One store, or many in flight within the asynchronous operations
//! window; the sub-operations of C-GET and C-MOVE go through here too.

use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::message::{MessageId, Status};

use crate::association::Source;
use crate::{Association, Error};

/// Sends one C-STORE-RQ with its data set and returns its Message ID; the response comes by
/// [`Association::receive`].
///
/// # Errors
/// [`Error`].
pub async fn send(
    association: &mut Association,
    context_id: ContextId,
    sop_class: &Uid,
    sop_instance: &Uid,
    source: &mut dyn Source,
) -> Result<MessageId, Error> {
    let _ = (association, context_id, sop_class, sop_instance, source);
    todo!()
}

/// Sends one instance and waits for its status.
///
/// # Errors
/// [`Error`]; a failure status is an answer.
pub async fn store(
    association: &mut Association,
    context_id: ContextId,
    sop_class: &Uid,
    sop_instance: &Uid,
    source: &mut dyn Source,
) -> Result<Status, Error> {
    let _ = (association, context_id, sop_class, sop_instance, source);
    todo!()
}
