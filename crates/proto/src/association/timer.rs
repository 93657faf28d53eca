//! ARTIM, the association request/reject/release timer of PS3.8 9.1.5, as instants: it has no clock.

use std::time::{Duration, Instant};

/// The timer. It runs while it has a deadline.
#[derive(Debug, Clone)]
pub(super) struct Artim {
    duration: Duration,
    deadline: Option<Instant>,
}

impl Artim {
    /// A timer that stands still.
    pub(super) fn new(duration: Duration) -> Artim {
        Artim { duration, deadline: None }
    }

    /// Starts it, or starts it anew. A deadline beyond what the clock can say is none.
    pub(super) fn start(&mut self, now: Instant) {
        self.deadline = now.checked_add(self.duration);
    }

    pub(super) fn stop(&mut self) {
        self.deadline = None;
    }

    /// When it runs out, if it runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it has run out; it stands still afterwards.
    pub(super) fn take_expired(&mut self, now: Instant) -> bool {
        let expired = self.deadline.is_some_and(|deadline| deadline <= now);
        if expired {
            self.stop();
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_out_at_its_deadline_and_only_once() {
        let start = Instant::now();
        let mut artim = Artim::new(Duration::from_secs(30));
        assert_eq!(artim.deadline(), None);
        assert!(!artim.take_expired(start));
        artim.start(start);
        assert!(!artim.take_expired(start + Duration::from_secs(29)));
        assert!(artim.take_expired(start + Duration::from_secs(30)));
        assert!(!artim.take_expired(start + Duration::from_secs(60)));
    }
}
