//! The services over an association, one a file, and the association itself: admission, the next request, the end.

mod commitment;
mod composite;
mod echo;
mod find;
mod identifier;
mod retrieve;
mod store;
mod support;
mod worklist;

use std::net::SocketAddr;
use std::time::Instant;

use dicomet_archive::commitments::Due;
use dicomet_net::accept::{Incoming, Requested};
use dicomet_net::service::{Request, respond_refusal};
use dicomet_net::{Association, Error};
use dicomet_proto::AeTitle;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::pdu::{AssociateRj, RejectReason, RejectResult};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tracing::Instrument;

use crate::Server;
use crate::nodes::{Operation, Permissions};
use crate::settings::CalledAeTitles;
use commitment::Commitments;
use support::ArchiveSupport;

/// Whether there is room for an association.
pub(crate) enum Admission {
    /// There is, as long as this is held.
    Place(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
    /// There is not, and the peer is to be told.
    Full(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
}

/// From the connection to its end.
pub(crate) async fn associate(
    server: Server,
    incoming: Incoming,
    admission: Admission,
    reports: mpsc::UnboundedSender<Due>,
    stopped: watch::Receiver<bool>,
) {
    let peer = incoming.peer_address().map(|address| address.to_string()).unwrap_or_default();
    let span = tracing::info_span!(
        "association",
        peer,
        calling = tracing::field::Empty,
        called = tracing::field::Empty,
        why = tracing::field::Empty
    );
    async move {
        let mut log = Log { began: Instant::now(), operations: Operations::default(), ended: false };
        let commitments = Commitments::new(&server, reports);
        let end = talk(&server, incoming, &admission, commitments, stopped, &mut log.operations).await;
        log.end(end);
    }
    .instrument(span)
    .await;
}

/// The line of an association in the log. It is written also when the association is cut off: what ran then is
/// reported, if not to the peer.
struct Log {
    began: Instant,
    operations: Operations,
    ended: bool,
}

impl Log {
    fn end(mut self, end: Result<(), Error>) {
        self.ended = true;
        match end {
            Ok(()) => self.operations.log(self.began, "released"),
            Err(Error::Rejected(rejection)) => tracing::info!(%rejection, "association rejected"),
            Err(error) => self.operations.log(self.began, &error.to_string()),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.ended {
            self.operations.log(self.began, "cut off");
        }
    }
}

/// What was done on an association, for its line in the log.
#[derive(Debug, Default)]
struct Operations {
    echo: u64,
    store: u64,
    find: u64,
    worklist: u64,
    get: u64,
    moves: u64,
    commitment: u64,
    stored_bytes: u64,
    sent_bytes: u64,
}

impl Operations {
    fn log(&self, began: Instant, end: &str) {
        tracing::info!(
            seconds = began.elapsed().as_secs_f64(),
            echo = self.echo,
            store = self.store,
            find = self.find,
            worklist = self.worklist,
            get = self.get,
            moves = self.moves,
            commitment = self.commitment,
            stored_bytes = self.stored_bytes,
            sent_bytes = self.sent_bytes,
            end,
            "association ended"
        );
    }
}

async fn talk(
    server: &Server,
    incoming: Incoming,
    admission: &Admission,
    mut commitments: Commitments,
    mut stopped: watch::Receiver<bool>,
    operations: &mut Operations,
) -> Result<(), Error> {
    let (mut association, permissions) = admit(server, incoming.request().await?, admission).await?;
    loop {
        let request = tokio::select! {
            biased;
            request = commitments.next_request(&mut association) => request?,
            () = asked_to_stop(&mut stopped) => {
                association.abort().await;
                return Ok(());
            }
        };
        match request {
            Some(request) => {
                let stopped = stopped.clone();
                answer(
                    server,
                    &permissions,
                    &mut association,
                    request,
                    &mut commitments,
                    operations,
                    stopped,
                )
                .await?;
            }
            None => return association.respond_release().await,
        }
    }
}

/// Waits until the server is to stop. What `wait_for` gives must not live across an await: it holds a lock.
pub(crate) async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await.map(drop);
}

/// Accepts an association, or rejects it.
async fn admit(
    server: &Server,
    requested: Requested,
    admission: &Admission,
) -> Result<(Association, Permissions), Error> {
    let request = requested.associate_rq();
    let span = tracing::Span::current();
    let calling = AeTitle::from_bytes(&request.calling_ae_title).ok();
    let called = AeTitle::from_bytes(&request.called_ae_title).ok();
    if let (Some(calling), Some(called)) = (&calling, &called) {
        span.record("calling", calling.as_str());
        span.record("called", called.as_str());
    }
    let admitted = if matches!(admission, Admission::Full(_)) {
        Err(AssociateRj { result: RejectResult::Transient, reason: RejectReason::LocalLimitExceeded })
    } else {
        permissions(server, calling, called, requested.peer_address())
            .await
            .map_err(|reason| AssociateRj { result: RejectResult::Permanent, reason })
    };
    let permissions = match admitted {
        Ok(permissions) => permissions,
        Err(rejection) => {
            requested.reject(rejection).await;
            return Err(Error::Rejected(rejection));
        }
    };
    let support =
        ArchiveSupport::for_request(&server.settings, permissions.operations(), requested.associate_rq());
    let association = requested.accept(&support).await?;
    let negotiated = association.negotiated();
    tracing::debug!(
        node = permissions.node(),
        accepted = negotiated.contexts.len(),
        refused = negotiated.refused_contexts.len(),
        peer_max_pdu_length = negotiated.peer_max_pdu_length,
        window = negotiated.async_operations_window.performed,
        peer_implementation = negotiated.peer_implementation_version_name.as_deref(),
        "association accepted"
    );
    Ok((association, permissions))
}

/// What a requestor may do, or why its association is not welcome. What is wrong with its form, `accept` finds.
async fn permissions(
    server: &Server,
    calling: Option<AeTitle>,
    called: Option<AeTitle>,
    peer: Option<SocketAddr>,
) -> Result<Permissions, RejectReason> {
    let own = called.as_ref().is_some_and(|called| *called == server.settings.ae_title);
    if server.settings.called == CalledAeTitles::Own && !own {
        tracing::Span::current().record("why", "it did not call us by our AE title");
        return Err(RejectReason::CalledAeTitleNotRecognized);
    }
    let calling = calling.ok_or(RejectReason::CallingAeTitleNotRecognized)?;
    let nodes = server.nodes();
    nodes.admit(&calling, called.as_ref(), peer).await.map_err(|not_admitted| {
        tracing::Span::current().record("why", not_admitted.why);
        not_admitted.reason
    })
}

async fn answer(
    server: &Server,
    permissions: &Permissions,
    association: &mut Association,
    request: Request,
    commitments: &mut Commitments,
    operations: &mut Operations,
    stopped: watch::Receiver<bool>,
) -> Result<(), Error> {
    if let Err(refusal) = permissions.check(operation(&request)) {
        return refuse(association, request, &refusal).await;
    }
    match request {
        Request::Echo(context, request) => {
            operations.echo += 1;
            echo::answer(association, &context, &request).await
        }
        Request::Store(context, request) => {
            operations.store += 1;
            operations.stored_bytes += store::answer(server, association, &context, &request).await?;
            Ok(())
        }
        Request::Find(context, request, identifier)
            if context.abstract_syntax == uids::MODALITY_WORKLIST_FIND =>
        {
            operations.worklist += 1;
            worklist::answer(server, association, &context, &request, identifier).await
        }
        Request::Find(context, request, identifier) => {
            operations.find += 1;
            find::answer(server, association, &context, &request, identifier).await
        }
        Request::Get(context, request, identifier) => {
            operations.get += 1;
            operations.sent_bytes +=
                retrieve::answer_get(server, association, &context, &request, identifier, stopped).await?;
            Ok(())
        }
        Request::Move(context, request, identifier) => {
            operations.moves += 1;
            operations.sent_bytes += retrieve::answer_move(
                server,
                permissions,
                association,
                &context,
                &request,
                identifier,
                stopped,
            )
            .await?;
            Ok(())
        }
        Request::Action(context, request, information) => {
            operations.commitment += 1;
            commitments.answer(association, &context, &request, information).await
        }
        // The archive asks nobody to answer for anything.
        Request::EventReport(..) => {
            refuse(association, request, &Refusal::new(Status::UNRECOGNIZED_OPERATION, "")).await
        }
    }
}

/// What a request asks to be allowed. By its command, whatever the presentation context: none of them lets in another.
fn operation(request: &Request) -> Operation {
    match request {
        Request::Echo(..) => Operation::Echo,
        Request::Store(..) => Operation::Store,
        Request::Find(context, ..) if context.abstract_syntax == uids::MODALITY_WORKLIST_FIND => {
            Operation::Worklist
        }
        Request::Find(..) => Operation::Find,
        Request::Get(..) => Operation::Get,
        Request::Move(..) => Operation::Move,
        // Who may store may ask what became of it.
        Request::Action(..) | Request::EventReport(..) => Operation::Store,
    }
}

/// Answers what is not allowed.
async fn refuse(association: &mut Association, request: Request, refusal: &Refusal) -> Result<(), Error> {
    let service = operation(&request).name();
    tracing::warn!(service, status = %refusal.status, comment = refusal.comment(), "operation not allowed");
    if matches!(request, Request::Store(..)) {
        // A peer reads no response before it has sent all.
        while association.receive_data().await?.is_some() {}
    }
    let (context, command) = request.into_command();
    respond_refusal(association, context.id, &command, refusal).await
}

/// The answer to a peer when the archive did not do as asked; what it does not say goes into the log.
fn refusal(error: &dicomet_archive::Error) -> Refusal {
    if !matches!(error, dicomet_archive::Error::Refused(_)) {
        tracing::error!(%error, "the archive failed");
    }
    error.refusal()
}

/// The answer to a peer when a thread of ours has panicked.
fn fault(error: &tokio::task::JoinError, status: Status) -> Refusal {
    tracing::error!(%error, "an operation ended by a fault of ours");
    Refusal::new(status, "the archive failed; see its log")
}
