//! The services over an association, one a file, and the association itself: admission, the next request, the end.

mod commitment;
mod composite;
mod counted;
mod echo;
mod find;
mod identifier;
mod log;
mod retrieve;
mod store;
mod support;
mod worklist;

use std::net::SocketAddr;

use dicomet_archive::commitments::Due;
use dicomet_net::accept::{Incoming, Requested};
use dicomet_net::service::{Request, respond_refusal};
use dicomet_net::{Association, Error};
use dicomet_proto::AeTitle;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::pdu::{AssociateRj, RejectReason, RejectResult};
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use crate::Server;
use crate::nodes::{Operation, Permissions};
use crate::places::Connection;
use crate::settings::CalledAeTitles;
use commitment::Commitments;
use log::{AssociationLog, End, Progress, Underway};
use support::ArchiveSupport;

/// From the connection to its end. `stopped` says that the server is to stop: then what is under way goes on, and
/// nothing else; `over`, that its time is over.
pub(crate) async fn associate(
    server: Server,
    incoming: Incoming,
    connection: Connection,
    reports: mpsc::UnboundedSender<Due>,
    stopped: watch::Receiver<bool>,
    over: watch::Receiver<bool>,
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
        let mut log = AssociationLog::begin();
        let commitments = Commitments::new(&server, reports);
        let end = talk(&server, incoming, connection, commitments, stopped, over, &mut log).await;
        log.end(end);
    }
    .instrument(span)
    .await;
}

async fn talk(
    server: &Server,
    incoming: Incoming,
    mut connection: Connection,
    mut commitments: Commitments,
    mut stopped: watch::Receiver<bool>,
    mut over: watch::Receiver<bool>,
    log: &mut AssociationLog,
) -> Result<End, Error> {
    let admitted = tokio::select! {
        biased;
        // Nothing stands yet that could be aborted.
        () = asked_to_stop(&mut stopped) => return Ok(End::Stopped),
        admitted = admit(server, incoming, &mut connection, log) => admitted?,
    };
    let Some((mut association, permissions)) = admitted else { return Ok(End::Rejected) };
    loop {
        // A peer that has its next request under way already does not keep a server from stopping.
        let request = tokio::select! {
            biased;
            () = asked_to_stop(&mut stopped) => {
                association.abort().await;
                return Ok(End::Stopped);
            }
            request = commitments.next_request(&mut association) => request,
        };
        log.refused = association.refused();
        let Some(request) = request? else {
            association.respond_release().await?;
            return Ok(End::Released);
        };
        if let Err(refusal) = permissions.check(operation(&request)) {
            refuse(&mut association, request, &refusal).await?;
            continue;
        }
        log.count(&request);
        let underway = Underway::begin(&request);
        let progress = underway.progress.clone();
        let answered = tokio::select! {
            biased;
            answered = answer(
                server,
                &permissions,
                &mut association,
                request,
                &mut commitments,
                Watched { progress: &progress, stopped: stopped.clone() },
            ) => Some(answered),
            () = asked_to_stop(&mut over) => None,
        };
        log.add(&progress);
        match answered {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                underway.not_answered(&error.to_string());
                return Err(error);
            }
            None => {
                underway.not_answered("cut off: the archive stops");
                association.abort().await;
                return Ok(End::CutOff);
            }
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
    incoming: Incoming,
    connection: &mut Connection,
    log: &mut AssociationLog,
) -> Result<Option<(Association, Permissions)>, Error> {
    let requested: Requested = incoming.request().await?;
    let request = requested.associate_rq();
    let span = tracing::Span::current();
    let calling = AeTitle::from_bytes(&request.calling_ae_title).ok();
    let called = AeTitle::from_bytes(&request.called_ae_title).ok();
    if let (Some(calling), Some(called)) = (&calling, &called) {
        span.record("calling", calling.as_str());
        span.record("called", called.as_str());
    }
    // Who is not welcome takes no place, also not while it is told.
    let admitted = match permissions(server, calling, called, requested.peer_address()).await {
        Ok(permissions) => connection.take_place().map(|()| permissions).map_err(|full| {
            span.record("why", full.why());
            AssociateRj { result: RejectResult::Transient, reason: RejectReason::LocalLimitExceeded }
        }),
        Err(reason) => Err(AssociateRj { result: RejectResult::Permanent, reason }),
    };
    let permissions = match admitted {
        Ok(permissions) => permissions,
        Err(rejection) => {
            // At once: the peer has its time to close.
            log.reject(&rejection);
            requested.reject(rejection).await;
            return Ok(None);
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
    Ok(Some((association, permissions)))
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

/// What a retrieve is watched by, and watches: what it has done so far, and whether the server is to stop.
struct Watched<'a> {
    progress: &'a Progress,
    stopped: watch::Receiver<bool>,
}

async fn answer(
    server: &Server,
    permissions: &Permissions,
    association: &mut Association,
    request: Request,
    commitments: &mut Commitments,
    watched: Watched<'_>,
) -> Result<(), Error> {
    let progress = watched.progress;
    match request {
        Request::Echo(context, request) => echo::answer(association, &context, &request).await,
        Request::Store(context, request) => {
            store::answer(server, association, &context, &request, progress).await
        }
        Request::Find(context, request, identifier)
            if context.abstract_syntax == uids::MODALITY_WORKLIST_FIND =>
        {
            worklist::answer(server, association, &context, &request, identifier, progress).await
        }
        Request::Find(context, request, identifier) => {
            find::answer(server, association, &context, &request, identifier, progress).await
        }
        Request::Get(context, request, identifier) => {
            retrieve::answer_get(server, association, &context, &request, identifier, watched).await
        }
        Request::Move(context, request, identifier) => {
            retrieve::answer_move(server, permissions, association, &context, &request, identifier, watched)
                .await
        }
        Request::Action(context, request, information) => {
            commitments.answer(association, &context, &request, information).await
        }
        // The archive asks nobody to answer for anything.
        Request::EventReport(..) => {
            refuse(association, request, &Refusal::new(Status::UNRECOGNIZED_OPERATION, "")).await
        }
    }
}

/// What a request asks to be allowed. By its command: one that its presentation context does not allow is refused before
/// it comes here.
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
    let message_id = Underway::begin(&request).message_id();
    tracing::warn!(service, message_id, status = %refusal.status.digits(), comment = refusal.comment(), "operation not allowed");
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

/// The answer to a peer when a thread of ours has panicked. Where, the log has already; what a panic says may quote a data
/// set.
fn fault(_: &tokio::task::JoinError, status: Status) -> Refusal {
    tracing::error!("an operation ended by a fault of ours");
    Refusal::new(status, "the archive failed; see its log")
}
