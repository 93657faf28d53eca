//! What the workers of a retrieve share. What a worker learns goes into the ledger, under a lock that is held for a
//! look-up; what it sees goes out as events.

use std::sync::{Arc, Mutex, MutexGuard};

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_proto::message::{CStoreRq, Refusal, Status, StatusKind};
use dicomet_proto::query::Model;
use tokio::sync::{mpsc, watch};

use super::folder::Folder;
use super::meter::Meter;
use super::plan::Request;
use super::rate::RateLimit;
use super::report::Event;
use super::silence::Silences;
use super::verify::Ledger;
use super::{Caller, Stop};
use crate::Node;

/// What the workers of a retrieve share.
pub(super) struct Shared {
    pub(super) node: Node,
    pub(super) caller: Caller,
    pub(super) model: Model,
    pub(super) window: u16,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) folder: Arc<Folder>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) stop: watch::Receiver<Stop>,
    pub(super) meter: Meter,
    pub(super) silences: Mutex<Silences>,
    /// Held while an instance gets its name, so that it is known of each whether it is the first.
    pub(super) placing: Mutex<()>,
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

    pub(super) fn note_refusal(&self, rq: &CStoreRq, refusal: &Refusal) {
        let reason = format!("not taken: {}: {}", refusal.status, refusal.reason());
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
        // One instance that was asked for by itself is named by the request, where the peer names none. Other failures
        // are of the request: no sub-operation was tried.
        let has_tried =
            status.kind() == StatusKind::Warning || status == Status::UNABLE_TO_PERFORM_SUB_OPERATIONS;
        let by_itself = match request.instances.as_slice() {
            [instance] if has_tried && failed.is_empty() => std::slice::from_ref(instance),
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
            if status.kind() == StatusKind::Success && request.instances.is_empty() {
                ledger.answered(request.study, request.series.as_ref());
            }
            ledger.failed_unless_known(request.study, request.series.as_ref(), &request.instances, &reason);
        }
        drop(ledger);
        self.tell(Event::Ended { status, comment });
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
