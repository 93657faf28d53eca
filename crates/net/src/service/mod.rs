//! The DIMSE services, each with its SCU and SCP, and the next request as a typed value.

pub mod c_echo;
pub mod c_find;
pub mod c_get;
pub mod c_move;
pub mod c_store;
mod of_sop_class;
pub mod storage_commitment;
pub mod sub_operations;

use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uid_name;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{
    CEchoRq, CEchoRsp, CFindRq, CFindRsp, CGetRq, CGetRsp, CMoveRq, CMoveRsp, CStoreRq, CStoreRsp, Command,
    Counters, DataSetType, MessageId, NActionRq, NActionRsp, NEventReportRq, NEventReportRsp, Refusal,
    Status,
};

pub(crate) use of_sop_class::{Purpose, context_refusal};

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
    /// N-ACTION-RQ of Storage Commitment, with its Action Information.
    Action(Context, NActionRq, Result<DataSet, DataSetError>),
    /// N-EVENT-REPORT-RQ of Storage Commitment, with its Event Information.
    EventReport(Context, NEventReportRq, Result<DataSet, DataSetError>),
}

impl Request {
    /// The command itself, for an answer that says no. The data set of a C-STORE-RQ is still to be taken.
    pub fn into_command(self) -> (Context, Command) {
        match self {
            Request::Echo(context, request) => (context, Command::CEchoRq(request)),
            Request::Store(context, request) => (context, Command::CStoreRq(request)),
            Request::Find(context, request, _) => (context, Command::CFindRq(request)),
            Request::Get(context, request, _) => (context, Command::CGetRq(request)),
            Request::Move(context, request, _) => (context, Command::CMoveRq(request)),
            Request::Action(context, request, _) => (context, Command::NActionRq(request)),
            Request::EventReport(context, request, _) => (context, Command::NEventReportRq(request)),
        }
    }
}

/// What comes while a request of ours is outstanding and the peer may make requests of its own.
#[derive(Debug)]
pub enum Next {
    /// A request of the peer.
    Request(Request),
    /// The response to ours.
    Response(Command),
}

/// Waits for the next request; `None` when the peer wants to release.
///
/// What is no request is dealt with here: a C-CANCEL of a finished operation is ignored, an unknown command
/// answered with 0211 (without a Message ID by A-ABORT), and so is one of a service that the SOP class of its context does
/// not have; a mistyped one with 0212, a SOP class that is not the context's with 0122 (0118 for N-ACTION and N-EVENT-REPORT), a response that nobody
/// waits for dropped.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn next_request(association: &mut Association) -> Result<Option<Request>, Error> {
    match next(association, None).await? {
        Some(Next::Request(request)) => Ok(Some(request)),
        // A response is told only to who waits for one.
        Some(Next::Response(_)) | None => Ok(None),
    }
}

/// As [`next_request`], while the response to a request of ours is outstanding.
///
/// # Errors
/// [`Error`]; the association is then at its end.
pub async fn next_or_response(
    association: &mut Association,
    outstanding: MessageId,
) -> Result<Option<Next>, Error> {
    next(association, Some(outstanding)).await
}

async fn next(association: &mut Association, outstanding: Option<MessageId>) -> Result<Option<Next>, Error> {
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
        if let Some(refusal) = context_refusal(&message.command, &context) {
            log_refusal(&message.command, &refusal);
            respond_refusal(association, context.id, &message.command, &refusal).await?;
            continue;
        }
        if let Some(response_to) = response_to(&message.command) {
            if response_to.is_some() && response_to == outstanding {
                return Ok(Some(Next::Response(message.command)));
            }
            stray_responses += 1;
            tracing::debug!(context_id = context.id.get(), "passing over a response that nobody waits for");
            if stray_responses > MAX_STRAY_RESPONSES {
                return Err(association.misbehaved("keeps sending responses that nobody waits for"));
            }
            continue;
        }
        if let Some(request) = take_request(association, context, message.command).await? {
            return Ok(Some(Next::Request(request)));
        }
    }
}

/// A command as a request, its identifier taken; `None` when it is none, and was answered if it has to be.
async fn take_request(
    association: &mut Association,
    context: Context,
    command: Command,
) -> Result<Option<Request>, Error> {
    Ok(Some(match command {
        Command::CEchoRq(request) => Request::Echo(context, request),
        Command::CStoreRq(request) => Request::Store(context, request),
        Command::CFindRq(request) => {
            let identifier = receive_identifier(association, &context).await?;
            Request::Find(context, request, identifier)
        }
        Command::CGetRq(request) => {
            let identifier = receive_identifier(association, &context).await?;
            Request::Get(context, request, identifier)
        }
        Command::CMoveRq(request) => {
            let identifier = receive_identifier(association, &context).await?;
            Request::Move(context, request, identifier)
        }
        Command::NActionRq(request) => {
            let information = receive_identifier(association, &context).await?;
            Request::Action(context, request, information)
        }
        Command::NEventReportRq(request) => {
            let information = receive_identifier(association, &context).await?;
            Request::EventReport(context, request, information)
        }
        // The operation has ended, and C-CANCEL has no response of its own.
        Command::CCancelRq(_) => return Ok(None),
        command => {
            let refusal = Refusal::new(Status::UNRECOGNIZED_OPERATION, "");
            log_refusal(&command, &refusal);
            respond_refusal(association, context.id, &command, &refusal).await?;
            return Ok(None);
        }
    }))
}

/// Sends the response that says no to a request, whatever its service; nothing to what is no request.
///
/// # Errors
/// [`Error`]; also where a request has no Message ID, so that nobody could say what a response is to: the association is
/// aborted.
pub async fn respond_refusal(
    association: &mut Association,
    context_id: ContextId,
    request: &Command,
    refusal: &Refusal,
) -> Result<(), Error> {
    match refusal_response(request, refusal) {
        Some(response) => {
            association.count_refused();
            association.send(context_id, &response, Data::None).await
        }
        None => match request {
            Command::Unknown(request) if !is_response_field(request.command_field) => {
                Err(association.unanswerable("sent a request without a Message ID"))
            }
            _ => Ok(()),
        },
    }
}

/// The line of a request that becomes no [`Request`]; whoever gets one writes its own.
fn log_refusal(command: &Command, refusal: &Refusal) {
    let Some(service) = service_name(command) else { return };
    let message_id = command.request_id().map(|id| id.0);
    tracing::info!(service, message_id, status = %refusal.status.digits(), comment = refusal.comment(), "request refused");
}

/// The service of a request, for the log.
fn service_name(request: &Command) -> Option<&'static str> {
    Some(match request {
        Command::CEchoRq(_) => "C-ECHO",
        Command::CStoreRq(_) => "C-STORE",
        Command::CFindRq(_) => "C-FIND",
        Command::CGetRq(_) => "C-GET",
        Command::CMoveRq(_) => "C-MOVE",
        Command::NActionRq(_) => "N-ACTION",
        Command::NEventReportRq(_) => "N-EVENT-REPORT",
        Command::Unknown(_) => "unknown",
        _ => return None,
    })
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
        Command::NActionRq(request) => Command::NActionRsp(NActionRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.requested_sop_class_uid.clone()),
            affected_sop_instance_uid: Some(request.requested_sop_instance_uid.clone()),
            action_type_id: Some(request.action_type_id),
            status,
            action_reply: DataSetType::Null,
            error_comment,
        }),
        Command::NEventReportRq(request) => Command::NEventReportRsp(NEventReportRsp {
            message_id: request.message_id,
            affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
            affected_sop_instance_uid: Some(request.affected_sop_instance_uid.clone()),
            event_type_id: Some(request.event_type_id),
            status,
            event_reply: DataSetType::Null,
            error_comment,
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
        None => Err(DataSetError::Limit("more than 4 MiB")),
    })
}

/// Of a response, the request that it answers, as far as it says so; `None` for what is no response.
fn response_to(command: &Command) -> Option<Option<MessageId>> {
    match command {
        Command::CEchoRsp(response) => Some(Some(response.message_id)),
        Command::CStoreRsp(response) => Some(Some(response.message_id)),
        Command::CFindRsp(response) => Some(Some(response.message_id)),
        Command::CGetRsp(response) => Some(Some(response.message_id)),
        Command::CMoveRsp(response) => Some(Some(response.message_id)),
        Command::NActionRsp(response) => Some(Some(response.message_id)),
        Command::NEventReportRsp(response) => Some(Some(response.message_id)),
        Command::Unknown(command) if is_response_field(command.command_field) => Some(command.message_id),
        _ => None,
    }
}

/// Bit 15 of the Command Field (PS3.7 E.1).
fn is_response_field(command_field: u16) -> bool {
    command_field & 0x8000 != 0
}

#[cfg(test)]
mod tests;
