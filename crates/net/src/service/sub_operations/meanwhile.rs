//! What the requestor of a retrieve asks for while it goes on: C-ECHO is answered at once; what may wait is put off,
//! as far as the asynchronous operations window allows, for [`crate::service::next_request`] to hand out afterwards;
//! anything else is refused, and so is what has a Message ID that is in use.

use dicomet_proto::message::{CGetRsp, CMoveRsp, Command, MessageId, Refusal, Status, SubOperations};

use crate::association::{Data, Message};
use crate::service::{
    c_echo, c_store, context_refusal, log_refusal, refusal_response, respond_refusal, service_name,
};
use crate::{Association, Error};

/// So many requests are put off at most, whatever larger window was negotiated: those that the window holds which we
/// grant if not told otherwise. Their data sets are bounded too.
const MAX_PUT_OFF: usize = c_store::WINDOW as usize;

/// Answers a request that comes while the operation of a Message ID is under way, or puts it off. Refused is what cannot
/// wait, for want of resources, so that the peer may ask again; its data set is passed over.
///
/// # Errors
/// [`Error`].
pub(super) async fn take(
    association: &mut Association,
    message: Message,
    under_way: MessageId,
) -> Result<(), Error> {
    // PS3.7 Annex C. Put off it would be no better: of two responses nobody could say which is to what.
    if let Some(message_id) = message.command.request_id()
        && (message_id == under_way || association.is_put_off(message_id))
    {
        let refusal = Refusal::new(Status::DUPLICATE_INVOCATION, "the Message ID is in use");
        return refuse(association, &message, &refusal).await;
    }
    // The association has checked that the context was accepted.
    let Some(context) = association.context(message.context_id).cloned() else { return Ok(()) };
    if let Some(refusal) = context_refusal(&message.command, &context) {
        return refuse(association, &message, &refusal).await;
    }
    let message = match message.command {
        Command::CEchoRq(request) => return c_echo::answer(association, &context, &request).await,
        Command::CFindRq(_) | Command::CGetRq(_) | Command::CMoveRq(_) | Command::NActionRq(_) => {
            match put_off(association, message) {
                Ok(()) => return Ok(()),
                Err(message) => message,
            }
        }
        // The data set of a C-STORE-RQ is not held in memory.
        _ => message,
    };
    let status = match &message.command {
        Command::CGetRq(_) | Command::CMoveRq(_) => Status::UNABLE_TO_PERFORM_SUB_OPERATIONS,
        Command::CStoreRq(_) | Command::CFindRq(_) => Status::OUT_OF_RESOURCES,
        Command::NActionRq(_) => Status::RESOURCE_LIMITATION,
        // Responses to nothing get no answer.
        _ => Status::UNRECOGNIZED_OPERATION,
    };
    let refusal = Refusal::new(status, "another retrieve is going on on this association");
    refuse(association, &message, &refusal).await
}

async fn refuse(association: &mut Association, message: &Message, refusal: &Refusal) -> Result<(), Error> {
    log_refusal(&message.command, refusal);
    respond_refusal(association, message.context_id, &message.command, refusal).await
}

/// Puts a request off, unless more are waiting than the window allows beside the retrieve.
fn put_off(association: &mut Association, message: Message) -> Result<(), Message> {
    let window = usize::from(association.negotiated().async_operations_window.invoked);
    let most = window.saturating_sub(1).min(MAX_PUT_OFF);
    association.put_off(message, most)
}

/// Ends a request that is put off, as its C-CANCEL asks. A C-CANCEL of anything else is of an operation that is over:
/// ignored.
///
/// # Errors
/// [`Error`].
pub(super) async fn cancel(association: &mut Association, message_id: MessageId) -> Result<(), Error> {
    let Some(Message { context_id, command }) = association.take_cancelled(message_id) else { return Ok(()) };
    let Some(response) = cancelled(&command) else { return Ok(()) };
    let service = service_name(&command);
    tracing::info!(service, message_id = message_id.0, "request cancelled before it was begun");
    association.send(context_id, &response, Data::None).await
}

/// The final response to a request that was cancelled before it was begun.
fn cancelled(request: &Command) -> Option<Command> {
    let mut response = refusal_response(request, &Refusal::new(Status::CANCEL, ""))?;
    if let Command::CGetRsp(CGetRsp { counters, .. }) | Command::CMoveRsp(CMoveRsp { counters, .. }) =
        &mut response
    {
        *counters = SubOperations::default().pending_counters();
    }
    Some(response)
}
