//! The DIMSE services, each with its SCU and SCP, and the next request as a typed value.

pub mod c_echo;
pub mod c_find;
pub mod c_get;
pub mod c_move;
pub mod c_store;
pub mod sub_operations;

use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uid_name;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{
    CEchoRq, CEchoRsp, CFindRq, CFindRsp, CGetRq, CGetRsp, CMoveRq, CMoveRsp, CStoreRq, CStoreRsp, Command,
    Counters, DataSetType, Refusal, Status,
};

use crate::association::{Data, Message, Received};
use crate::{Association, Error};

/// The largest identifier that is read, in bytes: a list of 10,000 UIDs has 650,000.
pub const MAX_IDENTIFIER_LENGTH: usize = 4 * 1024 * 1024;

/// So many responses that nobody waits for are passed over, one after the other; then the peer is taken for
/// broken.
const MAX_STRAY_RESPONSES: usize = 1000;

/// A request of the peer, with what is needed to answer it.
#[derive(Debug)]
pub enum Request {
    /// C-ECHO-RQ.
    Echo(Context, CEchoRq),
    /// C-STORE-RQ; its data set is to be taken with [`Association::receive_data`].
    Store(Context, CStoreRq),
    /// C-FIND-RQ with its identifier.
    Find(Context, CFindRq, Result<DataSet, DataSetError>),
    /// C-GET-RQ with its identifier.
    Get(Context, CGetRq, Result<DataSet, DataSetError>),
    /// C-MOVE-RQ with its identifier.
    Move(Context, CMoveRq, Result<DataSet, DataSetError>),
}

/// Waits for the next request; `None` when the peer wants to release.
///
/// What is no request is dealt with here: a C-CANCEL of a finished operation is ignored, an unknown command
/// answered with 0211, a mistyped one with 0212, a SOP class that is not the context's with 0122, a response
/// that nobody waits for dropped.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn next_request(association: &mut Association) -> Result<Option<Request>, Error> {
    let idle = association.timeouts().idle;
    let mut stray_responses = 0;
    loop {
        let message = match association.receive_within(idle, "send a request").await? {
            Received::Message(message) => message,
            Received::ReleaseRequested => return Ok(None),
        };
        let Some(context) = association.context(message.context_id).cloned() else {
            return Err(
                association.misbehaved("sent a message on a presentation context that was not accepted")
            );
        };
        if let Some(refusal) = sop_class_refusal(&message.command, &context) {
            respond_refusal(association, context.id, &message.command, &refusal).await?;
            continue;
        }
        match message.command {
            Command::CEchoRq(request) => return Ok(Some(Request::Echo(context, request))),
            Command::CStoreRq(request) => return Ok(Some(Request::Store(context, request))),
            Command::CFindRq(request) => {
                let identifier = receive_identifier(association, &context).await?;
                return Ok(Some(Request::Find(context, request, identifier)));
            }
            Command::CGetRq(request) => {
                let identifier = receive_identifier(association, &context).await?;
                return Ok(Some(Request::Get(context, request, identifier)));
            }
            Command::CMoveRq(request) => {
                let identifier = receive_identifier(association, &context).await?;
                return Ok(Some(Request::Move(context, request, identifier)));
            }
            // The operation has ended, and C-CANCEL has no response of its own.
            Command::CCancelRq(_) => {}
            command if is_response(&command) => {
                stray_responses += 1;
                tracing::debug!(
                    context_id = context.id.get(),
                    "passing over a response that nobody waits for"
                );
                if stray_responses > MAX_STRAY_RESPONSES {
                    return Err(association.misbehaved("keeps sending responses that nobody waits for"));
                }
            }
            command => {
                let refusal = Refusal::new(Status::UNRECOGNIZED_OPERATION, "");
                respond_refusal(association, context.id, &command, &refusal).await?;
            }
        }
    }
}

/// Sends the response that says no to a request, whatever its service; nothing to what is no request.
///
/// # Errors
/// [`Error`].
pub async fn respond_refusal(
    association: &mut Association,
    context_id: ContextId,
    request: &Command,
    refusal: &Refusal,
) -> Result<(), Error> {
    match refusal_response(request, refusal) {
        Some(response) => association.send(context_id, &response, Data::None).await,
        None => Ok(()),
    }
}

/// The response that says no to a request.
fn refusal_response(request: &Command, refusal: &Refusal) -> Option<Command> {
    let status = refusal.status;
    let error_comment = Some(refusal.comment().to_owned()).filter(|comment| !comment.is_empty());
    let offending_elements = refusal.offending_elements.clone();
    Some(match request {
        Command::CEchoRq(request) => Command::CEchoRsp(CEchoRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            status,
        }),
        Command::CStoreRq(request) => Command::CStoreRsp(CStoreRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            affected_sop_instance_uid: Some(request.affected_sop_instance_uid.clone()),
            status,
            error_comment,
            offending_elements,
        }),
        Command::CFindRq(request) => Command::CFindRsp(CFindRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            status,
            identifier: DataSetType::Null,
            error_comment,
            offending_elements,
        }),
        Command::CGetRq(request) => Command::CGetRsp(CGetRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            status,
            counters: Counters::default(),
            identifier: DataSetType::Null,
            error_comment,
            offending_elements,
        }),
        Command::CMoveRq(request) => Command::CMoveRsp(CMoveRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            status,
            counters: Counters::default(),
            identifier: DataSetType::Null,
            error_comment,
            offending_elements,
        }),
        Command::Unknown(request) if !is_response_field(request.command_field) => {
            Command::refusal(request.command_field, request.message_id?, status)
        }
        _ => return None,
    })
}

/// Waits for the next message while an operation goes on.
///
/// # Errors
/// [`Error::ReleasedByPeer`] when the peer wants to release instead; it is answered.
pub(crate) async fn receive_message(association: &mut Association) -> Result<Message, Error> {
    match association.receive().await? {
        Received::Message(message) => Ok(message),
        Received::ReleaseRequested => Err(association.released_by_peer()),
    }
}

/// The presentation context of a SOP class, for a request of ours.
///
/// # Errors
/// [`Error::NoPresentationContext`] names the class.
pub(crate) fn context_for(association: &Association, sop_class: &Uid) -> Result<Context, Error> {
    association.context_of(sop_class).cloned().ok_or_else(|| Error::NoPresentationContext {
        what: uid_name(sop_class).map_or_else(|| sop_class.to_string(), str::to_owned),
    })
}

/// Takes the identifier that follows a command, and reads it in the transfer syntax of its context.
async fn receive_identifier(
    association: &mut Association,
    context: &Context,
) -> Result<Result<DataSet, DataSetError>, Error> {
    let identifier = association.receive_data_whole(MAX_IDENTIFIER_LENGTH).await?;
    Ok(match identifier {
        Some(bytes) => DataSet::parse(&bytes, &context.transfer_syntax),
        None => Err(DataSetError::Malformed(format!(
            "the identifier is longer than {MAX_IDENTIFIER_LENGTH} bytes"
        ))),
    })
}

/// 0122 for a request whose SOP class is not the abstract syntax of its context (PS3.7 C.5.7).
fn sop_class_refusal(command: &Command, context: &Context) -> Option<Refusal> {
    let sop_class = match command {
        Command::CEchoRq(request) => &request.affected_sop_class_uid,
        Command::CStoreRq(request) => &request.affected_sop_class_uid,
        Command::CFindRq(request) => &request.affected_sop_class_uid,
        Command::CGetRq(request) => &request.affected_sop_class_uid,
        Command::CMoveRq(request) => &request.affected_sop_class_uid,
        _ => return None,
    };
    (*sop_class != context.abstract_syntax).then(|| {
        Refusal::new(Status::SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context")
    })
}

fn is_response(command: &Command) -> bool {
    match command {
        Command::CEchoRsp(_)
        | Command::CStoreRsp(_)
        | Command::CFindRsp(_)
        | Command::CGetRsp(_)
        | Command::CMoveRsp(_) => true,
        Command::Unknown(command) => is_response_field(command.command_field),
        _ => false,
    }
}

/// Bit 15 of the Command Field (PS3.7 E.1).
fn is_response_field(command_field: u16) -> bool {
    command_field & 0x8000 != 0
}

#[cfg(test)]
mod tests;
