//! Storage Commitment as SCP: PS3.4 J.3.2 and J.3.3, PS3.7 10.1.1 and 10.1.4.

use dicomet_proto::AeTitle;
use dicomet_proto::association::negotiation::{Context, Proposal};
use dicomet_proto::commitment::{self, Report};
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{
    Command, DataSetType, MessageId, NActionRq, NActionRsp, NEventReportRq, Refusal, Status,
};
use dicomet_proto::pdu::RoleSelection;

use super::TRANSFER_SYNTAXES;
use crate::association::{Data, Timeouts};
use crate::{Association, Error, Node, connect};

/// Reads what a request asks for; its Action Information as it came.
///
/// # Errors
/// [`Refusal`]: 0112 for another instance than the well-known one, 0123 for another action, 0115 for an Action
/// Information that lacks something.
pub fn read_request(request: &NActionRq, information: &DataSet) -> Result<commitment::Request, Refusal> {
    commitment::check_instance(&request.requested_sop_instance_uid)?;
    if request.action_type_id != commitment::REQUEST {
        return Err(Refusal::new(Status::NO_SUCH_ACTION, "storage commitment has action type 1 alone"));
    }
    commitment::Request::from_data_set(information)
}

/// Answers an N-ACTION-RQ: it is taken on, or refused.
///
/// # Errors
/// [`Error`].
pub async fn answer(
    association: &mut Association,
    context: &Context,
    request: &NActionRq,
    outcome: Result<(), Refusal>,
) -> Result<(), Error> {
    if let Err(refusal) = outcome {
        let request = Command::NActionRq(request.clone());
        return crate::service::respond_refusal(association, context.id, &request, &refusal).await;
    }
    let response = NActionRsp {
        message_id: request.message_id,
        affected_sop_class_uid: Some(request.requested_sop_class_uid.clone()),
        affected_sop_instance_uid: Some(request.requested_sop_instance_uid.clone()),
        action_type_id: Some(request.action_type_id),
        status: Status::SUCCESS,
        action_reply: DataSetType::Null,
        error_comment: None,
    };
    association.send(context.id, &Command::NActionRsp(response), Data::None).await
}

/// Sends an N-EVENT-REPORT-RQ and returns its Message ID; the response comes by
/// [`next_or_response`](crate::service::next_or_response).
///
/// # Errors
/// [`Error`].
pub async fn send_report(
    association: &mut Association,
    context: &Context,
    report: &Report,
) -> Result<MessageId, Error> {
    let information = report
        .to_data_set()
        .encode(&context.transfer_syntax)
        .map_err(|error| Error::Source(std::io::Error::new(std::io::ErrorKind::Unsupported, error)))?;
    let message_id = association.next_message_id();
    let request = NEventReportRq {
        message_id,
        affected_sop_class_uid: uids::STORAGE_COMMITMENT_PUSH_MODEL,
        affected_sop_instance_uid: uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        event_type_id: report.event_type_id(),
        event_information: DataSetType::Present,
    };
    association.send(context.id, &Command::NEventReportRq(request), Data::Bytes(&information)).await?;
    Ok(message_id)
}

/// Requests an association to report on, with the SCP role for us (PS3.4 J.3.3, PS3.7 D.3.3.4).
///
/// A peer that answers no role at all is reported to all the same: it took the SOP class from somebody who can only
/// be its provider.
///
/// # Errors
/// [`Error::NoPresentationContext`] also when the peer answered that we are not to be the SCP.
pub async fn open(node: &Node, calling: &AeTitle, timeouts: &Timeouts) -> Result<Association, Error> {
    let sop_class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    let proposal = Proposal {
        role_selections: vec![RoleSelection { sop_class_uid: sop_class.clone(), scu: false, scp: true }],
        ..Proposal::new(
            calling.clone(),
            node.ae_title.clone(),
            vec![(sop_class.clone(), TRANSFER_SYNTAXES.to_vec())],
        )
    };
    let association = connect::connect(node, proposal, timeouts).await?;
    let roles_answered = association.negotiated().roles_answered;
    match association.context_of(&sop_class) {
        Some(context) if context.requestor_is_scp || !roles_answered => Ok(association),
        _ => {
            association.abort().await;
            Err(Error::NoPresentationContext { what: "storage commitment reports".to_owned() })
        }
    }
}

/// Reports on an association of our own and waits for the status.
///
/// # Errors
/// [`Error`]; a failure status is an answer.
pub async fn report(association: &mut Association, report: &Report) -> Result<Status, Error> {
    let context = crate::service::context_for(association, &uids::STORAGE_COMMITMENT_PUSH_MODEL)?;
    let message_id = send_report(association, &context, report).await?;
    match crate::service::receive_message(association).await?.command {
        Command::NEventReportRsp(response)
            if response.message_id == message_id && !response.status.is_pending() =>
        {
            Ok(response.status)
        }
        _ => Err(association.misbehaved("answered N-EVENT-REPORT with something else")),
    }
}
