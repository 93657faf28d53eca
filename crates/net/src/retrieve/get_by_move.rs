//! Getting by C-MOVE: the requests of the plan, sent as C-MOVE-RQs with ourselves as the move destination. What the
//! peer sends comes in through [`super::receive`], into the same folder and the same ledger.

use std::net::SocketAddr;
use std::sync::Arc;

use dicomet_proto::message::{CMoveRsp, Status};

use super::associations::Share;
use super::get::Outcome;
use super::passes::{End, Engine, MAX_PASSES, Verdict};
use super::plan::{Granularity, Part, Request, Round};
use super::receive::Receiver;
use super::report::{Event, Method};
use super::shared::{Shared, reached};
use super::{Stop, find, moving};
use crate::service::c_move::scu::{Move, Response};
use crate::{Association, Error};

impl Shared {
    /// Opens an association and works off the requests, one after the other.
    pub(super) async fn work_by_move(&self, requests: &[Request], receiver: &Receiver) -> Outcome {
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
        for request in requests {
            if self.stop() != Stop::No || outcome.fatal.is_some() {
                break;
            }
            if let Err(error) = self.get_by_move(&mut association, request, receiver, &mut outcome).await {
                self.tell(Event::Lost { reason: error.to_string() });
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
        receiver: &Receiver,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let study = self.ledger().inventory().studies[request.study].head();
        let identifier = find::identifier(self.model, request, &study);
        let sop_class = moving::sop_class(self.model)?;
        let before = receiver.taken();
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
                response = moving.next() => response?,
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
        receiver.settle(sent(&last.command).map(|sent| before + sent)).await;
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
            Ok(receiver) => receiver,
            Err(error) => return Some(End::CannotStore(format!("cannot listen on {address}: {error}"))),
        };
        self.granularity = Granularity::Coarse;
        self.barren = 0;
        for _ in 0..MAX_PASSES {
            let missing = self.shared.ledger().missing();
            if missing.is_empty() || self.is_stopped() {
                return None;
            }
            let before = self.shared.ledger().arrived();
            let parts = missing.iter().map(|study| Part { study: study.study, classes: None }).collect();
            let round = Round { contexts: Vec::new(), parts };
            let mut dealer = self.dealer(&round);
            let requests: Vec<Request> = std::iter::from_fn(|| dealer.deal(Share::ALL)).collect();
            let outcome = self.shared.work_by_move(&requests, &receiver).await;
            self.associations += u64::from(outcome.was_open);
            if let Some(reason) = outcome.fatal {
                return Some(End::CannotStore(reason));
            }
            let Some(error) = outcome.error else {
                self.granularity = self.granularity.finer()?;
                continue;
            };
            let came = self.shared.ledger().arrived() > before;
            if let Verdict::Over(end) = self.after(error, came).await {
                return end;
            }
        }
        None
    }
}

/// How many instances the peer says it has sent. One that calls it done with none may be about to send them.
fn sent(response: &CMoveRsp) -> Option<u64> {
    let completed = u64::from(response.counters.completed?);
    let sent = completed + u64::from(response.counters.warning.unwrap_or(0));
    (sent > 0 || response.status != Status::SUCCESS).then_some(sent)
}
