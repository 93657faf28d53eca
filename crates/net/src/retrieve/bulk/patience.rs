//! How long a peer that has gone away is waited for, and when it is tried again.

use std::time::Duration;

use tokio::time::Instant;

/// Between two tries, at first and at most.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// A peer that was never reached is a mistake in its address rather than away.
    was_reached: bool,
    /// Since when it is away, and when it is tried next.
    away: Option<(Instant, Duration)>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience { limit, was_reached: false, away: None }
    }

    /// The peer let us in. Answers whether it had been away.
    pub(super) fn reached(&mut self) -> bool {
        self.was_reached = true;
        self.away.take().is_some()
    }

    /// It did not. How long to wait before the next try; none when it has been long enough.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        if !self.was_reached {
            return None;
        }
        let (since, wait) = self.away.unwrap_or((now, FIRST));
        let left = self.limit.checked_sub(now - since).filter(|left| !left.is_zero())?;
        self.away = Some((since, (wait * 2).min(MOST)));
        Some(wait.min(left))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tries_grow_rarer_until_the_limit_and_begin_anew_when_the_peer_was_back() {
        let mut patience = Patience::new(Duration::from_secs(100));
        let mut now = Instant::now();
        assert!(!patience.reached());
        let mut waits = Vec::new();
        while let Some(wait) = patience.failed(now) {
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 37]);
        assert!(patience.reached());
        assert_eq!(patience.failed(now), Some(FIRST));
    }

    #[test]
    fn a_peer_that_was_never_reached_is_not_waited_for() {
        assert_eq!(Patience::new(Duration::from_secs(100)).failed(Instant::now()), None);
    }
}
