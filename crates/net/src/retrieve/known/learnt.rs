//! Something that was learnt, and when: it is believed for a while only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// After this a habit is tried again.
const REMEMBERED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// A habit, with when it was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt<T> {
    /// What was learnt.
    pub value: T,
    /// In seconds since 1970.
    learnt: u64,
}

impl<T: PartialEq> Learnt<T> {
    /// Learnt at a time.
    pub fn at(value: T, now: SystemTime) -> Learnt<T> {
        Learnt { value, learnt: seconds(now) }
    }

    /// What was learnt anew, or what was learnt before and is confirmed by nothing: that keeps its time, so that it is
    /// tried again one day.
    pub(super) fn merged(before: Option<Learnt<T>>, value: Option<T>, now: SystemTime) -> Option<Learnt<T>> {
        match (before, value) {
            (Some(before), Some(value)) if before.value == value => Some(before),
            (_, Some(value)) => Some(Learnt::at(value, now)),
            (before, None) => before,
        }
    }

    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.is_younger(now, REMEMBERED_FOR)
    }

    pub(super) fn is_younger(&self, now: SystemTime, limit: Duration) -> bool {
        // What was learnt in the future was learnt by a clock that was wrong.
        seconds(now).checked_sub(self.learnt).is_some_and(|age| age < limit.as_secs())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
