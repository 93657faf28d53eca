//! What becomes of the sub-operations of one retrieve, counted over all associations that they go over, and whether
//! they are to go on. Shared by the requestor's side and by whoever sends; never locked while something is awaited.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dicomet_proto::Uid;
use dicomet_proto::message::{Status, StatusKind, SubOperations};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Instance, Pace};
use crate::moment;

/// So many distinct reasons for failures are told apart for the log.
const MAX_REASONS: usize = 32;

/// Why a retrieve begins nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Halt {
    /// The requestor has sent C-CANCEL.
    Cancelled,
    /// We are about to stop: what is not done will not be done.
    Stopped,
}

/// Why a sub-operation failed, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Reason {
    /// No presentation context, or no role, fits.
    NoContext,
    /// The instance cannot be read or converted.
    Unreadable(String),
    /// The receiver said so.
    Refused(Status),
    /// The receiver answered, and of another instance.
    OfAnother(Status),
    /// It was begun, and the receiver did not answer, or is gone.
    Unanswered,
    /// It was not begun.
    NotBegun(&'static str),
}

pub(in crate::service) struct Tally {
    state: Mutex<State>,
    changed: Notify,
    halt: watch::Sender<Option<(Halt, Instant)>>,
}

#[derive(Default)]
struct State {
    counts: SubOperations,
    failed: Vec<Uid>,
    comment: Option<&'static str>,
    /// Something was begun and, after a halt, not waited for.
    has_given_up: bool,
    reasons: Reasons,
    figures: Figures,
}

/// Figures for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Figures {
    pub(super) bytes: u64,
    pub(super) without_context: u64,
    pub(super) unreadable: u64,
    pub(super) most_outstanding: usize,
    pub(super) associations: usize,
}

/// How it all ended.
pub(super) struct Outcome {
    pub(super) counts: SubOperations,
    pub(super) failed: Vec<Uid>,
    pub(super) comment: Option<&'static str>,
    /// Whether what was begun was not waited for to its end.
    pub(super) has_given_up: bool,
    pub(super) figures: Figures,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally { state: Mutex::default(), changed: Notify::new(), halt: watch::Sender::new(None) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many sub-operations are to be performed in all.
    pub(super) fn begin(&self, total: u64) {
        self.state().counts = SubOperations::new(total);
    }

    pub(super) fn counts(&self) -> SubOperations {
        self.state().counts
    }

    /// Waits until something was counted since this was last waited for.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Counts a sub-operation by the status of its response.
    pub(super) fn answered(&self, instance: &Instance, status: Status) {
        match status.kind() {
            StatusKind::Success => self.state().counts.completed += 1,
            StatusKind::Warning => self.state().counts.warning += 1,
            StatusKind::Pending | StatusKind::Cancel | StatusKind::Failure => {
                return self.failed(instance, Reason::Refused(status));
            }
        }
        self.state().counts.remaining -= 1;
        self.changed.notify_one();
    }

    pub(in crate::service) fn failed(&self, instance: &Instance, reason: Reason) {
        let Instance { sop_class, sop_instance, transfer_syntax } = instance;
        tracing::debug!(%sop_instance, %sop_class, %transfer_syntax, %reason, "sub-operation failed");
        let mut state = self.state();
        state.counts.remaining -= 1;
        state.counts.failed += 1;
        match reason {
            Reason::NoContext => state.figures.without_context += 1,
            Reason::Unreadable(_) => state.figures.unreadable += 1,
            Reason::Unanswered => state.has_given_up |= self.is_halted(),
            _ => {}
        }
        state.reasons.add(reason, sop_class, transfer_syntax);
        state.failed.push(sop_instance.clone());
        drop(state);
        self.changed.notify_one();
    }

    /// Fewer instances came than were counted: some were deleted meanwhile. What is not there has failed; it has
    /// no name to put on the list.
    pub(super) fn absent(&self, missing: u64) {
        tracing::warn!(missing, "instances that were counted are no longer there");
        let mut state = self.state();
        state.counts.remaining -= missing;
        state.counts.failed += missing;
        drop(state);
        self.changed.notify_one();
    }

    /// A data set of so many bytes was sent; with it so many are outstanding on an association.
    pub(super) fn sent(&self, bytes: u64, outstanding: usize) {
        let figures = &mut self.state().figures;
        figures.bytes += bytes;
        figures.most_outstanding = figures.most_outstanding.max(outstanding);
    }

    /// An association with the move destination stands.
    pub(in crate::service) fn associated(&self) {
        self.state().figures.associations += 1;
    }

    /// Says why sub-operations could not be performed, for the requestor; the first reason stays.
    pub(in crate::service) fn explain(&self, comment: &'static str) {
        self.state().comment.get_or_insert(comment);
    }

    /// Nothing more is to be begun; the first cause stays.
    pub(super) fn halt(&self, cause: Halt) {
        self.halt.send_if_modified(|halt| {
            let first = halt.is_none();
            halt.get_or_insert((cause, Instant::now()));
            first
        });
    }

    pub(in crate::service) fn halted_by(&self) -> Option<Halt> {
        self.halt.borrow().map(|(cause, _)| cause)
    }

    pub(in crate::service) fn is_halted(&self) -> bool {
        self.halt.borrow().is_some()
    }

    /// Waits until nothing more is to be begun.
    pub(in crate::service) async fn halted(&self) {
        // The sender is ours: there is no other end than a halt.
        let _ = self.halt.subscribe().wait_for(Option::is_some).await.map(drop);
    }

    /// Until when what was begun may go on, once nothing more is begun.
    pub(super) fn ends_at(&self, pace: &Pace) -> Option<Instant> {
        let (cause, at) = (*self.halt.borrow())?;
        Some(match cause {
            Halt::Cancelled => moment::after(at, pace.cancel_grace),
            Halt::Stopped => moment::after(at, pace.stop_grace),
        })
    }

    /// Since when nothing more is to be begun.
    pub(super) fn halted_at(&self) -> Option<Instant> {
        self.halt.borrow().map(|(_, at)| at)
    }

    /// The end: a line in the log for each reason why something failed, and the figures.
    pub(super) fn close(&self) -> Outcome {
        let mut state = self.state();
        std::mem::take(&mut state.reasons).log();
        Outcome {
            counts: state.counts,
            failed: std::mem::take(&mut state.failed),
            comment: state.comment,
            has_given_up: state.has_given_up,
            figures: state.figures,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::NoContext => f.write_str("no presentation context, or no role, for it"),
            Reason::Unreadable(error) => write!(f, "it cannot be read or converted: {error}"),
            Reason::Refused(status) => write!(f, "the receiver refused it: {status}"),
            Reason::OfAnother(status) => write!(f, "the receiver answered {status} of another instance"),
            Reason::Unanswered => f.write_str("it was begun, and the receiver did not answer"),
            Reason::NotBegun(why) => f.write_str(why),
        }
    }
}

/// Why sub-operations failed: how many of which SOP class and transfer syntax for which reason.
#[derive(Default)]
struct Reasons {
    counts: BTreeMap<(String, Uid, Uid), u64>,
    /// For reasons beyond [`MAX_REASONS`].
    others: u64,
}

impl Reasons {
    fn add(&mut self, reason: Reason, sop_class: &Uid, transfer_syntax: &Uid) {
        let key = (reason.to_string(), sop_class.clone(), transfer_syntax.clone());
        if self.counts.len() < MAX_REASONS || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    fn log(self) {
        for ((reason, sop_class, transfer_syntax), count) in self.counts {
            tracing::warn!(count, reason, %sop_class, %transfer_syntax, "sub-operations failed");
        }
        if self.others > 0 {
            tracing::warn!(count = self.others, "sub-operations failed for further reasons");
        }
    }
}
