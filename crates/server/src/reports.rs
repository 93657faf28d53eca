//! Delivers storage commitment reports on associations of our own: PS3.4 J.3.3. Those of requestors that left before
//! they were told, and those that an earlier process owes.
//!
//! A requestor is found by its AE title in the table of nodes, as a move destination is; its address never comes from
//! a peer. What cannot be delivered is tried again, after pauses that double, until the limit: then it is given up,
//! and the log says so. All reports for a requestor go over one association at a time.

use std::collections::HashMap;
use std::iter;
use std::time::Duration;

use dicomet_archive::Stop;
use dicomet_archive::commitments::{CommitmentId, Due, Requestor};
use dicomet_net::service::storage_commitment::scp;
use dicomet_net::{Association, Error, Node};
use dicomet_proto::commitment::Report;
use dicomet_proto::message::StatusKind;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::Server;
use crate::dicom::asked_to_stop;
use crate::settings::Reports;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Delivers what is due, and what comes, until the server is to stop; then it lets what is under way end, until that is
/// `over`.
pub(crate) async fn deliver(
    server: Server,
    due: Vec<Due>,
    mut coming: mpsc::UnboundedReceiver<Due>,
    mut stopped: watch::Receiver<bool>,
    over: watch::Receiver<bool>,
) {
    let signals = Signals { stop: stopped.clone(), over };
    let mut reporter = Reporter::new(server, signals);
    // An earlier process waited long enough, and what was in its way may have gone with it.
    for due in due {
        reporter.put(due, Instant::now());
    }
    loop {
        let next = reporter.next();
        tokio::select! {
            biased;
            () = asked_to_stop(&mut stopped) => break,
            Some(ended) = reporter.running.join_next_with_id() => reporter.joined(ended).await,
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
    /// What each of them is at.
    at_work: HashMap<task::Id, (Requestor, Vec<CommitmentId>)>,
    signals: Signals,
}

/// That the server is to stop, and that its time is over.
#[derive(Clone)]
struct Signals {
    stop: watch::Receiver<bool>,
    over: watch::Receiver<bool>,
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
    fn new(server: Server, signals: Signals) -> Reporter {
        let (queues, running, at_work) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Reporter { server, queues, running, at_work, signals }
    }

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
            let ids = waiting.iter().map(|waiting| waiting.id).collect();
            let attempt = attempt(self.server.clone(), requestor.clone(), waiting, self.signals.clone());
            let task = self.running.spawn(attempt).id();
            self.at_work.insert(task, (requestor.clone(), ids));
        }
    }

    /// An attempt that panicked has delivered nothing, as far as anybody knows.
    async fn joined(&mut self, ended: Result<(task::Id, Attempt), JoinError>) {
        match ended {
            Ok((task, attempt)) => {
                self.at_work.remove(&task);
                self.ended(attempt).await;
            }
            Err(error) => {
                tracing::error!("delivering reports ended by a fault of ours");
                if let Some((requestor, undelivered)) = self.at_work.remove(&error.id()) {
                    self.ended(Attempt { requestor, undelivered, waiting: Vec::new() }).await;
                }
            }
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

/// Delivers what waits for a requestor, as far as it lets us. It is called when the first report is made, which may take its
/// time.
async fn attempt(
    server: Server,
    requestor: Requestor,
    waiting: Vec<Waiting>,
    mut signals: Signals,
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
    let mut line = Line { server: &server, requestor: &requestor, node, association: None };
    while let Some(waiting) = left.next() {
        let ready = tokio::select! {
            ready = line.ready(waiting.id) => ready,
            // Due again at the next start.
            () = asked_to_stop(&mut signals.stop) => {
                tokio::select! {
                    () = line.end(true) => {}
                    () = asked_to_stop(&mut signals.over) => {}
                }
                let waiting = iter::once(waiting).chain(left).collect();
                return Attempt { requestor, undelivered, waiting };
            }
        };
        let delivered = match ready {
            Ok(Ready::Settled) => Ok(true),
            Ok(Ready::NotMade) => Ok(false),
            Ok(Ready::Report(report, association)) => tokio::select! {
                biased;
                delivered = deliver_one(&server, association, &requestor, waiting.id, &report) => delivered,
                // As above.
                () = asked_to_stop(&mut signals.over) => {
                    line.end(false).await;
                    undelivered.push(waiting.id);
                    return Attempt { requestor, undelivered, waiting: left.collect() };
                }
            },
            Err(error) => Err(error),
        };
        match delivered {
            Ok(true) => {}
            Ok(false) => undelivered.push(waiting.id),
            Err(error) => {
                log_failure(&requestor, &error);
                undelivered.push(waiting.id);
                line.end(false).await;
                let (due, waiting): (Vec<Waiting>, _) = left.partition(|waiting| waiting.at <= began);
                undelivered.extend(due.into_iter().map(|waiting| waiting.id));
                return Attempt { requestor, undelivered, waiting };
            }
        }
    }
    line.end(true).await;
    Attempt { requestor, undelivered, waiting: Vec::new() }
}

/// The association with a requestor, from the first report on.
struct Line<'l> {
    server: &'l Server,
    requestor: &'l Requestor,
    node: &'l Node,
    association: Option<Association>,
}

/// What comes of a report before it is sent.
enum Ready<'l> {
    /// It is settled.
    Settled,
    /// It cannot be made.
    NotMade,
    /// It is made, and its receiver listens.
    Report(Report, &'l mut Association),
}

impl Line<'_> {
    /// Makes a report, then opens the association if there is none yet.
    async fn ready(&mut self, id: CommitmentId) -> Result<Ready<'_>, Error> {
        let report = match make(self.server, &Due { id, requestor: self.requestor.clone(), tries: 0 }).await {
            Ok(Some(report)) => report,
            Ok(None) => return Ok(Ready::Settled),
            Err(NotMade) => return Ok(Ready::NotMade),
        };
        let association = match self.association.take() {
            Some(association) => association,
            None => scp::open(self.node, &self.requestor.called, &self.server.settings.destination).await?,
        };
        Ok(Ready::Report(report, self.association.insert(association)))
    }

    async fn end(self, well: bool) {
        match self.association {
            Some(association) if well => {
                if let Err(error) = association.release().await {
                    tracing::debug!("releasing after reports: {error}");
                }
            }
            Some(association) => association.abort().await,
            None => {}
        }
    }
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
    report: &Report,
) -> Result<bool, Error> {
    let status = scp::report(association, report).await?;
    if matches!(status.kind(), StatusKind::Success | StatusKind::Warning) {
        delivered(server, &Due { id, requestor: requestor.clone(), tries: 0 }).await;
        return Ok(true);
    }
    tracing::warn!(calling = %requestor.calling, status = %status.digits(), "a storage commitment report was refused");
    Ok(false)
}

/// A report could not be made; the log has why.
pub(crate) struct NotMade;

/// Reads the instances, and makes the report; `None` when it is settled. Dropped, it stops reading.
pub(crate) async fn make(server: &Server, due: &Due) -> Result<Option<Report>, NotMade> {
    let (archive, id) = (server.archive.clone(), due.id);
    let ae_title = server.settings.ae_title.clone();
    let stop = Stop::default();
    let _at_end = stop.at_end();
    let made = tokio::task::spawn_blocking(move || archive.commitment_report(id, &ae_title, &stop)).await;
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
        Err(_) => {
            tracing::error!("a storage commitment report ended by a fault of ours");
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
            tracing::error!(error = why(other), "a try cannot be noted");
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
        other => {
            tracing::error!(error = why(other), "a storage commitment report cannot be noted as settled")
        }
    }
}

/// What the archive says, but not what a panic says: that may quote a data set.
fn why<T>(failed: Result<Result<T, dicomet_archive::Error>, JoinError>) -> String {
    match failed {
        Ok(Err(error)) => error.to_string(),
        _ => "a fault of ours".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(folder: &std::path::Path) -> Reporter {
        let archive = dicomet_archive::Archive::open(folder, dicomet_archive::Settings::default()).unwrap();
        let settings = crate::Settings::new(dicomet_proto::AeTitle::new("ARCHIVE").unwrap());
        let (_, never) = watch::channel(false);
        let signals = Signals { stop: never.clone(), over: never };
        Reporter::new(Server::new(archive, settings), signals)
    }

    #[tokio::test]
    async fn an_attempt_that_panics_leaves_its_reports_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = reporter(folder.path());
        let title = |text| dicomet_proto::AeTitle::new(text).unwrap();
        let requestor = Requestor { calling: title("CT"), called: title("ARCHIVE") };
        let asked = dicomet_proto::commitment::Request {
            transaction: dicomet_proto::Uid::new("2.999.1").unwrap(),
            references: Vec::new(),
        };
        let id = reporter.server.archive.commitments().add(&requestor, &asked).unwrap();
        reporter.queues.entry(requestor.clone()).or_default().is_running = true;
        let task = reporter.running.spawn(async { panic!("as a fault of ours would") }).id();
        reporter.at_work.insert(task, (requestor, vec![id]));
        assert_eq!(reporter.next(), None);

        let ended = reporter.running.join_next_with_id().await.unwrap();
        reporter.joined(ended).await;
        let pause = reporter.next().unwrap() - Instant::now();
        assert!(pause > Duration::from_secs(9), "after the first pause, and no later: {pause:?}");
        assert!(pause <= Duration::from_secs(10), "{pause:?}");
    }

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
