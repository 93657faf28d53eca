//! A limit to the bytes a second that instances come by, over all associations together.
//!
//! Nothing is buffered: who has taken a piece waits before it takes the next, so that the peer's sending is held back
//! by TCP itself. The limit keeps the moment until which what was taken is paid for; no more than `AHEAD` may be
//! taken without waiting, and time that nobody used is not saved up.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// How far what was taken may run ahead of what is paid for: some ticks of the timer, which has milliseconds.
const AHEAD: Duration = Duration::from_millis(20);

/// A limit; its clones are the same limit.
#[derive(Debug, Clone)]
pub struct RateLimit {
    bytes_per_second: NonZeroU64,
    paid_until: Arc<Mutex<Option<Instant>>>,
}

impl RateLimit {
    /// So many bytes of data sets a second.
    pub fn new(bytes_per_second: NonZeroU64) -> RateLimit {
        RateLimit { bytes_per_second, paid_until: Arc::default() }
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.get()
    }

    /// Notes that so many bytes were taken, and waits as long as that is too early.
    pub(super) async fn took(&self, bytes: usize) {
        let paid_until = self.pay(bytes, Instant::now());
        if paid_until.saturating_duration_since(Instant::now()) > AHEAD {
            tokio::time::sleep_until(paid_until).await;
        }
    }

    fn pay(&self, bytes: usize, now: Instant) -> Instant {
        let mut paid_until = self.paid_until.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let price = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let paid = paid_until.map_or(now, |paid| paid.max(now)) + price;
        *paid_until = Some(paid);
        paid
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limit(bytes_per_second: u64) -> RateLimit {
        RateLimit::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_take_together_keep_to_the_limit() {
        let limit = limit(1_000_000);
        let begin = Instant::now();
        let mut takers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let limit = limit.clone();
            takers.spawn(async move {
                for _ in 0..100 {
                    limit.took(10_000).await;
                }
            });
        }
        takers.join_all().await;
        let elapsed = begin.elapsed();
        assert!(
            elapsed > Duration::from_millis(3_900) && elapsed < Duration::from_millis(4_100),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_smooth_and_what_was_not_used_is_not_saved_up() {
        let limit = limit(1_000_000);
        limit.took(10_000).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = Instant::now();
        for _ in 0..50 {
            let before = Instant::now();
            limit.took(10_000).await;
            assert!(before.elapsed() <= Duration::from_millis(40), "no wait is long");
        }
        assert!(begin.elapsed() > Duration::from_millis(470), "{:?}", begin.elapsed());
    }
}
