//! What the requestor of a retrieve is told, and what it says meanwhile: Pending with counters (PS3.4 C.4.2.1.6 to
//! C.4.2.1.9), C-CANCEL, and exactly one final response with the list of what failed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use dicomet_proto::AeTitle;
use dicomet_proto::Uid;
use dicomet_proto::dataset::{DataSet, dictionary::uids};
use dicomet_proto::message::{
    CStoreRsp, Command, DataSetType, MessageId, Refusal, Status, StatusKind, SubOperations,
};
use tokio::time::{Instant, sleep_until};

use super::leg::{Leg, Line};
use super::meanwhile;
use super::tally::{Halt, Tally};
use super::{FAILED_SOP_INSTANCE_UID_LIST, Instances, Operation, Pace, Report, Service, Supply};
use crate::association::{Data, Message, Received};
use crate::moment;
use crate::{Association, Error};

/// The longest value that an element of VR UI has where its length field has 16 bits (PS3.5 7.1.2).
const MAX_UI_LENGTH: usize = 65_534;

/// What the requestor is told of what was not done because we stop.
pub(in crate::service) const STOPPED: &str = "the archive is being stopped";

/// What an operation asks for, once that is known.
pub(in crate::service) enum Prepared<T> {
    /// It can begin.
    Ready(T),
    /// The requestor was told why not.
    Refused,
    /// It was cancelled before; the final response is still to be sent.
    Cancelled,
}

/// The answer to a retrieve as it grows.
pub(in crate::service) struct Answer<'a> {
    requestor: &'a mut Association,
    operation: Operation,
    pace: &'a Pace,
    tally: Arc<Tally>,
    /// Ready when we are about to stop; none once it was.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// What the last Pending response said.
    reported: SubOperations,
    last_pending: Instant,
}

impl<'a> Answer<'a> {
    /// Begins; nothing is known yet of what is to be done. When `stop` is ready, what is not done is reported as failed.
    pub(in crate::service) fn new(
        requestor: &'a mut Association,
        operation: Operation,
        pace: &'a Pace,
        stop: impl Future<Output = ()> + Send + 'a,
    ) -> Answer<'a> {
        let now = Instant::now();
        Answer {
            requestor,
            operation,
            pace,
            tally: Arc::new(Tally::new()),
            stop: Some(Box::pin(stop)),
            reported: SubOperations::default(),
            last_pending: now.checked_sub(pace.pending_interval).unwrap_or(now),
        }
    }

    /// Where is counted what becomes of the sub-operations.
    pub(in crate::service) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Finds out what is to be done, while the requestor may cancel or leave. What was at work on it is dropped then.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn prepare<T>(
        &mut self,
        planning: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<Prepared<T>, Error> {
        let refusal = match self.meanwhile(Tally::halted_at, planning).await? {
            Some(Ok(planned)) => return Ok(Prepared::Ready(planned)),
            Some(Err(refusal)) => refusal,
            None if self.tally.halted_by() == Some(Halt::Cancelled) => return Ok(Prepared::Cancelled),
            None => Refusal::new(Status::UNABLE_TO_PERFORM_SUB_OPERATIONS, STOPPED),
        };
        self.operation.refuse(self.requestor, &refusal).await?;
        Ok(Prepared::Refused)
    }

    /// So many sub-operations are to be performed in all.
    pub(in crate::service) fn begin(&mut self, total: u64) {
        self.tally.begin(total);
        self.reported = self.tally.counts();
    }

    /// Sends the instances back to the requestor: C-GET.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn send_back<I: Instances>(
        &mut self,
        supply: &Supply<I>,
    ) -> Result<(), Error> {
        let (tally, pace) = (self.tally(), self.pace);
        Leg::new(self, supply, &tally, pace).run().await.map(drop)
    }

    /// Does what takes its time, while the requestor hears Pending and may cancel. `None` when the work was given
    /// up because of a halt, at the time that `end` then gives.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    async fn meanwhile<T>(
        &mut self,
        end: impl Fn(&Tally) -> Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Error> {
        let tally = self.tally();
        let mut work = pin!(work);
        loop {
            let end = end(&tally);
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(None);
            }
            let is_told = tally.counts() == self.reported;
            // The requestor first: work that never waits would leave it unheard.
            let received = tokio::select! {
                biased;
                received = self.receive(end) => received?,
                done = &mut work => return Ok(Some(done)),
                () = tally.changed(), if is_told => None,
            };
            if let Some(received) = received {
                self.handle(received).await?;
            }
            self.tell().await?;
        }
    }

    /// As [`Answer::meanwhile`], for sub-operations: what was begun may end, within the grace of the pace.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn while_sending<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Error> {
        let pace = self.pace;
        self.meanwhile(|tally| tally.ends_at(pace), work).await
    }

    /// Makes the next sign of life due this soon.
    pub(in crate::service) fn pending_within(&mut self, limit: Duration) {
        let due = moment::after(Instant::now(), limit);
        self.last_pending = due.checked_sub(self.pace.keep_alive).unwrap_or(self.last_pending);
    }

    /// When the next Pending is due: soon when there is something new to say, otherwise as a sign of life. Never while
    /// nothing is known to remain.
    fn next_pending(&self) -> Option<Instant> {
        let counts = self.tally.counts();
        let wait = if counts == self.reported { self.pace.keep_alive } else { self.pace.pending_interval };
        (counts.remaining > 0).then(|| moment::after(self.last_pending, wait))
    }

    /// Sends the final response.
    ///
    /// # Errors
    /// [`Error`] when the requestor's association is at its end.
    pub(in crate::service) async fn finish(self) -> Result<Report, Error> {
        let outcome = self.tally.close();
        let is_cancelled = self.tally.halted_by() == Some(Halt::Cancelled);
        let counts = outcome.counts;
        // Cancelled before anything was counted, nothing was initiated either. What was all answered nevertheless has ended as
        // it would have without.
        let is_short = counts.remaining > 0 || counts.total() == 0 || outcome.has_given_up;
        let (status, counters) = if is_cancelled && is_short {
            (Status::CANCEL, counts.pending_counters())
        } else {
            (counts.final_status(), counts.final_counters())
        };
        let context = &self.operation.context;
        let (identifier, comment) = failed_list(&outcome.failed, &context.transfer_syntax);
        let has_failed = status.kind() == StatusKind::Failure || status.kind() == StatusKind::Warning;
        let comment = comment.or(outcome.comment.filter(|_| has_failed));
        let refusal = comment.map(|comment| Refusal::new(status, comment));
        let refusal = refusal.as_ref();
        match identifier {
            None => {
                let response = self.operation.response(status, counters, DataSetType::Null, refusal);
                self.requestor.send(context.id, &response, Data::None).await?;
            }
            Some(identifier) => {
                let response = self.operation.response(status, counters, DataSetType::Present, refusal);
                self.requestor.send(context.id, &response, Data::Bytes(&identifier)).await?;
            }
        }
        self.requestor.flush().await?;
        let figures = outcome.figures;
        Ok(Report {
            status,
            sub_operations: counts,
            bytes: figures.bytes,
            without_context: figures.without_context,
            unreadable: figures.unreadable,
            most_outstanding: figures.most_outstanding,
            associations: figures.associations,
        })
    }

    /// Who asked for a C-MOVE, by AE title and Message ID.
    pub(in crate::service) fn originator(&self) -> Option<(AeTitle, MessageId)> {
        let calling = &self.requestor.negotiated().calling_ae_title;
        (self.operation.service == Service::Move).then(|| (calling.clone(), self.operation.message_id))
    }
}

impl Line for Answer<'_> {
    const WE_REQUESTED: bool = false;

    fn association(&mut self) -> &mut Association {
        self.requestor
    }

    fn move_originator(&self) -> Option<(AeTitle, MessageId)> {
        None
    }

    fn try_receive(&mut self) -> Result<Option<Received>, Error> {
        self.requestor.try_receive_arriving()
    }

    async fn receive(&mut self, until: Option<Instant>) -> Result<Option<Received>, Error> {
        let wake = [until, self.next_pending()].into_iter().flatten().min();
        let rings = async {
            match wake {
                Some(wake) => sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            match &mut self.stop {
                Some(stop) => stop.await,
                None => std::future::pending().await,
            }
        };
        // In this order: a requestor that always has something to say must not keep us from stopping.
        tokio::select! {
            biased;
            () = stopped => {
                self.stop = None;
                self.tally.halt(Halt::Stopped);
                Ok(None)
            }
            received = self.requestor.receive_arriving() => received.map(Some),
            () = rings => Ok(None),
        }
    }

    async fn handle(&mut self, received: Received) -> Result<Option<CStoreRsp>, Error> {
        match received {
            Received::ReleaseRequested => Err(self.requestor.released_by_peer()),
            Received::Message(Message { command: Command::CStoreRsp(response), .. }) => Ok(Some(response)),
            Received::Message(Message { command: Command::CCancelRq(cancel), .. }) => {
                if cancel.message_id == self.operation.message_id {
                    self.tally.halt(Halt::Cancelled);
                } else {
                    meanwhile::cancel(self.requestor, cancel.message_id).await?;
                }
                Ok(None)
            }
            Received::Message(message) => {
                meanwhile::take(self.requestor, message, self.operation.message_id).await?;
                Ok(None)
            }
        }
    }

    /// Sends Pending when it is time. With nothing left the final response follows at once.
    async fn tell(&mut self) -> Result<(), Error> {
        if self.next_pending().is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        self.last_pending = Instant::now();
        self.reported = self.tally.counts();
        let counters = self.reported.pending_counters();
        let pending = self.operation.response(Status::PENDING, counters, DataSetType::Null, None);
        self.requestor.send(self.operation.context.id, &pending, Data::None).await
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
