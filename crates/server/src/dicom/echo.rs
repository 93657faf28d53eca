//! C-ECHO: PS3.4 Annex A.

use std::time::Instant;

use dicomet_net::service::c_echo;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CEchoRq, Status};

/// Answers that we are here.
pub(super) async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CEchoRq,
) -> Result<(), Error> {
    let began = Instant::now();
    c_echo::answer(association, context, request).await?;
    tracing::info!(
        message_id = request.message_id.0,
        status = %Status::SUCCESS.digits(),
        seconds = began.elapsed().as_secs_f64(),
        "C-ECHO answered"
    );
    Ok(())
}
