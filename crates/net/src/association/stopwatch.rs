//! How long we have waited without anything moving.

use std::time::Duration;

use tokio::time::Instant;

/// So many bytes, in either direction, are a sign of life. Fewer are not: a peer that lets one byte through
/// now and then would otherwise hold an association for ever.
const SIGN_OF_LIFE: usize = 4096;

/// Counts the time that we wait for the peer, and not the time that the owner takes for its own work between
/// two operations.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    waited: Duration,
    since: Option<Instant>,
    moved: usize,
}

impl Stopwatch {
    /// The wait begins, or goes on.
    pub(super) fn start(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The wait is interrupted.
    pub(super) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Bytes moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved += bytes;
        if self.moved >= SIGN_OF_LIFE {
            self.reset();
        }
    }

    /// Something whole came or went.
    pub(super) fn reset(&mut self) {
        self.moved = 0;
        self.waited = Duration::ZERO;
        if self.since.is_some() {
            self.since = Some(Instant::now());
        }
    }

    /// When `limit` will have been waited; `None` when that is beyond the clock.
    pub(super) fn deadline(&self, limit: Duration) -> Option<Instant> {
        let since = self.since.unwrap_or_else(Instant::now);
        since.checked_add(limit.saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn only_the_time_of_waiting_counts() {
        let mut stopwatch = Stopwatch::default();
        stopwatch.start();
        tokio::time::advance(Duration::from_secs(50)).await;
        stopwatch.pause();
        tokio::time::advance(Duration::from_secs(1000)).await;
        stopwatch.start();
        assert_eq!(stopwatch.deadline(LIMIT), Some(Instant::now() + Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_bytes_are_no_sign_of_life() {
        let mut stopwatch = Stopwatch::default();
        stopwatch.start();
        tokio::time::advance(Duration::from_secs(50)).await;
        stopwatch.moved(SIGN_OF_LIFE - 1);
        assert_eq!(stopwatch.deadline(LIMIT), Some(Instant::now() + Duration::from_secs(10)));
        stopwatch.moved(1);
        assert_eq!(stopwatch.deadline(LIMIT), Some(Instant::now() + LIMIT));
    }
}
