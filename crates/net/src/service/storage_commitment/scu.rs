//! Storage Commitment as SCU: PS3.4 J.3.2 and J.3.3, PS3.7 10.1.1 and 10.1.4.

use dicomet_proto::AeTitle;
use dicomet_proto::association::negotiation::{Context, Proposal};
use dicomet_proto::commitment::{self, Report};
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{
    Command, DataSetType, MessageId, NActionRq, NEventReportRq, NEventReportRsp, Refusal, Status,
};

use super::TRANSFER_SYNTAXES;
use crate::association::{Data, Timeouts};
use crate::service::context_for;
use crate::{Association, Error, Node, connect};

/// Requests an association to ask for storage commitment on.
///
/// # Errors
/// [`Error`].
pub async fn open(node: &Node, calling: &AeTitle, timeouts: &Timeouts) -> Result<Association, Error> {
    let sop_class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    let proposal = Proposal::new(
        calling.clone(),
        node.ae_title.clone(),
        vec![(sop_class.clone(), TRANSFER_SYNTAXES.to_vec())],
    );
    let association = connect::connect(node, proposal, timeouts).await?;
    match context_for(&association, &sop_class) {
        Ok(_) => Ok(association),
        Err(error) => {
            association.abort().await;
            Err(error)
        }
    }
}

/// Sends an N-ACTION-RQ and returns its Message ID; the response comes by
/// [`next_or_response`](crate::service::next_or_response), and a report may come before it.
///
/// # Errors
/// [`Error`].
pub async fn send_request(
    association: &mut Association,
    request: &commitment::Request,
) -> Result<MessageId, Error> {
    let context = context_for(association, &uids::STORAGE_COMMITMENT_PUSH_MODEL)?;
    let information = request
        .to_data_set()
        .encode(&context.transfer_syntax)
        .map_err(|error| Error::Source(std::io::Error::new(std::io::ErrorKind::Unsupported, error)))?;
    let message_id = association.next_message_id();
    let action = NActionRq {
        message_id,
        requested_sop_class_uid: uids::STORAGE_COMMITMENT_PUSH_MODEL,
        requested_sop_instance_uid: uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        action_type_id: commitment::REQUEST,
        action_information: DataSetType::Present,
    };
    association.send(context.id, &Command::NActionRq(action), Data::Bytes(&information)).await?;
    Ok(message_id)
}

/// Reads what a report says; its Event Information as it came.
///
/// # Errors
/// [`Refusal`]: 0112 for another instance than the well-known one, 0113 for another event, 0115 for an Event
/// Information that lacks something.
pub fn read_report(request: &NEventReportRq, information: &DataSet) -> Result<Report, Refusal> {
    commitment::check_instance(&request.affected_sop_instance_uid)?;
    if ![commitment::COMMITTED, commitment::FAILURES_EXIST].contains(&request.event_type_id) {
        return Err(Refusal::new(Status::NO_SUCH_EVENT, "storage commitment has event types 1 and 2 alone"));
    }
    Report::from_data_set(information)
}

/// Answers an N-EVENT-REPORT-RQ.
///
/// # Errors
/// [`Error`].
pub async fn answer_report(
    association: &mut Association,
    context: &Context,
    request: &NEventReportRq,
    outcome: Result<(), Refusal>,
) -> Result<(), Error> {
    if let Err(refusal) = outcome {
        let request = Command::NEventReportRq(request.clone());
        return crate::service::respond_refusal(association, context.id, &request, &refusal).await;
    }
    let response = NEventReportRsp {
        message_id: request.message_id,
        affected_sop_class_uid: Some(request.affected_sop_class_uid.clone()),
        affected_sop_instance_uid: Some(request.affected_sop_instance_uid.clone()),
        event_type_id: Some(request.event_type_id),
        status: Status::SUCCESS,
        event_reply: DataSetType::Null,
        error_comment: None,
    };
    association.send(context.id, &Command::NEventReportRsp(response), Data::None).await
}
