//! A round on several associations side by side: opens and ends them as the [`Controller`] advises, which sees what
//! the peer confirms, and goes on with those that stand when others are rejected or left without an answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::plan::Round;
use super::report::Event;
use super::send::{Rank, Shared};
use super::work::{Item, Work};
use crate::Error;
use crate::retrieve::associations::{Advice, Controller, Sight};

/// Between two looks at how it goes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The associations of a round.
struct SideBySide<'s> {
    shared: &'s Arc<Shared>,
    work: Arc<Work>,
    controller: &'s mut Controller,
    running: JoinSet<(Rank, Option<Error>)>,
    /// Changes when those that wait for a further association are to give up.
    give_up: watch::Sender<()>,
    /// Whether it was told that the peer bears one association alone.
    is_told: bool,
    error: Option<Error>,
}

/// Sends the files of a round. `begin` is when the store began. Answers what is left, and why.
pub(super) async fn send(
    shared: &Arc<Shared>,
    round: &Round,
    items: VecDeque<Item>,
    controller: &mut Controller,
    begin: Instant,
) -> (VecDeque<Item>, Option<Error>) {
    let first = controller.begin(items.len());
    let work = Arc::new(Work::new(round.contexts.clone(), items));
    let stands = Arc::clone(&work);
    let mut round = SideBySide {
        shared,
        work,
        controller,
        running: JoinSet::new(),
        give_up: watch::Sender::new(()),
        is_told: false,
        error: None,
    };
    round.open(Rank::First);
    let mut first = Some(first);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            joined = round.running.join_next() => match joined {
                Some(Ok((rank, error))) => round.ended(rank, error, begin),
                Some(Err(_)) => round.failed(),
                None => break,
            },
            () = stands.stands.notified(), if first.is_some() => {
                if let Some(first) = first.take() {
                    round.follow(first);
                }
            }
            _ = looks.tick() => round.look(begin),
        }
    }
    let left = std::mem::take(&mut *round.work.queue());
    // A worker that got no association while others did the work is no failure.
    let error = round.error.filter(|_| !left.is_empty());
    (left, error)
}

impl SideBySide<'_> {
    fn open(&mut self, rank: Rank) {
        let (shared, work) = (Arc::clone(self.shared), Arc::clone(&self.work));
        // Counted before it runs, so that what is opened next is not opened twice.
        work.opening.fetch_add(1, SeqCst);
        let give_up = self.give_up.subscribe();
        self.running.spawn(async move { (rank, shared.work(work, rank, give_up).await) });
    }

    /// Opens as many as are advised, or lets as many end as are too many.
    fn follow(&mut self, advice: Advice) {
        let Advice { associations, reason } = advice;
        if associations > 1 && self.work.overwrites.load(SeqCst) {
            if !std::mem::replace(&mut self.is_told, true) {
                self.shared.tell(Event::OneAlone);
            }
            return;
        }
        let opening = self.work.opening.load(SeqCst);
        let running = self.running.len();
        for _ in running..associations {
            self.open(Rank::Further);
        }
        let mut surplus = running.saturating_sub(associations);
        if surplus > 0 && opening > 0 {
            surplus = surplus.saturating_sub(opening);
            self.give_up.send_replace(());
        }
        self.work.retire(surplus);
        self.shared.tell(Event::SideBySide { associations, reason });
    }

    /// A worker ended by a fault of ours. What it had in hands is not sent again; the report counts it as unsent.
    fn failed(&mut self) {
        tracing::error!("a worker of the store has ended by a fault in dicomet");
        if self.running.is_empty() {
            self.work.opening.store(0, SeqCst);
            self.work.serving.store(0, SeqCst);
        }
        self.error.get_or_insert_with(Error::fault);
    }

    fn ended(&mut self, rank: Rank, error: Option<Error>, begin: Instant) {
        if self.work.left() == 0 {
            // What has no association yet would find nothing to do.
            self.give_up.send_replace(());
        } else if let Some(error) = error.as_ref().filter(|_| rank == Rank::Further) {
            let is_transient = error.is_transient();
            let advice =
                self.controller.rejected(begin.elapsed(), self.work.serving.load(SeqCst), is_transient);
            self.follow(advice);
        }
        if self.error.is_none() {
            self.error = error;
        }
    }

    fn look(&mut self, begin: Instant) {
        let (instances, bytes) = self.shared.progress();
        let sight = Sight {
            now: begin.elapsed(),
            instances,
            bytes,
            left: self.work.left() as u64,
            serving: self.work.serving.load(SeqCst),
            opening: self.work.opening.load(SeqCst),
            round_trip: self.work.round_trip(),
            window: self.work.window.load(SeqCst),
        };
        if let Some(advice) = self.controller.look(&sight) {
            self.follow(advice);
        }
    }
}
