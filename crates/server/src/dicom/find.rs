//! C-FIND over the index: PS3.4 C.4.1.3. The matches come from a thread of their own through a bounded channel, so
//! that the first is answered at once and a requestor that reads slowly slows the query, not the memory.

use std::time::{Duration, Instant};

use dicomet_archive::Stop;
use dicomet_net::service::c_find::scp::Answer;
use dicomet_net::{Association, Error};
use dicomet_proto::AeTitle;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError, Tag};
use dicomet_proto::message::{CFindRq, Refusal, Status};
use dicomet_proto::query::{Hierarchy, Query};
use tokio::sync::mpsc;

use super::identifier;
use super::log::Progress;
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
    progress: &Progress,
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
            tracing::info!(message_id = request.message_id.0, status = %refusal.status.digits(), comment = refusal.comment(), "C-FIND refused");
            return answer.finish(Err(refusal)).await;
        }
    };
    let level = query.level;
    let (archive, ae_title) = (server.archive.clone(), server.settings.ae_title.clone());
    let (matches, status) = send_matches(answer, progress, move |stop, found| {
        if !is_retrieved_from(&query, &ae_title).map_err(dicomet_archive::Error::Refused)? {
            return Ok(());
        }
        let mut matches = archive.find(&query)?.until(stop);
        while let Some(identifier) = matches.next() {
            let mut identifier = identifier?;
            identifier.set_text(RETRIEVE_AE_TITLE, ae_title.as_str());
            if !found(identifier, matches.status()) {
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
        status = %status.digits(),
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

/// Sends what a search finds; says how many matches were sent and the status of its end. The search hands each match to the
/// function that it is given, and ends when that says that no more are wanted; so it does at a stop, for which it has to
/// look while it finds nothing. When this returns, the search has ended; when it is dropped, it is about to.
pub(super) async fn send_matches(
    mut answer: Answer<'_>,
    progress: &Progress,
    search: impl FnOnce(&Stop, &mut dyn FnMut(DataSet, Status) -> bool) -> Result<(), dicomet_archive::Error>
    + Send
    + 'static,
) -> Result<(u64, Status), Error> {
    let (found, mut next) = mpsc::channel(MATCHES_AHEAD);
    let stopped = Stop::default();
    let stop = stopped.at_end();
    let finding = tokio::task::spawn_blocking(move || {
        search(&stopped, &mut |identifier, status| found.blocking_send((identifier, status)).is_ok())
    });
    let (sent, is_cancelled) = send_found(&mut answer, &mut next, progress).await?;
    // A search that waits to hand on its next match waits no more, one that finds nothing is stopped.
    drop((next, stop));
    if is_cancelled {
        answer.finish(Ok(())).await?;
        if let Err(error) = finding.await {
            super::fault(&error, Status::UNABLE_TO_PROCESS);
        }
        return Ok((sent, Status::CANCEL));
    }
    let outcome = match finding.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(error) => Err(super::fault(&error, Status::UNABLE_TO_PROCESS)),
    };
    let status = outcome.as_ref().map_or_else(|refusal| refusal.status, |()| Status::SUCCESS);
    answer.finish(outcome).await?;
    Ok((sent, status))
}

/// Sends matches until there are no more, or the peer has cancelled; says how many, and whether it has.
async fn send_found(
    answer: &mut Answer<'_>,
    next: &mut mpsc::Receiver<(DataSet, Status)>,
    progress: &Progress,
) -> Result<(u64, bool), Error> {
    let mut sent = 0;
    let mut matches = Vec::with_capacity(MATCHES_AHEAD);
    loop {
        // All that are there at a time: one by one, each would cost a change of threads.
        let look = tokio::time::timeout(LOOK_INTERVAL, next.recv_many(&mut matches, MATCHES_AHEAD));
        match look.await {
            Ok(0) => return Ok((sent, false)),
            Ok(_) => {}
            Err(_) => {
                // A long search: what was found goes out, and a cancel is seen.
                answer.flush().await?;
                if answer.is_cancelled()? {
                    return Ok((sent, true));
                }
            }
        }
        for (identifier, status) in matches.drain(..) {
            if !answer.pending(&identifier, status).await? {
                return Ok((sent, true));
            }
            sent += 1;
            progress.sent_one();
        }
    }
}

/// The answer when a search failed: C-FIND has A700, A900 and Cxxx (PS3.4 C.4.1.1.4), and no 0110.
fn refusal(error: &dicomet_archive::Error) -> Refusal {
    let mut refusal = super::refusal(error);
    if refusal.status == Status::PROCESSING_FAILURE {
        refusal.status = Status::UNABLE_TO_PROCESS;
    }
    refusal
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc as events;

    use dicomet_net::association::Timeouts;
    use dicomet_net::connect;
    use dicomet_net::listen::Listener;
    use dicomet_net::service::c_find::scu::Find;
    use dicomet_net::service::{Request, next_request};
    use dicomet_proto::association::negotiation::Proposal;
    use dicomet_proto::dataset::dictionary::uids;
    use dicomet_proto::query::{Level, Model};

    use super::super::support::ArchiveSupport;
    use super::*;
    use crate::Settings;
    use crate::nodes::Operations;

    const COMMENTS: Tag = Tag(0x0010, 0x4000);

    /// The two ends of an association for C-FIND.
    async fn associated(timeouts: Timeouts) -> (Association, Association) {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), timeouts).await.unwrap();
        let node = format!("ARCHIVE@{}", listener.local_address()).parse().unwrap();
        let syntaxes = vec![uids::EXPLICIT_VR_LITTLE_ENDIAN];
        let proposal = Proposal::new(
            AeTitle::new("REQUESTOR").unwrap(),
            AeTitle::new("ARCHIVE").unwrap(),
            vec![(uids::STUDY_ROOT_FIND, syntaxes)],
        );
        let accepting = async {
            let requested = listener.accept().await.request().await.unwrap();
            let settings = Settings::new(AeTitle::new("ARCHIVE").unwrap());
            requested.accept(&ArchiveSupport::new(&settings, Operations::ALL)).await.unwrap()
        };
        let timeouts = Timeouts::default();
        let (requestor, acceptor) = tokio::join!(connect::connect(&node, proposal, &timeouts), accepting);
        (requestor.unwrap(), acceptor)
    }

    /// Answers the next request, a C-FIND, with what a search finds.
    async fn answer_with(
        acceptor: &mut Association,
        search: impl FnOnce(&Stop, &mut dyn FnMut(DataSet, Status) -> bool) -> Result<(), dicomet_archive::Error>
        + Send
        + 'static,
    ) -> Result<(u64, Status), Error> {
        match next_request(acceptor).await.unwrap() {
            Some(Request::Find(context, request, _)) => {
                send_matches(Answer::new(acceptor, &context, &request), &Progress::default(), search).await
            }
            _ => panic!("a C-FIND was sent"),
        }
    }

    fn everything() -> Query {
        Query::new(Model::StudyRoot, Level::Study).key("StudyInstanceUID").unwrap()
    }

    /// A search without any match that goes on until it is stopped. It tells when it begins and that it ends.
    fn fruitless(
        told: events::Sender<&'static str>,
    ) -> impl FnOnce(&Stop, &mut dyn FnMut(DataSet, Status) -> bool) -> Result<(), dicomet_archive::Error>
    {
        move |stop, _| {
            told.send("begun").unwrap();
            while !stop.is_stopped() {
                std::thread::yield_now();
            }
            told.send("ended").unwrap();
            Err(dicomet_archive::Error::Stopped)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancel_ends_a_search_that_finds_nothing_and_its_thread() {
        let (mut requestor, mut acceptor) = associated(Timeouts::default()).await;
        let (told, events) = events::channel();
        let answering = tokio::spawn(async move { answer_with(&mut acceptor, fruitless(told)).await });
        let mut find = Find::start(&mut requestor, &everything()).await.unwrap();
        let events = tokio::task::spawn_blocking(move || {
            assert_eq!(events.recv(), Ok("begun"));
            events
        });
        let events = events.await.unwrap();
        find.cancel().await.unwrap();
        assert_eq!(find.finish().await.unwrap().status, Status::CANCEL);
        assert_eq!(answering.await.unwrap().unwrap(), (0, Status::CANCEL));
        // Not told later: the answering has waited for it.
        assert_eq!(events.try_recv(), Ok("ended"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_abort_ends_a_search_that_finds_nothing() {
        let (mut requestor, mut acceptor) = associated(Timeouts::default()).await;
        let (told, events) = events::channel();
        let answering = tokio::spawn(async move { answer_with(&mut acceptor, fruitless(told)).await });
        Find::start(&mut requestor, &everything()).await.unwrap();
        requestor.abort().await;
        assert!(answering.await.unwrap().is_err());
        let ended = tokio::task::spawn_blocking(move || [events.recv(), events.recv()]).await.unwrap();
        assert_eq!(ended, [Ok("begun"), Ok("ended")]);
    }

    /// Some KB each, without end.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_requestor_that_stops_reading_holds_the_search_back_and_is_aborted_in_time() {
        let progress = Duration::from_millis(200);
        let (mut requestor, mut acceptor) = associated(Timeouts { progress, ..Timeouts::default() }).await;
        let (told, events) = events::channel();
        let answering = tokio::spawn(async move {
            let endless = move |_: &Stop, found: &mut dyn FnMut(DataSet, Status) -> bool| {
                let mut identifier = DataSet::new();
                identifier.set_text(COMMENTS, &"no comment ".repeat(500));
                let mut matches = 0_u64;
                while found(identifier.clone(), Status::PENDING) {
                    matches += 1;
                }
                told.send(matches).unwrap();
                Ok(())
            };
            answer_with(&mut acceptor, endless).await
        });
        let mut find = Find::start(&mut requestor, &everything()).await.unwrap();
        assert!(find.next().await.unwrap().is_some());
        // Nothing is read from here on: there is no task that would.
        assert!(answering.await.unwrap().is_err());
        let matches = tokio::task::spawn_blocking(move || events.recv()).await.unwrap().unwrap();
        // What the system's buffers hold, some MB, and what is between search and association.
        assert!((1..50_000).contains(&matches), "{matches}");
    }

    #[test]
    fn a_fault_of_the_index_is_no_status_that_c_find_does_not_have() {
        let fault = dicomet_archive::Error::Index("no such table".to_owned());
        assert_eq!(refusal(&fault).status, Status::UNABLE_TO_PROCESS);
        assert_eq!(refusal(&dicomet_archive::Error::Degraded).status, Status::OUT_OF_RESOURCES);
    }
}
