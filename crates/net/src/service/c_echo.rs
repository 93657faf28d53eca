//! C-ECHO: PS3.4 Annex A, PS3.7 9.1.5.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CEchoRq, Status};

use crate::{Association, Error};

/// Asks the peer whether it is there (SCU).
///
/// # Errors
/// [`Error`]; a failure status is an answer.
pub async fn echo(association: &mut Association) -> Result<Status, Error> {
    let _ = association;
    todo!()
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
    let _ = (association, context, request);
    todo!()
}
