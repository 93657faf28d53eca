//! C-ECHO: PS3.4 Annex A, PS3.7 9.1.5.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uids::VERIFICATION;
use dicomet_proto::message::{CEchoRq, CEchoRsp, Command, Status};

use crate::association::Data;
use crate::{Association, Error};

/// Asks the peer whether it is there (SCU).
///
/// # Errors
/// [`Error`]; a failure status is an answer.
pub async fn echo(association: &mut Association) -> Result<Status, Error> {
    let context = super::context_for(association, &VERIFICATION)?;
    let message_id = association.next_message_id();
    let request = CEchoRq { message_id, affected_sop_class_uid: VERIFICATION };
    association.send(context.id, &Command::CEchoRq(request), Data::None).await?;
    match super::receive_message(association).await?.command {
        Command::CEchoRsp(response) if response.message_id == message_id => Ok(response.status),
        _ => Err(association.misbehaved("answered C-ECHO with something else")),
    }
}

/// Answers a C-ECHO-RQ (SCP).
///
/// # Errors
/// [`Error`].
pub async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CEchoRq,
) -> Result<(), Error> {
    let response = CEchoRsp {
        message_id: request.message_id,
        affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
        status: Status::SUCCESS,
    };
    association.send(context.id, &Command::CEchoRsp(response), Data::None).await
}
