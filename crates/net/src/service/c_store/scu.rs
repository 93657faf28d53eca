//! C-STORE as SCU: PS3.4 Annex B, PS3.7 9.1.1. One store, or many in flight within the asynchronous operations
//! window; the sub-operations of C-GET and C-MOVE go through here too.

use dicomet_proto::association::ContextId;
use dicomet_proto::message::{CStoreRq, Command, MessageId, Priority, Status};
use dicomet_proto::{AeTitle, Uid};

use super::other_than_asked;
use crate::association::{Data, Source};
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
    send_for(association, context_id, sop_class, sop_instance, None, source).await
}

/// As [`send`], as a sub-operation of a C-MOVE: the store names who asked for it (PS3.7 9.3.1.1).
///
/// # Errors
/// [`Error`].
pub async fn send_for(
    association: &mut Association,
    context_id: ContextId,
    sop_class: &Uid,
    sop_instance: &Uid,
    move_originator: Option<(AeTitle, MessageId)>,
    source: &mut dyn Source,
) -> Result<MessageId, Error> {
    let message_id = association.next_message_id();
    let request = CStoreRq {
        message_id,
        affected_sop_class_uid: sop_class.clone(),
        affected_sop_instance_uid: sop_instance.clone(),
        priority: Priority::Medium,
        move_originator,
    };
    association.send(context_id, &Command::CStoreRq(request), Data::Source(source)).await?;
    Ok(message_id)
}

/// Sends one instance and waits for its status.
///
/// # Errors
/// [`Error`]; a failure status is an answer. A response to another message or of another instance is none.
pub async fn store(
    association: &mut Association,
    context_id: ContextId,
    sop_class: &Uid,
    sop_instance: &Uid,
    source: &mut dyn Source,
) -> Result<Status, Error> {
    let message_id = send(association, context_id, sop_class, sop_instance, source).await?;
    match super::super::receive_message(association).await?.command {
        // A pending C-STORE does not exist (PS3.7 9.1.1): nothing may be taken for stored that is not.
        Command::CStoreRsp(response)
            if response.message_id == message_id
                && !response.status.is_pending()
                && other_than_asked(&response, sop_class, sop_instance).is_none() =>
        {
            Ok(response.status)
        }
        _ => Err(association.misbehaved("answered C-STORE with something else")),
    }
}
