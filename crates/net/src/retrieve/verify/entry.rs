//! One instance in the ledger: where it belongs, and what became of it.

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not here; nobody said why.
    Missing,
    /// Not here; the reason.
    Failed(String),
    /// Here from an earlier run.
    Present,
    /// Here by this run.
    Retrieved,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) study: usize,
    pub(super) series: usize,
    /// Place in the series.
    pub(super) instance: usize,
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
}
