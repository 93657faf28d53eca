//! C-FIND over the index: PS3.4 C.4.1.3. The matches come from a thread of their own through a bounded channel, so
//! that the first is answered at once and a requestor that reads slowly slows the query, not the memory.

use std::time::Instant;

use dicomet_net::service::c_find::scp::Answer;
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError, Tag};
use dicomet_proto::message::{CFindRq, Refusal, Status};
use dicomet_proto::query::{Level, Query};
use tokio::sync::mpsc;

use super::identifier;
use crate::Server;

/// Matches between the index and the association: enough that neither waits for the other's next turn.
const MATCHES_AHEAD: usize = 64;

const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
const INSTANCE_AVAILABILITY: Tag = Tag(0x0008, 0x0056);

/// Answers with the matches, or with the refusal of the identifier.
pub(super) async fn answer(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CFindRq,
    identifier: Result<DataSet, DataSetError>,
) -> Result<(), Error> {
    let began = Instant::now();
    let relational = super::support::is_relational(association.negotiated(), &context.abstract_syntax);
    let query = identifier::find_query(&context.abstract_syntax, identifier, relational);
    let answer = Answer::new(association, context, request);
    let query = match query {
        Ok(query) => query,
        Err(refusal) => {
            tracing::info!(message_id = request.message_id.0, status = %refusal.status, comment = refusal.comment(), "C-FIND refused");
            return answer.finish(Err(refusal)).await;
        }
    };
    let level = query.level;
    let (matches, status) = send_matches(server, answer, query).await?;
    tracing::info!(
        message_id = request.message_id.0,
        ?level,
        matches,
        status,
        seconds = began.elapsed().as_secs_f64(),
        "C-FIND answered"
    );
    Ok(())
}

/// Sends what the index finds; says how many were sent and how it ended.
async fn send_matches(
    server: &Server,
    mut answer: Answer<'_>,
    query: Query,
) -> Result<(u64, &'static str), Error> {
    let (found, mut next) = mpsc::channel(MATCHES_AHEAD);
    let archive = server.archive.clone();
    let level = query.level;
    let asked_for = query.keys.clone();
    let finding = tokio::task::spawn_blocking(move || -> Result<(), dicomet_archive::Error> {
        for found_match in archive.find(&query)? {
            if found.blocking_send(found_match?).is_err() {
                break;
            }
        }
        Ok(())
    });
    let mut matches = 0;
    let mut going_on = true;
    while going_on && let Some(mut identifier) = next.recv().await {
        complete(&mut identifier, &asked_for, level, server);
        going_on = answer.pending(&identifier, Status::PENDING).await?;
        matches += u64::from(going_on);
    }
    // Ends the thread, if it still looks for more.
    drop(next);
    let outcome = match finding.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::error!(%error, "the index did not answer");
            Err(error.refusal())
        }
        Err(error) => {
            tracing::error!(%error, "finding failed by a fault of ours");
            Err(Refusal::new(Status::UNABLE_TO_PROCESS, "the archive failed; see its log"))
        }
    };
    let status = match (&outcome, going_on) {
        (Err(_), _) => "failed",
        (Ok(()), true) => "success",
        (Ok(()), false) => "cancelled",
    };
    answer.finish(outcome).await?;
    Ok((matches, status))
}

/// Adds to a match what the index does not know: its level, and where it can be retrieved from (PS3.4 C.4.1.1.3.2).
fn complete(identifier: &mut DataSet, asked_for: &DataSet, level: Level, server: &Server) {
    let level = match level {
        Level::Patient => "PATIENT",
        Level::Study => "STUDY",
        Level::Series => "SERIES",
        Level::Image => "IMAGE",
    };
    identifier.set_text(QUERY_RETRIEVE_LEVEL, level);
    identifier.set_text(RETRIEVE_AE_TITLE, server.settings.ae_title.as_str());
    if asked_for.contains(INSTANCE_AVAILABILITY) {
        identifier.set_text(INSTANCE_AVAILABILITY, "ONLINE");
    }
}
