//! What waits for a node: reports, each with its time, of which those that were asked for by one AE title go together.

use dicomet_archive::commitments::CommitmentId;
use dicomet_proto::AeTitle;
use tokio::time::Instant;

/// What waits for a node.
pub(super) struct Queue {
    pub(super) waiting: Vec<Waiting>,
    pub(super) is_running: bool,
    /// Since when it has had no association: the node waits its turn from then on.
    pub(super) free_since: Instant,
}

/// A report, by which AE title it was asked for, and when it is to be tried.
pub(super) struct Waiting {
    pub(super) id: CommitmentId,
    pub(super) called: AeTitle,
    pub(super) at: Instant,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue { waiting: Vec::new(), is_running: false, free_since: Instant::now() }
    }

    /// The report that is to be tried first, unless the node has an association.
    fn first(&self) -> Option<&Waiting> {
        self.waiting.iter().filter(|_| !self.is_running).min_by_key(|waiting| waiting.at)
    }

    /// Since when the node could have an association, or when it is to have one.
    pub(super) fn turn(&self) -> Option<Instant> {
        self.first().map(|first| first.at.max(self.free_since))
    }

    /// Takes the report that is to be tried first, and what else was asked for by the same AE title.
    pub(super) fn take_first(&mut self) -> Option<(AeTitle, Vec<Waiting>)> {
        let called = self.first()?.called.clone();
        let all = std::mem::take(&mut self.waiting);
        let (taken, left) = all.into_iter().partition(|waiting| waiting.called == called);
        (self.waiting, self.is_running) = (left, true);
        Some((called, taken))
    }
}
