//! How fast it goes now: over the last while, not since the beginning. A stall is seen as one, and an average over a day
//! that waited for its hours would tell nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many looks are kept for the time that counts as now.
const LOOKS: u32 = 40;

/// What was counted at moments of the last while.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long now is.
    span: Duration,
    looks: VecDeque<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    count: u64,
    bytes: u64,
}

/// A second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rate {
    pub(super) count: f64,
    pub(super) bytes: f64,
}

impl Pace {
    /// With a time that counts as now.
    pub(super) fn over(span: Duration) -> Pace {
        Pace { span, looks: VecDeque::new() }
    }

    /// Begins anew with what there is by a time.
    pub(super) fn begin(&mut self, at: Instant, count: u64, bytes: u64) {
        self.looks = [Look { at, count, bytes }].into();
    }

    /// Notes what there is by now.
    pub(super) fn look(&mut self, now: Instant, count: u64, bytes: u64) {
        let is_due = self.looks.back().is_none_or(|last| now - last.at >= self.span / LOOKS);
        if is_due {
            self.looks.push_back(Look { at: now, count, bytes });
        }
        // The oldest is the last one before the span.
        while self.looks.get(1).is_some_and(|next| now - next.at >= self.span) {
            self.looks.pop_front();
        }
    }

    /// How fast it goes now, that much being there.
    pub(super) fn rate(&self, now: Instant, count: u64, bytes: u64) -> Rate {
        let Some(oldest) = self.looks.front() else { return Rate::default() };
        let seconds = (now - oldest.at).as_secs_f64().max(0.001);
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        Rate { count: per_second(count, oldest.count), bytes: per_second(bytes, oldest.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_does_not_count() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut pace = Pace::over(Duration::from_secs(10));
        pace.begin(begin, 0, 0);
        // A hundred a second for a minute, then nothing.
        for second in 1..=60 {
            pace.look(at(second), 100 * second, 1000 * second);
        }
        assert_eq!(pace.rate(at(60), 6000, 60_000), Rate { count: 100.0, bytes: 1000.0 });
        for second in 61..=65 {
            pace.look(at(second), 6000, 60_000);
        }
        assert_eq!(pace.rate(at(65), 6000, 60_000), Rate { count: 50.0, bytes: 500.0 });
        for second in 66..=71 {
            pace.look(at(second), 6000, 60_000);
        }
        assert_eq!(pace.rate(at(71), 6000, 60_000), Rate::default());
        assert!(pace.looks.len() <= 12, "{}", pace.looks.len());
    }
}
