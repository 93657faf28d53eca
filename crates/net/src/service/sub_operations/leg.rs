//! The loop over one association: look (what has come in) -> begin (as far as the window goes) -> wait (for a
//! response) -> tell (the requestor, if it is its association).

use std::future::Future;
use std::pin::pin;

use dicomet_proto::AeTitle;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRsp, Command, MessageId};
use tokio::time::{Instant, timeout_at};

use super::supply::Supply;
use super::tally::{Reason, Tally};
use super::{Instance, Instances, Outgoing, Pace};
use crate::association::{Received, Source};
use crate::moment;
use crate::service::MAX_STRAY_RESPONSES;
use crate::service::c_store::{self, outstanding::Outstanding};
use crate::transcode;
use crate::{Association, Error};

/// A peer that always has something to say must not keep us from going on; and the responses of a whole window are taken
/// at a time.
const MESSAGES_AT_A_LOOK: u16 = c_store::WINDOW;

/// The association that sub-operations go over: the requestor's own ([`super::Answer`]) or one with a move
/// destination ([`Elsewhere`]).
pub(in crate::service) trait Line: Send {
    fn association(&mut self) -> &mut Association;

    /// Whether we requested it: then we have the SCU role by default.
    const WE_REQUESTED: bool;

    /// Who asked for a C-MOVE, by AE title and Message ID: its sub-operations name it (PS3.7 9.3.1.1).
    fn move_originator(&self) -> Option<(AeTitle, MessageId)>;

    /// Looks whether a message has arrived, without waiting.
    fn try_receive(&mut self) -> Result<Option<Received>, Error>;

    /// Waits for a message, at most until then, and not beyond the time at which [`Line::tell`] has something to do.
    /// Cancel safe.
    fn receive(
        &mut self,
        until: Option<Instant>,
    ) -> impl Future<Output = Result<Option<Received>, Error>> + Send;

    /// Handles a message; a C-STORE-RSP is the leg's.
    fn handle(&mut self, received: Received)
    -> impl Future<Output = Result<Option<CStoreRsp>, Error>> + Send;

    /// Says what is due to be said.
    fn tell(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// An association with a move destination.
pub(in crate::service) struct Elsewhere {
    pub(in crate::service) association: Association,
    pub(in crate::service) originator: Option<(AeTitle, MessageId)>,
}

impl Line for Elsewhere {
    const WE_REQUESTED: bool = true;

    fn association(&mut self) -> &mut Association {
        &mut self.association
    }

    fn move_originator(&self) -> Option<(AeTitle, MessageId)> {
        self.originator.clone()
    }

    fn try_receive(&mut self) -> Result<Option<Received>, Error> {
        self.association.try_receive()
    }

    async fn receive(&mut self, until: Option<Instant>) -> Result<Option<Received>, Error> {
        match until {
            None => self.association.receive().await.map(Some),
            Some(until) => match timeout_at(until, self.association.receive()).await {
                Ok(received) => received.map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    async fn handle(&mut self, received: Received) -> Result<Option<CStoreRsp>, Error> {
        match received {
            Received::ReleaseRequested => Err(self.association.released_by_peer()),
            Received::Message(message) => match message.command {
                Command::CStoreRsp(response) => Ok(Some(response)),
                _ => Ok(None),
            },
        }
    }

    async fn tell(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// How the sub-operations over an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum End {
    /// There is nothing more to send, and all is answered.
    Answered,
    /// What was begun was given up: the retrieve is halted, and its grace is over.
    GivenUp,
}

/// The sub-operations that go over one association. However it ends, dropped included: what was begun and not answered
/// has failed.
pub(in crate::service) struct Leg<'l, L: Line, I: Instances> {
    line: &'l mut L,
    supply: &'l Supply<I>,
    tally: &'l Tally,
    pace: &'l Pace,
    outstanding: Outstanding<(Instance, I::Instance)>,
    /// The one that is being sent.
    current: Option<Instance>,
    last_response: Instant,
    /// Responses that answered nothing.
    stray_responses: usize,
    /// Whether anything was answered.
    is_of_use: bool,
}

impl<'l, L: Line, I: Instances> Leg<'l, L, I> {
    pub(in crate::service) fn new(
        line: &'l mut L,
        supply: &'l Supply<I>,
        tally: &'l Tally,
        pace: &'l Pace,
    ) -> Leg<'l, L, I> {
        let window = line.association().negotiated().async_operations_window;
        let window = if L::WE_REQUESTED { window.invoked } else { window.performed };
        let outstanding = Outstanding::new(window, pace.max_outstanding);
        Leg {
            line,
            supply,
            tally,
            pace,
            outstanding,
            current: None,
            last_response: Instant::now(),
            stray_responses: 0,
            is_of_use: false,
        }
    }

    /// Whether a sub-operation was answered on this association: then another one like it gets further.
    pub(in crate::service) fn is_of_use(&self) -> bool {
        self.is_of_use
    }

    /// Sends until there is nothing more to send, or the retrieve is halted.
    ///
    /// # Errors
    /// [`Error`] when the association is at its end. With [`Error::Source`] it is by our fault alone, and what was
    /// outstanding is back in the supply.
    pub(in crate::service) async fn run(&mut self) -> Result<End, Error> {
        loop {
            self.look().await?;
            if self.outstanding.has_room()
                && !self.tally.is_halted()
                && let Some(next) = self.supply.next()
            {
                self.begin_next(next).await?;
            } else if self.outstanding.is_empty() {
                return Ok(End::Answered);
            } else if self.tally.ends_at(self.pace).is_some_and(|end| Instant::now() >= end) {
                return Ok(End::GivenUp);
            } else {
                self.wait().await?;
            }
            // A halted retrieve with nothing under way ends at once.
            if !self.outstanding.is_empty() || !self.tally.is_halted() {
                self.line.tell().await?;
            }
        }
    }

    /// Takes what has come in, without waiting.
    async fn look(&mut self) -> Result<(), Error> {
        for _ in 0..MESSAGES_AT_A_LOOK {
            let Some(received) = self.line.try_receive()? else { break };
            self.handle(received).await?;
        }
        Ok(())
    }

    /// Begins the next sub-operation, or counts it as failed when it cannot be begun.
    async fn begin_next(&mut self, next: I::Instance) -> Result<(), Error> {
        let instance = next.describe();
        let Some(context) = self.context_for(&instance, &next) else {
            self.tally.failed(&instance, Reason::NoContext);
            return Ok(());
        };
        match self.meanwhile(next.open(&context.transfer_syntax)).await {
            Ok(Some(Ok(mut source))) => self.begin(context.id, instance, next, &mut source).await,
            Ok(Some(Err(error))) => {
                self.tally.failed(&instance, Reason::Unreadable(error.to_string()));
                Ok(())
            }
            // Halted before it was begun.
            Ok(None) => {
                self.supply.give_back(next);
                Ok(())
            }
            Err(error) => {
                self.supply.give_back(next);
                Err(error)
            }
        }
    }

    async fn begin(
        &mut self,
        context_id: ContextId,
        instance: Instance,
        next: I::Instance,
        source: &mut <I::Instance as Outgoing>::Source,
    ) -> Result<(), Error> {
        let (length, begin) = (source.remaining(), Instant::now());
        if self.outstanding.is_empty() {
            self.last_response = begin;
        }
        let (class, uid) = (instance.sop_class.clone(), instance.sop_instance.clone());
        let originator = self.line.move_originator();
        self.current = Some(instance);
        let association = self.line.association();
        let sent = c_store::scu::send_for(association, context_id, &class, &uid, originator, source).await;
        let Some(instance) = self.current.take() else { return Ok(()) };
        match sent {
            Ok(message_id) => {
                self.outstanding.insert(message_id, length, begin, (instance, next));
                self.tally.sent(length, self.outstanding.len());
                Ok(())
            }
            Err(Error::Source(error)) => {
                tracing::warn!(%error, "aborting: an instance turns out to be damaged in the middle of sending it");
                self.tally.failed(&instance, Reason::Unreadable(error.to_string()));
                for (_, unanswered) in self.outstanding.drain() {
                    self.supply.give_back(unanswered);
                }
                Err(Error::Source(error))
            }
            Err(error) => {
                self.tally.failed(&instance, Reason::Unanswered);
                Err(error)
            }
        }
    }

    /// The presentation context to send an instance on: its SOP class, where the receiver has the SCP role, in the
    /// transfer syntax it is stored in, or else in the best that it can be converted to.
    fn context_for(&mut self, instance: &Instance, outgoing: &I::Instance) -> Option<Context> {
        let has_role = |context: &&Context| match L::WE_REQUESTED {
            true => context.requestor_is_scu,
            false => context.requestor_is_scp,
        };
        let contexts = &self.line.association().negotiated().contexts;
        let of_class = || {
            contexts.iter().filter(has_role).filter(|context| context.abstract_syntax == instance.sop_class)
        };
        of_class()
            .find(|context| context.transfer_syntax == instance.transfer_syntax)
            .or_else(|| {
                let converted = of_class().filter(|context| outgoing.converts(&context.transfer_syntax));
                converted.min_by_key(|context| transcode::rank(&context.transfer_syntax))
            })
            .cloned()
    }

    /// Does what may take its time, while what comes in is handled; `None` when the retrieve is halted meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<Option<T>, Error> {
        let mut work = pin!(work);
        loop {
            let tally = self.tally;
            let received = tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                () = tally.halted() => return Ok(None),
                received = self.line.receive(None) => received?,
            };
            if let Some(received) = received {
                self.handle(received).await?;
            }
            if !self.tally.is_halted() {
                self.line.tell().await?;
            }
        }
    }

    /// Waits for a response, or for the time to say or to end something. Nothing answered for too long is the end of the
    /// association: nothing else can be said where the peer owes a response.
    async fn wait(&mut self) -> Result<(), Error> {
        let limit = self.pace.response;
        let deadline = moment::after(self.last_response, limit);
        let until = self.tally.ends_at(self.pace).map_or(deadline, |end| end.min(deadline));
        match self.line.receive(Some(until)).await? {
            Some(received) => self.handle(received).await,
            None if Instant::now() < deadline => Ok(()),
            None => Err(self.line.association().timed_out("answer a C-STORE sub-operation", limit)),
        }
    }

    async fn handle(&mut self, received: Received) -> Result<(), Error> {
        let Some(response) = self.line.handle(received).await? else { return Ok(()) };
        let now = Instant::now();
        match self.outstanding.remove(response.message_id, now) {
            Some((instance, _)) => {
                self.last_response = now;
                self.is_of_use = true;
                self.answered(&instance, &response);
                Ok(())
            }
            None => self.passed_over(),
        }
    }

    /// Counts a sub-operation by its response. One that is of another instance says nothing of ours: to count it as
    /// completed could let the requestor delete what nobody has.
    fn answered(&self, instance: &Instance, response: &CStoreRsp) {
        let Instance { sop_class, sop_instance, .. } = instance;
        match c_store::other_than_asked(response, sop_class, sop_instance) {
            None => self.tally.answered(instance, response.status),
            Some(_) => self.tally.failed(instance, Reason::OfAnother(response.status)),
        }
    }

    /// A response that answers nothing that is outstanding.
    fn passed_over(&mut self) -> Result<(), Error> {
        self.stray_responses += 1;
        if self.stray_responses > MAX_STRAY_RESPONSES {
            let association = self.line.association();
            return Err(association.misbehaved("keeps sending responses that nobody waits for"));
        }
        tracing::debug!("dropped a C-STORE-RSP that answers no outstanding sub-operation");
        Ok(())
    }
}

impl<L: Line, I: Instances> Drop for Leg<'_, L, I> {
    fn drop(&mut self) {
        let outstanding = self.outstanding.drain().map(|(instance, _)| instance);
        for instance in outstanding.chain(self.current.take()) {
            self.tally.failed(&instance, Reason::Unanswered);
        }
    }
}
