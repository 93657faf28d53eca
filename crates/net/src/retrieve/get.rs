//! Getting: one association that works off requests by C-GET and writes what comes into the folder.
//!
//! Several workers may share a queue of requests, each with an association of its own and the same contexts.

use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Context, Negotiated, Proposal};
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::pdu::{AsyncOperationsWindow, RoleSelection};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::plan::{self, Request};
use super::report::Event;
use super::shared::{Shared, reached};
use super::take::Refused;
use super::work::{Roles, Work};
use super::{Stop, find};
use crate::service::c_get::scu::{Get, GetEvent, Response};
use crate::{Association, Error, connect};

/// What a worker has of the one who started it.
pub(super) struct Post {
    pub(super) number: usize,
    pub(super) served: mpsc::UnboundedSender<Served>,
    pub(super) give_up: watch::Receiver<GiveUp>,
}

/// Who is not to wait any more: workers below these numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GiveUp {
    /// For their association.
    pub(super) connecting: usize,
    /// For the first answer on it.
    pub(super) unserved: usize,
}

/// A worker's first request is being answered. That its association stands means little: Orthanc 1.10 accepts more
/// than it serves.
pub(super) struct Served {
    pub(super) number: usize,
    /// Operations that the peer may have under way; 0 is no limit.
    pub(super) window: u16,
}

impl Post {
    fn is_served(&self, window: u16) {
        // Nobody listens when the round is being ended.
        let _ = self.served.send(Served { number: self.number, window });
    }

    async fn is_given_up(&mut self, below: impl Fn(&GiveUp) -> usize) {
        if self.give_up.wait_for(|give_up| self.number < below(give_up)).await.is_err() {
            std::future::pending().await
        }
    }
}

/// How a request went.
enum Got {
    /// It was answered, whatever came.
    Done,
    /// Nothing came, and we do not wait any more.
    NeverServed,
}

/// How a worker's association went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether the association stood.
    pub(super) was_open: bool,
    /// Why it ended, when not by our release.
    pub(super) error: Option<Error>,
    /// Whether it ended because the peer fell silent, and it is known at what.
    pub(super) is_passed_over: bool,
    /// Whether the peer gave us the SCP role for nothing that it accepted.
    pub(super) no_roles: bool,
    /// Whether the peer takes a class that was left out but for a probe.
    pub(super) takes_probe: bool,
    /// Our side cannot store any more.
    pub(super) fatal: Option<String>,
    /// SOP class and transfer syntax of the storage contexts that the peer accepted.
    pub(super) accepted: Vec<(Uid, Uid)>,
    /// Whether we did not wait any more until it would be served.
    pub(super) is_given_up: bool,
    /// Whether anything came on it.
    pub(super) is_served: bool,
    /// The instance that is coming.
    pub(super) coming: Option<Uid>,
}

impl Shared {
    /// Opens an association and works off the queue.
    pub(super) async fn work(self: Arc<Self>, work: Arc<Work>, mut post: Post) -> Outcome {
        let mut outcome = Outcome::default();
        let mut stop = self.stop.clone();
        let begin = Instant::now();
        let connecting = connect::connect(&self.node, self.proposal(&work), &self.caller.timeouts);
        let mut association = tokio::select! {
            association = connecting => match association {
                Ok(association) => association,
                Err(error) => return Outcome { error: Some(error), ..outcome },
            },
            () = reached(&mut stop, Stop::Cancel) => return outcome,
            () = post.is_given_up(|below| below.connecting) => return outcome,
        };
        outcome.was_open = true;
        // One for TCP, one for the association.
        self.note_round_trip(begin.elapsed() / 2);
        outcome.no_roles = !self.announce(association.negotiated(), &work);
        outcome.accepted = self
            .storage_contexts(association.negotiated())
            .map(|context| (context.abstract_syntax.clone(), context.transfer_syntax.clone()))
            .collect();
        outcome.takes_probe = outcome.accepted.iter().any(|(class, _)| work.probes.contains(class));
        // An abort waits for nothing: not for a peer that neither sends nor takes anything.
        let ended = tokio::select! {
            biased;
            () = reached(&mut stop, Stop::Abort) => None,
            ended = self.work_off(&mut association, &work, &mut post, &mut outcome) => Some(ended),
        };
        match ended {
            None => association.abort().await,
            Some(Ok(())) if outcome.is_given_up => association.abort().await,
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
            role_selections,
            async_operations_window: (self.window != 1).then_some(window),
            ..Proposal::new(self.caller.ae_title.clone(), self.node.ae_title.clone(), contexts)
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
        post: &mut Post,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let window = association.negotiated().async_operations_window.performed;
        let mut stop = self.stop.clone();
        while self.stop() == Stop::No && outcome.fatal.is_none() && !outcome.takes_probe {
            let next = async {
                match outcome.is_served {
                    _ if window != 1 => {}
                    true => work.let_others_begin(self.round_trip()).await,
                    false => work.begin_together(self.round_trip()).await,
                }
                work.next(self.round_trip(), window, self.costs()).await
            };
            let next = tokio::select! {
                next = next => next,
                () = reached(&mut stop, Stop::Cancel) => None,
            };
            let Some(request) = next else { break };
            let before = self.progress().instances;
            let asking = work.ask();
            let got = self.get(association, &request, post, outcome).await;
            drop(asking);
            match got {
                Ok(Got::Done) => work.dealer().done(&request),
                Ok(Got::NeverServed) => {
                    work.dealer().put_back(request);
                    work.fed();
                    outcome.is_given_up = true;
                    break;
                }
                // The peer has accepted more associations than it serves: that says nothing of the instances.
                Err(error @ Error::TimedOut { .. })
                    if !outcome.is_served && (self.progress().instances > before || work.may_come()) =>
                {
                    tracing::debug!("an association was not served: {error}");
                    work.dealer().put_back(request);
                    work.fed();
                    outcome.is_given_up = true;
                    break;
                }
                Err(error) => {
                    work.dealer().done(&request);
                    outcome.is_passed_over = self.note_silence(&request, outcome.coming.take(), &error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Does one C-GET.
    async fn get(
        &self,
        association: &mut Association,
        request: &Request,
        post: &mut Post,
        outcome: &mut Outcome,
    ) -> Result<Got, Error> {
        let study = self.ledger().inventory().studies[request.study].head();
        let identifier = find::identifier(self.model, request, &study);
        let accepted: Vec<Uid> =
            association.negotiated().contexts.iter().map(|context| context.abstract_syntax.clone()).collect();
        let window = association.negotiated().async_operations_window.performed;
        let mut get = Get::start(association, &plan::get_sop_class(self.model), &identifier).await?;
        let mut stop = self.stop.clone();
        let mut cancelled = false;
        let mut last = None;
        let asked = Instant::now();
        // What it waits until it is served at all is no cost of the request.
        let was_served = outcome.is_served;
        let (mut first, mut answered, mut came) = (None, None, 0);
        loop {
            let event = tokio::select! {
                biased;
                () = reached(&mut stop, Stop::Cancel), if !cancelled => {
                    cancelled = true;
                    get.cancel().await?;
                    continue;
                }
                () = post.is_given_up(|below| below.unserved), if !outcome.is_served => return Ok(Got::NeverServed),
                event = get.next() => event?,
            };
            if !std::mem::replace(&mut outcome.is_served, true) {
                post.is_served(window);
            }
            if let Some(answered) = answered.take().filter(|_| window == 1) {
                self.note_round_trip(Instant::now() - answered);
            }
            match event {
                None => break,
                Some(GetEvent::Response(response)) => {
                    self.tell(Event::Counters(response.command.counters));
                    last = Some(response);
                }
                Some(GetEvent::Store(context, rq)) => {
                    first.get_or_insert_with(Instant::now);
                    came += 1;
                    outcome.coming = Some(rq.affected_sop_instance_uid.clone());
                    let refusal = self.take(&mut get, &context, &rq).await?;
                    outcome.coming = None;
                    if let Some(Refused { refusal, fatal }) = &refusal {
                        self.note_refusal(&rq, refusal);
                        if outcome.fatal.is_none() && *fatal {
                            outcome.fatal = Some(refusal.comment().to_owned());
                        }
                    }
                    get.answer(&context, &rq, refusal.map_or(Ok(()), |refused| Err(refused.refusal))).await?;
                    answered = Some(Instant::now());
                    if outcome.fatal.is_some() && !cancelled {
                        cancelled = true;
                        get.cancel().await?;
                    }
                }
            }
        }
        if let Some(first) = first.filter(|_| was_served && !request.instances.is_empty() && !cancelled) {
            self.note_list(first - asked, came, first.elapsed());
        }
        if let Some(Response { command, failed }) = last {
            self.note_end(request, command.status, command.error_comment, &failed, Some(&accepted));
        }
        Ok(Got::Done)
    }
}
