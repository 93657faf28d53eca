//! C-STORE as SCP: PS3.4 Annex B, PS3.7 9.1.1. Used by the archive, and by a retrieve, in which the peer turns
//! round and stores with us.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRq, Refusal};

use crate::{Association, Error};

/// Answers a C-STORE-RQ with success, or with the refusal (which may be a warning).
///
/// # Errors
/// [`Error`].
pub async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CStoreRq,
    outcome: Result<(), Refusal>,
) -> Result<(), Error> {
    let _ = (association, context, request, outcome);
    todo!()
}
