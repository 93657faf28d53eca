//! What the workers of a round share: the contexts to propose, and the requests that are left, dealt out as they come
//! for them. Studies may be added while the round is worked off.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::Uid;
use tokio::sync::watch;

use super::associations::{self, Costs, Share};
use super::plan::{Dealer, Request};

/// The roles to propose for storage classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roles {
    /// SCP alone, as a C-GET needs.
    Scp,
    /// Both: some peers grant the one only with the other.
    ScuAndScp,
}

/// A round, as its workers see it.
pub(super) struct Work {
    pub(super) contexts: Vec<(Uid, Uid)>,
    pub(super) roles: Roles,
    /// So many associations by the user's will, from beginning to end.
    pub(super) fixed: Option<usize>,
    dealer: Mutex<Dealer>,
    /// Whether studies may still be added; changes when one was.
    is_fed: watch::Sender<bool>,
    /// How many associations there are to be.
    pub(super) wanted: AtomicUsize,
    /// Associations that are to end before all is done.
    surplus: AtomicUsize,
}

impl Work {
    /// What the dealer has, and what is added until [`Work::close`].
    pub(super) fn new(contexts: Vec<(Uid, Uid)>, roles: Roles, fixed: Option<usize>, dealer: Dealer) -> Work {
        Work {
            contexts,
            roles,
            fixed,
            dealer: Mutex::new(dealer),
            is_fed: watch::Sender::new(true),
            wanted: AtomicUsize::new(1),
            surplus: AtomicUsize::new(0),
        }
    }

    pub(super) fn dealer(&self) -> MutexGuard<'_, Dealer> {
        self.dealer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Something was added to the dealer.
    pub(super) fn fed(&self) {
        self.is_fed.send_modify(|_| {});
    }

    /// Nothing more is added.
    pub(super) fn close(&self) {
        self.is_fed.send_replace(false);
    }

    /// Whether studies may still be added.
    pub(super) fn may_come(&self) -> bool {
        *self.is_fed.borrow()
    }

    /// Whether there is nothing to take any more, nor will be.
    pub(super) fn is_over(&self) -> bool {
        !self.may_come() && self.dealer().is_empty()
    }

    /// The next request for a worker with such an association; waits for one while studies may still be added. `None`
    /// when the worker is to end. [`Dealer::done`] is to follow.
    pub(super) async fn next(
        &self,
        round_trip: Duration,
        window: u16,
        costs: Option<Costs>,
    ) -> Option<Request> {
        let mut is_fed = self.is_fed.subscribe();
        loop {
            if self
                .surplus
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |more| more.checked_sub(1))
                .is_ok()
            {
                return None;
            }
            let may_come = *is_fed.borrow_and_update();
            if let Some(request) = self.deal(round_trip, window, costs) {
                return Some(request);
            }
            if !may_come {
                return None;
            }
            is_fed.changed().await.ok()?;
        }
    }

    fn deal(&self, round_trip: Duration, window: u16, costs: Option<Costs>) -> Option<Request> {
        let mut dealer = self.dealer();
        let share = match self.fixed {
            Some(1) => Share::ALL,
            Some(workers) => Share::of(dealer.fair_share(workers)),
            None => {
                let wanted = self.wanted.load(Ordering::Relaxed);
                associations::share(round_trip, window, wanted, dealer.left(), costs)
            }
        };
        dealer.deal(share)
    }

    /// Lets so many workers end when they come for more.
    pub(super) fn retire(&self, workers: usize) {
        self.surplus.fetch_add(workers, Ordering::SeqCst);
        self.fed();
    }

    /// Those that were to end are wanted again.
    pub(super) fn keep_all(&self) {
        self.surplus.store(0, Ordering::SeqCst);
    }
}
