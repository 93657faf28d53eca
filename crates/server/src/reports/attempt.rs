//! One association with a requestor, and the reports that go over it.

use std::iter;

use dicomet_archive::commitments::{CommitmentId, Due, Requestor};
use dicomet_net::service::storage_commitment::scp;
use dicomet_net::{Association, Error, Node};
use dicomet_proto::commitment::Report;
use dicomet_proto::message::StatusKind;
use tokio::sync::watch;
use tokio::time::Instant;

use super::queue::Waiting;
use super::transaction::{NotMade, delivered, give_up, make};
use crate::Server;
use crate::dicom::asked_to_stop;

/// That the server is to stop, and that its time is over.
#[derive(Clone)]
pub(super) struct Signals {
    pub(super) stop: watch::Receiver<bool>,
    pub(super) over: watch::Receiver<bool>,
}

/// What came of one association with a requestor.
pub(super) struct Attempt {
    pub(super) requestor: Requestor,
    /// What it did not take, of what was due; what only went along when it was not yet due, waits on.
    pub(super) undelivered: Vec<CommitmentId>,
    pub(super) waiting: Vec<Waiting>,
}

impl Attempt {
    /// One that leaves nothing to be delivered.
    fn done(requestor: Requestor) -> Attempt {
        Attempt { requestor, undelivered: Vec::new(), waiting: Vec::new() }
    }
}

/// Delivers what waits for a requestor, as far as it lets us. It is called when the first report is made, which may take its
/// time.
pub(super) async fn attempt(
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
        return Attempt::done(requestor);
    };
    let began = Instant::now();
    let mut left = waiting.into_iter();
    let mut undelivered = Vec::new();
    let mut line = Line { server: &server, requestor: &requestor, node, association: None };
    while let Some(next) = left.next() {
        match line.deliver(next.id, &mut signals).await {
            Outcome::Settled => {}
            Outcome::Undelivered => undelivered.push(next.id),
            Outcome::Failed => {
                undelivered.push(next.id);
                let (due, waiting): (Vec<Waiting>, _) = left.partition(|waiting| waiting.at <= began);
                undelivered.extend(due.into_iter().map(|waiting| waiting.id));
                return Attempt { requestor, undelivered, waiting };
            }
            Outcome::Stopped => {
                let waiting = iter::once(next).chain(left).collect();
                return Attempt { requestor, undelivered, waiting };
            }
        }
    }
    line.release().await;
    Attempt { requestor, undelivered, waiting: Vec::new() }
}

/// The association with a requestor, from the first report on.
struct Line<'l> {
    server: &'l Server,
    requestor: &'l Requestor,
    node: &'l Node,
    association: Option<Association>,
}

/// What came of a report.
enum Outcome {
    /// Nothing is owed any more.
    Settled,
    /// It could not be made, or was refused.
    Undelivered,
    /// The association with the requestor failed, and has ended.
    Failed,
    /// The server is to stop: the association has ended, and this one is due again at the next start.
    Stopped,
}

/// What comes of a report before it is sent.
enum Ready<'l> {
    /// Nothing is owed any more.
    Settled,
    /// It cannot be made.
    NotMade,
    /// It is made, and its receiver listens.
    Report(Report, &'l mut Association),
}

impl Line<'_> {
    /// Makes a report and delivers it, unless the server is to stop before it is made, or its time is over before it is
    /// delivered.
    async fn deliver(&mut self, id: CommitmentId, signals: &mut Signals) -> Outcome {
        let (server, requestor) = (self.server, self.requestor);
        let ready = tokio::select! {
            ready = self.ready(id) => ready,
            () = asked_to_stop(&mut signals.stop) => {
                tokio::select! {
                    () = self.release() => {}
                    () = asked_to_stop(&mut signals.over) => {}
                }
                return Outcome::Stopped;
            }
        };
        let delivered = match ready {
            Ok(Ready::Settled) => return Outcome::Settled,
            Ok(Ready::NotMade) => return Outcome::Undelivered,
            Ok(Ready::Report(report, association)) => tokio::select! {
                biased;
                delivered = deliver_one(server, association, requestor, id, &report) => delivered,
                () = asked_to_stop(&mut signals.over) => {
                    self.abort().await;
                    return Outcome::Stopped;
                }
            },
            Err(error) => Err(error),
        };
        match delivered {
            Ok(true) => Outcome::Settled,
            Ok(false) => Outcome::Undelivered,
            Err(error) => {
                tracing::warn!(calling = %requestor.calling, %error, "storage commitment reports could not be delivered");
                self.abort().await;
                Outcome::Failed
            }
        }
    }

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

    async fn release(&mut self) {
        let Some(association) = self.association.take() else { return };
        if let Err(error) = association.release().await {
            tracing::debug!("releasing after reports: {error}");
        }
    }

    async fn abort(&mut self) {
        if let Some(association) = self.association.take() {
            association.abort().await;
        }
    }
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
