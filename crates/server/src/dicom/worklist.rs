//! Modality Worklist C-FIND over the worklist of the archive: PS3.4 K.4.1.3. The answering is that of every C-FIND.

use std::time::Instant;

use dicomet_net::service::c_find::scp::Answer;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::CFindRq;

use super::find::send_matches;
use super::identifier;
use super::log::Progress;
use super::support::extended_matching;
use crate::Server;

/// Answers with the items that match, or with the refusal of the identifier.
pub(super) async fn answer(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CFindRq,
    identifier: Result<DataSet, DataSetError>,
    progress: &Progress,
) -> Result<(), Error> {
    let began = Instant::now();
    let character_sets = identifier.as_ref().map(DataSet::character_sets).unwrap_or_default();
    let extended = extended_matching(association.negotiated(), &context.abstract_syntax);
    let answer = Answer::new(association, context, request).in_character_sets(character_sets);
    let query = match identifier::worklist_query(identifier, extended) {
        Ok(query) => query,
        Err(refusal) => {
            tracing::info!(message_id = request.message_id.0, status = %refusal.status.digits(), comment = refusal.comment(), "worklist C-FIND refused");
            return answer.finish(Err(refusal)).await;
        }
    };
    let worklist = server.archive.worklist().clone();
    let (matches, status) = send_matches(answer, progress, move |stop, found| {
        let matches = worklist.find(&query)?.until(stop);
        let status = matches.status();
        for item in matches {
            if !found(item?, status) {
                break;
            }
        }
        Ok(())
    })
    .await?;
    tracing::info!(
        message_id = request.message_id.0,
        matches,
        status = %status.digits(),
        seconds = began.elapsed().as_secs_f64(),
        "worklist C-FIND answered"
    );
    Ok(())
}
