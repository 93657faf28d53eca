//! One instance in the ledger: where it belongs, and what became of it. Small, since there may be some millions: the
//! UIDs are the inventory's, and instances that fail for the same reason share it.

use std::sync::Arc;

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not here; nobody said why.
    Missing,
    /// Not here; the reason.
    Failed(Arc<str>),
    /// Here from an earlier run.
    Present,
    /// Here by this run.
    Retrieved,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Place in the inventory.
    pub(super) study: u32,
    /// Place in the study.
    pub(super) series: u32,
    /// Place in the series.
    pub(super) instance: u32,
    pub(super) state: State,
    /// Whether the peer failed this very instance, at least once.
    pub(super) failed_at_peer: bool,
    /// Whether we did not take it, which the peer will report as a failure.
    pub(super) is_refused: bool,
}

impl Entry {
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing | State::Failed(_))
    }

    pub(super) fn is_here(&self) -> bool {
        !self.is_missing()
    }
}
