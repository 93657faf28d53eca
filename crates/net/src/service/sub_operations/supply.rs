//! The instances of a retrieve, dealt out to whoever has room for the next: one association, or several.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::tally::{Reason, Tally};
use super::{Instances, Outgoing};

/// Instances that are still to be sent.
pub(in crate::service) struct Supply<I: Instances> {
    state: Mutex<State<I>>,
    tally: Arc<Tally>,
    empty: watch::Sender<bool>,
}

struct State<I: Instances> {
    instances: I,
    /// So many were counted and have not been taken.
    left: u64,
    returned: VecDeque<I::Instance>,
}

impl<I: Instances> Supply<I> {
    pub(in crate::service) fn new(instances: I, tally: Arc<Tally>) -> Supply<I> {
        let left = instances.total();
        let state = Mutex::new(State { instances, left, returned: VecDeque::new() });
        Supply { state, tally, empty: watch::Sender::new(left == 0) }
    }

    fn state(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next one.
    pub(super) fn next(&self) -> Option<I::Instance> {
        let mut state = self.state();
        let next = state.returned.pop_front().or_else(|| {
            if state.left == 0 {
                return None;
            }
            let next = state.instances.next();
            if next.is_none() {
                self.tally.absent(state.left);
            }
            state.left = if next.is_some() { state.left - 1 } else { 0 };
            next
        });
        self.empty.send_replace(state.left == 0 && state.returned.is_empty());
        next
    }

    /// Takes one back that was not sent, or of which it is not known whether it arrived.
    pub(super) fn give_back(&self, instance: I::Instance) {
        self.state().returned.push_back(instance);
        self.empty.send_replace(false);
    }

    /// How many there are to take.
    pub(in crate::service) fn left(&self) -> u64 {
        let state = self.state();
        state.left + state.returned.len() as u64
    }

    pub(in crate::service) fn is_empty(&self) -> bool {
        *self.empty.borrow()
    }

    /// Waits until there is nothing to take.
    pub(in crate::service) async fn emptied(&self) {
        // The sender is ours.
        let _ = self.empty.subscribe().wait_for(|empty| *empty).await.map(drop);
    }

    /// Counts what is left as failed, each by its name.
    pub(in crate::service) fn fail(&self, why: &'static str) {
        if self.is_empty() {
            return;
        }
        self.tally.explain(why);
        while let Some(instance) = self.next() {
            self.tally.failed(&instance.describe(), Reason::NotBegun(why));
        }
    }
}
