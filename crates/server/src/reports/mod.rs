//! Delivers storage commitment reports on associations of our own: PS3.4 J.3.3. Those of requestors that left before
//! they were told, and those that an earlier process owes.
//!
//! A requestor is found by its AE title in the table of nodes, as a move destination is; its address never comes from
//! a peer. What cannot be delivered is tried again, after pauses that double, until the limit: then it is given up,
//! and the log says so.
//!
//! A node has one association at a time, whatever it has called us by: where the called AE title is not checked, a peer
//! can ask by as many as it likes. Each of them has an association of its own, one after the other, since a report comes
//! from the AE title that was called.

mod attempt;
mod queue;
pub(crate) mod transaction;

use std::collections::HashMap;
use std::time::Duration;

use dicomet_archive::commitments::{CommitmentId, Due, Requestor};
use dicomet_proto::AeTitle;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::attempt::{Attempt, Signals, attempt};
use self::queue::{Queue, Waiting};
use self::transaction::{failed, give_up};
use crate::Server;
use crate::dicom::asked_to_stop;
use crate::settings::Reports;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Nodes that are reported to at a time. Each has the instances read that its reports are about, beside those who store and
/// retrieve; and some that do not answer are not to keep the others waiting.
const AT_A_TIME: usize = 16;

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

/// What is to be delivered, by the AE title of the node.
struct Reporter {
    server: Server,
    queues: HashMap<AeTitle, Queue>,
    running: JoinSet<Attempt>,
    /// What each of them is at.
    at_work: HashMap<task::Id, (Requestor, Vec<CommitmentId>)>,
    signals: Signals,
}

impl Reporter {
    fn new(server: Server, signals: Signals) -> Reporter {
        let (queues, running, at_work) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Reporter { server, queues, running, at_work, signals }
    }

    fn put(&mut self, due: Due, at: Instant) {
        let Requestor { calling, called } = due.requestor;
        let queue = self.queues.entry(calling).or_insert_with(Queue::new);
        queue.waiting.push(Waiting { id: due.id, called, at });
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

    /// When something is to be tried next, which is not before there is a place for it.
    fn next(&self) -> Option<Instant> {
        if self.at_work.len() >= AT_A_TIME {
            return None;
        }
        self.queues.values().filter_map(Queue::turn).min()
    }

    /// Begins with the nodes for which something is due, as far as there are places: with those that have waited longest, so
    /// that a node for which much is due comes to its next association after all others that wait.
    fn begin(&mut self) {
        let now = Instant::now();
        let turns = self.queues.iter().filter_map(|(calling, queue)| Some((queue.turn()?, calling)));
        let mut due: Vec<_> = turns.filter(|(turn, _)| *turn <= now).collect();
        due.sort_by_key(|(turn, _)| *turn);
        let places = AT_A_TIME.saturating_sub(self.at_work.len());
        let nodes: Vec<AeTitle> = due.into_iter().take(places).map(|(_, calling)| calling.clone()).collect();
        for calling in nodes {
            self.begin_with(calling);
        }
    }

    /// Begins with what is to be tried first for a node; what else was asked for by the same AE title goes along.
    fn begin_with(&mut self, calling: AeTitle) {
        let Some((called, waiting)) = self.queues.get_mut(&calling).and_then(Queue::take_first) else {
            return;
        };
        let requestor = Requestor { calling, called };
        let ids = waiting.iter().map(|waiting| waiting.id).collect();
        let attempt = attempt(self.server.clone(), requestor.clone(), waiting, self.signals.clone());
        let task = self.running.spawn(attempt).id();
        self.at_work.insert(task, (requestor, ids));
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
                    called: requestor.called.clone(),
                    at: Instant::now() + pause(&self.server.settings.reports, due.tries),
                });
            } else {
                give_up(&self.server, &requestor, id, "it was tried often enough").await;
            }
        }
        let queue = self.queues.entry(requestor.calling.clone()).or_insert_with(Queue::new);
        queue.is_running = false;
        queue.free_since = Instant::now();
        queue.waiting.extend(again);
        if queue.waiting.is_empty() {
            self.queues.remove(&requestor.calling);
        }
    }
}

/// The pause after so many tries.
fn pause(reports: &Reports, tries: u32) -> Duration {
    let Some(doubled) = tries.checked_sub(1) else { return Duration::ZERO };
    reports.pause.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST_PAUSE)
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
        let due = due(&reporter, "CT", "ARCHIVE");
        let (id, requestor) = (due.id, due.requestor.clone());
        reporter.put(due, Instant::now());
        reporter.queues.get_mut(&requestor.calling).unwrap().take_first().unwrap();
        let task = reporter.running.spawn(async { panic!("as a fault of ours would") }).id();
        reporter.at_work.insert(task, (requestor, vec![id]));
        assert_eq!(reporter.next(), None);

        let ended = reporter.running.join_next_with_id().await.unwrap();
        reporter.joined(ended).await;
        let pause = reporter.next().unwrap() - Instant::now();
        assert!(pause > Duration::from_secs(9), "after the first pause, and no later: {pause:?}");
        assert!(pause <= Duration::from_secs(10), "{pause:?}");
    }

    fn due(reporter: &Reporter, calling: &str, called: &str) -> Due {
        let title = |text| AeTitle::new(text).unwrap();
        let requestor = Requestor { calling: title(calling), called: title(called) };
        let asked = dicomet_proto::commitment::Request {
            transaction: dicomet_proto::Uid::new("2.999.1").unwrap(),
            references: Vec::new(),
        };
        let id = reporter.server.archive.commitments().add(&requestor, &asked).unwrap();
        Due { id, requestor, tries: 0 }
    }

    /// Which associations are under way, in the order of their names.
    fn at_work(reporter: &Reporter) -> Vec<(String, String)> {
        let names = |requestor: &Requestor| (requestor.calling.to_string(), requestor.called.to_string());
        let mut at_work: Vec<_> = reporter.at_work.values().map(|(requestor, _)| names(requestor)).collect();
        at_work.sort();
        at_work
    }

    /// Ends what is under way with everything delivered.
    async fn all_are_delivered(reporter: &mut Reporter) {
        reporter.running.abort_all();
        while reporter.running.join_next().await.is_some() {}
        for (requestor, _) in std::mem::take(&mut reporter.at_work).into_values() {
            reporter.ended(Attempt { requestor, undelivered: Vec::new(), waiting: Vec::new() }).await;
        }
    }

    #[tokio::test]
    async fn a_node_has_one_association_at_a_time_whatever_it_called_us_by() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = reporter(folder.path());
        for called in ["A", "B", "B", "C"] {
            let due = due(&reporter, "CT", called);
            reporter.put(due, Instant::now());
        }
        for (called, reports) in [("A", 1), ("B", 2), ("C", 1)] {
            reporter.begin();
            assert_eq!(at_work(&reporter), [("CT".to_owned(), called.to_owned())]);
            assert_eq!(reporter.at_work.values().map(|(_, ids)| ids.len()).sum::<usize>(), reports);
            assert_eq!(reporter.next(), None, "the node has one");
            all_are_delivered(&mut reporter).await;
        }
        assert!(reporter.queues.is_empty());
    }

    #[tokio::test]
    async fn no_more_nodes_than_there_are_places_for_are_reported_to_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = reporter(folder.path());
        for number in 0..AT_A_TIME + 1 {
            let due = due(&reporter, &format!("CT{number}"), "ARCHIVE");
            reporter.put(due, Instant::now());
        }
        reporter.begin();
        reporter.begin();
        assert_eq!(reporter.at_work.len(), AT_A_TIME);
        assert_eq!(reporter.next(), None, "nothing is tried before there is a place");
        all_are_delivered(&mut reporter).await;
        assert!(reporter.next().is_some());
        reporter.begin();
        assert_eq!(reporter.at_work.len(), 1);
    }

    #[tokio::test]
    async fn a_node_for_which_much_is_due_keeps_none_waiting_for_more_than_an_association() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = reporter(folder.path());
        for number in 0..AT_A_TIME {
            for called in ["A", "B", "C"] {
                let due = due(&reporter, &format!("WILD{number}"), called);
                reporter.put(due, Instant::now());
            }
        }
        let due = due(&reporter, "CT", "ARCHIVE");
        reporter.put(due, Instant::now());
        reporter.begin();
        assert!(at_work(&reporter).iter().all(|(_, called)| called == "A"));
        all_are_delivered(&mut reporter).await;
        reporter.begin();
        assert!(at_work(&reporter).contains(&("CT".to_owned(), "ARCHIVE".to_owned())));
        assert_eq!(reporter.at_work.len(), AT_A_TIME);
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
