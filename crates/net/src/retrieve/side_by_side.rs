//! A round on several associations side by side: opens and ends them as the [`Controller`] advises, and goes on with
//! those that stand when others are rejected, left without an answer, or lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dicomet_proto::Uid;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::Stop;
use super::associations::{Advice, Controller, Sight};
use super::get::{GiveUp, Outcome, Post, Served};
use super::report::Event;
use super::shared::Shared;
use super::work::Work;
use crate::Error;

/// Between two looks at how it goes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a round went.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Associations that stood.
    pub(super) stood: u64,
    /// Why not all was asked for.
    pub(super) error: Option<Error>,
    /// Whether an association ended at an instance that hangs, which is known now.
    pub(super) is_passed_over: bool,
    /// Whether the peer gave us the SCP role on none.
    pub(super) no_roles: bool,
    /// Whether the peer takes a class that was left out but for a probe: nothing was asked for.
    pub(super) takes_probe: bool,
    /// Our side cannot store any more.
    pub(super) fatal: Option<String>,
    /// SOP class and transfer syntax of the storage contexts that were proposed: none without an association that stood.
    pub(super) proposed: Vec<(Uid, Uid)>,
    /// Those of them that the peer accepted.
    pub(super) accepted: Vec<(Uid, Uid)>,
}

impl Pass {
    /// Adds how another round went.
    pub(super) fn add(&mut self, other: Pass) {
        self.stood += other.stood;
        self.error = self.error.take().or(other.error);
        self.is_passed_over |= other.is_passed_over;
        self.no_roles &= other.no_roles;
        self.takes_probe |= other.takes_probe;
        self.fatal = self.fatal.take().or(other.fatal);
        self.proposed.extend(other.proposed);
        self.accepted.extend(other.accepted);
    }
}

/// The associations of a round.
struct SideBySide<'e> {
    shared: &'e Arc<Shared>,
    work: Arc<Work>,
    controller: &'e mut Controller,
    running: JoinSet<Outcome>,
    /// Their numbers.
    workers: HashMap<task::Id, usize>,
    /// Those that are being opened or wait for their first answer, by number.
    opening: HashSet<usize>,
    /// Those on which something came.
    serving: HashSet<usize>,
    /// Those that are to end by themselves, as there is no use for them.
    retiring: usize,
    numbers: usize,
    give_up: watch::Sender<GiveUp>,
    served: mpsc::UnboundedSender<Served>,
    window: u16,
    pass: Pass,
    /// How many instances had come when an association was last opened for what others had left.
    came_at_reopening: Option<u64>,
    /// Why an association could not be opened.
    refused: Option<Error>,
}

/// Works off a round. `begin` is when the retrieve began.
pub(super) async fn work_off(
    shared: &Arc<Shared>,
    work: Arc<Work>,
    controller: &mut Controller,
    begin: Instant,
) -> Pass {
    let (served, mut news) = mpsc::unbounded_channel();
    let mut round = SideBySide {
        shared,
        work,
        controller,
        running: JoinSet::new(),
        workers: HashMap::new(),
        came_at_reopening: None,
        opening: HashSet::new(),
        serving: HashSet::new(),
        retiring: 0,
        numbers: 0,
        give_up: watch::Sender::new(GiveUp::default()),
        served,
        window: 1,
        pass: Pass { no_roles: true, ..Pass::default() },
        refused: None,
    };
    // Where the user says how many, there may be work for all of them soon.
    let least = match round.work.fixed {
        Some(_) if round.work.may_come() => usize::MAX,
        _ => round.work.dealer().least(),
    };
    let first = round.controller.begin(least.max(1));
    round.follow(first);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(news) = news.recv() => round.served(&news),
            joined = round.running.join_next_with_id() => match joined {
                Some(Ok((id, outcome))) => round.ended(id, outcome, begin),
                Some(Err(error)) => round.failed(&error),
                None if round.takes_up_what_is_left() => {}
                None => break,
            },
            _ = looks.tick() => round.look(begin),
        }
    }
    round.finish()
}

impl SideBySide<'_> {
    /// Opens as many as are advised, or lets as many end as are too many.
    fn follow(&mut self, advice: Advice) {
        let Advice { associations, reason } = advice;
        self.work.wanted.store(associations, Ordering::Relaxed);
        self.work.is_growing.store(self.controller.is_growing(), Ordering::Relaxed);
        let now = (self.serving.len() + self.opening.len()).saturating_sub(self.retiring);
        for _ in now..associations {
            self.open();
        }
        let mut surplus = now.saturating_sub(associations);
        if surplus > 0 && !self.opening.is_empty() {
            surplus = surplus.saturating_sub(self.opening.len());
            self.give_up_opening();
        }
        if surplus > 0 {
            self.retiring += surplus;
            self.work.retire(surplus);
        }
        self.shared.tell(Event::SideBySide { associations, reason });
    }

    fn open(&mut self) {
        let number = self.numbers;
        self.numbers += 1;
        self.opening.insert(number);
        self.work.opening(self.opening.len());
        let post = Post { number, served: self.served.clone(), give_up: self.give_up.subscribe() };
        let (shared, work) = (Arc::clone(self.shared), Arc::clone(&self.work));
        let worker = self.running.spawn(shared.work(work, post));
        self.workers.insert(worker.id(), number);
    }

    /// Opens one more when those that there were have ended and left something that was never begun, as long as it goes on.
    fn takes_up_what_is_left(&mut self) -> bool {
        let is_over = self.pass.error.is_some()
            || self.refused.is_some()
            || self.pass.fatal.is_some()
            || self.pass.takes_probe;
        let came = self.shared.progress().instances;
        let is_worth_it = !is_over
            && self.shared.stop() == Stop::No
            && !self.work.dealer().is_empty()
            && self.came_at_reopening.is_none_or(|before| came > before);
        if is_worth_it {
            self.came_at_reopening = Some(came);
            self.open();
        }
        is_worth_it
    }

    fn give_up_opening(&mut self) {
        self.give_up.send_replace(GiveUp { connecting: self.numbers, unserved: self.numbers });
        self.opening.clear();
        self.work.opening(0);
    }

    fn served(&mut self, served: &Served) {
        self.opening.remove(&served.number);
        self.work.opening(self.opening.len());
        self.serving.insert(served.number);
        self.window = served.window;
    }

    /// A worker ended by a fault of ours: what it was at is asked for again as after an association that was lost.
    fn failed(&mut self, error: &JoinError) {
        tracing::error!("a worker of the retrieve has ended by a fault in dicomet");
        if let Some(number) = self.workers.remove(&error.id()) {
            self.opening.remove(&number);
            self.serving.remove(&number);
            self.work.opening(self.opening.len());
        }
        self.controller.lost(self.serving.len());
        self.pass.error.get_or_insert_with(Error::fault);
    }

    fn ended(&mut self, id: task::Id, outcome: Outcome, begin: Instant) {
        let Some(number) = self.workers.remove(&id) else { return };
        let was_awaited = self.opening.remove(&number);
        self.work.opening(self.opening.len());
        self.serving.remove(&number);
        if outcome.was_open {
            self.pass.stood += 1;
            self.ended_open(outcome);
        } else if was_awaited && let Some(error) = outcome.error {
            // Those that stand do the work, and no more are asked for; where the user names a number, each is tried.
            if !self.serving.is_empty() && self.work.fixed.is_none() {
                let advice =
                    self.controller.rejected(begin.elapsed(), self.serving.len(), error.is_transient());
                self.give_up_opening();
                self.follow(advice);
            }
            self.refused.get_or_insert(error);
        }
        if self.work.is_over() {
            // What has no association yet would find nothing to do.
            self.give_up.send_modify(|give_up| give_up.connecting = self.numbers);
        }
    }

    fn ended_open(&mut self, outcome: Outcome) {
        self.pass.no_roles &= outcome.no_roles;
        self.pass.takes_probe |= outcome.takes_probe;
        self.pass.accepted.extend(outcome.accepted);
        self.pass.is_passed_over |= outcome.is_passed_over;
        if let Some(fatal) = outcome.fatal {
            self.pass.fatal.get_or_insert(fatal);
        }
        match outcome.error {
            Some(error) => {
                self.controller.lost(self.serving.len());
                self.pass.error.get_or_insert(error);
            }
            None => self.retiring = self.retiring.saturating_sub(1),
        }
    }

    fn look(&mut self, begin: Instant) {
        let progress = self.shared.progress();
        let sight = Sight {
            now: begin.elapsed(),
            instances: progress.instances,
            bytes: progress.bytes,
            left: self.work.dealer().left() as u64,
            serving: self.serving.len(),
            opening: self.opening.len(),
            round_trip: self.shared.round_trip(),
            window: self.window,
        };
        if let Some(advice) = self.controller.look(&sight) {
            self.work.keep_all();
            self.retiring = 0;
            self.follow(advice);
        }
    }

    fn finish(mut self) -> Pass {
        if self.pass.stood > 0 && self.refused.is_some() {
            let stood = usize::try_from(self.pass.stood).unwrap_or(usize::MAX);
            if self.work.fixed.is_some() {
                let is_transient = self.refused.as_ref().is_some_and(Error::is_transient);
                self.controller.rejected(Duration::ZERO, stood, is_transient);
            }
            if self.work.dealer().is_empty() {
                // What was not opened is no failure when others did the work.
                self.refused = None;
            }
        }
        if self.pass.stood > 0 {
            self.pass.proposed.clone_from(&self.work.contexts);
        }
        self.pass.error = self.pass.error.or(self.refused);
        self.pass
    }
}
