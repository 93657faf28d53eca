//! The loop over one association: look (what has come in) -> begin (as far as the window goes) -> wait (for a
//! response) -> pending.

use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRsp, Command};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Destination, Instance, Instances};
use crate::association::{Received, Source};
use crate::service::c_store::{self, outstanding::Outstanding};
use crate::transcode;
use crate::{Association, Error};

/// Which association the sub-operations go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Line {
    /// The requestor's.
    Same,
    /// The destination's own.
    Other,
    /// The destination's own was lost.
    Lost,
}

/// The sub-operations that go over one association.
pub(super) struct Leg<'l, 'a, I: Instances> {
    answer: &'l mut Answer<'a>,
    other: Option<&'l mut Association>,
    line: Line,
    instances: &'l mut I,
    /// Sub-operations that were not begun; the answer's `remaining` has those that were not answered as well.
    to_begin: u64,
    last_response: Instant,
    outstanding: Outstanding<Uid>,
}

impl<'l, 'a, I: Instances> Leg<'l, 'a, I> {
    pub(super) fn new(
        answer: &'l mut Answer<'a>,
        destination: Destination<'l>,
        instances: &'l mut I,
    ) -> Leg<'l, 'a, I> {
        let (line, other) = match destination {
            Destination::Requestor => (Line::Same, None),
            Destination::Other(association) => (Line::Other, Some(association)),
        };
        let window = match &other {
            None => answer.requestor.negotiated().async_operations_window.performed,
            Some(other) => other.negotiated().async_operations_window.invoked,
        };
        Leg {
            outstanding: Outstanding::new(window, answer.pace.max_outstanding),
            to_begin: instances.total(),
            answer,
            other,
            line,
            instances,
            last_response: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Line, Error> {
        loop {
            self.look().await?;
            let more = self.to_begin > 0 && !self.answer.is_cancelled();
            if more && self.outstanding.has_room() {
                self.begin_next().await?;
            } else if !self.outstanding.is_empty() {
                self.wait().await?;
            } else {
                return Ok(self.line);
            }
            // A cancelled retrieve with nothing under way ends at once.
            if !self.answer.is_cancelled() || !self.outstanding.is_empty() {
                self.answer.pending_when_due().await?;
            }
        }
    }

    /// Takes what has come in, without waiting.
    async fn look(&mut self) -> Result<(), Error> {
        while let Some(received) = self.answer.requestor.try_receive()? {
            self.handle_requestor(received).await?;
        }
        while self.line == Line::Other
            && let Some(other) = self.other.as_deref_mut()
        {
            match other.try_receive() {
                Ok(Some(received)) => self.handle_other(received),
                Ok(None) => break,
                Err(error) => self.lose_destination(&error),
            }
        }
        Ok(())
    }

    /// Begins the next sub-operation, or counts it as failed when it cannot be begun.
    async fn begin_next(&mut self) -> Result<(), Error> {
        let Some(instance) = self.instances.next().await else {
            self.answer.count_absent(self.to_begin);
            self.to_begin = 0;
            return Ok(());
        };
        self.to_begin -= 1;
        if self.line == Line::Lost {
            // Nobody is there to send to, but the list of what failed must name each.
            self.answer.count_failed(instance.sop_instance);
            return Ok(());
        }
        let Some(context) = self.context_for(&instance) else {
            tracing::debug!(
                sop_class = %instance.sop_class,
                sop_instance = %instance.sop_instance,
                transfer_syntax = %instance.transfer_syntax,
                "sub-operation failed: no presentation context, or no role, for this SOP class and transfer syntax"
            );
            self.answer.without_context += 1;
            self.answer.count_failed(instance.sop_instance);
            return Ok(());
        };
        let mut source = match self.instances.open(&context.transfer_syntax).await {
            Ok(source) => source,
            Err(error) => {
                tracing::error!(sop_instance = %instance.sop_instance, %error, "sub-operation failed: the instance cannot be read");
                self.answer.unreadable += 1;
                self.answer.count_failed(instance.sop_instance);
                return Ok(());
            }
        };
        self.begin(context.id, instance, &mut source).await
    }

    async fn begin(
        &mut self,
        context_id: ContextId,
        instance: Instance,
        source: &mut I::Source,
    ) -> Result<(), Error> {
        let length = source.remaining();
        if self.outstanding.is_empty() {
            self.last_response = Instant::now();
        }
        let (class, uid) = (&instance.sop_class, &instance.sop_instance);
        let sent = match self.other.as_deref_mut() {
            None => c_store::scu::send(self.answer.requestor, context_id, class, uid, source).await?,
            Some(other) => {
                let originator = self.answer.move_originator();
                let grace = self.answer.pace.cancel_grace;
                let sending = c_store::scu::send_for(other, context_id, class, uid, originator, source);
                match self.answer.meanwhile(grace, sending).await? {
                    Some(Ok(sent)) => sent,
                    lost => {
                        self.answer.count_failed(instance.sop_instance);
                        match lost {
                            Some(Err(error)) => self.lose_destination(&error),
                            _ => self.abandon_destination(),
                        }
                        return Ok(());
                    }
                }
            }
        };
        self.answer.bytes += length;
        self.outstanding.insert(sent, length, instance.sop_instance);
        self.answer.most_outstanding = self.answer.most_outstanding.max(self.outstanding.len());
        Ok(())
    }

    /// The presentation context to send an instance on: its SOP class, where the receiver has the SCP role, in the
    /// transfer syntax it is stored in, or else in the best that it can be converted to.
    fn context_for(&self, instance: &Instance) -> Option<Context> {
        let (negotiated, we_requested) = match &self.other {
            Some(other) => (other.negotiated(), true),
            None => (self.answer.requestor.negotiated(), false),
        };
        let fitting = || {
            let of_class =
                negotiated.contexts.iter().filter(|context| context.abstract_syntax == instance.sop_class);
            of_class.filter(
                |context| if we_requested { context.requestor_is_scu } else { context.requestor_is_scp },
            )
        };
        fitting()
            .find(|context| context.transfer_syntax == instance.transfer_syntax)
            .or_else(|| {
                let converted =
                    fitting().filter(|context| self.instances.converts(instance, &context.transfer_syntax));
                converted.min_by_key(|context| transcode::rank(&context.transfer_syntax))
            })
            .cloned()
    }

    /// Waits for a response, a cancel, or the time for another Pending. Nothing answered for too long is the end of
    /// a C-GET, since nothing else can be said on an association whose peer owes a response; of a C-MOVE, the end
    /// of its destination.
    async fn wait(&mut self) -> Result<(), Error> {
        let limit = self.answer.pace.response;
        let deadline = self.last_response + limit;
        let Some(other) = self.other.as_deref_mut() else {
            let wake = deadline.min(self.answer.next_pending());
            return match timeout_at(wake, self.answer.requestor.receive()).await {
                Ok(received) => self.handle_requestor(received?).await,
                Err(_) if Instant::now() < deadline => Ok(()),
                Err(_) => Err(unanswered(limit)),
            };
        };
        let grace = self.answer.pace.cancel_grace;
        match self.answer.meanwhile(grace, timeout_at(deadline, other.receive())).await? {
            Some(Ok(Ok(received))) => self.handle_other(received),
            Some(Ok(Err(error))) => self.lose_destination(&error),
            Some(Err(_)) => self.lose_destination(&unanswered(limit)),
            None => self.abandon_destination(),
        }
        Ok(())
    }

    async fn handle_requestor(&mut self, received: Received) -> Result<(), Error> {
        if let Some(response) = self.answer.handle(received).await?
            && self.line == Line::Same
        {
            self.take_response(response);
        }
        Ok(())
    }

    fn handle_other(&mut self, received: Received) {
        match received {
            Received::ReleaseRequested => self.lose_destination(&Error::ReleasedByPeer),
            Received::Message(message) => {
                if let Command::CStoreRsp(response) = message.command {
                    self.take_response(response);
                }
            }
        }
    }

    fn take_response(&mut self, response: CStoreRsp) {
        let Some(sop_instance) = self.outstanding.remove(response.message_id) else {
            tracing::debug!("dropped a C-STORE-RSP that answers no outstanding sub-operation");
            return;
        };
        self.last_response = Instant::now();
        self.answer.count(sop_instance, response.status);
    }

    fn lose_destination(&mut self, error: &Error) {
        tracing::warn!(%error, "lost the association with the move destination");
        self.answer.explain("the association with the move destination was lost");
        self.fail_outstanding();
    }

    /// After a cancel the destination takes too long to end what was begun.
    fn abandon_destination(&mut self) {
        tracing::info!("cancelled: what the move destination has not answered is given up");
        self.fail_outstanding();
    }

    fn fail_outstanding(&mut self) {
        self.line = Line::Lost;
        for sop_instance in self.outstanding.drain() {
            self.answer.count_failed(sop_instance);
        }
    }
}

fn unanswered(after: Duration) -> Error {
    Error::TimedOut { action: "answer a C-STORE sub-operation", after }
}
