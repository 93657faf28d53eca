//! C-ECHO: PS3.4 Annex A.

use dicomet_net::service::c_echo;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::CEchoRq;

/// Answers that we are here.
pub(super) async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CEchoRq,
) -> Result<(), Error> {
    c_echo::answer(association, context, request).await?;
    tracing::info!(message_id = request.message_id.0, "C-ECHO answered");
    Ok(())
}
