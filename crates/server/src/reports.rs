//! Delivers storage commitment reports on associations of our own: PS3.4 J.3.3. Those of requestors that left before
//! they were told, and those that an earlier process owes.
//!
//! A requestor is found by its AE title in the table of nodes, as a move destination is; its address never comes from
//! a peer. What cannot be delivered is tried again, after pauses that double, until the limit: then it is given up,
//! and the log says so. All reports for a requestor go over one association at a time.

use std::collections::HashMap;
use std::time::Duration;

use dicomet_archive::commitments::{CommitmentId, Due, Requestor};
use dicomet_net::service::storage_commitment::scp;
use dicomet_net::{Association, Error};
use dicomet_proto::commitment::Report;
use dicomet_proto::message::StatusKind;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Server;
use crate::dicom::asked_to_stop;
use crate::settings::Reports;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Delivers what is due, and what comes, until the server is to stop; then it lets what is under way end.
pub(crate) async fn deliver(
    server: Server,
    due: Vec<Due>,
    mut coming: mpsc::UnboundedReceiver<Due>,
    mut stopped: watch::Receiver<bool>,
) {
    let stop = stopped.clone();
    let mut reporter = Reporter { server, queues: HashMap::new(), running: JoinSet::new(), stop };
    // An earlier process waited long enough, and what was in its way may have gone with it.
    for due in due {
        reporter.put(due, Instant::now());
    }
    loop {
        let next = reporter.next();
        tokio::select! {
            biased;
            () = asked_to_stop(&mut stopped) => break,
            Some(ended) = reporter.running.join_next() => match ended {
                Ok(attempt) => reporter.ended(attempt).await,
                Err(error) => tracing::error!(%error, "delivering reports ended by a fault of ours"),
            },
            Some(due) = coming.recv() => reporter.come(due).await,
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => reporter.begin(),
        }
    }
    while reporter.running.join_next().await.is_some() {}
}

/// What is to be delivered, by requestor.
struct Reporter {
    server: Server,
    queues: HashMap<Requestor, Queue>,
    running: JoinSet<Attempt>,
    stop: watch::Receiver<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    is_running: bool,
}

/// A report, and when it is to be tried.
struct Waiting {
    id: CommitmentId,
    at: Instant,
}

/// What came of one association with a requestor.
struct Attempt {
    requestor: Requestor,
    /// What it did not take, of what was due; what only went along when it was not yet due, waits on.
    undelivered: Vec<CommitmentId>,
    waiting: Vec<Waiting>,
}

impl Reporter {
    fn put(&mut self, due: Due, at: Instant) {
        self.queues.entry(due.requestor).or_default().waiting.push(Waiting { id: due.id, at });
    }

    /// Takes one that could not be reported on its own association: at once, unless it was tried there in vain.
    async fn come(&mut self, due: Due) {
        let at = Instant::now() + pause(&self.server.settings.reports, due.tries);
        if due.tries < self.server.settings.reports.tries {
            self.put(due, at);
        } else {
            give_up(&self.server, &due.requestor, due.id, "it was tried often enough").await;
        }
    }

    /// When something is to be tried next.
    fn next(&self) -> Option<Instant> {
        let idle = self.queues.values().filter(|queue| !queue.is_running);
        idle.flat_map(|queue| &queue.waiting).map(|waiting| waiting.at).min()
    }

    /// Begins with the requestors for which something is due; what else waits for them goes along.
    fn begin(&mut self) {
        let now = Instant::now();
        for (requestor, queue) in &mut self.queues {
            if queue.is_running || queue.waiting.iter().all(|waiting| waiting.at > now) {
                continue;
            }
            queue.is_running = true;
            let waiting = std::mem::take(&mut queue.waiting);
            self.running.spawn(attempt(self.server.clone(), requestor.clone(), waiting, self.stop.clone()));
        }
    }

    /// Plans the next try of what was not delivered, or gives it up.
    async fn ended(&mut self, attempt: Attempt) {
        let Attempt { requestor, undelivered, waiting } = attempt;
        let mut again = waiting;
        for id in undelivered {
            let due = failed(&self.server, Due { id, requestor: requestor.clone(), tries: 0 }).await;
            if due.tries < self.server.settings.reports.tries {
                again.push(Waiting {
                    id,
                    at: Instant::now() + pause(&self.server.settings.reports, due.tries),
                });
            } else {
                give_up(&self.server, &requestor, id, "it was tried often enough").await;
            }
        }
        let queue = self.queues.entry(requestor.clone()).or_default();
        queue.is_running = false;
        queue.waiting.extend(again);
        if queue.waiting.is_empty() {
            self.queues.remove(&requestor);
        }
    }
}

/// The pause after so many tries.
fn pause(reports: &Reports, tries: u32) -> Duration {
    let Some(doubled) = tries.checked_sub(1) else { return Duration::ZERO };
    reports.pause.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST_PAUSE)
}

/// Delivers what waits for a requestor, as far as it lets us.
async fn attempt(
    server: Server,
    requestor: Requestor,
    waiting: Vec<Waiting>,
    mut stop: watch::Receiver<bool>,
) -> Attempt {
    let nodes = server.nodes();
    let Some(node) = nodes.address_of(&requestor.calling) else {
        for waiting in waiting {
            let why = "the table of nodes has no address for this AE title";
            give_up(&server, &requestor, waiting.id, why).await;
        }
        return Attempt { requestor, undelivered: Vec::new(), waiting: Vec::new() };
    };
    let began = Instant::now();
    let mut left = waiting.into_iter();
    let mut undelivered = Vec::new();
    let opened = tokio::select! {
        opened = scp::open(node, &requestor.called, &server.settings.destination) => opened,
        // Due again at the next start.
        () = asked_to_stop(&mut stop) => return Attempt { requestor, undelivered, waiting: left.collect() },
    };
    match opened {
        Ok(mut association) => {
            let mut error = None;
            for waiting in left.by_ref() {
                match deliver_one(&server, &mut association, &requestor, waiting.id).await {
                    Ok(true) => {}
                    Ok(false) => undelivered.push(waiting.id),
                    Err(cause) => {
                        undelivered.push(waiting.id);
                        error = Some(cause);
                        break;
                    }
                }
            }
            match error {
                Some(error) => {
                    log_failure(&requestor, &error);
                    association.abort().await;
                }
                None => {
                    if let Err(error) = association.release().await {
                        tracing::debug!("releasing after reports: {error}");
                    }
                }
            }
        }
        Err(error) => log_failure(&requestor, &error),
    }
    let (due, waiting): (Vec<Waiting>, Vec<Waiting>) = left.partition(|waiting| waiting.at <= began);
    undelivered.extend(due.into_iter().map(|waiting| waiting.id));
    Attempt { requestor, undelivered, waiting }
}

fn log_failure(requestor: &Requestor, error: &Error) {
    tracing::warn!(calling = %requestor.calling, %error, "storage commitment reports could not be delivered");
}

/// Delivers one report; answers whether it is settled.
async fn deliver_one(
    server: &Server,
    association: &mut Association,
    requestor: &Requestor,
    id: CommitmentId,
) -> Result<bool, Error> {
    let due = Due { id, requestor: requestor.clone(), tries: 0 };
    let report = match make(server, &due).await {
        Ok(Some(report)) => report,
        Ok(None) => return Ok(true),
        Err(_) => return Ok(false),
    };
    let status = scp::report(association, &report).await?;
    if matches!(status.kind(), StatusKind::Success | StatusKind::Warning) {
        delivered(server, &due).await;
        return Ok(true);
    }
    tracing::warn!(calling = %requestor.calling, %status, "a storage commitment report was refused");
    Ok(false)
}

/// A report could not be made; the log has why.
pub(crate) struct NotMade;

/// Looks at the instances, and makes the report; `None` when it is settled.
pub(crate) async fn make(server: &Server, due: &Due) -> Result<Option<Report>, NotMade> {
    let (archive, id) = (server.archive.clone(), due.id);
    let ae_title = server.settings.ae_title.clone();
    let made = tokio::task::spawn_blocking(move || archive.commitment_report(id, &ae_title)).await;
    match made {
        Ok(Ok(report)) => {
            if let Some(report) = &report {
                let (committed, failed) = (report.committed.len(), report.failed.len());
                tracing::info!(calling = %due.requestor.calling, committed, failed, "storage commitment report made");
            }
            Ok(report)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a storage commitment report cannot be made");
            Err(NotMade)
        }
        Err(error) => {
            tracing::error!(%error, "a storage commitment report ended by a fault of ours");
            Err(NotMade)
        }
    }
}

/// Notes that a report was delivered.
pub(crate) async fn delivered(server: &Server, due: &Due) {
    settle(server, due.id).await;
    tracing::info!(calling = %due.requestor.calling, "storage commitment report delivered");
}

/// Notes that a report could not be delivered.
pub(crate) async fn failed(server: &Server, due: Due) -> Due {
    let (commitments, id) = (server.archive.commitments().clone(), due.id);
    let tries = match tokio::task::spawn_blocking(move || commitments.tried(id)).await {
        Ok(Ok(tries)) => tries,
        other => {
            tracing::error!(?other, "a try cannot be noted");
            due.tries + 1
        }
    };
    Due { tries, ..due }
}

async fn give_up(server: &Server, requestor: &Requestor, id: CommitmentId, why: &str) {
    settle(server, id).await;
    tracing::warn!(calling = %requestor.calling, why, "storage commitment report given up");
}

/// One that cannot be noted as settled is delivered once more after the next start, which does no harm.
async fn settle(server: &Server, id: CommitmentId) {
    let commitments = server.archive.commitments().clone();
    match tokio::task::spawn_blocking(move || commitments.settle(id)).await {
        Ok(Ok(())) => {}
        other => tracing::error!(?other, "a storage commitment report cannot be noted as settled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_the_last_try_is_a_day_after_the_first() {
        let reports = Reports::default();
        let pauses: Vec<u64> = (0..reports.tries).map(|tries| pause(&reports, tries).as_secs()).collect();
        assert_eq!(pauses[..5], [0, 10, 20, 40, 80]);
        assert_eq!(pauses.last(), Some(&3600));
        assert!((23..25).contains(&(pauses.iter().sum::<u64>() / 3600)));
        assert_eq!(pause(&reports, u32::MAX), LONGEST_PAUSE);
    }
}
