//! What the workers of a round share: the contexts to propose, and the requests that are left, dealt out as they come
//! for them. Studies may be added while the round is worked off.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::Uid;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::associations::{self, Costs, Share};
use super::plan::{Dealer, Request, Round};

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
    /// Nothing is asked for where the peer accepts one of these.
    pub(super) probes: BTreeSet<Uid>,
    pub(super) roles: Roles,
    /// So many associations by the user's will, from beginning to end.
    pub(super) fixed: Option<usize>,
    dealer: Mutex<Dealer>,
    /// Whether studies may still be added; changes when one was.
    is_fed: watch::Sender<bool>,
    /// How many associations there are to be.
    pub(super) wanted: AtomicUsize,
    /// Whether there may be more soon.
    pub(super) is_growing: AtomicBool,
    /// Associations that are to end before all is done.
    surplus: AtomicUsize,
    opening: watch::Sender<Opening>,
    under_way: watch::Sender<UnderWay>,
}

/// Requests on all associations together.
#[derive(Debug, Clone, Copy, Default)]
struct UnderWay {
    number: usize,
    /// How often there was none any more.
    pauses: u64,
}

/// A request under way, until this is dropped.
pub(super) struct Asking<'a>(&'a Work);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|requests| {
            requests.number -= 1;
            requests.pauses += u64::from(requests.number == 0);
        });
    }
}

/// Associations that are being opened, or wait for their first answer.
#[derive(Debug, Clone, Copy)]
struct Opening {
    number: usize,
    /// When the last one was begun.
    since: Instant,
}

/// How long those that are served let others begin: so many round trips, of which a request for a few instances takes most.
const LET_IN_ROUND_TRIPS: u32 = 16;

impl Work {
    /// A round, of which the dealer has what is to be got, and what is added until [`Work::close`].
    pub(super) fn new(round: &Round, roles: Roles, fixed: Option<usize>, dealer: Dealer) -> Work {
        Work {
            contexts: round.contexts.clone(),
            probes: round.probes.clone(),
            roles,
            fixed,
            dealer: Mutex::new(dealer),
            is_fed: watch::Sender::new(true),
            wanted: AtomicUsize::new(1),
            is_growing: AtomicBool::new(false),
            surplus: AtomicUsize::new(0),
            opening: watch::Sender::new(Opening { number: 0, since: Instant::now() }),
            under_way: watch::Sender::default(),
        }
    }

    /// A request begins.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.under_way.send_modify(|requests| requests.number += 1);
        Asking(self)
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
                let is_growing = self.is_growing.load(Ordering::Relaxed);
                associations::share(round_trip, window, (wanted, is_growing), dealer.left(), costs)
            }
        };
        dealer.deal(share)
    }

    /// So many associations are being opened or wait for their first answer.
    pub(super) fn opening(&self, number: usize) {
        self.opening.send_modify(|opening| {
            if number > opening.number {
                opening.since = Instant::now();
            }
            opening.number = number;
        });
    }

    /// Before a worker that is served asks for more: lets those begin that wait for it, for a while. dcmqrscp 3.6.7 lets none
    /// begin while others are in the midst of a request, and with several there is always one that is.
    pub(super) async fn let_others_begin(&self, round_trip: Duration) {
        let mut opening = self.opening.subscribe();
        let until = self.let_in_until(round_trip);
        let _ = timeout_at(until, opening.wait_for(|opening| opening.number == 0)).await;
    }

    /// Before a worker asks for the first time: waits until the others pause, for a while. Of several that dcmqrscp 3.6.7 lets
    /// begin in that pause, the first to ask would keep out the rest.
    pub(super) async fn begin_together(&self, round_trip: Duration) {
        let mut under_way = self.under_way.subscribe();
        let pauses = under_way.borrow_and_update().pauses;
        let is_pause = |requests: &UnderWay| requests.number == 0 || requests.pauses != pauses;
        let _ = timeout_at(self.let_in_until(round_trip), under_way.wait_for(is_pause)).await;
    }

    /// When nobody waits any more for those that are being opened.
    fn let_in_until(&self, round_trip: Duration) -> Instant {
        self.opening.borrow().since + LET_IN_ROUND_TRIPS * round_trip
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::sleep_until;

    use super::super::plan::Granularity;
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn those_that_are_served_let_others_begin_but_not_for_long() {
        let work = Work::new(&Round::default(), Roles::Scp, None, Dealer::new(Granularity::Coarse));
        let begin = Instant::now();
        work.let_others_begin(ROUND_TRIP).await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "nobody waits");

        work.opening(2);
        let served = async {
            for left in [1, 0] {
                sleep_until(Instant::now() + ROUND_TRIP).await;
                work.opening(left);
            }
        };
        tokio::join!(work.let_others_begin(ROUND_TRIP), served);
        assert_eq!(begin.elapsed(), 2 * ROUND_TRIP);

        work.opening(1);
        let begin = Instant::now();
        work.let_others_begin(ROUND_TRIP).await;
        let waited = begin.elapsed();
        assert!((800..=801).contains(&waited.as_millis()), "{waited:?}");
        // One that is never served holds nobody up a second time.
        work.let_others_begin(ROUND_TRIP).await;
        assert_eq!(begin.elapsed(), waited);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_new_begin_together_when_the_others_pause_but_wait_not_for_long() {
        let work = Work::new(&Round::default(), Roles::Scp, None, Dealer::new(Granularity::Coarse));
        let work = Arc::new(work);
        let begin = Instant::now();
        work.opening(1);
        work.begin_together(ROUND_TRIP).await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "the first waits for nobody");

        let asking = work.ask();
        work.opening(3);
        let new: Vec<_> = (0..2)
            .map(|_| {
                let work = Arc::clone(&work);
                tokio::spawn(async move {
                    work.begin_together(ROUND_TRIP).await;
                    let _asking = work.ask();
                    let began = begin.elapsed();
                    sleep_until(Instant::now() + ROUND_TRIP).await;
                    began
                })
            })
            .collect();
        sleep_until(Instant::now() + 3 * ROUND_TRIP).await;
        drop(asking);
        for new in new {
            assert_eq!(new.await.unwrap(), 3 * ROUND_TRIP, "both, though each keeps the peer busy");
        }

        let _asking = work.ask();
        let begin = Instant::now();
        work.opening(0);
        work.opening(1);
        work.begin_together(ROUND_TRIP).await;
        let waited = begin.elapsed();
        assert!((800..=801).contains(&waited.as_millis()), "{waited:?}");
    }
}
