//! Getting by C-MOVE: the requests of the plan, sent as C-MOVE-RQs with ourselves as the move destination. What the
//! peer sends comes in through [`super::receive`], into the same folder and the same ledger.
//!
//! One association, unless the user wants several: the peer opens those on which instances come.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::message::{CMoveRsp, Status};
use tokio::task::JoinSet;

use super::associations::Share;
use super::get::Outcome;
use super::passes::{End, Engine, MAX_PASSES, Verdict};
use super::plan::{Dealer, Granularity, Part, Request, Round};
use super::receive::Receiver;
use super::report::{Event, Method};
use super::shared::{Shared, reached};
use super::{MAX_ASSOCIATIONS, Stop, find, moving};
use crate::service::c_move::scu::{Move, Response};
use crate::{Association, Error};

/// How long a response may take while instances come: what comes tells whether the peer is there.
const WHILE_INSTANCES_COME: Duration = Duration::from_secs(24 * 3600);

/// The requests of a pass, dealt out to the associations.
struct Requests {
    dealer: Mutex<Dealer>,
    share: Share,
    /// Whether one association works them off, so that what is taken meanwhile is of its request.
    is_alone: bool,
}

impl Requests {
    fn new(dealer: Dealer, associations: usize) -> Requests {
        Requests {
            share: if associations == 1 { Share::ALL } else { Share::of(dealer.fair_share(associations)) },
            dealer: Mutex::new(dealer),
            is_alone: associations == 1,
        }
    }

    fn dealer(&self) -> MutexGuard<'_, Dealer> {
        self.dealer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn next(&self) -> Option<Request> {
        self.dealer().deal(self.share)
    }
}

impl Shared {
    /// Opens an association and works off the requests, one after the other.
    async fn work_by_move(&self, requests: &Requests, receiver: &Receiver) -> Outcome {
        let mut outcome = Outcome::default();
        let mut stop = self.stop.clone();
        let mut association = tokio::select! {
            association = moving::open(&self.node, &self.caller, self.model) => match association {
                Ok(association) => association,
                Err(error) => return Outcome { error: Some(error), ..outcome },
            },
            () = reached(&mut stop, Stop::Cancel) => return outcome,
        };
        outcome.was_open = true;
        while self.stop() == Stop::No && outcome.fatal.is_none() {
            let Some(request) = requests.next() else { break };
            let done =
                self.get_by_move(&mut association, &request, (receiver, requests.is_alone), &mut outcome);
            let done = done.await;
            requests.dealer().done(&request);
            if let Err(error) = done {
                self.tell(Event::Lost { reason: error.to_string() });
                outcome.is_passed_over = self.note_silence(&request, receiver.take_stalled(), &error);
                outcome.error = Some(error);
                break;
            }
        }
        if outcome.error.is_some() || self.stop() == Stop::Abort {
            association.abort().await;
        } else if let Err(error) = association.release().await {
            tracing::debug!("releasing after C-MOVE: {error}");
        }
        outcome
    }

    /// Does one C-MOVE.
    async fn get_by_move(
        &self,
        association: &mut Association,
        request: &Request,
        (receiver, is_alone): (&Receiver, bool),
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let study = self.ledger().inventory().studies[request.study].head();
        let identifier = find::identifier(self.model, request, &study);
        let sop_class = moving::sop_class(self.model)?;
        let before = receiver.taken();
        let is_named = !self.missing_of(request).is_empty();
        let limit = self.caller.timeouts.progress;
        let mut moving = Move::start(association, &sop_class, &self.caller.ae_title, &identifier).await?;
        let mut stop = self.stop.clone();
        let mut cancelled = false;
        let last = loop {
            let awaited = if cancelled { Stop::Abort } else { Stop::Cancel };
            let response = tokio::select! {
                biased;
                () = reached(&mut stop, awaited) => {
                    if self.stop() == Stop::Abort {
                        return Ok(());
                    }
                    cancelled = true;
                    moving.cancel().await?;
                    continue;
                }
                response = moving.next_within(WHILE_INSTANCES_COME) => response?,
                () = receiver.falls_silent(limit) => {
                    return Err(Error::TimedOut { action: "send a response or an instance", after: limit });
                }
            };
            let Some(response) = response else { return Ok(()) };
            self.tell(Event::Counters(response.command.counters));
            if !response.command.status.is_pending() {
                break response;
            }
            if receiver.fatal().is_some() && !cancelled {
                cancelled = true;
                moving.cancel().await?;
            }
        };
        let awaited = sent(&last.command).map(|sent| before + sent).filter(|_| is_alone);
        let is_here = || is_named && self.missing_of(request).is_empty();
        receiver.settle(awaited, is_here).await;
        outcome.fatal = receiver.fatal();
        let Response { command, failed } = last;
        if command.status == Status::MOVE_DESTINATION_UNKNOWN {
            outcome.fatal = Some(format!(
                "the peer does not know the move destination {}: its administrator must add it, with this machine's \
                 address and the port of --receive",
                self.caller.ae_title
            ));
        }
        self.note_end(request, command.status, command.error_comment, &failed, None);
        Ok(())
    }
}

impl Engine {
    /// As [`Engine::passes`], by C-MOVE: the peer proposes the contexts, so only what to ask for is left to plan.
    pub(super) async fn move_passes(&mut self, address: SocketAddr) -> Option<End> {
        self.method = Method::Move;
        let receiver = match Receiver::open(address, Arc::clone(&self.shared)).await {
            Ok(receiver) => Arc::new(receiver),
            Err(error) => return Some(End::CannotStore(format!("cannot listen on {address}: {error}"))),
        };
        let end = self.move_all(&receiver).await;
        if let Some(receiver) = Arc::into_inner(receiver) {
            receiver.close().await;
        }
        end
    }

    async fn move_all(&mut self, receiver: &Arc<Receiver>) -> Option<End> {
        self.granularity = Granularity::Coarse;
        self.barren = 0;
        for _ in 0..MAX_PASSES {
            let missing = self.shared.ledger().missing();
            if missing.is_empty() || self.is_stopped() {
                return None;
            }
            let before = self.shared.ledger().arrived();
            let parts = missing.iter().map(|study| Part { study: study.study, classes: None }).collect();
            let round = Round { parts, ..Round::default() };
            let dealer = self.dealer(&round);
            if dealer.is_empty() {
                return None;
            }
            let outcome = self.move_side_by_side(dealer, receiver).await;
            if let Some(reason) = outcome.fatal {
                return Some(End::CannotStore(reason));
            }
            let Some(error) = outcome.error else {
                self.granularity = self.granularity.finer()?;
                continue;
            };
            if outcome.is_passed_over {
                self.barren = 0;
                continue;
            }
            let came = self.shared.ledger().arrived() > before;
            if let Verdict::Over(end) = self.after(error, came).await {
                return end;
            }
        }
        None
    }

    /// Works off the requests of a pass on as many associations as the user wants, or on one. Those that are rejected
    /// leave the work to the others.
    async fn move_side_by_side(&mut self, dealer: Dealer, receiver: &Arc<Receiver>) -> Outcome {
        let most = dealer.least().clamp(1, MAX_ASSOCIATIONS);
        let associations = self.options.associations.map_or(1, |number| number.clamp(1, most));
        let requests = Arc::new(Requests::new(dealer, associations));
        let mut workers = JoinSet::new();
        for _ in 0..associations {
            let (shared, requests, receiver) =
                (Arc::clone(&self.shared), Arc::clone(&requests), Arc::clone(receiver));
            workers.spawn(async move { shared.work_by_move(&requests, &receiver).await });
        }
        let mut all = Outcome::default();
        while let Some(Ok(outcome)) = workers.join_next().await {
            self.associations += u64::from(outcome.was_open);
            all.was_open |= outcome.was_open;
            all.is_passed_over |= outcome.is_passed_over;
            all.fatal = all.fatal.or(outcome.fatal);
            all.error = all.error.or(outcome.error);
        }
        if all.was_open && requests.dealer().is_empty() && matches!(all.error, Some(Error::Rejected(_))) {
            all.error = None;
        }
        all
    }
}

/// How many instances the peer says it has sent. One that calls it done with none may be about to send them.
fn sent(response: &CMoveRsp) -> Option<u64> {
    let completed = u64::from(response.counters.completed?);
    let sent = completed + u64::from(response.counters.warning.unwrap_or(0));
    (sent > 0 || response.status != Status::SUCCESS).then_some(sent)
}
