//! C-FIND over the index: PS3.4 C.4.1.3. The matches come from a thread of their own through a bounded channel, so
//! that the first is answered at once and a requestor that reads slowly slows the query, not the memory.

use std::time::{Duration, Instant};

use dicomet_net::service::c_find::scp::Answer;
use dicomet_net::{Association, Error};
use dicomet_proto::AeTitle;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError, Tag};
use dicomet_proto::message::{CFindRq, Refusal, Status};
use dicomet_proto::query::{Hierarchy, Query};
use tokio::sync::mpsc;

use super::identifier;
use super::support::{extended_matching, is_relational};
use crate::Server;

/// Matches between the index and the association: enough that neither waits for the other's next turn, and that they
/// change hands many at a time; waking a thread costs more than a match.
const MATCHES_AHEAD: usize = 128;

/// How often a search that has nothing to send looks for a cancel.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Matched and added here, for it is not the index that knows it (PS3.4 C.4.1.1.3.2).
const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);

/// Answers with the matches, or with the refusal of the identifier.
pub(super) async fn answer(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CFindRq,
    identifier: Result<DataSet, DataSetError>,
) -> Result<(), Error> {
    let began = Instant::now();
    let character_sets = identifier.as_ref().map(DataSet::character_sets).unwrap_or_default();
    let hierarchy = if is_relational(association.negotiated(), &context.abstract_syntax) {
        Hierarchy::Relational
    } else {
        Hierarchy::Required
    };
    let extended = extended_matching(association.negotiated(), &context.abstract_syntax);
    let query = identifier::find_query(&context.abstract_syntax, identifier, hierarchy, extended);
    let answer = Answer::new(association, context, request).in_character_sets(character_sets);
    let query = match query {
        Ok(query) => query,
        Err(refusal) => {
            tracing::info!(message_id = request.message_id.0, status = %refusal.status, comment = refusal.comment(), "C-FIND refused");
            return answer.finish(Err(refusal)).await;
        }
    };
    let level = query.level;
    let (archive, ae_title) = (server.archive.clone(), server.settings.ae_title.clone());
    let (matches, status) = send_matches(answer, move |found| {
        if !is_retrieved_from(&query, &ae_title).map_err(dicomet_archive::Error::Refused)? {
            return Ok(());
        }
        let matches = archive.find(&query)?;
        let status = matches.status();
        for identifier in matches {
            let mut identifier = identifier?;
            identifier.set_text(RETRIEVE_AE_TITLE, ae_title.as_str());
            if !found(identifier, status) {
                break;
            }
        }
        Ok(())
    })
    .await?;
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

/// Whether a query leaves out nothing because of where it is to be retrieved from: all is retrieved from us.
fn is_retrieved_from(query: &Query, ae_title: &AeTitle) -> Result<bool, Refusal> {
    let mut constant = DataSet::new();
    constant.set_text(RETRIEVE_AE_TITLE, ae_title.as_str());
    let keys = query.matching_keys()?;
    Ok(keys.iter().filter(|key| key.tag() == RETRIEVE_AE_TITLE).all(|key| key.matches(&constant)))
}

/// Sends what a search finds; says how many matches were sent and how it ended. The search hands each match to the
/// function that it is given, and ends when that says that no more are wanted.
pub(super) async fn send_matches(
    mut answer: Answer<'_>,
    search: impl FnOnce(&mut dyn FnMut(DataSet, Status) -> bool) -> Result<(), dicomet_archive::Error>
    + Send
    + 'static,
) -> Result<(u64, &'static str), Error> {
    let (found, mut next) = mpsc::channel(MATCHES_AHEAD);
    let finding = tokio::task::spawn_blocking(move || {
        search(&mut |identifier, status| found.blocking_send((identifier, status)).is_ok())
    });
    let mut sent = 0;
    let mut matches = Vec::with_capacity(MATCHES_AHEAD);
    loop {
        // All that are there at a time: one by one, each would cost a change of threads.
        let look = tokio::time::timeout(LOOK_INTERVAL, next.recv_many(&mut matches, MATCHES_AHEAD));
        match look.await {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => {
                // A long search: what was found goes out, and a cancel is seen.
                answer.flush().await?;
                if answer.is_cancelled()? {
                    answer.finish(Ok(())).await?;
                    return Ok((sent, "cancelled"));
                }
            }
        }
        for (identifier, status) in matches.drain(..) {
            if !answer.pending(&identifier, status).await? {
                answer.finish(Ok(())).await?;
                return Ok((sent, "cancelled"));
            }
            sent += 1;
        }
    }
    let outcome = match finding.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(super::refusal(&error)),
        Err(error) => Err(super::fault(&error, Status::UNABLE_TO_PROCESS)),
    };
    let end = outcome.as_ref().map_or("refused", |()| "success");
    answer.finish(outcome).await?;
    Ok((sent, end))
}
