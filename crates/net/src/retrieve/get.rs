//! Getting: one association that works off requests by C-GET and writes what comes into the folder.
//!
//! Several workers may share a queue of requests, each with an association of its own and the same contexts. What
//! a worker learns goes into the ledger, under a lock that is held for a look-up; what it sees goes out as events.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Context, Negotiated, Proposal};
use dicomet_proto::dataset::dictionary::{self, uids};
use dicomet_proto::message::{CStoreRq, Refusal, Status, StatusKind};
use dicomet_proto::pdu::{AsyncOperationsWindow, RoleSelection};
use dicomet_proto::query::Model;
use tokio::sync::{mpsc, watch};

use super::folder::{Folder, Part};
use super::head::{self, Head};
use super::plan::{self, Request};
use super::report::{Arrival, Event};
use super::verify::Ledger;
use super::{Caller, Stop, find};
use crate::service::c_get::scu::{Get, GetEvent, Response};
use crate::{Association, Error, Node, connect};

/// Bytes after which a big instance says how far it is.
const BYTES_PER_EVENT: u64 = 4 * 1024 * 1024;

/// The roles to propose for storage classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roles {
    /// SCP alone, as a C-GET needs.
    Scp,
    /// Both: some peers grant the one only with the other.
    ScuAndScp,
}

/// What an instance is taken from as it comes.
pub(super) trait Carrier: Send {
    /// The next piece of its data set; `None` at its end. Cancel safe.
    fn data(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Asks the peer to stop, where that is done on this association.
    fn cancel(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Carrier for Get<'_> {
    async fn data(&mut self) -> Result<Option<Bytes>, Error> {
        Get::data(self).await
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        Get::cancel(self).await
    }
}

/// What the workers of a retrieve share.
pub(super) struct Shared {
    pub(super) node: Node,
    pub(super) caller: Caller,
    pub(super) model: Model,
    pub(super) window: u16,
    pub(super) folder: Folder,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) stop: watch::Receiver<Stop>,
}

/// What the workers of a round share.
pub(super) struct Work {
    pub(super) contexts: Vec<(Uid, Uid)>,
    pub(super) roles: Roles,
    pub(super) queue: Mutex<VecDeque<Request>>,
}

/// How a worker's association went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether the association stood.
    pub(super) was_open: bool,
    /// Why it ended, when not by our release.
    pub(super) error: Option<Error>,
    /// Whether the peer gave us the SCP role for nothing that it accepted.
    pub(super) no_roles: bool,
    /// Our side cannot store any more.
    pub(super) fatal: Option<String>,
    /// SOP class and transfer syntax of the storage contexts that the peer accepted.
    pub(super) accepted: Vec<(Uid, Uid)>,
}

impl Shared {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more: the retrieve goes on all the same.
        let _ = self.events.send(event);
    }

    pub(super) fn stop(&self) -> Stop {
        *self.stop.borrow()
    }

    /// Opens an association and works off the queue.
    pub(super) async fn work(self: Arc<Self>, work: Arc<Work>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut stop = self.stop.clone();
        let connecting = connect::connect(&self.node, self.proposal(&work), &self.caller.timeouts);
        let mut association = tokio::select! {
            association = connecting => match association {
                Ok(association) => association,
                Err(error) => return Outcome { error: Some(error), ..outcome },
            },
            () = reached(&mut stop, Stop::Cancel) => return outcome,
        };
        outcome.was_open = true;
        outcome.no_roles = !self.announce(association.negotiated(), &work);
        outcome.accepted = self
            .storage_contexts(association.negotiated())
            .map(|context| (context.abstract_syntax.clone(), context.transfer_syntax.clone()))
            .collect();
        // An abort waits for nothing: not for a peer that neither sends nor takes anything.
        let ended = tokio::select! {
            biased;
            () = reached(&mut stop, Stop::Abort) => None,
            ended = self.work_off(&mut association, &work, &mut outcome) => Some(ended),
        };
        match ended {
            None => association.abort().await,
            Some(Ok(())) => {
                tokio::select! {
                    released = association.release() => if let Err(error) = released {
                        tracing::debug!("releasing after C-GET: {error}");
                    },
                    // Dropped, the connection is closed.
                    () = reached(&mut stop, Stop::Abort) => {}
                }
            }
            Some(Err(error)) => {
                self.tell(Event::Lost { reason: error.to_string() });
                outcome.error = Some(error);
                association.abort().await;
            }
        }
        outcome
    }

    fn proposal(&self, work: &Work) -> Proposal {
        let get = plan::get_sop_class(self.model);
        // Implicit VR first: a Failed SOP Instance UID List of more than 64 KiB fits no explicit UI element.
        let both = vec![uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN];
        let mut contexts = vec![(get, both)];
        let mut role_selections: Vec<RoleSelection> = Vec::new();
        for (class, syntax) in &work.contexts {
            contexts.push((class.clone(), vec![syntax.clone()]));
            if !role_selections.iter().any(|role| role.sop_class_uid == *class) {
                let scu = work.roles == Roles::ScuAndScp;
                role_selections.push(RoleSelection { sop_class_uid: class.clone(), scu, scp: true });
            }
        }
        let window = AsyncOperationsWindow { invoked: 1, performed: self.window };
        Proposal {
            calling_ae_title: self.caller.ae_title.clone(),
            called_ae_title: self.node.ae_title.clone(),
            contexts,
            role_selections,
            async_operations_window: (self.window != 1).then_some(window),
            extended_negotiations: Vec::new(),
            user_identity: None,
        }
    }

    /// Tells what was negotiated; answers whether the SCP role was granted for some storage class.
    fn announce(&self, negotiated: &Negotiated, work: &Work) -> bool {
        self.tell(Event::Associated {
            accepted: self.storage_contexts(negotiated).count(),
            proposed: work.contexts.len(),
            window: negotiated.async_operations_window.performed,
        });
        self.storage_contexts(negotiated).any(|context| context.requestor_is_scp)
    }

    fn storage_contexts<'a>(&self, negotiated: &'a Negotiated) -> impl Iterator<Item = &'a Context> {
        let get = plan::get_sop_class(self.model);
        negotiated.contexts.iter().filter(move |context| context.abstract_syntax != get)
    }

    async fn work_off(
        &self,
        association: &mut Association,
        work: &Work,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        while self.stop() == Stop::No && outcome.fatal.is_none() {
            let next = work.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front();
            let Some(request) = next else { break };
            self.get(association, &request, outcome).await?;
        }
        Ok(())
    }

    /// Does one C-GET.
    async fn get(
        &self,
        association: &mut Association,
        request: &Request,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let study = self.ledger().inventory().studies[request.study].head();
        let identifier = find::identifier(self.model, request, &study);
        let accepted: Vec<Uid> =
            association.negotiated().contexts.iter().map(|context| context.abstract_syntax.clone()).collect();
        let mut get = Get::start(association, &plan::get_sop_class(self.model), &identifier).await?;
        let mut stop = self.stop.clone();
        let mut cancelled = false;
        let mut last = None;
        loop {
            let event = tokio::select! {
                biased;
                () = reached(&mut stop, Stop::Cancel), if !cancelled => {
                    cancelled = true;
                    get.cancel().await?;
                    continue;
                }
                event = get.next() => event?,
            };
            match event {
                None => break,
                Some(GetEvent::Response(response)) => {
                    self.tell(Event::Counters(response.command.counters));
                    last = Some(response);
                }
                Some(GetEvent::Store(context, rq)) => {
                    let refusal = self.take(&mut get, &context, &rq).await?;
                    if let Some(Refused { refusal, fatal }) = &refusal {
                        self.note_refusal(&rq, refusal);
                        if outcome.fatal.is_none() && *fatal {
                            outcome.fatal = Some(refusal.comment().to_owned());
                        }
                    }
                    get.answer(&context, &rq, refusal.map_or(Ok(()), |refused| Err(refused.refusal))).await?;
                    if outcome.fatal.is_some() && !cancelled {
                        cancelled = true;
                        get.cancel().await?;
                    }
                }
            }
        }
        if let Some(Response { command, failed }) = last {
            self.note_end(request, command.status, command.error_comment, &failed, Some(&accepted));
        }
        Ok(())
    }

    pub(super) fn note_refusal(&self, rq: &CStoreRq, refusal: &Refusal) {
        let reason = format!("not taken: {refusal}");
        self.ledger().refused(&rq.affected_sop_instance_uid, reason.clone());
        self.tell(Event::Refused { sop_instance: rq.affected_sop_instance_uid.clone(), reason });
    }

    /// Draws the conclusions from the final response; `accepted` are the classes that the peer could send us.
    pub(super) fn note_end(
        &self,
        request: &Request,
        status: Status,
        comment: Option<String>,
        failed: &[Uid],
        accepted: Option<&[Uid]>,
    ) {
        let said = match &comment {
            Some(comment) => format!("the peer ended with {status}: {comment}"),
            None => format!("the peer ended with {status}"),
        };
        // One instance that was asked for by itself is named by the request, where the peer names none.
        let by_itself = match status.kind() {
            StatusKind::Failure | StatusKind::Warning
                if request.instances.len() == 1 && failed.is_empty() =>
            {
                request.instances.as_slice()
            }
            _ => &[],
        };
        let mut ledger = self.ledger();
        for instance in failed.iter().chain(by_itself) {
            let is_unaccepted = |class: &&Uid| accepted.is_some_and(|accepted| !accepted.contains(class));
            match ledger.sop_class(instance).filter(is_unaccepted) {
                Some(class) => {
                    let reason = not_accepted(class);
                    ledger.failed(instance, reason);
                }
                None => ledger.failed_at_peer(instance, format!("the peer could not send it; {said}")),
            }
        }
        if status.kind() != StatusKind::Cancel {
            let reason = match status.kind() {
                StatusKind::Success => "the peer reported success without sending it".to_owned(),
                _ => said,
            };
            ledger.failed_unless_known(request.study, request.series.as_ref(), &request.instances, &reason);
        }
        drop(ledger);
        self.tell(Event::Ended { status, comment });
    }

    /// Takes one instance: to the folder as it comes, under its name when it is whole. `None` is success.
    pub(super) async fn take(
        &self,
        carrier: &mut impl Carrier,
        context: &Context,
        rq: &CStoreRq,
    ) -> Result<Option<Refused>, Error> {
        let instance = &rq.affected_sop_instance_uid;
        let place = self.ledger().place(instance);
        if place.as_ref().is_some_and(|place| place.is_here) {
            // The peer sends what it was not asked for; what we have is whole.
            return Ok(None);
        }
        let meta = head::file_meta(rq, context, &self.node.ae_title);
        let mut part = match self.folder.begin(meta) {
            Ok(part) => Some(part),
            Err(error) => return Ok(Some(out_of_resources(&error))),
        };
        let mut head = Head::new(self.folder.layout(), place.is_none(), context);
        let mut refused = None;
        let (mut bytes, mut told) = (0, 0);
        let mut stop = self.stop.clone();
        let mut cancelled = self.stop() != Stop::No;
        loop {
            let piece = tokio::select! {
                biased;
                () = reached(&mut stop, Stop::Cancel), if !cancelled => {
                    cancelled = true;
                    carrier.cancel().await?;
                    continue;
                }
                piece = carrier.data() => piece?,
            };
            let Some(piece) = piece else { break };
            bytes += piece.len() as u64;
            if bytes - told >= BYTES_PER_EVENT {
                self.tell(Event::Bytes(bytes - told));
                told = bytes;
            }
            head.feed(&piece);
            if let Some(file) = &mut part
                && let Err(error) = file.write(&piece)
            {
                // What is left of the data set is read and dropped; the file goes now, to free what it holds.
                part = None;
                refused = Some(out_of_resources(&error));
            }
        }
        self.tell(Event::Bytes(bytes - told));
        match (part, refused) {
            (Some(part), None) => {
                Ok(self.keep(part, place.map(|p| (p.study, p.series)), head, context, rq, bytes))
            }
            (_, refused) => Ok(refused),
        }
    }

    /// Checks that a whole instance is one we asked for, and gives it its name.
    fn keep(
        &self,
        part: Part,
        place: Option<(Uid, Uid)>,
        head: Head,
        context: &Context,
        rq: &CStoreRq,
        bytes: u64,
    ) -> Option<Refused> {
        let instance = &rq.affected_sop_instance_uid;
        if bytes == 0 {
            return Some(Refused::by_rule(
                Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                "the data set is empty",
            ));
        }
        if head.sop_instance().is_some_and(|uid| uid != *instance) {
            let comment = "SOP Instance UID of the data set is not that of the command";
            return Some(Refused::by_rule(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment));
        }
        let (study, series) = match place {
            Some(place) => place,
            None => match head.study_and_series() {
                Some((study, series)) if self.ledger().belongs(&study, &series) => (study, series),
                Some(_) => {
                    return Some(Refused::by_rule(Status::NOT_AUTHORIZED, "it is not what was asked for"));
                }
                None => {
                    let comment = "no usable Study and Series Instance UID";
                    return Some(Refused::by_rule(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment));
                }
            },
        };
        let path = match self.folder.finish(part, (&study, &series, instance), &|tag| head.value(tag)) {
            Ok(path) => path,
            Err(error) => return Some(out_of_resources(&error)),
        };
        self.ledger().retrieved(&study, instance, bytes);
        self.tell(Event::Arrived(Box::new(Arrival {
            study,
            sop_instance: instance.clone(),
            sop_class: rq.affected_sop_class_uid.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            ae_title: self.node.ae_title.clone(),
            path,
            bytes,
        })));
        None
    }
}

/// Waits until the user wants to stop, as much as this; for ever when nobody can.
pub(crate) async fn reached(stop: &mut watch::Receiver<Stop>, awaited: Stop) {
    if stop.wait_for(|stop| *stop >= awaited).await.is_err() {
        std::future::pending().await
    }
}

/// The reason for an instance whose class the peer did not accept.
pub(super) fn not_accepted(class: &Uid) -> String {
    let name = dictionary::uid_name(class).unwrap_or("private SOP class");
    format!("the peer accepted no presentation context for {name} ({class})")
}

/// An instance that we do not take, and whether there is any use in going on.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) fatal: bool,
}

impl Refused {
    fn by_rule(status: Status, comment: &str) -> Refused {
        Refused { refusal: Refusal::new(status, comment), fatal: false }
    }
}

fn out_of_resources(error: &io::Error) -> Refused {
    let fatal = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    );
    Refused { refusal: Refusal::new(Status::OUT_OF_RESOURCES, &format!("cannot write: {error}")), fatal }
}
