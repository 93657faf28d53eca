//! The commitment engine: asks a peer to answer for instances (PS3.4 Annex J), and waits for what it says. This is the
//! only file that knows the order.
//!
//! - `ledger`: what was asked for, and what was reported of it;
//! - `receive`: a listener for archives that report on an association of their own.
//!
//! Reports on the association that asked are always taken; it is kept open until all have come or the time is over.

mod ledger;
mod receive;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::commitment::{self, Reference};
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{Command, MessageId, NEventReportRq, Refusal, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::listen::Listener;
use crate::moment;
use crate::retrieve::{Caller, Stop, reached};
use crate::service::storage_commitment::scu;
use crate::service::{Next, Request, next_or_response, next_request, respond_refusal};
use crate::{Association, Error, Node};
use ledger::Ledger;

/// References of one transaction: an identifier of half a megabyte, which every archive reads.
const REFERENCES_PER_TRANSACTION: usize = 4000;

/// Which instances a peer is to answer for.
#[derive(Debug)]
pub struct Commit {
    node: Node,
    references: Vec<Reference>,
    options: Options,
    stop: Option<watch::Receiver<Stop>>,
}

/// How to ask.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who calls.
    pub caller: Caller,
    /// How long to wait for the reports, from the first request on.
    pub patience: Duration,
    /// Where to listen for reports on associations that the peer requests.
    pub receive: Option<SocketAddr>,
}

impl Default for Options {
    /// A minute, on the association that asks alone.
    fn default() -> Options {
        Options { caller: Caller::default(), patience: Duration::from_secs(60), receive: None }
    }
}

/// What the peer answers for, and what not.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What it reported as committed.
    pub committed: Vec<Reference>,
    /// What it reported as failed, with the Failure Reason (0008,1197); or did not take on, with the status.
    pub failed: Vec<(Reference, Status)>,
    /// What is in neither list of the report that was to have it, or there with another SOP class.
    pub left_out: Vec<Reference>,
    /// What no report came of in time.
    pub unreported: Vec<Reference>,
    /// Why the association that asked ended early, if it did.
    pub error: Option<Error>,
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no listening for reports.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no association to ask on.
    #[error(transparent)]
    Association(#[from] Error),
}

/// A listener's task; it ends when this is dropped.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Commit {
    /// Asks for these.
    pub fn new(node: Node, references: Vec<Reference>, options: Options) -> Commit {
        Commit { node, references, options, stop: None }
    }

    /// With a way to stop waiting.
    #[must_use]
    pub fn stop_by(self, stop: watch::Receiver<Stop>) -> Commit {
        Commit { stop: Some(stop), ..self }
    }

    /// Asks, and waits for the reports.
    ///
    /// # Errors
    /// [`CommitError`] when nothing could be asked. What came of what was asked is in the [`Outcome`].
    pub async fn run(self) -> Result<Outcome, CommitError> {
        let ledger = Arc::new(Ledger::new());
        let Caller { ae_title, timeouts } = &self.options.caller;
        let listening = match self.options.receive {
            Some(address) => {
                let listener = Listener::bind(address, timeouts.clone())
                    .await
                    .map_err(|source| CommitError::Listen { address, source })?;
                Some(Listening(tokio::spawn(receive::accept_all(listener, Arc::clone(&ledger)))))
            }
            None => None,
        };
        let association = scu::open(&self.node, ae_title, timeouts).await?;
        let requests = self.requests().map_err(Error::Source)?;
        requests.iter().for_each(|request| ledger.asked(request));
        let mut stop = self.stop.clone().unwrap_or_else(|| watch::channel(Stop::No).1);
        let deadline = moment::after(Instant::now(), self.options.patience);
        let ended = tokio::select! {
            ended = ask(association, &requests, &ledger, deadline) => ended,
            () = reached(&mut stop, Stop::Cancel) => Ok(()),
        };
        if listening.is_some() && *stop.borrow() == Stop::No {
            tokio::select! {
                _ = timeout_at(deadline, ledger.settled()) => {}
                () = reached(&mut stop, Stop::Cancel) => {}
            }
        }
        drop(listening);
        let mut outcome = ledger.close();
        // An association that ended after everything was said has ended well.
        outcome.error = ended.err().filter(|_| !outcome.unreported.is_empty());
        Ok(outcome)
    }

    /// What is asked for, in as many transactions as that takes.
    fn requests(&self) -> std::io::Result<Vec<commitment::Request>> {
        let request = |references: &[Reference]| {
            let transaction = crate::uid::random()?;
            Ok(commitment::Request { transaction, references: references.to_vec() })
        };
        self.references.chunks(REFERENCES_PER_TRANSACTION).map(request).collect()
    }
}

/// Asks for all, and takes the reports that come on the same association.
async fn ask(
    mut association: Association,
    requests: &[commitment::Request],
    ledger: &Ledger,
    deadline: Instant,
) -> Result<(), Error> {
    for request in requests {
        let message_id = scu::send_request(&mut association, request).await?;
        match response(&mut association, ledger, message_id).await? {
            Some(Status::SUCCESS) => {}
            Some(status) => ledger.refused(&request.transaction, status),
            None => return association.respond_release().await,
        }
    }
    wait(association, ledger, deadline).await
}

/// Waits for the response to a request, taking reports meanwhile. `None` when the peer wants to release.
async fn response(
    association: &mut Association,
    ledger: &Ledger,
    message_id: MessageId,
) -> Result<Option<Status>, Error> {
    let limit = association.timeouts().progress;
    loop {
        if !association.arrives_within(limit).await? {
            return Err(association.timed_out("answer N-ACTION", limit));
        }
        match next_or_response(association, message_id).await? {
            None => return Ok(None),
            Some(Next::Response(Command::NActionRsp(response))) => return Ok(Some(response.status)),
            Some(Next::Response(_)) => {
                return Err(association.misbehaved("answered N-ACTION with something else"));
            }
            Some(Next::Request(request)) => take(ledger, association, request).await?,
        }
    }
}

/// Takes reports until all have come, the peer releases, or the time is over.
async fn wait(mut association: Association, ledger: &Ledger, deadline: Instant) -> Result<(), Error> {
    while !ledger.is_settled() {
        let left = deadline.saturating_duration_since(Instant::now());
        let arrived = tokio::select! {
            arrived = association.arrives_within(left) => arrived?,
            // On an association of the peer's.
            () = ledger.settled() => break,
        };
        if !arrived {
            break;
        }
        match next_request(&mut association).await? {
            Some(request) => take(ledger, &mut association, request).await?,
            None => return association.respond_release().await,
        }
    }
    // What was reported counts, whatever becomes of the release.
    if let Err(error) = association.release().await {
        tracing::debug!("releasing after storage commitment: {error}");
    }
    Ok(())
}

async fn take(ledger: &Ledger, association: &mut Association, request: Request) -> Result<(), Error> {
    match request {
        Request::EventReport(context, request, information) => {
            take_report(ledger, association, &context, &request, information).await
        }
        other => refuse(association, other).await,
    }
}

/// Takes a report and answers it.
async fn take_report(
    ledger: &Ledger,
    association: &mut Association,
    context: &Context,
    request: &NEventReportRq,
    information: Result<DataSet, DataSetError>,
) -> Result<(), Error> {
    let readable = information.map_err(|error| {
        tracing::debug!(%error, "an Event Information cannot be read");
        Refusal::new(Status::PROCESSING_FAILURE, "the Event Information cannot be read")
    });
    let report = readable.and_then(|information| scu::read_report(request, &information));
    let outcome = report.and_then(|report| ledger.reported(report));
    if let Err(refusal) = &outcome {
        tracing::warn!(%refusal, "a storage commitment report was refused");
    }
    scu::answer_report(association, context, request, outcome).await
}

/// Refuses a request that is no report: nothing else is provided here.
async fn refuse(association: &mut Association, request: Request) -> Result<(), Error> {
    let (context, command) = request.into_command();
    let refusal = Refusal::new(Status::UNRECOGNIZED_OPERATION, "");
    respond_refusal(association, context.id, &command, &refusal).await
}
