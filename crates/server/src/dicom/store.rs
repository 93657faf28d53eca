//! C-STORE into the archive: PS3.4 Annex B. The data set is written as it comes, and answered with success only
//! when the archive has made it durable.

use std::time::Instant;

use dicomet_archive::{Provenance, Stored};
use dicomet_net::service::c_store;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRq, Refusal, Status};

use super::log::Progress;
use crate::Server;

/// Stores the data set that follows, and answers.
pub(super) async fn answer(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
    progress: &Progress,
) -> Result<(), Error> {
    let began = Instant::now();
    let outcome = store(server, association, context, request, progress).await?;
    let message_id = request.message_id.0;
    match outcome {
        Ok(stored) => {
            c_store::scp::answer(association, context, request, Ok(())).await?;
            tracing::debug!(sop_instance = %request.affected_sop_instance_uid, "instance stored");
            tracing::info!(
                message_id,
                status = %Status::SUCCESS.digits(),
                bytes = stored.data_set_length,
                odd_lengths = some(stored.odd_lengths),
                trailing_zeros = some(stored.trailing_zeros),
                seconds = began.elapsed().as_secs_f64(),
                "C-STORE answered"
            );
        }
        Err(refusal) => {
            tracing::warn!(
                message_id,
                sop_class = %request.affected_sop_class_uid,
                status = %refusal.status.digits(),
                comment = refusal.reason(),
                bytes = progress.received_bytes(),
                seconds = began.elapsed().as_secs_f64(),
                "C-STORE refused"
            );
            c_store::scp::answer(association, context, request, Err(refusal)).await?;
        }
    }
    Ok(())
}

/// A figure that is told only where there is something to tell.
fn some(count: u64) -> Option<u64> {
    Some(count).filter(|count| *count > 0)
}

/// The outer error is the association's, the inner one the answer to the peer.
async fn store(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
    progress: &Progress,
) -> Result<Result<Stored, Refusal>, Error> {
    let negotiated = association.negotiated();
    let provenance = Provenance {
        sop_class: request.affected_sop_class_uid.clone(),
        sop_instance: request.affected_sop_instance_uid.clone(),
        transfer_syntax: context.transfer_syntax.clone(),
        calling_ae_title: Some(negotiated.calling_ae_title.clone()),
    };
    let mut incoming = server.archive.receive(provenance).map_err(|error| super::refusal(&error));
    // What is refused is passed over to its end all the same: a peer reads no response before it has sent all.
    while let Some(fragment) = association.receive_data().await? {
        progress.received(fragment.len() as u64);
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
    Ok(incoming.commit().inspect(|_| progress.stored()).map_err(|error| super::refusal(&error)))
}
