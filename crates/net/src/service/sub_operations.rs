//! The one loop that C-GET and C-MOVE share as SCP: PS3.4 C.4.2.3, C.4.3.3.
//!
//! It sends instances by C-STORE sub-operations, to the requestor on its own association (C-GET) or to a third
//! party on another (C-MOVE), with as many of them outstanding as the asynchronous operations window allows. It
//! counts how they end, tells the requestor with Pending, looks for C-CANCEL between any two of them, and ends
//! with exactly one final response. An instance that cannot be sent is a failed sub-operation, never a skipped
//! one; it fails alone.
//!
//! The order: look (what has come in) -> begin (as far as the window goes) -> wait (for a response) -> pending.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, Tag, dictionary::uids};
use dicomet_proto::message::{
    CGetRq, CGetRsp, CMoveRq, CMoveRsp, CStoreRsp, Command, Counters, DataSetType, MessageId, Refusal,
    Status, StatusKind, SubOperations,
};
use tokio::time::Instant;

use super::{c_echo, c_store, respond_refusal};
use crate::association::{Data, Message, Received, Source};
use crate::{Association, Error};

/// Failed SOP Instance UID List.
const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);

/// The longest value that an element of VR UI has where its length field has 16 bits (PS3.5 7.1.2).
const MAX_UI_LENGTH: usize = 65_534;

/// An instance that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The transfer syntax it is stored in, and is sent in where the receiver takes that.
    pub transfer_syntax: Uid,
}

/// The instances of one retrieve, one after the other.
pub trait Instances: Send {
    /// What an instance is read from as it is sent.
    type Source: Source;

    /// How many there are in all; asked once, before the first [`Instances::next`].
    fn total(&self) -> u64;

    /// The next instance; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Option<Instance>> + Send;

    /// Whether an instance can be sent in another transfer syntax than the one it is stored in. Asked only when
    /// no context has that one.
    fn converts(&self, instance: &Instance, transfer_syntax: &Uid) -> bool {
        let _ = (instance, transfer_syntax);
        false
    }

    /// Opens the data set of the instance that [`Instances::next`] gave last, to be sent in a transfer syntax:
    /// its own, or one that [`Instances::converts`] said yes to. What can be found wrong with it should be found
    /// here: an error here fails this instance alone, one in the middle ends the association.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn open(&mut self, transfer_syntax: &Uid) -> impl Future<Output = io::Result<Self::Source>> + Send;
}

/// Where the instances go.
pub enum Destination<'a> {
    /// Back to the requestor, on its association: C-GET.
    Requestor,
    /// To another node, on an association that we requested: C-MOVE.
    Other(&'a mut Association),
}

/// How the loop keeps time.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The least time between two Pending responses. One a sub-operation would double the messages for small
    /// instances; a person sees no more than ten a second.
    pub pending_interval: Duration,
    /// A Pending response goes out at the latest after this time, though nothing has changed, for the sake of
    /// the requestor's timer.
    pub keep_alive: Duration,
    /// How long to wait for the response to any outstanding sub-operation.
    pub response: Duration,
    /// The most sub-operations outstanding, whatever larger window was negotiated.
    pub max_outstanding: u16,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            pending_interval: Duration::from_millis(100),
            keep_alive: Duration::from_secs(5),
            response: Duration::from_secs(60),
            max_outstanding: 64,
        }
    }
}

/// The request that the loop answers.
#[derive(Debug, Clone)]
pub struct Operation {
    context: Context,
    message_id: MessageId,
    service: Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Get,
    Move,
}

/// How a retrieve ended, for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The status of the final response.
    pub status: Status,
    /// How the sub-operations ended.
    pub sub_operations: SubOperations,
    /// Bytes of data sets that were sent.
    pub bytes: u64,
    /// Failed because no presentation context, or no role, fits.
    pub without_context: u64,
    /// Failed because the instance could not be read.
    pub unreadable: u64,
    /// The most sub-operations that were outstanding at a time.
    pub most_outstanding: usize,
}

impl Operation {
    /// A C-GET-RQ.
    pub fn get(context: &Context, request: &CGetRq) -> Operation {
        Operation { context: context.clone(), message_id: request.message_id, service: Service::Get }
    }

    /// A C-MOVE-RQ.
    pub fn moving(context: &Context, request: &CMoveRq) -> Operation {
        Operation { context: context.clone(), message_id: request.message_id, service: Service::Move }
    }

    /// Answers that nothing is done, and why.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn refuse(&self, association: &mut Association, refusal: &Refusal) -> Result<(), Error> {
        let response = self.response(refusal.status, Counters::default(), DataSetType::Null, Some(refusal));
        association.send(self.context.id, &response, Data::None).await?;
        association.flush().await
    }

    fn response(
        &self,
        status: Status,
        counters: Counters,
        identifier: DataSetType,
        refusal: Option<&Refusal>,
    ) -> Command {
        let message_id = self.message_id;
        let affected_sop_class_uid = Some(self.context.abstract_syntax.clone());
        let error_comment =
            refusal.map(|refusal| refusal.comment().to_owned()).filter(|comment| !comment.is_empty());
        let offending_elements =
            refusal.map(|refusal| refusal.offending_elements.clone()).unwrap_or_default();
        match self.service {
            Service::Get => Command::CGetRsp(CGetRsp {
                message_id,
                affected_sop_class_uid,
                status,
                counters,
                identifier,
                error_comment,
                offending_elements,
            }),
            Service::Move => Command::CMoveRsp(CMoveRsp {
                message_id,
                affected_sop_class_uid,
                status,
                counters,
                identifier,
                error_comment,
                offending_elements,
            }),
        }
    }
}

/// Performs the sub-operations of a retrieve and sends its final response.
///
/// Holds in memory: the UIDs of what failed, and of what is outstanding.
///
/// # Errors
/// [`Error`] when the requestor's association is at its end. A destination that fails (C-MOVE) is no error: what
/// is left then counts as failed.
pub async fn perform<I: Instances>(
    requestor: &mut Association,
    destination: Destination<'_>,
    operation: Operation,
    instances: I,
    pace: &Pace,
) -> Result<Report, Error> {
    let total = instances.total();
    let line = match &destination {
        Destination::Requestor => Line::Same,
        Destination::Other(_) => Line::Other,
    };
    let other = match destination {
        Destination::Requestor => None,
        Destination::Other(association) => Some(association),
    };
    let now = Instant::now();
    let window = match &other {
        None => requestor.negotiated().async_operations_window.performed,
        Some(other) => other.negotiated().async_operations_window.invoked,
    };
    let window = if window == 0 { pace.max_outstanding } else { window.min(pace.max_outstanding) };
    let performance = Performance {
        requestor,
        other,
        line,
        operation,
        instances,
        pace,
        window: usize::from(window.max(1)),
        to_begin: total,
        counts: SubOperations::new(total),
        reported: SubOperations::new(total),
        last_pending: now.checked_sub(pace.pending_interval).unwrap_or(now),
        last_response: now,
        outstanding: HashMap::new(),
        failed: Vec::new(),
        cancelled: false,
        bytes: 0,
        without_context: 0,
        unreadable: 0,
        most_outstanding: 0,
    };
    performance.run().await
}

/// Which association the sub-operations go over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The requestor's.
    Same,
    /// The destination's own.
    Other,
    /// The destination's own was lost.
    Lost,
}

/// On which side something has come in.
enum Side {
    Requestor,
    Other,
}

struct Performance<'a, I: Instances> {
    requestor: &'a mut Association,
    other: Option<&'a mut Association>,
    line: Line,
    operation: Operation,
    instances: I,
    pace: &'a Pace,
    window: usize,
    /// Sub-operations that were not begun; `counts.remaining` has those that were not answered as well.
    to_begin: u64,
    counts: SubOperations,
    /// What the last Pending response said.
    reported: SubOperations,
    last_pending: Instant,
    last_response: Instant,
    outstanding: HashMap<MessageId, Uid>,
    failed: Vec<Uid>,
    cancelled: bool,
    bytes: u64,
    without_context: u64,
    unreadable: u64,
    most_outstanding: usize,
}

impl<I: Instances> Performance<'_, I> {
    async fn run(mut self) -> Result<Report, Error> {
        loop {
            self.look().await?;
            let more = self.to_begin > 0 && !self.cancelled;
            if more && self.outstanding.len() < self.window {
                self.begin_next().await?;
            } else if !self.outstanding.is_empty() {
                self.wait().await?;
            } else {
                break;
            }
            self.pending_when_due().await?;
        }
        self.finish().await
    }

    /// Takes what has come in, without waiting.
    async fn look(&mut self) -> Result<(), Error> {
        while let Some(received) = self.requestor.try_receive()? {
            self.handle(Side::Requestor, received).await?;
        }
        while self.line == Line::Other
            && let Some(other) = self.other.as_deref_mut()
        {
            match other.try_receive() {
                Ok(Some(received)) => self.handle(Side::Other, received).await?,
                Ok(None) => break,
                Err(error) => self.lose_destination(&error),
            }
        }
        Ok(())
    }

    /// Begins the next sub-operation, or counts it as failed when it cannot be begun.
    async fn begin_next(&mut self) -> Result<(), Error> {
        if self.line == Line::Lost {
            // Nobody is there to send to, but the list of what failed must name each.
            match self.instances.next().await {
                Some(instance) => self.fail_to_begin(instance.sop_instance),
                None => self.end_early(),
            }
            return Ok(());
        }
        let Some(instance) = self.instances.next().await else {
            self.end_early();
            return Ok(());
        };
        let Some(context) = self.context_for(&instance) else {
            tracing::debug!(
                sop_class = %instance.sop_class,
                sop_instance = %instance.sop_instance,
                transfer_syntax = %instance.transfer_syntax,
                "sub-operation failed: no presentation context, or no role, for this SOP class and transfer syntax"
            );
            self.without_context += 1;
            self.fail_to_begin(instance.sop_instance);
            return Ok(());
        };
        let mut source = match self.instances.open(&context.transfer_syntax).await {
            Ok(source) => source,
            Err(error) => {
                tracing::error!(sop_instance = %instance.sop_instance, %error, "sub-operation failed: the instance cannot be read");
                self.unreadable += 1;
                self.fail_to_begin(instance.sop_instance);
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
        let association = match (self.line, self.other.as_deref_mut()) {
            (Line::Other, Some(other)) => other,
            _ => &mut *self.requestor,
        };
        let sent =
            c_store::scu::send(association, context_id, &instance.sop_class, &instance.sop_instance, source)
                .await;
        self.to_begin -= 1;
        match sent {
            Ok(message_id) => {
                self.bytes += length;
                self.outstanding.insert(message_id, instance.sop_instance);
                self.most_outstanding = self.most_outstanding.max(self.outstanding.len());
                Ok(())
            }
            Err(error) if self.line == Line::Same => Err(error),
            Err(error) => {
                self.count_failed(instance.sop_instance);
                self.lose_destination(&error);
                Ok(())
            }
        }
    }

    /// The presentation context to send an instance on: its SOP class, where the receiver has the SCP role, in the
    /// transfer syntax it is stored in, or else in the first that it can be converted to.
    fn context_for(&self, instance: &Instance) -> Option<Context> {
        let (negotiated, we_requested) = match (self.line, &self.other) {
            (Line::Other, Some(other)) => (other.negotiated(), true),
            _ => (self.requestor.negotiated(), false),
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
            .or_else(|| fitting().find(|context| self.instances.converts(instance, &context.transfer_syntax)))
            .cloned()
    }

    /// Waits for a response, a cancel, or the time for another Pending.
    async fn wait(&mut self) -> Result<(), Error> {
        let deadline = self.last_response + self.pace.response;
        let wake = deadline.min(self.next_pending());
        let received = match (self.line, self.other.as_deref_mut()) {
            (Line::Other, Some(other)) => {
                tokio::time::timeout_at(wake, async {
                    tokio::select! {
                        biased;
                        received = self.requestor.receive() => (Side::Requestor, received),
                        received = other.receive() => (Side::Other, received),
                    }
                })
                .await
            }
            _ => {
                tokio::time::timeout_at(wake, async { (Side::Requestor, self.requestor.receive().await) })
                    .await
            }
        };
        match received {
            Ok((side, Ok(received))) => self.handle(side, received).await,
            Ok((Side::Other, Err(error))) => {
                self.lose_destination(&error);
                Ok(())
            }
            Ok((Side::Requestor, Err(error))) => Err(error),
            Err(_) if Instant::now() < deadline => Ok(()),
            Err(_) => self.miss_deadline(),
        }
    }

    /// Nothing was answered for too long: the end of a C-GET, since nothing else can be said on an association
    /// whose peer owes a response; of a C-MOVE, the end of its destination.
    fn miss_deadline(&mut self) -> Result<(), Error> {
        let error = Error::TimedOut { action: "answer a C-STORE sub-operation", after: self.pace.response };
        if self.line == Line::Same {
            return Err(error);
        }
        self.lose_destination(&error);
        Ok(())
    }

    async fn handle(&mut self, side: Side, received: Received) -> Result<(), Error> {
        match (side, received) {
            (Side::Requestor, Received::ReleaseRequested) => Err(self.requestor.released_by_peer()),
            (Side::Other, Received::ReleaseRequested) => {
                self.lose_destination(&Error::ReleasedByPeer);
                Ok(())
            }
            (Side::Requestor, Received::Message(message)) => self.handle_requestor(message).await,
            (Side::Other, Received::Message(message)) => {
                if let Command::CStoreRsp(response) = message.command {
                    self.take_response(response);
                }
                Ok(())
            }
        }
    }

    async fn handle_requestor(&mut self, message: Message) -> Result<(), Error> {
        match message.command {
            Command::CStoreRsp(response) if self.line == Line::Same => {
                self.take_response(response);
                Ok(())
            }
            Command::CCancelRq(cancel) => {
                // A C-CANCEL of something else is of an operation that is over: ignored.
                self.cancelled |= cancel.message_id == self.operation.message_id;
                Ok(())
            }
            command => answer_meanwhile(self.requestor, message.context_id, command).await,
        }
    }

    fn take_response(&mut self, response: CStoreRsp) {
        let Some(sop_instance) = self.outstanding.remove(&response.message_id) else {
            tracing::debug!("dropped a C-STORE-RSP that answers no outstanding sub-operation");
            return;
        };
        self.last_response = Instant::now();
        match response.status.kind() {
            StatusKind::Success => self.counts.completed += 1,
            StatusKind::Warning => self.counts.warning += 1,
            StatusKind::Pending | StatusKind::Cancel | StatusKind::Failure => {
                tracing::debug!(%sop_instance, status = %response.status, "sub-operation failed: the receiver refused");
                self.counts.failed += 1;
                self.failed.push(sop_instance);
            }
        }
        self.counts.remaining -= 1;
    }

    fn fail_to_begin(&mut self, sop_instance: Uid) {
        self.to_begin -= 1;
        self.count_failed(sop_instance);
    }

    fn count_failed(&mut self, sop_instance: Uid) {
        self.counts.remaining -= 1;
        self.counts.failed += 1;
        self.failed.push(sop_instance);
    }

    /// Fewer instances came than were counted: some were deleted meanwhile. What is not there has failed; it has
    /// no name to put on the list.
    fn end_early(&mut self) {
        tracing::warn!(missing = self.to_begin, "instances that were counted are no longer there");
        self.counts.remaining -= self.to_begin;
        self.counts.failed += self.to_begin;
        self.to_begin = 0;
    }

    fn lose_destination(&mut self, error: &Error) {
        tracing::warn!(%error, "lost the association with the move destination");
        self.line = Line::Lost;
        for (_, sop_instance) in std::mem::take(&mut self.outstanding) {
            self.count_failed(sop_instance);
        }
    }

    /// When the next Pending is due: soon when there is something new to say, otherwise as a sign of life.
    fn next_pending(&self) -> Instant {
        let wait =
            if self.counts == self.reported { self.pace.keep_alive } else { self.pace.pending_interval };
        self.last_pending + wait
    }

    async fn pending_when_due(&mut self) -> Result<(), Error> {
        // With nothing left the final response follows at once.
        let at_end = self.counts.remaining == 0 || (self.cancelled && self.outstanding.is_empty());
        if at_end || Instant::now() < self.next_pending() {
            return Ok(());
        }
        self.last_pending = Instant::now();
        self.reported = self.counts;
        let counters = self.counts.pending_counters();
        let pending = self.operation.response(Status::PENDING, counters, DataSetType::Null, None);
        self.requestor.send(self.operation.context.id, &pending, Data::None).await
    }

    async fn finish(self) -> Result<Report, Error> {
        let (status, counters) = if self.cancelled && self.counts.remaining > 0 {
            (Status::CANCEL, self.counts.pending_counters())
        } else {
            (self.counts.final_status(), self.counts.final_counters())
        };
        let context = &self.operation.context;
        let (identifier, comment) = failed_list(&self.failed, &context.transfer_syntax);
        let refusal = comment.map(|comment| Refusal::new(status, comment));
        match identifier {
            None => {
                let response = self.operation.response(status, counters, DataSetType::Null, refusal.as_ref());
                self.requestor.send(context.id, &response, Data::None).await?;
            }
            Some(identifier) => {
                let response =
                    self.operation.response(status, counters, DataSetType::Present, refusal.as_ref());
                self.requestor.send(context.id, &response, Data::Bytes(&identifier)).await?;
            }
        }
        self.requestor.flush().await?;
        Ok(Report {
            status,
            sub_operations: self.counts,
            bytes: self.bytes,
            without_context: self.without_context,
            unreadable: self.unreadable,
            most_outstanding: self.most_outstanding,
        })
    }
}

/// The identifier with the Failed SOP Instance UID List, when anything failed, with a comment when not all fit:
/// an explicit VR gives UI a length of 16 bits.
fn failed_list(failed: &[Uid], transfer_syntax: &Uid) -> (Option<Vec<u8>>, Option<&'static str>) {
    if failed.is_empty() {
        return (None, None);
    }
    let fitting = if *transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN {
        failed.len()
    } else {
        let mut length = 0;
        failed
            .iter()
            .take_while(|uid| {
                length += uid.as_str().len() + 1;
                length <= MAX_UI_LENGTH
            })
            .count()
    };
    let mut identifier = DataSet::new();
    identifier.set_uids(FAILED_SOP_INSTANCE_UID_LIST, &failed[..fitting]);
    let comment = (fitting < failed.len()).then_some("the list of failed instances did not fit and is cut");
    match identifier.encode(transfer_syntax) {
        Ok(identifier) => (Some(identifier), comment),
        Err(error) => {
            tracing::error!(%error, "the list of failed instances cannot be written");
            (None, Some("the list of failed instances cannot be written"))
        }
    }
}

/// Answers a request that comes while sub-operations go on: a C-ECHO as ever, anything else with a refusal for
/// want of resources, so that the peer may ask again. Its data set is passed over by the next `receive`.
async fn answer_meanwhile(
    association: &mut Association,
    context_id: ContextId,
    command: Command,
) -> Result<(), Error> {
    let status = match &command {
        Command::CEchoRq(request) => {
            return match association.context(context_id).cloned() {
                Some(context) => c_echo::answer(association, &context, request).await,
                None => Ok(()),
            };
        }
        Command::CGetRq(_) | Command::CMoveRq(_) => Status::UNABLE_TO_PERFORM_SUB_OPERATIONS,
        Command::CStoreRq(_) | Command::CFindRq(_) => Status::OUT_OF_RESOURCES,
        // Responses to nothing get no answer.
        _ => Status::UNRECOGNIZED_OPERATION,
    };
    let refusal = Refusal::new(status, "another retrieve is going on on this association");
    respond_refusal(association, context_id, &command, &refusal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_failed_instances_that_explicit_vr_cannot_hold_is_cut_and_says_so() {
        let failed: Vec<Uid> =
            (0..5000).map(|number| Uid::new(format!("1.2.826.0.1.3680043.{number}")).unwrap()).collect();
        let (identifier, comment) = failed_list(&failed, &uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert!(identifier.unwrap().len() < 65_600);
        assert!(comment.unwrap().contains("cut"));
        let (identifier, comment) = failed_list(&failed, &uids::IMPLICIT_VR_LITTLE_ENDIAN);
        assert!(identifier.unwrap().len() > 100_000);
        assert_eq!(comment, None);
        assert_eq!(failed_list(&[], &uids::EXPLICIT_VR_LITTLE_ENDIAN), (None, None));
    }
}
