//! C-STORE into the archive: PS3.4 Annex B. The data set is written as it comes, and answered with success only
//! when the archive has made it durable.

use std::time::Instant;

use dicomet_archive::Provenance;
use dicomet_net::service::c_store;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRq, Refusal, Status};

use crate::Server;

/// Stores the data set that follows, answers, and says how many bytes were stored.
pub(super) async fn answer(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
) -> Result<u64, Error> {
    let began = Instant::now();
    let outcome = store(server, association, context, request).await?;
    let (status, bytes) = match &outcome {
        Ok(bytes) => (Status::SUCCESS, *bytes),
        Err(refusal) => (refusal.status, 0),
    };
    if outcome.is_ok() {
        tracing::debug!(sop_instance = %request.affected_sop_instance_uid, "instance stored");
        tracing::info!(
            message_id = request.message_id.0,
            bytes,
            seconds = began.elapsed().as_secs_f64(),
            "C-STORE answered"
        );
    } else {
        tracing::warn!(
            message_id = request.message_id.0,
            sop_class = %request.affected_sop_class_uid,
            %status,
            comment = outcome.as_ref().err().map(Refusal::comment),
            "C-STORE refused"
        );
    }
    c_store::scp::answer(association, context, request, outcome.map(drop)).await?;
    Ok(bytes)
}

/// The outer error is the association's, the inner one the answer to the peer.
async fn store(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
) -> Result<Result<u64, Refusal>, Error> {
    let negotiated = association.negotiated();
    let provenance = Provenance {
        sop_class: request.affected_sop_class_uid.clone(),
        sop_instance: request.affected_sop_instance_uid.clone(),
        transfer_syntax: context.transfer_syntax.clone(),
        calling_ae_title: Some(negotiated.calling_ae_title.clone()),
    };
    let mut incoming = server.archive.receive(provenance).map_err(|error| super::refusal(&error));
    let mut bytes = 0;
    // What is refused is passed over to its end all the same: a peer reads no response before it has sent all.
    while let Some(fragment) = association.receive_data().await? {
        bytes += fragment.len() as u64;
        if let Ok(open) = &mut incoming
            && let Err(error) = open.write(&fragment)
        {
            incoming = Err(super::refusal(&error));
        }
    }
    let incoming = match incoming {
        Ok(incoming) => incoming,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // It blocks; on this thread nobody else waits.
    Ok(incoming.commit().map(|_| bytes).map_err(|error| super::refusal(&error)))
}
