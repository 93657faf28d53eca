//! What the requestor of a retrieve is told, and what it says meanwhile: Pending with counters (PS3.4 C.4.2.1.6 to
//! C.4.2.1.9), C-CANCEL, and exactly one final response with the list of what failed.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use dicomet_proto::AeTitle;
use dicomet_proto::Uid;
use dicomet_proto::association::ContextId;
use dicomet_proto::dataset::{DataSet, dictionary::uids};
use dicomet_proto::message::{
    CStoreRsp, Command, DataSetType, MessageId, Refusal, Status, StatusKind, SubOperations,
};
use tokio::time::{Instant, timeout_at};

use super::leg::Leg;
use super::{Destination, FAILED_SOP_INSTANCE_UID_LIST, Instances, Line, Operation, Pace, Report, Service};
use crate::association::{Data, Message, Received};
use crate::service::{c_echo, respond_refusal};
use crate::{Association, Error};

/// The longest value that an element of VR UI has where its length field has 16 bits (PS3.5 7.1.2).
const MAX_UI_LENGTH: usize = 65_534;

/// The answer to a retrieve as it grows, over one or more [`Leg`]s.
pub(in crate::service) struct Answer<'a> {
    pub(super) requestor: &'a mut Association,
    operation: Operation,
    pub(super) pace: &'a Pace,
    counts: SubOperations,
    /// What the last Pending response said.
    reported: SubOperations,
    last_pending: Instant,
    failed: Vec<Uid>,
    cancelled: Option<Instant>,
    /// Why sub-operations could not be performed, for the requestor.
    comment: Option<&'static str>,
    pub(super) bytes: u64,
    pub(super) without_context: u64,
    pub(super) unreadable: u64,
    pub(super) most_outstanding: usize,
}

impl<'a> Answer<'a> {
    /// Begins: so many sub-operations are to be performed in all.
    pub(in crate::service) fn new(
        requestor: &'a mut Association,
        operation: Operation,
        total: u64,
        pace: &'a Pace,
    ) -> Answer<'a> {
        let now = Instant::now();
        Answer {
            requestor,
            operation,
            pace,
            counts: SubOperations::new(total),
            reported: SubOperations::new(total),
            last_pending: now.checked_sub(pace.pending_interval).unwrap_or(now),
            failed: Vec::new(),
            cancelled: None,
            comment: None,
            bytes: 0,
            without_context: 0,
            unreadable: 0,
            most_outstanding: 0,
        }
    }

    /// Performs the sub-operations for these instances, or counts them as failed; says where the line stands.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn send<I: Instances>(
        &mut self,
        destination: Destination<'_>,
        instances: &mut I,
    ) -> Result<Line, Error> {
        Leg::new(self, destination, instances).run().await
    }

    /// Counts these instances as failed without trying: nobody is there to send them to.
    pub(in crate::service) async fn fail<I: Instances>(&mut self, instances: &mut I, comment: &'static str) {
        self.explain(comment);
        let mut left = instances.total();
        while left > 0 && !self.is_cancelled() {
            match instances.next().await {
                Some(instance) => self.count_failed(instance.sop_instance),
                None => {
                    self.count_absent(left);
                    return;
                }
            }
            left -= 1;
        }
    }

    /// Does what takes its time, while the requestor hears Pending and may cancel. `None` when the work was given
    /// up because of that, after a grace; what it worked on is then in an unknown state.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn meanwhile<T>(
        &mut self,
        grace: Duration,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Error> {
        let mut work = pin!(work);
        loop {
            let give_up = self.cancelled.map(|at| at + grace);
            if give_up.is_some_and(|give_up| Instant::now() >= give_up) {
                return Ok(None);
            }
            let wake = give_up.unwrap_or_else(|| self.next_pending());
            let received = tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                received = timeout_at(wake, self.requestor.receive()) => received,
            };
            if let Ok(received) = received {
                self.handle(received?).await?;
            }
            self.pending_when_due().await?;
        }
    }

    /// Handles what the requestor says. A C-STORE-RSP is the leg's, if it is anybody's.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(super) async fn handle(&mut self, received: Received) -> Result<Option<CStoreRsp>, Error> {
        match received {
            Received::ReleaseRequested => Err(self.requestor.released_by_peer()),
            Received::Message(Message { command: Command::CStoreRsp(response), .. }) => Ok(Some(response)),
            Received::Message(Message { command: Command::CCancelRq(cancel), .. }) => {
                // A C-CANCEL of something else is of an operation that is over: ignored.
                if cancel.message_id == self.operation.message_id {
                    self.cancelled.get_or_insert_with(Instant::now);
                }
                Ok(None)
            }
            Received::Message(message) => {
                answer_meanwhile(self.requestor, message.context_id, message.command).await?;
                Ok(None)
            }
        }
    }

    /// Makes the next sign of life due this soon.
    pub(in crate::service) fn pending_within(&mut self, limit: Duration) {
        let due = Instant::now() + limit;
        self.last_pending = due.checked_sub(self.pace.keep_alive).unwrap_or(self.last_pending);
    }

    /// Says why sub-operations could not be performed; the first reason stays.
    pub(in crate::service) fn explain(&mut self, comment: &'static str) {
        self.comment.get_or_insert(comment);
    }

    /// Whether the requestor has sent C-CANCEL.
    pub(in crate::service) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }

    /// Who asked for a C-MOVE, by AE title and Message ID: its sub-operations name it (PS3.7 9.3.1.1).
    pub(super) fn move_originator(&self) -> Option<(AeTitle, MessageId)> {
        let calling = &self.requestor.negotiated().calling_ae_title;
        (self.operation.service == Service::Move).then(|| (calling.clone(), self.operation.message_id))
    }

    pub(super) fn count(&mut self, sop_instance: Uid, status: Status) {
        match status.kind() {
            StatusKind::Success => self.counts.completed += 1,
            StatusKind::Warning => self.counts.warning += 1,
            StatusKind::Pending | StatusKind::Cancel | StatusKind::Failure => {
                tracing::debug!(%sop_instance, %status, "sub-operation failed: the receiver refused");
                self.counts.failed += 1;
                self.failed.push(sop_instance);
            }
        }
        self.counts.remaining -= 1;
    }

    pub(super) fn count_failed(&mut self, sop_instance: Uid) {
        self.counts.remaining -= 1;
        self.counts.failed += 1;
        self.failed.push(sop_instance);
    }

    /// Fewer instances came than were counted: some were deleted meanwhile. What is not there has failed; it has
    /// no name to put on the list.
    pub(super) fn count_absent(&mut self, missing: u64) {
        tracing::warn!(missing, "instances that were counted are no longer there");
        self.counts.remaining -= missing;
        self.counts.failed += missing;
    }

    /// When the next Pending is due: soon when there is something new to say, otherwise as a sign of life.
    pub(super) fn next_pending(&self) -> Instant {
        let wait =
            if self.counts == self.reported { self.pace.keep_alive } else { self.pace.pending_interval };
        self.last_pending + wait
    }

    /// Sends Pending when it is time. With nothing left the final response follows at once.
    pub(super) async fn pending_when_due(&mut self) -> Result<(), Error> {
        if self.counts.remaining == 0 || Instant::now() < self.next_pending() {
            return Ok(());
        }
        self.last_pending = Instant::now();
        self.reported = self.counts;
        let counters = self.counts.pending_counters();
        let pending = self.operation.response(Status::PENDING, counters, DataSetType::Null, None);
        self.requestor.send(self.operation.context.id, &pending, Data::None).await
    }

    /// Sends the final response.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn finish(self) -> Result<Report, Error> {
        let (status, counters) = if self.is_cancelled() && self.counts.remaining > 0 {
            (Status::CANCEL, self.counts.pending_counters())
        } else {
            (self.counts.final_status(), self.counts.final_counters())
        };
        let context = &self.operation.context;
        let (identifier, comment) = failed_list(&self.failed, &context.transfer_syntax);
        let has_failed = status.kind() == StatusKind::Failure || status.kind() == StatusKind::Warning;
        let comment = comment.or(self.comment.filter(|_| has_failed));
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
        Command::NActionRq(_) => Status::RESOURCE_LIMITATION,
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
